"""A collector on a real port under a real Chromium: fixtures for every test that opens pages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from shelf_collector.adapters.web.server import StreamEndingServer, create_app
from shelf_collector.ports import Delivery
from shelf_testing.browser import open_browser
from tests.collector.builders import wire

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.collector.conftest import Shop


@dataclass
class LiveShop:
    """A shop with its threads running, on a real port; ``stop`` takes it away under the open pages."""

    shop: Shop
    url: str
    stop: Callable[[], None]

    def say(self, *messages: Any) -> None:
        for message in messages:
            topic, payload = wire(message)
            self.shop.keeper.deliver(Delivery(topic, payload, False, self.shop.clock.now()))


@pytest.fixture
def live(open_shop: Callable[[], Shop]) -> Iterator[LiveShop]:
    shop = open_shop()
    config = uvicorn.Config(
        create_app(shop.site, shop.keeper.start, shop.keeper.stop), host="127.0.0.1", port=0, log_config=None,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = StreamEndingServer(config, shop.hub.close)
    thread = threading.Thread(target=server.run, name="web")
    thread.start()

    def stop() -> None:
        shop.hub.close()
        server.should_exit = True
        thread.join(10)

    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield LiveShop(shop, f"http://127.0.0.1:{port}", stop)
    stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, live: LiveShop) -> Iterator[Callable[..., Page]]:
    """Opens a page and, at the end, checks that it asked only us and complained about nothing."""
    contexts, asked, complaints = [], list[str](), list[str]()

    def make(path: str, width: int = 1920, height: int = 1080) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, locale="nl-NL")
        contexts.append(context)
        page = context.new_page()
        context.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(live.url + path)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not [url for url in asked if not url.startswith(live.url)]
    assert not complaints

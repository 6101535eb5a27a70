"""A collector on a real port under a real Chromium: fixtures for every test that opens pages."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from shelf_collector.adapters.web.server import StreamEndingServer, create_app
from shelf_collector.ports import Delivery
from shelf_contracts.files import read_model
from shelf_contracts.products import ProductFile
from shelf_contracts.shipped import demo_shop_folder
from shelf_testing.browser import open_browser
from tests.collector.builders import STORE, planogram, wire

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.collector.conftest import Shop


@dataclass
class LiveShop:
    """A shop with its threads running, on a real port.

    ``stop`` takes it away under the open pages, ``again`` brings it back after that.
    """

    shop: Shop
    url: str
    stop: Callable[[], None]
    again: Callable[[], None] = lambda: None

    def say(self, *messages: Any) -> None:
        for message in messages:
            topic, payload = wire(message)
            self.shop.keeper.deliver(Delivery(topic, payload, False, self.shop.clock.now()))


@pytest.fixture
def live(open_shop: Callable[[], Shop]) -> Iterator[LiveShop]:
    found = LiveShop(open_shop(), "", lambda: None)

    def start(port: int) -> None:
        found.url, found.stop = _serve(found.shop, port)

    def again() -> None:
        """The collector after a restart, where the pages expect it."""
        found.shop = open_shop()
        start(int(found.url.rpartition(":")[2]))

    start(0)
    found.again = again
    yield found
    found.stop()


def _serve(shop: Shop, port: int) -> tuple[str, Callable[[], None]]:
    def start() -> None:
        shop.keeper.start()
        shop.foreman.start(shop.site.desk)

    def stop_threads() -> None:
        shop.foreman.stop()
        shop.keeper.stop()

    app = create_app(shop.site, start, stop_threads)
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1)
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
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", stop


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


def wait_for_panels(page: Page, count: int) -> None:
    """Until so many panels stand on a display, in the best letters there are."""
    page.wait_for_selector(f'#display[data-panels="{count}"]')
    page.wait_for_selector("#panels:not([data-hasty])", state="attached")


@pytest.fixture
def with_login(shop_folder: Path) -> None:
    """Before ``live``: a shop with a login, as every real one."""
    config = shop_folder / "collector.toml"
    config.write_text(config.read_text().replace("demo.open_to_this_computer = true\n", ""))


@pytest.fixture
def demo_products(shop_folder: Path) -> list[str]:
    """Put all forty demo products into the shop, and a few with very long texts; returns their slots."""
    shipped = demo_shop_folder() / "products.json"
    products = read_model(shipped, ProductFile).products
    long = json.loads(products[2].model_dump_json())
    for language, name in (
        ("nl", "Biologische meergranenontbijtvlokken"),
        ("en", "Extraordinarily Long Name of a Thing"),
    ):
        long["name"][language] = name + " met pompoenpitten, cranberry's en een vleugje kaneel"
        long["ingredients"][language] = ", ".join([long["ingredients"][language]] * 6)
    content = json.loads(shipped.read_text())
    content["products"][2] = long
    (shop_folder / "products.json").write_text(json.dumps(content))
    gtins = [product.gtin for product in products]
    plan = json.loads(planogram().model_dump_json(by_alias=True))
    plan["products"] = [{"id": gtin, "gtin": gtin, "w": 15, "h": 200} for gtin in gtins]
    plan["positions"] = [
        {
            "id": f"s1-{i + 1:02d}", "productId": gtin, "fixtureId": "s1", "x": 20 * i, "y": 100, "w": 15, "h": 200,
            "facings": {"h": 1, "v": 1, "d": 6}, "capacity": 6,
        }
        for i, gtin in enumerate(gtins)
    ]  # fmt: skip
    (shop_folder / "a01.json").write_text(json.dumps(plan))
    assert plan["store"] == STORE
    return [position["id"] for position in plan["positions"]]

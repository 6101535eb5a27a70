"""A collector in a folder of its own, with a bus and a clock that a test holds in its hands."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import RunningBroker, start_broker
from shelf_collector.adapters.accounts import Accounts
from shelf_collector.adapters.database import Database
from shelf_collector.adapters.hub import Hub
from shelf_collector.adapters.passwords import Passwords
from shelf_collector.adapters.web.server import create_app
from shelf_collector.adapters.web.site import Site
from shelf_collector.app import open_desk
from shelf_collector.config import CollectorSetup, load_setup
from shelf_collector.core.access import SessionRules
from shelf_collector.core.alerts import AlertRules
from shelf_collector.core.catalogue import Catalogue
from shelf_collector.core.inbox import Happening, StockReport
from shelf_collector.core.memory import DisplayPlan, StoreMemory
from shelf_collector.core.plan import store_plan
from shelf_collector.core.views import Viewer
from shelf_collector.doorkeeper import Doorkeeper
from shelf_collector.enrolling import Enrolling
from shelf_collector.galleries import Galleries
from shelf_collector.keeper import Keeper
from shelf_collector.ports import Delivery
from shelf_collector.taskdesk import Foreman
from shelf_contracts import topics
from shelf_mqtt.session import MqttSession, Received
from tests.collector.builders import GTINS, NOON, STORE, eventually, free_port, planogram, wire
from tests.collector.eyes import MODEL, FakeEyes
from tests.collector.live_shop import browser, demo_products, live, open_page, with_login

__all__ = ["browser", "demo_products", "live", "open_page", "with_login"]

CHEAP_PASSWORDS = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@dataclass
class FakeClock:
    moment: datetime = NOON

    def now(self) -> datetime:
        return self.moment

    def monotonic_s(self) -> float:
        return self.moment.timestamp()

    def advance(self, seconds: float) -> datetime:
        self.moment += timedelta(seconds=seconds)
        return self.moment


@dataclass
class FakeBus:
    """Remembers what was acknowledged and posted; ``newest`` is the broker's retained messages."""

    acknowledged: list[Delivery] = field(default_factory=list)
    posted: list[tuple[str, bytes]] = field(default_factory=list)
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    is_connected: bool = True

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        self.acknowledged += deliveries

    def post(self, topic: str, payload: bytes) -> None:
        self.posted.append((topic, payload))

    def send(self, topic: str, payload: bytes) -> bool:
        self.sent.append((topic, payload))
        return self.is_connected

    def newest(self, ending: str) -> Any:
        payload = next(payload for topic, payload in reversed(self.posted) if topic.endswith(ending))
        return json.loads(payload) if payload else None


PRODUCTS = [
    {
        "gtin": GTINS[0],
        "name": {"nl": "Fusilli", "it": "Fusilli", "en": "Fusilli"},
        "brand": "Molino Aurora",
        "net_content": {"amount": 500, "unit": "g"},
        "price": {"cents": 139},
        "origin": {"nl": "Italië", "it": "Italia", "en": "Italy"},
        "ingredients": {"en": "Durum _wheat_ semolina, water"},
        "allergens": {
            "contains": ["en:gluten"],
            "may_contain": ["en:soybeans"],
            "source": "supplier",
            "verified_on": "2026-11-01",
        },
        "nutrition": {"energy_kj": 1498, "fat_g": 1.4, "saturates_g": 0.3, "salt_g": 0.01},
        "nutri_score": "a",
        "co2e_g": 780,
    },
    {"gtin": GTINS[1], "name": {"nl": "Spaghetti", "en": "Spaghetti"}, "price": {"cents": 129}},
    {"gtin": GTINS[2], "name": {"nl": "Volkoren crackers met zonnebloempitten", "en": "Wholegrain crackers"}},
]


@pytest.fixture
def shop_folder(tmp_path: Path) -> Path:
    """A folder with collector.toml, one planogram and a product file; the fourth slot's product is not described."""
    (tmp_path / "a01.json").write_text(planogram().model_dump_json(by_alias=True))
    (tmp_path / "products.json").write_text(json.dumps({"schema": "smartshelf.products.v1", "products": PRODUCTS}))
    (tmp_path / "collector.toml").write_text(
        f'store = "{STORE}"\nstore_name = "Proefwinkel"\nplanograms = ["a01.json"]\nproducts = ["products.json"]\n'
        "demo.open_to_this_computer = true\n"
    )
    return tmp_path


@dataclass
class Shop:
    """A collector without a broker: messages are handed to it, and its work is done on demand or by its thread."""

    setup: CollectorSetup
    database: Database
    keeper: Keeper
    bus: FakeBus
    clock: FakeClock
    hub: Hub
    site: Site
    foreman: Foreman

    def close(self) -> None:
        self.site.doorkeeper.accounts.close()
        self.database.close()

    def say(self, *messages: StockReport | Happening, retained: bool = False) -> None:
        """Hand messages over and do the work at once."""
        self.say_raw(*(wire(message) for message in messages), retained=retained)

    def say_raw(self, *messages: tuple[str, bytes], retained: bool = False) -> None:
        self.keeper.work([Delivery(topic, payload, retained, self.clock.now()) for topic, payload in messages])

    def wait(self, seconds: float) -> None:
        """Let time pass, in steps of the keeper's tick."""
        end = self.clock.now() + timedelta(seconds=seconds)
        while self.clock.now() < end:
            self.clock.advance(min(0.25, (end - self.clock.now()).total_seconds()))
            self.keeper.work([])
        self.foreman.work(self.site.desk)


@pytest.fixture
def open_shop(shop_folder: Path) -> Iterator[Callable[[], Shop]]:
    """Opens a collector on the folder; called again, it is the same collector after a restart."""
    opened: list[Shop] = []
    clock = FakeClock()

    def make() -> Shop:
        for shop in opened:
            shop.close()
        setup = load_setup(shop_folder / "collector.toml")
        database = Database(setup.database_url, clock=clock)
        database.open()
        database.replace_shop_products(setup.products)
        plan = store_plan(setup.planograms)
        viewer = Viewer(plan, Catalogue(database.products([slot.gtin for slot in plan.slots.values() if slot.gtin])))
        revision = itertools.count(1000 * (1 + len(opened)))

        def recall() -> StoreMemory:
            return StoreMemory(
                plan, [DisplayPlan("a01", "a01")], AlertRules(), 10.0, database.load_state(clock.now()),
                database.load_open_alerts(), next(revision),
            )  # fmt: skip

        bus, hub = FakeBus(), Hub("boot")
        foreman = Foreman(hub, clock)
        keeper = Keeper(recall, viewer, database, bus, foreman, clock, STORE)
        http = setup.config.http
        rules = SessionRules(timedelta(minutes=http.idle_minutes), timedelta(hours=http.session_hours))
        doorkeeper = Doorkeeper(Accounts(setup.database_url), CHEAP_PASSWORDS, clock, rules)
        desk = open_desk(setup, doorkeeper, hub, clock, plan, keeper, database)
        galleries = Galleries(
            setup.gallery_folder, setup.galleries_url, bus, clock, STORE,
            keeps_thumbnails=setup.config.enrolment.keep_thumbnails, model=(MODEL, 2),
        )  # fmt: skip
        enrolling = Enrolling(galleries, FakeEyes(), doorkeeper.accounts, clock)  # type: ignore[arg-type]
        site = Site(setup, plan, keeper, viewer, database, hub, bus, clock, doorkeeper, desk, enrolling=enrolling)
        opened.append(Shop(setup, database, keeper, bus, clock, hub, site, foreman))
        return opened[-1]

    yield make
    for shop in opened:
        shop.close()


@pytest.fixture
def shop(open_shop: Callable[[], Shop]) -> Shop:
    return open_shop()


@dataclass
class Web:
    """The HTTP side of a shop, asked directly: no socket, and no thread but those of the requests."""

    shop: Shop

    def get(self, path: str, **headers: str) -> httpx.Response:
        return asyncio.run(self._get(path, headers))

    async def _get(self, path: str, headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(create_app(self.shop.site))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path, headers=headers)


@pytest.fixture
def web(shop: Shop) -> Web:
    return Web(shop)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    """A real broker, the embedded one."""
    settings = {"kind": "embedded", "port": free_port(), "state": tmp_path / "broker", "ack_wait_s": 1}
    with start_broker(BrokerConfig.model_validate(settings)) as running:
        yield running


@pytest.fixture
def heard(broker: RunningBroker) -> Iterator[list[Received]]:
    """Everything the collector publishes on the broker."""
    found: list[Received] = []
    names = ("display_content", "alert_state", "bay_state", "collector_status")
    session = MqttSession(
        broker.address, client_id="listener", persistent=False, on_message=found.append,
        subscriptions=[(topics.subscription(name, store=STORE), 1) for name in names],
    )  # fmt: skip
    session.start()
    eventually(lambda: session.is_connected)
    yield found
    session.stop()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.name == "keeper"]
    assert not left


@pytest.fixture
def locked_folder(shop_folder: Path) -> Path:
    """A shop's folder where logins are asked for."""
    config = shop_folder / "collector.toml"
    config.write_text(config.read_text().replace("demo.open_to_this_computer = true\n", ""))
    return shop_folder

"""A node's outbox and publisher, a broker and a collector: what leaves the outbox, and when."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import RunningBroker, start_broker
from shelf_collector.adapters.clock import SystemClock as CollectorClock
from shelf_collector.adapters.database import Database
from shelf_collector.adapters.hub import Hub
from shelf_collector.adapters.mqtt_bus import MqttBus
from shelf_collector.core.alerts import AlertRules
from shelf_collector.core.audit import SourceAudit
from shelf_collector.core.catalogue import Catalogue
from shelf_collector.core.memory import DisplayPlan, StoreMemory
from shelf_collector.core.plan import store_plan
from shelf_collector.core.views import Viewer
from shelf_collector.keeper import Keeper
from shelf_collector.ports import Delivery
from shelf_contracts import topics
from shelf_edge.adapters.clock import SystemClock
from shelf_edge.adapters.mqtt_publisher import MqttPublisher
from shelf_edge.adapters.outbox_sqlite import SqliteOutbox
from shelf_edge.adapters.waiting_file import WaitingFile
from shelf_edge.journal import Journal, notice_maker
from shelf_mqtt.address import BrokerAddress
from shelf_mqtt.session import MqttSession, Received
from tests.collector.builders import STORE, eventually, free_port, planogram, slot_event, stock_level

pytestmark = pytest.mark.e2e


@dataclass
class RunningCollector:
    database: Database
    keeper: Keeper
    bus: MqttBus

    def audit(self) -> SourceAudit:
        audits = self.database.audits()
        return audits[0] if audits else SourceAudit("none")

    def stop(self) -> None:
        self.keeper.stop()
        self.bus.stop()
        self.database.close()


def open_collector(folder: Path, address: BrokerAddress) -> RunningCollector:
    database = Database(f"sqlite:///{folder / 'c.sqlite3'}")
    database.open()
    clock, plan = CollectorClock(), store_plan([planogram()])

    def recall() -> StoreMemory:
        state, alerts = database.load_state(clock.now()), database.load_open_alerts()
        return StoreMemory(plan, [DisplayPlan("a01", "a01")], AlertRules(), 10.0, state, alerts, 1)

    def deliver(delivery: Delivery) -> None:
        keeper.deliver(delivery)

    bus = MqttBus(address, STORE, deliver, database.solved_alert_ids, clock)
    keeper = Keeper(recall, Viewer(plan, Catalogue({})), database, bus, Hub("b"), clock, STORE)
    keeper.start()
    bus.start()
    return RunningCollector(database, keeper, bus)


@dataclass
class RunningNode:
    outbox: SqliteOutbox
    journal: Journal
    publisher: MqttPublisher

    def pick(self, times: int = 1) -> None:
        for _ in range(times):
            assert self.journal.say("a01", "s1-01", slot_event("pick", quantity=1))
        self.publisher.wake()

    def stop(self) -> None:
        self.publisher.stop()
        self.outbox.close()


def open_node(folder: Path, address: BrokerAddress, name: str = "n01") -> RunningNode:
    clock = SystemClock()
    outbox = SqliteOutbox(
        folder / f"{name}.sqlite3", first_sequence=int(time.time() * 1000), clock=clock,
        make_notice=notice_maker(STORE, name, clock),
    )  # fmt: skip
    journal = Journal(STORE, name, outbox, clock, WaitingFile(folder / f"{name}.waiting"))
    publisher = MqttPublisher(address, STORE, name, "session", outbox, clock, lambda: None)
    publisher.start()
    return RunningNode(outbox, journal, publisher)


@pytest.fixture(params=["embedded", "mosquitto"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> BrokerConfig:
    if request.param == "mosquitto" and shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None:
        pytest.skip("mosquitto is not installed")
    settings = {"kind": request.param, "port": free_port(), "state": tmp_path / "broker", "ack_wait_s": 1}
    return BrokerConfig.model_validate(settings)


@pytest.fixture
def broker(config: BrokerConfig) -> Iterator[RunningBroker]:
    with start_broker(config) as running:
        yield running


@pytest.fixture
def stop_later() -> Iterator[Callable[..., None]]:
    started: list[RunningCollector | RunningNode] = []
    yield started.append
    for one in started:
        one.stop()


def test_an_event_stays_until_a_collector_has_stored_it(
    broker: RunningBroker, tmp_path: Path, stop_later: Callable[..., None]
) -> None:
    node = open_node(tmp_path, broker.address)
    stop_later(node)
    eventually(lambda: node.publisher.is_connected)
    node.pick(5)
    time.sleep(1.0)
    assert node.outbox.depth() == 5  # the broker has acknowledged them, and nobody has them
    collector = open_collector(tmp_path, broker.address)
    stop_later(collector)
    eventually(lambda: node.outbox.depth() == 0)
    assert (collector.audit().applied, collector.audit().missing) == (5, 0)


def test_a_broker_that_forgot_everything_costs_nothing(
    config: BrokerConfig, tmp_path: Path, stop_later: Callable[..., None]
) -> None:
    with start_broker(config) as broker:
        node, collector = open_node(tmp_path, broker.address), open_collector(tmp_path, broker.address)
        eventually(lambda: node.publisher.is_connected and collector.bus.is_connected)
        node.pick(3)
        eventually(lambda: collector.audit().applied == 3)
        collector.stop()
        node.pick(10)  # the broker keeps them for the collector ...
        eventually(lambda: node.publisher._cursor == node.outbox.last_sequence)
        broker.kill()
    shutil.rmtree(config.state)  # ... and loses them, with all it retained
    heard: list[Received] = []
    stop_later(node)
    with start_broker(config) as broker:
        again = open_collector(tmp_path, broker.address)
        stop_later(again)
        eventually(lambda: again.audit().applied == 13 and node.outbox.depth() == 0, 30)
        assert (again.audit().missing, again.audit().lost) == (0, 0)
        reader = MqttSession(
            broker.address, client_id="reader", persistent=False, on_message=heard.append,
            subscriptions=[(topics.everything(STORE), 1)],
        )  # fmt: skip
        reader.start()
        wanted = ["node/n01/status", "node/n01/ack", "collector/status", "shelf/a01/state", "display/a01/content"]
        eventually(lambda: all(any(one.topic.endswith(end) and one.retained for one in heard) for end in wanted))
        reader.stop()


def test_what_a_broker_dropped_in_between_is_asked_for(
    broker: RunningBroker, tmp_path: Path, stop_later: Callable[..., None]
) -> None:
    node = open_node(tmp_path, broker.address)
    stop_later(node)
    eventually(lambda: node.publisher.is_connected)
    collector = open_collector(tmp_path, broker.address)
    stop_later(collector)
    eventually(lambda: collector.bus.is_connected)
    node.pick(3)
    eventually(lambda: node.outbox.depth() == 0)
    node.publisher._cursor = node.outbox.last_sequence + 4  # as if the next four had been sent, and dropped
    node.pick(6)
    eventually(lambda: collector.audit().applied == 9 and node.outbox.depth() == 0)
    assert (collector.audit().healed, collector.audit().lost) == (4, 0)


def test_what_the_node_no_longer_has_is_reported_lost_and_the_rest_goes_on(
    broker: RunningBroker, tmp_path: Path, stop_later: Callable[..., None]
) -> None:
    collector = open_collector(tmp_path, broker.address)
    stop_later(collector)
    node = open_node(tmp_path, broker.address)
    stop_later(node)
    eventually(lambda: node.publisher.is_connected and collector.bus.is_connected)
    node.pick(2)
    eventually(lambda: node.outbox.depth() == 0)
    numbering, last = node.outbox.numbering, node.outbox.last_sequence
    node.publisher._cursor = last + 3
    node.pick(3)
    node.outbox.acknowledge(numbering, last + 1, last + 3)  # somebody else's collector, or a copied disk
    node.pick(2)
    eventually(lambda: collector.audit().lost == 3 and node.outbox.depth() == 0)
    assert collector.audit().missing == 0


def test_numbers_that_were_never_ours_are_not_confirmed_as_lost(
    broker: RunningBroker, tmp_path: Path, stop_later: Callable[..., None]
) -> None:
    node = open_node(tmp_path, broker.address)
    stop_later(node)
    eventually(lambda: node.publisher.is_connected)
    former = node.outbox.numbering
    node.pick(1)
    node.outbox.acknowledge(former, 1, node.outbox.last_sequence + 9)  # a new numbering
    before = node.outbox.last_sequence
    with node.publisher._lock:
        node.publisher._asked.extend([("f0f0", (1, 10**15)), ("f0f0", (1, 7)), (former, (1, 1))])
    eventually(lambda: node.outbox.last_sequence > before)
    assert node.publisher.counters.foreign == 2
    (notice,) = [json.loads(entry.payload)["data"] for entry in node.outbox.pending(before, 9)]
    assert (notice["action"], notice["numbering"]) == ("gone", former)


def test_a_level_said_again_after_a_restart_replaces_the_old_one(
    broker: RunningBroker, tmp_path: Path, stop_later: Callable[..., None]
) -> None:
    node = open_node(tmp_path, broker.address)
    for count in (5, 4, 3):
        node.journal.say("a01", "s1-01", stock_level(count))
    node.stop()
    again = open_node(tmp_path, broker.address)
    stop_later(again)
    collector = open_collector(tmp_path, broker.address)
    stop_later(collector)
    eventually(lambda: again.outbox.depth() == 0)
    assert collector.keeper.memory.state.slots["a01", "s1-01"].stock.count == 3

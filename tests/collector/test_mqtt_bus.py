"""The collector's end of a real broker: what is true now is retained there, whatever happened in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import RunningBroker
from shelf_collector.adapters.clock import SystemClock
from shelf_collector.adapters.mqtt_bus import READ, MqttBus
from shelf_collector.ports import Delivery
from shelf_contracts import topics
from shelf_contracts.catalog import CATALOG
from shelf_mqtt.session import MqttSession, Received
from tests.collector.builders import STORE, Node, eventually, newest, wire

pytestmark = pytest.mark.e2e

ALERT = topics.build("alert_state", store=STORE, alert="a01-s1-02")


@pytest.fixture
def start_bus(broker: RunningBroker) -> Iterator[Callable[..., MqttBus]]:
    started: list[MqttBus] = []

    def start(delivered: list[Delivery] | None = None, solved: list[str] | None = None, **posts: bytes) -> MqttBus:
        sink = [] if delivered is None else delivered
        bus = MqttBus(broker.address, STORE, sink.append, lambda: solved or [], SystemClock())
        started.append(bus)
        for topic, payload in posts.items():
            bus.post(topic, payload)
        bus.start()
        eventually(lambda: bus.is_connected)
        return bus

    yield start
    for bus in started:
        bus.stop()


@pytest.fixture
def speaker(broker: RunningBroker) -> Iterator[MqttSession]:
    session = MqttSession(broker.address, client_id="node-n01")
    session.start()
    eventually(lambda: session.is_connected)
    yield session
    session.stop()


def test_what_nodes_publish_is_what_we_read() -> None:
    assert set(READ) == {row.name for row in CATALOG if row.publisher == "node"}
    assert sum(row.qos == 1 for row in CATALOG if row.name in READ) <= BrokerConfig().most_subscriptions


def test_what_was_posted_before_the_broker_was_there_arrives_newest_first(
    start_bus: Callable[..., MqttBus], heard: list[Received]
) -> None:
    bus = start_bus(**{ALERT: b'{"old": 1}'})
    for number in range(300):  # more than the window holds
        bus.post(ALERT, f'{{"n": {number}}}'.encode())
    eventually(lambda: newest(heard, "a01-s1-02/state") == {"n": 299})
    assert newest(heard, "collector/status")["state"] == "online"
    bus.stop()
    eventually(lambda: newest(heard, "collector/status")["state"] == "offline")


def test_an_alert_solved_in_a_former_run_is_cleared(
    start_bus: Callable[..., MqttBus], speaker: MqttSession, heard: list[Received]
) -> None:
    assert speaker.publish(ALERT, b'{"state": "open"}', retain=True)
    eventually(lambda: newest(heard, "a01-s1-02/state"))
    start_bus(solved=["a01-s1-02"])
    eventually(lambda: newest(heard, "a01-s1-02/state") == b"")


def test_what_is_not_acknowledged_comes_again(start_bus: Callable[..., MqttBus], speaker: MqttSession) -> None:
    first: list[Delivery] = []
    bus = start_bus(first)
    node = Node()
    for message in (node.event("pick", "s1-01"), node.event("pick", "s1-02")):
        topic, payload = wire(message)
        assert speaker.publish(topic, payload)
    eventually(lambda: len(first) == 2)
    bus.acknowledge(first[:1])
    assert speaker.flush(5)
    bus.stop()
    second: list[Delivery] = []
    start_bus(second)
    eventually(lambda: second)
    assert [one.topic for one in second] == [first[1].topic]
    assert not second[0].retained

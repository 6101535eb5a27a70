"""The session against real brokers: what arrives, what is kept while away, what happens when the broker dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import RunningBroker, start_broker
from shelf_mqtt.session import BrokerAddress, MqttSession, Received, Will

Open = Callable[..., MqttSession]
Eventually = Callable[..., None]


def test_a_message_arrives_and_its_acknowledgement_is_told(
    broker: RunningBroker, open_session: Open, eventually: Eventually
) -> None:
    got: list[Received] = []
    acked: list[int] = []
    reader = open_session(broker.address, "reader", subscriptions=[("shop/+/x", 1)], on_message=got.append)
    writer = open_session(broker.address, "writer")
    for number in range(100):
        taken = writer.publish("shop/a/x", b"%d" % number, on_acked=lambda number=number: acked.append(number))
        assert taken
    assert writer.flush(5.0)
    assert acked == list(range(100))
    eventually(lambda: len(got) == 100)
    assert [(one.topic, int(one.payload), one.retained) for one in got] == [("shop/a/x", n, False) for n in range(100)]
    assert (writer.counters.published, writer.counters.acked, writer.counters.denied) == (100, 100, 0)
    assert reader.counters.received == 100


def test_retained_messages_are_marked_and_an_empty_one_clears(
    broker: RunningBroker, open_session: Open, eventually: Eventually
) -> None:
    writer = open_session(broker.address, "writer")
    writer.publish("state/a", b"1", retain=True)
    writer.publish("state/b", b"2", retain=True)
    writer.publish("state/a", b"", retain=True)
    assert writer.flush(5.0)
    got: list[Received] = []
    open_session(broker.address, "late", subscriptions=[("state/+", 1)], on_message=got.append)
    eventually(lambda: got)
    assert [(one.topic, one.payload, one.retained) for one in got] == [("state/b", b"2", True)]


def test_each_broker_is_spoken_to_in_the_best_version_it_has(broker: RunningBroker, open_session: Open) -> None:
    session = open_session(broker.address, "speaker")
    assert session.protocol == {"embedded": "3.1.1", "mosquitto": "5"}[broker.config.kind]


_KILLED_CLIENT = """
import sys, time
from shelf_mqtt.session import BrokerAddress, MqttSession, Will
session = MqttSession(
    BrokerAddress("127.0.0.1", int(sys.argv[1])), client_id="victim", will=Will("victim/status", b"offline"),
    on_connected=lambda: session.publish("victim/status", b"online", retain=True),
)
session.start()
time.sleep(60)
"""


def test_the_will_is_published_for_a_killed_client(
    broker: RunningBroker, open_session: Open, eventually: Eventually
) -> None:
    got: list[bytes] = []
    open_session(
        broker.address, "watcher", subscriptions=[("victim/#", 1)], on_message=lambda one: got.append(one.payload)
    )
    # The search path of this process, so that the child finds the packages without an installation.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", _KILLED_CLIENT, str(broker.config.port)], env=environment) as victim:
        try:
            eventually(lambda: got == [b"online"])
        finally:
            victim.send_signal(signal.SIGKILL)
    eventually(lambda: got == [b"online", b"offline"])


def test_a_clean_stop_publishes_no_will(broker: RunningBroker, open_session: Open, eventually: Eventually) -> None:
    got: list[bytes] = []
    open_session(
        broker.address, "watcher", subscriptions=[("status/#", 1)], on_message=lambda one: got.append(one.payload)
    )
    leaving = open_session(broker.address, "leaving", will=Will("status/leaving", b"offline"))
    leaving.stop()
    assert not leaving.is_connected
    marker = open_session(broker.address, "marker")
    marker.publish("status/marker", b"after")
    eventually(lambda: got == [b"after"])


def test_a_persistent_session_gets_what_came_while_it_was_away(
    broker: RunningBroker, open_session: Open, eventually: Eventually
) -> None:
    subscriptions = [("queue/#", 1)]
    open_session(broker.address, "away", subscriptions=subscriptions).stop()
    writer = open_session(broker.address, "writer")
    for number in range(150):
        assert writer.publish("queue/x", b"%d" % number)
    assert writer.flush(5.0)
    got: list[int] = []
    open_session(
        broker.address, "away", subscriptions=subscriptions, on_message=lambda one: got.append(int(one.payload))
    )
    eventually(lambda: len(got) >= 150)
    assert got == list(range(150))


def test_a_session_that_is_not_persistent_starts_empty(
    broker: RunningBroker, open_session: Open, eventually: Eventually
) -> None:
    open_session(broker.address, "guest", subscriptions=[("queue/#", 1)], persistent=False).stop()
    writer = open_session(broker.address, "writer")
    writer.publish("queue/x", b"missed")
    assert writer.flush(5.0)
    got: list[bytes] = []
    open_session(
        broker.address, "guest", subscriptions=[("queue/#", 1)], persistent=False,
        on_message=lambda one: got.append(one.payload),
    )  # fmt: skip
    writer.publish("queue/x", b"seen")
    eventually(lambda: got == [b"seen"])


def test_what_was_not_acknowledged_comes_again(
    broker: RunningBroker, open_session: Open, eventually: Eventually
) -> None:
    options = {"subscriptions": [("work/#", 1)], "manual_ack": True}
    first: list[Received] = []
    worker = open_session(broker.address, "worker", on_message=first.append, **options)
    writer = open_session(broker.address, "writer")
    writer.publish("work/x", b"one")
    writer.publish("work/x", b"two")
    eventually(lambda: len(first) >= 2)
    worker.acknowledge(first[0])
    worker.stop()
    second: list[Received] = []
    worker = open_session(broker.address, "worker", on_message=second.append, **options)
    eventually(lambda: second)
    worker.acknowledge(second[0])
    writer.publish("work/x", b"three")
    eventually(lambda: len(second) >= 2)
    assert [one.payload for one in second] == [b"two", b"three"]


def test_an_acknowledgement_for_a_connection_that_is_gone_does_nothing(
    broker: RunningBroker, open_session: Open, eventually: Eventually
) -> None:
    got: list[Received] = []
    worker = open_session(
        broker.address, "worker", subscriptions=[("work/#", 1)], manual_ack=True, on_message=got.append
    )
    open_session(broker.address, "writer").publish("work/x", b"one")
    eventually(lambda: got)
    worker.stop()
    worker.acknowledge(got[0])
    worker.acknowledge(Received("made/in/a/test", b"", False, 0.0))


@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
def test_a_killed_broker_is_found_again_with_subscriptions_and_birth(
    kind: str, broker_config: Callable[..., BrokerConfig], open_session: Open, eventually: Eventually
) -> None:
    config = broker_config(kind)
    births: list[str] = []
    losses: list[str] = []
    got: list[bytes] = []
    with start_broker(config) as first:
        session = open_session(
            first.address,
            "lasting",
            subscriptions=[("news/#", 1)],
            on_message=lambda one: got.append(one.payload),
            on_connected=lambda: births.append("birth"),
            on_disconnected=losses.append,
        )
        first.kill()
        eventually(lambda: not session.is_connected)
        assert not session.publish("news/x", b"while it is dead")
    with start_broker(config):
        eventually(lambda: session.is_connected)
        eventually(lambda: births == ["birth", "birth"])
        assert session.publish("news/x", b"after")
        eventually(lambda: got == [b"after"])
        assert len(losses) == 1
        assert (session.counters.connects, session.counters.disconnects) == (2, 1)
        assert session.counters.not_taken == 1
        assert session.last_failure == ""


@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
def test_acknowledged_messages_survive_a_killed_broker(
    kind: str, broker_config: Callable[..., BrokerConfig], open_session: Open, eventually: Eventually
) -> None:
    config = broker_config(kind)
    subscriptions = [("queue/#", 1)]
    with start_broker(config) as first:
        open_session(first.address, "away", subscriptions=subscriptions).stop()
        writer = open_session(first.address, "writer")
        for number in range(50):
            assert writer.publish("queue/x", b"%d" % number)
        assert writer.flush(5.0)
        if kind == "mosquitto":
            time.sleep(2.2)  # Mosquitto 2.0 writes its memory to disk each second; what is younger is lost
        first.kill()
    got: list[int] = []
    with start_broker(config) as second:
        open_session(
            second.address, "away", subscriptions=subscriptions, on_message=lambda one: got.append(int(one.payload))
        )
        eventually(lambda: len(got) >= 50)
    assert sorted(set(got)) == list(range(50))


def test_stop_returns_in_time_when_the_broker_is_dead(broker: RunningBroker, open_session: Open) -> None:
    session = open_session(broker.address, "survivor")
    broker.kill()
    began_s = time.monotonic()
    session.stop(5.0)
    assert time.monotonic() - began_s < 5.0
    session.stop(5.0)


def test_subscriptions_the_broker_refuses_are_reported(
    broker_config: Callable[..., BrokerConfig], open_session: Open, eventually: Eventually
) -> None:
    config = broker_config("embedded", max_in_flight=1024)
    assert config.most_subscriptions == 63
    got: list[str] = []
    filters = [(f"many/{number}", 1) for number in range(64)]
    with start_broker(config) as running:
        session = open_session(
            running.address, "greedy", subscriptions=filters, on_message=lambda one: got.append(one.topic)
        )
        assert session.refused_filters == ("many/63",)
        assert session.counters.subscriptions_refused == 1
        assert session.publish("many/62", b"x")
        eventually(lambda: got == ["many/62"])


def test_a_callback_that_publishes_from_an_acknowledgement_never_stalls(
    broker: RunningBroker, open_session: Open, eventually: Eventually
) -> None:
    left = list(range(30))
    writer = open_session(broker.address, "chain", window=1)

    def send_next() -> None:
        if left and writer.publish("chain/x", b"%d" % left[0], on_acked=send_next):
            left.pop(0)

    send_next()
    eventually(lambda: not left and writer.counters.acked == 30)


def test_what_a_callback_raises_is_counted_and_the_session_goes_on(
    broker: RunningBroker, open_session: Open, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the caller's mistake")

    session = open_session(broker.address, "clumsy", subscriptions=[("x", 1)], on_message=fail, on_connected=fail)
    assert session.publish("x", b"", on_acked=fail)
    eventually(lambda: session.counters.callback_errors == 3)
    assert session.publish("x", b"again")
    eventually(lambda: session.counters.callback_errors == 4)
    assert session.is_connected
    assert "the caller's mistake" in caplog.text


@pytest.mark.parametrize("where", ["on_connected", "on_message"])
def test_stop_from_a_callback_does_not_wait_for_itself(
    where: str, broker: RunningBroker, eventually: Eventually
) -> None:
    stopped_in_s: list[float] = []

    def stop_at_once(*_: object) -> None:
        began_s = time.monotonic()
        session.stop(5.0)
        stopped_in_s.append(time.monotonic() - began_s)

    session = MqttSession(
        broker.address,
        client_id="brief",
        subscriptions=[("x", 1)],
        **{where: stop_at_once},  # type: ignore[arg-type]
    )
    session.start()
    eventually(lambda: session.counters.connects == 1)
    session.publish("x", b"")
    eventually(lambda: stopped_in_s and not session.is_connected)
    assert stopped_in_s[0] < 1.0


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a way to halt a process")
def test_a_broker_that_hangs_is_noticed_and_found_again_when_it_goes_on(
    broker: RunningBroker, open_session: Open, eventually: Eventually
) -> None:
    session = open_session(broker.address, "patient", keepalive_s=1, attempt_timeout_s=0.5)
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        eventually(lambda: not session.is_connected)
        assert session.publish("x", b"") is False
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    eventually(lambda: session.is_connected)
    assert session.publish("x", b"")
    assert session.flush(5.0)


def test_a_message_past_its_expiry_is_not_delivered_by_mosquitto(
    broker_config: Callable[..., BrokerConfig], open_session: Open, eventually: Eventually
) -> None:
    with start_broker(broker_config("mosquitto")) as running:
        writer = open_session(running.address, "writer")
        writer.publish("state/short", b"old", retain=True, expiry_s=1, content_type="application/json")
        writer.publish("state/long", b"new", retain=True, expiry_s=100)
        assert writer.flush(5.0)
        time.sleep(2.1)
        got: list[str] = []
        open_session(
            running.address, "late", subscriptions=[("state/#", 1)], on_message=lambda one: got.append(one.topic)
        )
        eventually(lambda: got)
        assert got == ["state/long"]


def test_two_clients_with_one_id_do_not_fight_in_a_busy_loop(broker: RunningBroker, open_session: Open) -> None:
    one = open_session(broker.address, "twin")
    two = open_session(broker.address, "twin", wait=False)
    time.sleep(1.5)
    assert one.counters.connects + two.counters.connects < 20


def test_a_payload_no_reader_would_take_is_refused_at_once() -> None:
    session = MqttSession(BrokerAddress(), client_id="large")
    with pytest.raises(ValueError, match="must be at most 262144 bytes"):
        session.publish("x", bytes(262_145))


def test_a_session_is_started_once(open_session: Open, unused_port: int) -> None:
    session = open_session(BrokerAddress(port=unused_port), "once", wait=False)
    with pytest.raises(RuntimeError, match="started once"):
        session.start()


def test_stop_before_start_and_flush_without_connection_return() -> None:
    session = MqttSession(BrokerAddress(), client_id="idle")
    assert session.flush(0.1) is False
    session.stop()
    assert session.is_connected is False


@pytest.mark.parametrize("wrong", [{"client_id": ""}, {"client_id": "x", "window": 0}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        MqttSession(BrokerAddress(), **wrong)  # type: ignore[arg-type]

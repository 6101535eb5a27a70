"""The session against a scripted broker: refusals, silence and closed doors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from shelf_mqtt.session import BrokerAddress, MqttSession

V5_OK = b"\x20\x03\x00\x00\x00"
V5_RECEIVE_MAXIMUM_2 = b"\x20\x06\x00\x00\x03\x21\x00\x02"
V311_OK = b"\x20\x02\x00\x00"
V311_UNAVAILABLE = b"\x20\x02\x00\x03"
V5_UNSUPPORTED = b"\x20\x03\x00\x84\x00"
NO_JITTER: dict[str, Any] = {"random_share": lambda: 0.0}

Open = Callable[..., MqttSession]
Eventually = Callable[..., None]


def _versions(connects: list[bytes]) -> list[int]:
    """The protocol level of each CONNECT: 5 or 4 (3.1.1)."""
    return [packet[packet.index(b"MQTT") + 4] for packet in connects]


def _flags(packet: bytes) -> int:
    return packet[packet.index(b"MQTT") + 5]


def test_a_door_closed_without_an_answer_is_tried_with_the_older_version(
    scripted: Callable[..., Any], open_session: Open
) -> None:
    broker = scripted(None, V311_OK)
    session = open_session(broker.address, "a")
    assert _versions(broker.connects) == [5, 4]
    assert session.protocol == "3.1.1"


def test_an_answer_unsupported_is_tried_with_the_older_version(
    scripted: Callable[..., Any], open_session: Open
) -> None:
    broker = scripted(V5_UNSUPPORTED, V311_OK)
    open_session(broker.address, "a")
    assert _versions(broker.connects) == [5, 4]


def test_persistent_sessions_never_ask_for_a_clean_start(scripted: Callable[..., Any], open_session: Open) -> None:
    broker = scripted(None, V311_OK)
    open_session(broker.address, "a")
    assert [_flags(packet) & 0x02 for packet in broker.connects] == [0, 0]
    assert b"\x11\x00\x01\x51\x80" in broker.connects[0], "session expiry 86400 s"


def test_sessions_that_are_not_persistent_do(scripted: Callable[..., Any], open_session: Open) -> None:
    broker = scripted(None, V311_OK)
    open_session(broker.address, "a", persistent=False)
    assert [_flags(packet) & 0x02 for packet in broker.connects] == [2, 2]


def test_a_broker_that_refuses_after_a_cold_start_is_asked_until_it_agrees(
    scripted: Callable[..., Any], open_session: Open
) -> None:
    broker = scripted(None, V311_UNAVAILABLE, V311_UNAVAILABLE, V311_OK)
    session = open_session(broker.address, "a", **NO_JITTER)
    assert session.counters.refused == 2
    assert session.counters.connect_failures == 3
    assert session.counters.connects == 1


def test_a_silent_broker_is_given_up_after_the_deadline_and_tried_again(
    scripted: Callable[..., Any], open_session: Open
) -> None:
    broker = scripted(b"", V5_OK)
    session = open_session(broker.address, "a", attempt_timeout_s=0.2, **NO_JITTER)
    assert session.counters.connect_failures == 1
    assert _versions(broker.connects) == [5, 5], "silence says nothing about versions"


def test_stop_does_not_wait_for_a_silent_broker(
    scripted: Callable[..., Any], open_session: Open, eventually: Eventually
) -> None:
    broker = scripted(b"")
    session = open_session(broker.address, "a", wait=False, attempt_timeout_s=60.0)
    eventually(lambda: broker.connects)
    began_s = time.monotonic()
    session.stop(5.0)
    assert time.monotonic() - began_s < 5.0


def test_stop_interrupts_the_pause_between_attempts(open_session: Open, unused_port: int) -> None:
    session = open_session(BrokerAddress(port=unused_port), "a", wait=False)
    time.sleep(0.5)
    began_s = time.monotonic()
    session.stop(5.0)
    assert time.monotonic() - began_s < 1.0
    assert "ConnectionRefusedError" in session.last_failure


def test_the_window_is_a_limit_and_nothing_is_queued_behind_it(
    scripted: Callable[..., Any], open_session: Open
) -> None:
    broker = scripted(V5_OK)
    session = open_session(broker.address, "a", window=3)
    assert [session.publish("x", b"") for _ in range(5)] == [True, True, True, False, False]
    assert session.flush(0.1) is False
    assert (session.counters.published, session.counters.not_taken, session.counters.acked) == (3, 2, 0)


def test_the_brokers_receive_maximum_narrows_the_window(scripted: Callable[..., Any], open_session: Open) -> None:
    broker = scripted(V5_RECEIVE_MAXIMUM_2)
    session = open_session(broker.address, "a", window=10)
    assert [session.publish("x", b"") for _ in range(3)] == [True, True, False]


def test_a_malformed_answer_ends_the_connection_and_not_the_session(
    scripted: Callable[..., Any], open_session: Open, eventually: Eventually
) -> None:
    broker = scripted(V5_OK + b"\x30\x02\xff\xff", V5_OK)
    session = open_session(broker.address, "a", wait=False, **NO_JITTER)
    eventually(lambda: len(broker.connects) >= 2)
    eventually(lambda: session.is_connected)


def test_a_subscription_without_an_answer_is_a_failed_attempt(
    scripted: Callable[..., Any], open_session: Open, eventually: Eventually
) -> None:
    broker = scripted(V5_OK)
    session = open_session(
        broker.address, "a", wait=False, subscriptions=[("x", 1)], attempt_timeout_s=0.2, **NO_JITTER
    )
    eventually(lambda: session.counters.connect_failures >= 1)
    assert not session.is_connected
    assert "did not answer the subscription" in session.last_failure


def test_credentials_that_cannot_be_read_are_a_failed_attempt_that_names_the_file(
    scripted: Callable[..., Any], open_session: Open, eventually: Eventually, tmp_path: Any
) -> None:
    broker = scripted(V5_OK)
    password = tmp_path / "password"
    address = BrokerAddress("127.0.0.1", broker.port, username="n01", password_file=password)
    session = open_session(address, "a", wait=False, **NO_JITTER)
    eventually(lambda: str(password) in session.last_failure)
    assert not broker.connects
    password.write_text("secret\n")
    eventually(lambda: session.is_connected)
    assert broker.connects[-1].endswith(b"\x00\x03n01\x00\x06secret")

"""Fixtures of all tests that speak to real brokers: a free port, patience, and sessions stopped whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shelf_mqtt.session import BrokerAddress, MqttSession
from shelf_testing.demo import free_port


@pytest.fixture
def unused_port() -> int:
    return free_port()


@pytest.fixture
def eventually() -> Callable[..., None]:
    def wait(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "did not come about in time"
            time.sleep(0.01)

    return wait


@pytest.fixture
def open_session() -> Iterator[Callable[..., MqttSession]]:
    """Makes and starts sessions; ``wait=False`` for those that cannot connect."""
    opened: list[MqttSession] = []

    def make(address: BrokerAddress, client_id: str, *, wait: bool = True, **options: Any) -> MqttSession:
        session = MqttSession(address, client_id=client_id, **options)
        opened.append(session)
        session.start()
        deadline = time.monotonic() + 10
        while wait and not session.is_connected:
            assert time.monotonic() < deadline, session.last_failure
            time.sleep(0.005)
        return session

    yield make
    for session in opened:
        session.stop()

"""A configuration for each broker on a free port, and raw clients to ask what really arrives."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.errors import BrokerMissing
from shelf_broker.launcher import find_program
from shelf_mqtt.session import BrokerAddress, MqttSession


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def eventually() -> Callable[..., None]:
    def wait(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "did not come about in time"
            time.sleep(0.01)

    return wait


@pytest.fixture
def broker_config(tmp_path: Path, unused_port: int) -> Callable[..., BrokerConfig]:
    def build(kind: str, **settings: Any) -> BrokerConfig:
        config = BrokerConfig.model_validate(
            {"kind": kind, "port": unused_port, "state": tmp_path / "state", **settings}
        )
        try:
            find_program(config)
        except BrokerMissing as missing:
            pytest.skip(str(missing))
        return config

    return build


@pytest.fixture
def open_session() -> Iterator[Callable[..., MqttSession]]:
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

"""Real brokers, sessions that are stopped whatever happens, and a scripted broker for what a real one rarely does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.errors import BrokerMissing
from shelf_broker.launcher import RunningBroker, find_program, start_broker
from shelf_mqtt.session import BrokerAddress
from shelf_testing.demo import free_port
from shelf_testing.sessions import eventually, open_session, unused_port  # noqa: F401 - fixtures

V5_CONNACK_OK = b"\x20\x03\x00\x00\x00"
V311_CONNACK_OK = b"\x20\x02\x00\x00"
V311_CONNACK_UNAVAILABLE = b"\x20\x02\x00\x03"


@pytest.fixture
def broker_config(tmp_path: Path) -> Callable[..., BrokerConfig]:
    def build(kind: str, **settings: Any) -> BrokerConfig:
        config = BrokerConfig.model_validate(
            {"kind": kind, "port": free_port(), "state": tmp_path / f"broker-{kind}", **settings}
        )
        try:
            find_program(config)
        except BrokerMissing as missing:
            pytest.skip(str(missing))
        return config

    return build


@pytest.fixture(params=["embedded", "mosquitto"])
def broker(request: pytest.FixtureRequest, broker_config: Callable[..., BrokerConfig]) -> Iterator[RunningBroker]:
    """Each real broker in turn; NATS repeats what is not acknowledged after one second instead of ten."""
    with start_broker(broker_config(request.param, ack_wait_s=1)) as running:
        yield running


@dataclass
class ScriptedBroker:
    """Answers the n-th CONNECT with the n-th reply (the last one again and again), then keeps silent.

    A reply of None closes the connection without an answer; b"" keeps it open without one.
    """

    replies: list[bytes | None]
    port: int = 0
    connects: list[bytes] = field(default_factory=list)
    _held: list[socket.socket] = field(default_factory=list)
    _listener: socket.socket | None = None

    @property
    def address(self) -> BrokerAddress:
        return BrokerAddress("127.0.0.1", self.port)

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for held in self._held:
            held.close()

    def _serve(self) -> None:
        assert self._listener is not None
        while True:
            try:
                channel, _ = self._listener.accept()
            except OSError:
                return
            self.connects.append(channel.recv(4096))
            reply = self.replies[min(len(self.connects), len(self.replies)) - 1]
            if reply is None:
                channel.close()
                continue
            self._held.append(channel)
            with contextlib.suppress(OSError):
                channel.sendall(reply)


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedBroker]]:
    started: list[ScriptedBroker] = []

    def make(*replies: bytes | None) -> ScriptedBroker:
        one = ScriptedBroker(list(replies))
        one.start()
        started.append(one)
        return one

    yield make
    for one in started:
        one.stop()

"""The collector as a process on a real broker: quick, complete after kill -9, gone within ten seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from shelf_broker.launcher import RunningBroker
from shelf_collector.keeper import TICK_S
from shelf_mqtt.session import MqttSession, Received
from tests.collector.builders import Node, eventually, free_port, newest, wire

pytestmark = pytest.mark.e2e


@dataclass
class CollectorProcess:
    config: Path
    web: str
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> Any:
        return httpx.get(self.web + path, timeout=5).json()

    def is_ready(self) -> bool:
        assert self.process.poll() is None, "the collector has ended"
        try:
            return httpx.get(self.web + "/readyz", timeout=1).status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture
def start_collector(shop_folder: Path, broker: RunningBroker) -> Iterator[Callable[[], CollectorProcess]]:
    config = shop_folder / "collector.toml"
    http_port = free_port()
    ports = f"[broker]\nport = {broker.address.port}\n[http]\nport = {http_port}\n[rules]\nout_dwell_s = 0.5\n"
    config.write_text(config.read_text() + ports)
    started: list[CollectorProcess] = []

    def start() -> CollectorProcess:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "shelf_collector", "run", "--config", str(config)]
        with (shop_folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        collector = CollectorProcess(config, f"http://127.0.0.1:{http_port}", process)
        started.append(collector)
        eventually(collector.is_ready)
        return collector

    yield start
    for collector in started:
        collector.process.kill()
        collector.process.wait(5)


@pytest.fixture
def speaker(broker: RunningBroker) -> Iterator[MqttSession]:
    session = MqttSession(broker.address, client_id="node-n01", window=500)
    session.start()
    eventually(lambda: session.is_connected)
    yield session
    session.stop()


def say(session: MqttSession, *messages: Any) -> None:
    for message in messages:
        topic, payload = wire(message)
        eventually(lambda t=topic, p=payload: session.publish(t, p, retain=t.endswith("/stock")))  # type: ignore[misc]


def test_from_the_broker_to_the_display_and_back(
    start_collector: Callable[[], CollectorProcess], speaker: MqttSession, heard: list[Received]
) -> None:
    collector = start_collector()
    eventually(lambda: (newest(heard, "collector/status") or {}).get("state") == "online")
    delays_ms: list[float] = []
    ready = threading.Event()

    def listen() -> None:
        with httpx.stream("GET", collector.web + "/stream?topics=display/a01", timeout=20) as answer:
            for line in answer.iter_lines():
                content = json.loads(line[5:]) if line.startswith("data:") else {}
                ready.set()
                if content.get("captured_at"):
                    captured = datetime.fromisoformat(content["captured_at"])
                    delays_ms.append((datetime.now(UTC) - captured).total_seconds() * 1000)
                    if len(delays_ms) == 12:
                        return

    listener = threading.Thread(target=listen)
    listener.start()
    assert ready.wait(10)
    node = Node()
    for index in range(12):  # four slots, three panels: every reach changes what is shown
        say(speaker, node.event("reach", f"s1-0{1 + index % 4}", now=datetime.now(UTC)))
        time.sleep(0.05)
    listener.join(15)
    assert len(delays_ms) == 12
    # Measured 5 ms on a quiet machine; whatever the machine, a reach must never wait for the keeper's tick.
    assert sorted(delays_ms)[len(delays_ms) // 2] < TICK_S * 1000

    say(speaker, node.stock("s1-01", 0, now=datetime.now(UTC)))
    eventually(lambda: (newest(heard, "alert/a01-s1-01/state") or {}).get("kind") == "stock_out")
    say(speaker, node.stock("s1-01", 6, now=datetime.now(UTC)))
    eventually(lambda: newest(heard, "alert/a01-s1-01/state") == b"")
    assert newest(heard, "shelf/a01/state")["osa"] == 1.0

    began = time.monotonic()
    collector.process.send_signal(signal.SIGTERM)
    assert collector.process.wait(10) == 0
    assert time.monotonic() - began < 10
    eventually(lambda: newest(heard, "collector/status")["state"] == "offline")


def test_nothing_is_lost_when_it_is_killed_in_the_middle(
    start_collector: Callable[[], CollectorProcess], speaker: MqttSession
) -> None:
    collector = start_collector()
    node, total = Node(numbering="a1"), 600
    for index in range(total):
        slot = f"s1-0{1 + index % 4}"
        now = datetime.now(UTC)
        say(speaker, node.event("pick", slot, quantity=1, now=now) if index % 3 else node.stock(slot, 4, now=now))
        if index == total // 3:
            collector.process.kill()
            collector.process.wait(5)
    assert speaker.flush(10)
    again = start_collector()

    def audit() -> Any:
        sources = again.get("/api/v1/audit")["sources"]
        return next((one for one in sources if one["source"] == node.source), {})

    eventually(lambda: audit().get("applied") == total, 20)
    assert (audit()["first"], audit()["last"], audit()["gaps"], audit()["lost"]) == (1, total, [], 0)
    printed = subprocess.run(
        [sys.executable, "-m", "smartshelf", "audit", "--config", str(again.config), "--json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    assert json.loads(printed.stdout)["nodes"][0]["lost"] == 0

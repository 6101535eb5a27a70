"""A node with two cameras and a real broker: one camera goes wild, is told once, and its neighbour notices nothing."""

from __future__ import annotations

import http.server
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import start_broker
from shelf_contracts.topics import everything
from shelf_edge.app import run_node
from shelf_edge.config import check_config
from shelf_mqtt.session import MqttSession, Received
from shelf_testing.demo import free_port

pytestmark = pytest.mark.e2e

BOTTLES = Path(__file__).resolve().parents[2] / "examples" / "bottles" / "planogram.json"
FPS = 10
WALL = np.random.default_rng(3).integers(60, 200, (18, 32, 3), np.uint8).repeat(20, 0).repeat(20, 1)


def jpeg(picture: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", picture)[1].tobytes())


def well() -> Iterator[tuple[bytes, float]]:
    for number in itertools.count():
        yield jpeg(WALL + np.uint8(number % 2)), time.time()


def wild() -> Iterator[tuple[bytes, float]]:
    """Half of its pictures are good; sizes, garbage, torn pictures and a clock that goes to and fro between them."""
    whole = jpeg(WALL)
    for number in itertools.count():
        ahead_s = 3.0 if number % 2 else -3.0
        odd = (jpeg(WALL[::2, ::2].copy()), b"garbage", whole[: len(whole) // 2])[number // 2 % 3]
        yield (odd if number % 2 else jpeg(WALL + np.uint8(number // 2 % 2))), time.time() + ahead_s


@contextmanager
def cameras() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                for body, stamp_s in wild() if "wild" in self.path else well():
                    head = f"--frame\r\nContent-Length: {len(body)}\r\nX-Timestamp: {stamp_s:.3f}\r\n\r\n"
                    self.wfile.write(head.encode() + body + b"\r\n")
                    time.sleep(1 / FPS)
            except OSError:
                pass  # the node hung up

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(2)


def wait_for(condition: Callable[[], bool], within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "did not come about in time"
        time.sleep(0.05)


def test_a_wild_camera_is_told_once_and_its_neighbour_notices_nothing(tmp_path: Path) -> None:
    plan = json.loads(BOTTLES.read_text())
    (tmp_path / "plan-2.json").write_text(json.dumps(plan | {"bay": "second"}))
    said: list[tuple[str, str, str]] = []

    def came(one: Received) -> None:
        _, camera, kind = one.topic.rsplit("/", 2)
        if kind == "status" and "/camera/" in one.topic:
            told = json.loads(one.payload)
            said.append((camera, told["state"], told["text"]))

    def of(camera: str) -> list[str]:
        return [state for name, state, _ in said if name == camera]

    settings = {"kind": "embedded", "port": free_port(), "state": tmp_path / "broker"}
    stop = threading.Event()
    with start_broker(BrokerConfig.model_validate(settings)) as broker, cameras() as address:
        (tmp_path / "edge.toml").write_text(
            f'store = "{plan["store"]}"\nnode = "n01"\n[broker]\nport = {broker.address.port}\n'
            f'[[cameras]]\nid = "c1"\nsource = "{address}/well"\nplanogram = "{BOTTLES}"\npurpose = "a test"\n'
            f'[[cameras]]\nid = "c2"\nsource = "{address}/wild"\nplanogram = "plan-2.json"\npurpose = "a test"\n'
        )
        eye = MqttSession(
            broker.address, client_id="eye", subscriptions=[(everything(plan["store"]), 1)], on_message=came
        )
        eye.start()
        node = threading.Thread(target=lambda: run_node(check_config(tmp_path / "edge.toml"), stop))
        node.start()
        try:
            wait_for(lambda: "unsteady" in of("c2"), 60)
            wait_for(lambda: "online" in of("c1"), 30)
        finally:
            stop.set()
            node.join(15)
            eye.stop()
    assert set(of("c1")) == {"online"}
    assert len(of("c2")) <= 4, "not a message a frame"
    text = next(text for camera, state, text in said if (camera, state) == ("c2", "unsteady"))
    for words in ("could not be read", "its clock went back", "see to its cable"):
        assert words in text

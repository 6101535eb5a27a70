"""Every byte a node sends is recorded, and there is no picture in it.

By default 20 s of a busy shop; with ``-m long`` five minutes. The recording is played at five times its pace.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import start_broker
from shelf_contracts import topics
from shelf_edge.adapters import camera_paced
from shelf_edge.app import run_node
from shelf_edge.config import check_config
from shelf_simulator.adapters.recording import record
from shelf_simulator.cli import _world
from shelf_testing.demo import free_port
from shelf_testing.tap import Tap, picture_signs

pytestmark = pytest.mark.e2e

FPS = 4.0
FASTER = 5.0


def a_picture(kind: str) -> bytes:
    picture = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    picture = cv2.resize(picture, (320, 180), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(kind, picture)[1])


JPEG, PNG = a_picture(".jpg"), a_picture(".png")
HIDDEN = {
    "a JPEG": JPEG,
    "a PNG": PNG,
    "a WebP": a_picture(".webp"),
    "in base64": base64.b64encode(JPEG),
    "in base64 for addresses": base64.urlsafe_b64encode(JPEG),
    "in base85": base64.b85encode(JPEG),
    "in hex": JPEG.hex().encode(),
    "compressed": zlib.compress(JPEG),
    "without its head": JPEG[200:],
    "in pieces": json.dumps([base64.b64encode(JPEG[i : i + 120]).decode() for i in range(0, 2000, 120)]).encode(),
    "raw pixels": np.random.default_rng(3).integers(0, 256, 4096, np.uint8).tobytes(),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_hidden_picture_would_be_seen(name: str) -> None:
    around = b'{"specversion":"1.0","source":"/smartshelf/demo/node/n01","data":{"count":3}}' * 20
    assert picture_signs(around) == []
    assert picture_signs(around + HIDDEN[name] + around)


def strings_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, one in value.items() for text in [key, *strings_of(one)]]
    if isinstance(value, list):
        return [text for one in value for text in strings_of(one)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("seconds", [20.0, pytest.param(300.0, marks=pytest.mark.long)])
def test_a_node_sends_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for _ in record(tmp_path, _world("a01", 7, "busy"), seconds=seconds, fps=FPS, seed=7, kind="avi"):
        pass
    began_s = time.time()
    quick = SimpleNamespace(
        time=lambda: began_s + (time.time() - began_s) * FASTER, sleep=lambda seconds: time.sleep(seconds / FASTER)
    )
    monkeypatch.setattr(camera_paced, "time", quick)
    settings = {"kind": "embedded", "port": free_port(), "state": tmp_path / "broker"}
    with start_broker(BrokerConfig.model_validate(settings)) as broker:
        tap = Tap(broker.address.host, broker.address.port)
        try:
            (tmp_path / "edge.toml").write_text(
                f'store = "demo"\nnode = "n01"\n[broker]\nport = {tap.port}\n[preview]\nport = {free_port()}\n'
                f'[[cameras]]\nid = "c1"\nsource = "recording-a01.avi"\nplanogram = "planogram-a01.json"\n'
                'purpose = "a test"\n'
            )
            said = play(tmp_path, tap, seconds)
        finally:
            tap.close()
    check(tap, said)


def play(folder: Path, tap: Tap, seconds: float) -> Callable[[], int]:
    stop = threading.Event()
    codes: list[int] = []
    node = threading.Thread(target=lambda: codes.append(run_node(check_config(folder / "edge.toml"), stop)))
    node.start()
    deadline_s = time.monotonic() + 30 + 2 * seconds
    ended = False
    while not ended and time.monotonic() < deadline_s:
        time.sleep(0.5)
        ended = any(b"the recording is over" in bytes(kept) for kept in tap.sent)
    stop.set()
    node.join(15)
    assert ended, "the recording did not come to its end"
    assert codes == [0]
    return lambda: len(tap.published())


def check(tap: Tap, said: Callable[[], int]) -> None:
    published = tap.published()
    assert said() > 20, "a node that says nothing proves nothing"
    kinds = {topics.parse(one.topic).row.name for one in published}
    assert {"slot_stock", "node_info", "node_status", "camera_status"} <= kinds
    for one in published:
        row = topics.parse(one.topic).row
        assert row.publisher == "node", one.topic
        assert len(one.payload) <= row.largest_bytes
        content = json.loads(one.payload)
        assert max(map(len, strings_of(content)), default=0) <= 300, one.topic
        assert picture_signs(one.payload) == [], one.topic
    for kept in tap.sent:  # what is no PUBLISH too, and whatever lies between
        for start in range(0, len(kept), 32_768):
            assert picture_signs(bytes(kept[start : start + 33_000])) == []

"""The cameras over HTTP: parts with their headers, newest first, and a clean stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from shelf_contracts.files import read_model
from shelf_contracts.planogram import Planogram
from shelf_contracts.truth import read_truth
from shelf_simulator.adapters.mjpeg_server import CameraServer, EncodedFrame, LatestFrame
from shelf_simulator.adapters.optics import decoded

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server() -> Iterator[tuple[CameraServer, LatestFrame]]:
    latest = LatestFrame()
    running = CameraServer({"a01": latest}, lambda: {"ok": True}, host="127.0.0.1", port=0)
    running.start()
    yield running, latest
    latest.close()
    running.stop()


def read_part(stream: urllib.request.addinfourl) -> tuple[dict[str, str], bytes]:  # type: ignore[name-defined]
    while not stream.readline().startswith(b"--"):
        pass
    headers = {}
    while (line := stream.readline().strip()) != b"":
        key, _, value = line.decode().partition(": ")
        headers[key] = value
    return headers, stream.read(int(headers["Content-Length"]))


def test_parts_carry_type_length_time_and_number(server: tuple[CameraServer, LatestFrame]) -> None:
    running, latest = server
    latest.put(EncodedFrame(7, 1700000000.25, b"jpeg-bytes"))
    with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/a01.mjpg", timeout=5) as stream:
        assert stream.headers["Content-Type"].startswith("multipart/x-mixed-replace; boundary=")
        headers, body = read_part(stream)
        assert headers == {
            "Content-Type": "image/jpeg",
            "Content-Length": "10",
            "X-Timestamp": "1700000000.250000",
            "X-Frame": "7",
        }
        assert body == b"jpeg-bytes"
        latest.put(EncodedFrame(8, 1700000000.5, b"next"))
        assert read_part(stream)[0]["X-Frame"] == "8"


def test_a_client_that_hung_up_is_let_go_without_a_frame_to_send(server: tuple[CameraServer, LatestFrame]) -> None:
    running, _ = server
    before = threading.active_count()
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as client:
        client.sendall(b"GET /a01.mjpg HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        assert threading.active_count() == before + 1
    deadline = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < deadline, "its thread still waits for a frame"
        time.sleep(0.05)


def test_the_newest_frame_wins() -> None:
    latest = LatestFrame()
    for number in range(1, 6):
        latest.put(EncodedFrame(number, 0.0, b""))
    frame = latest.newer_than(1, 0.1)
    assert frame is not None
    assert frame.number == 5
    assert latest.newer_than(5, 0.01) is None


def test_a_picture_health_and_a_wrong_address(server: tuple[CameraServer, LatestFrame]) -> None:
    running, latest = server
    base = f"http://127.0.0.1:{running.port}"
    with pytest.raises(urllib.error.HTTPError) as none_yet:
        urllib.request.urlopen(f"{base}/a01.jpg", timeout=5)
    assert none_yet.value.code == 503
    none_yet.value.close()
    latest.put(EncodedFrame(1, 5.0, b"picture"))
    with urllib.request.urlopen(f"{base}/a01.jpg", timeout=5) as answer:
        assert (answer.read(), answer.headers["X-Frame"]) == (b"picture", "1")
    with urllib.request.urlopen(f"{base}/health", timeout=5) as answer:
        assert json.load(answer) == {"ok": True}
    with pytest.raises(urllib.error.HTTPError) as unknown:
        urllib.request.urlopen(f"{base}/a99.mjpg", timeout=5)
    assert unknown.value.code == 404
    assert b"/a01.mjpg" in unknown.value.read()
    unknown.value.close()


def test_serve_streams_writes_truth_and_stops_cleanly(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("broker", "simulator"))
    process = subprocess.Popen(
        [sys.executable, "-m", "shelf_simulator", "serve", "--bays", "2", "--port", str(port), "--out", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    )
    try:
        stream = None
        for _ in range(100):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                stream = urllib.request.urlopen(f"http://127.0.0.1:{port}/a02.mjpg", timeout=10)
                break
            time.sleep(0.1)
        assert stream is not None
        with stream:
            numbers, times = [], []
            for _ in range(6):
                headers, jpeg = read_part(stream)
                numbers.append(int(headers["X-Frame"]))
                times.append(float(headers["X-Timestamp"]))
            assert decoded(jpeg).shape == (540, 960, 3)
            assert numbers == sorted(set(numbers))
            assert times == sorted(times)
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - began < 5
    finally:
        process.kill()
        process.wait(timeout=5)
        if process.stderr is not None:
            process.stderr.close()
    assert read_model(tmp_path / "planogram-a01.json", Planogram).bay == "a01"
    truth = read_truth(tmp_path / "truth-a02.jsonl")
    plan = read_model(tmp_path / "planogram-a02.json", Planogram)
    assert {count.slot for count in truth.counts} == {position.id for position in plan.positions}
    assert all(abs(count.t_s - time.time()) < 300 for count in truth.counts)

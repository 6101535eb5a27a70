"""What a node knows of its slots outlives it, also when it is killed between a taking and the look that shows it."""

from __future__ import annotations

import http.server
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelf_contracts.files import write_json
from shelf_contracts.planogram import Planogram
from shelf_edge.adapters.memory_file import Books, MemoryFile
from shelf_edge.core.bay import Bay
from shelf_edge.core.memory import ColumnMemory, SlotMemory
from shelf_edge.core.slot_view import bay_geometry
from shelf_edge.remembering import Remembering
from shelf_testing.demo import free_port
from shelf_testing.gradient_model import Box, draw_products, write_model_folder
from shelf_testing.planograms import one_slot_planogram

WIDTH_PX, HEIGHT_PX = 640, 360


def shelf_plan() -> Planogram:
    """One slot, two columns, three deep, of items large enough for the small model."""
    plain = one_slot_planogram().model_dump(by_alias=True)
    plain["products"][0] |= {"w": 220, "h": 240}
    return Planogram.model_validate(plain)


def picture_of(plan: Planogram, *depths: float | None) -> np.ndarray:
    """The bay with the nearest item of each column so many rows deep."""
    geometry = bay_geometry(plan, "c1", WIDTH_PX, HEIGHT_PX)[0]
    assert geometry.floor is not None
    left, right = geometry.floor[0, 0], geometry.floor[1, 0]
    front, rear = geometry.floor[0, 1], geometry.floor[2, 1]
    boxes: list[Box] = []
    for column, depth in enumerate(depths):
        if depth is None:
            continue
        middle = left + (right - left) * (column + 0.5) / len(depths)
        base = front + (rear - front) * (depth + 0.05) / geometry.rows
        width = geometry.item_width * (right - left)
        boxes.append(
            (
                round(middle - width / 2),
                round(base - geometry.item_aspect * width),
                round(middle + width / 2),
                round(base),
            )
        )
    picture = draw_products(WIDTH_PX, HEIGHT_PX, boxes)
    picture[:60] = np.random.default_rng(1).integers(0, 200, (60, WIDTH_PX, 1), np.uint8)  # a wall, else it is dark
    return picture


@dataclass
class Scene:
    picture: np.ndarray
    served: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def png(self) -> bytes:
        with self.lock:
            self.served += 1
            shown = self.picture.copy()
            shown[-1, :, 0] = self.served % 200  # a sensor is never quite still
            return bytes(cv2.imencode(".png", shown)[1].tobytes())


@contextmanager
def camera(scene: Scene) -> Iterator[int]:
    """Single pictures over HTTP: what the shelf looks like at that moment."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = scene.png()
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class RealNode:
    """``smartshelf edge run`` in a process of its own."""

    config: Path

    @property
    def state(self) -> Path:
        return self.config.parent / "state"

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "shelf_edge", "run", "--config", str(self.config)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with (self.config.parent / "log").open("ab") as log:
            process = subprocess.Popen(command, stderr=log, env=environment)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)

    def said(self) -> list[dict[str, object]]:
        """The ``data`` of what is in the outbox, in order."""
        file = self.state / "outbox.sqlite3"
        if not file.exists():
            return []
        try:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)) as db:
                rows = db.execute("SELECT payload FROM outbox ORDER BY sequence").fetchall()
        except sqlite3.OperationalError:  # it is being made
            return []
        return [json.loads(row[0])["data"] for row in rows]

    def wait_for(self, process: subprocess.Popen[bytes], **wanted: object) -> dict[str, object]:
        """The newest message when it says this."""
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            said = self.said()
            if said and all(said[-1].get(key) == value for key, value in wanted.items()):
                return said[-1]
            assert process.poll() is None, (self.config.parent / "log").read_text()
            time.sleep(0.05)
        raise AssertionError(
            f"{wanted} was not said, but {self.said()[-3:]}: {(self.config.parent / 'log').read_text()}"
        )


@pytest.fixture
def scene() -> Scene:
    return Scene(picture_of(shelf_plan(), 0.0, 1.0))


@pytest.fixture
def node(tmp_path: Path, scene: Scene) -> Iterator[RealNode]:
    write_model_folder(tmp_path / "model")
    write_json(tmp_path / "planogram.json", shelf_plan())
    with camera(scene) as port:
        config = tmp_path / "edge.toml"
        config.write_text(
            f'store = "test"\nnode = "n01"\n[broker]\nport = {free_port()}\n[model]\npath = "model"\n'
            f'[[cameras]]\nid = "c1"\nsource = "http://127.0.0.1:{port}/a.jpg"\nplanogram = "planogram.json"\n'
            'purpose = "counting"\n'
        )
        yield RealNode(config)


def remembered(memory: Path) -> int | None:
    """The count in the file; it is written a moment after it was said."""
    held = MemoryFile(memory).load().get("b1", {}) if memory.exists() else {}
    return held["s1"].count if "s1" in held else None


@pytest.mark.e2e
def test_a_node_killed_between_the_taking_and_the_look_knows_both_numbers(node: RealNode, scene: Scene) -> None:
    with node.running() as process:
        node.wait_for(process, count=5, reason="rear-unseen")
        memory = node.state / "memory.json"
        deadline_s = time.monotonic() + 20
        while remembered(memory) != 5 and time.monotonic() < deadline_s:
            time.sleep(0.02)
        assert memory.stat().st_mode & 0o777 == 0o600
        process.kill()
    before = len(node.said())
    scene.picture = picture_of(shelf_plan(), 1.0, 1.0)  # one is taken: nobody looks
    with node.running() as process:
        node.wait_for(process, count=4, reason="rear-unseen")
    after = node.said()[before:]
    stale, anomaly, seen = after[0], after[1], after[2]
    assert (stale["count"], stale["reason"], stale["count_low"], stale["count_high"]) == (5, "stale", 0, 6)
    assert str(stale["observed_at"]) < str(anomaly["started_at"])
    assert (anomaly["action"], anomaly["cause"]) == ("anomaly", "count")
    assert (anomaly["count_before"], anomaly["count_after"]) == (5, 4)
    assert (seen["count"], seen["reason"]) == (4, "rear-unseen")
    assert "the books of 1 of 1 slots go on" in (node.config.parent / "log").read_text()


@pytest.mark.e2e
def test_a_damaged_memory_is_set_aside_and_the_node_counts_anew(node: RealNode) -> None:
    node.state.mkdir()
    (node.state / "memory.json").write_text('{"schema": "smartshelf.node-mem')
    with node.running() as process:
        node.wait_for(process, count=5, reason="rear-unseen")
    assert "stale" not in {one.get("reason") for one in node.said()}
    assert (node.state / "memory.json.damaged").exists()
    assert "set aside as memory.json.damaged" in (node.config.parent / "log").read_text()


BOOKS = SlotMemory("p", 3, (ColumnMemory(3, 0.1), ColumnMemory(0, None)), 2, 0.9, 1000.0, (1,), 990.0, "4006381333931")


def test_books_come_back_as_they_were(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path / "memory.json")
    assert file.load() == {}
    assert file.keep({"b1": {"s1": BOOKS}})
    assert file.load() == {"b1": {"s1": BOOKS}}
    assert [path.name for path in tmp_path.iterdir()] == ["memory.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"schema": "smartshelf.node-memory.v2", "bays": {}}',
        '{"schema": "smartshelf.node-memory.v1", "bays": {"b1": {"slots": {"s1": {"rows": 1e9}}}}}',
        "\0" * 100,
    ],
)
def test_what_cannot_be_read_is_set_aside_and_said(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "memory.json"
    path.write_text(text)
    file = MemoryFile(path)
    assert file.load() == {}
    assert not path.exists()
    assert path.with_name("memory.json.damaged").read_text() == text
    assert "set aside as memory.json.damaged" in caplog.text
    assert file.keep({})


def test_a_disk_that_takes_nothing_is_said_once_and_kills_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "memory.json.part").mkdir()
    file = MemoryFile(tmp_path / "memory.json")
    assert not file.keep({})
    assert not file.keep({})
    assert caplog.text.count("a restart would count the slots anew") == 1


def test_books_that_could_not_be_read_again_are_not_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = MemoryFile(tmp_path / "memory.json")
    assert not file.keep({"b1": {"s1": replace(BOOKS, seen_s=float("inf"))}})
    assert list(tmp_path.iterdir()) == []
    assert "a restart would count the slots anew" in caplog.text


def test_books_of_another_product_or_another_slot_are_forgotten() -> None:
    bay = Bay(one_slot_planogram(), "c1")
    assert bay.recall({"s1": BOOKS}, 1100.0) == 1
    for other in (
        replace(BOOKS, product="q"),
        replace(BOOKS, rows=2),
        replace(BOOKS, columns=(ColumnMemory(1, 0.0),) * 3),
        replace(BOOKS, columns=(ColumnMemory(9, 0.0),) * 2),
        replace(BOOKS, seen_s=1100.0 - 49 * 3600),
    ):
        assert bay.recall({"s1": other}, 1100.0) == 0, other
    assert bay.recall({"s9": BOOKS}, 1100.0) == 0


class Disk:
    """Takes a while, or nothing."""

    def __init__(self) -> None:
        self.kept: list[Books] = []
        self.is_free = threading.Event()
        self.is_free.set()
        self.entered = threading.Event()

    def keep(self, books: Books) -> bool:
        self.entered.set()
        self.is_free.wait(10)
        self.kept.append(books)
        return True


def test_while_the_disk_is_busy_the_newest_books_wait_and_a_stop_writes_them() -> None:
    disk = Disk()
    disk.is_free.clear()
    remembering = Remembering(disk, {})
    remembering.start()
    remembering.note("b1", {"s1": BOOKS}, {}, 0.0)
    assert disk.entered.wait(10)
    for low in range(5):
        remembering.note("b1", {"s1": replace(BOOKS, low=low)}, {}, 1.0)
    disk.is_free.set()
    remembering.stop(10)
    assert [one["b1"]["s1"].low for one in disk.kept] == [2, 4]


def test_books_that_say_the_same_are_written_once_a_minute() -> None:
    disk = Disk()
    remembering = Remembering(disk, {})
    for second in range(0, 125, 5):
        remembering.note("b1", {"s1": replace(BOOKS, seen_s=float(second))}, {"s1": "4006381333931"}, float(second))
        if remembering._is_dirty:
            disk.keep(remembering._books)
            remembering._is_dirty = False
    assert len(disk.kept) == 3

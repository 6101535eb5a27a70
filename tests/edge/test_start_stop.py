"""A node whose camera is dead starts and stops, again and again, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from shelf_edge.adapters.outbox_sqlite import SqliteOutbox, only_one
from shelf_edge.adapters.waiting_file import WaitingFile
from shelf_edge.app import run_node
from shelf_edge.config import check_config
from shelf_edge.ports import OutboxFull
from shelf_testing.demo import free_port
from tests.collector.builders import slot_event

BOTTLES = Path(__file__).resolve().parents[2] / "examples" / "bottles" / "planogram.json"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node with a dead camera and a dead broker."""
    file = tmp_path / "edge.toml"
    file.write_text(
        f'store = "example"\nnode = "n01"\n[broker]\nport = {free_port()}\n'
        f'[[cameras]]\nid = "c1"\nsource = "http://127.0.0.1:{free_port()}/dead.mjpg"\nplanogram = "{BOTTLES}"\n'
        'purpose = "nothing"\n'
    )
    return file


def held() -> tuple[int, int, int, int]:
    """Open files, sockets, threads and children of this process."""
    own = psutil.Process()
    connections = own.net_connections() if hasattr(own, "net_connections") else own.connections()
    return own.num_fds(), len(connections), threading.active_count(), len(own.children(recursive=True))


@pytest.mark.parametrize("cycles", [5, pytest.param(100, marks=pytest.mark.long)])
def test_cycles_leave_no_file_socket_thread_or_process(config: Path, cycles: int) -> None:
    checked = check_config(config)
    before = held()
    for cycle in range(cycles + 1):
        stop = threading.Event()
        threading.Timer(0.15, stop.set).start()
        began_s = time.monotonic()
        assert run_node(checked, stop) == 0
        assert time.monotonic() - began_s < 10
        if cycle == 0:  # the first start loads libraries, which keep what they open
            settle()
            before = held()
    settle()
    after = held()
    assert after[1:] == before[1:]
    assert after[0] <= before[0]
    with only_one(checked.state):
        pass  # no lock is left


def test_a_stop_while_the_disk_is_full_is_said_and_costs_nothing(
    config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    checked = check_config(config)

    def refuse(*_args: object, **_named: object) -> None:
        raise OutboxFull("full")

    checked.state.mkdir(parents=True, exist_ok=True)
    room = WaitingFile(checked.state / "outbox.waiting")
    room.push("a01", "s1-01", time.time(), slot_event("pick", quantity=1).model_dump_json())
    room.close()
    stop = threading.Event()
    stop.set()
    with monkeypatch.context() as full:
        full.setattr(SqliteOutbox, "append", refuse)
        assert run_node(checked, stop) == 1
    assert any("1 events wait on disk" in one.message for one in caplog.records if one.levelname == "CRITICAL")
    assert run_node(checked, stop) == 0
    with sqlite3.connect(checked.state / "outbox.sqlite3") as db:
        topics = [row[0] for row in db.execute("SELECT topic FROM outbox WHERE topic LIKE '%/event/pick'")]
    assert len(topics) == 1


def settle() -> None:
    """Give threads that were told to end the time to do so."""
    deadline_s = time.monotonic() + 5
    while threading.active_count() > 1 and time.monotonic() < deadline_s:
        time.sleep(0.02)


def test_sigterm_ends_the_process_with_0_and_frees_its_state(config: Path) -> None:
    command = [sys.executable, "-m", "shelf_edge", "run", "--config", str(config)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "no connection to" in line:
            break
    second = subprocess.run(command, env=environment, capture_output=True, timeout=60, text=True)
    assert second.returncode == 2
    assert "stop the other node" in second.stderr
    began_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.stderr.read()
    assert process.wait(10) == 0
    assert time.monotonic() - began_s < 10
    process.stderr.close()
    with only_one(config.parent / "state"):
        pass

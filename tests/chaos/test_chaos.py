"""``smartshelf chaos`` itself: short in the default run, a minute on both brokers in the long one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.e2e

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def chaos(*arguments: str) -> dict[str, Any]:
    """The object on the last line of output."""
    command = [sys.executable, "-m", "smartshelf", "chaos", "--json", *arguments]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=400)
    report: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    assert ended.returncode == 0, f"{report}\n{ended.stderr}"
    return report


def check(report: dict[str, Any]) -> None:
    assert list(report)[:6] == ["published", "applied", "lost", "duplicates_applied", "kills", "longest_recovery_s"]
    assert (report["lost"], report["duplicates_applied"], report["invented"], report["wrong_levels"]) == (0, 0, 0, 0)
    assert report["published"] == report["applied"] > 0
    assert (report["audit"]["lost"], report["audit"]["missing"], report["drained"]) == (0, 0, True)


@pytest.mark.slow
def test_fifteen_seconds_lose_nothing() -> None:
    report = chaos("--seconds", "15", "--seed", "3")
    check(report)
    assert report["kills"] >= 1


@pytest.mark.long
@pytest.mark.parametrize(("broker", "seed"), [("embedded", "7"), ("mosquitto", "7")])
def test_a_minute_of_every_fault_loses_nothing(broker: str, seed: str) -> None:
    if broker == "mosquitto" and shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip("mosquitto is not installed")
    report = chaos("--seconds", "60", "--seed", seed, "--broker", broker)
    check(report)
    assert len(report["faults"]) == 8


def test_it_stops_when_told_and_leaves_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "smartshelf", "chaos", "--seconds", "60", "--keep", str(tmp_path / "kept")]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    own = psutil.Process(process.pid)
    deadline_s = time.monotonic() + 60
    while len(own.children()) < 5:
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    children = own.children(recursive=True)
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    process.stderr.read()
    assert process.wait(30) == 130
    process.stderr.close()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []


def test_a_folder_that_holds_something_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    command = [sys.executable, "-m", "smartshelf", "chaos", "--keep", str(tmp_path)]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "must be an empty or a new folder" in ended.stderr

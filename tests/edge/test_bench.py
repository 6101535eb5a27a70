"""``smartshelf edge bench``: that it measures something; how much is for docs/performance.md."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from shelf_contracts.shipped import model_folder
from shelf_edge.adapters.model_folder import locate_model
from shelf_edge.adapters.rendered import Take, rendered
from shelf_edge.bench import bench_planogram, scenes
from shelf_edge.cli import app
from shelf_edge.memory_run import MemoryRun, bench_memory_command


@pytest.mark.slow
def test_each_figure_is_measured() -> None:
    answer = CliRunner().invoke(app, ["bench", "--frames", "12", "--parts", "growth", "--json"])
    assert answer.exit_code == 0, answer.output
    figures = json.loads(answer.stdout.strip().splitlines()[-1])
    assert figures["overhead_vs_bare"] > 0.5
    assert 0 < figures["rest_ms"] <= figures["rest_with_rechecks_ms"]
    assert figures["start_s"] > 0
    assert figures["rss_mb"] > 20
    assert figures["slots"] == 24
    assert [point["count"] for point in figures["growth"]["slots"]] == [4, 12, 24, 48, 96, 192]
    assert figures["growth"]["products"][-1]["count"] == 10_000


def test_a_peer_that_is_not_there_is_told() -> None:
    answer = CliRunner().invoke(app, ["bench", "--frames", "10", "--parts", "none", "--peer-python", "/nowhere/python"])
    assert answer.exit_code == 2
    assert "/nowhere/python" in answer.output


def test_the_scene_is_full_and_its_planogram_has_boards() -> None:
    assert len(scenes(locate_model(model_folder()), 2)) == 2
    plan = bench_planogram()
    assert all(view.floor is not None for view in plan.view_of("c1").slots.values())


def test_a_memory_run_that_is_stopped_tells_what_it_has(tmp_path: Path) -> None:
    recording = rendered(Take("busy", "dev", 0, 2.0, 10.0), tmp_path, threading.Event(), lambda frames: None)
    command = bench_memory_command(model_folder(), recording.folder, 1_000_000, 5)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        samples = [json.loads(child.stdout.readline()) for _ in range(3)]
        assert [one["at_min"] for one in samples] == pytest.approx([5 / 600, 10 / 600, 15 / 600])
        child.send_signal(signal.SIGTERM)
        *more, last = [json.loads(line) for line in child.stdout]
        assert child.wait(timeout=20) == 0
    finally:
        child.kill()
        child.communicate()
    told = [*samples, *more]
    assert last["rss_samples_mb"] == [one["rss_mb"] for one in told]
    assert last["anon_samples_mb"] == [one["anon_mb"] for one in told]
    assert (last["is_whole"], last["minutes_a_sample"]) == (False, pytest.approx(5 / 600))


def test_the_slope_leaves_the_warming_up_out() -> None:
    run = MemoryRun(30.0, (100.0, 150.0, 160.0, 160.0, 161.0, 161.0), (90.0,) * 6, is_whole=False)
    figures = run.figures()
    assert (figures["rss_mb_peak"], figures["rss_minutes"], figures["rss_is_whole"]) == (161.0, 180.0, False)
    assert figures["rss_mb_per_hour"] == pytest.approx(0.8)
    assert figures["anon_mb_per_hour"] == pytest.approx(0.0, abs=1e-6)


def test_only_memory_can_be_asked_for_alone() -> None:
    answer = CliRunner().invoke(app, ["bench", "--only", "start"])
    assert answer.exit_code == 2
    assert "must be memory, or left out" in answer.output


def performance_script() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "scripts" / "performance.py"
    spec = importlib.util.spec_from_file_location("performance_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_long_memory_run_takes_the_place_of_the_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = performance_script()
    monkeypatch.setattr(script, "PLOT", tmp_path / "growth.svg")
    monkeypatch.setattr(script, "MEMORY_PLOT", tmp_path / "memory.svg")
    kept = json.loads(script.KEPT.read_text(encoding="utf-8"))
    run = MemoryRun(0.5, (160.0,) * 699 + (171.0,) + (160.0,) * 20, (150.0,) * 720, is_whole=False)
    thin = script.with_fewer_samples(run.figures())
    assert len(thin["rss_samples_mb"]) == 240
    assert max(thin["rss_samples_mb"]) == 171.0, "no peak is lost"
    assert thin["minutes_a_sample"] == 1.5
    text = script.document(kept | thin)
    assert "| peak MB of four cameras (`rss_mb_peak`) | 171 | at most 350 | yes |" in text
    assert "6.0 hours of the cameras' time" in text
    assert "It was ended before the day was over." in text
    assert "polyline" in (tmp_path / "memory.svg").read_text(encoding="utf-8")

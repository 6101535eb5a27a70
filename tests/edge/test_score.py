"""``edge score``: a tiny recording, rendered, replayed and scored; the same again and again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shelf_contracts.shipped import model_folder
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.remembered import RememberingDetector
from shelf_edge.adapters.rendered import Rendered, Stopped, Take, rendered, shipped_scenarios
from shelf_edge.cli import app
from shelf_edge.replay import replay
from shelf_edge.score import report_of, score_recording

TAKE = Take("busy", "dev", 0, 6.0)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return rendered(TAKE, tmp_path_factory.mktemp("cache"), threading.Event(), lambda frames: None)


def scored(recording: Rendered, file: Path) -> tuple[str, int]:
    detector = RememberingDetector(file, lambda: load_detector(model_folder()))
    score = score_recording(TAKE, recording, detector)
    detector.keep()
    report = report_of([score], split="dev", seconds=6.0, model=model_folder(), score_threshold=None)
    return json.dumps(report), detector.fresh


def test_a_score_is_the_same_again_and_the_detector_is_asked_once(recording: Rendered, tmp_path: Path) -> None:
    first, looks = scored(recording, tmp_path / "seen.seen")
    again, looks_again = scored(recording, tmp_path / "seen.seen")
    assert again == first
    assert looks > 20
    assert looks_again == 0
    (tmp_path / "seen.seen").write_bytes((tmp_path / "seen.seen").read_bytes()[:999])
    assert scored(recording, tmp_path / "seen.seen") == (first, looks), "a file that was cut off is begun anew"


def test_a_replay_twice_writes_the_same_events(recording: Rendered, tmp_path: Path) -> None:
    for name in ("one", "other"):
        detector = RememberingDetector(tmp_path / "seen.seen", lambda: load_detector(model_folder()))
        plan = recording.folder / "planogram-a01.json"
        replay(recording.pictures, plan, detector, tmp_path / name, stock=True)
        detector.keep()
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert len((tmp_path / "one").read_text().splitlines()) >= len(recording.planogram().positions)


def test_a_recording_is_rendered_once(recording: Rendered) -> None:
    cache = recording.folder.parent
    picture = sorted(recording.pictures.iterdir())[-1]
    before = picture.stat().st_mtime_ns
    again = rendered(TAKE, cache, threading.Event(), lambda frames: None)
    assert again == recording
    assert picture.stat().st_mtime_ns == before
    assert (recording.note.scenario, recording.note.split, len(list(recording.pictures.iterdir()))) == (
        "busy",
        "dev",
        72,
    )


def test_what_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        rendered(Take("demo", "hidden", 0, 600.0), tmp_path, stop, lambda frames: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shelf_edge", "score", "--scenario", "demo", "--seconds", "600", "--keep"]
    child = subprocess.Popen([*command, str(tmp_path)], stderr=subprocess.PIPE, start_new_session=True)
    try:
        deadline_s = time.monotonic() + 60
        while not list(tmp_path.glob(".*/a01/000003.jpg")):
            assert time.monotonic() < deadline_s
            assert child.poll() is None
            time.sleep(0.05)
        os.killpg(child.pid, signal.SIGINT)
        assert child.wait(timeout=30) != 0
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scenario", "nowhere"], "must be all, a TOML file or one of"),
        (["--split", "secret"], "must be dev or hidden"),
        (["--scenario", "demo", "--model", "nowhere.onnx"], "must be a model"),
    ],
)
def test_bad_input_is_told_with_exit_code_2(arguments: list[str], told: str, tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["score", *arguments, "--keep", str(tmp_path)])
    assert answer.exit_code == 2
    assert told in answer.output


def test_shipped_scenarios_are_found() -> None:
    assert {"calm", "demo", "busy"} <= set(shipped_scenarios())


@pytest.mark.long
@pytest.mark.parametrize("split", ["dev", "hidden"])
def test_every_scenario_can_be_scored(split: str, tmp_path: Path) -> None:
    arguments = ["score", "--split", split, "--seconds", "20", "--keep", str(tmp_path), "--json", "--why"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    report = json.loads(answer.output.splitlines()[-1])
    assert set(report["scenarios"]) == set(shipped_scenarios())
    for name, figures in report["scenarios"].items():
        assert figures["counts_known"] is not None, name
        assert 0 <= figures["counts_exact"] <= figures["counts_within_one"] <= 1, name
    assert report["all"]["events"]["pick+put"]["truth"] >= 15
    assert report["scenarios"]["at-rest"]["events"]["pick+put"]["truth"] == 0

"""``edge day``: moments of a day at rest, the same again and again; its simulator, when it fails, is heard."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shelf_contracts.errors import FileProblems
from shelf_contracts.shipped import model_folder
from shelf_edge.adapters.day_camera import DayCamera, DayTake
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.cli import app
from shelf_edge.day import DayScore, Pace, day_report, score_day

OUTAGE = DayTake("at-rest", "dev", 0, begin_h=17.9992, hours=0.004)


def scored(take: DayTake) -> DayScore:
    return score_day(
        take, load_detector(model_folder(), tells_faint=True), Pace(), threading.Event(), lambda share: None
    )


def test_a_quarter_of_a_minute_in_which_the_lamps_fail_is_the_same_again_and_nothing_is_told() -> None:
    first, again = scored(OUTAGE), scored(OUTAGE)
    assert first == again
    assert (first.false_events, first.alerts, first.camera, first.told) == (0, 0, {}, ())
    assert first.known_h > 0.3 * first.hours * first.slots
    assert first.frames > 60, "where the lamps go off and on every frame is shown"
    report = day_report([first, again], split="dev", with_told=False)
    assert report["frames"] == 2 * first.frames
    assert report["false_events"] == report["alerts_false"] == 0


def test_a_dark_shop_is_said_to_be_dark() -> None:
    night = scored(DayTake("at-rest", "varied", 0, begin_h=4.0, hours=0.05))
    assert night.dark_said_h > 0.9 * night.hours
    assert night.dark_h == pytest.approx(night.hours, abs=0.001)
    assert (night.known_h, night.false_events) == (0.0, 0)
    assert night.frames < 40


def test_what_the_simulator_says_when_it_fails_is_told(tmp_path: Path) -> None:
    camera = DayCamera(DayTake("no-such-day", "dev", 0), tmp_path)
    try:
        with pytest.raises(FileProblems, match="no-such-day"):
            camera.next(1.0)
    finally:
        camera.close()


def test_the_command_tells_figures_and_refuses_an_unknown_store() -> None:
    arguments = ["day", "--split", "varied", "--begin-h", "4", "--hours", "0.01", "--json", "--why"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    report = json.loads(answer.output.splitlines()[-1])
    assert report["bay_days"] == pytest.approx(0.01 / 24, abs=0.001)
    assert report["bays"][0]["told"] == []
    assert CliRunner().invoke(app, ["day", "--split", "secret"]).exit_code == 2

"""A day at rest: how its light goes, which moments are shown, and what the stream gives for what it is asked."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from shelf_contracts.truth import DayNote, RecordingNote, read_truth
from shelf_simulator.adapters.day_stream import stream_day
from shelf_simulator.adapters.optics import decoded
from shelf_simulator.core.day import DAY_S, DayScript, next_moment_s
from shelf_simulator.core.splits import HIDDEN
from shelf_simulator.resting import day_stage

SHORT = {
    "begins": "20:00",
    "points": [
        {"at": "20:00", "gain": 1.0},
        {"at": "23:00", "gain": 0.8},
        {"at": "23:00:02", "gain": 0.1, "aside": 0.2},
        {"at": "20:00", "gain": 1.0},
    ],
    "flicker": [{"at": "01:00", "lasts_s": 10, "depth": 0.3, "hz": 2.7}],
}


def test_the_clock_goes_on_past_midnight() -> None:
    script = DayScript.model_validate(SHORT)
    assert script.times_s == [0.0, 10_800.0, 10_802.0, DAY_S]
    assert script.spells_s == [(10_800.0, 10_806.0), (18_000.0, 18_014.0)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"begins": "20"}, "must be a time of day"),
        ({"begins": "19:00"}, "must begin at begins"),
        (
            {"points": [{"at": "20:00", "gain": 1}, {"at": "01:00", "gain": 1}, {"at": "23:00", "gain": 1}]},
            "follow each",
        ),
        ({"points": [{"at": "20:00", "gain": 9}, {"at": "01:00", "gain": 1}]}, "less than or equal to 1.5"),
        ({"cloud": 1}, "Extra inputs"),
    ],
)
def test_a_wrong_day_is_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        DayScript.model_validate(SHORT | change)


@pytest.mark.parametrize(
    ("now_s", "most_s", "then_s"),
    [(0, 4, 4), (97, 4, 100), (100, 4, 100.1), (109.9, 4, 110.0), (110, 4, 114), (50, 0, 50.1)],
)
def test_nothing_fast_is_skipped(now_s: float, most_s: float, then_s: float) -> None:
    assert next_moment_s([(100.0, 110.0)], now_s, most_s, 0.1) == pytest.approx(then_s)


def test_a_day_has_a_night_and_nobody_in_it() -> None:
    stage = day_stage("a01", "at-rest", "dev")
    world, light = stage.world, []
    facts = []
    for _ in range(24 * 60):
        facts += world.step(60.0)
        light.append(world.light)
    assert facts == []
    assert world.figures == []
    night = sum(gain < 0.06 for gain in light) / 60
    assert 6 < night < 9, "hours"
    assert max(light) > 1.0
    assert day_stage("a01", "at-rest", "hidden").seed in HIDDEN.seeds


def test_the_stream_gives_what_is_asked_and_every_frame_where_the_lamps_come_on(tmp_path: Path) -> None:
    stage = day_stage("a01", "at-rest", "varied", 1)
    opens_s = stage.script.since_begin_s(6.5 * 3600)
    note = RecordingNote(scenario="day", split="varied", seed=stage.seed, bay="a01", seconds=20.0, fps=10.0)
    told = io.BytesIO()
    asked = io.BytesIO(b"4\n" * 200)
    stream_day(tmp_path, stage.world, stage.view, note, stage.script.spells_s, opens_s - 10, asked, told)
    told.seek(0)
    notes = []
    while line := told.readline():
        notes.append(DayNote.model_validate_json(line))
        assert decoded(told.read(notes[-1].size)).shape == (540, 960, 3)
    at_s = [one.at_s - opens_s for one in notes]
    assert at_s[:3] == [-10.0, -6.0, -2.0], "the lamps stutter from 06:29:58 on"
    assert all(after - before == pytest.approx(0.1) for before, after in pairwise(at_s[2:100]))
    assert at_s[-1] < 10.0
    assert max(one.gain for one in notes) > 2.5 * notes[0].gain
    truth = read_truth(tmp_path / "truth-a01.jsonl")
    assert (truth.events, truth.sights) == ([], [])
    assert {change.slot: change.count for change in truth.counts} == stage.world.initial_counts

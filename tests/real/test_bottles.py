"""The real recording: three bottles, a hand takes one and brings it back."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from shelf_contracts.shipped import model_folder
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.replay import replay
from shelf_testing.real_data import real_data

pytestmark = pytest.mark.real

PLANOGRAM = Path(__file__).resolve().parents[2] / "examples" / "bottles" / "planogram.json"
EARLY_S, LATE_S = 0.3, 1.5


@dataclass(frozen=True)
class Told:
    action: str
    slot: str
    at_s: float


def told_by(model: Path, out: Path) -> list[Told]:
    """The events of a replay of the recording."""
    detector = load_detector(model, threads=2)
    replay(real_data("bottle-video", "bottles.mp4"), PLANOGRAM, detector, out)
    events = [json.loads(line) for line in out.read_text().splitlines()]
    return [
        Told(event["data"]["action"], event["subject"].rsplit("/", 1)[1], event["data"]["at_s"]) for event in events
    ]


def truth() -> list[dict[str, str]]:
    lines = real_data("bottle-video", "events.csv").read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def check(told: list[Told]) -> None:
    expected = truth()
    assert [(one.action, one.slot) for one in told] == [
        pair for event in expected for pair in (("reach", f"s{event['slot']}"), (event["event"], f"s{event['slot']}"))
    ]
    for event, one in zip(expected, told[1::2], strict=True):
        assert float(event["begin_s"]) - EARLY_S <= one.at_s <= float(event["clear_s"]) + LATE_S


def test_a_brought_model_tells_exactly_what_happened(tmp_path: Path) -> None:
    check(told_by(real_data("baselines", "yolox_nano.onnx"), tmp_path / "events.jsonl"))


def test_a_replay_gives_the_same_bytes_again(tmp_path: Path) -> None:
    model = real_data("baselines", "yolox_nano.onnx")
    told_by(model, tmp_path / "one.jsonl")
    told_by(model, tmp_path / "two.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_the_shipped_model_tells_exactly_what_happened(tmp_path: Path) -> None:
    """No frame of this place was in its training."""
    check(told_by(model_folder(), tmp_path / "events.jsonl"))

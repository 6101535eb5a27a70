"""Truth files, recordings and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from shelf_contracts.errors import FileProblems
from shelf_contracts.files import read_model
from shelf_contracts.planogram import Planogram
from shelf_contracts.truth import CountChanged, Fact, SightChanged, TruthEvent, read_truth
from shelf_simulator.adapters.recording import record
from shelf_simulator.adapters.truth_files import TruthWriter
from shelf_simulator.app import make_world
from shelf_simulator.cli import app

FACTS: list[Fact] = [
    CountChanged("a01", "s1-01", 0.0, 5),
    SightChanged("a01", "s1-01", 1.25, True),
    TruthEvent("pick", "a01", "s1-01", "00000000000017", 1, 1.0, 1.5, 2.5),
]


@pytest.mark.parametrize("epoch", [None, 1_700_000_000.0])
def test_truth_comes_back(tmp_path: Path, epoch: float | None) -> None:
    path = tmp_path / "truth.jsonl"
    with TruthWriter(path, epoch) as writer:
        writer.write(FACTS)
    log = read_truth(path)
    shift = epoch or 0.0
    assert log.counts == [CountChanged("a01", "s1-01", shift, 5)]
    assert log.sights == [SightChanged("a01", "s1-01", shift + 1.25, True)]
    assert log.events == [
        TruthEvent("pick", "a01", "s1-01", "00000000000017", 1, shift + 1.0, shift + 1.5, shift + 2.5)
    ]


def test_facts_are_on_disk_at_once(tmp_path: Path) -> None:
    writer = TruthWriter(tmp_path / "truth.jsonl")
    writer.write(FACTS)
    assert len((tmp_path / "truth.jsonl").read_text().splitlines()) == 3
    writer.close()


def test_wrong_lines_are_all_named_and_a_cut_last_line_is_forgiven(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text('{"type":"count"\n{"type":"count","bay":"a01","slot":"s","t_s":1,"count":"many"}\n{"type":"cou')
    with pytest.raises(FileProblems) as caught:
        read_truth(path)
    keys = [problem.key for problem in caught.value.problems]
    assert keys[0] == "line 1"
    assert keys[1].startswith("line 2")
    assert len(keys) == 2


def test_recordings_of_one_seed_are_equal(tmp_path: Path) -> None:
    for name in ("one", "other"):
        world = make_world("a01", 5, "demo")
        assert list(record(tmp_path / name, world, seconds=2.0, fps=12, seed=5, kind="jpeg"))[-1] == 24
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 27
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
    read_model(tmp_path / "one" / "planogram-a01.json", Planogram)


def test_a_video_holds_every_frame(tmp_path: Path) -> None:
    import cv2

    list(record(tmp_path, make_world("a01", 5, "demo"), seconds=1.0, fps=12, seed=5))
    video = cv2.VideoCapture(str(tmp_path / "recording-a01.avi"))
    frames = 0
    while video.read()[0]:
        frames += 1
    video.release()
    assert frames == 12


def test_the_planogram_command_writes_a_planogram(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["planogram", "--bay", "a02", "--out", str(tmp_path / "p.json")])
    assert result.exit_code == 0
    assert read_model(tmp_path / "p.json", Planogram).bay == "a02"


def test_a_wrong_scenario_is_refused_with_code_2(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[shoppers]\nat_once = 9\nbrowze = 3\n")
    result = CliRunner().invoke(app, ["frames", "--scenario", str(wrong), "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "shoppers.at_once" in result.output
    assert "browze" in result.output

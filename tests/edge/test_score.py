"""``edge score``: a tiny recording, rendered, replayed and scored; the same again and again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table
from typer.testing import CliRunner

from shelf_contracts.messages import ModelInfo
from shelf_contracts.shipped import DEFAULT_RECOGNISER, model_folder
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.model_folder import locate_model
from shelf_edge.adapters.remembered import RememberingDetector, RememberingEmbedder
from shelf_edge.adapters.rendered import Rendered, Stopped, Take, rendered, shipped_scenarios
from shelf_edge.adapters.store_gallery import store_gallery
from shelf_edge.cli import app
from shelf_edge.console import print_whole
from shelf_edge.core.recognition import Calibration
from shelf_edge.recognising import Recognising
from shelf_edge.replay import replay
from shelf_edge.score import TakeScore, figures_of, report_of, score_recording

TAKE = Take("busy", "dev", 0, 6.0)
FLOORS = 0.7, 0.7, 0.8, 0.7, 0.85
"""Of picks and puts recall and precision, of reaches the same, of slot-time counted exactly."""


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


def test_the_shipped_node_does_not_fall_below_what_it_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A floor well below docs/accuracy.md, on parts of two recordings: a change that loses events is noticed."""
    cache = tmp_path_factory.mktemp("floor")
    scores = []
    for scenario in ("grabs", "two-hands"):
        take = Take(scenario, "dev", 0, 16.0)
        told = rendered(take, cache, threading.Event(), lambda frames: None)
        scores.append(score_recording(take, told, load_detector(model_folder(), threads=1, tells_faint=True)))
    figures = figures_of(scores)
    both, reach = figures.events["pick+put"], figures.events["reach"]
    assert both.truth >= 4, "the recordings hold something"
    shares = both.recall, both.precision, reach.recall, reach.precision, figures.counts_exact
    assert all(share is not None and share >= floor for share, floor in zip(shares, FLOORS, strict=True)), shares


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
    # A worker of pytest-xdist ignores SIGINT, and its children would too.
    child = subprocess.Popen(
        [*command, str(tmp_path)], stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
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
        (["--split", "secret"], "must be dev, varied or hidden"),
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


class ColourEmbedder:
    """Crops by their mean colour: enough to tell that everything is put together rightly."""

    def __init__(self) -> None:
        self.asked = 0

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(role="recogniser", name="colours", version="1", sha256="c" * 64, licence="x")

    @property
    def dimension(self) -> int:
        return 256

    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        self.asked += len(crops)
        rows = np.zeros((len(crops), 256), np.float32)
        rows[:, :3] = [crop.reshape(-1, 3).mean(axis=0) + 1 for crop in crops]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def remembering(file: Path, real: ColourEmbedder) -> RememberingEmbedder:
    return RememberingEmbedder(file, locate_model(model_folder(DEFAULT_RECOGNISER)), lambda: real)


def test_a_crop_is_embedded_once_and_a_torn_file_is_begun_anew(tmp_path: Path) -> None:
    crops = [np.full((20, 20, 3), value, np.uint8) for value in (10, 200, 10)]
    first = remembering(tmp_path / "v.seen", ColourEmbedder())
    vectors = first.embed(crops)
    first.keep()
    assert (first.fresh, vectors.shape, vectors.dtype) == (2, (3, 256), np.float32)
    again = remembering(tmp_path / "v.seen", ColourEmbedder())
    assert np.array_equal(again.embed(crops), vectors)
    assert again.fresh == 0
    assert again.embed([]).shape == (0, 256)
    (tmp_path / "v.seen").write_bytes((tmp_path / "v.seen").read_bytes()[:-3])
    torn = remembering(tmp_path / "v.seen", ColourEmbedder())
    assert np.array_equal(torn.embed(crops), vectors)
    assert torn.fresh == 2


def test_all_that_the_store_sells_is_enrolled_and_recognised(recording: Rendered) -> None:
    real, cache = ColourEmbedder(), recording.folder.parent
    gallery = store_gallery(TAKE, cache, real, "mark", threading.Event())
    planned = {product.gtin for product in recording.planogram().products}
    assert planned <= set(gallery.gtins)
    asked = real.asked
    assert store_gallery(TAKE, cache, real, "mark", threading.Event()) == gallery
    assert real.asked == asked, "from the cache"

    def scored_with_sight() -> TakeScore:
        detector = RememberingDetector(recording.folder / "seen.seen", lambda: load_detector(model_folder()))
        embedder = remembering(recording.folder / "vectors.seen", real)
        recognising = Recognising(embedder, embedder.calibration)
        recognising.use(gallery)
        score = score_recording(TAKE, recording, detector, recognising=recognising)
        detector.keep()
        embedder.keep()
        assert recognising.counters.crops > 50
        return score

    first = scored_with_sight()
    asked = real.asked
    assert scored_with_sight() == first
    assert real.asked == asked, "no crop is embedded twice"


def test_a_replay_with_a_gallery_says_what_stands_where(recording: Rendered, tmp_path: Path) -> None:
    detector = RememberingDetector(recording.folder / "seen.seen", lambda: load_detector(model_folder()))
    embedder = ColourEmbedder()
    recognising = Recognising(embedder, Calibration(temperature=0.001, none_cosine=0.5))
    recognising.use(store_gallery(TAKE, recording.folder.parent, embedder, "mark", threading.Event()))
    plan = recording.folder / "planogram-a01.json"
    events = tmp_path / "events"
    summary = replay(recording.pictures, plan, detector, events, stock=True, recognising=recognising)
    told = [json.loads(line)["data"] for line in events.read_text().splitlines()]
    assert any(one.get("seen") for one in told if "action" not in one)
    strange = [one for one in told if one.get("action") == "misplaced"]
    assert len(strange) == summary.events.get("misplaced", 0)
    assert all(one["gtin"] == one["seen"]["gtin"] and one["at_s"] is not None for one in strange)


def test_a_table_is_whole_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(box=None)
    cells = [f"{letter * 30}" for letter in "abcdefghijkl"]
    for _ in cells:
        table.add_column("", no_wrap=True)
    table.add_row(*cells)
    print_whole(table)
    told = capsys.readouterr().out
    assert told.split() == cells
    assert "…" not in told

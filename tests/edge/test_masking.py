"""People are covered in whatever is shown, stored or sent; no detector that knows people, no picture."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from shelf_contracts.files import read_model
from shelf_contracts.planogram import Planogram
from shelf_edge.adapters.preview import Preview
from shelf_edge.cli import app
from shelf_edge.core.coco import coco_kinds
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.frame import Frame
from shelf_edge.core.masking import STAYS_S, PeopleMask, kinds_of_people
from shelf_testing.gradient_model import write_model_folder

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT = 320, 180
PEOPLE = frozenset({Kind.PERSON})


def seen(*boxes: tuple[float, float, float, float], kind: Kind = Kind.PERSON) -> Detections:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(array, np.full(len(array), 0.9, np.float32), np.full(len(array), int(kind), np.uint8))


def noise(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


across, down = st.floats(0, WIDTH, width=32), st.floats(0, HEIGHT, width=32)
coordinates = st.tuples(across, down, across, down)


@given(st.lists(coordinates, max_size=4))
def test_nothing_of_a_person_is_left_and_a_tenth_around_it(corners: list[tuple[float, float, float, float]]) -> None:
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    first = PeopleMask(PEOPLE).masked(noise(1), seen(*boxes), 0.0)
    second = PeopleMask(PEOPLE).masked(noise(2), seen(*boxes), 0.0)
    assert first is not None
    assert second is not None
    covered = (first == second).all(axis=2)
    for x1, y1, x2, y2 in boxes:
        grow_x, grow_y = 0.1 * (x2 - x1), 0.1 * (y2 - y1)
        left, top = max(0, int(np.floor(x1 - grow_x))), max(0, int(np.floor(y1 - grow_y)))
        right, bottom = int(np.ceil(x2 + grow_x)), int(np.ceil(y2 + grow_y))
        assert covered[top:bottom, left:right].all(), "no pixel there depends on the picture"
    if not boxes:
        assert (first == noise(1)).all()


def test_without_a_person_detector_or_a_look_there_is_no_picture() -> None:
    assert PeopleMask(frozenset()).masked(noise(), seen((0, 0, 10, 10)), 0.0) is None
    assert PeopleMask(PEOPLE).masked(noise(), None, 0.0) is None


def test_a_body_that_a_look_misses_stays_covered_for_a_while() -> None:
    mask = PeopleMask(PEOPLE)
    mask.masked(noise(), seen((100, 50, 150, 120)), 0.0)
    blinked = mask.masked(noise(), seen(), STAYS_S)
    assert blinked is not None
    assert (blinked[60:110, 110:140] == 96).all()
    later = mask.masked(noise(), seen(), STAYS_S + 0.1)
    assert later is not None
    assert (later == noise()).all()


def test_a_model_that_is_exchanged_uncovers_nobody() -> None:
    mask = PeopleMask(PEOPLE)
    mask.detector_knows({Kind.HAND})
    still = mask.masked(noise(), seen((100, 50, 150, 120)), 0.0)
    assert still is not None
    assert (still[60:110, 110:140] == 96).all(), "a last look of the old model"
    mask.detector_knows(())
    assert mask.masked(noise(), seen((100, 50, 150, 120)), 0.1) is None, "the new one knows nobody"


@pytest.mark.parametrize(
    ("kinds", "people"),
    [
        (coco_kinds(), {Kind.HAND}),
        ({"product": "product", "arm-or-hand": "hand", "person": "person"}, {Kind.PERSON}),
        ({"object": "product"}, set()),
        ({"object": "product", "hand": "hand"}, set()),
        ({"object": "product", "person": "ignore"}, set()),
    ],
)
def test_which_kinds_are_people(kinds: dict[str, str], people: set[Kind]) -> None:
    assert kinds_of_people(kinds) == people


# -- the demo's live view ---------------------------------------------------------------------------------------------


@pytest.fixture
def planogram() -> Planogram:
    return read_model(ROOT / "examples" / "bottles" / "planogram.json", Planogram)


@pytest.fixture(params=[PEOPLE, frozenset()], ids=["knows people", "knows none"])
def preview(request: pytest.FixtureRequest) -> Iterator[Preview]:
    made = Preview(0, lambda: request.param)
    made.start()
    yield made
    made.stop()


def test_the_preview_covers_people_or_shows_nothing(preview: Preview, planogram: Planogram) -> None:
    camera: Any = SimpleNamespace(planogram=planogram, view=planogram.views[0].camera, stock={})
    box = (100, 40, 200, 170)

    def look(number: int, detections: Detections | None) -> None:
        preview.show(camera, Frame(noise(number), float(number), number), detections, [])

    look(0, seen(box))
    connection = http.client.HTTPConnection("127.0.0.1", preview.port, timeout=5)
    connection.request("GET", f"/{planogram.bay}.mjpg")
    knows_people = bool(preview._people())
    if not knows_people:
        answer = connection.getresponse()
        assert answer.status == 403
        assert b"\xff\xd8" not in answer.read()
        connection.close()
        return
    pictures = []
    answer = connection.getresponse()
    for number in range(1, 40):
        look(number, seen(box) if number % 3 else None)
        time.sleep(0.02)
    while len(pictures) < 1:
        line = answer.readline()
        if line.lower().startswith(b"content-length"):
            answer.readline()
            pictures.append(cv2.imdecode(np.frombuffer(answer.read(int(line.split(b":")[1])), np.uint8), 1))
    connection.close()
    inside = pictures[0][50:160, 110:190].astype(int)
    # The slots' outlines may cross it; of the noise under it nothing is left.
    assert np.median(np.abs(inside - 96)) <= 6
    assert np.abs(inside - 96).mean() < 25


# -- what commands draw -----------------------------------------------------------------------------------------------


def test_a_model_that_knows_no_people_draws_no_picture(tmp_path: Path) -> None:
    model = tmp_path / "model"
    write_model_folder(model)
    cv2.imwrite(str(tmp_path / "shelf.png"), noise())
    command = ["count", str(tmp_path / "shelf.png"), "--model", str(model), "--draw", str(tmp_path / "drawn")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert not (tmp_path / "drawn").exists()
    assert CliRunner().invoke(app, [*command, "--nobody-in-it"]).exit_code == 0
    assert (tmp_path / "drawn" / "shelf.jpg").is_file()

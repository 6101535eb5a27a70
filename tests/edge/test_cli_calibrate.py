"""``smartshelf edge calibrate``: corners in, a planogram with a view out; what is said when they cannot be."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from shelf_contracts.files import read_model, write_json
from shelf_contracts.planogram import Planogram
from shelf_edge.cli import app
from shelf_simulator.app import demo_bay
from shelf_simulator.core.design import build_planogram


@pytest.fixture
def bay(tmp_path: Path) -> tuple[Path, str]:
    """A planogram without a view, and the corners of its bay in a picture of 960 x 540."""
    design = demo_bay("a01", 7)
    plan = build_planogram(design)
    write_json(tmp_path / "plan.json", plan.model_copy(update={"views": []}))
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((540, 960, 3), 90, np.uint8))
    mm = [[0, 0, 0], [plan.width, 0, 0], [plan.width, plan.height, 0], [0, plan.height, 0]]
    return tmp_path / "plan.json", " ".join(f"{x:.1f},{y:.1f}" for x, y in design.camera.project(mm))


def run(plan: Path, corners: str, *more: object) -> tuple[int, str]:
    arguments = [str(plan), "--corners", corners, "--picture", str(plan.parent / "photo.png"), *map(str, more)]
    answer = CliRunner().invoke(app, ["calibrate", *arguments])
    return answer.exit_code, answer.output


def test_a_bay_is_set_up_from_four_corners(bay: tuple[Path, str], tmp_path: Path) -> None:
    plan, corners = bay
    code, told = run(plan, corners, "--draw", tmp_path / "check.png", "--nobody-in-it")
    assert code == 0, told
    assert "2.20 m before the bay" in told
    made = read_model(plan, Planogram)
    assert set(made.view_of("c1").slots) == {position.id for position in made.positions}
    assert read_model(tmp_path / "plan.before.json", Planogram).views == [], "the last good one is kept"
    drawn = cv2.imread(str(tmp_path / "check.png"))
    assert (drawn != 90).any(axis=2).sum() > 2000, "slots are drawn"


def test_people_are_covered_in_what_is_drawn(bay: tuple[Path, str], tmp_path: Path) -> None:
    plan, corners = bay
    code, told = run(plan, corners, "--out", tmp_path / "new.json", "--draw", tmp_path / "check.jpg")
    assert code == 0, told
    assert read_model(plan, Planogram).views == [], "another file was named"


@pytest.mark.parametrize(
    ("corners", "more", "says"),
    [
        ("1,2 3,4", [], "--corners = '1,2 3,4': must be four points"),
        ("a,b c,d e,f g,h", [], "must be four points"),
        ("0,0 0,100 100,100 100,0", [], "must be top left, top right, bottom right, bottom left, in that order"),
        ("9000,9000 9100,9000 9100,9100 9000,9100", [], "not one slot would be in the picture"),
        (None, ["--of", "1,2,3"], "--of = '1,2,3': must be x,y,width,height in mm"),
        (None, ["--draw", "check.webm", "--nobody-in-it"], "check.webm"),
        (None, ["--camera", "C 1"], "camera"),
    ],
)
def test_what_cannot_be_is_said(bay: tuple[Path, str], corners: str | None, more: list[str], says: str) -> None:
    plan, right = bay
    code, told = run(plan, corners or right, *more)
    assert (code, says in told) == (2, True), told

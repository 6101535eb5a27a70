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

SEEN_MM = 1138
"""The camera of the demo's bay sees it down to its lowest board, and not what is under it."""


@pytest.fixture
def bay(tmp_path: Path) -> tuple[Path, str]:
    """A planogram without a view, and the corners of its bay in a picture of 960 x 540."""
    design = demo_bay("a01", 7)
    plan = build_planogram(design)
    write_json(tmp_path / "plan.json", plan.model_copy(update={"views": []}))
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((540, 960, 3), 90, np.uint8))
    mm = [[0, 0, 0], [plan.width, 0, 0], [plan.width, SEEN_MM, 0], [0, SEEN_MM, 0]]
    return tmp_path / "plan.json", " ".join(f"{x:.1f},{y:.1f}" for x, y in design.camera.project(mm))


def run(plan: Path, corners: str, *more: object) -> tuple[int, str]:
    arguments = [str(plan), "--corners", corners, "--picture", str(plan.parent / "photo.png"), *map(str, more)]
    if "--of" not in more:
        arguments += ["--of", f"0,0,1640,{SEEN_MM}"]
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
        (
            "-40,30 900,30 900,500 100,600",
            [],
            "--corners = top left -40,30, bottom left 100,600: must lie in the picture: x 0 to 960, y 0 to 540; ",
        ),
        ("20,20 60,20 60,60 20,60", ["--of", "5000,5000,9,9"], "not one slot would be in the picture"),
        (None, ["--of", "1,2,3"], "--of = '1,2,3': must be x,y,width,height in mm"),
        (None, ["--draw", "check.webm", "--nobody-in-it"], "check.webm"),
        (None, ["--camera", "C 1"], "camera"),
    ],
)
def test_what_cannot_be_is_said(bay: tuple[Path, str], corners: str | None, more: list[str], says: str) -> None:
    plan, right = bay
    code, told = run(plan, corners or right, *more)
    assert (code, says in told) == (2, True), told


def test_corners_that_were_guessed_change_nothing(bay: tuple[Path, str], tmp_path: Path) -> None:
    plan, _ = bay
    before = plan.read_bytes()
    code, told = run(plan, "-40,30 1200,30 1200,700 100,600")
    assert (code, "--of 'x,y,width,height'" in told) == (2, True), told
    assert plan.read_bytes() == before
    assert not (tmp_path / "plan.before.json").exists()
    photo = ["calibrate", str(plan), "--propose", str(tmp_path / "photo.png"), "--corners", "0,0 961,0 961,9 0,9"]
    answer = CliRunner().invoke(app, photo)
    assert (answer.exit_code, "top right 961,0, bottom right 961,9: must lie" in answer.output) == (2, True)


def test_what_makes_boards_useless_is_said(bay: tuple[Path, str]) -> None:
    plan, corners = bay
    for height_mm, odd in (
        (900, "no camera sees the corners there, they are off by 70 px"),
        (1260, "is unusual for a"),
    ):
        code, told = run(plan, corners, "--of", f"0,0,1640,{height_mm}")
        assert (code, odd in told) == (0, True), told
        assert f"see that the corners are those of 1640 x {height_mm} mm" in told
    held = read_model(plan, Planogram)
    flat = [fixture.model_copy(update={"d": 1.0}) for fixture in held.fixtures]
    write_json(plan, held.model_copy(update={"fixtures": flat}))
    code, told = run(plan, corners)
    assert (code, "the planogram does not say how deep the shelf is" in told) == (0, True), told
    assert "warning" not in told

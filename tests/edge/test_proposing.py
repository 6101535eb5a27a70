"""Slots proposed from what is seen on a full shelf."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from shelf_contracts.files import read_model
from shelf_contracts.planogram import Planogram
from shelf_edge.cli import app
from shelf_edge.core.proposing import BaySpec, SeenItem, Viewpoint, boards_of, facings_of, items_on_front, propose
from shelf_simulator.adapters.fixture_art import Look
from shelf_simulator.adapters.shelf_painter import ShelfPainter
from shelf_simulator.app import demo_bay
from shelf_simulator.core.design import build_planogram
from shelf_simulator.core.stock import fill

RED, GREEN = (50.0, 60.0, 40.0) * 3, (60.0, -40.0, 40.0) * 3
SPEC = BaySpec("shop", "a01", 1000, 1200, 400)


def item(x: float, base: float, colours: tuple[float, ...] = RED, gtin: str | None = None, w: float = 80) -> SeenItem:
    return SeenItem(x, base, w, 200, gtin, colours)


FULL = [
    *(item(20 + 90 * place, 390, RED) for place in range(4)),
    *(item(400 + 90 * place, 402, GREEN) for place in range(5)),
    *(item(20 + 150 * place, 800, GREEN, w=140) for place in range(6)),
    *(item(20 + 90 * place, 1190, RED, "4006381333931") for place in range(3)),
    *(item(290 + 90 * place, 1190, RED, "9783161484100") for place in range(3)),
]


def test_items_are_put_into_rows_and_facings() -> None:
    rows = [board.items for board in boards_of(FULL, SPEC, None)]
    assert [len(row) for row in rows] == [9, 6, 6]
    assert [[len(group) for group in facings_of(row)] for row in rows] == [[4, 5], [6], [3, 3]]


CAMERA = Viewpoint(500, -400, 1800)


def stands_at(x: float, edge: float, depth: float, w: float = 80, colours: tuple[float, ...] = RED) -> SeenItem:
    """An item 200 mm high that far behind the front of its board, as it is seen on the front."""
    shrunk = 1 / (1 + depth / CAMERA.distance)
    base = CAMERA.base_at(edge, depth)
    return SeenItem(CAMERA.x + (x - CAMERA.x) * shrunk, base, w * shrunk, 200 * shrunk, None, colours)


@given(st.floats(-300, 1500), st.floats(0, 800))
def test_how_far_back_something_stands_follows_from_where_it_seems_to(edge: float, depth: float) -> None:
    assert CAMERA.depth_of(CAMERA.base_at(edge, depth), edge) == pytest.approx(depth, abs=0.01)


def test_what_stands_behind_empty_places_is_on_the_same_shelf_and_told() -> None:
    """Seen from above, the back of a board seems to be another shelf."""
    items = [
        *(stands_at(20 + 90 * place, 400, 0 if place % 2 else 320) for place in range(11)),
        *(stands_at(20 + 90 * place, 800, 0) for place in range(11)),
        *(stands_at(20 + 90 * place, 1190, 160 * (place % 3)) for place in range(11)),
    ]
    found = propose(items, SPEC, seen_from=CAMERA)
    assert [round(one.y + one.h) for one in found.planogram.fixtures] == [400, 800, 1190]
    assert [position.facings.h for position in found.planogram.positions] == [11, 11, 11]
    assert [(gap.shelf, gap.behind, gap.of) for gap in found.gaps] == [("t1", 6, 11), ("t3", 7, 11)]
    assert str(found.gaps[0]) == "t1: 6 of 11 items stand behind empty places"
    whole = propose(items, SPEC).planogram
    assert len(whole.fixtures) > 3, "without the camera's place it cannot be told"


def test_missing_facings_are_counted_in_and_a_gap_is_told() -> None:
    row = [stands_at(20 + 90 * place, 390, 0) for place in (0, 1, 4, 5)]
    row += [stands_at(560 + 90 * place, 390, 0, colours=GREEN) for place in range(2)]
    found = propose(row, SPEC, seen_from=CAMERA)
    assert [position.facings.h for position in found.planogram.positions] == [6, 2]
    assert str(found.gaps[0]).endswith(" mm show nothing")
    assert found.gaps[0].empty_mm == pytest.approx(1000 - 6 * 80, abs=60)


def test_a_shelf_that_is_much_higher_than_the_others_may_hide_an_empty_one() -> None:
    rows = [item(20 + 90 * place, base) for base in (300, 600, 1200) for place in range(11)]
    assert [(gap.shelf, gap.is_high) for gap in propose(rows, SPEC).gaps] == [("t3", True)]


def test_a_gap_or_another_size_begins_another_slot() -> None:
    row = [item(0, 400), item(90, 400), item(440, 400), item(530, 400, w=140)]
    assert [len(group) for group in facings_of(row)] == [2, 1, 1]


def test_the_proposal_is_a_planogram_that_can_be_used() -> None:
    found = propose(FULL, SPEC)
    plan = found.planogram
    assert [position.id for position in plan.positions] == ["s1-01", "s1-02", "s2-01", "s3-01", "s3-02"]
    assert [position.facings.h for position in plan.positions] == [4, 5, 6, 3, 3]
    assert plan.positions[0].facings.d == 5, "400 mm of shelf, items 80 mm deep"
    assert [plan.product_of(slot).gtin for slot in ("s1-01", "s3-01")] == [None, "04006381333931"]
    assert plan.product_of("s1-01").name == "unknown 1.1"
    assert [fixture.h for fixture in plan.fixtures] == [pytest.approx(390, abs=13), pytest.approx(400, abs=13), 390]
    assert Planogram.model_validate(plan.model_dump(by_alias=True)) == plan


def test_nothing_on_the_shelf_proposes_nothing() -> None:
    with pytest.raises(ValueError, match="no product was found"):
        propose([], SPEC)


def test_what_stands_behind_or_outside_is_left_out() -> None:
    corners = np.array([[100.0, 100], [600, 100], [600, 700], [100, 700]])  # half a pixel a millimetre
    boxes = np.array(
        [[120, 200, 160, 300], [122, 150, 158, 260], [700, 200, 740, 300], [300, 200, 304, 300]], np.float32
    )
    found = items_on_front(boxes, [None] * 4, np.zeros((4, 9), np.float32), corners, SPEC)
    assert [(round(one.x), round(one.base), round(one.w), round(one.h)) for one in found] == [(40, 400, 80, 200)]


def test_corners_in_another_order_are_refused() -> None:
    crossed = np.array([[100.0, 100], [600, 700], [600, 100], [100, 700]])
    with pytest.raises(ValueError, match="top left, top right"):
        items_on_front(np.zeros((1, 4), np.float32), [None], np.zeros((1, 9), np.float32), crossed, SPEC)


SEEN_MM = 1138
"""The camera of the demo's bay sees it down to its lowest board, and not what is under it."""


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A full simulated bay as its camera sees it, and the corners of its front."""
    return photo_of(tmp_path_factory.mktemp("bay"), 1.0)


def photo_of(folder: Path, share: float) -> tuple[Path, str]:
    design, rng = demo_bay("a01", 7), np.random.default_rng(5)
    counts = {slot.id: int(rng.binomial(slot.capacity, share)) for slot in design.slots}
    stocks = fill(design, counts, np.random.default_rng(1))
    items = [item for stock in stocks.values() for column in stock.columns for item in column]
    cv2.imwrite(str(folder / "full.png"), ShelfPainter(design, Look()).paint(items).picture)
    plan = build_planogram(design)
    mm = [[0, 0, 0], [plan.width, 0, 0], [plan.width, SEEN_MM, 0], [0, SEEN_MM, 0]]
    return folder / "full.png", " ".join(f"{x:.1f},{y:.1f}" for x, y in design.camera.project(mm))


def run(photo: tuple[Path, str], *more: object) -> tuple[int, str]:
    arguments = ["calibrate", "--propose", str(photo[0]), "--corners", photo[1], *map(str, more)]
    answer = CliRunner().invoke(app, arguments)
    return answer.exit_code, answer.output


def test_a_photo_of_a_full_bay_proposes_its_shelves_and_most_of_its_slots(photo: tuple[Path, str]) -> None:
    made, plan = photo[0].with_name("proposed.json"), build_planogram(demo_bay("a01", 7))
    size = f"{plan.width:g},{SEEN_MM},{plan.fixtures[0].d:g}"
    code, told = run(photo, "--size", size, "--store", "shop", "--bay", "a01", "--out", made)
    assert code == 0, told
    assert "not full" not in told
    found = read_model(made, Planogram)
    assert len(found.fixtures) == len(plan.fixtures)
    assert abs(len(found.positions) - len(plan.positions)) <= 2
    near = sum(
        any(
            abs(one.x - other.x) < 60
            and abs(one.x + one.w - other.x - other.w) < 60
            and abs(one.y + one.h - other.y - other.h) < 90
            for other in found.positions
        )
        for one in plan.positions
    )
    assert near >= 0.6 * len(plan.positions), f"{near} of {len(plan.positions)}: {told}"
    assert set(found.view_of("c1").slots) <= {position.id for position in found.positions}


def test_a_photo_of_a_half_full_bay_proposes_its_shelves_and_says_that_it_is_not_full(tmp_path: Path) -> None:
    half, plan = photo_of(tmp_path, 0.5), build_planogram(demo_bay("a01", 7))
    size = f"{plan.width:g},{SEEN_MM},{plan.fixtures[0].d:g}"
    code, told = run(half, "--size", size, "--store", "shop", "--bay", "a01", "--out", tmp_path / "half.json")
    assert code == 0, told
    assert "warning: the shelf is not full" in told
    assert "t1: " in told
    assert len(read_model(tmp_path / "half.json", Planogram).fixtures) == len(plan.fixtures)


def test_what_is_missing_is_said(photo: tuple[Path, str], tmp_path: Path) -> None:
    assert run(photo)[0] == 2
    assert "--out" in run(photo)[1]
    code, told = run(photo, "--out", tmp_path / "p.json", "--size", "1000,1200")
    assert (code, "width,height,depth in mm" in told) == (2, True)
    code, told = run(photo, "--out", tmp_path / "p.json", "--size", "1000,1200,400")
    assert (code, "--store, --bay" in told) == (2, True)
    assert not (tmp_path / "p.json").exists()

"""Planograms: the example is taken, and each way to get it wrong is named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shelf_contracts.files import read_model, write_json
from shelf_contracts.planogram import Facings, Planogram, SlotView, polygon_area

Change = Callable[[dict[str, Any]], object]


def test_the_example_is_taken(planogram_content: dict[str, Any]) -> None:
    plan = Planogram.model_validate(planogram_content)
    assert plan.product_of("s1").gtin == "04006381333931"
    assert plan.position("s2").facings == Facings(h=1, v=1, d=1)
    assert plan.view_of("c1").slots["s1"].front[2] == (0.3, 0.4)
    assert plan.view_of("c1").slots["s1"].floor is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda p: p["products"].append(p["products"][0]),
            "products[2].id = 'beans': must be used once",
        ),
        (
            lambda p: p["fixtures"].append(p["fixtures"][0]),
            "fixtures[1].id = 'top': must be used once",
        ),
        (
            lambda p: p["positions"][1].update(id="s1"),
            "positions[1].id = 's1': must be used once",
        ),
        (
            lambda p: p["views"].append(p["views"][0]),
            "views[1].camera = 'c1': must be used once",
        ),
        (
            lambda p: p["positions"][1].update(productId="peas"),
            "positions[1].productId = 'peas': must be the id of one of products",
        ),
        (
            lambda p: p["positions"][0].update(fixtureId="floor"),
            "positions[0].fixtureId = 'floor': must be the id of one of fixtures",
        ),
        (
            lambda p: p["views"][0]["slots"].update(s9=[[0, 0], [1, 0], [1, 1]]),
            "views[0].slots = 's9': must be the id of one of positions",
        ),
        (
            lambda p: p["positions"][0].update(min_presentation=7),
            "positions[0].min_presentation = 7: must not exceed the capacity of 6",
        ),
        (
            lambda p: p["positions"][0].update(capacity=7),
            "positions[0].capacity = 7: must not exceed facings h x v x d = 6",
        ),
        (
            lambda p: p["positions"][1].update(x=900),
            "positions[1].x + w = 900 + 120 mm: must lie within",
        ),
        (
            lambda p: p["positions"][1].update(y=700),
            "positions[1].y + h = 700 + 200 mm: must lie within",
        ),
        (
            lambda p: p["positions"][1].update(x=150),
            "positions[1] = 's2', over positions[0] 's1' by 10 x 110 mm: must not",
        ),
        (lambda p: p["views"][0]["slots"].update(s1=[[0, 0], [1, 1], [0.5, 0.5]]), "front encloses no area"),
        (
            lambda p: p["views"][0]["slots"]["s2"].update(floor=[[0, 0], [1, 0], [0, 0], [1, 0]]),
            "floor encloses no area",
        ),
        (lambda p: p["views"][0]["slots"].update(s1=[[0, 0], [1, 1]]), "at least 3 items"),
        (lambda p: p["views"][0]["slots"].update(s1=[[0, 0], [1.1, 1], [0, 1]]), "must lie in the picture"),
        (lambda p: p["views"][0]["slots"]["s2"].update(floor=[[0, 0], [1, 0], [1, 1]]), "at least 4 items"),
        (lambda p: p["views"][0].update(slots={}), "at least 1 item"),
        (lambda p: p["positions"][0].update(w=0), "greater than 0"),
        (lambda p: p["positions"][0].update(x=float("nan")), "positions.0.x"),
        (lambda p: p["positions"][0]["facings"].update(h=0), "facings.h"),
        (lambda p: p["products"][0].update(gtin="4006381333932"), "check digit is 2 but should be 1"),
        (lambda p: p.update(unit="inch"), "unit"),
        (lambda p: p.update(schema="smartshelf.planogram.v2"), "smartshelf.planogram.v1"),
        (lambda p: p.update(bay="A 03"), "bay"),
        (lambda p: p.update(positions=[]), "positions"),
        (lambda p: p.update(colour="blue"), "colour"),
    ],
)
def test_what_is_wrong_is_named(planogram_content: dict[str, Any], change: Change, says: str) -> None:
    change(planogram_content)
    with pytest.raises(ValidationError) as caught:
        Planogram.model_validate(planogram_content)
    assert says in str(caught.value)


def test_several_mistakes_between_the_parts_are_told_together(planogram_content: dict[str, Any]) -> None:
    planogram_content["positions"][0].update(productId="peas", capacity=7)
    planogram_content["positions"][1].update(x=150)
    with pytest.raises(ValidationError) as caught:
        Planogram.model_validate(planogram_content)
    text = str(caught.value)
    for part in ("productId = 'peas'", "capacity = 7", "by 10 x 110 mm"):
        assert part in text


@pytest.mark.parametrize(("x", "fits"), [(160.0, True), (159.0, True), (158.9, False)])
def test_a_millimetre_of_overlap_is_measuring_error(planogram_content: dict[str, Any], x: float, fits: bool) -> None:
    planogram_content["positions"][1]["x"] = x
    if fits:
        Planogram.model_validate(planogram_content)
    else:
        with pytest.raises(ValidationError, match="overlap"):
            Planogram.model_validate(planogram_content)


def test_slots_above_one_another_do_not_overlap(planogram_content: dict[str, Any]) -> None:
    planogram_content["positions"][1].update(x=0, y=210)
    Planogram.model_validate(planogram_content)


def test_what_a_planogram_does_not_have_is_said(planogram_content: dict[str, Any]) -> None:
    plan = Planogram.model_validate(planogram_content)
    with pytest.raises(KeyError, match="has no slot 's9'"):
        plan.position("s9")
    with pytest.raises(KeyError, match="has no slot 's9'"):
        plan.product_of("s9")
    with pytest.raises(KeyError, match=r"no view of camera 'c9' \(it has: c1\)"):
        plan.view_of("c9")
    planogram_content["views"] = []
    with pytest.raises(KeyError, match="it has: none"):
        Planogram.model_validate(planogram_content).view_of("c1")


def test_a_planogram_written_to_a_file_is_read_back(planogram_content: dict[str, Any], tmp_path: Any) -> None:
    plan = Planogram.model_validate(planogram_content)
    file = tmp_path / "deep" / "plan.json"
    write_json(file, plan)
    assert read_model(file, Planogram) == plan
    assert '"productId"' in file.read_text()
    assert [part.name for part in file.parent.iterdir()] == ["plan.json"]


SHARES = st.floats(0, 1)
POLYGONS = st.lists(st.tuples(SHARES, SHARES), min_size=3, max_size=8)


@given(POLYGONS)
def test_turning_a_polygon_round_turns_the_sign_of_its_area(polygon: list[tuple[float, float]]) -> None:
    assert polygon_area(polygon[::-1]) == pytest.approx(-polygon_area(polygon), abs=1e-9)


@given(POLYGONS, st.integers(0, 7))
def test_the_first_corner_makes_no_difference(polygon: list[tuple[float, float]], start: int) -> None:
    start %= len(polygon)
    assert polygon_area(polygon[start:] + polygon[:start]) == pytest.approx(polygon_area(polygon), abs=1e-9)


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_the_area_of_a_rectangle_is_width_times_height(x: float, y: float, w: float, h: float) -> None:
    corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    assert polygon_area(corners) == pytest.approx(w * h)
    assert SlotView.model_validate(corners).front == corners


@given(st.permutations([0, 1]))
def test_the_order_of_positions_makes_no_difference_to_what_is_wrong(order: list[int]) -> None:
    content = copy.deepcopy(_OVERLAPPING)
    content["positions"] = [content["positions"][index] for index in order]
    with pytest.raises(ValidationError, match="by 10 x 10 mm"):
        Planogram.model_validate(content)


_OVERLAPPING: dict[str, Any] = {
    "schema": "smartshelf.planogram.v1", "id": "p", "store": "s", "bay": "b", "width": 100, "height": 100,
    "products": [{"id": "p", "w": 20, "h": 20}],
    "fixtures": [{"id": "f", "x": 0, "y": 0, "w": 100, "h": 100}],
    "positions": [
        {"id": f"s{n}", "productId": "p", "fixtureId": "f", "x": n * 10, "y": n * 10, "w": 20, "h": 20, "capacity": 1}
        for n in range(2)
    ],
}  # fmt: skip

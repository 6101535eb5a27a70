"""The demo's bays: enough slots and shapes, readable facings, floors that the camera sees."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shelf_contracts.planogram import Planogram, polygon_area
from shelf_simulator.app import demo_bay, demo_packs
from shelf_simulator.core.design import (
    BOARD_THICKNESS_MM,
    build_planogram,
    design_bay,
    floor_corners_mm,
    front_corners_mm,
)
from shelf_simulator.core.packs import invent_pack

BAYS = ("a01", "a02", "a03", "a04")


@pytest.mark.parametrize("bay", BAYS)
def test_a_bay_is_rich_enough(bay: str) -> None:
    design = demo_bay(bay, 7)
    assert len(design.shelves) == 4
    assert len(design.slots) >= 20
    assert len({slot.pack.gtin for slot in design.slots}) == len(design.slots)
    assert {slot.pack.shape for slot in design.slots} == {"box", "can", "bottle", "bag"}
    assert all(2 <= slot.rows <= 4 for slot in design.slots)
    assert all(slot.capacity - slot.min_presentation >= 3 for slot in design.slots)


@pytest.mark.parametrize("bay", BAYS)
def test_facings_are_wide_enough_to_count(bay: str) -> None:
    design = demo_bay(bay, 7)
    widths = []
    for slot in design.slots:
        corners = design.camera.project(front_corners_mm(slot))
        widths.append((corners[2, 0] - corners[3, 0]) / slot.columns)
    assert min(widths) > 38
    assert float(np.median(widths)) > 45


@pytest.mark.parametrize("bay", BAYS)
def test_items_fit_their_slots(bay: str) -> None:
    design = demo_bay(bay, 7)
    for slot in design.slots:
        assert slot.pack.width_mm <= slot.column_pitch_mm
        assert slot.pack.depth_mm <= design.depth_mm / slot.rows
        assert slot.pack.height_mm < slot.shelf.space_mm + 1
    for one, other in zip(design.slots, design.slots[1:], strict=False):
        if one.shelf == other.shelf:
            assert one.x_mm + one.width_mm <= other.x_mm + 0.01


@pytest.mark.parametrize("bay", BAYS)
def test_the_base_of_every_item_is_seen_on_an_empty_shelf(bay: str) -> None:
    design = demo_bay(bay, 7)
    for slot in design.slots:
        above = [shelf.board_y_mm for shelf in design.shelves if shelf.board_y_mm < slot.shelf.board_y_mm]
        rear_base_z = slot.row_z_mm(0, design.depth_mm) - slot.pack.depth_mm / 2
        x = slot.x_mm + slot.width_mm / 2
        base = design.camera.project([(x, slot.shelf.board_y_mm, rear_base_z)])[0]
        assert 0 < base[1] < design.camera.height_px
        if above:
            lip = design.camera.project([(x, max(above) + BOARD_THICKNESS_MM + 12, 0.0)])[0]
            assert base[1] > lip[1] + 3, f"{slot.id}: the board above hides the rear row"


@pytest.mark.parametrize("bay", BAYS)
def test_the_planogram_validates_and_survives_its_file(bay: str) -> None:
    design = demo_bay(bay, 7)
    plan = build_planogram(design)
    again = Planogram.model_validate(json.loads(plan.model_dump_json(by_alias=True)))
    assert again == plan
    assert plan.store == "demo"
    view = plan.view_of("c1")
    assert set(view.slots) == {slot.id for slot in design.slots}
    for slot in design.slots:
        position = plan.position(slot.id)
        assert position.capacity == slot.columns * slot.rows == position.facings.items
        assert 0 < position.min_presentation <= position.capacity
        floor = view.slots[slot.id].floor
        assert floor is not None
        (fl_x, fl_y), (fr_x, fr_y), (br_x, br_y), (bl_x, bl_y) = floor
        assert fl_x < fr_x
        assert bl_x < br_x
        assert bl_y < fl_y
        assert br_y < fr_y
        assert abs(polygon_area(view.slots[slot.id].front)) > 0.001


def test_a_view_is_the_projection_of_the_slot() -> None:
    design = demo_bay("a01", 7)
    slot = design.slots[8]
    view = build_planogram(design).view_of("c1").slots[slot.id]
    expected = design.camera.project(floor_corners_mm(slot, design.depth_mm)) / (960, 540)
    assert np.array(view.floor) == pytest.approx(expected, abs=1e-4)


def test_bays_and_seeds_differ_and_repeat() -> None:
    packs = demo_packs()
    assert design_bay("a01", packs, 7) == design_bay("a01", packs, 7)
    assert design_bay("a01", packs, 7).slots != design_bay("a02", packs, 7).slots
    assert design_bay("a01", packs, 7).slots != design_bay("a01", packs, 8).slots


def test_too_few_products_are_refused() -> None:
    with pytest.raises(ValueError, match="too few products"):
        design_bay("a01", demo_packs()[:8], 7)


def test_invented_packs_have_valid_gtins_for_use_in_one_shop() -> None:
    from shelf_contracts.ids import is_restricted_gtin, parse_gtin

    rng = np.random.default_rng(5)
    for _ in range(50):
        pack = invent_pack(rng)
        assert parse_gtin(pack.gtin) == pack.gtin
        assert is_restricted_gtin(pack.gtin)
        assert min(pack.width_mm, pack.height_mm, pack.depth_mm) > 0

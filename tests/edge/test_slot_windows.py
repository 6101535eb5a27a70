"""What is asked once for all slots is what each would be told alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_edge.core.geometry import share_covered
from shelf_edge.core.slot_view import Standing, bay_geometry, view_slot
from shelf_edge.core.slot_windows import SlotWindows, Windows
from shelf_testing.planograms import one_slot_planogram

GEOMETRY = bay_geometry(one_slot_planogram(), "c1", 640, 360)
side = st.floats(-50, 700, width=32)
boxes_px = st.lists(st.tuples(side, side, side, side), max_size=4).map(
    lambda rows: np.array([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in rows], np.float32)
)


@given(boxes_px)
def test_each_group_is_covered_as_if_it_were_alone(boxes: np.ndarray) -> None:
    boxes = boxes.reshape(-1, 4)
    rng = np.random.default_rng(len(boxes))
    groups = [rng.uniform(-20, 660, (size, 2)) for size in (1, 7, 30)]
    assert Windows(groups).covered_by(boxes).tolist() == [share_covered(points, boxes) for points in groups]


def test_a_mask_is_asked_at_every_point_and_those_outside_are_taken_to_its_edge() -> None:
    mask = np.zeros((90, 160), bool)
    mask[:, 80:] = True
    groups = [np.array([[10.0, 10.0], [630.0, 10.0]]), np.array([[9999.0, -50.0]]), np.array([[-9.0, 9999.0]])]
    assert Windows(groups).covered_in(mask, 4).tolist() == [0.5, 1.0, 0.0]
    assert Windows(groups).covered_in(~mask, 4).tolist() == [0.5, 0.0, 1.0]


def test_no_slots_at_all_are_no_trouble() -> None:
    windows = SlotWindows([])
    assert not len(windows.slots.covered_by(np.ones((1, 4), np.float32)))
    assert not len(windows.columns.covered_in(np.ones((4, 4), bool), 1))


def test_a_slots_columns_are_found_among_all() -> None:
    windows = SlotWindows(GEOMETRY)
    half = np.array([[0, 0, GEOMETRY[0].front[:, 0].mean(), 360]], np.float32)
    shares = windows.columns.covered_by(half)[windows.columns_of(GEOMETRY[0])]
    assert len(shares) == GEOMETRY[0].columns
    assert shares[0] == 1.0
    assert shares[-1] == 0.0


@given(boxes_px, st.integers(0, 4))
def test_boxes_far_from_a_slot_change_nothing_in_it(boxes: np.ndarray, sure: int) -> None:
    boxes, slot = boxes.reshape(-1, 4), GEOMETRY[0]
    found = Standing.of(boxes[:sure], boxes[sure:])
    covered = [0.0] * slot.columns
    seen, near = view_slot(slot, found, covered), view_slot(slot, found.near(slot), covered)
    assert [(view.visible, view.is_whole, view.is_full) for view in seen] == [
        (view.visible, view.is_whole, view.is_full) for view in near
    ]
    assert [view.depth for view in seen] == pytest.approx([view.depth for view in near], nan_ok=True)

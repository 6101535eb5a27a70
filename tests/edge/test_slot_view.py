from __future__ import annotations

import numpy as np
import pytest

from shelf_edge.bench import bench_planogram
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.geometry import project
from shelf_edge.core.slot_view import SlotGeometry, Standing, bay_geometry, view_slot
from shelf_testing.planograms import one_slot_planogram


def geometry() -> SlotGeometry:
    return bay_geometry(one_slot_planogram(), "c1", 640, 360)[0]


def boxes(*places: tuple[float, float, float], kind: Kind, score: float) -> Detections:
    """Items at (column, row, size): 0.5 is the first column's middle, 0.0 the front row, 1.0 the item's own size."""
    slot = geometry()
    assert slot.to_board is not None
    to_picture = np.linalg.inv(slot.to_board)
    corners = []
    for column, row, size in places:
        across, depth = column / slot.columns, (row + slot.front_gap) / slot.rows
        half = slot.item_width / 2
        left, right, base = project(
            to_picture, np.array([[across - half, depth], [across + half, depth], [across, depth]])
        )
        wide = float(np.hypot(*(right - left))) * size
        high = slot.item_aspect * wide
        corners.append([base[0] - wide / 2, base[1] - high, base[0] + wide / 2, base[1]])
    count = len(corners)
    return Detections(
        np.array(corners, np.float32).reshape(-1, 4),
        np.full(count, score, np.float32),
        np.full(count, int(kind), np.uint8),
    )


def depths(sure: Detections, faint: Detections) -> list[float | None]:
    views = view_slot(geometry(), Standing.of(sure.boxes_px, faint.boxes_px), [0.0] * geometry().columns)
    return [round(view.depth - geometry().front_gap, 1) if view.visible else None for view in views]


SURE = boxes((0.5, 1.0, 1.0), kind=Kind.PRODUCT, score=0.9)


@pytest.mark.parametrize(
    ("place", "seen"),
    [
        ((1.5, 2.0, 1.0), 2.0),
        ((1.5, 0.0, 1.0), 0.0),
        ((1.5, 1.5, 1.0), None),
        ((1.85, 2.0, 1.0), None),
        ((1.5, 2.0, 0.5), None),
        ((1.5, 2.0, 1.6), None),
        ((1.5, 3.0, 1.0), None),
        ((1.5, -1.0, 1.0), None),
    ],
    ids=["at the rear", "in front", "between rows", "beside its column", "too small", "too large", "behind", "before"],
)
def test_a_faint_product_counts_only_where_an_item_may_stand_just_so(
    place: tuple[float, float, float], seen: float | None
) -> None:
    assert depths(SURE, boxes(place, kind=Kind.FAINT_PRODUCT, score=0.1)) == [1.0, seen]


def test_a_faint_product_before_a_sure_one_is_the_nearest_of_its_column() -> None:
    assert depths(SURE, boxes((0.5, 0.0, 1.0), kind=Kind.FAINT_PRODUCT, score=0.1)) == [0.0, None]


def test_without_faint_ones_nothing_changes() -> None:
    none = Detections.none()
    assert depths(SURE, none) == [1.0, None]
    assert depths(none, none) == [None, None]


def test_a_camera_that_looks_down_steeply_sees_no_rear_row_under_a_board() -> None:
    slots = bay_geometry(bench_planogram(), "c1", 1280, 720)
    hidden = [slot.hidden_rows for slot in slots[::6]]
    assert hidden[0] == 0, "nothing is above the uppermost shelf"
    assert hidden == sorted(hidden), "the lower a shelf, the more is hidden"
    assert all(0 < rows < slot.rows for rows, slot in zip(hidden[1:], slots[6::6], strict=True))
    assert geometry().hidden_rows == 0

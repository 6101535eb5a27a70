"""What one frame says about one slot: how far back the nearest item of each column stands.

A shelf camera looks down on the boards, so the point where an item stands tells how deep it stands, without any second
camera. Shops fill a column from the rear, so an item at depth row k of d has d - k items from itself to the rear: those
behind it are not seen but follow. That is why a count is a range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelf_contracts.planogram import Planogram, Position, SlotView
from shelf_edge.core.detections import Detections
from shelf_edge.core.geometry import Points, contains, interior_points, project, unit_square_from

# A base may be found this far (share of the board) outside the board: boxes are a pixel or two off.
_SIDE_MARGIN = 0.04
_FRONT_MARGIN = 0.35
_REAR_MARGIN = 0.25
# Without a board, an item stands in the slot when its base lies in the lowest part of the slot's space.
_STANDING_SHARE = 0.4


@dataclass(frozen=True)
class SlotGeometry:
    """A slot as one camera sees it, in pixels.

    Attributes:
        slot: its id.
        front: (k, 2) polygon of its space.
        floor: (4, 2) board, or None.
        to_board: homography from pixels to the board (u across, v into the shelf), or None.
        samples: (n, 2) points spread over front and floor, for shares of area.
        columns, rows: facings h and d.
        front_gap: how far (in rows) an item's own front stands behind the front of its row, from the planogram's
            millimetres: a thin item in a deep row is seen to stand further back than the row begins.
        capacity, min_presentation: items it is meant to hold, and the number that counts as low.
    """

    slot: str
    front: Points
    floor: Points | None
    to_board: Points | None
    samples: Points
    columns: int
    rows: int
    front_gap: float
    capacity: int
    min_presentation: int

    def holds_point(self, x_px: float, y_px: float) -> bool:
        """True when the point lies in the slot's space or over its board."""
        point = np.array([[x_px, y_px]])
        return bool(contains(self.front, point)[0]) or (self.floor is not None and bool(contains(self.floor, point)[0]))


def slot_geometry(
    planogram: Planogram, position: Position, view: SlotView, width_px: int, height_px: int
) -> SlotGeometry:
    """The slot in pixels of a picture of that size. Raises: ValueError when the board has no area."""
    size = np.array([width_px, height_px], float)
    front = np.array(view.front, float) * size
    floor = np.array(view.floor, float) * size if view.floor is not None else None
    samples = interior_points(front)
    if floor is not None:
        samples = np.concatenate([samples, interior_points(floor, across=8)])
    return SlotGeometry(
        slot=position.id,
        front=front,
        floor=floor,
        to_board=unit_square_from(floor) if floor is not None else None,
        samples=samples,
        columns=position.facings.h,
        rows=position.facings.d,
        front_gap=_front_gap(planogram, position),
        capacity=position.capacity,
        min_presentation=position.min_presentation,
    )


def _front_gap(planogram: Planogram, position: Position) -> float:
    shelf_depth_mm = next(fixture.d for fixture in planogram.fixtures if fixture.id == position.fixture_id)
    row_mm = shelf_depth_mm / position.facings.d
    gap_mm = (row_mm - planogram.product_of(position.id).d) / 2
    return min(max(gap_mm / row_mm, 0.0), 0.5)


def bay_geometry(planogram: Planogram, camera: str, width_px: int, height_px: int) -> list[SlotGeometry]:
    """Every slot the camera sees, in the planogram's order. Raises: KeyError when the planogram lacks the camera."""
    view = planogram.view_of(camera)
    return [
        slot_geometry(planogram, position, view.slots[position.id], width_px, height_px)
        for position in planogram.positions
        if position.id in view.slots
    ]


@dataclass(frozen=True)
class ColumnView:
    """One column of a slot in one frame.

    Attributes:
        visible: items of it that are seen.
        depth: how deep the nearest one's base lies, in rows (0 the front edge, ``rows`` the back); nan when none is
            seen.
    """

    visible: int
    depth: float


def view_slot(geometry: SlotGeometry, products: Detections) -> tuple[ColumnView, ...]:
    """The slot's columns, left to right, as one frame shows them.

    Args:
        geometry: the slot.
        products: detections of kind product, in picture pixels.
    Returns: one ColumnView per column; a slot without a board has a single column whose ``visible`` is its count.
    """
    boxes = products.boxes_px.astype(float)
    bases = np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]]) if len(boxes) else np.zeros((0, 2))
    if geometry.to_board is None:
        standing = int(_stands_in(geometry.front, bases).sum())
        return (ColumnView(standing, 0.0 if standing else float("nan")),)
    on_board = project(geometry.to_board, bases)
    u, v = on_board[:, 0], on_board[:, 1]
    here = (u > -_SIDE_MARGIN) & (u < 1 + _SIDE_MARGIN)
    here &= (v > -_FRONT_MARGIN) & (v < 1 + _REAR_MARGIN) & np.isfinite(v)
    columns = np.clip((u * geometry.columns).astype(int), 0, geometry.columns - 1)
    views = []
    for column in range(geometry.columns):
        depths = v[here & (columns == column)] * geometry.rows
        nearest = float(depths.min()) if len(depths) else float("nan")
        views.append(ColumnView(len(depths), nearest))
    return tuple(views)


def _stands_in(front: Points, bases: Points) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which bases (n, 2) lie in the lowest part of the polygon, give or take a little below it."""
    if not len(bases):
        return np.zeros(0, bool)
    top, bottom = front[:, 1].min(), front[:, 1].max()
    height = bottom - top
    low_enough = bases[:, 1] >= bottom - _STANDING_SHARE * height
    # A base just under the polygon still stands in it: pull it up to the polygon's own bottom line.
    pulled = np.column_stack([bases[:, 0], np.minimum(bases[:, 1], bottom - 0.02 * height)])
    near_enough = bases[:, 1] <= bottom + 0.15 * height
    result: np.ndarray[tuple[int], np.dtype[np.bool_]] = low_enough & near_enough & contains(front, pulled)
    return result

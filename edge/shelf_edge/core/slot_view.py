"""What one frame says about one slot: how far back the nearest item of each column stands.

A shelf camera looks down on the boards, so the point where an item stands tells how deep it stands, without any second
camera. Shops fill a column from the rear, so an item at depth row k of d has d - k items from itself to the rear: those
behind it are not seen but follow. That is why a count is a range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shelf_contracts.planogram import Planogram, Position, SlotView, View
from shelf_edge.core.detections import Boxes, Detections
from shelf_edge.core.geometry import Matrix, Points, base_points, contains, interior_points, project, unit_square_from

# A base may be found this far outside the board: boxes are a pixel or two off. What is further in front is held, not
# standing.
_SIDE_MARGIN = 0.04
_FRONT_MARGIN_ROWS = 0.5
_REAR_MARGIN_ROWS = 0.9
# An item is seen whole when its box is about as wide and high as it should be there. A smaller box belongs to an item
# that something hides in part, a larger one to an item held nearer to the camera: neither tells where it stands.
_WHOLE_SHARES = (0.78, 1.3)
# A box whose top is this near to the ceiling reaches up to it: in item widths, and below the upper edge of the board
# above, whose front with its price rail is a few centimetres high.
_CEILING_SHARE = 0.45
_BOARD_FRONT_MM = 45.0
# One that ends there and shows less than this share of an item's height may be taken for another product; labels make
# boards a little thicker.
_CUT_SHARE, _LEAST_HEIGHT_SHARE = 0.8, 0.45
# Of an item that shows less of its height than this below the board above, often nothing is found.
_HARDLY_SEEN_SHARE = 0.4
# What the detector is not sure of must stand so near to the middle of a column (in columns) and to a row (in rows).
_FAINT_ASIDE, _FAINT_ROWS = 0.25, 0.3
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
        column_samples: the same points by column; one array for a slot without a board.
        columns, rows: facings h and d.
        front_gap: how far (in rows) an item's own front stands behind the front of its row, from the planogram's
            millimetres: a thin item in a deep row is seen to stand further back than the row begins.
        item_width: width of an item, as a share of the board's front edge.
        item_aspect: how high an item's box is to its width: its front and its top as seen at the camera's angle.
        ceiling_px: y of the front edge of the board above (or of the picture): what reaches it may go on behind it.
        board_front_px: how high the front of the board above looks, with its price rail; 0 where there is none.
        capacity, min_presentation: items it is meant to hold, and the number that counts as low.
        to_picture: the way back from the board, or None.
        reach_px: x1 y1 x2 y2 around every place at which something still stands on the board.
        hidden_rows: so many of the rear rows are hidden by the board above: one that stands alone there is hardly seen.
    """

    slot: str
    front: Points
    floor: Points | None
    to_board: Points | None
    samples: Points
    column_samples: tuple[Points, ...]
    columns: int
    rows: int
    front_gap: float
    item_width: float
    item_aspect: float
    ceiling_px: float
    board_front_px: float
    capacity: int
    min_presentation: int
    to_picture: Matrix | None
    reach_px: tuple[float, float, float, float]
    hidden_rows: int = 0

    def holds_point(self, x_px: float, y_px: float) -> bool:
        """True when the point lies in the slot's space or over its board."""
        if not any(x1 <= x_px <= x2 and y1 <= y_px <= y2 for x1, y1, x2, y2 in self._around):
            return False
        point = np.array([[x_px, y_px]])
        return bool(contains(self.front, point)[0]) or (self.floor is not None and bool(contains(self.floor, point)[0]))

    @cached_property
    def _around(self) -> tuple[tuple[float, float, float, float], ...]:
        """x1 y1 x2 y2 around the slot's space, and around its board."""
        polygons = (self.front,) if self.floor is None else (self.front, self.floor)
        return tuple(_as_box(np.concatenate([polygon.min(axis=0), polygon.max(axis=0)])) for polygon in polygons)


def slot_geometry(
    planogram: Planogram, position: Position, view: View, width_px: int, height_px: int, warp: Matrix | None = None
) -> SlotGeometry:
    """The slot in pixels of a picture of that size.

    Args:
        warp: (3, 3), where a pixel of the view lies now that the camera moved; None when it did not.
    Raises: ValueError when the board has no area.
    """
    slot_view = view.slots[position.id]
    size = np.array([width_px, height_px], float)
    moved = np.eye(3) if warp is None else warp
    front: Points = project(moved, np.array(slot_view.front, float) * size)
    floor = project(moved, np.array(slot_view.floor, float) * size) if slot_view.floor is not None else None
    ceiling = np.array([[front[:, 0].mean(), _ceiling(slot_view, view) * height_px]])
    samples = interior_points(front)
    if floor is not None:
        samples = np.concatenate([samples, interior_points(floor, across=8)])
    to_board = unit_square_from(floor) if floor is not None else None
    to_picture: Matrix | None = None if to_board is None else np.asarray(np.linalg.inv(to_board), np.float64)
    geometry = SlotGeometry(
        slot=position.id,
        front=front,
        floor=floor,
        to_board=to_board,
        samples=samples,
        column_samples=_by_column(samples, front, position.facings.h if floor is not None else 1),
        columns=position.facings.h,
        rows=position.facings.d,
        front_gap=_front_gap(planogram, position),
        item_width=planogram.product_of(position.id).w / position.w,
        item_aspect=_item_aspect(planogram, position, floor) if floor is not None else 0.0,
        ceiling_px=float(project(moved, ceiling)[0, 1]),
        board_front_px=_board_front_px(position, floor) if floor is not None and ceiling[0, 1] > 0 else 0.0,
        capacity=position.capacity,
        min_presentation=position.min_presentation,
        to_picture=to_picture,
        reach_px=_reach(to_picture, position.facings.d),
    )
    return replace(geometry, hidden_rows=_hidden_rows(geometry))


def _hidden_rows(geometry: SlotGeometry) -> int:
    if geometry.to_picture is None or geometry.ceiling_px <= 0:
        return 0
    v = (np.arange(geometry.rows) + geometry.front_gap) / geometry.rows
    aside = geometry.item_width / 2
    left, right = (
        project(geometry.to_picture, np.column_stack([np.full_like(v, 0.5 + u), v])) for u in (-aside, aside)
    )
    height = geometry.item_aspect * np.hypot(*(right - left).T)
    seen = (left[:, 1] + right[:, 1]) / 2 - geometry.ceiling_px
    return int((seen < _HARDLY_SEEN_SHARE * height).sum())


def _reach(to_picture: Matrix | None, rows: int) -> tuple[float, float, float, float]:
    """A box around all places on the board that count, and beside it; all there is when it reaches to the horizon."""
    everywhere = (-math.inf, -math.inf, math.inf, math.inf)
    if to_picture is None:
        return everywhere
    front, rear = -_FRONT_MARGIN_ROWS / rows, 1 + _REAR_MARGIN_ROWS / rows
    corners = np.array([[u, v] for u in (-_SIDE_MARGIN, 1 + _SIDE_MARGIN) for v in (front, rear)])
    sides = np.column_stack([corners, np.ones(4)]) @ to_picture[2]
    if sides.min() * sides.max() <= 0:
        return everywhere
    places = project(to_picture, corners)
    (x1, y1), (x2, y2) = places.min(axis=0) - 1, places.max(axis=0) + 1
    return float(x1), float(y1), float(x2), float(y2)


def _by_column(samples: Points, front: Points, columns: int) -> tuple[Points, ...]:
    """Points (n, 2) by the column they lie in, left to right; a column without one gets the nearest."""
    left, right = front[:, 0].min(), front[:, 0].max()
    edges = np.linspace(left, right, columns + 1)
    place = np.clip(np.searchsorted(edges, samples[:, 0], side="right") - 1, 0, columns - 1)
    nearest = [np.abs(samples[:, 0] - (edges[i] + edges[i + 1]) / 2).argmin() for i in range(columns)]
    return tuple(
        samples[place == i] if (place == i).any() else samples[nearest[i] : nearest[i] + 1] for i in range(columns)
    )


def _shelf_depth_mm(planogram: Planogram, position: Position) -> float:
    return next(fixture.d for fixture in planogram.fixtures if fixture.id == position.fixture_id)


def _front_gap(planogram: Planogram, position: Position) -> float:
    row_mm = _shelf_depth_mm(planogram, position) / position.facings.d
    gap_mm = (row_mm - planogram.product_of(position.id).d) / 2
    return min(max(gap_mm / row_mm, 0.0), 0.5)


def _board_front_px(position: Position, floor: Points) -> float:
    return _BOARD_FRONT_MM * float(np.hypot(*(floor[1] - floor[0]))) / position.w


def _ceiling(slot_view: SlotView, view: View) -> float:
    """The lowest front edge of a board above this slot that crosses it, as a share of the picture's height; else 0."""
    if slot_view.floor is None:
        return 0.0
    (left, own_left_y), (right, own_right_y) = slot_view.floor[:2]
    own_y = (own_left_y + own_right_y) / 2
    edges = [other.floor[:2] for other in view.slots.values() if other.floor is not None]
    above = [(y1 + y2) / 2 for (x1, y1), (x2, y2) in edges if x1 < right and x2 > left and (y1 + y2) / 2 < own_y - 0.02]
    return max(above, default=0.0)


def _item_aspect(planogram: Planogram, position: Position, floor: Points) -> float:
    """Height of an item's box to its width. How steeply the camera looks down follows from how deep the board looks."""
    product = planogram.product_of(position.id)
    shelf_depth_mm = _shelf_depth_mm(planogram, position)
    front_px = float(np.hypot(*(floor[1] - floor[0])))
    deep_px = float(np.hypot(*((floor[3] + floor[2] - floor[1] - floor[0]) / 2)))
    sine = min(deep_px * position.w / (front_px * shelf_depth_mm), 0.99)
    return (product.h * math.sqrt(1 - sine**2) + product.d * sine) / product.w


def bay_geometry(
    planogram: Planogram, camera: str, width_px: int, height_px: int, warp: Matrix | None = None
) -> list[SlotGeometry]:
    """Every slot the camera sees, in the planogram's order; ``warp`` as for ``slot_geometry``.

    Raises: KeyError when the planogram lacks the camera.
    """
    view = planogram.view_of(camera)
    return [
        slot_geometry(planogram, position, view, width_px, height_px, warp)
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
        is_whole: nothing hides that one, so that its depth can be believed.
        covered: share of the column that lies under hands, arms and bodies.
        is_full: its full height is seen; an item may be whole without, when the board above hides its top.
        is_behind_lying: an item that fell over lies before it.
    """

    visible: int
    depth: float
    is_whole: bool = True
    covered: float = 0.0
    is_full: bool = True
    is_behind_lying: bool = False


@dataclass(frozen=True, eq=False)
class Standing:
    """What one look found, made ready for all slots.

    Attributes:
        boxes: (n, 4) in picture pixels. bases: (n, 2), where they stand.
        is_faint: (n,), those the detector is not sure of.
    """

    boxes: Points
    bases: Points
    is_faint: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, sure_px: Boxes, faint_px: Boxes) -> Standing:
        boxes = np.concatenate([sure_px, faint_px]).astype(float)
        is_faint = np.zeros(len(boxes), bool)
        is_faint[len(sure_px) :] = True
        return cls(boxes, base_points(boxes), is_faint)

    def near(self, geometry: SlotGeometry) -> Standing:
        """Those that may stand on the slot's board."""
        x1, y1, x2, y2 = geometry.reach_px
        x, y = self.bases[:, 0], self.bases[:, 1]
        here = ((x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)).nonzero()[0]
        return Standing(self.boxes[here], self.bases[here], self.is_faint[here])


def view_slot(geometry: SlotGeometry, found: Standing, covered: Sequence[float]) -> tuple[ColumnView, ...]:
    """The slot's columns, left to right, as one frame shows them.

    Args:
        geometry: the slot.
        found: what the detector saw, at least near the slot; faint boxes count where an item may stand just so.
        covered: share of each column that lies under hands, arms and bodies, 0 to 1.
    Returns: one ColumnView per column; a slot without a board has a single column whose ``visible`` is its count.
    """
    if geometry.to_board is None:
        standing = int(_stands_in(geometry.front, found.bases[~found.is_faint]).sum())
        return (ColumnView(standing, 0.0 if standing else math.nan, covered=covered[0]),)
    if not len(found.boxes):
        return tuple(ColumnView(0, math.nan, covered=share) for share in covered)
    boxes, on_board = found.boxes, project(geometry.to_board, found.bases)
    u, v = on_board[:, 0], on_board[:, 1]
    stands = (u > -_SIDE_MARGIN) & (u < 1 + _SIDE_MARGIN)
    depths = v * geometry.rows
    stands &= (depths > -_FRONT_MARGIN_ROWS) & (depths < geometry.rows + _REAR_MARGIN_ROWS) & np.isfinite(v)
    columns = np.clip((u * geometry.columns).astype(int), 0, geometry.columns - 1)
    sizes = _sizes(geometry, boxes, on_board)
    if found.is_faint.any():
        stands &= ~found.is_faint | (sizes.whole & _may_stand(geometry, on_board))
    views = []
    for column in range(geometry.columns):
        members = np.flatnonzero(stands & (columns == column))
        if not len(members):
            views.append(ColumnView(0, math.nan, covered=covered[column]))
            continue
        nearest = members[depths[members].argmin()]
        views.append(
            ColumnView(
                len(members),
                float(depths[nearest]),
                bool(sizes.whole[nearest]),
                covered[column],
                bool(sizes.full[nearest]),
            )
        )
    return tuple(views)


@dataclass(frozen=True, eq=False)
class _Sizes:
    """Which boxes (n,) are as large as an item at their place should look, and which show it in its full height.

    ``cut``: what the board above or the end of the picture hides the top of.
    """

    whole: npt.NDArray[np.bool_]
    full: npt.NDArray[np.bool_]
    cut: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ShownItem:
    """An item that can be looked at: in which column of its slot, and its box, x1 y1 x2 y2 in picture pixels.

    ``is_cut``: its top is hidden, so that it may be taken for another product.
    """

    column: int
    box_px: tuple[float, float, float, float]
    is_cut: bool = False


_MOST_HIDDEN = 0.1
_LEAST_SHOWN_PX = 18.0


def covered_columns(columns: Sequence[ColumnView]) -> frozenset[int]:
    """The columns that somebody covers, so that nothing in them should be looked at."""
    return frozenset(index for index, column in enumerate(columns) if column.covered > _MOST_HIDDEN)


def shown_items(geometry: SlotGeometry, products: Detections, columns: Sequence[ColumnView]) -> list[ShownItem]:
    """Of each column the nearest item, when nobody covers the column.

    Without a board: up to three of the largest that stand in the slot.

    Args:
        columns: what ``view_slot`` made of the same look.
    """
    covered = covered_columns(columns)
    boxes = products.boxes_px.astype(float)
    if not len(boxes) or len(covered) == len(columns):
        return []
    sides = boxes[:, 2:] - np.maximum(boxes[:, :2], 0.0)
    large = (sides >= _LEAST_SHOWN_PX).all(axis=1)
    bases = base_points(boxes)
    if geometry.to_board is None:
        standing = np.flatnonzero(_stands_in(geometry.front, bases) & large)
        largest = sorted(standing, key=lambda row: -float(sides[row].prod()))[:3]
        return [ShownItem(0, _as_box(boxes[row])) for row in largest]
    on_board = project(geometry.to_board, bases)
    u, depths = on_board[:, 0], on_board[:, 1] * geometry.rows
    here = (u > 0) & (u < 1) & (depths > -_FRONT_MARGIN_ROWS) & (depths < geometry.rows) & np.isfinite(depths)
    here &= large  # of any size: what does not belong there may be larger or smaller than what does
    cut = _sizes(geometry, boxes, on_board).cut
    at = np.clip((u * geometry.columns).astype(int), 0, geometry.columns - 1)
    found = []
    for column in range(geometry.columns):
        members = np.flatnonzero(here & (at == column))
        if len(members) and column not in covered:
            nearest = members[depths[members].argmin()]
            found.append(ShownItem(column, _as_box(boxes[nearest]), bool(cut[nearest])))
    return found


def _may_stand(geometry: SlotGeometry, on_board: Points) -> npt.NDArray[np.bool_]:
    """Which places (n, 2) on the board are in the middle of a column and on one of the slot's rows."""
    across, depths = on_board[:, 0] * geometry.columns, on_board[:, 1] * geometry.rows - geometry.front_gap
    here = (across > 0) & (across < geometry.columns) & (depths > -0.5) & (depths < geometry.rows - 0.5)
    here &= np.abs(across - np.floor(across) - 0.5) < _FAINT_ASIDE
    here &= np.abs(depths - np.round(depths)) < _FAINT_ROWS
    return np.asarray(here, np.bool_)


def _as_box(row: Points) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(value) for value in row)
    return x1, y1, x2, y2


def _sizes(geometry: SlotGeometry, boxes: Points, on_board: Points) -> _Sizes:
    """Compare boxes (n, 4) with an item that stands at their places on the board (n, 2)."""
    to_picture = geometry.to_picture
    if not len(boxes) or to_picture is None:
        return _Sizes(np.ones(len(boxes), bool), np.ones(len(boxes), bool), np.zeros(len(boxes), bool))
    aside = np.array([geometry.item_width / 2, 0.0])
    ends: Points = project(to_picture, np.concatenate([on_board - aside, on_board + aside]))
    spans = ends[len(boxes) :] - ends[: len(boxes)]
    expected = np.hypot(spans[:, 0], spans[:, 1])
    sides = boxes[:, 2:] - boxes[:, :2]
    least, most = _WHOLE_SHARES
    ratios = sides / np.column_stack([expected, geometry.item_aspect * expected])
    small, large = ratios < least, ratios > most
    full: npt.NDArray[np.bool_] = ~(small | large).any(axis=1)
    # The board above hides the tops of what stands at the rear, and the picture ends somewhere: bases are seen all the
    # same.
    reaches = boxes[:, 1] <= geometry.ceiling_px + np.maximum(_CEILING_SHARE * expected, geometry.board_front_px)
    cut: npt.NDArray[np.bool_] = boxes[:, 1] <= geometry.ceiling_px + _CUT_SHARE * expected
    cut &= ratios[:, 1] < _LEAST_HEIGHT_SHARE
    small[:, 1] &= ~reaches
    return _Sizes(~(small | large).any(axis=1), full, cut)


def _stands_in(front: Points, bases: Points) -> npt.NDArray[np.bool_]:
    """Which bases (n, 2) lie in the lowest part of the polygon, give or take a little below it."""
    if not len(bases):
        return np.zeros(0, bool)
    top, bottom = front[:, 1].min(), front[:, 1].max()
    height = bottom - top
    low_enough = bases[:, 1] >= bottom - _STANDING_SHARE * height
    # A base just under the polygon still stands in it: pull it up to the polygon's own bottom line.
    pulled = np.column_stack([bases[:, 0], np.minimum(bases[:, 1], bottom - 0.02 * height)])
    near_enough = bases[:, 1] <= bottom + 0.15 * height
    result: npt.NDArray[np.bool_] = low_enough & near_enough & contains(front, pulled)
    return result

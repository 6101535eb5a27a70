"""What of each slot, and of each of its columns, lies under something: asked once a look for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Boxes
from shelf_edge.core.geometry import Points
from shelf_edge.core.slot_view import SlotGeometry

Shares = npt.NDArray[np.float64]


class Windows:
    """Groups of points, in picture pixels; what is said of the groups is in their order.

    Args:
        groups: arrays (n, 2), none of them empty.
    """

    def __init__(self, groups: Sequence[Points]) -> None:
        self._lengths = np.array([len(points) for points in groups], np.intp)
        self._starts = np.concatenate([np.zeros(1, np.intp), np.cumsum(self._lengths)])[: len(groups)]
        points = np.concatenate([np.zeros((0, 2)), *groups])
        self._x, self._y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
        self._places: npt.NDArray[np.intp] = np.zeros(0, np.intp)
        self._places_of: tuple[int, tuple[int, ...]] = (0, ())

    def covered_by(self, boxes_px: Boxes) -> Shares:
        """Share of each group that lies in any of (m, 4) boxes, 0 to 1."""
        if not len(boxes_px):
            return np.zeros(len(self._lengths))
        inside = np.zeros(len(self._x), bool)
        for x1, y1, x2, y2 in boxes_px.tolist():
            inside |= (self._x >= x1) & (self._x <= x2) & (self._y >= y1) & (self._y <= y2)
        return self._shares(inside)

    def covered_in(self, mask: npt.NDArray[np.bool_], stride: int) -> Shares:
        """The same of a mask (h, w) of every ``stride``-th pixel; points outside are taken to its edge."""
        if self._places_of != (stride, mask.shape):
            height, width = mask.shape
            columns = np.minimum(np.maximum((self._x / stride).astype(int), 0), width - 1)
            rows = np.minimum(np.maximum((self._y / stride).astype(int), 0), height - 1)
            self._places, self._places_of = rows * width + columns, (stride, mask.shape)
        return self._shares(mask.reshape(-1)[self._places])

    def _shares(self, inside: npt.NDArray[np.bool_]) -> Shares:
        if not len(self._lengths):
            return np.zeros(0)
        return np.asarray(np.add.reduceat(inside, self._starts, dtype=np.intp) / self._lengths, np.float64)


class SlotWindows:
    """The points of all slots: ``slots`` has one group a slot, ``columns`` one a column."""

    def __init__(self, geometry: Sequence[SlotGeometry]) -> None:
        self.slots = Windows([slot.samples for slot in geometry])
        self.columns = Windows([points for slot in geometry for points in slot.column_samples])
        ends = np.cumsum([0, *(len(slot.column_samples) for slot in geometry)]).tolist()
        self._columns_of = {slot.slot: slice(*ends[at : at + 2]) for at, slot in enumerate(geometry)}

    def columns_of(self, slot: SlotGeometry) -> slice:
        """Where a slot's columns are among all columns."""
        return self._columns_of[slot.slot]

"""The change gate: which part of the picture changed, for a hundredth of the price of looking at it.

A strided green channel, an absolute difference and an integral image cost about 0.1 ms a 720p frame, one inference
10 ms or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from shelf_edge.core.frame import Picture
from shelf_edge.core.geometry import Points
from shelf_edge.core.light import in_light, light_gain
from shelf_edge.core.slot_view import SlotGeometry

_Grey = npt.NDArray[np.uint8]

TARGET_WIDTH_PX = 320
"""The gate looks at every n-th pixel so that about this many remain across."""
PIXEL_STEP = 22
"""A pixel changed when its green value moved by more than this (sensor noise and JPEG stay below)."""


@dataclass(frozen=True)
class Change:
    """What changed since the frame before.

    Attributes:
        share: share of the picture's pixels that changed, 0 to 1.
        slot_shares: (slots,) share of each slot's pixels that changed, in the order of the geometry; a change of the
            light is none.
        column_shares: the same for the columns of all slots, one after the other.
        since_look: share of the picture that differs from the last frame that was looked at.
        is_same: not one pixel differs at all, which only happens when the camera repeats a picture.
    """

    share: float
    slot_shares: npt.NDArray[np.float64]
    since_look: float
    is_same: bool = False
    column_shares: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


class ChangeGate:
    """Keeps two small grey pictures: the frame before, and the last one that was looked at."""

    def __init__(self, geometry: Sequence[SlotGeometry], width_px: int) -> None:
        self._stride = max(1, round(width_px / TARGET_WIDTH_PX))
        self.follow(geometry)
        self._before: _Grey | None = None
        self._looked_at: _Grey | None = None

    def measure(self, image: Picture) -> Change:
        """Compare with the frame before; the first frame counts as changed everywhere."""
        grey = np.ascontiguousarray(image[:: self._stride, :: self._stride, 1])
        before, looked_at = self._before, self._looked_at
        self._before = grey
        if before is None or before.shape != grey.shape:
            everything = np.ones(len(self._windows))
            return Change(1.0, everything[: self._slots], 1.0, column_shares=everything[self._slots :])
        step = cv2.absdiff(grey, before)
        moved = cv2.threshold(step, PIXEL_STEP, 1, cv2.THRESH_BINARY)[1]
        count = cv2.countNonZero(moved)
        gain = light_gain(grey, before) if count else 1.0
        if gain != 1.0:
            moved = cv2.threshold(cv2.absdiff(grey, in_light(before, gain)), PIXEL_STEP, 1, cv2.THRESH_BINARY)[1]
        shares = self._shares_of(moved) if count else np.zeros(len(self._windows))
        is_same = not count and not cv2.countNonZero(step)
        share = count / grey.size
        if looked_at is None or looked_at.shape != grey.shape:
            return Change(share, shares[: self._slots], 1.0, is_same, shares[self._slots :])
        differs = cv2.threshold(cv2.absdiff(grey, looked_at), PIXEL_STEP, 1, cv2.THRESH_BINARY)[1]
        since_look = cv2.countNonZero(differs) / grey.size
        return Change(share, shares[: self._slots], since_look, is_same, shares[self._slots :])

    def _shares_of(self, moved: cv2.typing.MatLike) -> npt.NDArray[np.float64]:
        """Share of each window that moved, by one integral image."""
        height, width = moved.shape
        sums = np.asarray(cv2.integral(moved), np.float64)
        x1, y1, x2, y2 = np.minimum(self._windows, np.array([width, height, width, height])).T
        inside = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
        area = (x2 - x1) * (y2 - y1)
        return np.asarray(np.divide(inside, area, out=np.zeros(len(area)), where=area > 0), np.float64)

    def follow(self, geometry: Sequence[SlotGeometry]) -> None:
        """The slots lie elsewhere in the picture now."""
        parts = [slot.samples for slot in geometry]
        self._slots = len(parts)
        parts += [points for slot in geometry for points in slot.column_samples]
        self._windows = np.array([_window(points, self._stride) for points in parts], np.intp).reshape(-1, 4)

    def mark_looked_at(self) -> None:
        """The frame last measured is being looked at: later frames are compared with it."""
        self._looked_at = self._before


def _window(points: Points, stride: int) -> tuple[int, int, int, int]:
    """x1 y1 x2 y2 in the gate's small picture; nothing of it lies left of or above the picture."""
    low = np.maximum(np.floor(points.min(axis=0) / stride).astype(int), 0)
    high = np.maximum(np.ceil(points.max(axis=0) / stride).astype(int) + 1, 0)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])

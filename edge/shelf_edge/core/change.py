"""The change gate: which part of the picture changed, for a fiftieth of the price of looking at it.

A strided green channel and an absolute difference cost about 0.05 ms a 720p frame, one inference 15 ms or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelf_edge.core.frame import Picture
from shelf_edge.core.slot_view import SlotGeometry

_Grey = npt.NDArray[np.int16]

TARGET_WIDTH_PX = 320
"""The gate looks at every n-th pixel so that about this many remain across."""
PIXEL_STEP = 22
"""A pixel changed when its green value moved by more than this (sensor noise and JPEG stay below)."""


@dataclass(frozen=True)
class Change:
    """What changed since the frame before.

    Attributes:
        share: share of the picture's pixels that changed, 0 to 1.
        slot_shares: (slots,) share of each slot's pixels that changed, in the order of the geometry.
        since_look: share of the picture that differs from the last frame that was looked at.
        is_same: not one pixel differs at all, which only happens when the camera repeats a picture.
    """

    share: float
    slot_shares: npt.NDArray[np.float64]
    since_look: float
    is_same: bool = False


class ChangeGate:
    """Keeps two small grey pictures: the frame before, and the last one that was looked at."""

    def __init__(self, geometry: Sequence[SlotGeometry], width_px: int) -> None:
        self._stride = max(1, round(width_px / TARGET_WIDTH_PX))
        self.follow(geometry)
        self._before: _Grey | None = None
        self._looked_at: _Grey | None = None

    def measure(self, image: Picture) -> Change:
        """Compare with the frame before; the first frame counts as changed everywhere."""
        grey = image[:: self._stride, :: self._stride, 1].astype(np.int16)
        before, looked_at = self._before, self._looked_at
        self._before = grey
        if before is None or before.shape != grey.shape:
            return Change(1.0, np.ones(len(self._windows)), 1.0)
        step = np.abs(grey - before)
        moved, is_same = step > PIXEL_STEP, not step.any()
        shares = np.array([moved[window].mean() if moved[window].size else 0.0 for window in self._windows])
        if looked_at is None or looked_at.shape != grey.shape:
            return Change(float(moved.mean()), shares, 1.0, is_same)
        differs = np.abs(grey - looked_at) > PIXEL_STEP
        return Change(float(moved.mean()), shares, float(differs.mean()), is_same)

    def follow(self, geometry: Sequence[SlotGeometry]) -> None:
        """The slots lie elsewhere in the picture now."""
        self._windows = [_window(slot, self._stride) for slot in geometry]

    def mark_looked_at(self) -> None:
        """The frame last measured is being looked at: later frames are compared with it."""
        self._looked_at = self._before


def _window(slot: SlotGeometry, stride: int) -> tuple[slice, slice]:
    low = np.maximum(np.floor(slot.samples.min(axis=0) / stride).astype(int), 0)
    high = np.ceil(slot.samples.max(axis=0) / stride).astype(int) + 1
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))

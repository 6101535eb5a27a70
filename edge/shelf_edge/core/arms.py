"""Arms by what they hide: foreground that sticks out of a body and into the shelf, and where it ends.

A hand is small, half hidden by what it holds, and rare beside the products: a detector misses many. But the camera
stands still, so an arm shows as a difference from the picture without it, attached to a body that the detector finds.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Boxes
from shelf_edge.core.frame import Picture

_Grey = npt.NDArray[np.int16]


@dataclass(frozen=True)
class ArmRules:
    """Lengths as shares of the picture's width, grey steps of 255.

    Attributes:
        width_px: the picture is looked at with about this many pixels across.
        foreground_step: a pixel that differs from the background by more is foreground.
        motion_step: a pixel that differs from the frame before by more has moved.
        absorb_s: what has not moved for this long, and is no body, belongs to the background: an item put down, the
            place of one taken, another light.
        length: an arm sticks out of its body's box at least this far; hanging arms stick out less.
        area: share of the picture that an arm covers at least.
        hand: side of the box that is put around the end of an arm.
    """

    width_px: int = 320
    foreground_step: int = 26
    motion_step: int = 18
    absorb_s: float = 1.2
    length: float = 0.06
    area: float = 0.001
    hand: float = 0.06


class ArmFinder:
    """Keeps a small grey background; feed it every look, in the order of time."""

    def __init__(self, rules: ArmRules, picture_width_px: int) -> None:
        self._rules = rules
        self._stride = max(1, round(picture_width_px / rules.width_px))
        self._background: _Grey | None = None
        self._before: _Grey | None = None
        self._moved_s: npt.NDArray[np.float64] | None = None

    def find(self, image: Picture, bodies_px: Boxes, now_s: float) -> Boxes:
        """Boxes (n, 4) around the ends of arms that reach out of bodies (m, 4), in picture pixels."""
        rules = self._rules
        grey = image[:: self._stride, :: self._stride, 1].astype(np.int16)
        if self._background is None or self._before is None or self._moved_s is None:
            self._background, self._before = grey.copy(), grey
            self._moved_s = np.full(grey.shape, now_s)
            return np.zeros((0, 4), np.float32)
        self._moved_s[np.abs(grey - self._before) > rules.motion_step] = now_s
        self._before = grey
        bodies = (bodies_px / self._stride).round().astype(int)
        body_mask = np.zeros(grey.shape, bool)
        for x1, y1, x2, y2 in bodies:
            body_mask[max(y1, 0) : y2 + 1, max(x1, 0) : x2 + 1] = True
        foreground = (np.abs(grey - self._background) > rules.foreground_step) & ~body_mask
        resting = ~body_mask & (now_s - self._moved_s > rules.absorb_s)
        self._background[resting] = grey[resting]
        if not len(bodies):
            return np.zeros((0, 4), np.float32)
        return self._ends(foreground & ~resting, bodies) * np.float32(self._stride)

    def _ends(self, foreground: npt.NDArray[np.bool_], bodies: npt.NDArray[np.int_]) -> Boxes:
        height, width = foreground.shape
        kernel = np.ones((3, 3), np.uint8)
        opened = cv2.morphologyEx(foreground.astype(np.uint8), cv2.MORPH_OPEN, kernel)
        joined = cv2.dilate(opened, kernel)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
        ends = []
        for label in range(1, count):
            if stats[label, cv2.CC_STAT_AREA] < self._rules.area * width * height:
                continue
            ys, xs = np.nonzero((labels == label) & (opened > 0))
            end = _farthest(xs, ys, bodies, self._rules.length * width)
            if end is not None:
                ends.append(end)
        half = self._rules.hand * width / 2
        return np.array([[x - half, y - half, x + half, y + half] for x, y in ends], np.float32).reshape(-1, 4)


_TOUCHING_PX = 3


def _farthest(
    xs: npt.NDArray[np.int_], ys: npt.NDArray[np.int_], bodies: npt.NDArray[np.int_], least: float
) -> tuple[float, float] | None:
    """The end of an arm, given its pixels: away from the body it touches; None when it is no arm."""
    if not len(xs):
        return None
    for x1, y1, x2, y2 in bodies:
        away_x = np.maximum(np.maximum(x1 - xs, xs - x2), 0)
        away_y = np.maximum(np.maximum(y1 - ys, ys - y2), 0)
        away = np.hypot(away_x, away_y)
        if away.min() <= _TOUCHING_PX and away.max() >= least:
            near_end = away >= away.max() - 0.25 * least
            return float(xs[near_end].mean()), float(ys[near_end].mean())
    return None

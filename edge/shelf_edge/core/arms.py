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
from shelf_edge.core.geometry import Points

_Grey = npt.NDArray[np.int16]


@dataclass(frozen=True)
class ArmRules:
    """Lengths as shares of the picture's width, grey steps of 255.

    Attributes:
        width_px: the picture is looked at with about this many pixels across.
        foreground_step: a pixel that differs from the background by more is foreground.
        motion_step: a pixel that differs from the frame before by more has moved.
        absorb_s: what has not moved for this long, and is no body or arm, belongs to the background: an item put
            down, the place of one taken, another light.
        rest_s: an arm may rest for this long before it is taken for background.
        length: an arm sticks out of its body's box at least this far; hanging arms stick out less.
        area: share of the picture that an arm covers at least.
        cover_area: share of it above which what sticks to a body hides what is behind, long or not.
        hand: side of the box that is put around the end of an arm.
    """

    width_px: int = 320
    foreground_step: int = 26
    motion_step: int = 18
    absorb_s: float = 1.2
    rest_s: float = 4.0
    length: float = 0.06
    area: float = 0.001
    cover_area: float = 0.0003
    hand: float = 0.06


@dataclass(frozen=True, eq=False)
class Arms:
    """Arms in one look.

    Attributes:
        ends_px: float32 (n, 4), boxes around their ends, in picture pixels.
        mask: (h, w) bool, what they cover, every ``stride``-th pixel of the picture.
        stride: pixels of the picture to one of the mask.
    """

    ends_px: Boxes
    mask: npt.NDArray[np.bool_]
    stride: int

    def cover(self, points: Points) -> npt.NDArray[np.bool_]:
        """Which of the points (n, 2), in picture pixels, lie under an arm."""
        height, width = self.mask.shape
        columns = np.clip((points[:, 0] / self.stride).astype(int), 0, width - 1)
        rows = np.clip((points[:, 1] / self.stride).astype(int), 0, height - 1)
        return np.asarray(self.mask[rows, columns], np.bool_)


class ArmFinder:
    """Keeps a small grey background; feed it every look, in the order of time."""

    def __init__(self, rules: ArmRules, picture_width_px: int) -> None:
        self._rules = rules
        self._stride = max(1, round(picture_width_px / rules.width_px))
        self._background: _Grey | None = None
        self._before: _Grey | None = None
        self._moved_s: npt.NDArray[np.float64] | None = None

    def find(self, image: Picture, bodies_px: Boxes, now_s: float) -> Arms:
        """Arms that reach out of bodies (m, 4)."""
        rules = self._rules
        grey = image[:: self._stride, :: self._stride, 1].astype(np.int16)
        if self._background is None or self._before is None or self._moved_s is None:
            self._background, self._before = grey.copy(), grey
            self._moved_s = np.full(grey.shape, now_s)
            return Arms(np.zeros((0, 4), np.float32), np.zeros(grey.shape, bool), self._stride)
        self._moved_s[np.abs(grey - self._before) > rules.motion_step] = now_s
        self._before = grey
        bodies = (bodies_px / self._stride).round().astype(int)
        body_mask = np.zeros(grey.shape, bool)
        for x1, y1, x2, y2 in bodies:
            body_mask[max(y1, 0) : y2 + 1, max(x1, 0) : x2 + 1] = True
        foreground = (np.abs(grey - self._background) > rules.foreground_step) & ~body_mask
        still_s = now_s - self._moved_s
        ends, mask = self._attached(foreground & (still_s <= rules.rest_s), bodies)
        resting = ~body_mask & (still_s > np.where(mask, rules.rest_s, rules.absorb_s))
        self._background[resting] = grey[resting]
        return Arms(ends * np.float32(self._stride), mask, self._stride)

    def _attached(
        self, foreground: npt.NDArray[np.bool_], bodies: npt.NDArray[np.int_]
    ) -> tuple[Boxes, npt.NDArray[np.bool_]]:
        """Boxes around the ends of arms, and all that sticks to bodies, in pixels of the small picture."""
        height, width = foreground.shape
        mask = np.zeros(foreground.shape, bool)
        ends: list[tuple[float, float]] = []
        kernel = np.ones((3, 3), np.uint8)
        opened = cv2.morphologyEx(foreground.astype(np.uint8), cv2.MORPH_OPEN, kernel)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(opened, kernel), connectivity=8)
        for label in range(1, count if len(bodies) else 0):
            share = stats[label, cv2.CC_STAT_AREA] / (width * height)
            if share < self._rules.cover_area:
                continue
            here = labels == label
            ys, xs = np.nonzero(here & (opened > 0))
            away = _away_from_touched(xs, ys, bodies)
            if away is None:
                continue
            mask |= here
            length = self._rules.length * width
            if share >= self._rules.area and away.max() >= length:
                near_end = away >= away.max() - 0.25 * length
                ends.append((float(xs[near_end].mean()), float(ys[near_end].mean())))
        half = self._rules.hand * width / 2
        boxes = np.array([[x - half, y - half, x + half, y + half] for x, y in ends], np.float32).reshape(-1, 4)
        return boxes, mask


_TOUCHING_PX = 3


def _away_from_touched(
    xs: npt.NDArray[np.int_], ys: npt.NDArray[np.int_], bodies: npt.NDArray[np.int_]
) -> npt.NDArray[np.float64] | None:
    """How far each pixel is from the body that some of them touch; None when they touch none."""
    for x1, y1, x2, y2 in bodies:
        away_x = np.maximum(np.maximum(x1 - xs, xs - x2), 0)
        away_y = np.maximum(np.maximum(y1 - ys, ys - y2), 0)
        away: npt.NDArray[np.float64] = np.hypot(away_x, away_y)
        if len(away) and away.min() <= _TOUCHING_PX:
            return away
    return None

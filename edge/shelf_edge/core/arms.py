"""Arms by what they hide: foreground that sticks out of a body and into the shelf, and where it ends.

A hand is small, half hidden by what it holds, and rare beside the products: a detector misses many. But the camera
stands still, so an arm shows as a difference from the picture without it, attached to a body that the detector finds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Boxes
from shelf_edge.core.frame import Picture
from shelf_edge.core.geometry import Matrix, Points
from shelf_edge.core.light import in_light, light_gain

_Grey = npt.NDArray[np.uint8]


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
        hand_rest_s: the same for a hand that the detector sees.
        length: an arm sticks out of its body's box at least this far; hanging arms stick out less.
        area: share of the picture that an arm covers at least.
        cover_area: share of it above which what sticks to a body hides what is behind, long or not.
        hand: side of the box that is put around the end of an arm.
        left_s: where no hand has been seen for this long and nothing moved, the shelf is as the hand left it, until
            change_s after it; for as far around the hand as ``hand_growth`` of its sides.
        around_px, around_share: a pixel in a body's box is hidden when more than this share of a square of so many
            pixels around it is foreground.
    """

    width_px: int = 320
    foreground_step: int = 26
    motion_step: int = 18
    absorb_s: float = 1.2
    rest_s: float = 4.0
    hand_rest_s: float = 20.0
    length: float = 0.06
    area: float = 0.001
    cover_area: float = 0.0003
    hand: float = 0.06
    left_s: float = 0.3
    change_s: float = 6.0
    hand_growth: float = 0.5
    around_px: int = 7
    around_share: float = 0.15


@dataclass(frozen=True, eq=False)
class Arms:
    """Arms in one look.

    Attributes:
        ends_px: float32 (n, 4), boxes around their ends, in picture pixels.
        mask: (h, w) bool, what they cover, every ``stride``-th pixel of the picture.
        stride: pixels of the picture to one of the mask.
        foreground: (h, w) bool, what differs from the picture without people, bodies included.
        around: (h, w) bool, where a part of the neighbourhood does: cloth may have the shelf's colour in places.
    """

    ends_px: Boxes
    mask: npt.NDArray[np.bool_]
    stride: int
    foreground: npt.NDArray[np.bool_]
    around: npt.NDArray[np.bool_]

    def foreground_of(self, boxes_px: Boxes) -> npt.NDArray[np.float64]:
        """Share of each box (n, 4) that is foreground, (n,); 0 where a box lies outside the picture."""
        height, width = self.foreground.shape
        shares = np.zeros(len(boxes_px))
        for index, box in enumerate(boxes_px / self.stride):
            x1, y1 = max(int(box[0]), 0), max(int(box[1]), 0)
            x2, y2 = min(int(box[2]) + 1, width), min(int(box[3]) + 1, height)
            if x1 < x2 and y1 < y2:
                shares[index] = self.foreground[y1:y2, x1:x2].mean()
        return shares

    def foreground_beside(self, boxes_px: Boxes) -> npt.NDArray[np.float64]:
        """The same of strips left and right of each box, half as wide as it is large: (n, 2).

        An arm shows in the strip where its hand hangs on to it.
        """
        left, top, right, bottom = (boxes_px[:, side] for side in range(4))
        wide = np.sqrt(np.maximum(right - left, 1) * np.maximum(bottom - top, 1)) / 2
        strips = ((left - wide, top, left, bottom), (right, top, right + wide, bottom))
        return np.stack([self.foreground_of(np.stack(strip, axis=1)) for strip in strips], axis=1)

    def at(self, mask: npt.NDArray[np.bool_], points: Points) -> npt.NDArray[np.bool_]:
        """A mask of this size (h, w) at points (n, 2) in picture pixels; those outside are taken to its edge."""
        height, width = mask.shape
        columns = np.minimum(np.maximum((points[:, 0] / self.stride).astype(int), 0), width - 1)
        rows = np.minimum(np.maximum((points[:, 1] / self.stride).astype(int), 0), height - 1)
        return np.asarray(mask[rows, columns], np.bool_)

    def cover(self, points: Points) -> npt.NDArray[np.bool_]:
        """Which of the points (n, 2), in picture pixels, lie under an arm."""
        return self.at(self.mask, points)

    def within(self, boxes_px: Boxes) -> npt.NDArray[np.bool_]:
        """(h, w): what lies in boxes (n, 4)."""
        inside = np.zeros(self.mask.shape, bool)
        for x1, y1, x2, y2 in (boxes_px / self.stride).astype(int):
            inside[max(y1, 0) : max(y2 + 1, 0), max(x1, 0) : max(x2 + 1, 0)] = True
        return inside


class ArmFinder:
    """Keeps a small grey background; feed it every look, in the order of time."""

    def __init__(self, rules: ArmRules, picture_width_px: int) -> None:
        self._rules = rules
        self._stride = max(1, round(picture_width_px / rules.width_px))
        self._background: _Grey | None = None
        self._before: _Grey | None = None
        self._moved_s: npt.NDArray[np.float64] | None = None
        self._hand_s: npt.NDArray[np.float64] | None = None
        self._reached_s: npt.NDArray[np.float64] | None = None
        self._last_reached_s = -math.inf

    def find(
        self,
        image: Picture,
        bodies_px: Boxes,
        now_s: float,
        hands_px: Boxes | None = None,
        reached_px: Boxes | None = None,
    ) -> Arms:
        """Arms that reach out of bodies (m, 4).

        Args:
            hands_px: (n, 4), what else may be a part of somebody, and is slow to become background.
            reached_px: (k, 4), where hands were that had stopped and meant it, at the look before.
        """
        rules = self._rules
        seen = np.ascontiguousarray(image[:: self._stride, :: self._stride, 1])
        if self._background is None or self._before is None or self._moved_s is None or self._hand_s is None:
            self._background, self._before = seen.copy(), seen
            self._moved_s = np.full(seen.shape, now_s)
            self._hand_s = np.full(seen.shape, -math.inf)
            self._reached_s = np.full(seen.shape, -math.inf)
            nothing = np.zeros(seen.shape, bool)
            # Nobody knows yet what the shelf looks like without people: all may be one.
            return Arms(np.zeros((0, 4), np.float32), nothing, self._stride, ~nothing, ~nothing)
        before = in_light(self._before, light_gain(seen, self._before))
        np.copyto(self._moved_s, now_s, where=cv2.absdiff(seen, before) > rules.motion_step)
        self._before = seen
        bodies = (bodies_px / self._stride).round().astype(int)
        body_mask = np.zeros(seen.shape, bool)
        for x1, y1, x2, y2 in bodies:
            body_mask[max(y1, 0) : y2 + 1, max(x1, 0) : x2 + 1] = True
        background = in_light(self._background, light_gain(seen, self._background))
        differs = np.asarray(cv2.absdiff(seen, background) > rules.foreground_step, np.bool_)
        still_s = now_s - self._moved_s
        changed = self._changed_by_hands(hands_px, reached_px, still_s, now_s)
        size = (rules.around_px, rules.around_px)
        count = cv2.boxFilter(differs.view(np.uint8), cv2.CV_16U, size, normalize=False)
        around = np.asarray(count > rules.around_share * rules.around_px**2, np.bool_)
        foreground = differs & ~changed & ~body_mask
        ends, mask = self._attached(foreground & (still_s <= rules.rest_s), bodies)
        resting = still_s > rules.absorb_s
        if mask.any():
            resting[mask] = still_s[mask] > rules.rest_s
        if hands_px is not None:
            for x1, y1, x2, y2 in (hands_px / self._stride).round().astype(int):
                box = slice(max(y1, 0), y2 + 1), slice(max(x1, 0), x2 + 1)
                resting[box] = still_s[box] > rules.hand_rest_s
        resting &= ~body_mask
        np.copyto(background, seen, where=resting)
        self._background = background
        return Arms(ends * np.float32(self._stride), mask, self._stride, differs, around)

    def follow(self, shift: Matrix) -> None:
        """The camera moved: the background lies elsewhere now; what it did not show before is taken as it is.

        Args:
            shift: (3, 3), where a pixel of the picture before lies now.
        """
        if self._background is None or self._before is None:
            return
        height, width = self._background.shape
        shrink = np.diag([1 / self._stride, 1 / self._stride, 1.0])
        small = shrink @ shift @ np.linalg.inv(shrink)
        moved = cv2.warpPerspective(self._background, small, (width, height), flags=cv2.INTER_LINEAR)
        shown = cv2.warpPerspective(np.ones_like(self._background), small, (width, height), flags=cv2.INTER_NEAREST)
        self._background = np.where(shown > 0, moved, self._before).astype(np.uint8)

    def _changed_by_hands(
        self, hands_px: Boxes | None, reached_px: Boxes | None, still_s: npt.NDArray[np.float64], now_s: float
    ) -> npt.NDArray[np.bool_]:
        """(h, w): where a hand was and has left: what stands still there is the shelf as the hand left it, no arm."""
        assert self._hand_s is not None
        assert self._reached_s is not None
        rules = self._rules
        for boxes_px, last_s in ((hands_px, self._hand_s), (reached_px, self._reached_s)):
            if boxes_px is None:
                continue
            aside = rules.hand_growth * (boxes_px[:, 2:] - boxes_px[:, :2])
            grown = np.concatenate([boxes_px[:, :2] - aside, boxes_px[:, 2:] + aside], axis=1)
            for x1, y1, x2, y2 in (grown / self._stride).round().astype(int):
                last_s[max(y1, 0) : max(y2 + 1, 0), max(x1, 0) : max(x2 + 1, 0)] = now_s
        if reached_px is not None and len(reached_px):
            self._last_reached_s = now_s
        if now_s - self._last_reached_s >= rules.change_s:
            return np.zeros(still_s.shape, bool)
        is_gone = now_s - self._hand_s > rules.left_s
        was_there = now_s - self._reached_s < rules.change_s
        return np.asarray(is_gone & was_there & (still_s > rules.left_s), np.bool_)

    def _attached(
        self, foreground: npt.NDArray[np.bool_], bodies: npt.NDArray[np.int_]
    ) -> tuple[Boxes, npt.NDArray[np.bool_]]:
        """Boxes around the ends of arms, and all that sticks to bodies, in pixels of the small picture."""
        height, width = foreground.shape
        mask = np.zeros(foreground.shape, bool)
        ends: list[tuple[float, float]] = []
        kernel = np.ones((3, 3), np.uint8)
        opened = np.asarray(cv2.morphologyEx(foreground.view(np.uint8), cv2.MORPH_OPEN, kernel), np.uint8)
        count = 0
        if len(bodies) and cv2.countNonZero(opened):
            # Labels of 16 bits: three times as fast as those of 32.
            count, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
                cv2.dilate(opened, kernel), 8, cv2.CV_16U, cv2.CCL_DEFAULT
            )
        for label in range(1, count):
            left, top, wide, high, area = stats[label].tolist()
            share = area / (width * height)
            if share < self._rules.cover_area:
                continue
            box = slice(top, top + high), slice(left, left + wide)
            here = labels[box] == label
            ys, xs = np.nonzero(here & (opened[box] > 0))
            ys, xs = ys + top, xs + left
            away = _away_from_touched(xs, ys, bodies)
            if away is None:
                continue
            mask[box] |= here
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

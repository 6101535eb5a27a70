"""Hands and bodies from look to look. A hand that has stopped means the place it is at, a fast one is on its way.

Nobody is recognised: a track lives as long as its hand is in sight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shelf_edge.core.detections import Boxes
from shelf_edge.core.geometry import box_iou, reach_point

_SAME_BODY_IOU = 0.2


@dataclass(frozen=True)
class HandRules:
    """Shares of the picture's width; times in seconds.

    Attributes:
        steady_speed: a hand slower than this many widths a second has stopped.
        farthest_step: a hand farther away than this from where it was is another hand.
        forget_s: a hand not seen for this long is gone.
    """

    steady_speed: float = 0.15
    farthest_step: float = 0.12
    forget_s: float = 0.5


@dataclass(frozen=True)
class Hand:
    """A hand in one look: where its fingers are (px), and whether it has stopped there."""

    x_px: float
    y_px: float
    seen_s: float
    is_steady: bool


class HandTracker:
    """Feed it every look, in the order of time."""

    def __init__(self, rules: HandRules, width_px: int, height_px: int) -> None:
        self._rules = rules
        self._width_px = width_px
        self._height_px = height_px
        self._known: list[Hand] = []

    def follow(self, boxes_px: Boxes, now_s: float) -> list[Hand]:
        """The hands of this look, in the order of their boxes (n, 4)."""
        free = [hand for hand in self._known if now_s - hand.seen_s <= self._rules.forget_s]
        hands = []
        for box in boxes_px:
            x, y = reach_point(box, self._width_px, self._height_px)
            before = min(free, key=lambda hand: math.hypot(x - hand.x_px, y - hand.y_px), default=None)
            steady = False
            if before is not None:
                moved = math.hypot(x - before.x_px, y - before.y_px) / self._width_px
                if moved <= self._rules.farthest_step:
                    free.remove(before)
                    steady = moved <= self._rules.steady_speed * max(now_s - before.seen_s, 1e-6)
            hands.append(Hand(x, y, now_s, steady))
        self._known = hands + free
        return hands


class BodyMemory:
    """Bodies in sight, those included that the detector missed for a moment: what they cover stays covered.

    Args:
        memory_s: how long a body that is not found again is taken to be where it was.
    """

    def __init__(self, memory_s: float) -> None:
        self._memory_s = memory_s
        self._known: list[tuple[float, Boxes]] = []

    def follow(self, boxes_px: Boxes, now_s: float) -> Boxes:
        """The bodies of this look (n, 4) and the missed ones (m, 4), as (n + m, 4)."""
        missed = [
            (seen_s, box)
            for seen_s, box in self._known
            if now_s - seen_s <= self._memory_s and not (box_iou(box[None], boxes_px) > _SAME_BODY_IOU).any()
        ]
        self._known = [*missed, *((now_s, box) for box in boxes_px)]
        return np.array([box for _, box in self._known], np.float32).reshape(-1, 4)

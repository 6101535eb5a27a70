"""Hands and bodies from look to look. A hand that has stopped means the place it is at, a fast one is on its way.

Nobody is recognised: a track lives as long as its hand is in sight.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Boxes
from shelf_edge.core.geometry import box_iou, reach_point
from shelf_edge.core.reaching import ReachFigures, figures_of

_SAME_BODY_IOU = 0.2
_STANDS_SHARE = 0.3
"""Who moves less than this share of the way of a hand stands there."""


@dataclass(frozen=True)
class HandRules:
    """Shares of the picture's width; times in seconds.

    Attributes:
        steady_speed: a hand slower than this many widths a second has stopped.
        farthest_step: a hand farther away than this from where it was is another hand.
        forget_s: a hand not seen for this long is gone.
        foreground_share: a hand hides the shelf: less of its box than this differs from the picture without people
            where the detector took an item for one.
        upright: a box that is this many times as high as wide may show a hand that hangs at its body's side.
        own_reach: a hand farther beside a body than this many of its widths does not hang there.
        border: a hand that is nearer to the left or right border may hang at a body that is out of the picture.
        arriving_step: a hand that came to where it is moved this far, as seen from its body, in ``arriving_s``; what
            hangs at a body's side goes with it.
        meant_s: so long after it came, an upright hand is taken for one that does something.
        fingers_up, fingers_aside: the fingers are so many of the box's heights above its middle, and so many of its
            widths away from the side where the arm goes on; fitted to where the simulator's fingers truly were.
    """

    steady_speed: float = 0.15
    farthest_step: float = 0.12
    forget_s: float = 0.5
    foreground_share: float = 0.15
    upright: float = 1.3
    own_reach: float = 0.6
    border: float = 0.15
    arriving_step: float = 0.06
    arriving_s: float = 0.7
    meant_s: float = 1.5
    fingers_up: float = 0.14
    fingers_aside: float = 0.3


@dataclass(frozen=True)
class Hand:
    """A hand in one look: where its fingers are (px), whether it has stopped there, and whether it means it.

    Attributes:
        is_meant: it is no item taken for a hand, and does not only hang at the side of a body.
        figures: what tells whether it reaches, but for its depth in a slot, which is 0.
    """

    x_px: float
    y_px: float
    seen_s: float
    is_steady: bool
    is_meant: bool
    figures: ReachFigures


@dataclass(frozen=True)
class _Spot:
    """Where a hand was in one look: in the picture, and beside its body (left and right edge), px."""

    seen_s: float
    x_px: float
    y_px: float
    body: npt.NDArray[np.float32] | None


@dataclass
class _Track:
    spots: deque[_Spot]
    came_s: float = -math.inf


class HandTracker:
    """Feed it every look, in the order of time."""

    def __init__(self, rules: HandRules, width_px: int, height_px: int) -> None:
        self._rules = rules
        self._width_px = width_px
        self._height_px = height_px
        self._known: list[_Track] = []

    def follow(
        self,
        boxes_px: Boxes,
        now_s: float,
        bodies_px: Boxes | None = None,
        foreground: npt.NDArray[np.float64] | None = None,
        beside: npt.NDArray[np.float64] | None = None,
        scores: npt.NDArray[np.float32] | None = None,
    ) -> list[Hand]:
        """The hands of this look, in the order of their boxes (n, 4).

        Args:
            bodies_px: (m, 4), those in sight.
            foreground: (n,) share of each box that differs from the picture without people; None: all of it.
            beside: (n, 2) the same of strips left and right of each box; None: not known.
            scores: (n,) the detector's; None: it was sure.
        """
        rules = self._rules
        free = [track for track in self._known if now_s - track.spots[-1].seen_s <= rules.forget_s]
        hands, tracks = [], []
        for index, box in enumerate(boxes_px):
            x, y = reach_point(box, self._width_px, self._height_px)
            track = min(free, key=lambda one: _away(one, x, y), default=None)
            steady = False
            if track is not None and _away(track, x, y) <= rules.farthest_step * self._width_px:
                free.remove(track)
                before = track.spots[-1]
                moved = math.hypot(x - before.x_px, y - before.y_px) / self._width_px
                steady = moved <= rules.steady_speed * max(now_s - before.seen_s, 1e-6)
            else:
                track = _Track(deque())
            body = _own_body(x, bodies_px, rules.own_reach)
            track.spots.append(_Spot(now_s, x, y, body))
            while now_s - track.spots[0].seen_s > rules.arriving_s:
                track.spots.popleft()
            if self._is_arriving(track):
                track.came_s = now_s
            is_hand = foreground is None or foreground[index] >= rules.foreground_share
            width, height = box[2] - box[0], box[3] - box[1]
            at_side = body is not None or min(x, self._width_px - x) < rules.border * self._width_px
            hangs = at_side and height >= rules.upright * width and now_s - track.came_s > rules.meant_s
            beside_it = None if beside is None else beside[index]
            score = 1.0 if scores is None else float(scores[index])
            differs = 1.0 if foreground is None else float(foreground[index])
            figures = figures_of(box, (x, y), bodies_px, score, differs)
            at_x, at_y = self._fingers(box, x, y, beside_it)
            hands.append(Hand(at_x, at_y, now_s, steady, is_hand and not hangs, figures))
            tracks.append(track)
        self._known = tracks + free
        return hands

    def _fingers(
        self, box: npt.NDArray[np.float32], x: float, y: float, beside: npt.NDArray[np.float64] | None
    ) -> tuple[float, float]:
        """Where the fingers are in a box whose hand is at ``x, y`` as long as nothing is known of its arm."""
        if beside is None:
            return x, y
        rules, (left, right) = self._rules, beside
        width, height = float(box[2] - box[0]), float(box[3] - box[1])
        # An arm that comes over the border has moved the point already.
        aside = rules.fingers_aside * width * float(left - right) if _is_middle(x, box[0], box[2]) else 0.0
        up = rules.fingers_up * height if _is_middle(y, box[1], box[3]) else 0.0
        return x + aside, y - up

    def _is_arriving(self, track: _Track) -> bool:
        """Whether it moved of late, as seen from its body, or in the picture when none is near."""
        last = track.spots[-1]
        least = self._rules.arriving_step * self._width_px
        return any(_moved_px(spot, last) >= least for spot in track.spots)


def _is_middle(at: float, low: float, high: float) -> bool:
    return abs(at - (float(low) + float(high)) / 2) < 1e-3


def _away(track: _Track, x: float, y: float) -> float:
    return math.hypot(x - track.spots[-1].x_px, y - track.spots[-1].y_px)


def _own_body(x: float, bodies_px: Boxes | None, own_reach: float) -> npt.NDArray[np.float32] | None:
    """The body at whose side a hand may hang; None when it is too far from all."""
    best, best_share = None, own_reach
    for body in bodies_px if bodies_px is not None else ():
        share = max(body[0] - x, x - body[2], 0.0) / max(float(body[2] - body[0]), 1.0)
        if share < best_share:
            best, best_share = body, share
    return best


def _moved_px(one: _Spot, other: _Spot) -> float:
    """How far the hand moved, less what its body moved; a body's edges are not found alike in every look, and the one
    that went along with the hand counts."""
    x, y = other.x_px - one.x_px, other.y_px - one.y_px
    if one.body is None or other.body is None:
        return math.hypot(x, y)
    left, right = x - float(other.body[0] - one.body[0]), x - float(other.body[2] - one.body[2])
    walked = max(abs(float(other.body[0] - one.body[0])), abs(float(other.body[2] - one.body[2])))
    if walked > _STANDS_SHARE * math.hypot(x, y):
        return 0.0
    return min(abs(left), abs(right)) if left * right > 0 else 0.0


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

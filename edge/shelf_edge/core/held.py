"""What hands hold: products that travel with a hand, and which ones they are by the looks of them.

Nobody is followed: a track is of a thing, lives for as long as it is seen in a hand, and is told to nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from shelf_edge.core.detections import Boxes
from shelf_edge.core.recognition import Calibration, Look, Recognised, VoteRules, decide, vote

Box = tuple[float, float, float, float]

_MOST_STEPS = 60
_MOVED = 0.15


@dataclass(frozen=True)
class HeldRules:
    """Attributes:
    reach: a product this near to a hand (share of the hand's size) may be in it.
    step: a box farther away than this (share of its own size) from where it was is another thing.
    travel, travel_s: a thing that went this far (share of its width, or of its height) within this time is carried; on
        the shelf it stands still.
    moves: it must have been seen moving so often: a box that jumps once to the next item is no hand's work.
    forget_s: a thing not seen for this long is gone.
    least_looks: at it before anything is said.
    most_looks: further looks would tell nothing.
    sure: its probability, from which on it is told.
    again_s: it is told again this often while it is held.
    """

    reach: float = 0.25
    step: float = 0.8
    travel: float = 0.8
    travel_s: float = 1.0
    moves: int = 2
    forget_s: float = 0.5
    least_looks: int = 2
    most_looks: int = 6
    sure: float = 0.8
    again_s: float = 2.0


class HeldThing:
    """Something near a hand."""

    def __init__(self, box: Box, now_s: float, rules: HeldRules) -> None:
        self.box = box
        self.seen_s = now_s
        self.looked_s = float("-inf")
        self.is_carried = False
        self._rules = rules
        self._way: deque[tuple[float, Box]] = deque([(now_s, box)], maxlen=_MOST_STEPS)
        self._looks: deque[Look] = deque(maxlen=rules.most_looks)
        self._told: tuple[str, float] = ("", float("-inf"))

    @property
    def looks(self) -> int:
        return len(self._looks)

    @property
    def wants_look(self) -> bool:
        """Whether a look at it would tell something."""
        return self.is_carried and len(self._looks) < self._rules.most_looks

    def move(self, box: Box, now_s: float) -> None:
        rules = self._rules
        self._way.append((now_s, box))
        while now_s - self._way[0][0] > rules.travel_s:
            self._way.popleft()
        way = [place for _, place in self._way]
        moves = sum(_apart(before, after) > _MOVED for before, after in pairwise(way))
        self.is_carried = moves >= rules.moves and max(_apart(place, box) for place in way) >= rules.travel
        self.box, self.seen_s = box, now_s

    def see(self, look: Look, now_s: float) -> None:
        """It was looked at."""
        self._looks.append(look)
        self.looked_s = now_s

    def answer(self, calibration: Calibration, expected: str, now_s: float) -> Recognised | None:
        """What it is, when that is certain and was not said just now.

        Args:
            expected: what stands where a hand was last; empty when that is not known.
        """
        rules = self._rules
        if not self.is_carried or len(self._looks) < rules.least_looks:
            return None
        found = decide(vote(list(self._looks), VoteRules(), expected), calibration)
        if found.verdict != "known" or found.probability < rules.sure:
            return None
        product, told_s = self._told
        if product == found.product and now_s - told_s < rules.again_s:
            return None
        self._told = found.product, now_s
        return found


class HeldThings:
    """Feed it every look of one camera, in the order of time."""

    def __init__(self, rules: HeldRules = HeldRules()) -> None:
        self._rules = rules
        self._things: list[HeldThing] = []

    def follow(self, products_px: Boxes, hands_px: Boxes, now_s: float) -> list[HeldThing]:
        """The things that are in hands in this look, of boxes of products (n, 4) and of hands (m, 4)."""
        free = [thing for thing in self._things if 0 <= now_s - thing.seen_s <= self._rules.forget_s]
        here = []
        for row in products_px[self._near(products_px, hands_px)].tolist():
            box = (float(row[0]), float(row[1]), float(row[2]), float(row[3]))
            thing = min(free, key=lambda one: _apart(one.box, box), default=None)
            if thing is None or _apart(thing.box, box) > self._rules.step:
                thing = HeldThing(box, now_s, self._rules)
            else:
                free.remove(thing)
                thing.move(box, now_s)
            here.append(thing)
        self._things = here + free
        return [thing for thing in here if thing.is_carried]

    def _near(self, products_px: Boxes, hands_px: Boxes) -> Sequence[int]:
        """Which products overlap a hand, the hand made a little larger."""
        if not len(products_px) or not len(hands_px):
            return []
        aside = self._rules.reach * (hands_px[:, 2:] - hands_px[:, :2])
        low, high = hands_px[:, :2] - aside, hands_px[:, 2:] + aside
        meets = (products_px[:, None, :2] < high[None]) & (products_px[:, None, 2:] > low[None])
        return [int(row) for row in np.flatnonzero(np.any(np.all(meets, axis=2), axis=1))]


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _apart(one: Box, other: Box) -> float:
    """How far two boxes lie apart, as a share of the larger one's size."""
    (x, y), (u, v) = _middle(one), _middle(other)
    width = max(one[2] - one[0], other[2] - other[0], 1.0)
    height = max(one[3] - one[1], other[3] - other[1], 1.0)
    return max(abs(x - u) / width, abs(y - v) / height)

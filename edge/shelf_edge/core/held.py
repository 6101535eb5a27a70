"""What hands hold: products that hide the shelf beside a hand and go with it, and which ones they look like.

A hand that was at a slot most likely holds that slot's product: to confirm it takes two looks that agree. Another
product is named only when all looks do. Nobody is followed: a track is of a thing, lives for as long as it is seen at a
hand, and is told to nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Boxes
from shelf_edge.core.geometry import box_iou
from shelf_edge.core.recognition import (
    Calibration,
    Look,
    Recognised,
    VoteRules,
    believed_beforehand,
    chance_of,
    decide,
    vote,
)

Box = tuple[float, float, float, float]

_SAME_STANDING = 0.6
_PLAIN = VoteRules(expected_odds=1.0)


@dataclass(frozen=True)
class HeldRules:
    """Attributes:
    reach: a product this near to a hand (share of the hand's size) may be in it.
    foreground: so much of it, at least, hides what the camera saw there before people came.
    standing: what shares more than this with something that stood there while no hand was near stands there still.
    stands_s: for so long after it was seen standing.
    step: a box farther away than this (share of its own size) from where it was is another thing.
    travel: a thing that went this far (share of its size) from where it was first seen is carried.
    forget_s: a thing not seen for this long is gone.
    least_looks, most_looks: at it before anything is said; further ones push out the oldest.
    expected_odds: the product of a slot that the hand was at is this much likelier beforehand than any other.
    expected_sure: its probability, from which on it is told; of all looks together, or of its two best ones: fingers
        and arms hide a thing in most of them.
    other_sure, other_looks: any other product must be this sure, in so many looks, and in each of them the likeliest.
    again_s: it is told again this often while it is held.
    """

    reach: float = 0.25
    foreground: float = 0.4
    standing: float = 0.7
    stands_s: float = 15.0
    step: float = 1.5
    travel: float = 0.2
    forget_s: float = 0.5
    least_looks: int = 2
    most_looks: int = 6
    expected_odds: float = 30.0
    expected_sure: float = 0.8
    other_sure: float = 0.97
    other_looks: int = 4
    again_s: float = 2.0


class HeldThing:
    """Something at a hand that did not stand there before."""

    def __init__(self, box: Box, now_s: float, rules: HeldRules) -> None:
        self.box = box
        self.seen_s = now_s
        self.is_carried = False
        self.has_news = False
        self._rules = rules
        self._first = box
        self._looks: deque[Look] = deque(maxlen=rules.most_looks)
        self._looked = 0

    @property
    def looks(self) -> int:
        """How many looks there were at it."""
        return self._looked

    def move(self, box: Box, now_s: float) -> None:
        self.is_carried |= _apart(self._first, box) >= self._rules.travel
        self.box, self.seen_s = box, now_s

    def see(self, look: Look) -> None:
        """It was looked at."""
        self.has_news = True
        self._looks.append(look)
        self._looked += 1

    def answer(self, calibration: Calibration, expected: Collection[str]) -> Recognised | None:
        """What it is, when that is certain.

        Args:
            expected: the products of slots that hands were at just now.
        """
        self.has_news = False
        rules, looks = self._rules, list(self._looks)
        if not self.is_carried or len(looks) < rules.least_looks:
            return None
        together = vote(looks, _PLAIN)
        found = decide(believed_beforehand(together, expected, rules.expected_odds), calibration)
        candidates = [found, *(self._by_best_looks(product, calibration, expected) for product in sorted(expected))]
        for one in candidates:
            if one.verdict == "known" and one.product in expected and one.probability >= rules.expected_sure:
                return one
        if found.verdict != "known" or found.probability < rules.other_sure or len(looks) < rules.other_looks:
            return None
        if any(not look.candidates or look.candidates[0].product != found.product for look in looks):
            return None
        return found

    def _by_best_looks(self, product: str, calibration: Calibration, expected: Collection[str]) -> Recognised:
        best = sorted(self._looks, key=lambda look: -chance_of(look, product))[: self._rules.least_looks]
        return decide(believed_beforehand(vote(best, _PLAIN), expected, self._rules.expected_odds), calibration)


class HeldThings:
    """Feed it every look of one camera, in the order of time."""

    def __init__(self, rules: HeldRules = HeldRules()) -> None:
        self._rules = rules
        self._things: list[HeldThing] = []
        self._standing_px = np.zeros((0, 4), np.float32)
        self._stood_s = np.zeros(0)
        self._told: dict[str, float] = {}

    def follow(
        self, products_px: Boxes, foreground: npt.NDArray[np.float64], hands_px: Boxes, now_s: float
    ) -> list[HeldThing]:
        """What may be in hands in this look.

        Args:
            products_px, hands_px: boxes (n, 4) and (m, 4).
            foreground: (n,) share of each product's box that differs from the picture without people.
        """
        rules = self._rules
        near = self._near(products_px, hands_px)
        self._note_standing(products_px[~near], now_s)
        candidates = products_px[near & (foreground >= rules.foreground)]
        if len(candidates) and len(self._standing_px):
            candidates = candidates[~(box_iou(candidates, self._standing_px) > rules.standing).any(axis=1)]
        free = [thing for thing in self._things if 0 <= now_s - thing.seen_s <= rules.forget_s]
        here = []
        for row in candidates.tolist():
            box = (float(row[0]), float(row[1]), float(row[2]), float(row[3]))
            thing = min(free, key=lambda one: _apart(one.box, box), default=None)
            if thing is None or _apart(thing.box, box) > rules.step:
                thing = HeldThing(box, now_s, rules)
            else:
                free.remove(thing)
                thing.move(box, now_s)
            here.append(thing)
        self._things = here + free
        return here

    @property
    def with_news(self) -> list[HeldThing]:
        """Things that were looked at since they were asked; what is made of a look may come after the thing is gone."""
        return [thing for thing in self._things if thing.has_news]

    def is_news(self, product: str, now_s: float) -> bool:
        """Whether a product is to be told: True once, and then again only after a while."""
        if 0 <= now_s - self._told.get(product, float("-inf")) < self._rules.again_s:
            return False
        self._told = {one: told_s for one, told_s in self._told.items() if 0 <= now_s - told_s < self._rules.again_s}
        self._told[product] = now_s
        return True

    def _note_standing(self, products_px: Boxes, now_s: float) -> None:
        """Things that no hand is near: where they stand is remembered while one is."""
        kept = (now_s - self._stood_s >= 0) & (now_s - self._stood_s <= self._rules.stands_s)
        if len(products_px) and len(self._standing_px):
            kept &= ~(box_iou(self._standing_px, products_px) > _SAME_STANDING).any(axis=1)
        self._standing_px = np.concatenate([self._standing_px[kept], products_px])
        self._stood_s = np.concatenate([self._stood_s[kept], np.full(len(products_px), now_s)])

    def _near(self, products_px: Boxes, hands_px: Boxes) -> npt.NDArray[np.bool_]:
        """(n,) which products overlap a hand, the hand made a little larger."""
        if not len(products_px) or not len(hands_px):
            return np.zeros(len(products_px), bool)
        aside = self._rules.reach * (hands_px[:, 2:] - hands_px[:, :2])
        low, high = hands_px[:, :2] - aside, hands_px[:, 2:] + aside
        meets = (products_px[:, None, :2] < high[None]) & (products_px[:, None, 2:] > low[None])
        return np.asarray(np.any(np.all(meets, axis=2), axis=1), np.bool_)


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _apart(one: Box, other: Box) -> float:
    """How far two boxes lie apart, as a share of the larger one's size."""
    (x, y), (u, v) = _middle(one), _middle(other)
    width = max(one[2] - one[0], other[2] - other[0], 1.0)
    height = max(one[3] - one[1], other[3] - other[1], 1.0)
    return max(abs(x - u) / width, abs(y - v) / height)

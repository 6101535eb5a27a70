"""What stands in a slot by the looks of it, over time: which items to look at next, and what all looks add up to.

Each facing is followed by itself, because one strange item among many of the right ones is what ``misplaced`` is about.
A facing that somebody covered, or at which something happened, is in doubt: it is looked at anew, before others. One
look is enough when it says what was known before; else what was seen before says nothing any more.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from statistics import median

import numpy as np
import numpy.typing as npt

from shelf_contracts.messages import SeenProduct, StrangeItem
from shelf_edge.core.recognition import (
    Calibration,
    Candidate,
    Look,
    Recognised,
    References,
    decide,
    looks_of,
    recognise_slot,
)
from shelf_edge.core.slot_view import ShownItem

_MOST_REMEMBERED = 4
_MOST_STRANGE = 20

Vector = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]


class Urgency(IntEnum):
    """How much another look would tell; the least first.

    ``CHANGING``: it says something else than before. ``TOUCHED``: a hand was there. ``DOUBTFUL``: somebody was before
    it, or it was never seen. ``SOON``: a look would tell something. ``NOTHING``: it would not.
    """

    CHANGING = 0
    TOUCHED = 1
    DOUBTFUL = 2
    SOON = 3
    NOTHING = 4


@dataclass(frozen=True)
class SightRules:
    """Attributes:
    least_looks: looks at a slot before anything is said of it.
    settled_looks: after so many at a facing it is looked at again only now and then; fewer than twice as many when the
        slot's product is not seen there.
    recheck_s: that often.
    kept_looks: of each facing, the newest ones that count.
    sure: a product that the planogram does not want there is misplaced from this probability on, where a hand was:
        nothing gets to a wrong place by itself, and a facing that is misread at rest is misread for hours.
    least_like: and when its looks are this like the product's photos (median of the cosines).
    surely_other: so is what looks like several products, when it is with this probability none of them that is wanted.
    misplaced_looks: and after so many looks at that facing since somebody was there.
    sure_alone: where looks named that product before the hand came, the middle one of the looks must by itself be
        this sure: looks at a still picture repeat one mistake, however many there are.
    gone_s: a facing in which nothing was seen for so long, with nobody in front, is empty.
    apart_s: looks that are nearer than this in time say the same thing once.
    same_place: an item that moved more than this (share of both boxes in common) is another one.
    """

    least_looks: int = 3
    settled_looks: int = 3
    recheck_s: float = 30.0
    kept_looks: int = 6
    sure: float = 0.9
    least_like: float = 0.6
    surely_other: float = 0.97
    misplaced_looks: int = 3
    sure_alone: float = 0.95
    gone_s: float = 2.0
    apart_s: float = 0.15
    same_place: float = 0.5


@dataclass(frozen=True)
class UnknownSince:
    """``since`` when something is unknown, and how many ``looks`` said so."""

    since: datetime
    looks: int


@dataclass(frozen=True, eq=False)
class _Glance:
    vector: Vector
    look: Look
    is_cut: bool
    taken_s: float


class FacingSight:
    """One facing; a frame gives at most one look at it."""

    def __init__(self, rules: SightRules) -> None:
        self._rules = rules
        self.glances: deque[_Glance] = deque(maxlen=rules.kept_looks)
        self.answer: Recognised | None = None
        self.said: frozenset[str] = frozenset()
        """The products that were last seen there, also while it is in doubt."""
        self.outlived_gallery = False
        """Whether the gallery changed while this thing stood there: what it is called now says nothing of the thing."""
        self.scene = 0
        """Another number after other things may stand there: looks at an earlier scene say nothing of this one."""
        self.looked_s = float("-inf")
        self._fresh_looks = 0
        self._is_in_doubt = False
        self._is_touched = False
        self._is_covered = False
        self._is_attended = False
        self._earlier: frozenset[str] = frozenset()
        """What single looks took for the thing that stood there before the last hand came."""
        self._box_px: Box | None = None
        self._missed_since_s: float | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Whether something else may stand there than what was seen."""
        return self._is_in_doubt

    @property
    def fresh_looks(self) -> int:
        """Since something may have changed."""
        return self._fresh_looks

    @property
    def _whole_looks(self) -> int:
        return sum(not glance.is_cut for glance in self.glances)

    def cover(self, is_covered: bool) -> None:
        """Whether somebody is in front of it; what stands there afterwards may be something else."""
        if is_covered and not self._is_covered:
            self.doubt()
        self._is_covered = is_covered

    def doubt(self) -> None:
        """Something may have changed: look again, before others."""
        self.scene += 1
        self._fresh_looks, self._is_in_doubt = 0, True

    def miss(self, is_shown: bool, now_s: float) -> bool:
        """Whether an item can be seen there; True when that made sure that it is empty."""
        if is_shown or self._is_covered:
            self._missed_since_s = None
            return False
        if self._missed_since_s is None or now_s < self._missed_since_s:
            self._missed_since_s = now_s
        if now_s - self._missed_since_s < self._rules.gone_s:
            return False
        self.clear()
        return True

    def touch(self, since_s: float) -> None:
        """A hand is there, and came then: look before those that somebody merely stands before."""
        self._is_touched = self._is_attended = True
        before = [glance.look for glance in self.glances if glance.taken_s < since_s]
        if before:
            self._earlier = frozenset(look.candidates[0].product for look in before if look.candidates)

    def urgency(self, now_s: float, expected: str) -> Urgency:
        """How much another look would tell."""
        rules = self._rules
        if self._is_covered or now_s - self.looked_s < rules.apart_s:
            return Urgency.NOTHING
        if self._is_in_doubt or not self.glances:
            return Urgency.TOUCHED if self._is_touched else Urgency.DOUBTFUL
        answer = self.answer
        is_as_planned = answer is not None and answer.verdict == "known" and answer.product == expected
        if not is_as_planned and (self._fresh_looks < rules.settled_looks or self._whole_looks < rules.misplaced_looks):
            return Urgency.CHANGING if self._fresh_looks < 2 * rules.settled_looks else Urgency.SOON
        if self._fresh_looks < (rules.settled_looks if is_as_planned else 2 * rules.settled_looks):
            return Urgency.SOON
        return Urgency.SOON if now_s - self.looked_s >= rules.recheck_s else Urgency.NOTHING

    def see(self, item: ShownItem, vector: Vector, look: Look, now_s: float, calibration: Calibration) -> None:
        """The item in front was looked at."""
        box_px = item.box_px
        moved = self._box_px is not None and _in_common(self._box_px, box_px) < self._rules.same_place
        if self._is_in_doubt or moved:
            says = decide(look, calibration)
            before = self.answer
            is_same = before is not None and (before.verdict, before.product) == (says.verdict, says.product)
            if not is_same or moved:
                if not any(float(vector @ glance.vector) >= calibration.none_cosine for glance in self.glances):
                    self.outlived_gallery = False
                self.glances.clear()
                self.answer = None
                self._fresh_looks = 0
            else:
                self._fresh_looks = self._rules.settled_looks - 1
        self._is_in_doubt = self._is_touched = False
        self._box_px = box_px
        self.glances.append(_Glance(vector, look, item.is_cut, now_s))
        self._fresh_looks += 1
        self.looked_s = now_s

    @property
    def is_surely_unknown(self) -> bool:
        """Whether what nobody knows stands there now, with nobody in front."""
        is_unknown = self.answer is not None and self.answer.verdict == "unknown"
        return is_unknown and not self._is_in_doubt and not self._is_covered

    def clear(self) -> None:
        """Nothing stands there."""
        self.scene += 1
        self.glances.clear()
        self.answer, self._box_px, self.said = None, None, frozenset()
        self._fresh_looks, self._is_in_doubt = 0, False
        self.outlived_gallery = False

    def match_again(self, references: References, calibration: Calibration) -> None:
        if self.glances:
            vectors = np.stack([glance.vector for glance in self.glances])
            again = zip(self.glances, looks_of(references, vectors, calibration), strict=True)
            self.glances = deque((replace(one, look=look) for one, look in again), self._rules.kept_looks)
            self.outlived_gallery = True

    def is_strange(self, expected: str) -> bool:
        """Whether it is certain that a hand left another product than this one there."""
        answer, rules = self.answer, self._rules
        if answer is None or self._is_in_doubt or answer.verdict == "unknown" or answer.product == expected:
            return False
        whole = [glance.look.candidates for glance in self.glances if not glance.is_cut]
        if not self._is_attended or len(whole) < rules.misplaced_looks:
            return False
        is_known = answer.verdict == "known"
        if (answer.probability if is_known else _of_others(answer.candidates, expected)) < (
            rules.sure if is_known else rules.surely_other
        ):
            return False
        named = [[one for one in candidates if one.product == answer.product] for candidates in whole]
        if median(one[0].cosine if one else 0.0 for one in named) < rules.least_like:
            return False
        if answer.product not in self._earlier:
            return True
        alone = [
            sum(one.chance for one in ours) if is_known else _of_others(candidates, expected)
            for ours, candidates in zip(named, whole, strict=True)
        ]
        return median(alone) >= rules.sure_alone


class SlotSight:
    """One slot.

    Args:
        expected: the product the planogram wants there; empty when it does not say.
        facings: columns of the slot.
    """

    def __init__(self, slot: str, expected: str, facings: int, rules: SightRules) -> None:
        self.slot = slot
        self.facings = tuple(FacingSight(rules) for _ in range(facings))
        self._expected = expected
        self._rules = rules
        self._answer: Recognised | None = None
        self._since: datetime | None = None
        self._looks_alike = 0
        self._told_misplaced: frozenset[str] = frozenset()
        self._has_news = False
        self._unknown = ""
        self._is_empty = False
        self._strange: dict[int, StrangeItem] = {}

    @property
    def unknown(self) -> UnknownSince | None:
        """Since when, and by how many looks, nobody knows what stands here; None when that is not so."""
        if self._answer is None or self._since is None or self._answer.verdict != "unknown":
            return None
        return UnknownSince(self._since, self._looks_alike)

    @property
    def is_unsaid(self) -> bool:
        """Whether nothing was said of it yet: it was not looked at since the start, nor found to be empty."""
        return self._answer is None and not self._is_empty

    @property
    def has_news(self) -> bool:
        """Whether something was seen that is not judged yet."""
        return self._has_news

    def cover(self, columns: Iterable[int]) -> None:
        """Which facings somebody covers now."""
        covered = set(columns)
        for index, facing in enumerate(self.facings):
            facing.cover(index in covered)

    def urgency(self, facing: int, now_s: float) -> Urgency:
        """How much another look at a facing would tell."""
        return self.facings[facing].urgency(now_s, self._expected)

    def see(self, item: ShownItem, vector: Vector, look: Look, now_s: float, calibration: Calibration) -> None:
        """An item was looked at."""
        self.facings[item.column].see(item, vector, look, now_s, calibration)
        self._looks_alike += 1
        self._has_news = True
        self._is_empty = False

    def doubt(self, since_s: float) -> None:
        """Something was taken or put by a hand that came then: look again, before others."""
        for facing in self.facings:
            facing.touch(since_s)
            facing.doubt()

    def touch(self, since_s: float) -> None:
        """A hand came then."""
        for facing in self.facings:
            facing.touch(since_s)

    def clear(self) -> None:
        """Nothing stands there."""
        for facing in self.facings:
            facing.clear()
        self._answer, self._since, self._looks_alike, self._told_misplaced = None, None, 0, frozenset()
        self._is_empty = True
        self._strange.clear()

    def match_again(self, references: References, calibration: Calibration) -> None:
        """Another gallery: what was seen is compared with it."""
        for facing in self.facings:
            facing.match_again(references, calibration)
        self._has_news |= any(facing.glances for facing in self.facings)

    def judge(self, calibration: Calibration, now: datetime) -> bool:
        """Add the looks up; True when the answer for the slot is another than before."""
        self._has_news = False
        looks = [[glance.look for glance in facing.glances] for facing in self.facings]
        if sum(map(len, looks)) < self._rules.least_looks:
            return False
        found = recognise_slot(looks, calibration, self._expected)
        gone: frozenset[str] = frozenset()
        for facing, seen, answer in zip(self.facings, looks, found.facings, strict=True):
            facing.answer = answer if seen else None
            if seen and facing.outlived_gallery:
                facing.said |= _named(answer)
            elif seen:
                gone |= facing.said - _named(answer)
                facing.said = _named(answer)
        self._told_misplaced -= gone - self._said()
        before, self._answer = self._answer, found.slot
        if before is not None and _key(before) == _key(self._answer):
            return False
        self._since, self._looks_alike = now, sum(map(len, looks))
        self._unknown = self._middle_of_unknown() if self._answer.verdict == "unknown" else ""
        return True

    def _middle_of_unknown(self) -> str:
        """Where the facings that nobody knows lie together, as it is told: float16 in base64."""
        vectors = [
            glance.vector
            for facing in self.facings
            if facing.answer is not None and facing.answer.verdict == "unknown"
            for glance in facing.glances
        ]
        middle = np.sum(vectors or [np.zeros(1, np.float32)], axis=0)
        length = float(np.linalg.norm(middle))
        return base64.b64encode((middle / length).astype("<f2").tobytes()).decode() if length > 0 else ""

    def seen(self, revision: str) -> SeenProduct | None:
        """The answer as it is told; None before there is one."""
        if self._answer is None or self._since is None:
            return None
        return told(self._answer, revision, self._since, self._looks_alike, self._unknown)

    def misplaced(self, revision: str, now: datetime) -> list[SeenProduct]:
        """Products that the planogram does not want there and that are certain now; each once while it stays."""
        if not self._expected:
            return []
        strange = []
        for facing in self.facings:
            answer = facing.answer
            if answer is None or not facing.is_strange(self._expected):
                continue
            if self._told_misplaced.isdisjoint(_named(answer)):
                seen = told(answer, revision, now, len(facing.glances))
                strange += [seen] if seen is not None else []
            self._told_misplaced |= _named(answer)
        return strange

    @property
    def strange(self) -> list[StrangeItem]:
        """What does not belong among the others, for as long as it stands there."""
        return [self._strange[index] for index in sorted(self._strange)][:_MOST_STRANGE]

    def miss(self, shown: Collection[int], now_s: float) -> bool:
        """In which facings an item can be seen now; True when a strange one is gone."""
        said = {index: self.facings[index].said for index in self._strange}
        gone = [index for index in self._strange if self.facings[index].miss(index in shown, now_s)]
        for index in gone:
            del self._strange[index]
            self._told_misplaced -= said[index] - self._said()
        return bool(gone)

    def _said(self) -> frozenset[str]:
        """The products that were last seen in any facing."""
        return frozenset(product for facing in self.facings for product in facing.said)

    def note_strange(self, now: datetime) -> bool:
        """After ``judge``: True when something strange came, was exchanged, or is strange no longer."""
        before = dict(self._strange)
        for index, facing in enumerate(self.facings) if self._expected else ():
            answer, told = facing.answer, self._strange.get(index)
            names = (told.gtin, told.other) if told is not None else ()
            if answer is not None and facing.is_strange(self._expected):
                if answer.product not in names:
                    confidence = round(min(max(answer.probability, 0.0), 1.0), 3)
                    self._strange[index] = StrangeItem(
                        facing=index + 1,
                        gtin=answer.product,
                        other=answer.other or None,
                        confidence=confidence,
                        since=now,
                    )
            elif told is not None and not facing.is_in_doubt:
                is_other = answer is None or answer.product not in names
                if not facing.glances or (is_other and facing.fresh_looks >= self._rules.settled_looks):
                    del self._strange[index]
        return self._strange != before

    @property
    def told_misplaced(self) -> str:
        """The products that were told to be misplaced here, with spaces in between; empty when none is."""
        return " ".join(sorted(self._told_misplaced)[:_MOST_REMEMBERED])

    def recall_misplaced(self, products: str) -> None:
        """They were told before a restart."""
        self._told_misplaced = frozenset(products.split())


def _of_others(candidates: Sequence[Candidate], expected: str) -> float:
    """The chance that it is one of the products that are not expected."""
    return sum(candidate.chance for candidate in candidates if candidate.product != expected)


def _named(answer: Recognised | None) -> frozenset[str]:
    return frozenset((answer.product, answer.other)) - {""} if answer is not None else frozenset()


def told(answer: Recognised, revision: str, since: datetime, looks: int, embedding: str = "") -> SeenProduct | None:
    """An answer as it is told; None without a gallery."""
    if len(revision) < 12:
        return None
    return SeenProduct(
        verdict=answer.verdict,
        gtin=answer.product or None,
        other=answer.other or None,
        kind=answer.kind,
        confidence=round(min(max(answer.probability, 0.0), 1.0), 3),
        gallery=revision[:12],
        since=since,
        looks=looks,
        embedding=embedding,
    )


def _in_common(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / both if both > 0 else 0.0


def _key(answer: Recognised) -> tuple[str, str, str]:
    return answer.verdict, answer.product, answer.other

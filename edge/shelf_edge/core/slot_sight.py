"""What stands in a slot by the looks of it, over time: which items to look at next, and what all looks add up to."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from shelf_contracts.messages import SeenProduct
from shelf_edge.core.recognition import Calibration, Look, Recognised, References, looks_of, recognise_slot

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SightRules:
    """Attributes:
    least_looks: looks at a slot before anything is said of it.
    settled_looks: after so many it is looked at again only now and then.
    recheck_s: that often.
    kept_looks: of each facing, the newest ones that count.
    sure: a product that the planogram does not want there is misplaced from this probability on.
    misplaced_looks: and after so many looks that said so.
    """

    least_looks: int = 3
    settled_looks: int = 6
    recheck_s: float = 15.0
    kept_looks: int = 6
    sure: float = 0.8
    misplaced_looks: int = 5


@dataclass(frozen=True, eq=False)
class _Glance:
    vector: Vector
    look: Look


class SlotSight:
    """One slot. A frame gives at most one look at each facing.

    Args:
        expected: the product the planogram wants there; empty when it does not say.
        facings: columns of the slot.
    """

    def __init__(self, slot: str, expected: str, facings: int, rules: SightRules) -> None:
        self.slot = slot
        self._expected = expected
        self._rules = rules
        self._facings: list[deque[_Glance]] = [deque(maxlen=rules.kept_looks) for _ in range(facings)]
        self._fresh_looks = 0
        self._looked_s = float("-inf")
        self._answer: Recognised | None = None
        self._since: datetime | None = None
        self._looks_alike = 0
        self._told_misplaced = ""
        self._scene = 0
        self._has_news = False

    @property
    def has_news(self) -> bool:
        """Whether something was seen that is not judged yet."""
        return self._has_news

    @property
    def scene(self) -> int:
        """Another number after other things may stand there: looks at an earlier scene say nothing of this one."""
        return self._scene

    def wants_look(self, now_s: float) -> bool:
        """Whether another look would tell something."""
        return self._fresh_looks < self._rules.settled_looks or now_s - self._looked_s >= self._rules.recheck_s

    @property
    def looked_s(self) -> float:
        """When it was looked at last."""
        return self._looked_s

    def see(self, facing: int, vector: Vector, look: Look, now_s: float) -> None:
        """An item of a facing was looked at."""
        self._facings[facing].append(_Glance(vector, look))
        self._fresh_looks += 1
        self._looks_alike += 1
        self._looked_s = now_s
        self._has_news = True

    def touch(self) -> None:
        """Something was taken: look again, before others."""
        self._fresh_looks, self._looked_s = 0, float("-inf")

    def forget(self) -> None:
        """Other things may stand there now: what was seen says nothing any more."""
        self.touch()
        self._scene += 1
        for glances in self._facings:
            glances.clear()

    def clear(self) -> None:
        """Nothing stands there."""
        self.forget()
        self._answer, self._since, self._looks_alike, self._told_misplaced = None, None, 0, ""

    def match_again(self, references: References, calibration: Calibration) -> None:
        """Another gallery: what was seen is compared with it."""
        for index, glances in enumerate(self._facings):
            if glances:
                vectors = np.stack([glance.vector for glance in glances])
                looks = looks_of(references, vectors, calibration)
                pairs = zip(vectors, looks, strict=True)
                self._facings[index] = deque((_Glance(*pair) for pair in pairs), self._rules.kept_looks)

    def judge(self, calibration: Calibration, now: datetime) -> bool:
        """Add the looks up; True when the answer is another than before."""
        self._has_news = False
        looks = [[glance.look for glance in glances] for glances in self._facings]
        if sum(map(len, looks)) < self._rules.least_looks:
            return False
        before, self._answer = self._answer, recognise_slot(looks, calibration, self._expected).slot
        if before is not None and _key(before) == _key(self._answer):
            return False
        self._since, self._looks_alike = now, sum(map(len, looks))
        return True

    def seen(self, revision: str) -> SeenProduct | None:
        """The answer as it is told; None before there is one."""
        answer = self._answer
        if answer is None or self._since is None or len(revision) < 12:
            return None
        return SeenProduct(
            verdict=answer.verdict,
            gtin=answer.product or None,
            other=answer.other or None,
            kind=answer.kind,
            confidence=round(min(max(answer.probability, 0.0), 1.0), 3),
            gallery=revision[:12],
            since=self._since,
            looks=self._looks_alike,
        )

    def misplaced(self) -> bool:
        """True once, when it is certain that another product than the planogram's stands there."""
        answer = self._answer
        if answer is None or answer.verdict != "known" or not self._expected or answer.product == self._expected:
            self._told_misplaced = ""
            return False
        is_sure = answer.probability >= self._rules.sure and self._looks_alike >= self._rules.misplaced_looks
        if not is_sure or self._told_misplaced == answer.product:
            return False
        self._told_misplaced = answer.product
        return True

    @property
    def told_misplaced(self) -> str:
        """The product that was told to be misplaced here; empty when none is."""
        return self._told_misplaced

    def recall_misplaced(self, product: str) -> None:
        """It was told before a restart."""
        self._told_misplaced = product

    @property
    def probability(self) -> float:
        return self._answer.probability if self._answer is not None else 0.0


def _key(answer: Recognised) -> tuple[str, str, str]:
    return answer.verdict, answer.product, answer.other

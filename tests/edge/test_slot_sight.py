"""Facings followed one by one: which to look at next, and what is told of a strange item among the right ones."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from shelf_edge.core.recognition import Calibration, Candidate, Look
from shelf_edge.core.slot_sight import SightRules, SlotSight, Urgency
from shelf_edge.core.slot_view import ShownItem

WANTED, OTHER = "04006381333931", "08712345678906"
REVISION = "a" * 64
NOW = datetime(2026, 11, 22, tzinfo=UTC)
CALIBRATION = Calibration()
PLACE = (100.0, 100.0, 140.0, 180.0)
VECTOR = np.zeros(4, np.float32)


def look(product: str, chance: float = 0.9) -> Look:
    other = WANTED if product == OTHER else OTHER
    rest = (1 - chance) / 2
    return Look((Candidate(product, "", 0.8, chance), Candidate(other, "", 0.5, rest)), rest)


class Seen:
    """A slot of three facings that starts full of what belongs there; each look is 0.3 s after the one before."""

    def __init__(self) -> None:
        self.slot = SlotSight("s1", WANTED, 3, SightRules())
        self.now_s = 10.0
        for _ in range(3):
            self.looks({0: WANTED, 1: WANTED, 2: WANTED})

    def looks(self, shown: dict[int, str], *, is_cut: bool = False, chance: float = 0.9) -> list[str | None]:
        """What is told as misplaced when these facings show these products."""
        self.now_s += 0.3
        for column, product in shown.items():
            item = ShownItem(column, PLACE, is_cut)
            self.slot.see(item, VECTOR, look(product, chance), self.now_s, CALIBRATION)
        self.slot.judge(CALIBRATION, NOW)
        told = [seen.gtin for seen in self.slot.misplaced(REVISION, NOW)]
        self.slot.note_strange(NOW)
        return told

    @property
    def strange(self) -> list[tuple[int, str]]:
        return [(item.facing, item.gtin) for item in self.slot.strange]

    def urgencies(self) -> list[Urgency]:
        return [self.slot.urgency(column, self.now_s + 1.0) for column in range(3)]


def test_one_strange_item_among_many_is_told_once_after_three_looks() -> None:
    seen = Seen()
    seen.slot.touch(seen.now_s)
    seen.slot.cover([1])
    seen.slot.cover([])
    assert [seen.looks({1: OTHER}) for _ in range(5)] == [[], [], [OTHER], [], []]
    slot = seen.slot.seen(REVISION)
    assert slot is not None
    assert slot.gtin == WANTED, "the slot as a whole holds what belongs there"


def test_who_was_covered_is_looked_at_first_and_one_look_that_agrees_is_enough() -> None:
    seen = Seen()
    assert seen.urgencies() == [Urgency.NOTHING] * 3
    seen.slot.cover([0, 1])
    assert seen.urgencies() == [Urgency.NOTHING, Urgency.NOTHING, Urgency.NOTHING], "nobody looks at people"
    seen.slot.cover([1])
    assert seen.urgencies() == [Urgency.DOUBTFUL, Urgency.NOTHING, Urgency.NOTHING]
    seen.slot.touch(seen.now_s)
    assert seen.urgencies()[0] == Urgency.TOUCHED
    seen.looks({0: WANTED})
    assert seen.urgencies()[0] == Urgency.NOTHING
    seen.slot.cover([0, 1])
    seen.slot.cover([1])
    seen.looks({0: OTHER})
    assert seen.urgencies()[0] == Urgency.CHANGING, "another answer must be made sure of at once"


def test_looks_at_one_moment_count_once() -> None:
    seen = Seen()
    seen.slot.doubt(seen.now_s)
    seen.looks({0: OTHER})
    assert seen.slot.urgency(0, seen.now_s + 0.05) == Urgency.NOTHING


@pytest.mark.parametrize(("is_cut", "chance"), [(True, 0.9), (False, 0.45)])
def test_what_is_seen_in_part_or_not_for_certain_is_not_told(is_cut: bool, chance: float) -> None:
    seen = Seen()
    seen.slot.doubt(seen.now_s)
    assert [seen.looks({1: OTHER}, is_cut=is_cut, chance=chance) for _ in range(3)] == [[], [], []]


def test_an_item_that_is_carried_past_is_not_told() -> None:
    seen = Seen()
    seen.slot.doubt(seen.now_s)
    for step in range(6):
        left = 100.0 + 30 * step
        item = ShownItem(1, (left, 100.0, left + 40, 180.0))
        seen.now_s += 0.3
        seen.slot.see(item, VECTOR, look(OTHER), seen.now_s, CALIBRATION)
        seen.slot.judge(CALIBRATION, NOW)
        assert seen.slot.misplaced(REVISION, NOW) == []


def test_the_same_product_is_told_again_only_after_it_was_gone() -> None:
    seen = Seen()
    seen.slot.doubt(seen.now_s)
    told = [seen.looks({1: OTHER}) for _ in range(4)]
    assert [OTHER] in told
    seen.slot.cover([1])
    seen.slot.cover([])
    assert [seen.looks({1: OTHER}) for _ in range(4)] == [[]] * 4, "it still stands there"
    seen.slot.doubt(seen.now_s)
    for _ in range(3):
        seen.looks({1: WANTED})
    seen.slot.doubt(seen.now_s)
    assert [OTHER] in [seen.looks({1: OTHER}) for _ in range(4)]


def test_a_strange_item_is_strange_until_it_is_surely_another_one() -> None:
    seen = Seen()
    seen.slot.doubt(seen.now_s)
    for _ in range(3):
        assert seen.strange == []
        seen.looks({1: OTHER})
    assert seen.strange == [(2, OTHER)], "which one, and where: the second from the left"
    told = seen.slot.strange
    seen.slot.cover([1])
    seen.slot.cover([])
    assert seen.strange == [(2, OTHER)], "somebody walked past: nothing was taken back"
    seen.looks({1: OTHER}, chance=0.85)
    assert seen.slot.strange == told, "less sure, but the same: not told anew"
    seen.slot.doubt(seen.now_s)
    seen.looks({1: WANTED})
    assert seen.strange == [(2, OTHER)], "one look is not enough"
    for _ in range(3):
        seen.looks({1: WANTED})
    assert seen.strange == []


def test_a_strange_item_that_was_taken_away_is_gone_though_nothing_stands_in_its_place() -> None:
    seen = Seen()
    seen.slot.doubt(seen.now_s)
    for _ in range(3):
        seen.looks({1: OTHER})
    assert seen.strange == [(2, OTHER)]
    seen.slot.doubt(seen.now_s)
    assert [seen.slot.miss({0, 2}, seen.now_s + after) for after in (0.0, 1.9, 2.0)] == [False, False, True]
    assert seen.strange == []
    for _ in range(3):
        seen.looks({1: OTHER})
    assert [seen.slot.miss(shown, seen.now_s + after) for shown, after in (({0}, 0), ({0, 1}, 1), ({0}, 2))] == [
        False, False, False,
    ], "a detector that blinks takes nothing away"  # fmt: skip
    seen.slot.cover([1])
    assert not any(seen.slot.miss({0}, seen.now_s + after) for after in (2.5, 5.0, 9.0)), "who is in front hides it"
    seen.slot.clear()
    assert seen.strange == []


def test_what_was_misread_before_a_hand_came_was_not_brought_by_it() -> None:
    seen = Seen()
    for _ in range(3):
        seen.looks({1: OTHER})
    assert seen.strange == [], "no hand was there"
    seen.slot.doubt(seen.now_s + 0.1)
    for _ in range(6):
        assert seen.looks({1: OTHER}) == [], "it looks as it did before"
    assert seen.looks({1: OTHER}, chance=0.99) == []


@pytest.mark.parametrize("chance", [0.99, 0.97, 0.75])
def test_where_no_hand_was_nothing_was_misplaced(chance: float) -> None:
    """What is misread in a picture that stands still is misread time and again, however sure it is."""
    fresh = Seen()
    fresh.slot = SlotSight("s1", WANTED, 3, SightRules())
    assert [fresh.looks({0: WANTED, 1: OTHER}, chance=chance) for _ in range(6)] == [[]] * 6
    attended = Seen()
    attended.slot = SlotSight("s1", WANTED, 3, SightRules())
    attended.slot.doubt(attended.now_s)
    assert [OTHER] in [attended.looks({0: WANTED, 1: OTHER}, chance=chance) for _ in range(6)]

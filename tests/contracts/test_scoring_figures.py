"""How a run is scored: what counts, what is excused, and what lies at the edge of the span."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shelf_contracts.scoring import FoundEvent, KindFigures, event_figures, judge_events, score_events, with_reaches
from shelf_contracts.truth import CountChanged, EventKind, TruthEvent


def true(kind: EventKind, begin_s: float, clear_s: float, quantity: int = 1) -> TruthEvent:
    return TruthEvent(kind, "a01", "s1", "09521000137004", quantity, begin_s, (begin_s + clear_s) / 2, clear_s)


def told(kind: str, at_s: float, quantity: int = 1) -> FoundEvent:
    return FoundEvent(kind, "a01", "s1", quantity, at_s, at_s)


def figures(
    truth: list[TruthEvent], found: list[FoundEvent], counts: Sequence[CountChanged] = ()
) -> dict[str, KindFigures]:
    return event_figures([judge_events(score_events(with_reaches(truth), found), counts, from_s=10, to_s=100)])


def test_a_told_pick_is_a_hit_and_a_stray_one_is_false() -> None:
    pick = figures([true("pick", 20, 22)], [told("pick", 22.5), told("pick", 60)])["pick"]
    assert (pick.truth, pick.found, pick.recall, pick.precision) == (1, 2, 1.0, 0.5)


def test_a_reach_whose_touch_is_not_over_at_the_end_is_no_false_one() -> None:
    found = [told("reach", 20.3), told("reach", 60), told("reach", 98.4), told("reach", 98.6), told("reach", 99.9)]
    reach = figures([true("pick", 20, 22)], found)["reach"]
    assert (reach.truth, reach.found, reach.recall) == (1, 3, 1.0)


def test_pick_and_put_are_scored_together() -> None:
    both = figures([true("pick", 20, 22), true("put", 40, 42)], [told("put", 43)])["pick+put"]
    assert (both.truth, both.found, both.recall, both.precision) == (2, 1, 0.5, 1.0)


def test_every_touch_begins_with_a_reach() -> None:
    reach = figures([true("pick", 20, 22)], [told("reach", 20.2)])["reach"]
    assert (reach.truth, reach.recall) == (1, 1.0)


def test_a_hand_that_comes_back_within_one_touch_is_no_false_reach() -> None:
    reach = figures([true("restock", 20, 30)], [told("reach", 20.2), told("reach", 24), told("reach", 50)])["reach"]
    assert (reach.found, reach.precision) == (2, 0.5)


def test_a_strange_item_told_as_put_is_a_miss_but_no_false_put() -> None:
    scores = figures([true("misplaced", 20, 22)], [told("put", 22.4)])
    assert (scores["misplaced"].recall, scores["put"].found) == (0.0, 0)
    scores = figures([true("misplaced", 20, 22)], [told("put", 22.4), told("misplaced", 23.0)])
    assert (scores["misplaced"].recall, scores["misplaced"].precision, scores["put"].found) == (1.0, 1.0, 0)


@pytest.mark.parametrize("begin_s", [8.0, 97.5])
def test_an_event_at_the_edge_of_the_span_is_neither_miss_nor_false(begin_s: float) -> None:
    truth = [true("pick", begin_s, begin_s + 2)]
    for found in ([], [told("pick", begin_s + 2.2)]):
        pick = figures(truth, found)["pick"]
        assert (pick.truth, pick.found) == (0, 0)


def test_nothing_at_all_has_no_shares() -> None:
    pick = figures([], [])["pick"]
    assert (pick.recall, pick.precision) == (None, None)


def test_a_pick_whose_slot_is_still_hidden_at_the_end_is_not_false() -> None:
    counts = [CountChanged("a01", "s1", 0.0, 4), CountChanged("a01", "s1", 94.0, 3)]
    assert figures([], [told("pick", 95.0)], counts)["pick"].found == 0
    assert figures([], [told("put", 95.0)], counts)["put"].found == 1, "the other way"
    assert figures([], [told("pick", 93.0)], counts)["pick"].found == 1, "before it happened"
    assert figures([], [told("pick", 99.9), told("pick", 20.0)], counts)["pick"].found == 1
    told_late = figures([true("pick", 93, 95)], [told("pick", 99.0)], counts)["pick"]
    assert (told_late.truth, told_late.found, told_late.recall) == (1, 1, 0.0), "the truth has told it"


def test_a_reach_of_a_touch_that_is_not_over_at_the_end_is_not_false() -> None:
    counts = [CountChanged("a01", "s1", t_s, count) for t_s, count in ((0.0, 2), (21.0, 3), (91.0, 4), (95.0, 6))]
    truth = [true("put", 20, 22)]
    for at_s, is_false in ((90.2, 0), (94.0, 0), (96.4, 0), (92.9, 1), (80.0, 1), (22.3, 1)):
        reach = figures(truth, [told("reach", 20.3), told("reach", at_s)], counts)["reach"]
        assert reach.found == 1 + is_false, f"told at {at_s:g} s"

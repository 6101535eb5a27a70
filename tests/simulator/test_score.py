"""The scorer: tables that were worked out by hand, and laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_simulator.core.score import (
    FoundCount,
    FoundEvent,
    RaisedAlert,
    false_alerts,
    score_counts,
    score_events,
)
from shelf_simulator.core.truth import KINDS, CountChanged, EventKind, SightChanged, TruthEvent


def true(kind: EventKind, begin: float, *, slot: str = "s1", quantity: int = 1, lasts: float = 1.0) -> TruthEvent:
    return TruthEvent(kind, "a01", slot, "g", quantity, begin, begin + lasts / 2, begin + lasts)


def found(kind: str, at: float, *, slot: str = "s1", quantity: int | None = 1) -> FoundEvent:
    return FoundEvent(kind, "a01", slot, quantity, at)


@pytest.mark.parametrize(
    ("at", "matched"),
    [(9.69, 0), (9.71, 1), (10.0, 1), (11.0, 1), (12.49, 1), (12.51, 0)],
    ids=["too early", "just early", "begin", "clear", "just late", "too late"],
)
def test_the_window_is_from_begin_less_0_3_to_clear_plus_1_5(at: float, matched: int) -> None:
    score = score_events([true("pick", 10.0)], [found("pick", at)])
    assert score.kinds["pick"].matched == matched


@pytest.mark.parametrize(
    "wrong",
    [found("put", 10.5), found("pick", 10.5, slot="s2"), FoundEvent("pick", "a02", "s1", 1, 10.5)],
    ids=["kind", "slot", "bay"],
)
def test_kind_slot_and_bay_must_agree(wrong: FoundEvent) -> None:
    score = score_events([true("pick", 10.0)], [wrong])
    assert score.matches == []
    assert list(score.extra) == [wrong]
    assert len(score.missed) == 1


def test_each_event_is_matched_once() -> None:
    score = score_events([true("pick", 10.0)], [found("pick", 10.5), found("pick", 10.6)])
    assert (score.kinds["pick"].precision, score.kinds["pick"].recall) == (0.5, 1.0)


def test_two_touches_in_a_row_are_both_matched_though_one_report_fits_both() -> None:
    truth = [true("pick", 10.0), true("pick", 11.5)]
    score = score_events(truth, [found("pick", 12.0), found("pick", 13.0)])
    assert score.kinds["pick"].matched == 2


def test_shares_of_nothing_are_none() -> None:
    score = score_events([], [])
    assert all(score.kinds[kind].precision is None and score.kinds[kind].recall is None for kind in KINDS)
    assert score.quantity_exact is None


def test_kinds_without_truth_are_ignored() -> None:
    assert score_events([], [found("anomaly", 1.0)]).extra == []


def test_quantity_is_asked_of_matches_only_and_not_of_reaches() -> None:
    score = score_events(
        [true("pick", 10.0, quantity=2), true("pick", 20.0, quantity=1), true("reach", 30.0, quantity=0)],
        [found("pick", 10.5, quantity=1), found("pick", 20.5), found("reach", 30.5, quantity=None)],
    )
    assert score.quantity_exact == 0.5
    assert [match.delay_s for match in score.matches] == pytest.approx([0.0, 0.0, 0.0])


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 100), st.sampled_from(["s1", "s2"])), max_size=12),
    st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 100), st.sampled_from(["s1", "s2"])), max_size=12),
)
def test_matching_adds_up(
    truths: list[tuple[EventKind, float, str]], founds: list[tuple[EventKind, float, str]]
) -> None:
    truth_events = [true(kind, at, slot=slot) for kind, at, slot in truths]
    found_events = [found(kind, at, slot=slot) for kind, at, slot in founds]
    score = score_events(truth_events, found_events)
    assert len(score.matches) + len(score.missed) == len(truth_events)
    assert len(score.matches) + len(score.extra) == len(found_events)
    assert sum(kind.matched for kind in score.kinds.values()) == len(score.matches)


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 50)), max_size=10))
def test_the_truth_scores_itself_perfectly(truths: list[tuple[EventKind, float]]) -> None:
    truth_events = [true(kind, at, quantity=0 if kind == "reach" else 2) for kind, at in truths]
    reports = [found(event.kind, event.done_s, quantity=event.quantity) for event in truth_events]
    score = score_events(truth_events, reports)
    assert not score.missed
    assert not score.extra
    assert score.quantity_exact in {None, 1.0}


def counted(t_s: float, count: int | None, low: int | None = None, high: int | None = None) -> FoundCount:
    return FoundCount("a01", "s1", t_s, count, low, high)


def holds(t_s: float, count: int) -> CountChanged:
    return CountChanged("a01", "s1", t_s, count)


def covered(t_s: float, occluded: bool) -> SightChanged:
    return SightChanged("a01", "s1", t_s, occluded)


def test_counts_are_weighed_by_time() -> None:
    score = score_counts([holds(0, 5)], [], [counted(0, 5), counted(6, 4), counted(8, 2)], begin_s=0, end_s=10)
    assert (score.exact, score.within_one) == (pytest.approx(0.6), pytest.approx(0.8))
    assert score.settled_s == pytest.approx(10)


def test_unknown_counts_are_not_exact() -> None:
    score = score_counts([holds(0, 5)], [], [counted(0, 5), counted(5, None)], begin_s=0, end_s=10)
    assert score.exact == pytest.approx(0.5)
    assert score.known == pytest.approx(0.5)


def test_what_was_never_reported_is_wrong() -> None:
    score = score_counts([holds(0, 5)], [], [], begin_s=0, end_s=10)
    assert score.exact == 0.0


def test_occluded_time_is_left_out_and_the_time_after_it_is_strict_only() -> None:
    score = score_counts(
        [holds(0, 5), holds(3, 4)],
        [covered(2, True), covered(4, False)],
        [counted(0, 5), counted(5, 4)],
        begin_s=0,
        end_s=10,
    )
    assert score.strict_s == pytest.approx(8)  # without 2..4
    assert score.exact_strict == pytest.approx(7 / 8)  # 4..5 is wrong
    assert score.settled_s == pytest.approx(6.5)  # without 4..5.5 either
    assert score.exact == pytest.approx(1.0)


def test_the_range_is_asked_too() -> None:
    score = score_counts([holds(0, 5)], [], [counted(0, 4, 3, 5), counted(5, 4, 4, 4)], begin_s=0, end_s=10)
    assert score.in_range == pytest.approx(0.5)
    assert score.exact == 0.0


def test_nothing_seen_gives_none() -> None:
    score = score_counts([holds(0, 5)], [covered(0, True)], [counted(0, 5)], begin_s=0, end_s=10)
    assert score.exact is None
    assert score.exact_strict is None


def test_an_empty_span_is_refused() -> None:
    with pytest.raises(ValueError, match="is empty"):
        score_counts([], [], [], begin_s=5, end_s=5)


@pytest.mark.parametrize(
    ("at", "recent", "wrong"),
    [(1.0, 0.0, True), (5.0, 0.0, False), (9.0, 0.0, True), (9.0, 2.0, False)],
    ids=["before low", "while low", "after refill", "just after refill"],
)
def test_false_alerts(at: float, recent: float, wrong: bool) -> None:
    truth = [holds(0, 6), holds(4, 2), holds(8, 9)]
    alerts = [RaisedAlert("a01", "s1", at)]
    assert (false_alerts(alerts, truth, {("a01", "s1"): 2}, recent_s=recent) == alerts) is wrong

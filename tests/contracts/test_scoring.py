"""The scorer: tables that were worked out by hand, and laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_contracts.scoring import (
    FoundCount,
    FoundEvent,
    RaisedAlert,
    alerts_from_counts,
    double_reaches,
    false_alerts,
    score_counts,
    score_events,
    score_lists,
    window_ends,
)
from shelf_contracts.truth import KINDS, CountChanged, EventKind, SightChanged, TruthEvent


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


def in_slot(t_s: float, count: int | None, slot: str) -> FoundCount:
    return FoundCount("a01", slot, t_s, count)


def test_a_list_is_exact_only_while_every_slot_is() -> None:
    truth = [CountChanged("a01", slot, 0.0, 5) for slot in ("s1", "s2")]
    told = [in_slot(0, 5, "s1"), in_slot(0, 5, "s2"), in_slot(2, 4, "s1"), in_slot(3, 4, "s2"), in_slot(6, 5, "s1")]
    score = score_lists(truth, [], told, begin_s=0, end_s=10)
    assert (score.span_s, score.exact_s, score.strict_s) == (10, pytest.approx(2), pytest.approx(2))


def test_a_list_is_excused_for_what_is_hidden_or_has_just_changed() -> None:
    truth = [holds(0, 5), holds(3, 4), CountChanged("a01", "s2", 0.0, 1)]
    told = [in_slot(0, 5, "s1"), in_slot(0, 1, "s2"), in_slot(4, 4, "s1")]
    score = score_lists(truth, [], told, begin_s=0, end_s=10)
    assert (score.exact_s, score.strict_s) == (pytest.approx(10), pytest.approx(9))
    hidden = score_lists(truth, [covered(2, True)], [in_slot(0, 5, "s1"), in_slot(0, 1, "s2")], begin_s=0, end_s=10)
    assert (hidden.exact_s, hidden.strict_s) == (pytest.approx(10), pytest.approx(3))


@pytest.mark.parametrize(
    ("reports", "happened", "right"),
    [
        ([found("reach", 10.2), found("reach", 10.4, slot="s2")], 1, 1),
        ([found("reach", 10.2)], 1, 0),
        ([found("reach", 10.2), found("reach", 10.4, slot="s2"), found("reach", 10.3, slot="s3")], 1, 0),
        ([found("reach", 10.2), found("reach", 11.9, slot="s2")], 1, 0),
    ],
    ids=["both", "one", "a third slot too", "one when its hand had left"],
)
def test_double_reaches(reports: list[FoundEvent], happened: int, right: int) -> None:
    truth = [true("reach", 10.0), true("reach", 10.3, slot="s2"), true("reach", 20.0, slot="s3")]
    score = double_reaches(score_events(truth, reports), 0, 100)
    assert (score.happened, score.right) == (happened, right)


def test_a_third_slot_is_no_false_one_where_a_touch_is_not_over_yet() -> None:
    truth = [true("reach", 10.0), true("reach", 10.3, slot="s2")]
    reports = [found("reach", 10.2), found("reach", 10.4, slot="s2"), found("reach", 10.3, slot="s3")]
    scored = score_events(truth, reports)
    counts = [CountChanged("a01", "s3", 0.0, 2), CountChanged("a01", "s3", 11.0, 3)]
    assert double_reaches(scored, 0, 100).right == 0
    assert double_reaches(scored, 0, 100, counts).right == 1
    assert double_reaches(scored, 0, 100, [counts[0], CountChanged("a01", "s3", 14.0, 3)]).right == 0


@pytest.mark.parametrize(
    ("reports", "raised_at"),
    [
        ([counted(0, 5), counted(4, 2)], [14.0]),
        ([counted(0, 5), counted(4, 2), counted(9, 5)], []),
        ([counted(0, 5), counted(4, 2), counted(6, None), counted(8, 2)], [14.0]),
        ([counted(4, 2), counted(16, 3, 2, 3), counted(18, 2)], [14.0]),
        ([counted(4, 2), counted(16, 3, 3, 3), counted(18, 2)], [14.0, 28.0]),
        ([counted(0, 2, 1, 4)], []),
        ([counted(25, 2)], []),
    ],
    ids=[
        "low",
        "not for long",
        "unknown in between",
        "range around the mark",
        "refilled",
        "may be enough",
        "at the end",
    ],
)
def test_alerts_wait_for_their_dwell(reports: list[FoundCount], raised_at: list[float]) -> None:
    alerts = alerts_from_counts(reports, {("a01", "s1"): 2}, 30.0)
    assert [alert.at_s for alert in alerts] == raised_at


@pytest.mark.parametrize(("low_again_s", "raised_at"), [(100, [14.0]), (140, [14.0, 150.0])])
def test_what_was_likely_enough_for_long_is_alerted_again(low_again_s: float, raised_at: list[float]) -> None:
    reports = [counted(4, 2), counted(16, 3, 2, 3), counted(low_again_s, 2)]
    assert [alert.at_s for alert in alerts_from_counts(reports, {("a01", "s1"): 2}, 200.0)] == raised_at


@pytest.mark.parametrize(
    ("covered", "ends"),
    [
        ([], 12.5),
        ([(9.5, True), (11.0, False)], 12.5),
        ([(11.5, True), (12.5, False)], 13.5),
        ([(11.0, True), (11.2, False), (12.0, True), (12.4, False)], 13.1),
        ([(12.6, True)], 12.5),
        ([(11.5, True)], 17.0),
    ],
    ids=["in sight", "covered by the touch itself", "a second later", "twice", "only after the window", "for good"],
)
def test_a_window_is_so_much_longer_as_the_slot_is_covered_again(
    covered: list[tuple[float, bool]], ends: float
) -> None:
    """Clear at 11 s; 1.5 s of sight are asked for, and at most 6 s are waited for them."""
    sights = [SightChanged("a01", "s1", at_s, occluded) for at_s, occluded in covered]
    sights += [SightChanged("a01", "s2", 11.1, True)]
    touch = true("pick", 10.0)
    assert window_ends(touch, sights) == pytest.approx(ends)
    told = [found("pick", ends - 0.01)]
    assert score_events([touch], told, sights=sights).kinds["pick"].matched == 1
    assert score_events([touch], [found("pick", ends + 0.01)], sights=sights).kinds["pick"].matched == 0

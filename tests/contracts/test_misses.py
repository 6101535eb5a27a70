"""Causes of misses and false events: one story a row."""

from __future__ import annotations

import pytest

from shelf_contracts.misses import explain, explain_counts
from shelf_contracts.scoring import FoundCount, FoundEvent, judge_events, score_events, with_reaches
from shelf_contracts.truth import CountChanged, EventKind, SightChanged, TruthEvent, TruthLog

SLOTS = ("s1", "s2")


def true(kind: EventKind, begin_s: float, slot: str = "s1") -> TruthEvent:
    return TruthEvent(kind, "a01", slot, "g", 1, begin_s, begin_s + 0.5, begin_s + 1.0)


def told(kind: str, at_s: float, slot: str = "s1") -> FoundEvent:
    return FoundEvent(kind, "a01", slot, 1, at_s)


def said(t_s: float, count: int, slot: str = "s1") -> FoundCount:
    return FoundCount("a01", slot, t_s, count)


def causes(
    truth: list[TruthEvent],
    found: list[FoundEvent],
    counts: list[FoundCount],
    sights: list[SightChanged],
    *,
    reaches: bool = False,
) -> list[str]:
    changes = [CountChanged("a01", slot, 0.0, 5) for slot in SLOTS]
    held = dict.fromkeys(SLOTS, 5)
    for event in truth:
        held[event.slot] += -1 if event.kind == "pick" else 1
        changes.append(CountChanged("a01", event.slot, event.done_s, held[event.slot]))
    scored = score_events(with_reaches(truth) if reaches else truth, found)
    judged = judge_events(scored, changes, 0.0, 100.0)
    log = TruthLog(truth, changes, sights)
    starts = [said(0.0, 5, slot) for slot in SLOTS]
    return [f"{cause.wrong} {cause.kind}: {cause.cause}" for cause in explain(judged, log, starts + counts)]


PICK = [true("pick", 10.0)]


@pytest.mark.parametrize(
    ("truth", "found", "counts", "sights", "expected"),
    [
        (PICK, [told("pick", 14.0)], [], [], ["missed pick: too late", "false pick: too late"]),
        (PICK, [told("pick", 9.0)], [], [], ["false pick: too early", "missed pick: too early"]),
        (PICK, [told("put", 11.0)], [], [], ["missed pick: told as put", "false put: a pick in truth"]),
        (PICK, [told("pick", 11.0, "s2")], [], [], ["missed pick: wrong slot", "false pick: wrong slot"]),
        (PICK, [], [said(13.0, 4)], [], ["missed pick: corrected without an event"]),
        (PICK, [], [said(5.0, 4)], [], ["missed pick: counted so already"]),
        (PICK, [], [], [SightChanged("a01", "s1", 11.3, True)], ["missed pick: covered again"]),
        (PICK, [], [], [], ["missed pick: change not seen"]),
        ([true("misplaced", 10.0)], [], [], [], ["missed misplaced: not recognised"]),
        ([*PICK, true("put", 13.0)], [], [],
         [], ["missed pick: cancelled by the opposite touch", "missed put: cancelled by the opposite touch"]),
        ([*PICK, true("pick", 13.0)], [told("pick", 14.2)], [said(14.2, 3)],
         [], ["missed pick: joined with another touch"]),
        (PICK, [told("pick", 11.0), told("pick", 12.9)], [], [], ["false pick: told twice"]),
        ([], [told("put", 50.0)], [], [], ["false put: out of nothing"]),
        ([], [told("put", 50.0)], [], [SightChanged("a01", "s1", 49.0, True)], ["false put: people before the slot"]),
    ],
)  # fmt: skip
def test_each_story_has_its_cause(
    truth: list[TruthEvent],
    found: list[FoundEvent],
    counts: list[FoundCount],
    sights: list[SightChanged],
    expected: list[str],
) -> None:
    assert causes(truth, found, counts, sights) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([told("reach", 10.2), told("reach", 10.3, "s2")], ["false reach: hand on its way elsewhere"]),
        ([told("reach", 10.2, "s2")], ["false reach: wrong slot", "missed reach: wrong slot"]),
        ([told("reach", 13.0)], ["missed reach: too late", "false reach: too late"]),
        ([], ["missed reach: not noticed"]),
    ],
)
def test_each_reach_has_its_cause(found: list[FoundEvent], expected: list[str]) -> None:
    assert causes(PICK, [*found, told("pick", 11.0)], [said(11.0, 4)], [], reaches=True) == expected


def test_wrong_counts_are_told_with_what_they_are_wrong_since() -> None:
    counts = [CountChanged("a01", slot, 0.0, 5) for slot in ("s1", "s2", "s3")] + [CountChanged("a01", "s1", 20.0, 4)]
    sights = [SightChanged("a01", "s2", 52.0, True), SightChanged("a01", "s2", 54.0, False)]
    told = [said(0.0, 5), said(0.5, 5, "s2"), said(0.0, 4, "s3"), said(30.0, 4), said(50.0, 4, "s2")]
    wrong = explain_counts(TruthLog([], counts, sights), told, 1.0, 60.0)
    assert [(one.slot, one.from_s, one.lasts_s, one.true, one.said, one.cause) for one in wrong] == [
        ("s3", 1.0, 59.0, 5, 4, "since the start"),
        ("s1", 20.0, 8.5, 4, 5, "the truth changed"),
        ("s2", 50.0, 6.5, 5, 4, "the node changed its mind"),
    ]

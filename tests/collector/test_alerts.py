"""Alerts open when they must, close when they may, and never flicker."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelf_collector.core.alerts import AlertRules, Gate, alert_id, describe, saw_restock, step, suggested_quantity
from shelf_collector.core.state import SlotReading
from shelf_contracts.ids import LEVEL_PATTERN
from tests.collector.builders import NOON, at

RULES = AlertRules(low_dwell_s=10, out_dwell_s=5, clear_dwell_s=3)
MIN = 2


def reading(low: int | None, high: int | None = None, best: int | None = None) -> SlotReading:
    """A count range; None: unknown."""
    if low is None:
        return SlotReading("a01", "s1-01", "unknown", "occluded", None, None, None, 6, MIN, 0.0, None, NOON)
    high = low if high is None else high
    count = low if best is None else best
    return SlotReading("a01", "s1-01", "ok", "clear", count, low, high, 6, MIN, 0.9, None, NOON)


def run(*looks: tuple[float, SlotReading], gate: Gate | None = None) -> Gate:
    """The gate after looks at (seconds, reading)."""
    gate = gate or Gate()
    for second, seen in looks:
        gate = step(gate, seen, MIN, at(second), RULES)
    return gate


LOW, OUT, FULL, UNKNOWN = reading(2), reading(0), reading(5), reading(None)
STALE = replace(reading(0, 6, 5), reason="stale")
OPEN_LOW = Gate(open="stock_low", opened_at=NOON)
OPEN_OUT = Gate(open="stock_out", opened_at=NOON)


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param([(0, LOW), (9.9, LOW)], None, id="low, not long enough"),
        pytest.param([(0, LOW), (10, LOW)], "stock_low", id="low long enough"),
        pytest.param([(0, OUT), (4.9, OUT)], None, id="out, not long enough"),
        pytest.param([(0, OUT), (5, OUT)], "stock_out", id="out long enough"),
        pytest.param([(0, LOW), (8, OUT), (12, OUT)], "stock_low", id="out counts as low meanwhile"),
        pytest.param([(0, LOW), (10, LOW), (11, OUT), (16, OUT)], "stock_out", id="out replaces low"),
        pytest.param([(0, LOW), (5, FULL), (6, LOW), (12, LOW)], None, id="a good look starts the dwell again"),
        pytest.param([(0, LOW), (5, reading(1, 4)), (6, LOW), (12, LOW)], None, id="a doubtful look starts it again"),
        pytest.param([(0, reading(1, 3)), (60, reading(1, 3))], None, id="never on a range that straddles"),
        pytest.param([(0, reading(0, 1)), (60, reading(0, 1))], "stock_low", id="perhaps out is surely low"),
        pytest.param([(0, UNKNOWN), (60, UNKNOWN)], None, id="never on unknown"),
        pytest.param([(0, LOW), (5, UNKNOWN), (9, UNKNOWN), (10, LOW)], "stock_low", id="a hand stops no dwell"),
        pytest.param([(0, LOW), (60, UNKNOWN)], None, id="and ends none"),
    ],
)
def test_opening(looks: list[tuple[float, SlotReading]], expected: str | None) -> None:
    assert run(*looks).open == expected


@pytest.mark.parametrize(
    ("start", "looks", "expected"),
    [
        pytest.param(OPEN_LOW, [(20, FULL), (22.9, FULL)], "stock_low", id="not long enough"),
        pytest.param(OPEN_LOW, [(20, FULL), (23, FULL)], None, id="long enough"),
        pytest.param(OPEN_LOW, [(20, FULL), (22, LOW), (23, FULL), (25, FULL)], "stock_low", id="interrupted"),
        pytest.param(OPEN_LOW, [(20, reading(2, 6, 5)), (60, reading(2, 6, 5))], "stock_low", id="not surely enough"),
        pytest.param(saw_restock(OPEN_LOW), [(20, reading(2, 6, 5)), (23, reading(2, 6, 5))], None, id="restock seen"),
        pytest.param(saw_restock(OPEN_LOW), [(20, LOW), (60, LOW)], "stock_low", id="restocked too little"),
        pytest.param(
            OPEN_LOW, [(20, reading(2, 6, 5)), (139, reading(2, 6, 5))], "stock_low", id="likely, not for long"
        ),
        pytest.param(OPEN_LOW, [(20, reading(2, 6, 5)), (140, reading(2, 6, 5))], None, id="likely for long"),
        pytest.param(
            OPEN_OUT, [(20, reading(1, 5, 5)), (140, reading(1, 5, 5))], None, id="out, likely filled for long"
        ),
        pytest.param(
            OPEN_LOW,
            [(20, reading(2, 6, 5)), (90, reading(1, 4, 2)), (91, reading(2, 6, 5)), (210, reading(2, 6, 5))],
            "stock_low",
            id="likely, interrupted",
        ),
        pytest.param(
            OPEN_LOW,
            [(20, reading(2, 6, 5)), (60, UNKNOWN), (140, reading(2, 6, 5))],
            None,
            id="likely, a hand before it",
        ),
        pytest.param(OPEN_LOW, [(20, STALE), (900, STALE)], "stock_low", id="only remembered"),
        pytest.param(OPEN_LOW, [(20, UNKNOWN), (60, UNKNOWN)], "stock_low", id="never on unknown"),
        pytest.param(OPEN_OUT, [(20, FULL), (23, FULL)], None, id="from out"),
        pytest.param(OPEN_OUT, [(20, LOW), (22, LOW)], "stock_out", id="still out for a moment"),
        pytest.param(OPEN_OUT, [(20, LOW), (23, LOW)], "stock_low", id="out, then one came back"),
        pytest.param(OPEN_OUT, [(20, reading(0, 2)), (60, reading(0, 2))], "stock_out", id="perhaps still out"),
    ],
)
def test_closing(start: Gate, looks: list[tuple[float, SlotReading]], expected: str | None) -> None:
    assert run(*looks, gate=start).open == expected


def test_the_alert_keeps_when_it_began_as_it_gets_worse() -> None:
    gate = run((0, LOW), (10, LOW), (11, OUT), (16, OUT))
    assert gate.opened_at == at(10)


def test_a_restock_without_an_alert_is_forgotten() -> None:
    assert saw_restock(Gate()) == Gate()


def test_a_clock_set_back_does_not_stretch_a_dwell() -> None:
    gate = step(Gate(), LOW, MIN, at(3600), RULES)
    gate = step(gate, LOW, MIN, at(0), RULES)
    assert step(gate, LOW, MIN, at(10), RULES).open == "stock_low"


_READINGS = st.one_of(
    st.just(UNKNOWN),
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)).map(
        lambda three: reading(sorted(three)[0], sorted(three)[2], sorted(three)[1])
    ),
)


_URGENCY = {None: 0, "stock_low": 1, "stock_out": 2}


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0.05, 4.0), _READINGS), max_size=80))
def test_never_flickers(story: list[tuple[float, SlotReading]]) -> None:
    """To calm down takes the clear dwell since the last change, to open a dwell since the last one was solved."""
    gate, now = Gate(), NOON
    changed_at = now
    for pause_s, seen in story:
        now += timedelta(seconds=pause_s)
        after = step(gate, seen, MIN, now, RULES)
        if after.open != gate.open:
            since_change_s = (now - changed_at).total_seconds() + 1e-6
            assert seen.is_known
            if _URGENCY[after.open] < _URGENCY[gate.open]:
                assert since_change_s >= RULES.clear_dwell_s
            elif gate.open is None:
                assert since_change_s >= RULES.out_dwell_s
            if after.open is None:
                assert seen.count is not None
                assert seen.count_low is not None
                assert seen.count_low > MIN or (seen.count > MIN and since_change_s >= RULES.likely_dwell_s)
            changed_at = now
        gate = after


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(0.05, 2.9), st.booleans()), min_size=1, max_size=60))
def test_a_count_that_swings_faster_than_the_dwells_changes_nothing(swings: list[tuple[float, bool]]) -> None:
    gate, now = Gate(), NOON
    for index, (pause_s, _) in enumerate(swings):
        gate = step(gate, LOW if index % 2 else FULL, MIN, now, RULES)
        assert gate.open is None
        now += timedelta(seconds=pause_s)


def _replay(times: list[datetime], seen: SlotReading) -> Gate:
    gate = Gate()
    for now in times:
        gate = step(gate, seen, MIN, now, RULES)
    return gate


@given(st.lists(st.floats(0, 60), min_size=1, max_size=20))
def test_looking_more_often_does_not_change_the_answer(moments: list[float]) -> None:
    times = [at(0), *(at(second) for second in sorted(moments)), at(60)]
    assert _replay(times, LOW).open == _replay([at(0), at(60)], LOW).open == "stock_low"


@pytest.mark.parametrize(
    ("count", "capacity", "case_pack", "expected"),
    [(0, 18, 6, 18), (2, 18, 6, 12), (2, 18, 1, 16), (2, 6, 12, 4), (None, 6, 4, 4), (6, 6, 1, 0), (9, 6, 1, 0)],
)
def test_suggested_quantity(count: int | None, capacity: int, case_pack: int, expected: int) -> None:
    assert suggested_quantity(count, capacity, case_pack) == expected


@given(
    st.from_regex(LEVEL_PATTERN, fullmatch=True),
    st.from_regex(LEVEL_PATTERN, fullmatch=True),
    st.from_regex(LEVEL_PATTERN, fullmatch=True),
)
def test_alert_ids_are_topic_levels_and_differ_by_slot(bay: str, slot: str, other: str) -> None:
    assert re.match(LEVEL_PATTERN, alert_id(bay, slot))
    if slot != other:
        assert alert_id(bay, slot) != alert_id(bay, other)


def test_time_alone_solves_what_is_likely_enough() -> None:
    waiting = run((20, reading(2, 6, 5)), gate=OPEN_LOW)
    assert waiting.is_waiting
    again = run((140, reading(2, 6, 5)), (150, LOW), (160, LOW), gate=waiting)
    assert again.open == "stock_low", "items that were only drawn to the front: the next hand shows it"
    assert again.opened_at == at(160)


def test_the_message() -> None:
    gate = run((0, OUT), (5, OUT))
    alert = describe(gate, OUT, gtin=None, capacity=6, case_pack=4)
    assert alert is not None
    assert (alert.alert, alert.kind, alert.severity, alert.suggested_qty) == ("a01-s1-01", "stock_out", "critical", 4)
    assert alert.subject == "shelf/a01/slot/s1-01"
    assert describe(Gate(), OUT, gtin=None, capacity=6, case_pack=4) is None

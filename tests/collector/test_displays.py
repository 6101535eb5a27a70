"""Displays show what hands are at, in the shelf's own order, and calm down again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_collector.core.displays import MOST_PANELS, DisplayState, Touch
from shelf_contracts.messages import DisplayContent
from tests.collector.builders import GTINS, at

SLOTS = {f"s1-0{i}": (GTINS[i % 4], i / 10) for i in range(1, 7)}


def touch(slot: str, second: float) -> Touch:
    gtin, side = SLOTS[slot]
    return Touch(slot, gtin, side, at(second), captured_at=at(second - 0.05))


def display() -> DisplayState:
    return DisplayState("d1", "a01", revision=100, panel_s=10)


def slots(content: DisplayContent | None) -> list[str]:
    assert content is not None
    return [panel.slot for panel in content.panels]


@pytest.mark.parametrize(
    ("touched", "expected"),
    [
        (["s1-02"], ["s1-02"]),
        (["s1-05", "s1-02"], ["s1-02", "s1-05"]),
        (["s1-05", "s1-02", "s1-03"], ["s1-02", "s1-03", "s1-05"]),
        (["s1-01", "s1-05", "s1-02", "s1-03"], ["s1-02", "s1-03", "s1-05"]),
        (["s1-01", "s1-05", "s1-01", "s1-02", "s1-03"], ["s1-01", "s1-02", "s1-03"]),
    ],
)
def test_the_most_recent_three_left_to_right(touched: Sequence[str], expected: list[str]) -> None:
    state = display()
    for second, slot in enumerate(touched):
        state.touch(touch(slot, second))
    assert slots(state.content()) == expected


def test_a_panel_stays_after_the_last_touch_and_then_goes() -> None:
    state = display()
    state.touch(touch("s1-01", 0))
    assert state.touch(touch("s1-01", 6)) is None, "nothing new to show"
    assert state.tick(at(15.9)) is None
    assert slots(state.tick(at(16))) == []
    assert state.tick(at(17)) is None


def test_panels_go_one_by_one() -> None:
    state = display()
    state.touch(touch("s1-01", 0))
    state.touch(touch("s1-02", 4))
    assert slots(state.tick(at(10))) == ["s1-02"]
    assert slots(state.tick(at(14))) == []


def test_content_says_which_frame_caused_it() -> None:
    state = display()
    opened = state.touch(touch("s1-01", 1))
    assert opened is not None
    assert (opened.captured_at, opened.revision) == (at(0.95), 101)
    closed = state.tick(at(11))
    assert closed is not None
    assert (closed.captured_at, closed.revision) == (None, 102)


def test_a_clock_set_back_closes_rather_than_keeps() -> None:
    state = display()
    state.touch(touch("s1-01", 3600))
    assert slots(state.tick(at(0))) == []


@given(st.lists(st.tuples(st.sampled_from(sorted(SLOTS)), st.floats(0, 8)), max_size=40))
def test_laws(touches: list[tuple[str, float]]) -> None:
    state, now, revision = display(), 0.0, 100
    for slot, pause_s in touches:
        now += pause_s
        before = state.content().panels
        content = state.touch(touch(slot, now))
        shown = state.content().panels
        assert len(shown) <= MOST_PANELS
        assert slot in {panel.slot for panel in shown}
        assert [panel.side for panel in shown] == sorted(panel.side for panel in shown)
        assert (content is None) == (before == shown)
        assert state.revision == revision + (content is not None)
        revision = state.revision
    state.tick(at(now + 10))
    assert state.content().panels == []


def held(state: DisplayState, gtin: str, second: float, *, slot: str | None = "s1-01", is_sure: bool = True) -> object:
    content = state.hold(gtin, slot, is_sure, at(second), at(second))
    return content and [(panel.gtin, panel.is_held, panel.candidates) for panel in content.panels]


OWN, OTHER = SLOTS["s1-01"][0], SLOTS["s1-02"][0]


def test_what_is_in_the_hand_confirms_the_panel_that_shows_it() -> None:
    state = display()
    assert held(state, OWN, 0) is None, "nothing is opened by it"
    state.touch(touch("s1-01", 2))
    assert held(state, OWN, 3, slot=None) == [(OWN, True, [])]
    assert held(state, OWN, 4) is None, "nothing new"
    assert state.touch(touch("s1-01", 5)) is None, "a pick told a moment later takes nothing back"
    assert [panel.is_held for panel in state.content().panels] == [True]
    again = state.touch(touch("s1-01", 10))
    assert [panel.is_held for panel in again.panels] == [False] if again else False, "another hand"


@pytest.mark.parametrize(("early_s", "is_held"), [(0.2, True), (5.0, False)])
def test_what_is_told_of_the_hand_a_moment_before_its_reach_is_not_lost(early_s: float, is_held: bool) -> None:
    state = display()
    assert held(state, OWN, 1) is None
    state.touch(touch("s1-01", 1 + early_s))
    assert [panel.is_held for panel in state.content().panels] == [is_held]


def test_another_product_in_the_hand_asks_only_when_it_is_sure() -> None:
    state = display()
    state.touch(touch("s1-01", 0))
    assert held(state, OTHER, 1, is_sure=False) is None
    assert held(state, OTHER, 1, slot="s1-03") is None, "from elsewhere"
    assert held(state, OTHER, 1) == [(OWN, False, [OWN, OTHER])]
    assert held(state, OTHER, 2) == [(OTHER, True, [])], "seen again: it is that one"
    assert state.touch(touch("s1-01", 3)) is None

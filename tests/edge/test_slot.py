"""The slot's state machine, told as little stories of looks ten frames a second."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_edge.core.facts import Fact, SlotFact, StockFact
from shelf_edge.core.slot import Slot, SlotLook, SlotRules
from shelf_edge.core.slot_view import ColumnView, bay_geometry
from shelf_testing.planograms import one_slot_planogram

STEP_S = 0.1


@dataclass
class Story:
    """Drives one slot of two columns, three rows; a column is how deep its nearest item stands, None when empty."""

    slot: Slot = field(default_factory=lambda: Slot(bay_geometry(one_slot_planogram(), "c1", 640, 360)[0], SlotRules()))
    now_s: float = 0.0
    facts: list[Fact] = field(default_factory=list)

    def clear(self, *columns: float | None, seconds: float = 1.0) -> Story:
        return self._looks(seconds, columns)

    def hand(self, *columns: float | None, seconds: float = 0.5) -> Story:
        return self._looks(seconds, columns, hand=True, covered=0.3, moving=0.2)

    def body(self, *columns: float | None, seconds: float = 2.0) -> Story:
        return self._looks(seconds, columns, covered=0.6, crowded=True)

    def half_hidden(self, *columns: float | None, seconds: float = 1.0, crowded: bool = False) -> Story:
        return self._looks(seconds, columns, is_whole=False, crowded=crowded)

    def unseen(self, seconds: float) -> Story:
        return self._looks(seconds, None)

    def _looks(
        self,
        seconds: float,
        columns: tuple[float | None, ...] | None,
        hand: bool = False,
        covered: float = 0.0,
        moving: float = 0.0,
        crowded: bool = False,
        is_whole: bool = True,
        handled: bool = False,
    ) -> Story:
        views = None
        if columns is not None:
            views = tuple(
                ColumnView(0, math.nan, covered=covered) if depth is None else ColumnView(1, depth, is_whole, covered)
                for depth in columns
            )
        for _ in range(round(seconds / STEP_S)):
            look = SlotLook(self.now_s, views, hand, covered, moving, crowded, handled, evidence=2.0 * hand)
            self.facts += self.slot.step(look)
            self.now_s += STEP_S
        return self

    @property
    def told(self) -> list[tuple[str, int]]:
        return [(fact.action, fact.quantity) for fact in self.facts if isinstance(fact, SlotFact)]

    @property
    def anomalies(self) -> list[SlotFact]:
        return [fact for fact in self.facts if isinstance(fact, SlotFact) and fact.action == "anomaly"]

    @property
    def stock(self) -> list[StockFact]:
        return [fact for fact in self.facts if isinstance(fact, StockFact)]

    @property
    def count(self) -> int | None:
        return self.stock[-1].observation.count


def test_the_first_clear_looks_give_a_count_and_no_event() -> None:
    story = Story().clear(0.0, 1.0)
    assert story.told == []
    assert story.count == 5
    assert story.stock[0].level == "unknown"


def test_the_wider_the_range_the_less_is_the_best_count_trusted() -> None:
    """Confidence 1.0 beside 3 to 8 would say that nobody can be wrong about five items that nobody sees."""
    full, few = (Story().clear(depth, depth).stock[-1].observation for depth in (0.0, 2.0))
    assert (full.low, full.count, few.low, few.count) == (2, 6, 2, 2)
    assert few.confidence == 1.0
    assert full.confidence == pytest.approx(0.98**4, abs=0.006)


def test_a_hand_that_takes_one_is_a_reach_and_a_pick() -> None:
    story = Story().clear(0.0, 0.0).hand(0.0, 0.0).clear(1.0, 0.0)
    assert story.told == [("reach", 0), ("pick", 1)]
    assert story.count == 5


def test_two_taken_in_one_grab_are_one_pick_of_two() -> None:
    assert Story().clear(0.0, 0.0).hand(0.0, 0.0).clear(2.0, 0.0).told[-1] == ("pick", 2)


def test_a_column_that_becomes_empty_is_taken_to_the_last() -> None:
    story = Story().clear(2.0, 0.0).hand(2.0, 0.0).clear(None, 0.0)
    assert story.told[-1] == ("pick", 1)
    assert story.count == 3


def test_a_put_back_is_told_after_the_hand_has_left() -> None:
    story = Story().clear(2.0, 0.0).hand(2.0, 0.0).clear(1.0, 0.0, seconds=0.5)
    assert story.told == [("reach", 0)]
    assert story.clear(1.0, 0.0).told[-1] == ("put", 1)


def test_a_slot_that_is_full_waits_for_no_further_handful() -> None:
    story = Story().clear(2.0, 2.0).hand(2.0, 2.0).clear(0.0, 0.0, seconds=0.5)
    assert story.told[-1] == ("restock", 4)
    almost = Story().clear(2.0, 2.0).hand(2.0, 2.0).clear(0.0, 1.0, seconds=0.5)
    assert almost.told == [("reach", 0)]
    assert almost.clear(0.0, 1.0).told[-1] == ("restock", 3)


def test_many_at_once_are_a_restock() -> None:
    story = Story().clear(None, None, seconds=1.5).hand(None, None).clear(0.0, 0.0, seconds=2)
    assert story.told[-1] == ("restock", 6)


def test_a_pick_and_its_put_back_both_stand() -> None:
    story = Story().clear(0.0, 0.0).hand(0.0, 0.0).clear(1.0, 0.0).hand(1.0, 0.0).clear(0.0, 0.0, seconds=2)
    assert story.told == [("reach", 0), ("pick", 1), ("reach", 0), ("put", 1)]


def test_a_hand_that_only_looks_is_a_reach_and_nothing_else() -> None:
    assert Story().clear(0.0, 0.0).hand(0.0, 0.0).clear(0.0, 0.0, seconds=3).told == [("reach", 0)]


def test_a_hand_seen_in_one_look_only_is_nothing() -> None:
    assert Story().clear(0.0, 0.0).hand(0.0, 0.0, seconds=0.1).clear(0.0, 0.0, seconds=2).told == []


def test_counts_are_frozen_under_a_hand_and_say_so() -> None:
    story = Story().clear(0.0, 0.0).body(None, None, seconds=4)
    assert story.told == []
    assert story.count == 6
    assert story.stock[-1].observation.reason == "occluded"
    assert story.clear(0.0, 0.0).stock[-1].observation.reason == "rear-unseen"


def test_what_changed_under_a_body_is_told_with_less_confidence() -> None:
    story = Story().clear(0.0, 0.0).body(None, None).clear(1.0, 0.0, seconds=2)
    assert story.told == [("pick", 1)]
    confident = Story().clear(0.0, 0.0).hand(0.0, 0.0).clear(1.0, 0.0)
    event, sure = (
        next(f for f in s.facts if isinstance(f, SlotFact) and f.action == "pick") for s in (story, confident)
    )
    assert event.confidence < sure.confidence


def test_what_is_seen_whole_beside_a_body_is_told_while_the_body_is_there() -> None:
    assert Story().clear(0.0, 0.0).hand(0.0, 0.0).body(1.0, 0.0).told == [("reach", 0), ("pick", 1)]


def test_what_lies_behind_an_item_under_a_hand_is_not_taken_for_the_nearest() -> None:
    story = Story().clear(0.0, 0.0).hand(0.0, 0.0, seconds=0.4).body(1.0, 0.0, seconds=0.4)
    assert story.hand(0.0, 0.0, seconds=0.3).clear(0.0, 0.0).told == [("reach", 0)]


def test_what_is_held_before_the_slot_is_not_put_into_it() -> None:
    story = Story().clear(1.0, 0.0).body(0.0, 0.0, seconds=5).clear(1.0, 0.0, seconds=2)
    assert story.told == []


def test_an_item_a_little_cut_off_by_a_body_has_not_moved() -> None:
    assert Story().clear(0.0, 0.0).body(0.6, 0.0, seconds=5).clear(0.0, 0.0).told == []


def test_an_item_half_hidden_is_believed_later_and_not_while_somebody_is_near() -> None:
    story = Story().clear(0.0, 0.0).body(None, None, seconds=1)
    assert story.half_hidden(1.0, 0.0, seconds=3, crowded=True).told == []
    assert story.half_hidden(1.0, 0.0, seconds=2).told == [("pick", 1)]


def test_what_is_half_hidden_between_two_rows_was_not_put_there() -> None:
    assert Story().clear(1.0, 0.0).hand(1.0, 0.0).half_hidden(0.49, 0.0, seconds=3.0).told == [("reach", 0)]
    assert Story().clear(1.0, 0.0).hand(1.0, 0.0).half_hidden(0.1, 0.0, seconds=3.0).told[-1] == ("put", 1)


def test_flicker_of_the_detector_is_no_event() -> None:
    story = Story().clear(0.0, 0.0)
    for _ in range(20):
        story.clear(None, 0.0, seconds=0.1).clear(0.0, 0.0, seconds=0.3)
    assert story.told == []
    assert story.count == 6


def test_a_change_without_anybody_near_corrects_the_count_slowly_and_is_an_anomaly() -> None:
    story = Story().clear(0.0, 0.0).clear(1.0, 0.0, seconds=3)
    assert story.count == 6
    story.clear(1.0, 0.0, seconds=4)
    assert (story.count, story.told) == (5, [("anomaly", 1)])
    told = story.anomalies[0]
    assert (told.cause, told.before, told.after) == ("count", 6, 5)
    assert told.text == "the books say 6, the camera sees 5, and nobody was seen at it; the camera is believed"


def test_a_view_that_comes_and_goes_is_one_anomaly_a_minute_and_the_count_follows_it() -> None:
    story = Story().clear(0.0, 0.0)
    for _ in range(3):
        story.clear(1.0, 0.0, seconds=7).clear(0.0, 0.0, seconds=7)
    assert story.told == [("anomaly", 1)]
    assert {fact.observation.count for fact in story.stock} == {None, 5, 6}
    assert story.clear(0.0, 0.0, seconds=60).clear(1.0, 0.0, seconds=7).told == [("anomaly", 1), ("anomaly", 1)]


def restarted(story: Story, after_s: float = 5.0) -> Story:
    """The same slot in a new process."""
    books = story.slot.memory("p")
    assert books is not None
    anew = Story(now_s=story.now_s + after_s)
    anew.slot.recall(books, anew.now_s)
    return anew


def test_after_a_restart_the_count_is_stale_until_the_camera_saw_it_and_says_how_old_it_is() -> None:
    before = Story().clear(0.0, 1.0)
    story = restarted(before, after_s=30).clear(0.0, 1.0)
    stale, seen = story.stock[0], story.stock[-1]
    assert (stale.observation.count, stale.observation.low, stale.observation.high) == (5, 0, 6)
    assert (stale.observation.reason, stale.level) == ("stale", "ok")
    assert stale.captured_s == pytest.approx(before.now_s - STEP_S)
    assert (seen.observation.count, seen.observation.reason, story.told) == (5, "rear-unseen", [])


def test_what_was_taken_while_the_node_was_away_is_an_anomaly_with_both_numbers() -> None:
    story = restarted(Story().clear(0.0, 0.0)).clear(1.0, 0.0)
    assert story.told == [("anomaly", 1)]
    assert (story.anomalies[0].before, story.anomalies[0].after, story.count) == (6, 5, 5)
    assert "since the node last saw it" in story.anomalies[0].text


def test_a_hand_that_came_before_the_restart_took_what_is_missing_after_it() -> None:
    story = restarted(Story().clear(0.0, 0.0).hand(0.0, 0.0)).clear(1.0, 0.0)
    assert story.told == [("pick", 1)]
    assert restarted(Story().clear(0.0, 0.0).hand(0.0, 0.0), after_s=600).clear(1.0, 0.0).told == [("anomaly", 1)]


def test_a_constant_error_of_the_view_and_what_the_ledger_knows_outlive_a_restart() -> None:
    assert restarted(Story().clear(0.4, 0.4)).clear(1.4, 0.4).count == 5
    full = Story().clear(None, None, seconds=1.5).hand(None, None).clear(0.0, 0.0, seconds=2)
    assert restarted(full).clear(0.0, 0.0).stock[-1].observation.low == 6


def test_while_somebody_stands_before_it_a_slot_stays_stale() -> None:
    story = restarted(Story().clear(0.0, 0.0)).body(None, None, seconds=8)
    assert (story.told, story.stock[-1].observation.reason) == ([], "stale")
    assert story.clear(None, 0.0, seconds=2).told == [("anomaly", 3)]


def looks(
    story: Story, seconds: float, columns: tuple[float | None, ...], *, hand: bool = False,
    moving: tuple[float, ...] = (), at_hand: tuple[bool, ...] = (), crowded: bool = False,
) -> Story:  # fmt: skip
    """Looks that say which columns move, and which a hand is at."""
    views = tuple(ColumnView(0, math.nan) if depth is None else ColumnView(1, depth) for depth in columns)
    for _ in range(round(seconds / STEP_S)):
        look = SlotLook(story.now_s, views, hand, 0.3 if hand else 0.0, max(moving, default=0.0), crowded,
                        columns_moving=moving, columns_at_hand=at_hand, evidence=2.0 * hand)  # fmt: skip
        story.facts += story.slot.step(look)
        story.now_s += STEP_S
    return story


def test_what_moves_before_one_column_delays_no_other() -> None:
    story = Story().clear(0.0, 0.0).hand(0.0, 0.0)
    assert looks(story, 0.8, (1.0, None), moving=(0.0, 0.5), crowded=True).told[-1] == ("pick", 1)
    assert story.count == 5


@pytest.mark.parametrize(
    ("after", "told"),
    [((0.0, 0.0, 0.0, 1.0), []), ((1.0, 0.0, 0.0, 0.0), [("pick", 1)]), ((0.0, 1.0, 0.0, 0.0), [("pick", 1)])],
    ids=["far from the hand", "under it", "beside it"],
)
def test_a_hand_changes_the_columns_beside_it_and_no_others(
    after: tuple[float | None, ...], told: list[tuple[str, int]]
) -> None:
    wide = bay_geometry(one_slot_planogram(), "c1", 640, 360)[0]
    wide = replace(wide, columns=4, column_samples=wide.column_samples * 2)
    story = looks(Story(slot=Slot(wide, SlotRules())), 1.0, (0.0, 0.0, 0.0, 0.0))
    looks(story, 0.5, (0.0, 0.0, 0.0, 0.0), hand=True, at_hand=(True, False, False, False))
    assert looks(story, 0.8, after).told[1:] == told


def test_all_of_a_column_taken_by_a_hand_that_was_at_it_is_told_though_somebody_is_near() -> None:
    story = Story().clear(0.0, 0.0)
    looks(story, 0.5, (0.0, 0.0), hand=True, at_hand=(True, False))
    assert looks(story, 0.8, (None, 0.0), crowded=True).told[-1] == ("pick", 3)


def test_what_nobody_was_seen_to_do_must_be_seen_alike_for_longer() -> None:
    story = Story().clear(0.0, 0.0).body(None, None)
    for _ in range(4):
        story.clear(1.0, 0.0, seconds=0.4).clear(0.0, 0.0, seconds=0.3)
    assert story.told == []


def test_several_gone_from_a_column_without_a_hand_take_longer_to_believe() -> None:
    assert Story().clear(0.0, 0.0).body(None, None).clear(1.0, 0.0, seconds=1.5).told == [("pick", 1)]
    story = Story().clear(0.0, 0.0).body(None, None).clear(2.0, 0.0, seconds=1.5)
    assert story.told == []
    assert story.clear(2.0, 0.0, seconds=2.0).told == [("pick", 2)]


def test_several_that_came_without_a_hand_take_longer_to_believe() -> None:
    story = Story().clear(2.0, 1.0).body(None, None).clear(0.0, 1.0, seconds=1.5)
    assert story.told == []
    assert story.clear(0.0, 1.0, seconds=2.0).told == [("anomaly", 2)]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [((1.0, 0.0), (0.0, 0.0), ("anomaly", 1)), ((0.0, 0.0), (None, 0.0), ("anomaly", 3)),
     ((0.0, 0.0), (1.0, 0.0), ("pick", 1)), ((2.0, 2.0), (0.0, 0.0), ("restock", 4))],
)  # fmt: skip
def test_without_a_hand_a_put_or_more_than_a_handful_taken_corrects_the_count_and_is_no_event(
    before: tuple[float | None, ...], after: tuple[float | None, ...], told: tuple[str, int]
) -> None:
    story = Story().clear(*before).body(None, None).clear(*after, seconds=4.0)
    assert story.told == [told]


def test_a_rise_is_not_told_while_a_hand_that_means_it_is_over_the_slot() -> None:
    story = Story().clear(1.0, 1.0).hand(1.0, 1.0)
    looks(story, 2.0, (0.0, 1.0), at_hand=(False, True))
    assert story.told == [("reach", 0)]
    assert looks(story, 1.0, (0.0, 1.0)).told == [("reach", 0), ("put", 1)]


def test_a_put_that_was_seen_is_told_though_somebody_steps_before_it() -> None:
    story = Story().clear(1.0, 1.0).hand(1.0, 1.0).clear(0.0, 1.0, seconds=0.4)
    assert story.told == [("reach", 0)]
    assert story.body(None, None, seconds=1.0).told == [("reach", 0), ("put", 1)]
    story = Story().clear(1.0, 1.0).hand(1.0, 1.0).clear(0.0, 1.0, seconds=0.4)
    assert story.hand(None, None, seconds=0.2).body(None, None, seconds=3.0).told == [("reach", 0)]


def test_an_item_that_a_hand_knocked_over_is_neither_put_nor_taken() -> None:
    story = Story().clear(0.2, 0.2).hand(0.2, 0.2)
    views = tuple(replace(ColumnView(1, depth, False), is_behind_lying=True) for depth in (0.9, -0.3))
    for _ in range(30):
        story.facts += story.slot.step(SlotLook(story.now_s, views, False, 0.0, 0.0))
        story.now_s += STEP_S
    assert story.told == [("reach", 0)]
    assert story.count == 6
    assert not story.slot.is_waiting


def test_a_constant_error_of_the_view_cancels_out() -> None:
    story = Story().clear(0.4, 0.4).hand(0.4, 0.4).clear(1.4, 0.4)
    assert (story.told[-1], story.count) == (("pick", 1), 5)


def test_the_range_says_what_is_not_seen() -> None:
    observation = Story().clear(0.0, 2.0).stock[-1].observation
    assert (observation.low, observation.count, observation.high, observation.reason) == (2, 4, 4, "rear-unseen")


def under_a_board() -> Story:
    """A slot of which the rear row is hidden by the board above."""
    geometry = bay_geometry(one_slot_planogram(), "c1", 640, 360)[0]
    return Story(Slot(replace(geometry, hidden_rows=1), SlotRules()))


def test_a_column_never_seen_to_hold_anything_may_hold_one_under_the_board_above() -> None:
    story = under_a_board().clear(1.0, None, seconds=1.5)
    seen = story.stock[-1].observation
    assert (seen.low, seen.count, seen.high, seen.reason) == (1, 2, 3, "rear-unseen")
    story.clear(1.0, 2.0, seconds=8)
    seen = story.stock[-1].observation
    assert (seen.count, seen.high) == (3, 3)
    assert story.told == [], "it was in the range: the books were not wrong"


def test_what_looks_empty_as_a_whole_is_out() -> None:
    seen = under_a_board().clear(None, None, seconds=1.5).stock[-1]
    assert (seen.observation.count, seen.observation.high, seen.level) == (0, 0, "out")


def test_of_a_column_that_was_emptied_it_is_known() -> None:
    story = under_a_board().clear(1.0, 2.0).hand(1.0, 2.0).clear(1.0, None)
    assert story.told[-1] == ("pick", 1)
    seen = story.stock[-1].observation
    assert (seen.count, seen.high) == (2, 2)
    story.clear(1.0, 2.0, seconds=8)
    assert story.told[-1] == ("anomaly", 1)


def test_what_may_stand_under_the_board_outlives_a_restart() -> None:
    story = under_a_board().clear(1.0, None, seconds=1.5)
    books = story.slot.memory("p")
    assert books is not None
    assert books.never_seen == (1,)
    again = under_a_board()
    again.slot.recall(books, 0.0)
    assert again.clear(1.0, None, seconds=1.5).stock[-1].observation.high == 3


def test_what_the_ledger_knows_raises_the_lower_end() -> None:
    story = Story().clear(None, None, seconds=1.5).hand(None, None).clear(0.0, 0.0, seconds=2)
    assert story.stock[-1].observation.low == 6


def test_an_unchanged_level_is_said_again() -> None:
    story = Story().clear(0.0, 0.0)
    before = len(story.stock)
    story.unseen(301)
    assert len(story.stock) == before + 1


@pytest.mark.parametrize(
    ("columns", "level"), [((0.0, 0.0), "full"), ((1.0, 0.0), "ok"), ((2.0, 2.0), "low"), ((None, None), "out")]
)
def test_levels(columns: tuple[float | None, ...], level: str) -> None:
    assert Story().clear(*columns, seconds=1.5).stock[-1].level == level


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["clear", "hand", "body"]),
            st.sampled_from([None, 0.0, 1.0, 2.0]),
            st.sampled_from([None, 0.0, 1.0, 2.0]),
            st.integers(1, 30),
        ),
        max_size=12,
    )
)
def test_the_books_always_balance(scenes: list[tuple[str, float | None, float | None, int]]) -> None:
    """Whatever happens, the counts lie within the capacity, events chain, and no stock level is said twice in a row."""
    story = Story()
    for kind, left, right, tenths in scenes:
        getattr(story, kind)(left, right, seconds=tenths * STEP_S)
    for fact in story.stock:
        seen = fact.observation
        if seen.count is not None:
            assert 0 <= seen.low <= seen.count <= seen.high <= 6
    for fact in story.facts:
        if isinstance(fact, SlotFact) and fact.action != "reach":
            assert fact.before is not None
            assert fact.after is not None
            assert abs(fact.after - fact.before) == fact.quantity > 0
    said = [(f.observation.count, f.observation.low, f.observation.high, f.observation.reason) for f in story.stock]
    assert all(one != other for one, other in itertools.pairwise(said))


def test_two_slots_with_the_same_looks_tell_the_same() -> None:
    one, other = (Story().clear(0.0, 1.0).hand(0.0, 1.0).clear(1.0, 1.0) for _ in range(2))
    assert one.facts == other.facts


@pytest.mark.parametrize(("handled", "wanted"), [(True, [("pick", 1)]), (False, [])])
def test_beside_somebody_a_change_is_believed_where_a_hand_had_stopped(
    handled: bool, wanted: list[tuple[str, int]]
) -> None:
    story = Story().clear(0.0, 0.0)._looks(0.5, (0.0, 0.0), covered=0.4, moving=0.2, crowded=True, handled=handled)
    assert story._looks(1.0, (1.0, 0.0), crowded=True).told == wanted


def looks_of(story: Story, seconds: float, *views: ColumnView, hand: bool = False, crowded: bool = False) -> Story:
    """Columns that are not alike: one may be hidden while the other is free."""
    for _ in range(round(seconds / STEP_S)):
        moving = 0.2 if hand else 0.0
        look = SlotLook(story.now_s, views, hand, 0.5, moving, crowded, evidence=2.0 * hand)
        story.facts += story.slot.step(look)
        story.now_s += STEP_S
    return story


def test_the_rest_of_a_restock_seen_later_corrects_the_count_and_is_no_put() -> None:
    seen, hidden = ColumnView(1, 0.0), ColumnView(0, math.nan, covered=1.0)
    story = Story().clear(None, None, seconds=1.5)
    looks_of(story, 0.5, hidden, hidden, hand=True)
    looks_of(story, 6.0, seen, hidden, crowded=True)
    assert story.told == [("reach", 0), ("restock", 3)]
    story.clear(0.0, 0.0, seconds=2.0)
    assert story.told == [("reach", 0), ("restock", 3)]
    assert story.count == 6


def test_between_people_only_a_column_that_is_not_wholly_hidden_is_looked_at() -> None:
    for covered, wanted in ((0.5, [("reach", 0), ("pick", 1)]), (0.9, [("reach", 0)])):
        story = Story().clear(0.0, 0.0).hand(0.0, 0.0)
        taken, other = ColumnView(1, 1.0, covered=covered), ColumnView(1, 0.0)
        assert looks_of(story, 1.0, taken, other, crowded=True).told == wanted
    cut_above = ColumnView(1, 1.0, covered=0.5, is_full=False)
    story = Story().clear(0.0, 0.0).hand(0.0, 0.0)
    assert looks_of(story, 1.0, cut_above, ColumnView(1, 0.0), crowded=True).told == [("reach", 0)]


@pytest.mark.parametrize(
    ("evidence", "told_at"),
    [
        ((2.0, 2.0), 1),
        ((1.0, 1.0, 2.0), 2),  # it came, and then it stopped
        ((1.0, 1.0, 1.0, 1.0), 3),
        ((2.0, 0.0, 2.0, 2.0), 3),  # missed once: half of what was told is left
        ((2.0, -1.5, 2.0, 0.0), None),  # taken for a hanging one in between
        ((0.3,) * 12, 10),  # a little at a time
        ((0.3,) * 9, None),
        ((2.0, 0.0, 0.0, 0.0), None),
        ((-1.5,) * 12, None),
    ],
)
def test_a_reach_is_told_when_looks_at_the_hand_tell_enough_of_it(
    evidence: tuple[float, ...], told_at: int | None
) -> None:
    slot = Story().clear(0.0, 0.0).slot
    told = None
    for index, one in enumerate(evidence):
        facts = slot.step(SlotLook(10 + index * STEP_S, (ColumnView(1, 0.0),) * 2, one >= 2, 0.3, 0.0, evidence=one))
        if told is None and any(isinstance(fact, SlotFact) and fact.action == "reach" for fact in facts):
            told = index
    assert told == told_at


def test_a_hand_that_passes_is_waited_for_and_then_forgotten() -> None:
    story = Story().clear(0.0, 0.0)
    assert not story.slot.is_waiting
    views = (ColumnView(1, 0.0),) * 2
    story.slot.step(SlotLook(story.now_s, views, False, 0.0, 0.0, evidence=1.0))
    assert story.slot.is_waiting
    for step in range(1, 6):
        story.slot.step(SlotLook(story.now_s + step * STEP_S, views, False, 0.0, 0.0))
    assert not story.slot.is_waiting

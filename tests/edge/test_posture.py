"""Items that lie or were pushed back, told once."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shelf_contracts.planogram import Planogram
from shelf_edge.core.geometry import project
from shelf_edge.core.memory import ColumnMemory
from shelf_edge.core.posture import PostureRules, PostureWatch, behind_lying, has_fallen
from shelf_edge.core.slot_view import ColumnView, SlotGeometry, bay_geometry
from shelf_testing.planograms import one_slot_planogram


def bottles() -> SlotGeometry:
    """Items three times as high as wide."""
    plain = one_slot_planogram().model_dump(by_alias=True)
    plain["products"][0] |= {"w": 80, "h": 260}
    return bay_geometry(Planogram.model_validate(plain), "c1", 1280, 720)[0]


SLOT = bottles()
RULES = PostureRules()
SETTLED = (ColumnMemory(3, 0.2), ColumnMemory(0, None))
NO_BOXES = np.zeros((0, 4), np.float32)


def box(across: float, depth_rows: float, wide: float, high: float) -> list[float]:
    """A box whose base stands there; ``wide`` and ``high`` in widths of a standing item."""
    assert SLOT.to_board is not None
    to_picture = np.linalg.inv(SLOT.to_board)
    v = depth_rows / SLOT.rows
    ends = project(to_picture, np.array([[across - SLOT.item_width / 2, v], [across + SLOT.item_width / 2, v]]))
    unit = float(ends[1, 0] - ends[0, 0])
    x, y = float(ends[:, 0].mean()), float(ends[0, 1])
    return [x - wide * unit / 2, y - high * unit, x + wide * unit / 2, y]


@pytest.mark.parametrize(
    ("name", "wide", "high", "wanted"),
    [
        ("standing", 1.0, SLOT.item_aspect, False),
        ("lying", SLOT.item_aspect * 0.95, 1.2, True),
        ("lying at an angle", SLOT.item_aspect * 0.8, 1.4, True),
        ("another product, wide and low", 1.4, 1.4, False),
        ("two side by side", 2.0, SLOT.item_aspect, False),
        ("half hidden", 1.0, 0.5 * SLOT.item_aspect, False),
        ("a whole row in one box", 3 * SLOT.item_aspect, 1.0, False),
    ],
)
def test_what_lies(name: str, wide: float, high: float, wanted: bool) -> None:
    assert has_fallen(SLOT, np.array([box(0.4, 0.2, wide, high)], np.float32), RULES) is wanted, name


def test_the_tops_of_two_behind_another_are_not_one_that_lies() -> None:
    behind, before = box(0.4, 1.2, 2.5, 1.2), box(0.38, 0.2, 1.0, SLOT.item_aspect)
    assert has_fallen(SLOT, np.array([behind], np.float32), RULES)
    assert not has_fallen(SLOT, np.array([behind, before], np.float32), RULES)


def test_what_lies_in_another_slot_is_not_told_here() -> None:
    assert not has_fallen(SLOT, np.array([box(1.4, 0.2, 2.5, 1.2)], np.float32), RULES)
    assert not has_fallen(SLOT, np.zeros((0, 4), np.float32), RULES)


def test_a_fallen_item_is_told_once_and_again_after_it_was_put_right() -> None:
    watch, told = PostureWatch(RULES), []
    watch.disturb(-1.0)
    lying, standing = box(0.4, 0.2, 2.5, 1.2), box(0.4, 0.2, 1.0, SLOT.item_aspect)
    views = (ColumnView(1, 0.2), ColumnView(1, 0.2))
    for second in range(60):
        shown = standing if second in range(20, 40) or second == 7 else lying
        told += [
            (second, fact.cause)
            for fact in watch.step(
                SLOT, np.array([shown], np.float32), views, (ColumnMemory(3, 0.2), ColumnMemory(3, 0.2)), float(second)
            )
        ]
    assert told == [(4, "fallen"), (44, "fallen")]


def test_what_lies_where_nobody_was_takes_long_to_believe() -> None:
    lying, settled = np.array([box(0.4, 0.2, 2.5, 1.2)], np.float32), (ColumnMemory(3, 0.2),) * 2
    views = (ColumnView(1, 0.2),) * 2
    for broken_at, told_at in ((None, 600.0), (300.0, 902.0)):
        watch, told = PostureWatch(RULES), []
        for second in range(0, 1000, 2):
            boxes = NO_BOXES if second == broken_at else lying
            if watch.step(SLOT, boxes, views, settled, float(second)):
                told.append(float(second))
        assert told == [told_at]


def test_a_restart_does_not_tell_it_again() -> None:
    watch = PostureWatch(RULES)
    watch.recall(True)
    lying, settled = np.array([box(0.4, 0.2, 2.5, 1.2)], np.float32), (ColumnMemory(3, 0.2),) * 2
    assert [watch.step(SLOT, lying, (ColumnView(1, 0.2),) * 2, settled, float(at)) for at in range(10)] == [[]] * 10


@pytest.mark.parametrize(
    ("depth", "is_whole", "wanted"),
    [(0.2, True, 0), (0.4, True, 0), (0.6, True, 1), (0.6, False, 0), (1.2, True, 0), (math.nan, True, 0)],
)
def test_an_item_pushed_by_less_than_half_a_row_is_told_and_a_row_is_a_taking(
    depth: float, is_whole: bool, wanted: int
) -> None:
    watch, told = PostureWatch(RULES), 0
    watch.disturb(-1.0)
    views = (ColumnView(0 if math.isnan(depth) else 1, depth, is_whole), ColumnView(0, math.nan))
    for second in range(20):
        settled = (ColumnMemory(3, 0.2), ColumnMemory(0, None))
        facts = watch.step(SLOT, np.zeros((0, 4), np.float32), views, settled, float(second))
        told += sum(fact.cause == "pushed-back" for fact in facts)
    assert told == wanted


def pushed(watch: PostureWatch, depths: list[float], begins_s: float = 0.0) -> list[float]:
    """When it is told that something was pushed back; a look a second, at which the item stands there."""
    told = []
    for second, depth in enumerate(depths):
        views = (ColumnView(1, depth), ColumnView(0, math.nan))
        if watch.step(SLOT, NO_BOXES, views, SETTLED, begins_s + second):
            told.append(begins_s + second)
    return told


def test_nothing_is_pushed_back_where_nobody_was() -> None:
    """Half a row off its place as it seems for hours, and then not, and again: that is the light."""
    assert pushed(PostureWatch(RULES), [0.2, 0.5] * 20 + [0.6] * 600 + [0.2] * 60 + [0.6] * 60) == []


def test_who_comes_near_has_not_pushed_what_was_seen_there_before() -> None:
    watch = PostureWatch(RULES)
    assert pushed(watch, [0.5] * 60) == []
    watch.disturb(60.0)
    assert pushed(watch, [0.5] * 20, 61.0) == [], "it was seen there at rest"
    watch.disturb(82.0)
    assert pushed(watch, [0.8] * 20, 83.0) == [87.0], "now it stands farther back"


def test_what_is_counted_anew_is_compared_with_where_it_was_seen_then() -> None:
    watch = PostureWatch(RULES)
    watch.disturb(0.0)
    empty, one = (ColumnMemory(0, None),) * 2, (ColumnMemory(1, 1.0), ColumnMemory(0, None))
    gone, back = (ColumnView(0, math.nan),) * 2, (ColumnView(1, 1.3), ColumnView(0, math.nan))
    assert not any(watch.step(SLOT, NO_BOXES, gone, empty, float(at)) for at in range(5))
    told = [at for at in range(5, 15) if watch.step(SLOT, NO_BOXES, back, one, float(at))]
    assert told == [9]


def test_what_lies_before_a_column_is_marked_there_and_nowhere_else() -> None:
    views = (ColumnView(1, 0.2),) * SLOT.columns
    middle = 0.5 / SLOT.columns
    lying = np.array([box(middle, 0.2, 0.9 * SLOT.item_aspect, 1.2)], np.float32)
    seen = behind_lying(SLOT, lying, views, RULES)
    assert seen[0].is_behind_lying
    assert not behind_lying(SLOT, np.array([box(middle, 0.2, 1.0, SLOT.item_aspect)]), views, RULES)[0].is_behind_lying
    assert behind_lying(SLOT, np.zeros((0, 4), np.float32), views, RULES) is views

"""A day on which nobody comes: light that comes and goes, noise, a detector that blinks. Nothing is told falsely."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from shelf_contracts.scoring import FoundCount, alerts_from_counts
from shelf_edge.bench import bench_planogram, still_shelf
from shelf_edge.core.bay import Bay
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.facts import SlotFact, StockFact
from shelf_edge.core.frame import Frame

WIDTH_PX, HEIGHT_PX = 320, 180
DAY_S = 86_400
OPENS_S, CLOSES_S = 7 * 3600, 21 * 3600
BLINKS = 0.01
"""So often the detector misses an item, or sees one elsewhere."""


def light_at(second: float) -> float:
    """Lamps, and the sun through the window; at night nearly nothing."""
    if not OPENS_S <= second % DAY_S < CLOSES_S:
        return 0.03
    return 0.75 + 0.2 * math.sin(math.pi * (second % DAY_S - OPENS_S) / (CLOSES_S - OPENS_S))


def moments(begins_s: int, lasts_s: int) -> Iterator[float]:
    """Ten frames a second for the first seconds of each minute, then one: a day must pass in minutes."""
    for second in range(begins_s, begins_s + lasts_s):
        for tenth in range(10 if second % 60 < 4 else 1):
            yield second + tenth / 10


@pytest.mark.parametrize(
    ("begins_s", "lasts_s"),
    [
        pytest.param(OPENS_S - 60, 360, id="six minutes around opening"),
        pytest.param(0, DAY_S, id="a day", marks=pytest.mark.long),
    ],
)
def test_a_day_at_rest_gives_no_event_and_no_alert(begins_s: int, lasts_s: int) -> None:
    plan = bench_planogram()
    shelf = cv2.resize(still_shelf(plan), (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
    boxes = []
    for view in plan.view_of("c1").slots.values():
        assert view.floor is not None
        left, right = view.floor[0][0] * WIDTH_PX, view.floor[1][0] * WIDTH_PX
        base, wide = view.floor[0][1] * HEIGHT_PX - 1, (right - left) * 0.8
        boxes.append([(left + right - wide) / 2, base - 1.3 * wide, (left + right + wide) / 2, base])
    standing = np.array(boxes, np.float32)
    rng = np.random.default_rng(11)
    noise = [rng.integers(-3, 4, shelf.shape, np.int16) for _ in range(8)]
    bay = Bay(plan, "c1")
    told: list[SlotFact] = []
    counts: list[FoundCount] = []
    looks = 0
    for number, at_s in enumerate(moments(begins_s, lasts_s)):
        lit = np.clip(shelf * light_at(at_s) + noise[number % 8], 0, 255).astype(np.uint8)
        frame = Frame(lit, at_s, number)
        seen = None
        if bay.wants_look(frame):
            looks += 1
            is_there = rng.random(len(standing)) >= BLINKS
            found = standing[is_there] + rng.normal(0, 0.2, (int(is_there.sum()), 4)).astype(np.float32)
            kinds = np.full(len(found), Kind.PRODUCT, np.uint8)
            seen = Detections(found.astype(np.float32), np.full(len(found), 0.8, np.float32), kinds)
        for fact in bay.advance(frame, seen):
            if isinstance(fact, SlotFact):
                told.append(fact)
            elif isinstance(fact, StockFact):
                count = None if fact.level == "unknown" else fact.observation.count
                seen_of = fact.observation
                counts.append(FoundCount("a01", fact.slot, fact.captured_s, count, seen_of.low, seen_of.high))
    marks = {("a01", one.id): one.min_presentation for one in plan.positions}
    assert [(fact.action, fact.slot) for fact in told] == []
    assert alerts_from_counts(counts, marks, float(begins_s + lasts_s)) == []
    assert any(count.count is not None for count in counts), "the slots were counted"
    assert looks < 0.7 * number, "a shelf at rest is not looked at in every frame"

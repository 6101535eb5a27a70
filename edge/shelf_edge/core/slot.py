"""One slot over time: when to believe what is seen, and what to call it when it changed.

A change counts only while nothing covers the slot and several frames agree. It is an event (pick, put, restock) when a
hand or a body was there since the last settled count; without one it is a correction of the count, which is no event.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass

from shelf_contracts.messages import Action, Reason
from shelf_edge.core.facts import Fact, Observation, SlotFact, StockFact, level_of
from shelf_edge.core.slot_view import ColumnView, SlotGeometry


@dataclass(frozen=True)
class SlotRules:
    """How patient the slot is. Times in seconds, shares 0 to 1.

    Attributes:
        reach_frames: a hand must be in the slot in this many looks in a row.
        visit_gap_s: a hand gone for this long has left.
        covered_share: the slot is covered when more than this share of it lies under a hand or a body.
        moving_share: the slot is moving when more than this share of its pixels changed since the frame before.
        settle_frames, settle_s: so many clear looks, over so long, must agree before a count is believed.
        put_patience_s: a rise is told only this long after the hand left, so that one visit is one event.
        covered_settle_s: the patience for a change under a body whose hand was not seen.
        drift_s: the patience for a change that nobody was near to.
        restock_quantity: a rise of this many items or more is a restock, below it a put.
        frozen_s: a slot covered for this long says so in its stock level.
        heartbeat_s: an unchanged stock level is said again this often.
    """

    reach_frames: int = 2
    visit_gap_s: float = 0.6
    covered_share: float = 0.06
    moving_share: float = 0.04
    settle_frames: int = 3
    settle_s: float = 0.25
    put_patience_s: float = 1.0
    covered_settle_s: float = 1.0
    drift_s: float = 5.0
    restock_quantity: int = 3
    frozen_s: float = 2.0
    heartbeat_s: float = 300.0


@dataclass(frozen=True)
class SlotLook:
    """One frame of one slot.

    Attributes:
        captured_s: capture time of the frame.
        columns: what the detector saw, or None when this frame was not looked at.
        hand: a steady hand's fingers are in the slot.
        covered: share of the slot under hands and bodies.
        moving: share of its pixels that changed.
    """

    captured_s: float
    columns: tuple[ColumnView, ...] | None
    hand: bool
    covered: float
    moving: float


@dataclass(frozen=True)
class _Column:
    """A settled column: its count, and where its nearest item's base was seen (nan: empty)."""

    count: int
    depth: float


@dataclass(frozen=True)
class _Reading:
    """What the recent clear looks agree on."""

    columns: tuple[_Column, ...]
    visible: int
    agreement: float

    @property
    def count(self) -> int:
        return sum(column.count for column in self.columns)


@dataclass
class _Visit:
    """A hand in the slot, from its first look to the last so far."""

    since_s: float
    last_s: float
    looks: int
    announced: bool = False


_LONGEST_WINDOW_S = 1.5


class Slot:
    """The state machine of one slot; ``step`` takes looks in the order of time and returns facts."""

    def __init__(self, geometry: SlotGeometry, rules: SlotRules) -> None:
        self._geometry = geometry
        self._rules = rules
        self._window: deque[tuple[float, tuple[ColumnView, ...]]] = deque()
        self._settled: tuple[_Column, ...] | None = None
        self._low = 0
        self._visible = 0
        self._agreement = 0.0
        self._visit: _Visit | None = None
        self._touched_since_s: float | None = None
        self._last_hand_s = -math.inf
        self._covered_since_s: float | None = None
        self._was_covered = False
        self._differs_since_s: float | None = None
        self._said: tuple[Observation, float] | None = None

    @property
    def is_settled(self) -> bool:
        """True once the slot was counted for the first time."""
        return self._settled is not None

    @property
    def is_waiting(self) -> bool:
        """True while the slot wants further looks: before its first count, and after a hand or a body was there."""
        return self._settled is None or self._touched_since_s is not None or self._was_covered

    def step(self, look: SlotLook) -> list[Fact]:
        """The facts that follow from one more frame."""
        facts: list[Fact] = []
        reach = self._follow_hand(look)
        if reach is not None:
            facts.append(reach)
        if self._is_clear(look):
            reading = self._read(look)
            if reading is not None:
                change = self._judge(reading, look.captured_s)
                if change is not None:
                    facts.append(change)
        stock = self._say_stock(look.captured_s)
        if stock is not None:
            facts.append(stock)
        return facts

    # Hands

    def _follow_hand(self, look: SlotLook) -> SlotFact | None:
        now_s = look.captured_s
        visit = self._visit
        if look.hand:
            if visit is None:
                visit = self._visit = _Visit(now_s, now_s, 0)
            visit.looks += 1
            visit.last_s = self._last_hand_s = now_s
            if not visit.announced and visit.looks >= self._rules.reach_frames:
                visit.announced = True
                if self._touched_since_s is None:
                    self._touched_since_s = visit.since_s
                count = self._count()
                return SlotFact("reach", self._geometry.slot, 0, count, count, 0.9, visit.since_s, now_s)
        elif visit is not None and (
            now_s - visit.last_s >= self._rules.visit_gap_s or (not visit.announced and look.columns is not None)
        ):
            self._visit = None
        return None

    # Counting

    def _is_clear(self, look: SlotLook) -> bool:
        rules = self._rules
        covered = look.covered > rules.covered_share or look.hand
        if covered:
            self._was_covered = True
            if self._covered_since_s is None:
                self._covered_since_s = look.captured_s
        elif look.columns is not None:
            self._covered_since_s = None
        if covered or look.moving > rules.moving_share:
            self._window.clear()
            self._differs_since_s = None
            return False
        return look.columns is not None

    def _read(self, look: SlotLook) -> _Reading | None:
        """Add a clear look; what the looks agree on once there are enough of them."""
        assert look.columns is not None
        rules = self._rules
        window = self._window
        window.append((look.captured_s, look.columns))
        while window and look.captured_s - window[0][0] > _LONGEST_WINDOW_S:
            window.popleft()
        if len(window) < rules.settle_frames or look.captured_s - window[0][0] < rules.settle_s:
            return None
        columns, agreements, visible = [], [], 0
        for index in range(len(look.columns)):
            views = [views[index] for _, views in window]
            column, agreement = self._agree(views, self._settled[index] if self._settled else None)
            columns.append(column)
            agreements.append(agreement)
            visible += column.count > 0
        if self._geometry.to_board is None:
            visible = columns[0].count
        return _Reading(tuple(columns), visible, min(agreements))

    def _agree(self, views: list[ColumnView], settled: _Column | None) -> tuple[_Column, float]:
        if self._geometry.to_board is None:
            count, times = Counter(view.visible for view in views).most_common(1)[0]
            return _Column(count, 0.0), times / len(views)
        depths = sorted(view.depth for view in views if view.visible)
        seen = len(depths) / len(views)
        if seen < 0.5:
            return _Column(0, math.nan), 1 - seen
        depth = depths[len(depths) // 2]
        rows, gap = self._geometry.rows, self._geometry.front_gap
        if settled is not None and settled.count > 0:
            # Steps are measured from where the column stood: a constant error of the view cancels out.
            count = settled.count - round(depth - settled.depth)
        else:
            count = rows - round(depth - gap)
        spread = sum(abs(d - depth) < 0.5 for d in depths) / len(views)
        return _Column(min(max(count, 1), rows), depth), spread

    def _judge(self, reading: _Reading, now_s: float) -> SlotFact | None:
        """Compare with the settled count; settle, and say what happened."""
        if self._settled is None:
            self._settle(reading, rise=None)
            return None
        before = sum(column.count for column in self._settled)
        rise = reading.count - before
        touched = self._touched_since_s is not None
        if all(new.count == old.count for new, old in zip(reading.columns, self._settled, strict=True)):
            self._differs_since_s = None
            self._visible, self._agreement = reading.visible, reading.agreement
            since_hand_s = now_s - self._last_hand_s
            if since_hand_s > self._rules.put_patience_s and self._visit is None:
                self._touched_since_s = None
                self._was_covered = False
            return None
        if self._differs_since_s is None:
            self._differs_since_s = now_s
        if now_s - self._differs_since_s < self._patience_s(touched) or not self._may_tell(rise, now_s):
            return None
        started_s = self._touched_since_s if self._touched_since_s is not None else self._differs_since_s
        is_event = (touched or self._was_covered) and rise != 0
        self._settle(reading, rise)
        if not is_event:
            return None
        action: Action = "pick" if rise < 0 else "restock" if rise >= self._rules.restock_quantity else "put"
        confidence = reading.agreement * (0.95 if touched else 0.7)
        return SlotFact(
            action, self._geometry.slot, abs(rise), before, before + rise, round(confidence, 3), started_s, now_s
        )

    def _patience_s(self, touched: bool) -> float:
        if touched:
            return 0.0
        return self._rules.covered_settle_s if self._was_covered else self._rules.drift_s

    def _may_tell(self, rise: int, now_s: float) -> bool:
        """A rise waits until the hand is done; a fall is told as soon as it is seen."""
        return rise < 0 or now_s - self._last_hand_s >= self._rules.put_patience_s

    def _settle(self, reading: _Reading, rise: int | None) -> None:
        if rise is None:
            self._low = reading.visible
        else:
            self._low = max(reading.visible, self._low + rise)
        self._settled = reading.columns
        self._low = min(self._low, reading.count)
        self._visible, self._agreement = reading.visible, reading.agreement
        self._touched_since_s = None
        self._was_covered = False
        self._differs_since_s = None

    # Saying

    def _count(self) -> int | None:
        return None if self._settled is None else sum(column.count for column in self._settled)

    def _observation(self, now_s: float) -> Observation:
        count = self._count()
        if count is None:
            return Observation(None, 0, self._geometry.capacity, 0.0, "starting")
        frozen = self._covered_since_s is not None and now_s - self._covered_since_s >= self._rules.frozen_s
        reason: Reason = "occluded" if frozen else "rear-unseen" if count > self._visible else "clear"
        return Observation(count, min(self._low, count), count, round(self._agreement, 2), reason)

    def _say_stock(self, now_s: float) -> StockFact | None:
        new = self._observation(now_s)
        if self._said is not None:
            old, said_s = self._said
            same = (new.count, new.low, new.high, new.reason) == (old.count, old.low, old.high, old.reason)
            if same and now_s - said_s < self._rules.heartbeat_s:
                return None
        self._said = (new, now_s)
        level = level_of(new, self._geometry.capacity, self._geometry.min_presentation)
        return StockFact(self._geometry.slot, new, level, now_s)

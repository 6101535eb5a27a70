"""One slot over time: when to believe what is seen, and what to call it when it changed.

Each column is judged by what can be believed of it. An item that is seen whole stands where it is seen, even under the
box of a body: were it hidden, it would not be seen whole; and were another in front of it, that one would hide it. A
column that seems empty, or an item half hidden, is believed only when nobody covers the column, and later. What is not
certain stays as it was.

A change is an event (pick, put, restock) when a hand or a body was at the slot since its last settled count; without
one the books were wrong, which is an anomaly: both counts are told, and the view is believed. A fall is told at once; a
rise waits until the hand is done and every column is certain, so that one visit is one event. Books outlive a restart:
until the camera has seen the slot again they are stale.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shelf_contracts.messages import Action, Reason
from shelf_edge.core.facts import Fact, Observation, SlotFact, StockFact, level_of
from shelf_edge.core.memory import ColumnMemory, SlotMemory
from shelf_edge.core.slot_view import ColumnView, SlotGeometry


@dataclass(frozen=True)
class SlotRules:
    """How patient the slot is. Times in seconds, shares 0 to 1.

    Attributes:
        reach_frames: a hand must be in the slot in this many looks.
        reach_evidence: what these must tell of its reaching, as a sum of log-odds; what was told before halves with
            every look without the hand, and below ``least_evidence`` it never was there.
        visit_gap_s: a hand gone for this long has left.
        covered_share: a column (or the slot) is covered when more than this share of it lies under a hand or a body.
        see_through_share: a column that lies under people by more than this is not looked at between them, nor is any
            until see_through_after_s after a hand was seen in the slot: it may still hide the nearest item.
        moving_share: the slot is moving when more than this share of its pixels changed since the frame before.
        settle_frames, settle_s: so many looks, over so long, must agree on an item that is seen whole.
        depth_tolerance_rows: how far off its row an item may seem to stand while somebody is in the way.
        nearer_tolerance_rows: how far off its row one half hidden may seem to stand that was put before the others.
        doubt_s: the patience for an item half hidden, or a column that seems empty.
        touched_doubt_s: the same for this long (fresh_s) after a hand was in the slot.
        handful: the most items that one hand usually takes from a column at once; what looks like more waits until
            nobody is near, unless a hand was at that very column and so many looks (grab_looks) show it empty.
        put_patience_s: a rise is told only this long after the hand left, and none that means it is over the slot, so
            that one visit is one event.
        filling_patience_s: the same for a rise by more than one: who fills up fetches the next handful. A slot that
            is full waits for nothing.
        rise_patience_s: a restock waits at most this long for columns that are not certain.
        unseen_hand_s, unseen_agreement: the patience for a change at which a body but no hand was seen, and the
            share of looks that must agree on it.
        unseen_many_s: the same for a column that seems to have got or lost several items.
        handled_doubt_s: the same where a hand that had stopped covered a column, so that a change is to be expected,
            also while somebody is still near.
        drift_s: the patience for a change that nobody was near to.
        restock_quantity: a rise of this many items or more is a restock, below it a put.
        frozen_s: a slot covered for this long says so in its stock level.
        heartbeat_s: an unchanged stock level is said again this often.
        anomaly_pause_s: after an anomaly the count is corrected without another one for so long.
        visit_survives_s: a visit that a restart cut short counts as one for so long.
    """

    reach_frames: int = 2
    reach_evidence: float = 3.25
    least_evidence: float = 0.1
    visit_gap_s: float = 0.6
    covered_share: float = 0.1
    see_through_share: float = 0.7
    see_through_after_s: float = 0.5
    moving_share: float = 0.04
    settle_frames: int = 3
    settle_s: float = 0.25
    depth_tolerance_rows: float = 0.25
    nearer_tolerance_rows: float = 0.35
    doubt_s: float = 0.6
    touched_doubt_s: float = 0.25
    fresh_s: float = 1.2
    handful: int = 2
    grab_looks: int = 3
    put_patience_s: float = 0.7
    filling_patience_s: float = 1.4
    rise_patience_s: float = 4.0
    unseen_hand_s: float = 0.5
    unseen_many_s: float = 2.5
    unseen_agreement: float = 0.7
    handled_doubt_s: float = 0.4
    drift_s: float = 5.0
    restock_quantity: int = 3
    frozen_s: float = 2.0
    heartbeat_s: float = 300.0
    anomaly_pause_s: float = 60.0
    visit_survives_s: float = 120.0


@dataclass(frozen=True)
class SlotLook:
    """One frame of one slot.

    Attributes:
        captured_s: capture time of the frame.
        columns: what the detector saw, or None when this frame was not looked at.
        hand: a hand's fingers are in the slot, have stopped there and rather mean it.
        covered: share of the slot under hands and bodies.
        moving: share of its pixels that changed.
        crowded: somebody is so near that an arm may hide a part of the slot.
        handled: a hand that has stopped hides a good part of a column.
        columns_moving: share of the pixels of each column that changed; empty: as ``moving`` says.
        columns_at_hand: which columns lie under a hand; empty: any may.
        evidence: what the hands with their fingers in the slot tell of a reach into it, as log-odds; 0: there is none.
    """

    captured_s: float
    columns: tuple[ColumnView, ...] | None
    hand: bool
    covered: float
    moving: float
    crowded: bool = False
    handled: bool = False
    columns_moving: tuple[float, ...] = ()
    columns_at_hand: tuple[bool, ...] = ()
    evidence: float = 0.0


@dataclass(frozen=True)
class _Column:
    """A column: its count, and where its nearest item's base was seen (nan: empty)."""

    count: int
    depth: float


@dataclass(frozen=True)
class _Belief:
    """What the recent looks say of a column: ``column`` is None when they can't be believed."""

    column: _Column | None
    agreement: float


@dataclass(frozen=True)
class _Risen:
    """A rise that was seen and waits for the hand to be done: what was believed of the columns then."""

    seen_s: float
    beliefs: tuple[_Belief, ...]


@dataclass
class _Visit:
    """A hand in the slot, from its first look to the last so far."""

    since_s: float
    last_s: float
    looks: int = 0
    evidence: float = 0.0
    announced: bool = False


_LONGEST_WINDOW_S = 1.5
_AFTER_RESTART = 0.8
_WHILE_STALE = 0.5
"""What is left of a confidence when a restart lay between the hand and the look, and while nothing was seen since."""
_EACH_UNSEEN = 0.98
"""What is left of a count's confidence for each item that is in the books and in no look. In eight simulated recordings
(dev and varied) the best value was exact in 0.98 of the time with up to two of them, in 0.96 with three to five, in
0.94 with more: this is on the careful side.
"""


class Slot:
    """The state machine of one slot; ``step`` takes looks in the order of time and returns facts."""

    def __init__(self, geometry: SlotGeometry, rules: SlotRules) -> None:
        self._geometry = geometry
        self._rules = rules
        self._window: deque[tuple[float, tuple[ColumnView, ...]]] = deque()
        self._settled: tuple[_Column, ...] | None = None
        self._low = 0
        self._agreement = 0.0
        self._visit: _Visit | None = None
        self._touched_since_s: float | None = None
        self._last_hand_s = -math.inf
        self._last_over_s = -math.inf
        self._covered_since_s: float | None = None
        self._was_covered = False
        self._handled = 0
        self._at_hand: set[int] = set()
        self._quiet_since_s: dict[int, float] = {}
        self._differs_since_s: float | None = None
        self._risen: _Risen | None = None
        self._unseen_at_restock: set[int] = set()
        self._never_seen: set[int] = set()
        self._said: tuple[Observation, float] | None = None
        self._seen_s = -math.inf
        self._anomaly_s = -math.inf
        self._recalled: SlotMemory | None = None

    @property
    def is_waiting(self) -> bool:
        """True while the slot wants further looks: before its first count, and after a hand or a body was there."""
        return (
            self._settled is None
            or self._recalled is not None
            or self._touched_since_s is not None
            or self._was_covered
            or self._differs_lately
            or (self._visit is not None and not self._visit.announced)
        )

    @property
    def _differs_lately(self) -> bool:
        """The view began to contradict the books: look on until it is certain, but not for ever."""
        since_s = self._differs_since_s
        return since_s is not None and bool(self._window) and self._window[-1][0] - since_s <= 3 * self._rules.drift_s

    @property
    def settled(self) -> tuple[ColumnMemory, ...]:
        """The columns as they were counted last; empty before the first count."""
        return tuple(
            ColumnMemory(column.count, None if math.isnan(column.depth) else round(column.depth, 3))
            for column in self._settled or ()
        )

    def memory(self, product: str) -> SlotMemory | None:
        """The slot's books, to be recalled after a restart; None before its first count."""
        if self._settled is None:
            return None
        return SlotMemory(
            product=product,
            rows=self._geometry.rows,
            columns=self.settled,
            low=self._low,
            confidence=round(self._agreement, 3),
            seen_s=round(self._seen_s, 3),
            unseen_at_restock=tuple(sorted(self._unseen_at_restock)),
            touched_s=self._touched_since_s,
            never_seen=tuple(sorted(self._never_seen)),
        )

    def recall(self, memory: SlotMemory, now_s: float) -> None:
        """Go on from these books: they are stale until the camera has seen the slot."""
        self._settled = tuple(
            _Column(column.count, math.nan if column.depth is None else column.depth) for column in memory.columns
        )
        self._low, self._agreement = memory.low, memory.confidence
        self._unseen_at_restock = set(memory.unseen_at_restock)
        self._never_seen = set(memory.never_seen)
        self._seen_s = memory.seen_s
        self._recalled = memory
        if memory.touched_s is not None and 0 <= now_s - memory.touched_s <= self._rules.visit_survives_s:
            self._touched_since_s = memory.touched_s

    def see_from(self, geometry: SlotGeometry) -> None:
        """The camera moved: the same slot lies elsewhere in its picture. What was settled stands."""
        self._geometry = geometry
        self._window.clear()

    def say_again(self) -> None:
        """The next look tells the stock level, changed or not."""
        self._said = None
        self._window.clear()

    def rest(self, now_s: float, moving: float) -> list[Fact]:
        """What ``step`` says of a frame at which the detector did not look, for next to nothing."""
        if self._visit is not None and now_s - self._visit.last_s >= self._rules.visit_gap_s:
            self._visit = None
        if moving > self._rules.moving_share:
            self._window.clear()
        if self._covered_since_s is None and self._said is not None:
            _, said_s = self._said
            if now_s - said_s < self._rules.heartbeat_s:
                return []
        stock = self._say_stock(now_s)
        return [] if stock is None else [stock]

    def step(self, look: SlotLook) -> list[Fact]:
        """The facts that follow from one more frame."""
        facts: list[Fact] = []
        reach = self._follow_hand(look)
        if reach is not None:
            facts.append(reach)
        if self._is_quiet(look):
            change = self._judge(self._believe(look), look)
            if change is not None:
                facts.append(change)
        stock = self._say_stock(look.captured_s)
        if stock is not None:
            facts.append(stock)
        return facts

    def step_uncounted(self, now_s: float, *, hand: bool, evidence: float) -> list[Fact]:
        """The same where too little of the slot is in the picture to count it: only that a hand is there."""
        touched_since_s = self._touched_since_s
        reach = self._follow_hand(SlotLook(now_s, (), hand, 0.0, 0.0, evidence=evidence))
        self._touched_since_s = touched_since_s
        return [] if reach is None else [replace(reach, before=None, after=None)]

    # Hands

    def _follow_hand(self, look: SlotLook) -> SlotFact | None:
        now_s = look.captured_s
        visit, rules = self._visit, self._rules
        if look.hand:
            self._last_hand_s = now_s
        if look.evidence > 0:
            if visit is None:
                visit = self._visit = _Visit(now_s, now_s)
            visit.looks += 1
            visit.evidence += look.evidence
            visit.last_s = now_s
            if not visit.announced and visit.looks >= rules.reach_frames and visit.evidence >= rules.reach_evidence:
                visit.announced = True
                if self._touched_since_s is None:
                    self._touched_since_s = visit.since_s
                count = self._count()
                return SlotFact("reach", self._geometry.slot, 0, count, count, 0.9, visit.since_s, now_s)
        elif visit is not None:
            if not visit.announced and look.columns is not None:
                visit.evidence = (visit.evidence + look.evidence) / 2
            is_over = now_s - visit.last_s >= rules.visit_gap_s
            if is_over or (not visit.announced and visit.evidence < rules.least_evidence):
                self._visit = None
        return None

    def _is_quiet(self, look: SlotLook) -> bool:
        """True when this look may be counted with: no hand in the slot, nothing moving, and the detector looked."""
        if look.columns is not None:
            if look.covered > self._rules.covered_share or look.hand:
                self._was_covered = True
                if self._covered_since_s is None:
                    self._covered_since_s = look.captured_s
            else:
                self._covered_since_s = None
        self._handled += look.handled
        if any(look.columns_at_hand):
            self._last_over_s = look.captured_s
        if look.hand or self._visit is not None or look.handled:
            self._at_hand |= {index for index, under in enumerate(look.columns_at_hand) if under}
        is_moving = look.moving > self._rules.moving_share
        if look.hand or (is_moving and not look.columns_moving):
            self._window.clear()
            return False
        for index, moving in enumerate(look.columns_moving):
            if moving > self._rules.moving_share:
                self._quiet_since_s[index] = look.captured_s
        return look.columns is not None

    # Counting

    def _believe(self, look: SlotLook) -> list[_Belief] | None:
        """Add a quiet look; what the looks say of each column once there are enough of them."""
        assert look.columns is not None
        rules, window = self._rules, self._window
        window.append((look.captured_s, look.columns))
        while look.captured_s - window[0][0] > _LONGEST_WINDOW_S:
            window.popleft()
        now_s, span_s = look.captured_s, look.captured_s - window[0][0]
        if len(window) < rules.settle_frames or span_s < rules.settle_s:
            return None
        touched = self._touched_since_s is not None
        fresh = look.captured_s - self._last_hand_s <= rules.fresh_s
        patience_s = rules.touched_doubt_s if touched and fresh else rules.doubt_s
        handled = self._handled >= rules.reach_frames
        if handled and not touched:
            patience_s = min(patience_s, rules.handled_doubt_s)
        is_calm = span_s >= rules.doubt_s and not look.crowded
        is_hand_gone = now_s - self._last_hand_s > rules.see_through_after_s
        see_through = is_hand_gone and (touched or not look.crowded)
        beliefs = []
        for index in range(len(look.columns)):
            since_s = self._quiet_since_s.get(index, -math.inf)
            quiet = [(when_s, columns[index]) for when_s, columns in window if when_s > since_s]
            if len(quiet) < rules.settle_frames or now_s - quiet[0][0] < rules.settle_s:
                beliefs.append(_Belief(None, 0.5))
                continue
            recent = [view for when_s, view in quiet if now_s - when_s <= 2 * rules.settle_s]
            longer = [view for when_s, view in quiet if now_s - when_s <= patience_s]
            may_doubt = now_s - quiet[0][0] >= patience_s and (touched or handled or not look.crowded)
            beliefs.append(self._believe_column(recent, longer if may_doubt else [], index, is_calm, see_through))
        return beliefs

    def _believe_column(
        self, recent: list[ColumnView], longer: list[ColumnView], index: int, is_calm: bool, see_through: bool
    ) -> _Belief:
        """What the looks of the last moments say.

        Args:
            longer: looks to judge by what may be doubted; empty when it is too early for that.
            is_calm: nobody is near, and has not been for a while.
        """
        rules, is_free = self._rules, self._is_free(recent)
        if self._geometry.to_board is None:
            count, times = Counter(view.visible for view in recent).most_common(1)[0]
            return _Belief(_Column(count, 0.0) if is_free else None, times / len(recent))
        lying = sum(view.is_behind_lying for view in recent)
        if 2 * lying >= len(recent) and self._settled is not None:
            # Nothing came or went: one that stood there lies there now.
            return _Belief(self._settled[index] if is_free else None, lying / len(recent))
        whole = sorted(view.depth for view in recent if view.visible and view.is_whole)
        if 2 * len(whole) >= len(recent):
            column = self._column_at(whole[len(whole) // 2], index)
            most = max(view.covered for view in recent)
            is_full = all(view.is_full for view in recent if view.visible and view.is_whole)
            is_steady = whole[-1] - whole[0] < self._rules.depth_tolerance_rows
            if is_free or (
                see_through
                and is_full
                and is_steady
                and most <= self._rules.see_through_share
                and self._may_be_seen_through(column, index)
            ):
                return _Belief(column, len(whole) / len(recent))
            return _Belief(None, 0.5)
        if not longer or not self._is_free(longer):
            return _Belief(None, 0.5)
        depths = sorted(view.depth for view in longer if view.visible)
        if 2 * len(depths) >= len(longer) and self._is_between_rows(depths[len(depths) // 2], index):
            return _Belief(None, 0.5)
        if 2 * len(depths) >= len(longer):
            return _Belief(self._column_at(depths[len(depths) // 2], index), 0.8 * len(depths) / len(longer))
        is_grab = index in self._at_hand and len(longer) >= rules.grab_looks
        if self._is_robbed(index) and not is_calm and not is_grab:
            return _Belief(None, 0.5)
        return _Belief(_Column(0, math.nan), 1 - len(depths) / len(longer))

    def _is_robbed(self, index: int) -> bool:
        """Whether an empty column would mean that more was taken at once than a hand holds."""
        return self._settled is not None and self._settled[index].count > self._rules.handful

    def _is_between_rows(self, depth: float, index: int) -> bool:
        """Whether an item half hidden seems to have come, but stands neither where the nearest stood nor a row nearer:
        then it is the same one, a part of which is seen."""
        if self._settled is None or self._settled[index].count == 0:
            return False
        nearer = self._settled[index].depth - depth
        return round(nearer) == 1 and abs(nearer - 1) > self._rules.nearer_tolerance_rows

    def _is_free(self, views: list[ColumnView]) -> bool:
        return all(view.covered <= self._rules.covered_share for view in views)

    def _may_be_seen_through(self, column: _Column, index: int) -> bool:
        """Whether a whole item under somebody's box can be believed.

        That box is larger than the body, so what is seen beside the body is there. But a nearer item may be held, not
        standing, unless a hand just put it there; and an item a little cut off seems to stand between two rows.
        """
        settled = self._settled[index] if self._settled is not None else None
        if settled is None or (column.count > settled.count and self._touched_since_s is None):
            return False
        from_depth = settled.depth if settled.count > 0 else self._geometry.front_gap
        steps = column.depth - from_depth
        is_on_board = column.depth <= self._geometry.rows - 0.5
        return is_on_board and abs(steps - round(steps)) < self._rules.depth_tolerance_rows

    def _column_at(self, depth: float, index: int) -> _Column:
        """The column whose nearest item stands at ``depth`` rows."""
        rows, gap = self._geometry.rows, self._geometry.front_gap
        settled = self._settled[index] if self._settled is not None else None
        if settled is not None and settled.count > 0:
            # Steps are measured from where the column stood: a constant error of the view cancels out.
            count = settled.count - round(depth - settled.depth)
        else:
            count = rows - round(depth - gap)
        return _Column(min(max(count, 1), rows), depth)

    def _judge(self, beliefs: list[_Belief] | None, look: SlotLook) -> SlotFact | None:
        """Compare with the settled count; settle, and say what happened."""
        if beliefs is None:
            return None
        if self._settled is None:
            if all(belief.column is not None for belief in beliefs):
                columns = [belief.column for belief in beliefs if belief.column is not None]
                self._settle(columns, beliefs, None, True, look.captured_s)
            return None
        now_s, rules, seen = look.captured_s, self._rules, beliefs
        beliefs = self._with_risen(seen, now_s)
        is_certain = all(belief.column is not None for belief in beliefs)
        columns = [
            old if belief.column is None or not self._may_differ(index) else belief.column
            for index, (belief, old) in enumerate(zip(beliefs, self._settled, strict=True))
        ]
        changes = [new.count - old.count for new, old in zip(columns, self._settled, strict=True)]
        rise = sum(changes)
        if not any(changes):
            self._rest(beliefs, is_certain, now_s)
            return None
        if self._differs_since_s is None:
            self._differs_since_s = now_s
        waited_s = now_s - self._differs_since_s
        if self._touched_since_s is None and self._was_covered and self._agreement_of(beliefs) < rules.unseen_agreement:
            self._differs_since_s = now_s
            return None
        risen = {index for index, change in enumerate(changes) if change > 0}
        is_rest_of_restock = rise > 0 and risen <= self._unseen_at_restock
        is_many = not is_rest_of_restock and max(abs(change) for change in changes) > 1
        if waited_s < self._patience_s(look, is_many):
            return None
        if max(changes) > 0 and not self._may_rise(columns, rise, is_certain, waited_s, now_s):
            if all(seen[index].column is not None for index in risen):
                self._risen = _Risen(now_s, tuple(beliefs))
            return None
        touched = self._touched_since_s is not None
        started_s = self._touched_since_s if self._touched_since_s is not None else self._differs_since_s
        # What was covered before a restart, or moved while nobody watched, is not known to be somebody's doing now.
        is_seen_done = touched or (
            self._was_covered and self._recalled is None and self._may_be_done_unseen(changes, rise)
        )
        is_event = is_seen_done and rise != 0 and not is_rest_of_restock
        before = sum(column.count for column in self._settled)
        was_away = self._recalled is not None
        is_foreseen = 0 < rise <= self._hardly_seen()
        if rise >= self._rules.restock_quantity:
            self._unseen_at_restock = {index for index, belief in enumerate(beliefs) if belief.column is None}
        self._settle(columns, beliefs, rise, is_certain, now_s)
        if not is_event:
            is_told = (
                rise != 0
                and not (is_rest_of_restock or is_foreseen)
                and now_s - self._anomaly_s >= self._rules.anomaly_pause_s
            )
            return self._anomaly(before, rise, was_away, started_s, now_s) if is_told else None
        action: Action = "pick" if rise < 0 else "restock" if rise >= self._rules.restock_quantity else "put"
        confidence = self._agreement * (0.95 if touched else 0.7) * (_AFTER_RESTART if was_away else 1.0)
        return SlotFact(
            action, self._geometry.slot, abs(rise), before, before + rise, round(confidence, 3), started_s, now_s
        )

    def _with_risen(self, beliefs: list[_Belief], now_s: float) -> list[_Belief]:
        """What is believed, and of columns that somebody covers now what was believed before he did, when only the
        hand was waited for and it did not come back."""
        risen = self._risen
        if risen is None:
            return beliefs
        if max(self._last_hand_s, self._last_over_s) > risen.seen_s or now_s - risen.seen_s > self._rules.fresh_s:
            self._risen = None
            return beliefs
        return [
            before if belief.column is None else belief for belief, before in zip(beliefs, risen.beliefs, strict=True)
        ]

    def _may_be_done_unseen(self, changes: Sequence[int], rise: int) -> bool:
        """Whether somebody may have done it whose hand was not seen: a put, or more than a handful taken, is then
        nearly always an error of the count before."""
        rules = self._rules
        if self._handled >= rules.reach_frames or rise >= rules.restock_quantity:
            return True
        return rise < 0 and min(changes) >= -rules.handful

    def _anomaly(self, before: int, rise: int, was_away: bool, started_s: float, now_s: float) -> SlotFact:
        """The books said ``before``, the view says otherwise, and nobody was seen to change it."""
        self._anomaly_s = now_s
        after, slot = before + rise, self._geometry.slot
        when = "since the node last saw it" if was_away else "and nobody was seen at it"
        text = f"the books say {before}, the camera sees {after}, {when}; the camera is believed"
        confidence = round(self._agreement, 3)
        return SlotFact("anomaly", slot, abs(rise), before, after, confidence, started_s, now_s, "count", text)

    def _may_differ(self, index: int) -> bool:
        """While a hand has just been in the slot, only the columns beside it are its doing."""
        if self._touched_since_s is None or not self._at_hand:
            return True
        return any(abs(index - column) <= 1 for column in self._at_hand)

    @staticmethod
    def _agreement_of(beliefs: list[_Belief]) -> float:
        return min(belief.agreement for belief in beliefs)

    def _patience_s(self, look: SlotLook, is_many: bool) -> float:
        """How long a difference must last: no time after a hand in the slot, for ever while somebody is in the way.

        Args:
            is_many: a column seems to have got or lost several items, and not for being seen again.
        """
        if self._touched_since_s is not None or (self._recalled is not None and not look.crowded):
            return 0.0
        if look.crowded:
            return 0.0 if self._handled >= self._rules.reach_frames else math.inf
        if not self._was_covered:
            return self._rules.drift_s
        return self._rules.unseen_many_s if is_many else self._rules.unseen_hand_s

    def _may_rise(self, columns: Sequence[_Column], rise: int, is_certain: bool, waited_s: float, now_s: float) -> bool:
        """A rise waits until the hand is done; many items at once also for columns that somebody hides, for a while.

        Where everything is seen and nothing more fits in, the filling is over.
        """
        if is_certain and sum(column.count for column in columns) >= self._geometry.capacity:
            return True
        patience_s = self._rules.put_patience_s if rise == 1 else self._rules.filling_patience_s
        is_done = now_s - max(self._last_hand_s, self._last_over_s) >= patience_s
        is_few = rise == 1
        return is_done and (is_certain or is_few or waited_s >= self._rules.rise_patience_s)

    def _rest(self, beliefs: list[_Belief], is_certain: bool, now_s: float) -> None:
        """Nothing differs. When all of it is certain and the hand is gone, the visit is over without a change."""
        self._differs_since_s = None
        if not is_certain:
            return
        self._agreement = min(belief.agreement for belief in beliefs)
        self._unseen_at_restock = set()
        self._seen_s, self._recalled = now_s, None
        if now_s - self._last_hand_s > self._rules.put_patience_s and self._visit is None:
            self._touched_since_s = None
            self._was_covered = False
            self._handled = 0
            self._at_hand = set()

    def _settle(
        self, columns: list[_Column], beliefs: list[_Belief], rise: int | None, is_certain: bool, now_s: float
    ) -> None:
        """Take these columns as true. ``rise`` is None for the first count."""
        if is_certain:
            self._seen_s, self._recalled = now_s, None
        count, visible = sum(column.count for column in columns), self._visible_in(columns)
        self._low = min(count, visible if rise is None else max(visible, self._low + rise))
        if self._settled is None:
            self._never_seen = set(range(len(columns)))
        self._never_seen -= {index for index, column in enumerate(columns) if column.count > 0}
        self._settled = tuple(columns)
        self._agreement = min(belief.agreement for belief in beliefs)
        self._touched_since_s = None
        self._was_covered = False
        self._handled = 0
        self._at_hand = set()
        self._differs_since_s = None
        self._risen = None

    def _visible_in(self, columns: Sequence[_Column]) -> int:
        """How many items a camera can see for sure: the nearest of each column, or all without a board."""
        if self._geometry.to_board is None:
            return sum(column.count for column in columns)
        return sum(column.count > 0 for column in columns)

    def _hardly_seen(self) -> int:
        """How many items may stand where the board above hides them: one at the rear of each column in which none was
        seen since the books began. Who saw the last one taken knows that there is none; and what looks empty as a
        whole is empty to a shopper too."""
        return len(self._never_seen) if self._geometry.hidden_rows and self._count() else 0

    # Saying

    def _count(self) -> int | None:
        return None if self._settled is None else sum(column.count for column in self._settled)

    def _observation(self, now_s: float) -> Observation:
        count = self._count()
        if count is None:
            return Observation(None, 0, self._geometry.capacity, 0.0, "starting")
        if self._recalled is not None:
            # Anything may have happened meanwhile: the best value stands, the range is open.
            high = max(count, self._geometry.capacity)
            return Observation(count, 0, high, self._trust(0, high, _WHILE_STALE), "stale")
        visible = self._visible_in(self._settled or ())
        frozen = self._covered_since_s is not None and now_s - self._covered_since_s >= self._rules.frozen_s
        high = max(count, min(count + self._hardly_seen(), self._geometry.capacity))
        reason: Reason = "occluded" if frozen else "rear-unseen" if high > visible else "clear"
        low = min(self._low, count)
        return Observation(count, low, high, self._trust(low, high), reason)

    def _trust(self, low: int, high: int, share: float = 1.0) -> float:
        """How far the best value can be trusted to be exactly right: less, the more of the range nobody sees."""
        return round(self._agreement * share * _EACH_UNSEEN ** (high - low), 2)

    def _say_stock(self, now_s: float) -> StockFact | None:
        new = self._observation(now_s)
        if self._said is not None:
            old, said_s = self._said
            same = (new.count, new.low, new.high, new.reason) == (old.count, old.low, old.high, old.reason)
            if same and now_s - said_s < self._rules.heartbeat_s:
                return None
        self._said = (new, now_s)
        level = level_of(new, self._geometry.capacity, self._geometry.min_presentation)
        # Of what is only remembered, the time says how old it is.
        seen_s = min(self._seen_s, now_s) if new.reason == "stale" else now_s
        return StockFact(self._geometry.slot, new, level, seen_s)

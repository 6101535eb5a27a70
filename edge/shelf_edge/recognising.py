"""Which products stand in the slots: a few crops of each look, embedded together and compared with the gallery.

Counting does not wait for it: crops are embedded on a thread of their own, at a lower priority, one batch at a time; a
frame gives few, fewer while somebody is at the shelf; and what fails here is left alone for a while.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from shelf_contracts.gallery import Gallery
from shelf_contracts.messages import SeenProduct, StrangeItem
from shelf_contracts.planogram import Planogram
from shelf_edge.core.bay import Bay
from shelf_edge.core.facts import Fact, SlotFact
from shelf_edge.core.frame import SMALLEST_SIDE_PX, Frame, Picture
from shelf_edge.core.held import HeldThing, HeldThings
from shelf_edge.core.recognition import Calibration, Look, References, Vectors, looks_of, references_of
from shelf_edge.core.reporting import moment
from shelf_edge.core.slot_sight import SightRules, SlotSight, Urgency, Vector, told
from shelf_edge.core.slot_view import ShownItem, SlotGeometry
from shelf_edge.ports import Embedder

log = logging.getLogger(__name__)

_PAUSE_S = 30.0
_NICENESS = 10
_MARGIN = 0.02
_MOST_HELD = 3
_LEAST_HELD_PX = 18
_REACHED_S = 4.0


@dataclass(frozen=True)
class CropBudget:
    """How many crops a frame may cost: ``alone`` when nobody is at the shelf, else ``in_company``.

    ``pause_s`` lies at least between two batches: the detector needs the processor more. Where something may have
    changed just now there may be ``urgent`` ones in company, every ``urgent_pause_s``; what a hand holds is seen for
    less than a second, and so looked at every ``held_pause_s``.
    """

    alone: int = 6
    in_company: int = 1
    urgent: int = 3
    pause_s: float = 0.4
    urgent_pause_s: float = 0.2
    held_pause_s: float = 0.08


@dataclass(frozen=True)
class SightChange:
    """What a slot seems to hold now; ``misplaced``: what is certain, for the first time, not to belong there.

    ``strange``: all that surely does not belong there now.
    """

    slot: str
    seen: SeenProduct | None
    misplaced: tuple[SeenProduct, ...] = ()
    strange: tuple[StrangeItem, ...] = ()


@dataclass(frozen=True)
class HeldChange:
    """What a hand holds: ``slot`` is where one was last, ``side`` where in the picture it is, 0 left to 1 right."""

    slot: str | None
    seen: SeenProduct
    side: float


@dataclass(frozen=True)
class UnknownThing:
    """What stands in a slot and nobody enrolled; ``box_px``: where it can be seen now, x1 y1 x2 y2, whole."""

    slot: str
    since: datetime
    looks: int
    box_px: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class UnknownThings:
    """Those of a bay; ``over``: the slots of which it is sure that they hold none."""

    things: tuple[UnknownThing, ...]
    over: frozenset[str]


@dataclass
class RecognitionCounters:
    """``crops``: embedded. ``failures``: looks that failed."""

    crops: int = 0
    failures: int = 0


@dataclass(frozen=True, eq=False)
class _Crop:
    """A crop, and who is told what it shows."""

    tell: Callable[[Vector, Look], None]
    picture: Picture


@dataclass(frozen=True, eq=False)
class _Batch:
    """Crops that were embedded and compared with a gallery; ``failure`` when that went wrong."""

    crops: list[_Crop]
    vectors: Vectors
    looks: list[Look]
    revision: str
    failure: Exception | None = None


class Recognising:
    """``follow`` is the pipeline's; ``use`` may be called from any thread. Before ``start`` nothing runs beside it."""

    def __init__(
        self,
        embedder: Embedder,
        calibration: Calibration,
        rules: SightRules = SightRules(),  # noqa: B008 - frozen
        budget: CropBudget = CropBudget(),
    ) -> None:
        self.counters = RecognitionCounters()
        self._embedder = embedder
        self._calibration = calibration
        self._rules = rules
        self._budget = budget
        self._newest: References | None = None
        self._bays: dict[str, _BaySight] = {}
        self._recalled: dict[str, dict[str, str]] = {}
        self._paused_until_s = float("-inf")
        self._lock = threading.Condition()
        self._waiting: list[_Crop] = []
        self._done: list[_Batch] = []
        self._asked_s = float("-inf")
        self._held: list[HeldChange] = []
        self._is_busy = False
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Embed on a thread of its own from now on."""
        self._thread = threading.Thread(target=self._run, name="recognise", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        with self._lock:
            self._is_stopping = True
            self._lock.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # on Linux a thread has a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._waiting or self._is_stopping)
                if self._is_stopping:
                    return
                crops, self._waiting = self._waiting, []
            batch = self._embed(crops)
            with self._lock:
                self._done.append(batch)
                self._is_busy = False

    def _embed(self, crops: list[_Crop]) -> _Batch:
        references = self._newest
        assert references is not None, "nothing is cropped before there is a gallery"
        try:
            vectors = self._embedder.embed([crop.picture for crop in crops])
            return _Batch(crops, vectors, looks_of(references, vectors, self._calibration), references.revision)
        except Exception as error:  # noqa: BLE001 - told by the pipeline's thread
            return _Batch(crops, np.zeros((0, 0), np.float32), [], "", error)

    def use(self, gallery: Gallery) -> None:
        """Compare with this gallery from the next frame on."""
        self._newest = references_of(gallery)

    def follow(self, bay: Bay, planogram: Planogram, frame: Frame, facts: list[Fact]) -> list[SightChange]:
        """Look at some items of a frame, after the bay has; what changed. Never raises."""
        references = self._newest
        if references is None or frame.captured_s < self._paused_until_s:
            return []
        try:
            return self._follow(references, bay, planogram, frame, facts)
        except Exception as error:
            self.counters.failures += 1
            self._paused_until_s = frame.captured_s + _PAUSE_S
            log.error("products could not be recognised; trying again in %g s", _PAUSE_S, exc_info=error)
            return []

    def seen(self, planogram: Planogram, slot: str) -> SeenProduct | None:
        """What a slot seems to hold."""
        bay, references = self._bays.get(planogram.bay), self._newest
        sight = bay.sights.get(slot) if bay is not None else None
        return sight.seen(references.revision) if sight is not None and references is not None else None

    def strange(self, planogram: Planogram, slot: str) -> list[StrangeItem]:
        """What surely does not belong in a slot, facing by facing."""
        bay = self._bays.get(planogram.bay)
        sight = bay.sights.get(slot) if bay is not None else None
        return sight.strange if sight is not None else []

    def unknown(self, bay: Bay, planogram: Planogram) -> UnknownThings:
        """What nobody knows in a bay, after ``follow``."""
        held = self._bays.get(planogram.bay)
        if held is None:
            return UnknownThings((), frozenset())
        things, over = [], set()
        for geometry in bay.geometry:
            sight = held.sights.get(geometry.slot)
            if sight is None or sight.is_unsaid:
                continue
            since = sight.unknown
            if since is None:
                over.add(geometry.slot)
                continue
            boxes = [
                item.box_px
                for item in bay.shown(geometry)
                if not item.is_cut and sight.facings[item.column].is_surely_unknown
            ]
            largest = max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]), default=None)
            things.append(UnknownThing(geometry.slot, since.since, since.looks, largest))
        return UnknownThings(tuple(things), frozenset(over))

    def told_misplaced(self, bay: str) -> dict[str, str]:
        """By slot: the product that was told to be misplaced there."""
        held = self._bays.get(bay)
        if held is None:
            return self._recalled.get(bay, {})
        return {name: sight.told_misplaced for name, sight in held.sights.items() if sight.told_misplaced}

    def forget(self, bay: str) -> None:
        """The bay's slots are others now; on the thread that calls ``follow``."""
        self._bays.pop(bay, None)
        self._recalled.pop(bay, None)

    def recall_misplaced(self, bay: str, products: dict[str, str]) -> None:
        """What was told before a restart is not told again."""
        self._recalled[bay] = products

    def _follow(
        self, references: References, bay: Bay, planogram: Planogram, frame: Frame, facts: list[Fact]
    ) -> list[SightChange]:
        sights = self._sights_of(bay, planogram)
        changed = sights.note(facts)
        if sights.revision != references.revision:
            for sight in sights.sights.values():
                sight.match_again(references, self._calibration)
            changed |= set(sights.sights)
            sights.revision = references.revision
        for geometry in bay.geometry:
            sights.sights[geometry.slot].cover(bay.covered(geometry))
        sights.in_hands = []
        if bay.looked_s != sights.looked_s:
            sights.looked_s = bay.looked_s
            near = bay.in_reach
            sights.in_hands = sights.things.follow(near.products_px, near.foreground, near.hands_px, bay.looked_s)
            for geometry in bay.geometry:
                sight = sights.sights[geometry.slot]
                if sight.strange and not bay.sight.text:
                    shown = {item.column for item in bay.shown(geometry)}
                    if sight.miss(shown, frame.captured_s):
                        changed.add(geometry.slot)
        pause_s = self._budget.held_pause_s if sights.in_hands else self._budget.urgent_pause_s
        is_time = abs(frame.captured_s - self._asked_s) >= pause_s
        crops = self._choose(bay, sights, frame) if is_time and not self._is_busy else []
        if crops:
            self._asked_s = frame.captured_s
        if crops and self._thread is None:
            self._done.append(self._embed(crops))
        elif crops:
            with self._lock:
                self._waiting, self._is_busy = crops, True
                self._lock.notify_all()
        self._take_done(references)
        self._note_held(sights, frame, references.revision)
        looked = {name for name, sight in sights.sights.items() if sight.has_news}
        found = []
        now = moment(frame.captured_s)
        for name in sorted(changed | looked):
            sight = sights.sights[name]
            is_other = sight.judge(self._calibration, now)
            misplaced = tuple(sight.misplaced(references.revision, now))
            is_other |= sight.note_strange(now)
            if is_other or misplaced or name in changed:
                seen = sight.seen(references.revision)
                found.append(SightChange(name, seen, misplaced, tuple(sight.strange)))
        return found

    def take_held(self) -> list[HeldChange]:
        """What hands hold that was not told yet; the pipeline's."""
        told, self._held = self._held, []
        return told

    def _note_held(self, sights: _BaySight, frame: Frame, revision: str) -> None:
        """Products in hands that are certain now, and not said just before."""
        width = frame.image.shape[1]
        reached = sights.reached(frame.captured_s)
        slot_of = {sights.expected[slot]: slot for slot in reached if sights.expected.get(slot)}
        for thing in sights.things.with_news:
            answer = thing.answer(self._calibration, slot_of)
            if answer is None or not sights.things.is_news(answer.product, frame.captured_s):
                continue
            slot = slot_of.get(answer.product, reached[-1] if reached else None)
            seen = told(answer, revision, moment(frame.captured_s), thing.looks)
            if seen is not None:
                side = min(max((thing.box[0] + thing.box[2]) / 2 / width, 0.0), 1.0)
                self._held.append(HeldChange(slot, seen, round(side, 3)))

    def _take_done(self, references: References) -> None:
        """Give the slots what was seen of them. Raises: what embedding raised."""
        with self._lock:
            done, self._done = self._done, []
        for batch in done:
            if batch.failure is not None:
                raise batch.failure
            self.counters.crops += len(batch.crops)
            is_old = batch.revision != references.revision
            looks = looks_of(references, batch.vectors, self._calibration) if is_old else batch.looks
            for crop, vector, look in zip(batch.crops, batch.vectors, looks, strict=True):
                crop.tell(vector, look)

    def _choose(self, bay: Bay, sights: _BaySight, frame: Frame) -> list[_Crop]:
        """Items to look at, within the budget: what hands hold, where something may have changed, then what was not
        seen for longest."""
        now_s = frame.captured_s
        chosen = self._choose_held(sights, frame)
        wanted: list[tuple[Urgency, int, float, SlotSight, ShownItem]] = []
        for geometry in bay.geometry:
            sight = sights.sights[geometry.slot]
            shown = bay.shown(geometry)
            # What is only seen in part says little, unless there is nothing else to go by.
            for item in [item for item in shown if not item.is_cut] or shown:
                urgency = sight.urgency(item.column, now_s)
                if urgency != Urgency.NOTHING:
                    facing = sight.facings[item.column]
                    wanted.append((urgency, facing.fresh_looks, facing.looked_s, sight, item))
        is_urgent = bool(chosen) or any(place[0] < Urgency.SOON for place in wanted)
        if not is_urgent and abs(now_s - self._asked_s) < self._budget.pause_s:
            return []
        in_company = max(self._budget.in_company, self._budget.urgent) if is_urgent else self._budget.in_company
        left = in_company if bay.is_anybody_there else self._budget.alone
        for _, _, _, sight, item in sorted(wanted, key=lambda place: place[:3]):
            if len(chosen) >= left:
                break
            picture = _crop(frame.image, item.box_px)
            if min(picture.shape[:2]) >= SMALLEST_SIDE_PX:
                chosen.append(_Crop(self._to_slot(sight, item, now_s), picture))
        return chosen

    def _choose_held(self, sights: _BaySight, frame: Frame) -> list[_Crop]:
        chosen = []
        for thing in sorted(sights.in_hands, key=lambda one: one.looks):
            picture = _crop(frame.image, thing.box)
            if min(picture.shape[:2]) >= _LEAST_HELD_PX:
                chosen.append(_Crop(_to_thing(thing), picture))
        return chosen[:_MOST_HELD]

    def _to_slot(self, sight: SlotSight, item: ShownItem, taken_s: float) -> Callable[[Vector, Look], None]:
        """Who is told what an item shows, unless something else may stand there by then."""
        scene = sight.facings[item.column].scene

        def tell(vector: Vector, look: Look) -> None:
            if scene == sight.facings[item.column].scene:
                sight.see(item, vector, look, taken_s, self._calibration)

        return tell

    def _sights_of(self, bay: Bay, planogram: Planogram) -> _BaySight:
        held = self._bays.get(planogram.bay)
        if held is None or set(held.sights) != {slot.slot for slot in bay.geometry}:
            held = self._bays[planogram.bay] = _BaySight(bay.geometry, planogram, self._rules)
            for slot, product in self._recalled.pop(planogram.bay, {}).items():
                if slot in held.sights:
                    held.sights[slot].recall_misplaced(product)
        return held


class _BaySight:
    """The slots of one bay, and the gallery they were compared with."""

    def __init__(self, geometry: list[SlotGeometry], planogram: Planogram, rules: SightRules) -> None:
        self.revision = ""
        self.things = HeldThings()
        self.in_hands: list[HeldThing] = []
        self.looked_s = float("-inf")
        self.expected = {slot.slot: planogram.product_of(slot.slot).gtin or "" for slot in geometry}
        self._reached: dict[str, float] = {}
        self.sights = {
            slot.slot: SlotSight(
                slot.slot,
                self.expected[slot.slot],
                slot.columns if slot.to_board is not None else 1,
                rules,
            )
            for slot in geometry
        }

    def reached(self, now_s: float) -> list[str]:
        """The slots that hands were at a moment ago, the last one last."""
        return [slot for slot, at_s in self._reached.items() if 0 <= now_s - at_s <= _REACHED_S]

    def note(self, facts: list[Fact]) -> set[str]:
        """What happened to the slots; those about which something else must be said now."""
        emptied = set()
        for fact in facts:
            if isinstance(fact, SlotFact) and fact.action in ("reach", "pick"):
                self._reached.pop(fact.slot, None)
                self._reached[fact.slot] = fact.captured_s
            sight = self.sights.get(fact.slot)
            if sight is None:
                continue
            if isinstance(fact, SlotFact):
                if fact.action == "reach":
                    sight.touch(fact.started_s)
                else:
                    sight.doubt(fact.started_s)
            elif fact.observation.count == 0:
                sight.clear()
                emptied.add(fact.slot)
        return emptied


def _to_thing(thing: HeldThing) -> Callable[[Vector, Look], None]:
    return lambda vector, look: thing.see(look)


def _crop(image: Picture, box_px: tuple[float, float, float, float]) -> Picture:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = box_px
    aside, above = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
    left, top = max(0, int(x1 - aside)), max(0, int(y1 - above))
    right, bottom = min(width, int(np.ceil(x2 + aside))), min(height, int(np.ceil(y2 + above)))
    return np.ascontiguousarray(image[top : max(bottom, top + 1), left : max(right, left + 1)])

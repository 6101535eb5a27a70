"""The world: shoppers and staff at one bay, stepped in fixed steps; the same seed gives the same truth.

Rules that the truth keeps: a slot is touched by one hand at a time; before it is touched again the hand has left it,
and no body has covered it for 2.5 s; nobody takes what is not there, nothing is put where there is no room.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace

import numpy as np

from shelf_contracts.truth import OUT_OF_PLACE, CountChanged, EventKind, Fact, SightChanged, TruthEvent
from shelf_simulator.core.choreography import Errand, grip_to_put, grip_to_take, handfuls, strokes_of
from shelf_simulator.core.design import BayDesign, Pack, SlotDesign
from shelf_simulator.core.geometry import Camera
from shelf_simulator.core.items import PlacedItem
from shelf_simulator.core.motion import Walk
from shelf_simulator.core.people import Figure, Reach, Stance, invent_appearance, pose_person
from shelf_simulator.core.person import LEFT, RIGHT, Hand, Person
from shelf_simulator.core.scenario import Scenario, Span
from shelf_simulator.core.stock import SlotStock, columns_to_push, columns_to_topple, fill, push_back, topple
from shelf_simulator.core.visibility import OCCLUDED_SHARE, SlotSight

UNCOVERED_BEFORE_TOUCH_S = 2.5
_BODY_COVERS = 0.03
_OWN_BODY_MAY_COVER = 0.0
_PERSONAL_SPACE_MM = 560.0
_WALK_COVERS_MM = 500.0
_OUTSIDE_MM = 560.0
_GIVE_UP_AFTER_S = 5.0
_LEAST_RESTOCK = 3
_NOBODY = -1


@dataclass(frozen=True, eq=False)
class _Until:
    """A script waits for this, at most ``at_most_s``; it is told whether it came true."""

    met: Callable[[], bool]
    at_most_s: float


_Script = Generator[_Until, bool, None]


@dataclass
class _Touch:
    """A touch of a slot that is planned or under way."""

    kind: EventKind
    slot: str
    column: int
    person: int
    hand: int
    gtin: str
    quantity: int = 0
    wanted: int = 0
    strokes_left: int = 1
    begin_s: float | None = None
    done_s: float | None = None


@dataclass
class _Running:
    person: Person
    script: _Script
    waiting: _Until
    since_s: float


@dataclass(frozen=True, eq=False)
class _Goal:
    """Something somebody is about to do: at which slot and column, standing where, with which hand."""

    slot: SlotDesign
    column: int
    stance_x: float
    hand: int


@dataclass
class _Door:
    """One place at the bay: when its next shopper comes."""

    next_s: float
    taken: bool = False


@dataclass
class _SlotWatch:
    """What the world remembers of a slot's sight."""

    occluded: bool = False
    body_seen_s: float = -1e9
    reserved_by: int | None = None
    low_since_s: float | None = None
    interest: float = 1.0
    touches: list[_Touch] = field(default_factory=list)


class World:
    """One bay, its stock, its people, and what happens."""

    def __init__(self, design: BayDesign, scenario: Scenario, seed: int) -> None:
        """Make the world at time 0. Equal arguments make equal worlds."""
        self.design = design
        self.scenario = scenario
        self.now_s = 0.0
        self._rng = np.random.default_rng([seed, zlib.crc32(design.bay.encode())])
        counts, sought = self._first_counts()
        self.initial_counts = counts
        self.stocks: dict[str, SlotStock] = fill(design, counts, self._rng)
        self._watch = {slot.id: _SlotWatch(interest=sought.get(slot.id, 1.0)) for slot in design.slots}
        self._index = {slot.id: i for i, slot in enumerate(design.slots)}
        self._camera = design.camera
        self._sight = SlotSight(design)
        self._running: list[_Running] = []
        self._figures: list[Figure] = []
        self._doors = [
            _Door(self._draw(scenario.shoppers.between) * 0.4 + 2.0 * i) for i in range(scenario.shoppers.at_once)
        ]
        self._staff_due_s: float | None = None
        if scenario.staff.comes_unasked:
            for slot in design.slots:
                low = counts[slot.id] <= slot.min_presentation
                self._watch[slot.id].low_since_s = 0.0 if low else None
        self._facts: list[Fact] = []
        self._phase = float(self._rng.uniform(0, 2 * math.pi))
        occluders = scenario.occluders
        self._occluder_doors = [_Door(self._draw(occluders.between) * 0.5) for _ in range(occluders.at_once)]

    @property
    def camera(self) -> Camera:
        """The camera as it hangs now: knocked since, or as it was installed."""
        return self._camera

    @property
    def light(self) -> float:
        """Gain of the light now, 1 as the shop was built."""
        t, light = self.now_s, self.scenario.light
        wander = 0.6 * math.sin(t / 37.0 + self._phase) + 0.4 * math.sin(t / 11.3 + 2 * self._phase)
        gain = 1.0 + self.scenario.light_drift * wander
        if light.points:
            gain *= float(np.interp(t, [p.at_s for p in light.points], [p.gain for p in light.points]))
        if light.flicker and t % light.flicker_every_s < light.flicker_for_s:
            gain *= 1.0 - light.flicker * (0.5 - 0.5 * math.cos(2 * math.pi * light.flicker_hz * t))
        return gain

    @property
    def warmth(self) -> float:
        """Colour of the light now, -1 (blue) to 1 (yellow)."""
        points = self.scenario.light.points
        return float(np.interp(self.now_s, [p.at_s for p in points], [p.warmth for p in points])) if points else 0.0

    @property
    def figures(self) -> list[Figure]:
        """Everybody as posed at the last step, and the trolleys of those who have one."""
        return self._figures

    @property
    def items(self) -> list[PlacedItem]:
        """Everything that stands on the shelves."""
        return [item for stock in self.stocks.values() for column in stock.columns for item in column]

    def count(self, slot: str) -> int:
        return self.stocks[slot].count

    def occluded(self, slot: str) -> bool:
        """Whether more than 10 % of the slot's front was covered at the last step."""
        return self._watch[slot].occluded

    def step(self, dt_s: float) -> list[Fact]:
        """Let ``dt_s`` seconds pass; what happened, in order."""
        self.now_s = round(self.now_s + dt_s, 9)
        self._facts = []
        self._let_in()
        self._knock_camera()
        for running in list(self._running):
            for hand, what in running.person.advance(self.now_s):
                if what == "touch":
                    self._touch_done(running.person, hand)
        for running in list(self._running):
            self._advance_script(running)
        people = [running.person for running in self._running]
        self._figures = [person.figure() for person in people]
        self._figures += [trolley for person in people if (trolley := person.trolley()) is not None]
        self._look()
        return self._facts

    # What stands there at first, who comes

    def _first_counts(self) -> tuple[dict[str, int], dict[str, float]]:
        stock = self.scenario.stock
        slots = self.design.slots
        near_low = {slots[i].id for i in self._rng.permutation(len(slots))[: stock.near_low]}
        counts = {}
        for slot in slots:
            share = float(self._rng.uniform(stock.least, stock.most))
            counts[slot.id] = max(1, round(slot.capacity * share))
            if slot.id in near_low:
                counts[slot.id] = min(slot.capacity, slot.min_presentation + int(self._rng.integers(1, 3)))
        return counts, dict.fromkeys(near_low, stock.sought_after)

    def _draw(self, span: Span) -> float:
        return float(self._rng.uniform(span.least_s, span.most_s))

    def _let_in(self) -> None:
        for number, door in enumerate(self._doors):
            if not door.taken and self.now_s >= door.next_s:
                door.taken = True
                person = self._new_person(staff=False)
                self._start(person, self._shopper(person, number))
        for number, door in enumerate(self._occluder_doors):
            if not door.taken and self.now_s >= door.next_s:
                door.taken = True
                person = self._new_person(staff=False)
                person.has_trolley = bool(self._rng.random() < self.scenario.occluders.trolley)
                self._start(person, self._stand_in_the_way(person, number))
        if self._staff_due_s is None:
            low = [watch.low_since_s for watch in self._watch.values() if watch.low_since_s is not None]
            if low:
                self._staff_due_s = max(self.now_s, min(low)) + self._draw(self.scenario.staff.after)
        elif self.now_s >= self._staff_due_s and not any(r.person.look.staff for r in self._running):
            person = self._new_person(staff=True)
            self._start(person, self._staff(person))

    def _knock_camera(self) -> None:
        """The truth is about what the camera sees from where it hangs now."""
        done = [step for step in self.scenario.camera if step.at_s <= self.now_s]
        if not done:
            return
        last, built = done[-1], self.design.camera
        camera = replace(
            built,
            yaw_rad=built.yaw_rad + math.radians(last.pan_deg),
            pitch_rad=built.pitch_rad + math.radians(last.tilt_deg),
            roll_rad=built.roll_rad + math.radians(last.roll_deg),
        )
        if camera != self._camera:
            self._camera = camera
            self._sight = SlotSight(self.design, camera)

    def _new_person(self, *, staff: bool) -> Person:
        used = {running.person.index for running in self._running}
        index = next(i for i in range(100) if i not in used)
        look = invent_appearance(self._rng, staff=staff)
        x = -_OUTSIDE_MM if self._rng.random() < 0.5 else self.design.width_mm + _OUTSIDE_MM
        place = np.array([x, float(self._rng.uniform(-520, -410))])
        nowhere = np.zeros(3)
        both = staff or self._rng.random() < self.scenario.shoppers.both_hands
        favourite = LEFT if self._rng.random() < 0.3 else RIGHT
        hands = [Hand(nowhere, nowhere, used=both or number == favourite) for number in (LEFT, RIGHT)]
        person = Person(index, look, place, self.design.height_mm, hands)
        for number, hand in enumerate(hands):
            hand.grip_mm = hand.aim_mm = person.belly_mm(number)
            hand.variant = int(self._rng.integers(3))
        return person

    def _start(self, person: Person, script: _Script) -> None:
        running = _Running(person, script, _Until(lambda: True, 0.0), self.now_s)
        self._running.append(running)
        running.waiting = next(script)

    def _advance_script(self, running: _Running) -> None:
        for _ in range(8):  # a script that never waits would stop the world
            met = running.waiting.met()
            if not met and self.now_s - running.since_s < running.waiting.at_most_s:
                return
            try:
                running.waiting = running.script.send(met)
                running.since_s = self.now_s
            except StopIteration:
                self._running.remove(running)
                return

    # Scripts

    def _shopper(self, person: Person, door: int) -> _Script:
        habits = self.scenario.shoppers
        yield self._pause(0.0)
        for _ in range(int(self._rng.integers(1, habits.interests + 1))):
            if self._rng.random() < habits.block:
                yield from self._stand_about(person)
            draw = float(self._rng.random())
            if draw < habits.look_only:
                yield from self._reach_for(person, 0)
            elif draw < habits.look_only + habits.two_hands and all(hand.used for hand in person.hands):
                yield from self._reach_with_both(person)
            elif draw >= 1.0 - habits.topple:
                yield from self._disturb(person, "fallen")
            elif draw >= 1.0 - habits.topple - habits.push_back:
                yield from self._disturb(person, "pushed-back")
            else:
                yield from self._reach_for(person, self._many() if self._rng.random() < habits.take_two else 1)
        yield from self._leave(person)
        self._doors[door].taken = False
        self._doors[door].next_s = self.now_s + self._draw(habits.between)

    def _many(self) -> int:
        """How many somebody takes who takes more than one."""
        most = self.scenario.shoppers.take_most
        return 2 if most == 2 else int(self._rng.integers(2, most + 1))

    def _stand_in_the_way(self, person: Person, door: int) -> _Script:
        occluders = self.scenario.occluders
        yield self._pause(0.0)
        for _ in range(10):
            x = float(self._rng.uniform(150, self.design.width_mm - 150))
            if self._has_room(person, x):
                yield from self._go(person, x)
                yield self._pause(self._draw(occluders.stands_for))
                break
            yield self._pause(0.7)
        yield from self._leave(person)
        self._occluder_doors[door].taken = False
        self._occluder_doors[door].next_s = self.now_s + self._draw(occluders.between)

    def _stand_about(self, person: Person) -> _Script:
        x = float(self._rng.uniform(200, self.design.width_mm - 200))
        if self._has_room(person, x):
            yield from self._go(person, x)
            yield self._pause(self._draw(self.scenario.shoppers.block_for))

    def _reach_for(self, person: Person, quantity: int) -> _Script:
        goal = self._choose(person, quantity)
        if goal is None:
            yield self._pause(0.6)
            return
        watch = self._watch[goal.slot.id]
        watch.reserved_by = person.index
        yield from self._go(person, goal.stance_x)
        yield self._pause(self._draw(self.scenario.shoppers.browse))
        free = yield _Until(lambda: self._touchable(goal.slot.id, person), _GIVE_UP_AFTER_S)
        column = self._usable_column(goal, quantity) if free else None
        if column is None:
            watch.reserved_by = None
            return
        self._begin_touch(
            person, _Goal(goal.slot, column, goal.stance_x, goal.hand), "pick" if quantity else "reach", quantity
        )
        hand = person.hands[goal.hand]
        yield _Until(lambda: not hand.busy, 20.0)
        if quantity == 1 and hand.holding:
            yield from self._after_taking(person, _Goal(goal.slot, column, goal.stance_x, goal.hand))
        watch.reserved_by = None
        hand.holding = []

    def _disturb(self, person: Person, kind: EventKind) -> _Script:
        """A hand knocks an item over, or pushes one back; nobody touches that slot any more."""
        columns_of = columns_to_topple if kind == "fallen" else columns_to_push
        possible = frozenset(name for name, stock in self.stocks.items() if columns_of(stock))
        goal = self._choose(person, 0, among=possible)
        if goal is None:
            yield self._pause(0.6)
            return
        watch, stock = self._watch[goal.slot.id], self.stocks[goal.slot.id]
        watch.reserved_by = person.index
        yield from self._go(person, goal.stance_x)
        yield self._pause(self._draw(self.scenario.shoppers.browse))
        free = yield _Until(lambda: self._touchable(goal.slot.id, person), _GIVE_UP_AFTER_S)
        columns = columns_of(stock)
        if not free or not columns:
            watch.reserved_by = None
            return
        column = min(columns, key=lambda one: abs(one - goal.column))
        self._begin_touch(person, _Goal(goal.slot, column, goal.stance_x, goal.hand), kind, 1)
        hand = person.hands[goal.hand]
        yield _Until(lambda: not hand.busy, 20.0)
        watch.reserved_by = _NOBODY

    def _after_taking(self, person: Person, goal: _Goal) -> _Script:
        """Some put back what they took, some put it elsewhere."""
        habits = self.scenario.shoppers
        draw = float(self._rng.random())
        hand = person.hands[goal.hand]
        if draw < habits.misplace:
            yield from self._misplace(person, goal)
        elif draw < habits.misplace + habits.put_back and hand.holding[0].gtin == goal.slot.pack.gtin:
            yield self._pause(float(self._rng.uniform(1.5, 4.0)))
            free = yield _Until(lambda: self._touchable(goal.slot.id, person), _GIVE_UP_AFTER_S)
            if free and goal.column in self.stocks[goal.slot.id].can_take(1):
                self._begin_touch(person, goal, "put", 1)
                yield _Until(lambda: not hand.busy, 20.0)

    def _misplace(self, person: Person, taken_from: _Goal) -> _Script:
        self._watch[taken_from.slot.id].reserved_by = None
        hand = person.hands[taken_from.hand]
        goal = self._choose(person, 0, hand=taken_from.hand, fitting=hand.holding[0])
        if goal is None:
            return
        watch = self._watch[goal.slot.id]
        watch.reserved_by = person.index
        yield from self._go(person, goal.stance_x)
        yield self._pause(self._draw(self.scenario.shoppers.browse))
        free = yield _Until(lambda: self._touchable(goal.slot.id, person), _GIVE_UP_AFTER_S)
        columns = self.stocks[goal.slot.id].can_take(1)
        if free and columns:
            column = goal.column if goal.column in columns else columns[0]
            self._begin_touch(person, _Goal(goal.slot, column, goal.stance_x, goal.hand), "misplaced", 1)
            yield _Until(lambda: not hand.busy, 20.0)
        watch.reserved_by = None

    def _reach_with_both(self, person: Person) -> _Script:
        """Two hands at two slots at the same time."""
        first = second = None
        for _ in range(self.scenario.shoppers.two_hands_tries):
            first = self._choose(person, 1)
            if first is not None:
                second = self._choose(person, 1, hand=1 - first.hand, stance_x=first.stance_x, without=first.slot.id)
            if second is not None:
                break
        if first is None:
            yield self._pause(0.6)
            return
        goals = [first] if second is None else [first, second]
        for goal in goals:
            self._watch[goal.slot.id].reserved_by = person.index
        yield from self._go(person, first.stance_x)
        yield self._pause(self._draw(self.scenario.shoppers.browse))
        yield _Until(lambda: all(self._touchable(goal.slot.id, person) for goal in goals), _GIVE_UP_AFTER_S)
        for goal in goals:
            column = self._usable_column(goal, 1)
            if column is not None and self._touchable(goal.slot.id, person):
                delay = float(self._rng.uniform(0.0, self.scenario.shoppers.two_hands_apart_s))
                self._begin_touch(person, _Goal(goal.slot, column, goal.stance_x, goal.hand), "pick", 1, delay_s=delay)
        yield _Until(lambda: not any(hand.busy for hand in person.hands), 20.0)
        for goal in goals:
            self._watch[goal.slot.id].reserved_by = None
        for hand in person.hands:
            hand.holding = []

    def _staff(self, person: Person) -> _Script:
        served = 0
        yield self._pause(0.0)
        while served < self.scenario.staff.slots_per_visit:
            goal = self._choose_restock(person)
            if goal is None:
                break
            watch = self._watch[goal.slot.id]
            watch.reserved_by = person.index
            yield from self._go(person, goal.stance_x)
            yield self._pause(0.5)
            free = yield _Until(lambda: self._touchable(goal.slot.id, person), _GIVE_UP_AFTER_S)  # noqa: B023
            if free and self.stocks[goal.slot.id].free >= _LEAST_RESTOCK:
                yield from self._restock(person, goal)
            watch.reserved_by = None
            served += 1
        yield from self._leave(person)
        self._staff_due_s = None
        if any(watch.low_since_s is not None for watch in self._watch.values()):
            self._staff_due_s = self.now_s + self._draw(self.scenario.staff.after)

    def _restock(self, person: Person, goal: _Goal) -> _Script:
        stock, watch, hand = self.stocks[goal.slot.id], self._watch[goal.slot.id], person.hands[goal.hand]
        loads = handfuls(stock, self.scenario.staff.handful)
        touch = _Touch(
            "restock", goal.slot.id, loads[0][0], person.index, goal.hand, goal.slot.pack.gtin, strokes_left=len(loads)
        )
        watch.touches.append(touch)
        for number, (column, quantity) in enumerate(loads):
            hand.holding = [goal.slot.pack] * quantity
            hand.used = True
            touch.column, touch.wanted = column, quantity
            errand = Errand(
                grip_to_put(stock, column, hand.holding),
                hand.grip_mm,
                person.belly_mm(goal.hand),
                putting=True,
                brisk=True,
                first=number == 0,
                last=number == len(loads) - 1,
            )
            hand.begin(strokes_of(errand, stock, self.design, self._rng), self.now_s, errand.grip_mm)
            yield _Until(lambda: not hand.busy, 10.0)

    def _leave(self, person: Person) -> _Script:
        left, right = -_OUTSIDE_MM, self.design.width_mm + _OUTSIDE_MM
        near_left = float(person.place_mm[0]) < self.design.width_mm / 2
        yield from self._go(person, left if near_left else right)

    def _go(self, person: Person, x: float) -> _Script:
        start = person.place_mm
        if abs(float(start[0]) - x) < 15:
            return
        yield _Until(lambda: self._way_is_clear(person, x), _GIVE_UP_AFTER_S)
        end = np.array([x, float(np.clip(start[1] + self._rng.normal(0, 25), -540, -400))])
        person.walk = Walk(start, end, self.now_s)
        yield _Until(lambda: person.walk is None, 20.0)

    def _pause(self, seconds: float) -> _Until:
        until = self.now_s + seconds
        return _Until(lambda: self.now_s >= until, seconds + 1.0)

    # Choosing

    def _choose(
        self, person: Person, quantity: int, *, hand: int | None = None, stance_x: float | None = None,
        without: str = "", fitting: Pack | None = None, among: frozenset[str] | None = None,
    ) -> _Goal | None:  # fmt: skip
        """A slot of interest that can be touched without standing before it; None when none comes to mind."""
        slots = [slot for slot in self.design.slots if slot.id != without and self._may_choose(slot, quantity, fitting)]
        slots = [slot for slot in slots if among is None or slot.id in among]
        for _ in range(6):
            if not slots:
                return None
            weights = np.array([self._appeal(slot) for slot in slots])
            slot = slots[int(self._rng.choice(len(slots), p=weights / weights.sum()))]
            slots.remove(slot)
            stock = self.stocks[slot.id]
            columns = (
                stock.can_take(1) if fitting else stock.can_give(quantity) if quantity else list(range(slot.columns))
            )
            column = columns[int(self._rng.integers(len(columns)))]
            goal = self._stand_for(person, slot, column, hand, stance_x)
            if goal is not None:
                return goal
        return None

    def _appeal(self, slot: SlotDesign) -> float:
        """What is sought after and in sight is chosen more often than what somebody stands before."""
        watch = self._watch[slot.id]
        return watch.interest * (0.05 if self.now_s - watch.body_seen_s < 0.3 else 1.0)

    def _may_choose(self, slot: SlotDesign, quantity: int, fitting: Pack | None) -> bool:
        watch, stock = self._watch[slot.id], self.stocks[slot.id]
        if watch.reserved_by is not None or watch.touches:
            return False
        if fitting is not None:
            pitch_mm = self.design.depth_mm / slot.rows
            fits = fitting.width_mm < slot.column_pitch_mm - 4 and fitting.depth_mm < pitch_mm - 2
            fits = fits and fitting.height_mm < slot.shelf.space_mm - 20 and fitting.gtin != slot.pack.gtin
            return fits and bool(stock.can_take(1))
        return bool(stock.can_give(quantity)) if quantity else True

    def _choose_restock(self, person: Person) -> _Goal | None:
        low = [
            slot
            for slot in self.design.slots
            if self._watch[slot.id].low_since_s is not None
            and self._watch[slot.id].reserved_by is None
            and not self._watch[slot.id].touches
            and self.stocks[slot.id].free >= _LEAST_RESTOCK
        ]
        low.sort(key=lambda slot: (self.stocks[slot.id].count, slot.id))
        for slot in low:
            goal = self._stand_for(person, slot, slot.columns // 2, None, None)
            if goal is not None:
                return goal
        return None

    def _stand_for(
        self, person: Person, slot: SlotDesign, column: int, hand: int | None, stance_x: float | None
    ) -> _Goal | None:
        """Where to stand so that the own body does not cover the slot."""
        x = slot.column_x_mm(column)
        usable = [number for number, own in enumerate(person.hands) if own.used and hand in {None, number}]
        near = float(person.place_mm[0])
        outward = -1.0 if x < self.design.width_mm / 2 else 1.0
        side = outward if self._rng.random() < 0.7 else (-1.0 if near < x else 1.0)
        places = (
            [stance_x]
            if stance_x is not None
            else [x + s * d for s in (side, -side) for d in (400.0, 470.0, 540.0, 600.0)]
        )
        for place in places:
            if abs(place - x) > 640 or not self._has_room(person, place):
                continue
            number = usable[0] if len(usable) == 1 else (RIGHT if place < x else LEFT)
            if number not in usable:
                continue
            grip = grip_to_take(self.stocks[slot.id], column)
            if stance_x is not None and (number == LEFT) != (x < place):
                continue
            pose: list[Reach | None] = [None, None]
            pose[number] = Reach((float(grip[0]), float(grip[1]), float(grip[2])))
            parts = pose_person(person.look, Stance(place, float(person.place_mm[1])), person.floor_y_mm, *pose)
            if self._sight.body_share([Figure(parts)], self._index[slot.id]) <= _OWN_BODY_MAY_COVER:
                return _Goal(slot, column, place, number)
        return None

    def _has_room(self, person: Person, x: float) -> bool:
        for running in self._running:
            if running.person is not person:
                other = running.person
                target = float(other.walk.end[0]) if other.walk is not None else float(other.place_mm[0])
                if abs(target - x) < _PERSONAL_SPACE_MM:
                    return False
        return True

    def _way_is_clear(self, person: Person, x: float) -> bool:
        """Nobody walks before a slot that another one has a hand in, or is about to."""
        low, high = sorted((float(person.place_mm[0]), x))
        for watch in self._watch.values():
            for touch in watch.touches:
                slot_x = self.design.slot(touch.slot).column_x_mm(touch.column)
                if touch.person != person.index and low - _WALK_COVERS_MM < slot_x < high + _WALK_COVERS_MM:
                    return False
        return True

    def _usable_column(self, goal: _Goal, quantity: int) -> int | None:
        stock = self.stocks[goal.slot.id]
        columns = stock.can_give(quantity) if quantity else list(range(goal.slot.columns))
        if goal.column in columns:
            return goal.column
        return columns[0] if columns else None

    def _touchable(self, slot: str, person: Person) -> bool:
        watch = self._watch[slot]
        quiet = self.now_s - watch.body_seen_s >= UNCOVERED_BEFORE_TOUCH_S and not self._is_passed(slot, person)
        return quiet and not watch.touches and watch.reserved_by in {None, person.index}

    def _is_passed(self, slot: str, person: Person) -> bool:
        """Whether somebody else is walking where they will soon stand before the slot."""
        design = self.design.slot(slot)
        for running in self._running:
            walk = running.person.walk
            if running.person is not person and walk is not None:
                low, high = sorted((float(walk.start[0]), float(walk.end[0])))
                if low - _WALK_COVERS_MM < design.x_mm + design.width_mm / 2 < high + _WALK_COVERS_MM:
                    return True
        return False

    # Touching

    def _begin_touch(
        self, person: Person, goal: _Goal, kind: EventKind, quantity: int, *, delay_s: float = 0.0
    ) -> None:
        hand = person.hands[goal.hand]
        gtin = hand.holding[0].gtin if kind in {"put", "misplaced"} else goal.slot.pack.gtin
        touch = _Touch(kind, goal.slot.id, goal.column, person.index, goal.hand, gtin, wanted=quantity)
        self._watch[goal.slot.id].touches.append(touch)
        stock, putting = self.stocks[goal.slot.id], kind in {"put", "misplaced"}
        grip = grip_to_put(stock, goal.column, hand.holding) if putting else grip_to_take(stock, goal.column)
        if kind == "reach":
            grip[2] -= float(self._rng.uniform(5, 60))
        rest = person.belly_mm(goal.hand)
        errand = Errand(grip, rest, rest, putting=putting, looking=kind == "reach", delay_s=delay_s)
        hand.begin(strokes_of(errand, stock, self.design, self._rng), self.now_s, grip)

    def _touch_done(self, person: Person, number: int) -> None:
        """The moment a hand closes or opens: the slot changes."""
        touch = next(
            t
            for w in self._watch.values()
            for t in w.touches
            if t.person == person.index and t.hand == number and t.done_s is None
        )
        stock, hand = self.stocks[touch.slot], person.hands[number]
        if touch.kind == "pick":
            taken = [stock.take(touch.column) for _ in range(min(touch.wanted, len(stock.columns[touch.column])))]
            hand.holding = [item.pack for item in taken]
            hand.variant = taken[0].variant if taken else 0
            touch.quantity = len(taken)
            touch.gtin = taken[0].pack.gtin if taken else touch.gtin
        elif touch.kind in {"put", "misplaced", "restock"}:
            for pack in hand.holding:
                stock.put(touch.column, self._rng, pack)
            touch.quantity += len(hand.holding)
            hand.holding = []
        elif touch.kind == "fallen":
            topple(stock, touch.column)
            touch.quantity = 1
        elif touch.kind == "pushed-back":
            push_back(stock, touch.column, self._rng)
            touch.quantity = 1
        touch.strokes_left -= 1
        if touch.begin_s is None:
            touch.begin_s = self.now_s
        if touch.strokes_left == 0:
            touch.done_s = self.now_s
        if touch.kind != "reach" and touch.kind not in OUT_OF_PLACE:
            self._facts.append(CountChanged(self.design.bay, touch.slot, self.now_s, stock.count))
        watch = self._watch[touch.slot]
        low = stock.count <= stock.slot.min_presentation
        watch.low_since_s = (watch.low_since_s if watch.low_since_s is not None else self.now_s) if low else None

    def _look(self) -> None:
        """What covers which slot now; touches that are over become events."""
        coverage = self._sight.coverage(self._figures)
        bay = self.design.bay
        for index, slot in enumerate(self.design.slots):
            watch = self._watch[slot.id]
            if coverage.body[index] > _BODY_COVERS:
                watch.body_seen_s = self.now_s
            occluded = bool(coverage.total[index] > OCCLUDED_SHARE)
            if occluded != watch.occluded:
                watch.occluded = occluded
                self._facts.append(SightChanged(bay, slot.id, self.now_s, occluded))
            for touch in list(watch.touches):
                inside = self._hand_before(touch, index)
                if touch.begin_s is None and inside and self._is_coming(touch):
                    touch.begin_s = self.now_s
                if touch.done_s is not None and not inside and not occluded and touch.begin_s is not None:
                    watch.touches.remove(touch)
                    self._facts.append(
                        TruthEvent(
                            touch.kind,
                            bay,
                            slot.id,
                            touch.gtin,
                            touch.quantity,
                            touch.begin_s,
                            touch.done_s,
                            self.now_s,
                        )
                    )

    def _is_coming(self, touch: _Touch) -> bool:
        """The hand has left its rest: before that it may by chance be seen over the slot."""
        person = next((r.person for r in self._running if r.person.index == touch.person), None)
        return person is not None and person.hands[touch.hand].effort > 0.5

    def _hand_before(self, touch: _Touch, index: int) -> bool:
        for running, figure in zip(self._running, self._figures, strict=False):  # trolleys come after the people
            if running.person.index == touch.person:
                if running.person.hands[touch.hand].effort <= 0.02:
                    return False
                points = [
                    part.spheres[:, :3]
                    for part in figure.parts
                    if part.kind == "hand" and part.over_held and part.owner == touch.hand
                ]
                return bool(points) and self._sight.holds(index, np.concatenate(points))
        return False

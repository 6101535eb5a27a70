"""Where work comes in and staff take it; displays, staff pages and listeners hear of every step."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shelf_collector.adapters.task_list import TaskList
from shelf_collector.core.access import Principal
from shelf_collector.core.demand import Level, Loss, Taken, demand, loss
from shelf_collector.core.logbook import Action
from shelf_collector.core.plan import StorePlan
from shelf_collector.core.tasks import (
    Condition,
    Step,
    StepName,
    Surroundings,
    Task,
    TaskRefused,
    TaskRules,
    settle,
    take,
)
from shelf_collector.core.views import EventView, HelpView, Screen, TaskView
from shelf_collector.core.worklist import ListRules, WorkList, work_list
from shelf_collector.ports import Clock, Screens, StorageProblem
from shelf_contracts.products import Product

log = logging.getLogger(__name__)

_ACTIONS: dict[StepName, Action] = {
    "claim": "task.claimed", "release": "task.released", "snooze": "task.snoozed", "no_stock": "task.no_stock",
    "done": "task.done",
}  # fmt: skip
_TICK_S = 1.0
_PRUNE_EVERY = timedelta(hours=6)
_WORTH_KEPT = timedelta(minutes=5)
_MOST_WORTHS = 5000


@dataclass(frozen=True)
class Worth:
    """How the worth of a task is worked out.

    Attributes:
        history: what a slot held and what was taken from it since a moment.
        products: by GTIN, for prices and places in the back.
        window: how far back picks count; ``least_h``: with fewer hours watched, demand is not known.
        round_h: how long an empty slot is expected to stay so when nobody goes: the time to the next usual round.
    """

    history: Callable[[str, str, datetime], tuple[list[Level], list[Taken]]]
    products: Callable[[Sequence[str]], Mapping[str, Product]]
    window: timedelta = timedelta(days=7)
    least_h: float = 1.0
    round_h: float = 2.0


@dataclass(frozen=True)
class DeskRules:
    """What the config says about tasks."""

    tasks: TaskRules = field(default_factory=TaskRules)
    aisles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


Listener = Callable[[Task, str, Loss | None], None]
"""Hears of a task, what became of it (``task.opened`` ...), and what it is worth. Must not wait."""


class TaskDesk:
    """Any thread may call.

    Args:
        look: what in the shop asks for somebody now.
    """

    def __init__(
        self, tasks: TaskList, screens: Screens, clock: Clock, plan: StorePlan | None = None,
        look: Callable[[], Surroundings] = lambda: Surroundings({}), worth: Worth | None = None,
        rules: DeskRules | None = None,
    ) -> None:  # fmt: skip
        self._tasks = tasks
        self._screens = screens
        self._clock = clock
        self._plan = plan or StorePlan({}, {})
        self._look = look
        self._worth = worth
        self.rules = rules or DeskRules()
        self._listeners: list[Listener] = []
        self._blind: frozenset[int] = frozenset()
        self._losses: dict[tuple[str, str], tuple[datetime, Callable[[int | None], Loss]]] = {}

    def listen(self, listener: Listener) -> None:
        """One more who hears of every change. Call before anything happens."""
        self._listeners.append(listener)

    def waiting(self) -> list[Task]:
        """What somebody still waits for, oldest first."""
        now = self._clock.now()
        return [task for task in self._tasks.unfinished() if task.is_waiting(now)]

    def call(self, display: str, bay: str, slot: str | None, gtin: str | None, origin: str) -> Task:
        """Somebody at a display asks for help. Asking twice is asking once."""
        task = Task(0, "help", display, bay, slot, gtin, "open", self._clock.now())
        return self._tell(self._tasks.call(task, origin), "task.opened")

    def claim(self, task: int, who: Principal, origin: str) -> Task:
        """Raises: TaskRefused when somebody else was faster."""
        return self.step(task, Step("claim"), who, origin)

    def finish(self, task: int, who: Principal, origin: str) -> Task:
        """Raises: TaskRefused when somebody else has it."""
        return self.step(task, Step("done"), who, origin)

    def step(self, task: int, step: Step, who: Principal, origin: str, key: str = "") -> Task:
        """Somebody's step, once per ``key``. Raises: TaskRefused."""
        now, action = self._clock.now(), _ACTIONS[step.name]
        done = self._tasks.step(
            task, action, f"person:{who.name}", origin, now, lambda one: take(one, step, who.name, now), key
        )
        return self._tell(done, action)

    def claim_round(self, aisle: str, who: Principal, origin: str) -> int:
        """Take all of an aisle that is free. Returns how many; what somebody else took meanwhile is left to them."""
        found = next((one for one in self.work_list(who.name).rounds if one.aisle == aisle), None)
        taken = 0
        for work in found.free if found else ():
            with contextlib.suppress(TaskRefused):
                self.claim(work.task.id, who, origin)
                taken += 1
        return taken

    def work_list(self, me: str) -> WorkList:
        """What one colleague sees."""
        now, around, tasks = self._clock.now(), self._look(), self._tasks.unfinished()
        losses = {task.id: known for task in tasks if (known := self._loss(task, around.conditions)) is not None}
        gtins = sorted({task.gtin for task in tasks if task.gtin})
        found = self._worth.products(gtins) if self._worth and gtins else {}
        backrooms = {gtin: product.backroom for gtin, product in found.items()}
        return work_list(tasks, around, losses, backrooms, self._plan, ListRules(self.rules.aisles), me, now)

    def happened(self, event: EventView) -> None:
        """An anomaly was seen: somebody should have a look. A count that was set right needs nobody."""
        if event.cause == "count":
            return
        task = Task(
            0, "anomaly", "", event.bay, event.slot, event.gtin, "open", self._clock.now(),
            key=f"anomaly/{event.bay}/{event.slot}", detail=event.cause or event.text[:300],
        )  # fmt: skip
        new = self._tasks.happened(task)
        if new is not None:
            self._tell(new, "task.opened")

    def settle(self) -> None:
        """Let the shop's present state make, close, reopen and escalate tasks."""
        now, around = self._clock.now(), self._look()
        for one in self._tasks.settle(lambda tasks: settle(tasks, around, now, self.rules.tasks), now):
            self._tell(one.task, one.change, around)
        blind = frozenset(
            task.id
            for task in self._tasks.unfinished()
            if around.is_unseen(task) or ((found := around.conditions.get(task.key)) is not None and found.is_blind)
        )
        for task in self._tasks.unfinished():
            if (task.id in blind) != (task.id in self._blind):
                self._tell(task, "task.quiet" if task.id in blind else "task.heard", around)
        self._blind = blind

    def prune(self) -> None:
        self._tasks.prune(self._clock.now())

    def everything(self) -> list[tuple[Task, Loss | None]]:
        """All living tasks with what they are worth: for a broker that forgot."""
        around = self._look()
        return [(task, self._loss(task, around.conditions)) for task in self._tasks.unfinished()]

    def ended_lately(self) -> list[int]:
        """Ids of what ended within a day."""
        return self._tasks.ended_since(self._clock.now() - timedelta(days=1))

    def screens(self) -> list[Screen]:
        """What a page gets first."""
        return [screen for task in self.waiting() for screen in self._shown(task)]

    def _tell(self, task: Task, change: str, around: Surroundings | None = None) -> Task:
        for screen in self._shown(task):
            self._screens.show(screen)
        if self._listeners:
            worth = self._loss(task, (around or self._look()).conditions)
            for listener in self._listeners:
                listener(task, change, worth)
        return task

    def _shown(self, task: Task) -> list[Screen]:
        view = TaskView(
            id=task.id, kind=task.kind, display=task.display, bay=task.bay, slot=task.slot, gtin=task.gtin,
            state=task.state, created_at=task.created_at, is_escalated=task.escalated_at is not None,
            is_quiet=task.id in self._blind,
        )  # fmt: skip
        found = [Screen(f"task/{task.id}", view)]
        if task.kind == "help":
            found.insert(0, Screen(f"help/{task.display}", HelpView(display=task.display, state=task.state)))
        return found

    def _loss(self, task: Task, conditions: Mapping[str, Condition]) -> Loss | None:
        """What a restock task is worth; demand and price are asked for every five minutes at most."""
        worth = self._worth
        if worth is None or task.kind != "replenish" or task.slot is None:
            return None
        now, place = self._clock.now(), (task.bay, task.slot)
        held = self._losses.get(place)
        if held is None or not timedelta() <= now - held[0] < _WORTH_KEPT:
            levels, taken = worth.history(*place, now - worth.window)
            found = demand(levels, taken, now, worth.least_h)
            product = worth.products([task.gtin]).get(task.gtin) if task.gtin else None
            price = product.price if product else None
            cents, currency = (price.cents, price.currency) if price else (None, "EUR")
            if len(self._losses) >= _MOST_WORTHS:
                self._losses.clear()
            held = (now, lambda count: loss(found, count, cents, currency, worth.round_h))
            self._losses[place] = held
        condition = conditions.get(task.key)
        return held[1](condition.count if condition else None)


class Foreman:
    """The thread that lets time pass over the tasks, once a second, and hears of anomalies as they go to the pages.

    It stands between keeper and pages: what the keeper shows is passed on at once.
    """

    def __init__(self, screens: Screens, clock: Clock) -> None:
        self._screens = screens
        self._clock = clock
        self._desk: TaskDesk | None = None
        self._anomalies: list[EventView] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="foreman", daemon=True)

    def show(self, *screens: Screen) -> None:
        """Pass them on; note anomalies, a hundred at most until they are seen to."""
        self._screens.show(*screens)
        for screen in screens:
            if isinstance(screen.content, EventView) and screen.content.action == "anomaly":
                with self._lock:
                    self._anomalies = [*self._anomalies[-99:], screen.content]

    def start(self, desk: TaskDesk) -> None:
        self._desk = desk
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def work(self, desk: TaskDesk) -> None:
        """One round. Called by the thread; by tests in its place."""
        with self._lock:
            anomalies, self._anomalies = self._anomalies, []
        for event in anomalies:
            desk.happened(event)
        desk.settle()

    def _run(self) -> None:
        pruned_at: datetime | None = None
        said = ""
        while not self._stopping.wait(_TICK_S):
            assert self._desk is not None
            try:
                self.work(self._desk)
                now = self._clock.now()
                if pruned_at is None or abs(now - pruned_at) > _PRUNE_EVERY:
                    pruned_at = now
                    self._desk.prune()
                said = ""
            except StorageProblem as problem:  # tried again in a second; said once
                if str(problem) != said:
                    log.error("%s; trying again until it works", problem)
                said = str(problem)
            except Exception:  # work must not stop because of one task; it is said
                log.exception("looking after the tasks failed; trying again")

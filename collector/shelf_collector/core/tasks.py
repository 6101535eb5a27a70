"""Work for people: what there is to do, who has it, what became of it.

A task lives from ``open`` over ``claimed`` to ``done``; what a camera can see is ``verified`` by it, also when nobody
said anything. ``failed``: there is nothing in the back to bring. ``cancelled``: nobody needs it any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

TaskKind = Literal["help", "replenish", "misplaced", "unknown", "anomaly", "camera", "node", "products"]
TaskState = Literal["open", "claimed", "done", "verified", "failed", "cancelled"]
StepName = Literal["claim", "release", "snooze", "no_stock", "done"]
SnoozeReason = Literal["customer", "later", "delivery", "blocked"]

STEPS: tuple[StepName, ...] = get_args(StepName)
SNOOZE_REASONS: tuple[SnoozeReason, ...] = get_args(SnoozeReason)
LONGEST_SNOOZE_MIN = 720

SEEN_BY_CAMERA: frozenset[TaskKind] = frozenset({"replenish", "misplaced", "unknown", "camera", "node", "products"})
"""Kinds whose end somebody else than who did it can see: cameras, the node that is heard again, the reader of files."""

_BY_PLANOGRAM: frozenset[TaskKind] = frozenset({"replenish", "misplaced", "unknown", "anomaly"})
"""Kinds that compare what is seen in a slot with what is planned there."""

CALL_LASTS = timedelta(minutes=30)
ANOMALY_LASTS = timedelta(hours=2)


class TaskRefused(Exception):
    """A step that the task's state does not allow; ``reason`` is a key of the pages' words, ``who`` has it."""

    def __init__(self, reason: str, who: str = "") -> None:
        self.reason = reason
        self.who = who
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work.

    Attributes:
        display: where somebody asked for help; empty for other kinds. ``bay`` is empty for a node's trouble.
        claimed_by: the name of whoever has it, forgotten when it is done; no shopper is ever named.
        key: what it is about, ``stock/a01/s1-02``: of one key no two tasks live at once. Empty: a call for help.
        detail: the kind of shortage, the camera's state, the node's name or what an event said.
        quantity: how many to bring, as it was when the task was made.
        snoozed_until: until when nobody is asked; in the past: since when somebody is asked again.
        reason: why it was put off (a ``SnoozeReason``), came back (``still_seen``, ``left``, ``try_again``), or was
            cancelled (``planogram_changed``: another planogram asked for it).
    """

    id: int
    kind: TaskKind
    display: str
    bay: str
    slot: str | None
    gtin: str | None
    state: TaskState
    created_at: datetime
    claimed_by: str | None = None
    claimed_at: datetime | None = None
    done_at: datetime | None = None
    key: str = ""
    detail: str = ""
    quantity: int = 0
    snoozed_until: datetime | None = None
    reason: str = ""
    escalated_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def facing(self) -> int | None:
        """Which place of the slot it is about, counted from the left, from 1; None: the slot as a whole."""
        last = self.key.rpartition("/")[2] if self.kind == "misplaced" and self.key.count("/") == 3 else ""
        return int(last) if last.isdigit() else None

    @property
    def is_over(self) -> bool:
        """Whether nothing can become of it any more."""
        return self.state in {"verified", "cancelled"} or (self.state == "done" and self.kind not in SEEN_BY_CAMERA)

    def is_snoozed(self, now: datetime) -> bool:
        return self.state == "open" and self.snoozed_until is not None and now < self.snoozed_until

    def is_waiting(self, now: datetime) -> bool:
        """Whether somebody has to do something: nobody stands at a shelf for half an hour."""
        if self.state == "claimed":
            return True
        if self.state != "open" or self.is_snoozed(now):
            return False
        lasts = {"help": CALL_LASTS, "anomaly": ANOMALY_LASTS}.get(self.kind)
        return lasts is None or now - self.created_at < lasts

    def waits_since(self) -> datetime:
        """Since when somebody could have taken it."""
        return max(self.created_at, self.snoozed_until or self.created_at)


@dataclass(frozen=True, slots=True)
class Step:
    """What somebody does with a task; ``reason`` and ``minutes`` belong to ``snooze``."""

    name: StepName
    reason: str = ""
    minutes: int = 15


def take(task: Task, step: Step, who: str, now: datetime) -> Task:
    """The task after somebody's step. Doing the same thing twice changes nothing.

    Raises: TaskRefused when somebody else has it, it is over, or the step is not one for such a task.
    """
    match step.name:
        case "claim":
            return claim(task, who, now)
        case "done":
            return finish(task, who, now)
        case "release":
            if task.state != "claimed":
                return task
            _must_be_free_for(task, who)
            return replace(task, state="open", claimed_by=None, snoozed_until=now)
        case "snooze":
            _must_be_free_for(task, who)
            if step.reason not in SNOOZE_REASONS or not 1 <= step.minutes <= LONGEST_SNOOZE_MIN:
                raise TaskRefused("task_step_wrong")
            until = now + timedelta(minutes=step.minutes)
            return replace(task, state="open", claimed_by=None, snoozed_until=until, reason=step.reason)
        case "no_stock":
            if task.kind != "replenish":
                raise TaskRefused("task_step_wrong")
            if task.state == "failed":
                return task
            _must_be_free_for(task, who)
            return replace(task, state="failed", claimed_by=None, done_at=now, reason="no_backroom_stock")


def claim(task: Task, who: str, now: datetime) -> Task:
    """Take it. Claiming what is one's own already changes nothing. Raises: TaskRefused when somebody else has it."""
    if task.state == "claimed" and task.claimed_by == who:
        return task
    _must_be_free_for(task, who)
    return replace(task, state="claimed", claimed_by=who, claimed_at=now, snoozed_until=None, reason="")


def finish(task: Task, who: str, now: datetime) -> Task:
    """It is done; finishing twice changes nothing. Raises: TaskRefused when somebody else has it."""
    if task.is_over or task.state == "done":
        return task
    _must_be_free_for(task, who)
    ended = None if task.kind in SEEN_BY_CAMERA else now
    return replace(
        task, state="done", claimed_by=None, claimed_at=task.claimed_at or now, done_at=now, snoozed_until=None,
        reason="", ended_at=ended,
    )  # fmt: skip


def _must_be_free_for(task: Task, who: str) -> None:
    if task.is_over or task.state == "done":
        raise TaskRefused("task_is_done")
    if task.state == "claimed" and task.claimed_by != who:
        raise TaskRefused("task_is_taken", task.claimed_by or "")


# -- what happens to tasks by themselves ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Condition:
    """Something in the shop that asks for somebody.

    Attributes:
        since: since when it is so; ``dwell`` says whether that must hold for a while before it counts.
        is_blind: the camera or node that would see it end is down: the task is quiet until it is back.
        count: what is left in the slot; None when unknown or beside the point.
    """

    key: str
    kind: TaskKind
    bay: str
    slot: str | None
    gtin: str | None
    since: datetime
    detail: str = ""
    quantity: int = 0
    count: int | None = None
    is_blind: bool = False
    must_dwell: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that asks for somebody now, by key; ``unseen`` are keys' beginnings of which nothing can be said now."""

    conditions: dict[str, Condition]
    unseen: frozenset[str] = frozenset()
    replanned: Mapping[str, datetime] = field(default_factory=dict)
    """When the plan of a slot, ``a01/s1-02``, changed last: older work there was asked for by another."""

    def is_replanned(self, task: Task) -> bool:
        """Whether the task is about what another planogram wanted."""
        changed_at = self.replanned.get(f"{task.bay}/{task.slot}") if task.kind in _BY_PLANOGRAM else None
        return changed_at is not None and task.created_at <= changed_at

    def is_unseen(self, task: Task) -> bool:
        return task.bay != "" and task.slot is not None and f"{task.bay}/{task.slot}" in self.unseen


@dataclass(frozen=True, slots=True)
class TaskRules:
    """How long things may take before something happens by itself."""

    escalate: timedelta = timedelta(minutes=20)
    """Nobody has claimed it for so long."""
    verify: timedelta = timedelta(minutes=5)
    """Somebody said done, and the camera still sees it so."""
    hold: timedelta = timedelta(minutes=30)
    """Somebody claimed it and said nothing since."""
    no_stock: timedelta = timedelta(hours=8)
    """There was nothing in the back: it is asked again after so long."""
    trouble_dwell: timedelta = timedelta(seconds=60)
    """A silent node, a covered camera, something misplaced: for so long before it is work."""


TaskChange = Literal["task.opened", "task.verified", "task.reopened", "task.escalated", "task.cancelled"]


@dataclass(frozen=True, slots=True)
class Settled:
    """A task that changed by itself; its id is 0 when it is new."""

    task: Task
    change: TaskChange


def settle(tasks: list[Task], around: Surroundings, now: datetime, rules: TaskRules) -> list[Settled]:
    """What the present state of the shop makes of the tasks that live. Asked again, it answers nothing new."""
    changed = []
    for task in tasks:
        after = _settled(task, around, now, rules)
        if after is not None:
            changed.append(after)
    known = {task.key for task in tasks if not around.is_replanned(task)}
    for key, found in around.conditions.items():
        is_early = found.must_dwell and now - found.since < rules.trouble_dwell
        if key in known or is_early or found.is_blind:
            continue
        new = Task(
            0, found.kind, "", found.bay, found.slot, found.gtin, "open", now, key=key, detail=found.detail,
            quantity=found.quantity,
        )  # fmt: skip
        changed.append(Settled(new, "task.opened"))
    return changed


def _settled(task: Task, around: Surroundings, now: datetime, rules: TaskRules) -> Settled | None:
    if task.is_over:
        return None
    if around.is_replanned(task):
        after = replace(task, state="cancelled", claimed_by=None, ended_at=now, reason="planogram_changed")
        return Settled(after, "task.cancelled")
    if task.kind in {"help", "anomaly"}:
        lasts = CALL_LASTS if task.kind == "help" else ANOMALY_LASTS
        if task.state == "open" and now - task.created_at >= lasts:
            return Settled(replace(task, state="cancelled", ended_at=now), "task.cancelled")
        return _escalated(task, now, rules)
    found = around.conditions.get(task.key)
    if found is None:
        if around.is_unseen(task):
            return None
        return Settled(replace(task, state="verified", claimed_by=None, ended_at=now), "task.verified")
    if found.is_blind:
        return None
    if task.state == "done" and task.done_at is not None and now - task.done_at >= rules.verify:
        return _reopened(task, "still_seen", now)
    if task.state == "failed" and task.done_at is not None and now - task.done_at >= rules.no_stock:
        return _reopened(task, "try_again", now)
    if task.state == "claimed" and task.claimed_at is not None and now - task.claimed_at >= rules.hold:
        return _reopened(task, "left", now)
    return _escalated(task, now, rules)


def _reopened(task: Task, reason: str, now: datetime) -> Settled:
    after = replace(task, state="open", claimed_by=None, done_at=None, reason=reason, snoozed_until=now)
    return Settled(after, "task.reopened")


def _escalated(task: Task, now: datetime, rules: TaskRules) -> Settled | None:
    if task.state != "open" or not task.is_waiting(now) or task.escalated_at is not None:
        return None
    # A shopper does not wait as long as a shelf does.
    patience = rules.escalate if task.kind != "help" else min(rules.escalate, timedelta(minutes=3))
    if now - task.waits_since() < patience:
        return None
    return Settled(replace(task, escalated_at=now), "task.escalated")

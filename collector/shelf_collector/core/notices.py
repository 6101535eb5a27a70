"""Which tasks people are told of when they do not look at the list, when, and how many at once. Time is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, tzinfo

from shelf_collector.core.demand import Loss
from shelf_collector.core.tasks import Task

MOST_REMINDERS = 3
_MOST_WAITING = 500
_TELLING = {"task.opened", "task.reopened", "task.escalated", "task.heard"}
"""Changes that people are told of; any other means that somebody sees to it, or that it is over or quiet."""


@dataclass(frozen=True, slots=True)
class NoticeRules:
    """Attributes:
    group: what comes within this time goes out as one message.
    cooldown: of one thing nobody is told again for so long, unless it waits too long by then.
    repeat: what waits too long is told again after this, three times at most, until somebody claims it.
    quiet: from when until when nothing is sent, in the time of ``zone``; what still lives then is told afterwards.
    """

    group: timedelta = timedelta(seconds=10)
    cooldown: timedelta = timedelta(minutes=10)
    repeat: timedelta = timedelta(minutes=30)
    quiet: tuple[time, time] | None = None
    zone: tzinfo | None = None

    def is_quiet(self, now: datetime) -> bool:
        if self.quiet is None:
            return False
        begin, end = self.quiet
        here = now.astimezone(self.zone).time().replace(tzinfo=None)
        return begin <= here < end if begin <= end else here >= begin or here < end


@dataclass(frozen=True, slots=True)
class Told:
    """One task of a notice; ``is_late``: nobody claimed it for too long."""

    task: Task
    worth: Loss | None
    is_late: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """What goes out at once: the late ones first, then in the order in which they came."""

    told: tuple[Told, ...]
    at: datetime

    @property
    def is_urgent(self) -> bool:
        return any(one.is_late or one.task.kind == "help" for one in self.told)

    def late_only(self) -> Notice:
        """For those who only want to hear what waits too long."""
        return Notice(tuple(one for one in self.told if one.is_late), self.at)


@dataclass(slots=True)
class _Late:
    task: Task
    worth: Loss | None
    told_at: datetime
    reminders: int = 0


@dataclass
class NoticePlan:
    """Hears of tasks, says what is due. One thread at a time."""

    rules: NoticeRules
    _waiting: dict[int, tuple[Told, datetime]] = field(default_factory=dict)
    _told_at: dict[str, datetime] = field(default_factory=dict)
    _late: dict[int, _Late] = field(default_factory=dict)

    def hear(self, task: Task, change: str, worth: Loss | None, now: datetime) -> None:
        """A task changed. Claiming it, here or anywhere, is the acknowledgement."""
        if change not in _TELLING or task.state != "open":
            self._waiting.pop(task.id, None)
            self._late.pop(task.id, None)
            return
        is_late = task.escalated_at is not None
        told_at = self._told_at.get(_about(task))
        if not is_late and told_at is not None and timedelta() <= now - told_at < self.rules.cooldown:
            return
        if len(self._waiting) < _MOST_WAITING:
            since = self._waiting[task.id][1] if task.id in self._waiting else now
            self._waiting[task.id] = (Told(task, worth, is_late), since)

    def due(self, now: datetime) -> Notice | None:
        """What is to be sent now; asked again it is not said again."""
        if self.rules.is_quiet(now):
            return None
        for number, late in self._late.items():
            if number not in self._waiting and now - late.told_at >= self.rules.repeat:
                self._waiting[number] = (Told(late.task, late.worth, True), now - self.rules.group)
        if not self._waiting or now - min(since for _, since in self._waiting.values()) < self.rules.group:
            return None
        told = sorted((one for one, _ in self._waiting.values()), key=lambda one: (not one.is_late, one.task.id))
        self._waiting.clear()
        self._told_at = {key: at for key, at in self._told_at.items() if timedelta() <= now - at < self.rules.cooldown}
        for one in told:
            self._told_at[_about(one.task)] = now
            if one.is_late:
                self._remind(one, now)
        return Notice(tuple(told), now)

    def _remind(self, told: Told, now: datetime) -> None:
        held = self._late.get(told.task.id)
        reminders = held.reminders + 1 if held else 0
        if reminders >= MOST_REMINDERS:
            self._late.pop(told.task.id, None)
        else:
            self._late[told.task.id] = _Late(told.task, told.worth, now, reminders)


def _about(task: Task) -> str:
    return task.key or f"help/{task.display}"


@dataclass(frozen=True, slots=True)
class Line:
    """A task in words: what, where, and what it costs."""

    what: str
    where: str
    loss: str = ""

    def __str__(self) -> str:
        return " · ".join(part for part in (self.what, self.where, self.loss) if part)


_MOST_LINES = 12


def compose(lines: Sequence[Line], one: str, many: str, more: str) -> tuple[str, str]:
    """Title and text of a message.

    >>> compose([Line("Out: Rice", "a01 1/2")], "1 task", "{n} tasks", "and {n} more")
    ('Out: Rice', 'a01 1/2')
    """
    if len(lines) == 1:
        return lines[0].what, " · ".join(part for part in (lines[0].where, lines[0].loss) if part)
    shown = [str(line) for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        shown.append(more.replace("{n}", str(len(lines) - _MOST_LINES)))
    return (many.replace("{n}", str(len(lines))) if lines else one), "\n".join(shown)

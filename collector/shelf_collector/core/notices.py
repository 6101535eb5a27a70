"""Which tasks people are told of when they do not look at the list, when, and how many at once. Time is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Mark:
    """What is remembered of one task, so that a restart neither forgets nor repeats a notice.

    Attributes:
        about: what it is about; of one thing nobody is told again within the cooldown, whatever the task's number.
        waiting_since: since when it waits to be told; None: it does not.
        is_late: it waited too long, and people were told so or are to be.
        told_at: when it was handed to the channels last.
        late_at: when people were last told that it is late, while they are to be reminded; ``reminders``: how often.
        is_acknowledged: somebody sees to it; ``is_over``: nothing more becomes of the task.
    """

    task: int
    about: str
    waiting_since: datetime | None = None
    is_late: bool = False
    told_at: datetime | None = None
    late_at: datetime | None = None
    reminders: int = 0
    is_acknowledged: bool = False
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class MarkChanges:
    """Marks that are new or other than when they were stored, and the tasks whose marks are not needed any more."""

    changed: tuple[Mark, ...]
    gone: tuple[int, ...]


class NoticePlan:
    """Hears of tasks, says what is due. One thread at a time."""

    def __init__(self, rules: NoticeRules) -> None:
        self.rules = rules
        self._marks: dict[int, Mark] = {}
        self._tasks: dict[int, tuple[Task, Loss | None]] = {}
        """Those that live and nobody has acknowledged."""
        self._unstored: set[int] = set()

    def recall(self, marks: Sequence[Mark], living: Sequence[tuple[Task, Loss | None]], now: datetime) -> None:
        """Go on after a restart: what was heard in the last moment before it, and not yet remembered, is heard now."""
        self._marks = {mark.task: mark for mark in marks}
        tasks = {task.id: (task, worth) for task, worth in living}
        for mark in marks:
            if mark.task not in tasks or tasks[mark.task][0].state != "open":
                self._put(_acknowledged(mark, is_over=mark.task not in tasks))
        for number, (task, worth) in tasks.items():
            known = self._marks.get(number)
            if known is not None and not known.is_acknowledged:
                self._tasks[number] = task, worth
            is_news = known is None or (task.escalated_at is not None and not known.is_late)
            if is_news and task.is_waiting(now) and (known is None or not known.is_acknowledged):
                self.hear(task, "task.opened", worth, now)

    def hear(self, task: Task, change: str, worth: Loss | None, now: datetime) -> None:
        """A task changed. Claiming it, here or anywhere, is the acknowledgement."""
        mark = self._marks.get(task.id, Mark(task.id, _about(task)))
        if change == "task.quiet":  # nobody sees to it; its camera is down, and it is told again when that is back
            self._put(replace(mark, waiting_since=None, late_at=None, reminders=0))
            return
        if change not in _TELLING or task.state != "open":
            self._tasks.pop(task.id, None)
            self._put(_acknowledged(mark, task.is_over))
            self._forget_old(now)
            return
        mark = replace(mark, is_late=task.escalated_at is not None, is_acknowledged=False, is_over=False)
        self._tasks[task.id] = task, worth
        told_at = self._told_at(mark.about)
        is_cooling = told_at is not None and timedelta() <= now - told_at < self.rules.cooldown
        is_full = sum(one.waiting_since is not None for one in self._marks.values()) >= _MOST_WAITING
        if (mark.is_late or not is_cooling) and not is_full and mark.waiting_since is None:
            mark = replace(mark, waiting_since=now)
        self._put(mark)

    def due(self, now: datetime) -> Notice | None:
        """What is to be sent now; asked again it is not said again."""
        if self.rules.is_quiet(now):
            return None
        for mark in list(self._marks.values()):
            is_silent = mark.waiting_since is None and mark.late_at is not None
            if is_silent and mark.late_at is not None and now - mark.late_at >= self.rules.repeat:
                self._put(replace(mark, waiting_since=now - self.rules.group))
        waiting = [mark for mark in self._marks.values() if mark.waiting_since and mark.task in self._tasks]
        if not waiting or now - min(mark.waiting_since or now for mark in waiting) < self.rules.group:
            return None
        waiting.sort(key=lambda mark: (not mark.is_late, mark.task))
        told = tuple(Told(*self._tasks[mark.task], mark.is_late) for mark in waiting)
        for mark in waiting:
            self._put(_reminded(replace(mark, waiting_since=None, told_at=now), now))
        self._forget_old(now)
        return Notice(told, now)

    def is_of_use(self, tasks: Sequence[int]) -> bool:
        """Whether a notice of these tasks still has to be sent: nobody has acknowledged all of them."""
        return any((mark := self._marks.get(task)) is not None and not mark.is_acknowledged for task in tasks)

    def changes(self) -> MarkChanges:
        """What is to be stored."""
        changed = tuple(self._marks[task] for task in sorted(self._unstored) if task in self._marks)
        return MarkChanges(changed, tuple(sorted(self._unstored - self._marks.keys())))

    def stored(self, changes: MarkChanges) -> None:
        """It was."""
        self._unstored -= {mark.task for mark in changes.changed if self._marks.get(mark.task) == mark}
        self._unstored -= {task for task in changes.gone if task not in self._marks}

    def _put(self, mark: Mark) -> None:
        if self._marks.get(mark.task) != mark:
            self._marks[mark.task] = mark
            self._unstored.add(mark.task)

    def _told_at(self, about: str) -> datetime | None:
        return max(
            (mark.told_at for mark in self._marks.values() if mark.about == about and mark.told_at), default=None
        )

    def _forget_old(self, now: datetime) -> None:
        """Marks of what is over, when not even the cooldown needs them."""
        for mark in list(self._marks.values()):
            is_cooling = mark.told_at is not None and timedelta() <= now - mark.told_at < self.rules.cooldown
            if mark.is_over and not is_cooling:
                del self._marks[mark.task]
                self._unstored.add(mark.task)


def _acknowledged(mark: Mark, is_over: bool) -> Mark:
    return replace(mark, waiting_since=None, late_at=None, reminders=0, is_acknowledged=True, is_over=is_over)


def _reminded(mark: Mark, now: datetime) -> Mark:
    """After it was told: what is late is told again, a few times."""
    if not mark.is_late:
        return mark
    reminders = mark.reminders + 1 if mark.late_at is not None else 0
    return replace(mark, late_at=None if reminders >= MOST_REMINDERS else now, reminders=reminders)


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

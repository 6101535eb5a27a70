"""Work for people: what there is to do, who has it, what became of it. The first kind: a shopper's call for help."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

TaskKind = Literal["help"]
TaskState = Literal["open", "claimed", "done"]


class TaskRefused(Exception):
    """A step that the task's state does not allow; ``reason`` is a key of the pages' words."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


CALL_LASTS = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work.

    Attributes:
        display: where somebody asked for help; ``slot`` and ``gtin`` what they had in hand, when that is known.
        claimed_by: the name of whoever has it, forgotten when it is done; no shopper is ever named.
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

    def is_waiting(self, now: datetime) -> bool:
        """Whether somebody still waits for it: nobody stands at a shelf for half an hour."""
        return self.state == "claimed" or (self.state == "open" and now - self.created_at < CALL_LASTS)


def claim(task: Task, who: str, now: datetime) -> Task:
    """Take it. Claiming what is one's own already changes nothing. Raises: TaskRefused when somebody else has it."""
    if task.state == "done":
        raise TaskRefused("task_is_done")
    if task.state == "claimed":
        if task.claimed_by != who:
            raise TaskRefused("task_is_taken")
        return task
    return replace(task, state="claimed", claimed_by=who, claimed_at=now)


def finish(task: Task, who: str, now: datetime) -> Task:
    """It is done; finishing twice changes nothing. Raises: TaskRefused when somebody else has it."""
    if task.state == "done":
        return task
    if task.claimed_by not in {None, who}:
        raise TaskRefused("task_is_taken")
    return replace(task, state="done", claimed_by=None, claimed_at=task.claimed_at or now, done_at=now)

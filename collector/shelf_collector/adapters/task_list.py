"""Tasks in the collector's database, each step with its row in the logbook."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shelf_collector.adapters import tables
from shelf_collector.adapters.accounts import Accounts
from shelf_collector.core.logbook import Action, Deed
from shelf_collector.core.tasks import SEEN_BY_CAMERA, Settled, Task, TaskRefused
from shelf_contracts.messages import iso_time

_MOST_SHOWN = 500
_STEPS_KEPT = timedelta(days=7)
_TASKS_KEPT = timedelta(days=90)


class TaskList:
    """Any thread may call. A step reads and writes under the database's write lock: of two who claim, one gets it."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def unfinished(self) -> list[Task]:
        """Those of which something may become yet, oldest first."""
        with self._accounts.read() as connection:
            return _living(connection)

    def ended_since(self, since: datetime) -> list[int]:
        """Ids of tasks that ended after a moment."""
        table = tables.tasks
        with self._accounts.read() as connection:
            found = connection.execute(sa.select(table.c.id).where(table.c.ended_at >= iso_time(since))).scalars()
            return list(found)

    def call(self, task: Task, origin: str) -> Task:
        """A call for help; while the display has one that waits, it is that one. ``task.id`` does not matter."""
        table, now = tables.tasks, task.created_at
        waiting = next((one for one in self.unfinished() if one.display == task.display and one.is_waiting(now)), None)
        if waiting is not None:
            return waiting
        deed = Deed("task.opened", "nobody", origin, f"display:{task.display}", {"kind": task.kind, "bay": task.bay})
        with self._accounts.transaction(deed, now) as connection:
            # Nobody waits any more for what was asked before.
            old = (table.c.display == task.display, table.c.state == "open")
            ended = {"state": "cancelled", "ended_at": iso_time(now)}
            connection.execute(sa.update(table).where(*old).values(ended))
            return _insert(connection, task)

    def happened(self, task: Task) -> Task | None:
        """A task of something that happened, unless one of its key lives. Returns it when it is new."""
        deed = Deed("task.opened", subject=f"task:{task.key}", detail={"kind": task.kind, "bay": task.bay})
        with self._accounts.change() as change:
            if any(one.key == task.key for one in _living(change.connection)):
                return None
            change.note(deed, task.created_at)
            return _insert(change.connection, task)

    def step(
        self, task: int, action: Action, who: str, origin: str, now: datetime, take: Callable[[Task], Task],
        key: str = "",
    ) -> Task:  # fmt: skip
        """Change one task.

        Args:
            key: what the sender calls this step. The same key again changes nothing and gets the first answer, so that
                what was sent twice (a double click, a dead spot) happens once.
        Raises: TaskRefused, also when there is no such task.
        """
        table, steps = tables.tasks, tables.task_steps
        refused = TaskRefused("")
        with self._accounts.change() as change:
            connection = change.connection
            known = connection.execute(sa.select(steps).where(steps.c.key == key)).one_or_none() if key else None
            if known is not None:
                if known.who != who or known.task != task:
                    raise TaskRefused("task_step_wrong")
                if known.refused:
                    raise TaskRefused(known.refused, known.holder)
                return _read(connection, task)
            before = after = _read(connection, task)
            try:
                after = take(before)
            except TaskRefused as problem:
                refused = problem
            if after != before:
                connection.execute(sa.update(table).where(table.c.id == task).values(_row(after)))
                change.note(Deed(action, who, origin, f"task:{task}", _detail(after)), now)
            if key:
                row = {
                    "key": key, "task": task, "at": iso_time(now), "who": who, "refused": refused.reason,
                    "holder": refused.who,
                }  # fmt: skip
                connection.execute(sa.insert(steps), row)
        if refused.reason:
            raise refused
        return after

    def settle(self, decide: Callable[[list[Task]], list[Settled]], now: datetime) -> list[Settled]:
        """Change what changes by itself. Nothing is locked while nothing changes."""
        if not decide(self.unfinished()):
            return []
        table, settled = tables.tasks, []
        with self._accounts.change() as change:
            for one in decide(_living(change.connection)):
                task = one.task
                if task.id:
                    change.connection.execute(sa.update(table).where(table.c.id == task.id).values(_row(task)))
                else:
                    task = _insert(change.connection, task)
                settled.append(Settled(task, one.change))
                change.note(Deed(one.change, subject=f"task:{task.id}", detail=_detail(task)), now)
        return settled

    def prune(self, now: datetime) -> None:
        """Forget steps of last week, and tasks that ended three months ago."""
        steps, table = tables.task_steps, tables.tasks
        with self._accounts.change() as change:
            change.connection.execute(sa.delete(steps).where(steps.c.at < iso_time(now - _STEPS_KEPT)))
            change.connection.execute(sa.delete(table).where(table.c.ended_at < iso_time(now - _TASKS_KEPT)))


def _living(connection: Connection) -> list[Task]:
    table = tables.tasks
    ends = sa.or_(
        table.c.state.in_(("verified", "cancelled")),
        sa.and_(table.c.state == "done", table.c.kind.not_in(tuple(SEEN_BY_CAMERA))),
    )
    query = sa.select(table).where(sa.not_(ends)).order_by(table.c.id).limit(_MOST_SHOWN)
    return [_task(row) for row in connection.execute(query)]


def _insert(connection: Connection, task: Task) -> Task:
    values = {name: value for name, value in _row(task).items() if name != "id"}
    result = connection.execute(sa.insert(tables.tasks).values(values))
    assert result.inserted_primary_key is not None
    return _read(connection, int(result.inserted_primary_key[0]))


def _read(connection: Connection, task: int) -> Task:
    row = connection.execute(sa.select(tables.tasks).where(tables.tasks.c.id == task)).one_or_none()
    if row is None:
        raise TaskRefused("task_is_done")
    return _task(row)


def _detail(task: Task) -> dict[str, str | int | float | bool | None]:
    return {"kind": task.kind, "about": task.key or f"display/{task.display}", "reason": task.reason}


_TIMES = ("created_at", "claimed_at", "done_at", "snoozed_until", "escalated_at", "ended_at")
_PLAIN = ("id", "kind", "display", "bay", "slot", "gtin", "state", "claimed_by", "key", "detail", "quantity", "reason")


def _task(row: Any) -> Task:
    plain: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN}
    times: dict[str, Any] = {name: _moment(text) if (text := getattr(row, name)) else None for name in _TIMES}
    return Task(**plain, **times)


def _row(task: Task) -> dict[str, Any]:
    times = {name: iso_time(moment) if (moment := getattr(task, name)) else None for name in _TIMES}
    return {**{name: getattr(task, name) for name in _PLAIN}, **times}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

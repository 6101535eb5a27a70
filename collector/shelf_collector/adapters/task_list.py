"""Tasks in the collector's database, each step with its row in the logbook."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shelf_collector.adapters import tables
from shelf_collector.adapters.accounts import Accounts
from shelf_collector.core.logbook import Action, Deed
from shelf_collector.core.tasks import Task, TaskRefused
from shelf_contracts.messages import iso_time

_MOST_SHOWN = 200


class TaskList:
    """Any thread may call. A step reads and writes under the database's write lock: of two who claim, one gets it."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def unfinished(self) -> list[Task]:
        """Open and claimed ones, oldest first."""
        table = tables.tasks
        query = sa.select(table).where(table.c.state != "done").order_by(table.c.id).limit(_MOST_SHOWN)
        with self._accounts.read() as connection:
            return [_task(row) for row in connection.execute(query)]

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
            connection.execute(sa.update(table).where(*old).values(state="done", done_at=iso_time(now)))
            values = {name: value for name, value in _row(task).items() if name != "id"}
            result = connection.execute(sa.insert(table).values(values))
            assert result.inserted_primary_key is not None
            return _read(connection, int(result.inserted_primary_key[0]))

    def step(
        self, task: int, action: Action, who: str, origin: str, now: datetime, take: Callable[[Task], Task]
    ) -> Task:
        """Change one task. Raises: TaskRefused, also when there is no such task."""
        deed = Deed(action, who, origin, f"task:{task}")
        with self._accounts.transaction(deed, now) as connection:
            after = take(_read(connection, task))
            table = tables.tasks
            connection.execute(sa.update(table).where(table.c.id == task).values(_row(after)))
            return after


def _read(connection: Connection, task: int) -> Task:
    row = connection.execute(sa.select(tables.tasks).where(tables.tasks.c.id == task)).one_or_none()
    if row is None:
        raise TaskRefused("task_is_done")
    return _task(row)


def _task(row: Any) -> Task:
    return Task(
        id=row.id, kind=row.kind, display=row.display, bay=row.bay, slot=row.slot, gtin=row.gtin, state=row.state,
        created_at=_moment(row.created_at), claimed_by=row.claimed_by,
        claimed_at=_moment(row.claimed_at) if row.claimed_at else None,
        done_at=_moment(row.done_at) if row.done_at else None,
    )  # fmt: skip


def _row(task: Task) -> dict[str, Any]:
    return {
        "id": task.id, "kind": task.kind, "display": task.display, "bay": task.bay, "slot": task.slot,
        "gtin": task.gtin, "state": task.state, "created_at": iso_time(task.created_at), "claimed_by": task.claimed_by,
        "claimed_at": iso_time(task.claimed_at) if task.claimed_at else None,
        "done_at": iso_time(task.done_at) if task.done_at else None,
    }  # fmt: skip


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

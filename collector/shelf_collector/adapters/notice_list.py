"""What people were told and what waits to be sent, in the collector's database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from shelf_collector.adapters import tables
from shelf_collector.adapters.accounts import Accounts
from shelf_collector.core.notices import Mark, MarkChanges
from shelf_collector.ports import NoticeMessage, QueuedNotice
from shelf_contracts.messages import iso_time

_TIMES = ("waiting_since", "told_at", "late_at")
_PLAIN = ("task", "about", "is_late", "reminders", "is_acknowledged", "is_over")


class NoticeList:
    """Any thread may call. Raises: StorageProblem, from everything."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def marks(self) -> list[Mark]:
        with self._accounts.read() as connection:
            return [_mark(row) for row in connection.execute(sa.select(tables.notice_marks))]

    def queued(self) -> list[QueuedNotice]:
        table = tables.notice_queue
        with self._accounts.read() as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.row)).all()
        return [
            QueuedNotice(row.channel, _message(row.content), row.tries, _moment(row.next_at) if row.next_at else None)
            for row in rows
        ]

    def keep(self, changes: MarkChanges, queued: Sequence[QueuedNotice]) -> None:
        """Marks and messages in one transaction: what counts as told is queued, or neither."""
        marks, waiting = tables.notice_marks, tables.notice_queue
        tasks = [*(mark.task for mark in changes.changed), *changes.gone]
        with self._accounts.change() as change:
            if tasks:
                change.connection.execute(sa.delete(marks).where(marks.c.task.in_(tasks)))
            if changes.changed:
                change.connection.execute(sa.insert(marks), [_mark_row(mark) for mark in changes.changed])
            if queued:
                change.connection.execute(sa.insert(waiting), [_queue_row(notice) for notice in queued])

    def tried(self, notice: QueuedNotice) -> None:
        table = tables.notice_queue
        row = _queue_row(notice)
        where = (table.c.channel == notice.channel, table.c.message == notice.message.id)
        with self._accounts.change() as change:
            change.connection.execute(
                sa.update(table).where(*where).values(tries=row["tries"], next_at=row["next_at"])
            )  # fmt: skip

    def forget(self, channel: str, message: str) -> None:
        table = tables.notice_queue
        with self._accounts.change() as change:
            change.connection.execute(sa.delete(table).where(table.c.channel == channel, table.c.message == message))


def _mark(row: Any) -> Mark:
    plain: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN}
    times: dict[str, Any] = {name: _moment(text) if (text := getattr(row, name)) else None for name in _TIMES}
    return Mark(**plain, **times)


def _mark_row(mark: Mark) -> dict[str, Any]:
    times = {name: iso_time(moment) if (moment := getattr(mark, name)) else None for name in _TIMES}
    return {**{name: getattr(mark, name) for name in _PLAIN}, **times}


def _queue_row(notice: QueuedNotice) -> dict[str, Any]:
    message = notice.message
    return {
        "channel": notice.channel,
        "message": message.id,
        "tries": notice.tries,
        "next_at": iso_time(notice.next_at) if notice.next_at else None,
        "content": {
            "at": iso_time(message.at), "store": message.store, "title": message.title, "text": message.text,
            "link": message.link, "is_urgent": message.is_urgent, "tasks": list(message.tasks),
            "is_test": message.is_test, "about": list(message.about), "id": message.id,
        },
    }  # fmt: skip


def _message(content: Mapping[str, Any]) -> NoticeMessage:
    return NoticeMessage(
        id=content["id"], at=_moment(content["at"]), store=content["store"], title=content["title"],
        text=content["text"], link=content["link"], is_urgent=content["is_urgent"], tasks=tuple(content["tasks"]),
        is_test=content["is_test"], about=tuple(content["about"]),
    )  # fmt: skip


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

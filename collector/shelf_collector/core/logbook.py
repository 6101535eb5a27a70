"""The logbook: who did what, when and from where. Each row holds the hash of the one before, so that none can change.

(Whether messages were lost is another question: ``core.audit``.)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from shelf_contracts.messages import iso_time

Action = Literal[
    "login", "login.failed", "logout", "password.changed", "link.made", "link.used", "person.added", "person.role",
    "person.removed", "token.made", "token.revoked", "product.added", "product.changed", "product.removed",
    "planogram.changed", "model.changed", "task.opened", "task.claimed", "task.done", "task.released",
    "task.snoozed", "task.no_stock", "task.verified", "task.reopened", "task.escalated", "task.cancelled",
    "notice.tested",
    "gallery.enrolled", "gallery.undone", "gallery.removed", "gallery.kind",
    "label.shown", "database.restored",
]  # fmt: skip

FIRST_HASH = "0" * 64
"""What the first row holds in place of the hash of the one before."""

_LONGEST_DETAIL = 4000


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that must be remembered.

    Attributes:
        actor: ``person:Anna``, ``token:till``, ``system``, ``nobody``; a name somebody typed is never in it unless it
            is a known one (people type passwords into the wrong field).
        origin: the address it came from; empty for the system itself.
        subject: what it was done to: ``person:Ben``, ``product:09521000137004``, ``bay:a01``, ``node:n01``.
        detail: a few plain values.
    """

    action: Action
    actor: str = "system"
    origin: str = ""
    subject: str = ""
    detail: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogRow:
    """A row as it is stored; all texts, so that what is hashed is what is read."""

    row: int
    at: str
    actor: str
    origin: str
    action: str
    subject: str
    detail: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row's number and hash: noted down elsewhere, it tells later that all up to it still stands."""

    row: int
    hash: str

    def __str__(self) -> str:
        return f"{self.row}:{self.hash}"


def head_of(text: str) -> Head:
    """A head as it was printed. Raises: ValueError."""
    row, _, hashed = text.strip().partition(":")
    if not (row.isascii() and row.isdecimal() and len(row) < 16 and len(hashed) == 64 and hashed.isalnum()):
        raise ValueError(f"--head = {text[:90]!r}: must be ROW:HASH, as verify prints it")
    return Head(int(row), hashed)


@dataclass(frozen=True, slots=True)
class Break:
    """Where the chain does not hold, and how."""

    row: int
    problem: str


def row_hash(row: int, at: str, actor: str, origin: str, action: str, subject: str, detail: str, previous: str) -> str:
    """SHA-256 over the row's content and the hash before it; JSON keeps fields from running into one another."""
    content = json.dumps([row, at, actor, origin, action, subject, detail, previous], ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()


def next_row(deed: Deed, at: datetime, last: Head | None) -> LogRow:
    """The row that follows ``last`` (None: the first)."""
    row = last.row + 1 if last else 1
    previous = last.hash if last else FIRST_HASH
    detail = json.dumps(dict(deed.detail), sort_keys=True, ensure_ascii=False)
    if len(detail) > _LONGEST_DETAIL:
        detail = json.dumps({"shortened": detail[: _LONGEST_DETAIL // 2]}, ensure_ascii=False)
    texts = (iso_time(at), deed.actor, deed.origin, deed.action, deed.subject, detail, previous)
    return LogRow(row, *texts, hash=row_hash(row, *texts))


def breaks(rows: Iterable[LogRow], head: Head | None, noted: Iterable[Head] = ()) -> list[Break]:
    """Every place at which the chain does not hold; empty when nothing was changed, removed or put elsewhere.

    Args:
        rows: all, in the order of their numbers.
        head: the newest row as it was kept apart; None when there never was one.
        noted: heads somebody noted down earlier.
    """
    found: list[Break] = []
    wanted = {one.row: one.hash for one in noted}
    number, previous = 0, FIRST_HASH
    for row in rows:
        number += 1
        if row.row != number:
            gap = f"rows {number} to {row.row - 1}" if row.row - number > 1 else f"row {number}"
            found.append(Break(number, f"{gap} removed" if row.row > number else f"row {row.row} stands twice"))
            number = row.row
        elif row.previous != previous:
            found.append(Break(row.row, "does not follow from the row before: that one was changed or exchanged"))
        expected = row_hash(
            row.row, row.at, row.actor, row.origin, row.action, row.subject, row.detail, row.previous
        )  # fmt: skip
        if row.hash != expected:
            found.append(Break(row.row, "its content was changed"))
        previous = row.hash
        if wanted.pop(row.row, row.hash) != row.hash:
            found.append(Break(row.row, "is not the row whose hash was noted: the log was written anew"))
    if head is not None and head.row > number:
        found.append(Break(head.row, f"removed at the end: the log ends with row {number}, but row {head.row} existed"))
    elif head is not None and (head.row != number or head.hash != previous):
        found.append(Break(number, "is not the row that was written last"))
    elif head is None and number:
        found.append(Break(number, "the mark of the newest row was removed"))
    found += [Break(row, "was noted and is missing") for row in sorted(wanted) if row > number]
    return found

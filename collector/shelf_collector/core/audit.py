"""Proof that nothing was lost: which sequence numbers of a source were seen, which are missing, which are gone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from shelf_contracts.messages import LARGEST_SEQUENCE

FARTHEST_JUMP = 1_000_000
"""Without a numbering's name: a step wider than this is a node that lost its counter, not a million lost messages."""

_REORDER_WINDOW = 64
_MOST_GAPS = 1000
_MOST_LOST_RANGES = 200

NumberRange = tuple[int, int]
"""First and last number, both included."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers from ``first`` to ``last`` that never came, and since when that is known."""

    first: int
    last: int
    since: datetime

    @property
    def width(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class SourceAudit:
    """One numbering of one source as it was seen.

    Attributes:
        numbering: the outbox's name for it; empty for nodes that give none.
        first, last: lowest and highest sequence number; None before the first message.
        gaps: the numbers in between that have not come yet, in rising order.
        applied: messages that were new. duplicates: messages that had been seen before.
        expired: new, but past their expiry when they came. set_aside: not readable.
        healed: numbers that were missing for a while. superseded: stock levels replaced in the node's outbox.
        given_up: events the node could not keep, or that were missing for too long. refused: events that never got a
            number. lost_ranges: the newest of the given up, should they come after all.
        lost_earlier: what was missing in numberings without a name that ended. numberings: how many there were.
    """

    source: str
    numbering: str = ""
    first: int | None = None
    last: int | None = None
    gaps: tuple[Gap, ...] = ()
    applied: int = 0
    duplicates: int = 0
    expired: int = 0
    set_aside: int = 0
    healed: int = 0
    superseded: int = 0
    given_up: int = 0
    refused: int = 0
    lost_ranges: tuple[NumberRange, ...] = ()
    lost_earlier: int = 0
    numberings: int = 0

    @property
    def lost(self) -> int:
        """Events that will not come any more."""
        return self.lost_earlier + self.given_up + self.refused

    @property
    def missing(self) -> int:
        """Numbers that have not come yet and may."""
        return sum(gap.width for gap in self.gaps)

    @property
    def acknowledged(self) -> NumberRange | None:
        """All of these were stored or are known to be lost; None when not even the first was."""
        if self.first is None or self.last is None:
            return None
        through = self.gaps[0].first - 1 if self.gaps else self.last
        return (self.first, through) if through >= self.first else None


def seen(audit: SourceAudit, sequence: int, now: datetime, *, is_new: bool, retained: bool) -> SourceAudit:
    """The audit after one more message of its numbering.

    A copy the broker had retained says nothing about what was lost before it (older copies were overwritten, as they
    should be), so it may fill a gap but never opens one.
    """
    counted = replace(audit, applied=audit.applied + 1) if is_new else replace(audit, duplicates=audit.duplicates + 1)
    return _number(counted, sequence, now, is_new=is_new, retained=retained)


def unreadable(audit: SourceAudit, sequence: int, now: datetime) -> SourceAudit:
    """The audit after a message that was set aside: it came, sending it again is of no use."""
    counted = replace(audit, set_aside=audit.set_aside + 1)
    return _number(counted, sequence, now, is_new=False, retained=False)


def has_come(audit: SourceAudit, sequence: int) -> bool:
    """Whether this number was seen: within what was heard, not missing and not given up."""
    if audit.first is None or audit.last is None or not audit.first <= sequence <= audit.last:
        return False
    is_missing = any(gap.first <= sequence <= gap.last for gap in audit.gaps)
    return not is_missing and not any(first <= sequence <= last for first, last in audit.lost_ranges)


def give_up(audit: SourceAudit, lost: Iterable[NumberRange], superseded: Iterable[NumberRange]) -> SourceAudit:
    """The audit after the node has said what it no longer has. Numbers that came are not counted."""
    for first, last in superseded:
        audit, width = _without(audit, first, last)
        audit = replace(audit, superseded=audit.superseded + width)
    for first, last in lost:
        audit, width = _without(audit, first, last)
        if audit.first is not None and first < audit.first:  # from before we listened
            width += min(last, audit.first - 1) - first + 1
        if width:
            ranges = (*audit.lost_ranges, (first, last))[-_MOST_LOST_RANGES:]
            given_up = min(audit.given_up + width, LARGEST_SEQUENCE)
            audit = replace(audit, given_up=given_up, lost_ranges=ranges)
    return audit


def abandon(audit: SourceAudit, before: datetime) -> SourceAudit:
    """The audit once nobody waits any more for what has been missing since ``before``."""
    old = [(gap.first, gap.last) for gap in audit.gaps if gap.since < before]
    return give_up(audit, old, ()) if old else audit


def _number(audit: SourceAudit, sequence: int, now: datetime, *, is_new: bool, retained: bool) -> SourceAudit:
    filled, width = _without(audit, sequence, sequence)
    if width:
        return replace(filled, healed=filled.healed + 1)
    if is_new and any(first <= sequence <= last for first, last in audit.lost_ranges):
        left = tuple(part for one in audit.lost_ranges for part in _cut(one, sequence, sequence))
        return replace(audit, lost_ranges=left, given_up=max(0, audit.given_up - 1), healed=audit.healed + 1)
    if retained:
        return audit
    if audit.first is None or audit.last is None:
        return _new_numbering(audit, sequence)
    if sequence > audit.last:
        if not audit.numbering and sequence - audit.last > FARTHEST_JUMP:
            return _new_numbering(audit, sequence)
        gap = () if sequence == audit.last + 1 else (Gap(audit.last + 1, sequence - 1, now),)
        return _bounded(replace(audit, last=sequence, gaps=audit.gaps + gap))
    if sequence < audit.first and (audit.numbering or (is_new and sequence >= audit.first - _REORDER_WINDOW)):
        gap = () if sequence == audit.first - 1 else (Gap(sequence + 1, audit.first - 1, now),)
        return _bounded(replace(audit, first=sequence, gaps=gap + audit.gaps))
    if not is_new or audit.numbering:
        return audit
    # A new message under a number that was used before: the node's counter began again.
    return _new_numbering(audit, sequence)


def _new_numbering(audit: SourceAudit, sequence: int) -> SourceAudit:
    lost = audit.lost_earlier + audit.missing
    return replace(audit, first=sequence, last=sequence, gaps=(), lost_earlier=lost, numberings=audit.numberings + 1)


def _without(audit: SourceAudit, first: int, last: int) -> tuple[SourceAudit, int]:
    """The audit whose gaps do not hold these numbers, and how many of them they held."""
    if not any(gap.first <= last and first <= gap.last for gap in audit.gaps):
        return audit, 0
    left = tuple(Gap(*part, gap.since) for gap in audit.gaps for part in _cut((gap.first, gap.last), first, last))
    after = replace(audit, gaps=left)
    return after, audit.missing - after.missing


def _cut(whole: NumberRange, first: int, last: int) -> list[NumberRange]:
    if last < whole[0] or first > whole[1]:
        return [whole]
    return [part for part in ((whole[0], first - 1), (last + 1, whole[1])) if part[0] <= part[1]]


def _bounded(audit: SourceAudit) -> SourceAudit:
    """Too many gaps become fewer, wider ones: what came in between is asked for again, and is then a duplicate."""
    gaps = list(audit.gaps)
    while len(gaps) > _MOST_GAPS:
        index = min(range(len(gaps) - 1), key=lambda one: gaps[one + 1].first - gaps[one].last)
        gaps[index : index + 2] = [Gap(gaps[index].first, gaps[index + 1].last, gaps[index].since)]
    return audit if len(gaps) == len(audit.gaps) else replace(audit, gaps=tuple(gaps))

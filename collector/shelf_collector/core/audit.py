"""Proof that nothing was lost: which sequence numbers of a source were seen, which are missing."""

from __future__ import annotations

from dataclasses import dataclass, replace

FARTHEST_JUMP = 1_000_000
"""A step wider than this is a node that lost its counter and began a new numbering, not a million lost messages."""

_REORDER_WINDOW = 64
_MOST_GAPS = 1000

Gap = tuple[int, int]
"""First and last missing number, both included."""


@dataclass(frozen=True, slots=True)
class SourceAudit:
    """One source's numbering as it was seen.

    Attributes:
        first, last: lowest and highest sequence number of the present numbering; None before the first message.
        gaps: the numbers in between that never came, as ranges in rising order.
        applied: messages that were new. duplicates: messages that had been seen before.
        expired: new, but past their expiry when they came. set_aside: not readable.
        lost_earlier: what was missing in numberings that ended. numberings: how many there were.
    """

    source: str
    first: int | None = None
    last: int | None = None
    gaps: tuple[Gap, ...] = ()
    applied: int = 0
    duplicates: int = 0
    expired: int = 0
    set_aside: int = 0
    lost_earlier: int = 0
    numberings: int = 0

    @property
    def lost(self) -> int:
        return self.lost_earlier + sum(last - first + 1 for first, last in self.gaps)


def seen(audit: SourceAudit, sequence: int, *, is_new: bool, retained: bool) -> SourceAudit:
    """The audit after one more message of its source.

    A copy the broker had retained says nothing about what was lost before it (older copies were overwritten, as they
    should be), so it may fill a gap but never opens one.
    """
    counted = replace(audit, applied=audit.applied + 1) if is_new else replace(audit, duplicates=audit.duplicates + 1)
    filled = _without(counted.gaps, sequence)
    if filled is not None:
        return replace(counted, gaps=filled)
    if retained:
        return counted
    if counted.first is None or counted.last is None:
        return _new_numbering(counted, sequence)
    if sequence > counted.last:
        if sequence - counted.last > FARTHEST_JUMP:
            return _new_numbering(counted, sequence)
        gap = () if sequence == counted.last + 1 else ((counted.last + 1, sequence - 1),)
        return _bounded(replace(counted, last=sequence, gaps=counted.gaps + gap))
    if not is_new:
        return counted
    if counted.first - _REORDER_WINDOW <= sequence < counted.first:
        gap = () if sequence == counted.first - 1 else ((sequence + 1, counted.first - 1),)
        return _bounded(replace(counted, first=sequence, gaps=gap + counted.gaps))
    # A new message under a number that was used before: the node's counter began again.
    return _new_numbering(counted, sequence)


def _new_numbering(audit: SourceAudit, sequence: int) -> SourceAudit:
    return replace(
        audit, first=sequence, last=sequence, gaps=(), lost_earlier=audit.lost, numberings=audit.numberings + 1
    )


def _without(gaps: tuple[Gap, ...], sequence: int) -> tuple[Gap, ...] | None:
    for index, (first, last) in enumerate(gaps):
        if first <= sequence <= last:
            parts = tuple(part for part in ((first, sequence - 1), (sequence + 1, last)) if part[0] <= part[1])
            return gaps[:index] + parts + gaps[index + 1 :]
    return None


def _bounded(audit: SourceAudit) -> SourceAudit:
    if len(audit.gaps) <= _MOST_GAPS:
        return audit
    (first, last), rest = audit.gaps[0], audit.gaps[1:]
    return replace(audit, gaps=rest, lost_earlier=audit.lost_earlier + last - first + 1)

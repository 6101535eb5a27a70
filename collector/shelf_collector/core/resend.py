"""When to ask a node for what is missing, and for what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shelf_collector.core.audit import NumberRange, SourceAudit

GRACE_S = 1.0
"""A message may overtake another: only what is missing for longer is asked for."""

MISSING_FOR_GOOD_H = 24.0
"""What has been missing for so long is reported as lost, and no longer asked for."""

_FIRST_WAIT_S = 2.0
_LONGEST_WAIT_S = 60.0
_MOST_RANGES = 100


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the source for these numbers."""

    source: str
    numbering: str
    ranges: tuple[NumberRange, ...]


@dataclass(slots=True)
class _Wait:
    missing: int
    next_s: float
    wait_s: float = _FIRST_WAIT_S


class ResendPlan:
    """Asks for each source's gaps: after a second, then after 2, 4, ... 60 s; not while some of it is coming."""

    def __init__(self) -> None:
        self._waits: dict[tuple[str, str], _Wait] = {}

    def due(self, audits: Iterable[SourceAudit], now_s: float, is_present: Callable[[str], bool]) -> list[Ask]:
        """What to ask for now.

        Args:
            now_s: monotonic time.
            is_present: whether a source could hear us.
        """
        found = []
        for audit in audits:
            key = audit.source, audit.numbering
            if not audit.gaps:
                self._waits.pop(key, None)
                continue
            wait = self._waits.get(key)
            if wait is None:
                self._waits[key] = _Wait(audit.missing, now_s + GRACE_S)
                continue
            if audit.missing < wait.missing:  # it is coming: give it time
                wait.next_s = max(wait.next_s, now_s + wait.wait_s)
                wait.wait_s = max(_FIRST_WAIT_S, wait.wait_s / 2)
            wait.missing = audit.missing
            if now_s < wait.next_s or not is_present(audit.source):
                continue
            wait.next_s = now_s + wait.wait_s
            wait.wait_s = min(_LONGEST_WAIT_S, 2 * wait.wait_s)
            found.append(Ask(*key, tuple((gap.first, gap.last) for gap in audit.gaps[:_MOST_RANGES])))
        return found

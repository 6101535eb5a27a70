"""Low and out alerts: opened after a dwell, closed past a higher mark, silent about what is not known.

The rules read the count as a range. An alert needs the whole range at or below the mark; it is solved at once when the
whole range lies above it. A range that straddles the mark opens nothing, and so a count that swings around the mark
never makes an alert come and go. But where the rear is not seen the range may straddle for good, also when staff filled
the slot by twos, or while nobody saw it: an alert is solved too when the best count stayed above the mark for long.
Were the items only drawn to the front, the next hand shows it, and the alert comes again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from shelf_collector.core.state import SlotReading
from shelf_contracts.messages import Alert

Kind = Literal["stock_low", "stock_out"]

_LONGEST_ID = 32
SEVERITY: dict[Kind, Literal["warning", "critical"]] = {"stock_low": "warning", "stock_out": "critical"}


@dataclass(frozen=True, slots=True)
class AlertRules:
    """How long a condition must hold, in seconds, before it counts; ``likely_dwell_s``: enough by the best count."""

    low_dwell_s: float = 10.0
    out_dwell_s: float = 5.0
    clear_dwell_s: float = 3.0
    likely_dwell_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Gate:
    """One slot's alert: which is open, and since when each condition has held without a break.

    ``restocked`` is set when a restock was seen while open: then the best count, not the whole range, must pass.
    """

    open: Kind | None = None
    opened_at: datetime | None = None
    low_since: datetime | None = None
    out_since: datetime | None = None
    not_out_since: datetime | None = None
    clear_since: datetime | None = None
    likely_since: datetime | None = None
    restocked: bool = False

    @property
    def is_waiting(self) -> bool:
        """Whether the passing of time alone may change something."""
        return any((self.low_since, self.out_since, self.not_out_since, self.clear_since, self.likely_since))


def step(gate: Gate, reading: SlotReading, min_presentation: int, now: datetime, rules: AlertRules) -> Gate:
    """The gate after a look at the slot at ``now``; compare ``open`` before and after to see what changed.

    A reading of level ``unknown`` (a hand before the slot, a node away) leaves everything as it is.
    """
    if not reading.is_known or reading.count is None or reading.count_low is None or reading.count_high is None:
        return gate
    is_out = reading.count_high == 0
    is_low = reading.count_high <= min_presentation
    surely_enough = reading.count_low > min_presentation
    is_likely = reading.count > min_presentation and reading.reason != "stale"  # what is only remembered solves nothing
    enough = surely_enough or (gate.restocked and reading.count > min_presentation)
    gate = replace(
        gate,
        low_since=_since(gate.low_since, is_low, now),
        out_since=_since(gate.out_since, is_out, now),
        not_out_since=_since(gate.not_out_since, gate.open == "stock_out" and reading.count_low > 0, now),
        clear_since=_since(gate.clear_since, gate.open is not None and enough, now),
        likely_since=_since(gate.likely_since, gate.open is not None and is_likely, now),
    )
    if _held(gate.clear_since, rules.clear_dwell_s, now) or _held(gate.likely_since, rules.likely_dwell_s, now):
        return Gate()
    if gate.open != "stock_out" and _held(gate.out_since, rules.out_dwell_s, now):
        return replace(gate, open="stock_out", opened_at=gate.opened_at or now)
    if gate.open is None and _held(gate.low_since, rules.low_dwell_s, now):
        return replace(gate, open="stock_low", opened_at=now)
    if gate.open == "stock_out" and _held(gate.not_out_since, rules.clear_dwell_s, now):
        return replace(gate, open="stock_low", not_out_since=None)
    return gate


def saw_restock(gate: Gate) -> Gate:
    """The gate after a restock event at its slot."""
    return replace(gate, restocked=True) if gate.open else gate


def suggested_quantity(count: int | None, capacity: int, case_pack: int) -> int:
    """How many to bring: what fits, in whole case packs when at least one fits.

    >>> suggested_quantity(count=2, capacity=18, case_pack=6)
    12
    >>> suggested_quantity(count=2, capacity=6, case_pack=12)
    4
    """
    free = max(0, capacity - (count or 0))
    return free - free % case_pack if free >= case_pack else free


def alert_id(bay: str, slot: str) -> str:
    """The id of a slot's alert, one topic level: low and out share it, so that one replaces the other.

    >>> alert_id("a03", "s2-04")
    'a03-s2-04'
    """
    text = f"{bay}-{slot}"
    if len(text) <= _LONGEST_ID:
        return text
    mark = hashlib.sha256(f"{bay}/{slot}".encode()).hexdigest()[:8]
    return f"{text[: _LONGEST_ID - 9].rstrip('-')}-{mark}"


def describe(gate: Gate, reading: SlotReading, *, gtin: str | None, capacity: int, case_pack: int) -> Alert | None:
    """The open alert as a message; None when none is open."""
    if gate.open is None or gate.opened_at is None:
        return None
    return Alert(
        alert=alert_id(reading.bay, reading.slot),
        kind=gate.open,
        severity=SEVERITY[gate.open],
        subject=f"shelf/{reading.bay}/slot/{reading.slot}",
        bay=reading.bay,
        slot=reading.slot,
        gtin=gtin,
        opened_at=gate.opened_at,
        state="open",
        count=reading.count,
        suggested_qty=suggested_quantity(reading.count, capacity, case_pack),
    )


def _since(since: datetime | None, holds: bool, now: datetime) -> datetime | None:
    if not holds:
        return None
    # A clock that was set back must not stretch a dwell.
    return now if since is None or since > now else since


def _held(since: datetime | None, dwell_s: float, now: datetime) -> bool:
    return since is not None and (now - since).total_seconds() >= dwell_s

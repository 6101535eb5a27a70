"""Facts of the core into messages of the contract. Pure: the caller says what the clock's zero is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from shelf_contracts.messages import SeenProduct, SlotEvent, StockLevel, StrangeItem
from shelf_contracts.planogram import Planogram
from shelf_edge.core.facts import SlotFact, StockFact

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(seconds: float) -> datetime:
    """Seconds since the epoch as a UTC time, to the microsecond.

    >>> moment(0.5).isoformat()
    '1970-01-01T00:00:00.500000+00:00'
    """
    return EPOCH + timedelta(microseconds=round(seconds * 1e6))


def slot_event(fact: SlotFact, planogram: Planogram, *, is_recording: bool) -> SlotEvent:
    """The event as it is published; a recording's times count from its start and are repeated in ``at_s``."""
    return SlotEvent(
        action=fact.action,
        quantity=fact.quantity,
        gtin=planogram.product_of(fact.slot).gtin,
        count_before=fact.before,
        count_after=fact.after,
        confidence=fact.confidence,
        started_at=moment(fact.started_s),
        ended_at=moment(fact.captured_s),
        captured_at=moment(fact.captured_s),
        at_s=round(fact.captured_s, 3) if is_recording else None,
        cause=fact.cause,
        text=fact.text[:300],
    )


def misplaced_event(slot: str, seen: SeenProduct, planogram: Planogram, captured_s: float) -> SlotEvent:
    """Another product than the planogram's stands in a slot; of look-alikes perhaps ``seen.other``."""
    wanted = planogram.product_of(slot)
    either = f"; it is {seen.gtin} or {seen.other}" if seen.other else ""
    return SlotEvent(
        action="misplaced",
        gtin=seen.gtin,
        confidence=seen.confidence,
        started_at=min(seen.since, moment(captured_s)),
        ended_at=moment(captured_s),
        captured_at=moment(captured_s),
        text=f"the planogram wants {wanted.gtin or wanted.id}{either}"[:300],
        seen=seen,
    )


def stock_level(
    fact: StockFact,
    planogram: Planogram,
    recognised: SeenProduct | None = None,
    strange: Sequence[StrangeItem] = (),
    plan: str = "",
) -> StockLevel:
    """The stock level as it is published; ``plan`` names what is planned for the slot."""
    position = planogram.position(fact.slot)
    seen = fact.observation
    return StockLevel(
        gtin=planogram.product_of(fact.slot).gtin,
        count=seen.count,
        count_low=None if seen.count is None else seen.low,
        count_high=None if seen.count is None else seen.high,
        capacity=position.capacity,
        min=position.min_presentation,
        level=fact.level,
        confidence=seen.confidence,
        reason=seen.reason,
        observed_at=moment(fact.captured_s),
        seen=recognised,
        strange=list(strange),
        plan=plan,
    )


def gone_slot(now_s: float) -> StockLevel:
    """What is said last of a slot that no planogram shows any more.

    In the numbered order, not as an empty payload: what was said of it before may still wait to be sent.
    """
    return StockLevel(
        count=None, capacity=0, level="unknown", confidence=0.0, reason="stale", observed_at=moment(now_s), plan="none"
    )

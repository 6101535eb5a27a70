"""What in the shop asks for somebody now: empty slots, things in the wrong place, cameras that see nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from shelf_collector.core.memory import StoreMemory
from shelf_collector.core.state import HEARTBEAT_S, MISSED_HEARTBEATS, NodeState, SlotReading
from shelf_collector.core.tasks import Condition, Surroundings

_BLIND = frozenset({"stale", "camera-lost", "dark", "moved-camera"})
"""Reasons for not knowing that last: a hand in the way does not."""


def surroundings(memory: StoreMemory, now: datetime) -> Surroundings:
    """All conditions by key. A node that is silent explains its cameras, and these explain what is unknown there."""
    found = {}
    for alert in memory.open_alerts():
        reading = memory.reading(alert.bay, alert.slot, now)
        condition = Condition(
            f"stock/{alert.bay}/{alert.slot}", "replenish", alert.bay, alert.slot, alert.gtin, alert.opened_at,
            detail=alert.kind, quantity=alert.suggested_qty, count=alert.count, is_blind=_is_blind(reading),
        )  # fmt: skip
        found[condition.key] = condition
    unseen = set()
    for bay, slot in sorted(memory.state.slots):
        reading = memory.reading(bay, slot, now)
        planned = memory.plan.slots.get((bay, slot))
        if reading is None or not reading.is_known:
            unseen.add(f"{bay}/{slot}")
        elif planned is not None:
            found.update((strange.key, strange) for strange in _strange(reading, planned.gtin))
    for node in memory.state.nodes.values():
        if not node.is_present(now):
            condition = _silent(node, memory)
            found[condition.key] = condition
    for camera in memory.state.cameras.values():
        state, holder = camera.status.state, memory.state.nodes.get(camera.node)
        if state not in {"online", "disabled"}:
            key = f"camera/{camera.node}/{camera.camera}"
            # While its node is away, what the camera said last still stands, but nobody sees it end.
            found[key] = Condition(
                key, "camera", camera.status.bay, None, None, min(camera.status.since, now), detail=state,
                is_blind=holder is not None and not holder.is_present(now), must_dwell=True,
            )  # fmt: skip
    replanned = {f"{bay}/{slot}": at for (bay, slot), at in memory.replanned.items()}
    return Surroundings(found, frozenset(unseen), replanned)


def _is_blind(reading: SlotReading | None) -> bool:
    return reading is not None and not reading.is_known and reading.reason in _BLIND


def _strange(reading: SlotReading, planned: str | None) -> list[Condition]:
    """What does not belong there: the slot as a whole, or else single items among the right ones, one by one."""
    seen, place = reading.seen, (reading.bay, reading.slot)
    if reading.level == "out":
        return []
    key = f"misplaced/{reading.bay}/{reading.slot}"
    if seen is not None and seen.verdict == "known" and planned is not None and seen.gtin != planned:
        return [Condition(key, "misplaced", *place, seen.gtin, seen.since, detail=planned, must_dwell=True)]
    found = [
        Condition(
            f"{key}/{item.facing}", "misplaced", *place, item.gtin, item.since, detail=planned or "", must_dwell=True
        )
        for item in reading.strange
    ]
    if seen is not None and seen.verdict == "unknown":
        unknown = f"unknown/{reading.bay}/{reading.slot}"
        found.append(Condition(unknown, "unknown", *place, None, seen.since, detail=seen.kind, must_dwell=True))
    return found


def _silent(node: NodeState, memory: StoreMemory) -> Condition:
    bays = sorted(memory.state.bays_of.get(node.node, ()))
    # Said goodbye or fell silent: in both cases since it was heard last, and a heartbeat may be missed.
    since = node.heard_at + timedelta(seconds=HEARTBEAT_S * MISSED_HEARTBEATS)
    return Condition(
        f"node/{node.node}", "node", bays[0] if len(bays) == 1 else "", None, None, since, detail=node.node,
        must_dwell=True,
    )  # fmt: skip

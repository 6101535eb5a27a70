"""The figures of a bay: on-shelf availability, fill, coverage; snapshots over the planned slots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shelf_collector.core.state import SlotReading
from shelf_contracts.messages import BayState


@dataclass(frozen=True, slots=True)
class PlannedReading:
    """A planned slot and what is known of it; ``reading`` None: nothing was ever said."""

    capacity: int
    reading: SlotReading | None


def bay_state(slots: Iterable[PlannedReading]) -> BayState:
    """OSA = slots with at least one unit / slots known; fill = items / capacity of the slots known;
    coverage = slots known / slots planned. OSA and fill are None where nothing is known."""
    planned = list(slots)
    known = [(slot.capacity, slot.reading.count) for slot in planned if slot.reading and slot.reading.is_known]
    counts = [(capacity, count) for capacity, count in known if count is not None]
    capacity = sum(capacity for capacity, _ in counts)
    return BayState(
        osa=_share(sum(count > 0 for _, count in counts), len(counts)),
        fill=_share(sum(min(count, room) for room, count in counts), capacity),
        coverage=_share(len(counts), len(planned)) or 0.0,
    )


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None

"""What the planograms say, arranged for look-up: which product belongs in a slot, where it lies, how many fit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shelf_collector.core.state import SlotKey
from shelf_contracts.planogram import Planogram


@dataclass(frozen=True, slots=True)
class PlannedSlot:
    """One slot of a planogram. ``side``: 0 left to 1 right; lengths in mm from the bay's top left."""

    bay: str
    slot: str
    gtin: str | None
    name: str
    side: float
    capacity: int
    min_presentation: int
    case_pack: int
    x: float
    y: float
    w: float
    h: float
    fixture: str


@dataclass(frozen=True)
class StorePlan:
    """All bays of the store."""

    planograms: dict[str, Planogram]
    slots: dict[SlotKey, PlannedSlot]

    def of_bay(self, bay: str) -> list[PlannedSlot]:
        """The bay's slots in reading order: shelf by shelf from the top, left to right."""
        found = [slot for slot in self.slots.values() if slot.bay == bay]
        return sorted(found, key=lambda slot: (slot.y, slot.x))

    def has(self, bay: str, slot: str) -> bool:
        """Whether an alert may speak of the slot: it is planned, or its bay has no planogram at all."""
        return (bay, slot) in self.slots or bay not in self.planograms


def store_plan(planograms: Sequence[Planogram]) -> StorePlan:
    """Arrange planograms, one per bay."""
    slots = {}
    for plan in planograms:
        products = {product.id: product for product in plan.products}
        for position in plan.positions:
            product = products[position.product_id]
            slots[plan.bay, position.id] = PlannedSlot(
                bay=plan.bay,
                slot=position.id,
                gtin=product.gtin,
                name=product.name,
                side=min(1.0, (position.x + position.w / 2) / plan.width),
                capacity=position.capacity,
                min_presentation=position.min_presentation,
                case_pack=position.case_pack,
                x=position.x,
                y=position.y,
                w=position.w,
                h=position.h,
                fixture=position.fixture_id,
            )
    return StorePlan({plan.bay: plan for plan in planograms}, slots)


_SLOT_ID = re.compile(r"^s(\d+)-0*(\d+)$")


@dataclass(frozen=True, slots=True)
class SlotPlace:
    """Where a slot is, as staff would say it; ``shelf`` None when the id follows no pattern we know."""

    bay: str
    shelf: str | None
    slot: str


def place_of(bay: str, slot: str) -> SlotPlace:
    """Split a slot id of the usual form.

    >>> place_of("a01", "s2-04")
    SlotPlace(bay='a01', shelf='2', slot='4')
    """
    match = _SLOT_ID.match(slot)
    return SlotPlace(bay, match[1], match[2]) if match else SlotPlace(bay, None, slot)

"""What really happened: events, and changes of a slot's count and sight. All times are seconds of the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EventKind = Literal["reach", "pick", "put", "restock", "misplaced"]
KINDS: tuple[EventKind, ...] = ("reach", "pick", "put", "restock", "misplaced")


@dataclass(frozen=True)
class TruthEvent:
    """One touch of a slot.

    Attributes:
        gtin: of the item that was taken or put; of the slot's product for a mere reach.
        quantity: items; 0 for a reach.
        begin_s: the hand enters the slot's front polygon; done_s: the slot has changed (a reach: the hand is deepest);
        clear_s: hand and bodies no longer cover the slot.
    """

    kind: EventKind
    bay: str
    slot: str
    gtin: str
    quantity: int
    begin_s: float
    done_s: float
    clear_s: float


@dataclass(frozen=True)
class CountChanged:
    """A slot holds ``count`` items from ``t_s`` on."""

    bay: str
    slot: str
    t_s: float
    count: int


@dataclass(frozen=True)
class SightChanged:
    """From ``t_s`` on, more than 10 % of a slot's front is covered, or no longer."""

    bay: str
    slot: str
    t_s: float
    occluded: bool


Fact = TruthEvent | CountChanged | SightChanged

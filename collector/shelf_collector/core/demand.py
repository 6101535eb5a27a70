"""What an empty slot costs: picks an hour as the cameras measured them, and the sales to be expected from that.

Nothing is guessed: without enough hours of watching, or without a price, the loss is not known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_SILENCE = timedelta(minutes=10)
"""Nodes report every slot every five minutes: after twice that nobody was watching."""


@dataclass(frozen=True, slots=True)
class Level:
    """A stock report: ``count`` items from ``at`` until the next one; None: not seen."""

    at: datetime
    count: int | None


@dataclass(frozen=True, slots=True)
class Taken:
    """Items that left the slot at a moment; negative when some were put back."""

    at: datetime
    quantity: int


@dataclass(frozen=True, slots=True)
class Demand:
    """Items taken while ``watched_h`` hours passed in which there was something to take, and a camera saw it."""

    taken: int
    watched_h: float

    @property
    def per_hour(self) -> float:
        return max(0, self.taken) / self.watched_h


def demand(levels: Sequence[Level], taken: Sequence[Taken], now: datetime, least_h: float) -> Demand | None:
    """Measured demand; None when fewer than ``least_h`` hours were watched.

    Args:
        levels: in the order of time. Hours in which the slot was empty or unseen are no evidence of anything.
    """
    watched = timedelta()
    for index, level in enumerate(levels):
        until = levels[index + 1].at if index + 1 < len(levels) else now
        if level.count:
            watched += max(timedelta(), min(until - level.at, LONGEST_SILENCE))
    hours = watched.total_seconds() / 3600
    return Demand(sum(one.quantity for one in taken), hours) if hours >= least_h and hours > 0 else None


def lost_units(per_hour: float, count: int, hours: float) -> float:
    """Items missed in the coming hours, on average, with ``count`` left: purchases come at random (Poisson).

    >>> lost_units(3.0, 0, 2.0), round(lost_units(3.0, 6, 2.0), 2)
    (6.0, 0.96)
    """
    expected = per_hour * hours
    if expected > 500 or count <= 0:
        return max(0.0, expected - max(0, count))
    probability, short = math.exp(-expected), 0.0
    for bought in range(count):
        short += (count - bought) * probability
        probability *= expected / (bought + 1)
    return max(0.0, expected - count + short)


@dataclass(frozen=True, slots=True)
class Loss:
    """What a task is worth: sales that are lost in the next ``hours`` if nobody goes. ``cents`` None: not known.

    ``missing`` names what would have to be known: ``rate`` or ``price``.
    """

    cents: int | None
    currency: str = "EUR"
    per_hour: float | None = None
    hours: float = 2.0
    missing: str = ""


def loss(found: Demand | None, count: int | None, price_cents: int | None, currency: str, hours: float) -> Loss:
    """Expected lost sales: lost units by price. ``count`` None: taken for none left."""
    if found is None:
        return Loss(None, currency, None, hours, "rate")
    if price_cents is None:
        return Loss(None, currency, found.per_hour, hours, "price")
    return Loss(round(lost_units(found.per_hour, count or 0, hours) * price_cents), currency, found.per_hour, hours)

"""What the core says: facts about slots, free of wall clocks, topics and ids."""

from __future__ import annotations

from dataclasses import dataclass

from shelf_contracts.messages import Action, AnomalyCause, Level, Reason


@dataclass(frozen=True)
class Observation:
    """What a slot seems to hold.

    Attributes:
        count: best value, or None before the slot was ever seen.
        low, high: the true count lies between them.
        confidence: 0 to 1, that ``count`` is exactly right; the wider the range, the less.
        reason: why the range is as wide as it is.
    """

    count: int | None
    low: int
    high: int
    confidence: float
    reason: Reason


@dataclass(frozen=True)
class SlotFact:
    """Something happened at a slot. Times are the frames' capture times; an ``anomaly`` has a cause and a text."""

    action: Action
    slot: str
    quantity: int
    before: int | None
    after: int | None
    confidence: float
    started_s: float
    captured_s: float
    cause: AnomalyCause | None = None
    text: str = ""


@dataclass(frozen=True)
class StockFact:
    """The slot's observation changed, or is said again because it was long silent."""

    slot: str
    observation: Observation
    level: Level
    captured_s: float


Fact = SlotFact | StockFact


def level_of(observation: Observation, capacity: int, min_presentation: int) -> Level:
    """full, ok, low, out or unknown, from the best count; low means at or under the minimum presentation."""
    if observation.count is None:
        return "unknown"
    if observation.count <= 0:
        return "out"
    if observation.count <= min_presentation:
        return "low"
    return "full" if observation.count >= capacity else "ok"

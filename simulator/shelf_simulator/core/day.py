"""A bay over a day on which nobody comes: how the light goes, and which moments of it are worth a picture."""

from __future__ import annotations

import re
from itertools import pairwise
from math import cos, pi
from typing import Annotated

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shelf_simulator.core.design import BayDesign
from shelf_simulator.core.scenario import Scenario, Share
from shelf_simulator.core.world import World

DAY_S = 86_400.0
FAST_A_S = 0.01
"""Light that changes by more than this a second is shown frame by frame."""
_LONGER_S = 4.0
_CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?")


def _second_of_day(value: object) -> object:
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} must be a time of day such as "06:30" or "06:30:00.5"')
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3] or 0)


Clock = Annotated[float, BeforeValidator(_second_of_day)]
"""Seconds since midnight, written as hours, minutes and seconds."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DayPoint(_Section):
    """The light at a time of day: ``gain`` 1 is full, ``warmth`` -1 blue to 1 yellow, ``aside`` darker at one side."""

    at: Clock
    gain: Annotated[float, Field(ge=0.02, le=1.5)]
    warmth: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.0
    aside: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0


class Flicker(_Section):
    """A tube that takes away up to ``depth`` of the light, ``hz`` times a second."""

    at: Clock
    lasts_s: Annotated[float, Field(gt=0.0, le=3600.0)]
    depth: Share
    hz: Annotated[float, Field(gt=0.0, le=50.0)]


class DayScript(_Section):
    """A file of ``days``. Points begin at ``begins``, go on in the order of time past midnight, and end a day later.

    Attributes:
        drift: how far the light wanders within a minute, as a share of its gain.
    """

    begins: Clock
    points: Annotated[tuple[DayPoint, ...], Field(min_length=2)]
    flicker: tuple[Flicker, ...] = ()
    drift: Annotated[float, Field(ge=0.0, le=0.2)] = 0.0

    @model_validator(mode="after")
    def _in_order(self) -> DayScript:
        times = self.times_s
        if times[0] != 0 or any(after <= before for before, after in pairwise(times)):
            raise ValueError("points must begin at begins and follow each other within a day")
        return self

    @property
    def times_s(self) -> list[float]:
        """Of the points, in seconds since the day began; the last may be a whole day later."""
        times = [self.since_begin_s(point.at) for point in self.points]
        return [*times[:-1], DAY_S if times[-1] == 0 else times[-1]]

    def since_begin_s(self, clock_s: float) -> float:
        """Seconds from the day's beginning to a time of day."""
        return (clock_s - self.begins) % DAY_S

    @property
    def spells_s(self) -> list[tuple[float, float]]:
        """From..to, where the light changes fast, and a little longer; in order, seconds since the day began."""
        times, found = self.times_s, []
        for (from_s, until_s), (one, other) in zip(pairwise(times), pairwise(self.points), strict=True):
            step = max(abs(other.gain - one.gain), abs(other.aside - one.aside))
            if step / (until_s - from_s) > FAST_A_S:
                found.append((from_s, until_s + _LONGER_S))
        for tube in self.flicker:
            begin_s = self.since_begin_s(tube.at)
            found.append((begin_s, begin_s + tube.lasts_s + _LONGER_S))
        return sorted(found)


def next_moment_s(spells_s: list[tuple[float, float]], now_s: float, most_s: float, frame_s: float) -> float:
    """When to look next: a frame later where the light changes fast, else up to ``most_s`` later."""
    then_s = now_s + max(most_s, frame_s)
    for from_s, until_s in spells_s:
        if from_s <= now_s < until_s:
            return now_s + frame_s
        if now_s < from_s < then_s:
            then_s = from_s
    return then_s


class RestingWorld(World):
    """A world to which nobody comes, in a day's light. Its second 0 is when the day begins."""

    def __init__(self, design: BayDesign, scenario: Scenario, seed: int, day: DayScript) -> None:
        super().__init__(design, scenario, seed)
        self._day = day
        self._times = day.times_s

    @property
    def light(self) -> float:
        """Gain of the light now."""
        t = self.now_s
        gain = self._at([point.gain for point in self._day.points])
        gain *= 1.0 + self._day.drift * (0.6 * cos(t / 37.0) + 0.4 * cos(t / 11.3))
        for tube in self._day.flicker:
            if 0 <= t - self._day.since_begin_s(tube.at) < tube.lasts_s:
                gain *= 1.0 - tube.depth * (0.5 - 0.5 * cos(2 * pi * tube.hz * t))
        return gain

    @property
    def warmth(self) -> float:
        """Colour of the light now, -1 (blue) to 1 (yellow)."""
        return self._at([point.warmth for point in self._day.points])

    @property
    def aside(self) -> float:
        """How much darker than usual the far side is now, 0 to 0.5."""
        return self._at([point.aside for point in self._day.points])

    def _at(self, values: list[float]) -> float:
        return float(np.interp(self.now_s, self._times, values))

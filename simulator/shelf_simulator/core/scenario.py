"""Scenarios: how busy a bay is and what people do there, as a TOML file says."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0, le=600.0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Span(_Section):
    """From..to seconds, drawn evenly."""

    least_s: Seconds
    most_s: Seconds

    @model_validator(mode="after")
    def _in_order(self) -> Span:
        if self.most_s < self.least_s:
            raise ValueError(f"most_s {self.most_s:g} must not be less than least_s {self.least_s:g}")
        return self


class Shoppers(_Section):
    """How often shoppers come and what they do with each thing they are interested in.

    Attributes:
        at_once: how many at most at the bay.
        between: pause after one left before the next comes (each place at the bay has its own pause).
        interests: how many things a shopper is interested in, 1 to this.
        browse: looking before reaching.
        look_only, take_two, put_back, two_hands: shares of interests that end so.
        take_most: how many are taken at once by those who take more than one, 2 to this.
        both_hands: share of shoppers that use both hands; two_hands_apart_s: how long after one another they start;
            two_hands_tries: how often they look for two slots that can be reached from one place.
        topple, push_back: shares of interests in which an item is knocked over, or pushed back.
        misplace: share of takes that are put into another slot.
        block: share of interests before which somebody just stands there, for ``block_for``.
    """

    at_once: Annotated[int, Field(ge=0, le=6)] = 2
    between: Span = Span(least_s=1.0, most_s=6.0)
    interests: Annotated[int, Field(ge=1, le=12)] = 4
    browse: Span = Span(least_s=0.6, most_s=1.8)
    look_only: Share = 0.12
    take_two: Share = 0.15
    take_most: Annotated[int, Field(ge=2, le=4)] = 2
    put_back: Share = 0.16
    two_hands: Share = 0.08
    two_hands_apart_s: Annotated[float, Field(ge=0.0, le=2.0)] = 0.35
    two_hands_tries: Annotated[int, Field(ge=1, le=20)] = 1
    both_hands: Share = 0.5
    topple: Share = 0.0
    push_back: Share = 0.0
    misplace: Share = 0.03
    block: Share = 0.08
    block_for: Span = Span(least_s=2.0, most_s=6.0)


class Staff(_Section):
    """When staff come: a slot has been at or below its minimum for ``after``.

    ``comes_unasked``: what is low at the start counts too, not only what shoppers left low.
    """

    comes_unasked: bool = False
    after: Span = Span(least_s=6.0, most_s=14.0)
    slots_per_visit: Annotated[int, Field(ge=1, le=6)] = 2
    handful: Annotated[int, Field(ge=1, le=6)] = 3


class Stock(_Section):
    """What stands there at the start: shares of the capacity, and how many slots start near low."""

    least: Share = 0.4
    most: Share = 1.0
    near_low: Annotated[int, Field(ge=0, le=20)] = 5
    sought_after: Annotated[float, Field(ge=1.0, le=50.0)] = 6.0
    """How many times as often slots that start near low are taken from."""


class Occluders(_Section):
    """People who only stand before the shelf, some of them with a trolley beside them.

    Attributes:
        at_once: how many places there are for them; between: pause after one left before the next comes.
        stands_for: how long; trolley: share that has one.
    """

    at_once: Annotated[int, Field(ge=0, le=3)] = 0
    between: Span = Span(least_s=3.0, most_s=8.0)
    stands_for: Span = Span(least_s=4.0, most_s=10.0)
    trolley: Share = 0.5


class LightPoint(_Section):
    """From here on the light goes towards the next point, evenly; ``warmth`` -1 is blue, 1 is yellow."""

    at_s: Seconds
    gain: Annotated[float, Field(ge=0.02, le=1.5)]
    warmth: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.0


class Light(_Section):
    """How the light goes over a run.

    Attributes:
        points: in the order of time; after the last one it stays.
        flicker: how much of the light a bad tube takes away at most; flicker_hz: how often; it does so for
            ``flicker_for_s`` of every ``flicker_every_s``.
    """

    points: tuple[LightPoint, ...] = ()
    flicker: Share = 0.0
    flicker_hz: Annotated[float, Field(gt=0.0, le=50.0)] = 2.7
    flicker_for_s: Seconds = 3.0
    flicker_every_s: Annotated[float, Field(ge=0.1, le=600.0)] = 8.0

    @model_validator(mode="after")
    def _in_order(self) -> Light:
        times = [point.at_s for point in self.points]
        if times != sorted(times):
            raise ValueError("points must be in the order of at_s")
        return self


_Degrees = Annotated[float, Field(ge=-30.0, le=30.0)]


class CameraStep(_Section):
    """Somebody knocks the camera: from ``at_s`` on it is turned by so much from where it was installed."""

    at_s: Seconds
    pan_deg: _Degrees = 0.0
    tilt_deg: _Degrees = 0.0
    roll_deg: _Degrees = 0.0


PackFamily = Literal["mixed", "look-alikes", "transparent", "bags"]


class Scenario(_Section):
    """One scenario file."""

    shoppers: Shoppers = Shoppers()
    staff: Staff = Staff()
    stock: Stock = Stock()
    occluders: Occluders = Occluders()
    light: Light = Light()
    camera: tuple[CameraStep, ...] = ()
    packs: PackFamily = "mixed"
    """What the bay sells: all kinds, neighbours that look alike, clear bottles, or bags."""
    light_drift: Share = 0.06
    """How far the light wanders, as a share of its gain."""

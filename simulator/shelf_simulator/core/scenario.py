"""Scenarios: how busy a bay is and what people do there, as a TOML file says."""

from __future__ import annotations

from typing import Annotated

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
        misplace: share of takes that are put into another slot.
        block: share of interests before which somebody just stands there, for ``block_for``.
    """

    at_once: Annotated[int, Field(ge=0, le=3)] = 2
    between: Span = Span(least_s=1.0, most_s=6.0)
    interests: Annotated[int, Field(ge=1, le=12)] = 4
    browse: Span = Span(least_s=0.6, most_s=1.8)
    look_only: Share = 0.12
    take_two: Share = 0.15
    put_back: Share = 0.16
    two_hands: Share = 0.08
    misplace: Share = 0.03
    block: Share = 0.08
    block_for: Span = Span(least_s=2.0, most_s=6.0)


class Staff(_Section):
    """When staff come: a slot has been at or below its minimum for ``after``."""

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


class Scenario(_Section):
    """One scenario file."""

    shoppers: Shoppers = Shoppers()
    staff: Staff = Staff()
    stock: Stock = Stock()
    light_drift: Share = 0.06
    """How far the light wanders, as a share of its gain."""

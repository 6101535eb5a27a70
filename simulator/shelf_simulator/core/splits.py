"""The stores that recordings with truth are made of: two to work with, one only to measure on.

``dev`` is the demo's shop: rules and models may be tuned on it. ``varied`` is many shops, no two alike, for rules that
must hold under other cameras, fixtures and light: a rule chosen on few recordings fits them alone. ``hidden`` is
another shop: packs that no other command draws, other fixtures, other camera angles, other looks and light. It is
measured on, and never trained or tuned on: ``simulator dataset`` refuses its seeds, and no rule of the node was set by
looking at it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from shelf_simulator.core.design import BayDesign, Fixture, Pack, PackShape, design_bay
from shelf_simulator.core.packs import invent_family, invent_pack
from shelf_simulator.core.scenario import PackFamily

SplitName = Literal["dev", "varied", "hidden"]
Range = tuple[float, float]


@dataclass(frozen=True)
class Light:
    """Of a camera in a shop: ``gain`` of all of it, ``warmth`` -1 (blue) to 1 (yellow), how uneven, how noisy."""

    gain: float = 1.0
    warmth: float = 0.0
    gradient: float = 0.12
    gradient_angle_rad: float = 0.6
    noise: float = 2.0
    blur_px: float = 0.6


@dataclass(frozen=True)
class Split:
    """One store's seeds and what its bays are drawn from, millimetres unless named otherwise.

    Attributes:
        seeds: those that belong to it; first_scored: where the seeds of its recordings begin.
        width, depth, space: of the fixture and of its tiers, from..to; tiers: how many.
        aside, above_floor, away: where the camera hangs, from the middle of the bay.
        looks: which looks of fixtures; gain, warmth, gradient, noise: of the light.
    """

    name: SplitName
    seeds: range
    first_scored: int
    width: Range
    depth: Range
    space: Range
    tiers: tuple[int, ...]
    aside: Range
    above_floor: Range
    away: Range
    looks: tuple[int, ...]
    gain: Range
    warmth: Range
    gradient: Range
    noise: Range


DEV = Split(
    "dev", range(700_000), 101, (1640, 1640), (380, 380), (235, 350), (4,), (0, 0), (2120, 2120), (2200, 2200),
    (0, 1, 2, 3), (1, 1), (0, 0), (0.12, 0.12), (2, 2),
)  # fmt: skip
HIDDEN = Split(
    "hidden", range(700_000, 800_000), 700_001, (1380, 1880), (340, 430), (245, 345), (3, 4), (-380, 380),
    (2000, 2350), (2000, 2600), (4, 5, 6), (0.84, 1.06), (-0.7, 0.8), (0.05, 0.3), (1.5, 3.0),
)  # fmt: skip
VARIED = replace(HIDDEN, name="varied", seeds=range(800_000, 900_000), first_scored=800_001, looks=DEV.looks)
SPLITS: dict[SplitName, Split] = {"dev": DEV, "varied": VARIED, "hidden": HIDDEN}

_INVENTED = 90
_SCENARIOS, _NUMBERS = 900, 100


def scored_seed(split: Split, scenario: str, number: int) -> int:
    """The seed of a scenario's recording ``number`` (0 to 99): each scenario has bays and people of its own."""
    return split.first_scored + zlib.crc32(scenario.encode()) % _SCENARIOS * _NUMBERS + number


def split_of(seed: int) -> Split:
    """The split that a seed belongs to; seeds of neither are free for everybody, as those of ``dev`` are."""
    return next((split for split in (HIDDEN, VARIED) if seed in split.seeds), DEV)


def packs_of(split: Split, shop: Sequence[Pack], seed: int, family: PackFamily = "mixed") -> list[Pack]:
    """What the store sells: the demo's packs, or invented ones that are this seed's own."""
    rng = np.random.default_rng([seed, 90_001])
    if family == "look-alikes":
        heights = (140.0, 160.0, 170.0, 190.0, 200.0, 220.0, 240.0, 260.0)
        return [pack for highest in heights for pack in invent_family(rng, highest_mm=highest, members=6)]
    if family == "mixed":
        if split.name == "dev":
            return list(shop)
        return [invent_pack(rng, highest_mm=float(rng.uniform(150, 300))) for _ in range(_INVENTED)]
    shape: PackShape = "bag" if family == "bags" else "bottle"
    own = [pack for pack in shop if pack.shape == shape] if split.name == "dev" else []
    own += [invent_pack(rng, highest_mm=float(rng.uniform(170, 290)), shape=shape) for _ in range(_INVENTED)]
    return [replace(pack, clear=family == "transparent") for pack in own]


def bay_of(split: Split, bay: str, shop: Sequence[Pack], seed: int, family: PackFamily = "mixed") -> BayDesign:
    """A bay of the store. Raises: ValueError when the seed is not the split's."""
    if seed not in split.seeds:
        raise ValueError(f"seed {seed} is not of split {split.name}: {split.seeds.start} to {split.seeds.stop - 1}")
    packs = packs_of(split, shop, seed, family)
    families = family == "look-alikes"
    if split.name == "dev":
        return design_bay(bay, packs, seed, families=families)
    rng = np.random.default_rng([seed, 90_002])
    tiers = int(rng.choice(split.tiers))
    spaces = sorted(_drawn(rng, split.space) for _ in range(tiers))
    fixture = Fixture(
        width_mm=_drawn(rng, split.width),
        depth_mm=_drawn(rng, split.depth),
        spaces_mm=tuple(spaces),
        camera_aside_mm=_drawn(rng, split.aside),
        camera_above_floor_mm=_drawn(rng, split.above_floor),
        camera_away_mm=_drawn(rng, split.away),
    )
    return design_bay(bay, packs, seed, fixture, families=families)


def light_of(split: Split, seed: int) -> Light:
    """The light of the store's cameras."""
    if split.name == "dev":
        return Light()
    rng = np.random.default_rng([seed, 90_003])
    return Light(
        gain=_drawn(rng, split.gain),
        warmth=_drawn(rng, split.warmth),
        gradient=_drawn(rng, split.gradient),
        gradient_angle_rad=float(rng.uniform(0, 6.28)),
        noise=_drawn(rng, split.noise),
        blur_px=float(rng.uniform(0.5, 0.85)),
    )


def look_of(split: Split, design: BayDesign) -> int:
    """Which look of fixtures the bay has."""
    return split.looks[design.look_seed % len(split.looks)]


def _drawn(rng: np.random.Generator, span: Range) -> float:
    return round(float(rng.uniform(*span)), 3)

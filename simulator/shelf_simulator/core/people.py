"""People as rounded convex parts (spheres and their hulls) in the bay's frame, and how a body reaches for a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shelf_simulator.core.geometry import FloatArray
from shelf_simulator.core.items import HeldItem

PartKind = Literal["hand", "arm", "body"]
Bgr = tuple[int, int, int]
Pattern = Literal["plain", "stripes", "upright", "checks", "dots"]
Sleeve = Literal["none", "short", "long"]
Hair = Literal["short", "long", "bun", "bald", "cap"]

_TURNS = 28
_ANGLES = np.linspace(0, 2 * np.pi, _TURNS, endpoint=False)
DIRECTIONS: FloatArray = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
"""Directions in which outlines are measured, (28, 2)."""

_HAND_MM = 178.0
WRIST_SHOWN_MM = 0.6 * _HAND_MM


@dataclass(frozen=True, eq=False)
class Part:
    """A rounded convex part: the hull of spheres.

    Attributes:
        kind: what it counts as in labels; ``hand`` includes a short piece of the wrist.
        spheres: float64 (n, 4): x, y, z and radius in mm.
        colour: BGR; pattern: of its cloth; other: the pattern's second colour.
        owner: which hand of the person it belongs to (0 left, 1 right), -1 for the body.
    """

    kind: PartKind
    spheres: FloatArray
    colour: Bgr
    pattern: Pattern = "plain"
    other: Bgr = (0, 0, 0)
    owner: int = -1
    over_held: bool = False

    @property
    def nearest_z_mm(self) -> float:
        return float((self.spheres[:, 2] - self.spheres[:, 3]).min())

    @property
    def middle_z_mm(self) -> float:
        return float(self.spheres[:, 2].mean())


@dataclass(frozen=True, eq=False)
class Figure:
    """A person as posed: parts, those further from the aisle first, and what the hands hold."""

    parts: Sequence[Part]
    held: tuple[HeldItem, ...] = ()

    @property
    def nearness_mm(self) -> float:
        """Mean z of the body; what is larger is further from the aisle."""
        body = [part.middle_z_mm for part in self.parts if part.kind == "body"] or [0.0]
        return sum(body) / len(body)


@dataclass(frozen=True)
class Appearance:
    """What a person looks like."""

    height_mm: float
    girth: float
    skin: Bgr
    hair: Hair
    hair_colour: Bgr
    shirt: Bgr
    shirt_other: Bgr
    pattern: Pattern
    sleeve: Sleeve
    trousers: Bgr
    staff: bool = False


@dataclass(frozen=True)
class Stance:
    """Where a person stands: feet at (x, z) in mm, turned by ``turn_rad`` (0 faces the shelf)."""

    x_mm: float
    z_mm: float
    turn_rad: float = 0.0


@dataclass(frozen=True)
class Reach:
    """Where one hand is.

    Attributes:
        grip_mm: its grip point; openness: 0 fist to 1 flat.
        aim_mm: where the body bends and leans to, the grip itself by default.
        effort: how much of that bending is done, 0 (upright) to 1.
        idle: the hand only rests, and goes along when the body bends for the other hand.
    """

    grip_mm: tuple[float, float, float]
    openness: float = 0.6
    aim_mm: tuple[float, float, float] | None = None
    effort: float = 1.0
    idle: bool = False


_SKINS: tuple[Bgr, ...] = (
    (196, 214, 240), (170, 196, 232), (140, 172, 216), (112, 148, 196), (86, 118, 170), (60, 88, 136),
    (44, 64, 102), (34, 46, 72),
)  # fmt: skip
_HAIRS: tuple[Bgr, ...] = ((24, 22, 24), (34, 44, 66), (40, 66, 108), (90, 148, 190), (150, 152, 156), (36, 58, 130))
_TROUSERS: tuple[Bgr, ...] = ((92, 62, 40), (44, 40, 38), (120, 96, 70), (110, 120, 128), (60, 78, 92))
STAFF_SHIRT: Bgr = (70, 128, 42)


def invent_appearance(rng: np.random.Generator, *, staff: bool = False) -> Appearance:
    """Somebody: size, skin, hair and clothes by chance; staff wear the shop's green."""

    def cloth() -> Bgr:
        if rng.random() < 0.35:
            grey = int(rng.integers(25, 235))
            return (grey, grey, min(255, grey + int(rng.integers(0, 10))))
        b, g, r = rng.integers(25, 225, size=3)
        return (int(b), int(g), int(r))

    patterns: tuple[Pattern, ...] = ("plain", "plain", "plain", "stripes", "upright", "checks", "dots")
    sleeves: tuple[Sleeve, ...] = ("none", "short", "short", "long", "long")
    hairs: tuple[Hair, ...] = ("short", "short", "long", "bun", "bald", "cap")
    return Appearance(
        height_mm=float(np.clip(rng.normal(1710, 85), 1520, 1930)),
        girth=float(rng.uniform(0.86, 1.22)),
        skin=_SKINS[int(rng.integers(len(_SKINS)))],
        hair=hairs[int(rng.integers(len(hairs)))],
        hair_colour=_HAIRS[int(rng.integers(len(_HAIRS)))],
        shirt=STAFF_SHIRT if staff else cloth(),
        shirt_other=cloth(),
        pattern="plain" if staff else patterns[int(rng.integers(len(patterns)))],
        sleeve="short" if staff else sleeves[int(rng.integers(len(sleeves)))],
        trousers=_TROUSERS[int(rng.integers(len(_TROUSERS)))],
        staff=staff,
    )


def pose_person(
    look: Appearance, stance: Stance, floor_y_mm: float, left: Reach | None = None, right: Reach | None = None
) -> list[Part]:
    """All parts of a person, those further from the aisle first.

    A hand without a ``Reach`` hangs at the side. The body bends its knees, leans and turns its shoulders so that its
    hands get where they should; what is out of reach still is reached (with an arm a little too long).
    """
    h = look.height_mm
    reaches = [reach for reach in (left, right) if reach is not None and reach.effort > 0]
    standing_shoulder_y = floor_y_mm - 0.82 * h
    drop, lean, shift = 0.0, 0.04 * h, 0.0
    if reaches:
        weights = np.array([reach.effort for reach in reaches])
        aims = np.array([reach.aim_mm or reach.grip_mm for reach in reaches])
        wanted = weights @ aims / weights.sum()
        effort = float(weights.max())
        below = float(wanted[1]) - standing_shoulder_y
        drop = effort * float(np.clip((below - 0.22 * h) * 0.8, 0.0, 0.40 * h))
        lean += effort * float(np.clip(below * 0.24, -0.02 * h, 0.17 * h))
        shift = effort * float(np.clip((wanted[0] - stance.x_mm) * 0.22, -0.11 * h, 0.11 * h))
    hips = np.array([stance.x_mm, floor_y_mm - 0.52 * h + drop, stance.z_mm - 0.25 * drop])
    rise = math.sqrt(max(1.0, (0.30 * h) ** 2 - min(lean, 0.28 * h) ** 2 - min(abs(shift), 0.2 * h) ** 2 * 0.5))
    chest = hips + np.array([shift, -rise, lean])
    turn = stance.turn_rad
    across = np.array([math.cos(turn), 0.0, -math.sin(turn)])
    ahead = np.array([math.sin(turn), 0.0, math.cos(turn)])
    tilt = np.array([0.0, 0.22 * abs(shift), 0.0])
    half = 0.092 * h * look.girth**0.4
    shoulders = [chest - across * half - tilt * (1 if shift < 0 else 0), chest + across * half]
    gone_along = np.array([shift, drop, lean - 0.04 * h - 0.25 * drop])
    parts: list[Part] = []
    parts += _legs(look, hips, floor_y_mm, stance, across)
    arms: list[Part] = []
    for owner, reach in enumerate((left, right)):
        side = -1.0 if owner == 0 else 1.0
        shoulder = shoulders[owner] + across * side * 0.012 * h
        if reach is None:
            hang = hips + across * side * 0.155 * h * look.girth**0.5 + np.array([0.0, 0.06 * h, 0.035 * h])
            arms += _arm(look, shoulder, hang, 0.35, owner, side, across, hanging=True)
        else:
            arms += _arm(
                look,
                shoulder,
                np.array(reach.grip_mm) + gone_along * reach.idle,
                reach.openness,
                owner,
                side,
                across,
                effort=reach.effort,
            )
    parts += arms
    neck, *head = _head(look, chest, ahead, across, lean)
    parts += [neck, *_torso(look, hips, shoulders, across, ahead), *head]
    return parts


def trolley_at(x_mm: float, z_mm: float, floor_y_mm: float, goods: Bgr) -> Figure:
    """A shopping trolley that stands along the shelf, its middle at (x, z): it hides what is behind as a body does."""

    def level(above_mm: float, long_mm: float, wide_mm: float, radius_mm: float) -> list[tuple[FloatArray, float]]:
        y = floor_y_mm - above_mm
        ends = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
        return [(np.array([x_mm + a * long_mm / 2, y, z_mm + b * wide_mm / 2]), radius_mm) for a, b in ends]

    wire, rail = (168, 170, 172), (96, 98, 100)
    return Figure(
        [
            _part("body", rail, *level(120, 760, 420, 22), *level(330, 640, 380, 16)),
            _part("body", goods, *level(700, 560, 340, 40), *level(1030, 420, 240, 70)),
            _part("body", wire, *level(420, 660, 380, 18), *level(940, 860, 500, 18), pattern="checks", other=rail),
        ]
    )


def _part(kind: PartKind, colour: Bgr, *spheres: tuple[FloatArray, float], **more: object) -> Part:
    table = np.array([[*centre, radius] for centre, radius in spheres])
    return Part(kind, table, colour, **more)  # type: ignore[arg-type]


def _legs(look: Appearance, hips: FloatArray, floor_y: float, stance: Stance, across: FloatArray) -> list[Part]:
    h = look.height_mm
    parts = []
    for side in (-1.0, 1.0):
        hip = hips + across * side * 0.05 * h
        foot = np.array([stance.x_mm, floor_y - 30.0, stance.z_mm]) + across * side * 0.075 * h
        knee = (hip + foot) / 2 + np.array([0.0, 0.0, 0.35 * max(0.0, 0.46 * h - (foot[1] - hip[1]))])
        parts.append(_part("body", (40, 40, 44), (foot, 42.0), (foot + np.array([0, 8.0, 150.0]), 36.0)))
        parts.append(_part("body", look.trousers, (knee, 0.036 * h), (foot, 0.028 * h)))
        parts.append(_part("body", look.trousers, (hip, 0.054 * h * look.girth), (knee, 0.038 * h)))
    return parts


def _torso(
    look: Appearance, hips: FloatArray, shoulders: list[FloatArray], across: FloatArray, ahead: FloatArray
) -> list[Part]:
    h = look.height_mm
    belly = 0.066 * h * look.girth
    waist = hips + np.array([0.0, -0.02 * h, 0.0])
    seat = _part(
        "body",
        look.trousers,
        (hips - across * 0.045 * h, 0.062 * h * look.girth),
        (hips + across * 0.045 * h, 0.062 * h * look.girth),
    )
    shirt = _part(
        "body", look.shirt,
        (shoulders[0] - ahead * 8, 0.044 * h), (shoulders[1] - ahead * 8, 0.044 * h),
        ((shoulders[0] + shoulders[1]) / 2 - ahead * 6 + np.array([0.0, -0.012 * h, 0.0]), 0.046 * h),
        (waist - across * 0.036 * h * look.girth, belly), (waist + across * 0.036 * h * look.girth, belly),
        pattern=look.pattern, other=look.shirt_other,
    )  # fmt: skip
    return [seat, shirt]


def _head(look: Appearance, chest: FloatArray, ahead: FloatArray, across: FloatArray, lean: float) -> list[Part]:
    h = look.height_mm
    head = chest + np.array([0.0, -0.122 * h, 0.2 * lean]) + ahead * 0.012 * h
    r = 0.050 * h
    crown = head + np.array([0.0, -0.028 * h, 0.0])
    parts = [
        _part("body", look.skin, (chest + np.array([0.0, -0.03 * h, 0.0]), 0.033 * h), (head, 0.031 * h)),
        _part(
            "body", look.skin, (head, r * 0.97), (crown, r * 0.9), (head + ahead * 25 + np.array([0, 34.0, 0]), r * 0.7)
        ),
    ]
    for side in (-1.0, 1.0):
        parts.append(_part("body", look.skin, (head + across * side * r * 0.98, 17.0)))
    back = head - ahead * 16
    if look.hair == "bald":
        return parts
    colour = look.shirt_other if look.hair == "cap" else look.hair_colour
    parts.append(_part("body", colour, (back + np.array([0, -0.004 * h, 0]), r * 1.0), (crown - ahead * 8, r * 1.0)))
    if look.hair == "long":
        fall = chest + np.array([0.0, 0.0, 0.0]) - ahead * 40
        sides = 0.028 * h
        parts.append(
            _part(
                "body", colour, (back, r * 1.02), (fall - across * sides, 0.03 * h), (fall + across * sides, 0.03 * h)
            )
        )
    elif look.hair == "bun":
        parts.append(_part("body", colour, (crown - ahead * 70 + np.array([0, -30.0, 0]), 0.026 * h)))
    return parts


def _unit(vector: FloatArray) -> FloatArray:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])


def _arm(
    look: Appearance, shoulder: FloatArray, grip: FloatArray, openness: float, owner: int, side: float,
    across: FloatArray, *, hanging: bool = False, effort: float = 0.0,
) -> list[Part]:  # fmt: skip
    h = look.height_mm
    upper, fore = 0.185 * h, 0.155 * h
    toward = _unit(grip - shoulder)
    level = (
        np.array([0.0, 1.0, 0.1])
        if hanging
        else _unit(toward * np.array([0.8, 0.55, 1.0]) + np.array([0.0, 0.0, 0.35]))
    )
    wrist = grip - _unit(level) * 0.5 * _HAND_MM
    away = wrist - shoulder
    distance = float(np.linalg.norm(away))
    stretch = max(1.0, distance / (0.985 * (upper + fore)))
    upper, fore = upper * stretch, fore * stretch
    along = _unit(away)
    pole = np.array([0.0, 0.9, -0.25]) + across * side * (0.2 + 0.1 * effort)
    pole = _unit(pole - along * float(pole @ along))
    part_way = (upper**2 - fore**2 + distance**2) / (2 * max(distance, 1.0))
    out = math.sqrt(max(0.0, upper**2 - part_way**2))
    elbow = shoulder + along * part_way + pole * out
    skin, shirt = look.skin, look.shirt
    upper_colour = skin if look.sleeve == "none" else shirt
    fore_colour = shirt if look.sleeve == "long" else skin
    thick = look.girth**0.5
    cloth = {"pattern": look.pattern, "other": look.shirt_other}
    cut = elbow + _unit(wrist - elbow) * max(10.0, float(np.linalg.norm(wrist - elbow)) - WRIST_SHOWN_MM)
    middle = (elbow + cut) / 2
    more: list[Part] = []
    sleeve_pattern = cloth if upper_colour == shirt else {}
    half_way = shoulder + (elbow - shoulder) * 0.6
    if look.sleeve == "short":
        more.append(_part("arm", skin, (half_way, 0.026 * h * thick), (elbow, 0.025 * h * thick), owner=owner))
        more.append(
            _part(
                "arm",
                shirt,
                (shoulder, 0.037 * h * thick),
                (half_way, 0.034 * h * thick),
                owner=owner,
                **sleeve_pattern,
            )
        )
    else:
        wide = 0.034 if look.sleeve == "long" else 0.030
        more.append(
            _part(
                "arm",
                upper_colour,
                (shoulder, (wide + 0.003) * h * thick),
                (elbow, (wide - 0.004) * h * thick),
                owner=owner,
                **sleeve_pattern,
            )
        )
    wide = 0.029 if look.sleeve == "long" else 0.025
    fore_pattern = cloth if look.sleeve == "long" else {}
    more.append(
        _part(
            "arm",
            fore_colour,
            (elbow, wide * h * thick),
            (middle, (wide - 0.002) * h * thick),
            owner=owner,
            **fore_pattern,
        )
    )
    more.append(
        _part(
            "arm",
            fore_colour,
            (middle, (wide - 0.002) * h * thick),
            (cut, (wide - 0.005) * h * thick),
            owner=owner,
            **fore_pattern,
        )
    )
    hand = _hand(look, cut, wrist, _unit(level), openness, owner, side, fore_colour)
    return [*hand, *reversed(more)]


def _hand(
    look: Appearance, cut: FloatArray, wrist: FloatArray, forward: FloatArray, openness: float, owner: int, side: float,
    sleeve_colour: Bgr,
) -> list[Part]:  # fmt: skip
    """Palm, four fingers, thumb and the piece of wrist, fingers first (they are furthest from the aisle)."""
    size = _HAND_MM / 178.0 * (0.9 + 0.1 * look.girth) * look.height_mm / 1710
    up = np.array([0.0, -1.0, 0.0])
    sideways = _unit(np.cross(forward, up))
    flat = _unit(np.cross(sideways, forward))
    knuckles = wrist + forward * 88 * size
    skin = look.skin
    darker = (round(skin[0] * 0.93), round(skin[1] * 0.93), round(skin[2] * 0.95))
    curl = 1.0 - openness
    fingers = []
    for index, offset in enumerate((-27.0, -9.0, 9.0, 27.0)):
        length = (62.0, 74.0, 70.0, 54.0)[index if side < 0 else 3 - index] * size
        root = knuckles + sideways * offset * size
        bend = forward * math.cos(curl * 1.1) - flat * math.sin(curl * 1.1)
        joint = (
            root
            + (forward * math.cos(curl * 0.5) - flat * math.sin(curl * 0.5) + sideways * offset * 0.003 * openness)
            * length
            * 0.5
        )
        tip = joint + bend * length * 0.5
        fingers.append(
            _part(
                "hand",
                skin if index % 2 else darker,
                (root, 11.5 * size),
                (joint, 10.5 * size),
                (tip, 8.5 * size),
                owner=owner,
                over_held=True,
            )
        )
    thumb_root = wrist + forward * 32 * size - sideways * side * 30 * size
    thumb_tip = wrist + forward * (88 - 18 * curl) * size - sideways * side * (62 - 26 * curl) * size - flat * 14 * size
    thumb = _part("hand", darker, (thumb_root, 15.0 * size), (thumb_tip, 10.0 * size), owner=owner, over_held=True)
    palm = _part(
        "hand", skin, (wrist + forward * 8 * size, 27.0 * size), (knuckles + sideways * 25 * size, 16.0 * size),
        (knuckles - sideways * 25 * size, 16.0 * size), owner=owner,
    )  # fmt: skip
    at_wrist = _part(
        "hand",
        sleeve_colour,
        (cut, 0.020 * look.height_mm),
        (wrist - forward * 14, 0.0175 * look.height_mm),
        owner=owner,
    )
    return [*fingers, thumb, palm, at_wrist]

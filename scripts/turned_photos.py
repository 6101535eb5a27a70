"""How surely a camera that was turned is found again on real photographs: the part ``turned`` of docs/accuracy.md.

Each photograph stands for a scene. The camera first sees the middle of it, then, turned about itself by so many
degrees, another part, in other light, with a sensor's noise, and with somebody who hides 30 % of the picture; in half
of the tries a quarter of the goods are others. Where each point went is known, and so is how far off it was found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from shelf_edge.adapters.pictures import read_picture, shrunk
from shelf_edge.core.frame import Picture
from shelf_edge.core.geometry import Matrix, project
from shelf_edge.core.registration import Features, Landmarks, RegistrationRules, features, find_again

WIDTH_PX, HEIGHT_PX = 960, 540
SMALL_PX = (320, 180)
TURNS_DEG = ((2.0, 5.0), (5.0, 9.0), (9.0, 13.0))
WRONG_PX = 20.0
_SEEN_SHARE = 0.7
_LARGEST_PX = 1600
_NOBODY = np.zeros((0, 4), np.float32)
_SHRINK = np.diag([SMALL_PX[0] / WIDTH_PX, SMALL_PX[1] / HEIGHT_PX, 1.0])


@dataclass
class Tries:
    """``off_px``: of each that was found, how far the worst point in the picture was off, at 960 x 540."""

    of: int = 0
    off_px: list[float] = field(default_factory=list)

    def row(self, *first: str) -> str:
        middle = f"{np.median(self.off_px):.1f}" if self.off_px else "–"
        wrong = sum(off > WRONG_PX for off in self.off_px)
        return f"| {' | '.join(first)} | {len(self.off_px)} of {self.of} | {middle} | {wrong} |"


def photographs(files: Sequence[Path]) -> list[Picture]:
    """Photographs, no side over 1600 px."""
    return [shrunk(read_picture(file), _LARGEST_PX) for file in files]


def turned_part(sets: dict[str, list[Path]], others: list[Path]) -> list[str]:
    """The section's lines.

    Args:
        sets: photographs of shelves by name.
        others: photographs that the other goods are cut from.
    """
    goods = photographs(others)
    lines = [
        "`python scripts/accuracy.py --only turned`, `core.registration`: each photograph is a scene; a camera sees "
        "its middle, is turned about itself (and by up to 4° about its axis), and sees another part in other light "
        "(0.6 to 1.3 of it, with a gradient), with noise and somebody before 30 % of it. *Changed*: a quarter of the "
        "picture is covered with other goods besides. *Off*: the worst point of a grid over the picture, at 960 x 540. "
        "The rules were set on the fridge, the cupboard and 31 packages of train; val was looked at once, for this. "
        "Photographs of one fridge are rightly taken for each other when they were taken from about one place.",
        "",
        "| photographs | turned by | goods | found again | off, px, median | off by more than 20 px |",
        "|---|---|---|---|---|---|",
    ]
    rng = np.random.default_rng(5)
    for name, files in sets.items():
        scenes = photographs(files)
        for turn_deg in TURNS_DEG:
            for is_changed in (False, True):
                tries = tried(scenes, turn_deg, goods if is_changed else [], rng)
                words = f"{turn_deg[0]:g} to {turn_deg[1]:g}°", "changed" if is_changed else "as before"
                lines.append(tries.row(f"{name} ({len(scenes)})", *words))
        wrong, of = taken_for_another(scenes, rng)
        lines.append(f"| {name} | another photograph | | {wrong} of {of} | | |")
    return lines


def tried(
    scenes: list[Picture], turn_deg: tuple[float, float], goods: list[Picture], rng: np.random.Generator
) -> Tries:
    """Each scene once."""
    tries = Tries()
    for scene in scenes:
        way, far = rng.uniform(0, 2 * math.pi), rng.uniform(*turn_deg)
        true = turned(far * math.cos(way), far * math.sin(way), rng.uniform(-4, 4))
        before = small(in_light(seen_by(scene, np.eye(3)), rng), _NOBODY)
        after = seen_by(scene, true)
        if goods:
            after = with_other_goods(after, goods, 0.25, rng)
        left = rng.uniform(0, 0.7 * WIDTH_PX)
        somebody = np.array([[left, 0, left + 0.3 * WIDTH_PX, HEIGHT_PX]], np.float32)
        tries.of += 1
        found = find_again(RegistrationRules(), before, Landmarks.of(before), small(in_light(after, rng), somebody))
        if found is not None:
            tries.off_px.append(off_px(found, true))
    return tries


def taken_for_another(scenes: list[Picture], rng: np.random.Generator) -> tuple[int, int]:
    """How often two photographs are taken for one scene, of how many pairs."""
    wrong = of = 0
    seen = [small(in_light(seen_by(scene, np.eye(3)), rng), _NOBODY) for scene in scenes]
    for one, before in enumerate(seen):
        for other in rng.integers(0, len(seen), 2):
            if other != one:
                of += 1
                wrong += find_again(RegistrationRules(), before, Landmarks.of(before), seen[other]) is not None
    return wrong, of


def turned(pan_deg: float, tilt_deg: float, roll_deg: float) -> Matrix:
    """Where the pixels of a camera of 58° go that turns about itself: K R K^-1."""
    lens = np.array([[0.9 * WIDTH_PX, 0, WIDTH_PX / 2], [0, 0.9 * WIDTH_PX, HEIGHT_PX / 2], [0, 0, 1]])
    rotation, _ = cv2.Rodrigues(np.radians([tilt_deg, -pan_deg, roll_deg]))
    return np.asarray(lens @ rotation @ np.linalg.inv(lens), np.float64)


def seen_by(scene: Picture, turn: Matrix) -> Picture:
    """The middle of a scene in the camera's picture; beyond the photograph's edge it is mirrored."""
    high, wide = scene.shape[:2]
    across = min(wide, high * WIDTH_PX / HEIGHT_PX) * _SEEN_SHARE
    scale = WIDTH_PX / across
    middle = np.array(
        [[scale, 0, (WIDTH_PX - scale * wide) / 2], [0, scale, (HEIGHT_PX - scale * high) / 2], [0, 0, 1]]
    )
    size = (WIDTH_PX, HEIGHT_PX)
    seen = cv2.warpPerspective(scene, turn @ middle, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(seen, np.uint8)


def in_light(picture: Picture, rng: np.random.Generator) -> Picture:
    """Brighter or darker, from one side, with noise."""
    gradient = 1 + np.linspace(-1, 1, WIDTH_PX) * rng.uniform(-0.2, 0.2)
    lit = picture * (rng.uniform(0.6, 1.3) * gradient)[None, :, None] + rng.normal(0, 4, picture.shape)
    return np.clip(lit, 0, 255).astype(np.uint8)


def with_other_goods(picture: Picture, goods: list[Picture], share: float, rng: np.random.Generator) -> Picture:
    """Pieces of other photographs over that share of the picture, those that lie on one another counted twice."""
    changed, left_px = picture.copy(), share * WIDTH_PX * HEIGHT_PX
    while left_px > 0:
        wide, high = int(rng.integers(50, 160)), int(rng.integers(60, 180))
        x, y = int(rng.integers(0, WIDTH_PX - wide)), int(rng.integers(0, HEIGHT_PX - high))
        other = goods[int(rng.integers(len(goods)))]
        at_x, at_y = int(rng.integers(0, other.shape[1] - wide)), int(rng.integers(0, other.shape[0] - high))
        changed[y : y + high, x : x + wide] = other[at_y : at_y + high, at_x : at_x + wide]
        left_px -= wide * high
    return changed


def small(picture: Picture, people_px: np.ndarray) -> Features:
    """As a node compares it."""
    green = np.ascontiguousarray(picture[:, :, 1])
    grey = np.asarray(cv2.resize(green, SMALL_PX, interpolation=cv2.INTER_AREA), np.uint8)
    return features(grey, (people_px * SMALL_PX[0] / WIDTH_PX).astype(np.float32))


def off_px(found: Matrix, true: Matrix) -> float:
    """How far the worst point in the picture is off, at 960 x 540."""
    across, down = np.meshgrid(np.linspace(0, WIDTH_PX, 9), np.linspace(0, HEIGHT_PX, 7))
    grid = np.column_stack([across.ravel(), down.ravel()])
    there = project(true, grid)
    here = project(np.linalg.inv(_SHRINK) @ found @ _SHRINK, grid)
    in_picture = ((there >= 0) & (there <= (WIDTH_PX, HEIGHT_PX))).all(axis=1)
    return float(np.hypot(*(here - there)[in_picture].T).max())

"""Draws people: each rounded part is filled in layers of light, coloured, and hidden where the shelf is in front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from shelf_simulator.adapters.pictures import Colour, Mask, Picture, mixed
from shelf_simulator.adapters.shelf_painter import Canvas, paint_item
from shelf_simulator.core.geometry import Camera, FloatArray
from shelf_simulator.core.items import PlacedItem
from shelf_simulator.core.people import DIRECTIONS, Figure, Part

BODY, HAND, ARM = 1, 10, 20
_TILE_PX = 256
_NEAREST_MM = 150.0
_TO_LIGHT = np.array([-0.3, -0.34])


def part_code(person: int, kind: str, owner: int) -> int:
    """The id (negative) of a person's body, of an arm or of a hand in the id picture."""
    return -(100 * (person + 1) + (BODY if kind == "body" else (HAND if kind == "hand" else ARM) + owner))


def paint_people(
    canvas: Canvas, figures: Sequence[Figure], camera: Camera, *, light: float = 1.0, with_ids: bool = True
) -> None:
    """Paint people over a shelf. ``canvas.depths`` is read, not written; ids become negative part codes if asked."""
    order = sorted(range(len(figures)), key=lambda i: -figures[i].nearness_mm)
    for person in order:
        figure = figures[person]
        begun: set[int] = set()
        for part, seen in zip(figure.parts, _see(figure.parts, camera), strict=True):
            if part.kind == "hand" and part.owner not in begun:
                begun.add(part.owner)
                for held in figure.held:
                    if held.hand == part.owner:
                        _paint_held(canvas, held.item, camera, light)
            code = part_code(person, part.kind, part.owner) if with_ids else 0
            _paint_part(canvas, part, seen, camera, code, light)


def _paint_held(canvas: Canvas, item: PlacedItem, camera: Camera, light: float) -> None:
    if float(camera.depth_mm([(item.x_mm, item.y_mm, item.z_mm)])[0]) < 250:
        return
    w = item.pack.width_mm + item.pack.depth_mm
    corners = [
        (item.x_mm + sx * w, item.y_mm - up * item.pack.height_mm - (up - 0.5) * 60, item.z_mm)
        for sx in (-1, 1)
        for up in (0, 1)
    ]
    box = _box_of(camera.project(corners), camera)
    if box is None:
        return
    window = canvas.part(box)
    before = window.copy()
    paint_item(canvas, item, camera, clip=box, gain=light)
    hidden = (before.depths < item.z_mm - item.pack.depth_mm / 2).astype(np.uint8)
    cv2.copyTo(before.picture, hidden, window.picture)
    cv2.copyTo(before.ids, hidden, window.ids)
    window.depths[:] = before.depths


@dataclass(frozen=True, eq=False)
class _Seen:
    """A part in the picture: circles (n, 2) and (n,) in px, the outermost circle by direction, the outline."""

    centres: FloatArray
    radii: FloatArray
    outermost: NDArray[np.intp]
    outline: FloatArray
    in_view: bool


def _see(parts: Sequence[Part], camera: Camera) -> list[_Seen]:
    """All parts of a figure at once: one projection is much cheaper than forty."""
    spheres = np.concatenate([part.spheres for part in parts])
    centres = camera.project(spheres[:, :3])
    depths = camera.depth_mm(spheres[:, :3])
    radii = spheres[:, 3] * camera.focal_px / np.maximum(depths, 60.0)
    reach = centres @ DIRECTIONS.T + radii[:, None]
    seen = []
    start = 0
    for part in parts:
        end = start + len(part.spheres)
        best = np.argmax(reach[start:end], axis=0)
        own, own_radii = centres[start:end], radii[start:end]
        outline = own[best] + own_radii[best][:, None] * DIRECTIONS
        seen.append(_Seen(own, own_radii, best, outline, bool(depths[start:end].min() >= _NEAREST_MM)))
        start = end
    return seen


def _paint_part(canvas: Canvas, part: Part, seen: _Seen, camera: Camera, code: int, light: float) -> None:
    box = _box_of(seen.outline, camera) if seen.in_view else None
    if box is None:
        return
    window = canvas.part(box)
    size = (box[3] - box[1], box[2] - box[0])
    origin = np.array([box[0], box[1]])
    mask = np.zeros(size, np.uint8)
    cv2.fillConvexPoly(mask, _fixed(seen.outline - origin), 255, cv2.LINE_8, 4)
    middle_z = part.middle_z_mm
    if middle_z > -60:
        hidden = window.depths < middle_z - float(part.spheres[:, 3].max()) * 0.5
        mask[hidden] = 0
    tone = _tones(seen, origin, size)
    gain = light * (1.0 if middle_z < 0 else max(0.72, 1.0 - middle_z / 1200))
    coloured = cv2.applyColorMap(tone, _ramp(part.colour, round(gain, 2)))
    if part.pattern != "plain":
        other = cv2.applyColorMap(tone, _ramp(part.other, round(gain, 2)))
        cv2.copyTo(other, _cloth(part, seen.centres, seen.radii, box), coloured)
    cv2.copyTo(coloured, mask, window.picture)
    if code:
        cv2.copyTo(np.full(size, code, np.int16), mask, window.ids)


def _tones(seen: _Seen, origin: FloatArray, size: tuple[int, int]) -> Mask:
    """Light and shade on a part, uint8: rounder towards its edges, brightest a little up and left of its middle."""
    widest = float(seen.radii.max())
    layers = int(np.clip(widest / 3, 3, 9))
    share = (np.arange(layers) / layers)[:, None, None]
    circles = seen.radii[seen.outermost][:, None]
    shapes = seen.centres[seen.outermost] - origin + circles * ((1.0 - share * 0.92) * DIRECTIONS + share * _TO_LIGHT)
    tone = np.full(size, 70, np.uint8)
    for layer, shape in enumerate(_fixed(shapes)):
        level = 70 + 165 * ((layer + 1) / layers) ** 0.6
        cv2.fillConvexPoly(tone, shape, level, cv2.LINE_8, 4)
    soft = max(3, round(widest / layers * 0.9) * 2 + 1)
    return cast(Mask, cv2.blur(tone, (min(soft, 31), min(soft, 31))))


@lru_cache(maxsize=256)
def _ramp(colour: Colour, gain: float) -> Picture:
    """Colours from shade (0) to light (255) of a surface, uint8 (256, 1, 3)."""
    dark = mixed(tuple(round(v * 0.34) for v in colour), (30, 20, 18), 0.25)  # type: ignore[arg-type]
    bright = mixed(colour, (255, 255, 255), 0.16)
    at = np.linspace(0, 1, 256)[:, None]
    lower = np.array(dark) + (np.array(colour) - np.array(dark)) * np.minimum(1, at / 0.78)
    upper = (np.array(bright) - np.array(colour)) * np.maximum(0, (at - 0.78) / 0.22)
    ramp: Picture = np.clip((lower + upper) * gain, 0, 255).astype(np.uint8)[:, None, :]
    return ramp


def _cloth(part: Part, centres: FloatArray, radii: FloatArray, box: tuple[int, int, int, int]) -> Mask:
    """Where the pattern's second colour shows: a tile that moves and grows with the part."""
    tile = _tile(part.pattern)
    scale = float(radii.mean()) / 48.0
    across = centres[-1] - centres[0] if len(centres) == 2 else np.array([0.0, 1.0])
    angle = float(np.arctan2(across[1], across[0])) - np.pi / 2
    cos_a, sin_a = np.cos(angle) * scale, np.sin(angle) * scale
    middle = centres.mean(axis=0) - (box[0], box[1])
    half = _TILE_PX / 2
    matrix = np.array(
        [
            [cos_a, -sin_a, middle[0] - half * cos_a + half * sin_a],
            [sin_a, cos_a, middle[1] - half * sin_a - half * cos_a],
        ]
    )
    size = (box[2] - box[0], box[3] - box[1])
    cloth = cv2.warpAffine(tile, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return cast(Mask, cloth)


@lru_cache(maxsize=8)
def _tile(pattern: str) -> Mask:
    tile = np.zeros((_TILE_PX, _TILE_PX), np.uint8)
    step = 32
    at = np.arange(_TILE_PX) % step < step * 0.4
    if pattern in {"stripes", "checks"}:
        tile[at, :] = 255
    if pattern in {"upright", "checks"}:
        tile[:, at] = 255
    if pattern == "dots":
        for y in range(step // 2, _TILE_PX, step):
            for x in range(step // 2, _TILE_PX, step):
                cv2.circle(tile, (x, y), 6, 255, -1)
    return tile


def _fixed(points: FloatArray) -> NDArray[np.int32]:
    return np.clip(points * 16, -200_000, 200_000).astype(np.int32)


def _box_of(points: FloatArray, camera: Camera) -> tuple[int, int, int, int] | None:
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    left, top = max(0, int(x0) - 1), max(0, int(y0) - 1)
    right, bottom = min(camera.width_px, int(x1) + 2), min(camera.height_px, int(y1) + 2)
    return (left, top, right, bottom) if left < right and top < bottom else None

"""Cans, bottles, jars and bags as sprites: elliptic rings seen from an elevation, a label wrapped around."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from shelf_simulator.adapters.pack_art import (
    ART_PX_PER_MM,
    Palette,
    back_art,
    front_art,
    palette_of,
    seed_of,
)
from shelf_simulator.adapters.pictures import Mask, Picture, from_hsv, mixed, resized
from shelf_simulator.core.design import Pack

ELEVATION_STEP_RAD = math.radians(3.0)
VARIANTS = 3
_RINGS_PER_PX = 2.0
_GLASS_OPACITY = 0.3


@dataclass(frozen=True, eq=False)
class Sprite:
    """A body as seen from one elevation.

    Attributes:
        picture: uint8 (h, w, 3); mask: uint8 (h, w), 255 where the body is.
        base_px: where the middle of its base is, (x, y) in the sprite.
        top_px: where the middle of its top is.
        px_per_mm: its scale across.
        opacity: uint8 (h, w), for a body to see through; None when all of it is opaque.
    """

    picture: Picture
    mask: Mask
    base_px: tuple[float, float]
    top_px: tuple[float, float]
    px_per_mm: float
    opacity: Mask | None = None


@dataclass(frozen=True, eq=False)
class _Body:
    """Half width and half depth in mm at ``levels`` equally spaced heights, and its wrapped texture.

    ``opacity`` (0 to 1) at the same heights, for a body to see through.
    """

    half_width: NDArray[np.float64]
    half_depth: NDArray[np.float64]
    texture: Picture
    flat: bool
    gloss: float
    lid: tuple[int, int, int]
    opacity: NDArray[np.float64] | None = None


def sprite_of(pack: Pack, elevation_rad: float, variant: int, px_per_mm: float) -> Sprite:
    """The sprite for an elevation (rounded to 3 degrees), one of three turns of the pack, and a scale step."""
    step = max(0, min(25, round(elevation_rad / ELEVATION_STEP_RAD)))
    return _sprite(pack, step, variant % VARIANTS, px_per_mm)


@lru_cache(maxsize=1500)
def _sprite(pack: Pack, elevation_step: int, variant: int, px_per_mm: float) -> Sprite:
    body = _body_of(pack)
    elevation = elevation_step * ELEVATION_STEP_RAD
    return _seen(body, pack.height_mm, elevation, (0.0, 0.06, -0.08)[variant], px_per_mm, variant)


def _seen(body: _Body, height_mm: float, elevation: float, turn: float, scale: float, variant: int) -> Sprite:
    sin_e, cos_e = math.sin(elevation), math.cos(elevation)
    widest = float(body.half_width.max())
    deepest = float(body.half_depth.max())
    width = 2 * math.ceil(widest * scale) + 3
    below = math.ceil(deepest * sin_e * scale) + 2
    above = math.ceil((height_mm * cos_e + deepest * sin_e) * scale) + 2
    centre_x = (width - 1) / 2
    rings = max(8, round(height_mm * scale * _RINGS_PER_PX))
    level = np.linspace(0.0, 1.0, rings)
    at = np.linspace(0.0, 1.0, len(body.half_width))
    a = np.interp(level, at, body.half_width)[:, None]
    b = np.interp(level, at, body.half_depth)[:, None]
    x = (np.arange(width) - centre_x)[None, :] / scale
    share = np.clip(x / np.maximum(a, 1e-6), -1.0, 1.0)
    inside = np.abs(x) <= a
    forward = np.sqrt(np.maximum(0.0, 1.0 - share**2))
    levels = np.full((below + above, width), np.nan, np.float32)
    columns = np.broadcast_to(np.arange(width)[None, :], share.shape)
    heights = np.broadcast_to(level[:, None], share.shape)
    for sign in (-1.0, 1.0):  # what is behind first, so that what is in front wins; higher rings win over lower
        y = (-level[:, None] * height_mm * cos_e + sign * b * forward * sin_e) * scale + above
        row = np.clip(np.round(y).astype(np.int32), 0, below + above - 1)
        levels[row[inside], columns[inside]] = heights[inside]
    mask = np.where(np.isnan(levels), 0, 255).astype(np.uint8)
    filled = np.nan_to_num(levels, nan=0.0)
    a_here = np.interp(filled, at, body.half_width)
    across = np.clip(np.broadcast_to(x, filled.shape) / np.maximum(a_here, 1e-6), -1.0, 1.0)
    angle = np.arcsin(across)
    texture_h, texture_w = body.texture.shape[:2]
    u = (0.5 + turn + (across * 0.25 if body.flat else angle / (2 * math.pi))) % 1.0
    map_x = (u * (texture_w - 1)).astype(np.float32)
    map_y = ((1.0 - filled) * (texture_h - 1)).astype(np.float32)
    # Shrink the texture first: remap alone would pick single pixels of the fine print.
    shrink = min(1.0, scale / ART_PX_PER_MM)
    texture = resized(body.texture, round(texture_w * shrink), round(texture_h * shrink))
    map_x *= (texture.shape[1] - 1) / (texture_w - 1)
    map_y *= (texture.shape[0] - 1) / (texture_h - 1)
    picture: NDArray[np.float64] = cv2.remap(
        texture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float64)
    light = _light_on(body, angle, across, filled, variant)
    picture = picture * light[..., None]
    if body.gloss > 0 and not body.flat:
        spot = np.exp(-(((angle + 0.55) / 0.13) ** 2)) + 0.5 * np.exp(-(((angle - 0.75) / 0.08) ** 2))
        picture += (255 - picture) * np.clip(spot * body.gloss, 0, 0.9)[..., None]
    drawn = np.clip(picture, 0, 255).astype(np.uint8)
    a_top, b_top = float(a[-1, 0]), float(b[-1, 0])
    top_y = above - height_mm * cos_e * scale
    if not body.flat and a_top > 3:
        centre = (round(centre_x), round(top_y))
        axes = (max(1, round(a_top * scale)), max(1, round(b_top * sin_e * scale)))
        cv2.ellipse(drawn, centre, axes, 0, 0, 360, body.lid, -1)
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1)
        inner = (max(1, round(axes[0] * 0.84)), max(1, round(axes[1] * 0.8)))
        cv2.ellipse(drawn, centre, inner, 0, 0, 360, mixed(body.lid, (30, 30, 30), 0.22), -1)
    opacity = None
    if body.opacity is not None:
        solid = np.interp(filled, at, body.opacity)
        solid = np.maximum(solid, np.abs(across) ** 6)  # glass is seen best at its edges
        opacity = (np.clip(solid, 0, 1) * 255).astype(np.uint8)
    return Sprite(drawn, mask, (centre_x, float(above)), (centre_x, top_y), scale, opacity)


def _light_on(
    body: _Body, angle: NDArray[np.float64], across: NDArray[np.float64], level: NDArray[np.float32], variant: int
) -> NDArray[np.float64]:
    if not body.flat:
        shade: NDArray[np.float64] = 0.42 + 0.66 * np.clip(np.cos(angle + 0.25), 0, 1) ** 0.8
        return shade
    rng = np.random.default_rng(variant + 11)
    shade = 0.78 + 0.26 * np.cos(across * 1.35 + 0.2)
    for _ in range(7):  # the creases of foil: soft bright and dark lines that lean
        slope, offset, width = rng.uniform(-0.6, 0.6), rng.uniform(-1, 1), rng.uniform(0.03, 0.12)
        line = across + slope * (level - 0.5) - offset
        fade = np.exp(-(((level - rng.uniform(0, 1)) / 0.3) ** 2))
        shade = shade + rng.choice([-0.22, 0.3]) * np.exp(-((line / width) ** 2)) * fade
    crimp = (level > 0.955) | (level < 0.035)
    shade = np.where(crimp, shade * (0.82 + 0.22 * (np.sin(across * 60) > 0)), shade)
    return np.clip(shade, 0.3, 1.5)


@lru_cache(maxsize=256)
def _body_of(pack: Pack) -> _Body:
    if pack.shape == "can":
        return _can(pack)
    if pack.shape == "bag":
        return _bag(pack)
    return _bottle(pack)


def _wrapped(pack: Pack, palette: Palette, height_mm: float, half_width_mm: float) -> Picture:
    """A label around the whole body, its front in the middle, its back at both ends."""
    full = round(2 * math.pi * half_width_mm * ART_PX_PER_MM)
    high = round(height_mm * ART_PX_PER_MM)
    label = back_art(palette, full, high)
    front = front_art(pack, full * 0.40 / ART_PX_PER_MM, height_mm)
    left = (full - front.shape[1]) // 2
    edge = front[:, :1].copy()
    label[:, left - front.shape[1] // 5 : left + front.shape[1] // 5] = edge[: label.shape[0]]
    label[:, left + front.shape[1] * 4 // 5 : left + front.shape[1] * 6 // 5] = front[: label.shape[0], -1:]
    label[:, left : left + front.shape[1]] = front[: label.shape[0]]
    return label


def _can(pack: Pack) -> _Body:
    palette = palette_of(pack)
    r = pack.width_mm / 2
    level = np.linspace(0, 1, 61)
    beverage = pack.height_mm > 1.6 * pack.width_mm
    if beverage:
        taper = np.clip((level - 0.9) / 0.1, 0, 1)
        foot = np.clip((0.05 - level) / 0.05, 0, 1)
        half = r * (1 - 0.2 * taper - 0.14 * foot)
        texture = _wrapped(pack, palette, pack.height_mm, r)
        rim = texture.shape[0] * 4 // 100
    else:
        half = r * np.where((level < 0.04) | (level > 0.96), 1.0, 0.965)
        texture = _wrapped(pack, palette, pack.height_mm, r)
        rim = max(4, texture.shape[0] * 5 // 100)
    silver = np.array([190, 190, 186])
    texture[:rim] = silver
    texture[-rim:] = silver * 0.8
    return _Body(half, half, texture, flat=False, gloss=0.45, lid=(196, 197, 194))


def _bag(pack: Pack) -> _Body:
    level = np.linspace(0, 1, 81)
    pillow = np.sin(np.pi * np.clip((level - 0.0) / 0.96, 0, 1)) ** 0.45
    standing = np.where(level < 0.3, np.maximum(pillow, 0.85), pillow)
    crimped = level > 0.955
    half_width = pack.width_mm / 2 * np.where(crimped, 0.97, 1.0 - 0.07 * np.sin(np.pi * level))
    half_depth = pack.depth_mm / 2 * np.where(crimped, 0.03, standing)
    front = front_art(pack, pack.width_mm, pack.height_mm)
    texture = cast(
        Picture,
        np.concatenate(
            [front[:, ::-1][:, front.shape[1] // 2 :], front, front[:, ::-1][:, : front.shape[1] // 2]], axis=1
        ),
    )
    return _Body(half_width, half_depth, texture, flat=True, gloss=0.2, lid=(0, 0, 0))


def _bottle(pack: Pack) -> _Body:
    rng = np.random.default_rng([seed_of(pack), 5])
    palette = palette_of(pack)
    r = pack.width_mm / 2
    jar = pack.height_mm < 150
    words = pack.name.lower()
    level = np.linspace(0, 1, 101)
    if jar:
        shoulder, neck, neck_share = 0.72, 0.82, 0.86
    elif "ketchup" in words or "mayo" in words or "soap" in words or "shampoo" in words:
        shoulder, neck, neck_share = 0.62, 0.85, 0.55
    else:
        shoulder = float(rng.uniform(0.52, 0.68))
        neck, neck_share = shoulder + float(rng.uniform(0.12, 0.2)), float(rng.uniform(0.3, 0.42))
    fall = np.clip((level - shoulder) / (neck - shoulder), 0, 1)
    fall = fall * fall * (3 - 2 * fall)
    half = r * (1 - (1 - neck_share) * fall)
    half *= 1 - 0.1 * np.clip((0.03 - level) / 0.03, 0, 1)
    cap_from = 0.8 if jar else float(rng.uniform(0.87, 0.93))
    half = np.where(level >= cap_from, half * (1.06 if not jar else 1.08), half)
    half = np.minimum(half, r)
    glass = (228, 220, 206) if pack.clear else _liquid_of(words, palette, rng)
    high, full = round(pack.height_mm * ART_PX_PER_MM), round(2 * math.pi * r * ART_PX_PER_MM)
    texture = np.empty((high, full, 3), np.uint8)
    texture[:] = glass
    ramp = np.linspace(1.12, 0.86, high)[:, None, None]
    texture = np.clip(texture * ramp, 0, 255).astype(np.uint8)
    air = round(high * (1 - cap_from))
    level_of_liquid = round(high * (1 - cap_from + (0.06 if jar else 0.1)))
    texture[air:level_of_liquid] = mixed(glass, (235, 235, 235), 0.45)
    label_top, label_bottom = (0.24, 0.88) if jar else (1 - shoulder + 0.04, float(rng.uniform(0.86, 0.94)))
    top, bottom = round(high * label_top), round(high * label_bottom)
    if pack.clear:  # a narrow label, so that much can be seen through
        middle = (top + bottom) // 2
        top, bottom = middle - (bottom - top) // 5, middle + (bottom - top) // 5
    label = _wrapped(pack, palette, (bottom - top) / ART_PX_PER_MM, r)
    label = resized(label, full, bottom - top)
    reach = full if rng.random() < 0.6 else round(full * 0.52)
    left = (full - reach) // 2
    texture[top:bottom, left : left + reach] = label[:, left : left + reach]
    cap = (
        from_hsv(float(rng.uniform(0, 360)), 0.75, float(rng.uniform(0.25, 0.9)))
        if rng.random() < 0.6
        else palette.accent
    )
    cap = (225, 225, 225) if rng.random() < 0.2 else cap
    texture[:air] = cap
    for x in range(0, full, 8):
        texture[2:air, x : x + 3] = mixed(cap, (0, 0, 0), 0.18)
    opacity = None
    if pack.clear:
        opacity = np.where(level >= cap_from, 1.0, _GLASS_OPACITY)
        opacity[(level >= 1 - bottom / high) & (level <= 1 - top / high)] = 1.0
    return _Body(half, half, texture, flat=False, gloss=0.6, lid=cap, opacity=opacity)


def _liquid_of(words: str, palette: Palette, rng: np.random.Generator) -> tuple[int, int, int]:
    if "water" in words:
        return (225, 212, 190)
    if "oil" in words:
        return (40, 170, 190) if "sunflower" in words else (30, 92, 92)
    if "soy" in words or "milk" in words:
        return (225, 232, 236)
    if "honey" in words:
        return (20, 120, 205)
    if "vinegar" in words:
        return (22, 26, 40)
    if "tomato" in words or "passata" in words:
        return (28, 36, 178)
    if "apple" in words:
        return (60, 170, 215)
    if "mustard" in words:
        return (50, 165, 205)
    return mixed(palette.second, palette.base, float(rng.uniform(0, 0.6)))

"""Packs one by one, cut out, each from some sides: reference and training pictures of products."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from shelf_simulator.adapters.pictures import Picture
from shelf_simulator.adapters.shelf_painter import Canvas, paint_item
from shelf_simulator.core.design import Pack
from shelf_simulator.core.geometry import camera_over
from shelf_simulator.core.items import PlacedItem

_SIDE_PX = 320
_DISTANCE_MM = 900.0
_GROUND = 255


def pack_view(pack: Pack, elevation_rad: float, yaw_rad: float, variant: int = 0) -> Picture:
    """The pack alone, cut to its outline: uint8 (height, width, 4), BGR and opacity; its longer side about 300 px."""
    half = pack.width_mm / 2
    corners = [(x, y, z) for x in (-half, half) for y in (0.0, -pack.height_mm) for z in (0.0, pack.depth_mm)]
    away = _DISTANCE_MM + pack.depth_mm
    place = (0.0, -pack.height_mm / 2 - away * math.sin(elevation_rad), -away * math.cos(elevation_rad))
    camera = camera_over(corners, place_mm=place, margin=0.08, size_px=(_SIDE_PX, _SIDE_PX))
    picture = np.full((_SIDE_PX, _SIDE_PX, 3), _GROUND, np.uint8)
    empty = np.zeros((_SIDE_PX, _SIDE_PX), np.int16)
    canvas = Canvas(picture, empty, empty.copy())
    paint_item(canvas, PlacedItem(1, pack, 0.0, 0.0, pack.depth_mm / 2, yaw_rad=yaw_rad, variant=variant), camera)
    mask = (canvas.ids == 1).astype(np.uint8) * 255
    x, y, w, h = cv2.boundingRect(mask)
    cut = np.dstack([canvas.picture, mask])[y : y + h, x : x + w]
    return np.ascontiguousarray(cut)


_SHELF_HEIGHTS_PX = (110, 72, 46)
_SHELF_ELEVATIONS_RAD = (0.05, 0.25, 0.45, 0.65)
_SHELF_GREY = 200.0
_LEAST_SIDE_PX = 20


def write_reference_pictures(out: Path, packs: Sequence[Pack]) -> None:
    """One folder a pack, named as its GTIN, with pictures of it as small as a shelf camera sees it."""
    for pack in packs:
        folder = out / pack.gtin
        folder.mkdir(parents=True, exist_ok=True)
        for view, (height, elevation) in enumerate(itertools.product(_SHELF_HEIGHTS_PX, _SHELF_ELEVATIONS_RAD)):
            cut = pack_view(pack, elevation, 0.05 * (view % 3 - 1), view % 3)
            opacity = cut[..., 3:] / 255.0
            solid = (cut[..., :3] * opacity + _SHELF_GREY * (1 - opacity)).astype(np.uint8)
            scale = max(height / solid.shape[0], _LEAST_SIDE_PX / solid.shape[1])
            size = (round(solid.shape[1] * scale), round(solid.shape[0] * scale))
            small = cv2.GaussianBlur(cv2.resize(solid, size, interpolation=cv2.INTER_AREA), (0, 0), 0.6)
            cv2.imwrite(str(folder / f"{view}.png"), small)


def write_pack_pictures(out: Path, packs: Sequence[Pack], views: int, seed: int) -> Iterator[int]:
    """One folder a pack, named as its GTIN, with ``views`` cut-outs as PNG; yields how many packs are done."""
    for number, pack in enumerate(packs):
        rng = np.random.default_rng([seed, number])
        folder = out / pack.gtin
        folder.mkdir(parents=True, exist_ok=True)
        for view in range(views):
            elevation, yaw = float(rng.uniform(0.0, 0.45)), float(rng.normal(0, 0.15))
            cv2.imwrite(str(folder / f"{view}.png"), pack_view(pack, elevation, yaw, int(rng.integers(3))))
        yield number + 1

"""Which slots people cover, from the geometry alone: no picture is needed to know the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shelf_simulator.core.design import BayDesign, SlotDesign, front_corners_mm
from shelf_simulator.core.geometry import Camera, FloatArray
from shelf_simulator.core.people import DIRECTIONS, Figure, Part, PartKind

_ACROSS, _DOWN = 7, 6
OCCLUDED_SHARE = 0.10


@dataclass(frozen=True, eq=False)
class Coverage:
    """Share (0..1) of each slot's front that is covered, in the order of the design's slots: float64 (slots,).

    Attributes:
        total: by anything; body: by bodies alone; hands: slot indexes that each hand's grip is in front of.
    """

    total: FloatArray
    body: FloatArray


class SlotSight:
    """The slots of a bay as sample points in the picture of a camera, by default the design's."""

    def __init__(self, design: BayDesign, camera: Camera | None = None) -> None:
        self._camera = camera or design.camera
        self._slots = len(design.slots)
        self._points = np.concatenate([_front_points(slot) for slot in design.slots])
        self._pixels = self._camera.project(self._points)
        inside = (self._pixels >= 0).all(axis=1) & (self._pixels < (self._camera.width_px, self._camera.height_px)).all(
            axis=1
        )
        self._inside = inside.reshape(self._slots, -1)
        self._along = self._pixels @ DIRECTIONS.T
        corners = [self._camera.project(front_corners_mm(slot)) for slot in design.slots]
        self._corners = np.stack(corners)

    def coverage(self, figures: Sequence[Figure]) -> Coverage:
        """How much of each slot's front the figures cover."""
        total = np.zeros(len(self._pixels), bool)
        body = np.zeros(len(self._pixels), bool)
        for figure in figures:
            for part, heights in zip(figure.parts, _heights(figure.parts, self._camera), strict=True):
                # the smallest box first: most parts cover no slot
                near = (
                    (self._pixels[:, 0] <= heights[0])
                    & (self._pixels[:, 0] >= -heights[len(heights) // 2])
                    & ~(body if part.kind == "body" else total)
                )
                candidates = np.nonzero(near)[0]
                if not len(candidates):
                    continue
                hit = candidates[(self._along[candidates] <= heights).all(axis=1)]
                total[hit] = True
                if part.kind == "body":
                    body[hit] = True
        return Coverage(self._shares(total), self._shares(body))

    def body_share(self, figures: Sequence[Figure], slot_index: int, kinds: tuple[PartKind, ...] = ("body",)) -> float:
        """How much of one slot parts of some kinds cover."""
        chosen = [Figure([part for part in figure.parts if part.kind in kinds]) for figure in figures]
        return float(self.coverage(chosen).total[slot_index])

    def holds(self, slot_index: int, points_mm: FloatArray) -> bool:
        """Whether any of points (n, 3) is seen within a slot's front polygon."""
        pixels = self._camera.project(points_mm)
        corners = self._corners[slot_index]
        edges = np.roll(corners, -1, axis=0) - corners
        away = pixels[:, None, :] - corners[None, :, :]
        turns = edges[None, :, 0] * away[:, :, 1] - edges[None, :, 1] * away[:, :, 0]
        return bool((turns >= 0).all(axis=1).any())

    def _shares(self, covered: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> FloatArray:
        seen = covered.reshape(self._slots, -1) & self._inside
        shares: FloatArray = seen.sum(axis=1) / np.maximum(1, self._inside.sum(axis=1))
        return shares


def _heights(parts: Sequence[Part], camera: Camera) -> FloatArray:
    """Outlines of all parts at once: how far each reaches in ``DIRECTIONS``, px (parts, 28)."""
    if not parts:
        return np.zeros((0, len(DIRECTIONS)))
    spheres = np.concatenate([part.spheres for part in parts])
    starts = np.cumsum([0, *(len(part.spheres) for part in parts)])[:-1]
    centres = camera.project(spheres[:, :3])
    radii = spheres[:, 3] * camera.focal_px / np.maximum(camera.depth_mm(spheres[:, :3]), 60.0)
    reach = centres @ DIRECTIONS.T + radii[:, None]
    heights: FloatArray = np.maximum.reduceat(reach, starts, axis=0)
    return heights


def _front_points(slot: SlotDesign) -> FloatArray:
    """Points spread over a slot's front rectangle, (42, 3)."""
    (left, top, _), _, (right, bottom, _), _ = front_corners_mm(slot)
    xs = left + (np.arange(_ACROSS) + 0.5) / _ACROSS * (right - left)
    ys = top + (np.arange(_DOWN) + 0.5) / _DOWN * (bottom - top)
    grid_x, grid_y = np.meshgrid(xs, ys)
    return np.stack([grid_x.ravel(), grid_y.ravel(), np.zeros(grid_x.size)], axis=1)

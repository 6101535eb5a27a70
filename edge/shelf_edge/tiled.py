"""One picture, as many looks as it needs: the whole first, then tiles where products would be too small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from shelf_contracts.messages import ModelInfo
from shelf_edge.core.detections import Detections
from shelf_edge.core.frame import Picture
from shelf_edge.core.tiling import merge_tiles, plan_tiles, small_product_px, whole_scale
from shelf_edge.ports import LookingDetector

Tiling = Literal["auto", "never", "always"]

_A_DENSE_SHELF = 12
_MOST_LEVELS = 3
"""Tiles of tiles: what is found in coarse ones may still be too small."""


@dataclass(frozen=True)
class TiledLook:
    """Attributes:
    looks: how often the model ran: 1, or 1 and the number of tiles.
    reason: why that many.
    """

    found: Detections
    looks: int
    reason: str


class TilingDetector:
    """A node's detector that looks again in tiles where products would be too small (``[model] tiles = "auto"``)."""

    def __init__(self, detector: LookingDetector, tiling: Tiling) -> None:
        self._detector = detector
        self._tiling = tiling

    @property
    def info(self) -> ModelInfo:
        return self._detector.info

    def detect(self, image: Picture) -> Detections:
        return detect_tiled(self._detector, image, tiling=self._tiling).found


def detect_tiled(
    detector: LookingDetector, image: Picture, *, tiling: Tiling = "auto", score_threshold: float | None = None
) -> TiledLook:
    """Find products of any size.

    Args:
        score_threshold: for the boxes that come back; what tiles are planned from is always the detector's own.
    """
    threshold = detector.score_threshold if score_threshold is None else score_threshold
    lowest = min(threshold, detector.score_threshold)
    whole = detector.detect_from(image, lowest)
    if tiling == "never":
        return TiledLook(_from(whole, threshold), 1, "tiles are switched off")
    height, width = image.shape[:2]
    size, input_size = (width, height), detector.input_size_px(width, height)
    found, looks, reasons, scale = whole, 1, list[str](), whole_scale(size, input_size)
    for _ in range(_MOST_LEVELS):
        seen_px = small_product_px(_from(found, detector.score_threshold))
        always = tiling == "always" and looks == 1
        plan = plan_tiles(size, input_size, seen_px, looked_scale=scale, always=always)
        if not plan.tiles:
            reasons = reasons or [plan.reason]
            break
        parts = []
        for tile in plan.tiles:
            cutout = np.ascontiguousarray(image[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width])
            parts.append((tile, detector.detect_from(cutout, lowest)))
        fine_px = 0.4 * min(plan.tiles[0].width, plan.tiles[0].height)
        found = merge_tiles(size, whole, parts, fine_px)
        looks += len(plan.tiles)
        scale = plan.scale
        reasons.append(plan.reason)
    is_bare = small_product_px(_from(whole, detector.score_threshold)) is None
    if is_bare and len(_from(found, detector.score_threshold)) < _A_DENSE_SHELF:
        # Products too small for the first look come by the dozen; a few in enlarged wood grain are none.
        found = whole
    return TiledLook(_from(found, threshold), looks, "; ".join(reasons))


def _from(found: Detections, score_threshold: float) -> Detections:
    chosen = found.scores >= score_threshold
    return Detections(found.boxes_px[chosen], found.scores[chosen], found.kinds[chosen])

"""Large pictures in tiles: where to look when products would be too small in one look, and how to join the looks.

Pure planning and merging; who looks is told by the caller. A detector finds little under about 12 px at its input, and
a wide bay in a 12-megapixel picture has hundreds of products of that size.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Boxes, Detections, Kind
from shelf_edge.core.geometry import box_area
from shelf_edge.core.postprocess import suppress

SMALLEST_PRODUCT_PX = 12.0
"""Shorter side of a product at the model's input, under which detectors miss."""
COMFORTABLE_PRODUCT_PX = 24.0
"""What tiles aim at."""
MOST_TILES = 64
_SMALL_QUANTILE = 0.25
_COARSE_SCALE = 0.5
_BARE_STEP = 4
_TOUCH_PX = 2.0
_SAME_SHARE = 0.6
_SEAM_IOU = 0.45


@dataclass(frozen=True)
class Tile:
    """A part of a picture, in its pixels: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class TilePlan:
    """Attributes:
    tiles: row by row; empty when the looks so far are enough.
    scale: input pixels per picture pixel in them; that of the looks so far when there are none.
    reason: in words, for the cost that is shown.
    """

    tiles: tuple[Tile, ...]
    scale: float
    reason: str


def small_product_px(whole: Detections) -> float | None:
    """Shorter side, in picture pixels, of the smaller products found (a quarter is smaller); None if none were."""
    boxes = whole.of(Kind.PRODUCT).boxes_px
    if not len(boxes):
        return None
    sides = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return float(np.quantile(sides, _SMALL_QUANTILE))


def plan_tiles(
    picture_px: tuple[int, int],
    input_px: tuple[int, int],
    product_px: float | None,
    *,
    looked_scale: float | None = None,
    always: bool = False,
) -> TilePlan:
    """Which tiles to look at next.

    Args:
        picture_px, input_px: width and height of the picture and of the model's input.
        product_px: shorter side of its smaller products (``small_product_px``); None when the looks so far found none.
        looked_scale: input pixels per picture pixel of the looks so far; by default that of one look at the whole.
        always: tile even where one look would do.
    Returns: tiles that overlap by a product's size or more, at most 64, never finer than the picture's own pixels.
    """
    scale = looked_scale or whole_scale(picture_px, input_px)
    if product_px is None:
        # Nothing found: either there is nothing, or it is too small to be seen. A picture that was shrunk by more
        # than two is looked at once more, four times as large; when that finds nothing either, it is believed.
        if scale >= _COARSE_SCALE and not always:
            return TilePlan((), scale, "nothing found at nearly full size")
        if scale > whole_scale(picture_px, input_px) * 1.15:
            return TilePlan((), scale, "nothing found in the tiles either")
        wanted, overlap_px = _BARE_STEP * scale, SMALLEST_PRODUCT_PX / scale
        reason = "nothing found in a picture shrunk by more than two"
    else:
        seen_px = product_px * scale
        if seen_px >= SMALLEST_PRODUCT_PX and not always:
            return TilePlan((), scale, f"products measure {seen_px:.0f} px at the input")
        wanted = 2 * scale if always else COMFORTABLE_PRODUCT_PX / product_px
        overlap_px = 2.5 * product_px
        reason = f"products measure {seen_px:.1f} px at the input, under {SMALLEST_PRODUCT_PX:.0f}"
    wanted = min(1.0, wanted)
    if wanted <= scale * 1.15:
        return TilePlan((), scale, f"the picture has no more pixels to give ({reason})")
    tiles, wanted = _cover(picture_px, input_px, wanted, overlap_px)
    if wanted <= scale * 1.15:
        return TilePlan((), scale, f"more than {MOST_TILES} tiles would be needed ({reason})")
    return TilePlan(tiles, wanted, reason)


def whole_scale(picture_px: tuple[int, int], input_px: tuple[int, int]) -> float:
    """Input pixels per picture pixel when the whole picture is looked at."""
    return min(input_px[0] / picture_px[0], input_px[1] / picture_px[1])


def _cover(
    picture_px: tuple[int, int], input_px: tuple[int, int], scale: float, overlap_px: float
) -> tuple[tuple[Tile, ...], float]:
    """Tiles of the input's size at ``scale``, evenly laid over the picture; coarser when there would be too many."""
    while True:
        counts = []
        for side, tile in zip(picture_px, (input_px[0] / scale, input_px[1] / scale), strict=True):
            step = max(tile - overlap_px, tile / 2)
            counts.append(1 if side <= tile else 1 + ceil((side - tile) / step))
        if counts[0] * counts[1] <= MOST_TILES:
            break
        scale *= 0.9
    width = min(picture_px[0], ceil(input_px[0] / scale))
    height = min(picture_px[1], ceil(input_px[1] / scale))
    lefts = [round(at) for at in np.linspace(0, picture_px[0] - width, counts[0])]
    tops = [round(at) for at in np.linspace(0, picture_px[1] - height, counts[1])]
    return tuple(Tile(x, y, width, height) for y in tops for x in lefts), scale


def merge_tiles(
    picture_px: tuple[int, int], whole: Detections, parts: list[tuple[Tile, Detections]], fine_px: float
) -> Detections:
    """All looks as one: boxes of tiles in picture pixels, cut ones dropped, doubles on seams merged.

    Args:
        whole: from the look at the whole picture; its boxes are used where they are too large for a tile.
        parts: each tile with what was found in it, in the tile's pixels.
        fine_px: boxes of the whole look with a longer side above it stay (they may not fit a tile).
    Returns: detections in picture pixels, best first.
    """
    boxes, scores, kinds, is_cut = [], [], [], []
    for tile, found in parts:
        moved = found.boxes_px + np.array([tile.x, tile.y] * 2, np.float32)
        boxes.append(moved)
        scores.append(found.scores)
        kinds.append(found.kinds)
        is_cut.append(_touches_inner_border(moved, tile, picture_px))
    sides = whole.boxes_px[:, 2:] - whole.boxes_px[:, :2]
    # Hands and people of the whole look are better than halves of them; so are products larger than a tile takes whole.
    large = (whole.kinds != Kind.PRODUCT) | (sides.max(axis=1, initial=0.0) > fine_px)
    boxes.append(whole.boxes_px[large])
    scores.append(whole.scores[large])
    kinds.append(whole.kinds[large])
    is_cut.append(np.zeros(int(large.sum()), bool))
    together = Detections(
        np.concatenate(boxes).astype(np.float32), np.concatenate(scores), np.concatenate(kinds).astype(np.uint8)
    )
    return _without_doubles(together, np.concatenate(is_cut))


def _touches_inner_border(boxes: Boxes, tile: Tile, picture_px: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(n,) which boxes end at a border of the tile that is none of the picture: they may be cut there."""
    cut = np.zeros(len(boxes), bool)
    if tile.x > 0:
        cut |= boxes[:, 0] <= tile.x + _TOUCH_PX
    if tile.y > 0:
        cut |= boxes[:, 1] <= tile.y + _TOUCH_PX
    if tile.x + tile.width < picture_px[0]:
        cut |= boxes[:, 2] >= tile.x + tile.width - _TOUCH_PX
    if tile.y + tile.height < picture_px[1]:
        cut |= boxes[:, 3] >= tile.y + tile.height - _TOUCH_PX
    return cut


def _without_doubles(found: Detections, is_cut: npt.NDArray[np.bool_]) -> Detections:
    """Whole boxes first, by score; then cut ones that are no part of a kept box.

    The same thing: IoU above 0.45, or, for a cut box, 60 % of it within the kept one.
    """
    kept = [
        int(index)
        for index in np.flatnonzero(~is_cut)[
            suppress(found.boxes_px[~is_cut], found.scores[~is_cut], found.kinds[~is_cut], _SEAM_IOU)
        ]
    ]
    cut = np.flatnonzero(is_cut)
    for index in cut[np.argsort(-found.scores[cut], kind="stable")]:
        rivals = np.array(kept, np.intp)
        rivals = rivals[found.kinds[rivals] == found.kinds[index]]
        if not _is_part(found.boxes_px[index], found.boxes_px[rivals]):
            kept.append(int(index))
    best = np.array(kept, np.intp)
    best = best[np.argsort(-found.scores[best], kind="stable")]
    return Detections(found.boxes_px[best], found.scores[best], found.kinds[best])


def _is_part(box: npt.NDArray[np.float32], rivals: Boxes) -> bool:
    left_top = np.maximum(box[:2], rivals[:, :2])
    right_bottom = np.minimum(box[2:], rivals[:, 2:])
    overlap = np.prod(np.clip(right_bottom - left_top, 0, None), axis=1)
    own = float(box_area(box[None])[0])
    union = own + box_area(rivals) - overlap
    return bool(((overlap >= _SAME_SHARE * own) | (overlap > _SEAM_IOU * union)).any())

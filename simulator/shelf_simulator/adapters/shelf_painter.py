"""Draws a bay and its items exactly: painter's order for colour, with an id and a depth for every pixel.

Order: shelves from the one furthest in height from the camera to the nearest; on a shelf the columns from the outermost
to the one the camera looks at; in a column from the rear. Columns are apart in x, so this is exact and needs no sorting
of surfaces. A pixel's depth is the bay's z of what is seen there: along a line of sight z only grows, so comparing z
decides what is in front.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from shelf_simulator.adapters.fixture_art import (
    LIP_MM,
    Look,
    back_surface,
    background,
    board_surface,
    lip_surface,
    plain_surface,
    ramp_surface,
)
from shelf_simulator.adapters.pack_art import BoxArt, box_art
from shelf_simulator.adapters.pictures import Mask, Picture, mixed, resized, shaded
from shelf_simulator.adapters.turned_art import sprite_of
from shelf_simulator.core.design import BayDesign, Pack
from shelf_simulator.core.geometry import Camera, FloatArray
from shelf_simulator.core.items import PlacedItem, on_its_side

_LEVELS = (0.12, 0.2, 0.3, 0.42, 0.6, 0.85, 1.2, 1.7, 2.0)
_FAR_Z_MM = 30_000


@dataclass(eq=False)
class Canvas:
    """A picture that is being painted: colours, ids int16 (0 nothing, 1.. items), depths int16 (the bay's z in mm)."""

    picture: Picture
    ids: NDArray[np.int16]
    depths: NDArray[np.int16]

    def copy(self) -> Canvas:
        return Canvas(self.picture.copy(), self.ids.copy(), self.depths.copy())

    def part(self, box: tuple[int, int, int, int]) -> Canvas:
        """A window (left, top, right, bottom) on the same pixels."""
        left, top, right, bottom = box
        rows, columns = slice(top, bottom), slice(left, right)
        return Canvas(self.picture[rows, columns], self.ids[rows, columns], self.depths[rows, columns])


class ShelfPainter:
    """Paints one bay as one camera sees it.

    The empty fixture is painted once; ``paint`` puts items on it, the whole picture or a window of it.
    """

    def __init__(self, design: BayDesign, look: Look, camera: Camera | None = None) -> None:
        self.design = design
        self.look = look
        self.camera = camera or design.camera
        self._empty, self._tiers = self._paint_empty()
        self._order = self._far_to_near()
        self._tier_masks: list[tuple[tuple[int, int, int, int], Mask]] = []
        for index in range(len(design.shelves)):
            mask = (self._tiers == index + 1).astype(np.uint8)
            x, y, w, h = cv2.boundingRect(mask)
            self._tier_masks.append(((x, y, x + w, y + h), mask))

    def blank(self) -> Canvas:
        """A copy of the fixture without items."""
        return self._empty.copy()

    def paint(self, items: Sequence[PlacedItem]) -> Canvas:
        """The fixture with its items."""
        canvas = self._empty.copy()
        whole = (0, 0, self.camera.width_px, self.camera.height_px)
        self._paint_into(canvas, items, whole)
        return canvas

    def repaint(self, canvas: Canvas, items: Sequence[PlacedItem], box: tuple[int, int, int, int]) -> None:
        """Paint a window (left, top, right, bottom) again; the result equals a whole ``paint`` there."""
        left, top, right, bottom = box
        window, empty = canvas.part(box), self._empty.part(box)
        window.picture[:] = empty.picture
        window.ids[:] = empty.ids
        window.depths[:] = empty.depths
        near = [item for item in items if _overlap(self.reach_of(item), (left, top, right, bottom))]
        self._paint_into(canvas, near, box, all_items=items)

    def reach_of(self, item: PlacedItem) -> tuple[int, int, int, int]:
        """The box in the picture (left, top, right, bottom) that an item does not exceed."""
        pixels = self.camera.project(_corners(item))
        (x0, y0), (x1, y1) = pixels.min(axis=0), pixels.max(axis=0)
        return (math.floor(x0) - 3, math.floor(y0) - 3, math.ceil(x1) + 4, math.ceil(y1) + 4)

    def _paint_into(
        self, canvas: Canvas, items: Sequence[PlacedItem], box: tuple[int, int, int, int],
        all_items: Sequence[PlacedItem] | None = None,
    ) -> None:  # fmt: skip
        left, top, right, bottom = box
        for turn, tier in enumerate(self._order):
            tier_box, mask = self._tier_masks[tier]
            x0, y0, x1, y1 = (
                max(left, tier_box[0]),
                max(top, tier_box[1]),
                min(right, tier_box[2]),
                min(bottom, tier_box[3]),
            )
            if x0 < x1 and y0 < y1:
                window, empty = canvas.part((x0, y0, x1, y1)), self._empty.part((x0, y0, x1, y1))
                here = mask[y0:y1, x0:x1]
                if turn:
                    cv2.copyTo(empty.picture, here, window.picture)
                    cv2.copyTo(empty.ids, here, window.ids)
                    cv2.copyTo(empty.depths, here, window.depths)
                standing = [item for item in all_items or items if item.shelf == tier]
                self._shade_under(window.picture, standing, (x0, y0), here)
            on_tier = [item for item in items if item.shelf == tier]
            on_tier.sort(key=lambda item: (-abs(item.column_x_mm - self.camera.x_mm), -item.z_mm))
            for item in on_tier:
                paint_item(canvas, item, self.camera, clip=box, gain=self._gain(item))

    def _gain(self, item: PlacedItem) -> float:
        depth = self.design.depth_mm
        into = min(1.0, max(0.0, item.z_mm / depth))
        tier = self.look.tier_light[item.shelf] if item.shelf < len(self.look.tier_light) else 1.0
        return float(item.light * tier * (1.0 - (1.0 - self.look.rear_light) * into**0.9))

    def _shade_under(self, picture: Picture, items: Sequence[PlacedItem], origin: tuple[int, int], here: Mask) -> None:
        """Soft dark places on the board where items stand."""
        if not items:
            return
        dark: NDArray[Any] = np.zeros(picture.shape[:2], np.uint8)
        for item in items:
            w, d = item.pack.width_mm / 2 + 7, item.pack.depth_mm / 2 + 10
            foot = [
                (item.x_mm + sx * w, item.y_mm, item.z_mm + sz * d) for sx, sz in ((-1, -1), (1, -1), (1, 1), (-1, 1))
            ]
            pixels = self.camera.project(foot) - origin
            cv2.fillConvexPoly(dark, pixels.round().astype(np.int32), 125)
        size = max(3, round(self.camera.width_px / 960 * 9) | 1)
        dark = cv2.GaussianBlur(dark, (size, size), 0)
        keep = cv2.subtract(np.full_like(dark, 255), cv2.bitwise_and(dark, dark, mask=here))
        cv2.multiply(picture, cv2.merge([keep, keep, keep]), picture, scale=1 / 255)

    def _far_to_near(self) -> list[int]:
        tiers = range(len(self.design.shelves))
        return sorted(tiers, key=lambda i: -abs(self.design.shelves[i].board_y_mm - self.camera.y_mm))

    def _paint_empty(self) -> tuple[Canvas, Mask]:
        design, look, camera = self.design, self.look, self.camera
        h, w = camera.height_px, camera.width_px
        picture = background(look, camera, design)
        canvas = Canvas(picture, np.zeros((h, w), np.int16), np.full((h, w), _FAR_Z_MM, np.int16))
        tiers = np.zeros((h, w), np.uint8)
        right, depth = design.width_mm, design.depth_mm
        rng = np.random.default_rng(design.look_seed)
        bottom = design.shelves[-1].board_y_mm + LIP_MM
        kick = plain_surface(mixed(look.side, (40, 40, 40), 0.3), 200, 60)
        _paint_plane(
            canvas,
            camera,
            kick,
            [(0, bottom, 6), (right, bottom, 6), (right, design.height_mm, 6), (0, design.height_mm, 6)],
        )
        for index in self._far_to_near():
            shelf = design.shelves[index]
            y, ceiling = shelf.board_y_mm, shelf.board_y_mm - shelf.space_mm
            light = look.tier_light[index] if index < len(look.tier_light) else 1.0
            marked = Canvas(canvas.picture, np.zeros((h, w), np.int16), canvas.depths)
            back = back_surface(look, right, shelf.space_mm, light * (0.55 + 0.45 * look.rear_light), rng)
            _paint_plane(
                marked,
                camera,
                back,
                [(0, ceiling, depth), (right, ceiling, depth), (right, y, depth), (0, y, depth)],
                number=1,
            )
            side = ramp_surface(look.side, 60, 60, light * look.rear_light, light * 0.92, across=True)
            if camera.x_mm > 0:
                _paint_plane(
                    marked,
                    camera,
                    side[:, ::-1],
                    [(0, ceiling, 0), (0, ceiling, depth), (0, y, depth), (0, y, 0)],
                    number=1,
                )
            if camera.x_mm < right:
                _paint_plane(
                    marked,
                    camera,
                    side,
                    [(right, ceiling, depth), (right, ceiling, 0), (right, y, 0), (right, y, depth)],
                    number=1,
                )
            if camera.y_mm < y:
                board = board_surface(look, right, depth, light, rng)
                _paint_plane(
                    marked, camera, board, [(0, y, depth), (right, y, depth), (right, y, 0), (0, y, 0)], number=1
                )
            if camera.y_mm > ceiling:
                under = plain_surface(mixed(look.board, (20, 20, 20), 0.62), 40, 40)
                _paint_plane(
                    marked,
                    camera,
                    under,
                    [(0, ceiling, 0), (right, ceiling, 0), (right, ceiling, depth), (0, ceiling, depth)],
                    number=1,
                )
            lip = lip_surface(design, look, index, light, rng)
            low = y + LIP_MM
            _paint_plane(marked, camera, lip, [(0, y, 0), (right, y, 0), (right, low, 0), (0, low, 0)], number=1)
            tiers[marked.ids > 0] = index + 1
        top = design.shelves[0].board_y_mm - design.shelves[0].space_mm
        for x, inner in ((-22.0, 0.0), (right, right + 22.0)):
            post = ramp_surface(look.side, 20, 80, 1.02, 0.9, across=False)
            _paint_plane(
                canvas,
                camera,
                post,
                [(x, top, 0), (inner, top, 0), (inner, design.height_mm, 0), (x, design.height_mm, 0)],
            )
        return canvas, tiers


def paint_item(
    canvas: Canvas,
    item: PlacedItem,
    camera: Camera,
    *,
    clip: tuple[int, int, int, int] | None = None,
    gain: float = 1.0,
) -> float:
    """Paint one item over what is there.

    Args:
        clip: only this window (left, top, right, bottom) of the canvas is painted; the whole of it by default.
        gain: its light.
    Returns: the area in px that the whole item would have, were nothing in front of it and the picture endless.
    """
    clip = clip or (0, 0, camera.width_px, camera.height_px)
    scale = camera.focal_px / max(200.0, float(camera.depth_mm([(item.x_mm, item.y_mm, item.z_mm)])[0]))
    if item.pack.shape == "box":
        return _paint_box(canvas, item, camera, clip, gain, scale)
    return _paint_turned(canvas, item, camera, clip, gain, scale)


def _paint_turned(
    canvas: Canvas, item: PlacedItem, camera: Camera, clip: tuple[int, int, int, int], gain: float, scale: float
) -> float:
    pack = item.pack
    x, y, z = item.x_mm, item.y_mm, item.z_mm
    elevation = camera.elevation_rad((x, y - pack.height_mm / 2, z))
    sprite = sprite_of(pack, elevation, item.variant, _level(scale))
    half = pack.width_mm / 2
    cos_t, sin_t = math.cos(item.yaw_rad), math.sin(item.yaw_rad)
    base, top, right = camera.project(
        [(x, y, z), (x, y - pack.height_mm, z), (x + half * cos_t, y, z - half * sin_t * 0.3)]
    )
    source = np.array([sprite.base_px, sprite.top_px, (sprite.base_px[0] + half * sprite.px_per_mm, sprite.base_px[1])])
    matrix = cv2.getAffineTransform(source.astype(np.float32), np.array([base, top, right]).astype(np.float32))
    h, w = sprite.mask.shape
    ends = np.array([(0, 0, 1), (w, 0, 1), (w, h, 1), (0, h, 1)], np.float64) @ matrix.astype(np.float64).T
    box = _clipped(ends, clip)
    area = float(abs(np.linalg.det(matrix[:, :2]))) * cv2.countNonZero(sprite.mask)
    if box is None:
        return area
    left, above, right_px, below = box
    matrix[:, 2] -= (left, above)
    size = (right_px - left, below - above)
    picture = cv2.warpAffine(sprite.picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(sprite.mask, matrix, size, flags=cv2.INTER_LINEAR)
    mask = cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY)[1]
    if gain != 1.0:
        picture = cv2.convertScaleAbs(picture, alpha=gain)
    window = canvas.part(box)
    if sprite.opacity is not None:
        share = cv2.warpAffine(sprite.opacity, matrix, size, flags=cv2.INTER_LINEAR)[..., None].astype(np.uint16)
        picture = ((picture * share + window.picture * (255 - share)) // 255).astype(np.uint8)
    cv2.copyTo(picture, mask, window.picture)
    seen = mask > 0
    window.ids[seen] = item.number
    window.depths[seen] = round(z - pack.depth_mm * 0.35)
    return area


def _paint_box(
    canvas: Canvas, item: PlacedItem, camera: Camera, clip: tuple[int, int, int, int], gain: float, scale: float
) -> float:
    art = _lying_level(item.pack, _level(scale)) if item.is_lying else _box_level(item.pack, _level(scale))
    c = _corners(item)
    # corners: 0..3 top (front-left, front-right, back-right, back-left), 4..7 the same below
    faces = (
        (art.front, (0, 1, 5, 4), 1.0, -item.pack.depth_mm / 2),
        (art.side, (3, 0, 4, 7), 0.72, 0.0),
        (art.side, (1, 2, 6, 5), 0.8, 0.0),
        (art.top, (3, 2, 1, 0), 1.1, 0.0),
    )
    eye = camera.place_mm
    pixels = camera.project(c)
    for texture, corners, light, ahead in faces:
        a, b, d = c[corners[0]], c[corners[1]], c[corners[3]]
        outward = np.cross(d - a, b - a)
        if float(outward @ (eye - a)) <= 0:
            continue
        quad = pixels[list(corners)]
        box = _clipped(quad, clip)
        if box is None:
            continue
        window = canvas.part(box)
        quad = quad - (box[0], box[1])
        h, w = texture.shape[:2]
        # The texture's edge is drawn half a pixel outside so that neighbouring faces leave no seam.
        source = np.array([(0, 0), (w - 1, 0), (w - 1, h - 1), (0, h - 1)], np.float32)
        matrix = cv2.getPerspectiveTransform(source, quad.astype(np.float32))
        size = (box[2] - box[0], box[3] - box[1])
        drawn = cv2.warpPerspective(
            shaded(texture, gain * light), matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        mask = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillConvexPoly(mask, (quad * 16).round().astype(np.int32), 255, cv2.LINE_8, 4)
        cv2.copyTo(drawn, mask, window.picture)
        seen = mask > 0
        window.ids[seen] = item.number
        window.depths[seen] = round(item.z_mm + ahead)
    return float(cv2.contourArea(cv2.convexHull(pixels.astype(np.float32))))


def _level(px_per_mm: float) -> float:
    """The next finer step of texture sizes."""
    return next((level for level in _LEVELS if level >= px_per_mm * 0.95), _LEVELS[-1])


@lru_cache(maxsize=600)
def _box_level(pack: Pack, px_per_mm: float) -> BoxArt:
    art = box_art(pack)
    w, h, d = (max(3, round(mm * px_per_mm)) for mm in (pack.width_mm, pack.height_mm, pack.depth_mm))
    return BoxArt(resized(art.front, w, h), resized(art.side, d, h), resized(art.top, w, d))


@lru_cache(maxsize=256)
def _lying_level(pack: Pack, px_per_mm: float) -> BoxArt:
    """A box that fell to its right: its print a quarter turned, its top now a side."""
    art = _box_level(on_its_side(pack), px_per_mm)
    front, top = (np.ascontiguousarray(np.rot90(face, -1)) for face in (art.front, art.side))
    return BoxArt(front, np.ascontiguousarray(np.rot90(art.top)), top)


def _corners(item: PlacedItem) -> FloatArray:
    """The eight corners of an item's box (8, 3): top front-left, front-right, back-right, back-left, then below."""
    pack = item.pack
    w, d = pack.width_mm / 2, pack.depth_mm / 2
    cos_t, sin_t = math.cos(item.yaw_rad), math.sin(item.yaw_rad)
    flat = np.array([(-w, -d), (w, -d), (w, d), (-w, d)]) @ np.array([(cos_t, -sin_t), (sin_t, cos_t)])
    corners = np.empty((8, 3))
    corners[:4, 0] = corners[4:, 0] = item.x_mm + flat[:, 0]
    corners[:4, 2] = corners[4:, 2] = item.z_mm + flat[:, 1]
    corners[:4, 1] = item.y_mm - pack.height_mm
    corners[4:, 1] = item.y_mm
    return corners


def _clipped(points: FloatArray, clip: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    left, top = max(clip[0], math.floor(x0)), max(clip[1], math.floor(y0))
    right, bottom = min(clip[2], math.ceil(x1) + 1), min(clip[3], math.ceil(y1) + 1)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _paint_plane(
    canvas: Canvas, camera: Camera, texture: Picture, corners: Sequence[tuple[float, float, float]], *, number: int = 0
) -> None:
    """Paint a rectangle of the bay (top left, top right, bottom right, bottom left of its texture)."""
    pixels = camera.project(corners)
    if float(camera.depth_mm(corners).min()) < 60:
        return
    box = _clipped(pixels, (0, 0, camera.width_px, camera.height_px))
    if box is None:
        return
    window = canvas.part(box)
    quad = pixels - (box[0], box[1])
    h, w = texture.shape[:2]
    matrix = cv2.getPerspectiveTransform(
        np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32), quad.astype(np.float32)
    )
    size = (box[2] - box[0], box[3] - box[1])
    drawn = cv2.warpPerspective(texture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillConvexPoly(mask, (quad * 16).round().astype(np.int32), 255, cv2.LINE_8, 4)
    cv2.copyTo(drawn, mask, window.picture)
    seen = mask > 0
    window.ids[seen] = number
    z = np.array([corner[2] for corner in corners])
    if float(np.ptp(z)) < 1:
        window.depths[seen] = round(float(z[0]))
        return
    # z of a plane seen in perspective: warp a ramp of z through the same homography
    rows, columns = 24, 24
    v = (np.arange(rows) + 0.5)[:, None] / rows
    u = (np.arange(columns) + 0.5)[None, :] / columns
    ramp = ((z[0] * (1 - u) + z[1] * u) * (1 - v) + (z[3] * (1 - u) + z[2] * u) * v).astype(np.float32)
    squeeze = np.array([[w / columns, 0, 0], [0, h / rows, 0], [0, 0, 1.0]])
    levels = cv2.warpPerspective(ramp, matrix @ squeeze, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    window.depths[seen] = levels[seen].astype(np.int16)

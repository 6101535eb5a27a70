"""A photo of a product made different every time it is seen: where from, in what light, how sharp, behind what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
CutOut = npt.NDArray[np.uint8]

_WHITE = 255


@dataclass(frozen=True)
class ViewPlan:
    """How far a view may differ from its photo.

    Attributes:
        size_px: side of the square that comes out.
        least_area: the smallest share of the photo that is shown.
        corner_shift: how far each corner wanders, in shares of the side: the perspective.
        turn_degrees: standard deviation of the tilt.
        covered: how often something lies in front of it: a hand, a neighbour.
        on_white: how often its middle is cut out onto white, as in a catalogue.
    """

    size_px: int = 160
    least_area: float = 0.3
    corner_shift: float = 0.07
    turn_degrees: float = 8.0
    covered: float = 0.35
    on_white: float = 0.12
    blurred: float = 0.2
    relit: float = 0.85


def view_of(
    photo: Picture,
    rng: np.random.Generator,
    plan: ViewPlan,
    other: Callable[[], Picture] | None = None,
    *,
    may_mirror: bool = False,
) -> Picture:
    """One view, (size_px, size_px, 3) uint8 in the photo's order of colours.

    Args:
        other: gives a picture of something else, for what covers a part.
        may_mirror: for things without print.
    """
    if rng.random() < plan.on_white:
        photo = _middle_on_white(photo, rng)
    if plan.covered and rng.random() < plan.covered:
        photo = _covered(photo, rng, other() if other is not None and rng.random() < 0.6 else None)
    view = _seen_from(photo, rng, plan, mirrored=may_mirror and rng.random() < 0.5)
    if rng.random() < plan.relit:
        view = _relit(view, rng)
    if rng.random() < plan.blurred:
        view = _blurred(view, rng)
    return view


def still_view(photo: Picture, size_px: int) -> Picture:
    """The photo's middle square, unchanged but for its size: what a model is measured on."""
    height, width = photo.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = photo[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > size_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cut, (size_px, size_px), interpolation=how), np.uint8)


def placed_on(cut_out: CutOut, ground: Picture, rng: np.random.Generator) -> Picture:
    """A cut-out (h, w, 4) somewhere in the middle of a ground, most of which it fills: the ground's size."""
    height, width = ground.shape[:2]
    fit = min(height / cut_out.shape[0], width / cut_out.shape[1]) * float(rng.uniform(0.6, 0.98))
    size = (max(8, round(cut_out.shape[1] * fit)), max(8, round(cut_out.shape[0] * fit)))
    thing = np.asarray(cv2.resize(cut_out, size, interpolation=cv2.INTER_AREA), np.uint8)
    left, top = int(rng.uniform(0, width - size[0])), int(rng.uniform(0, height - size[1]))
    made = ground.copy()
    under = made[top : top + size[1], left : left + size[0]].astype(np.float32)
    opacity = thing[..., 3:].astype(np.float32) / 255
    made[top : top + size[1], left : left + size[0]] = (thing[..., :3] * opacity + under * (1 - opacity)).astype(
        np.uint8
    )
    return made


def _middle_on_white(photo: Picture, rng: np.random.Generator) -> Picture:
    """Products are photographed in the middle: a box or an oval around it, on white."""
    height, width = photo.shape[:2]
    w, h = width * float(rng.uniform(0.45, 0.85)), height * float(rng.uniform(0.6, 0.98))
    x, y = width / 2 + float(rng.normal(0, 0.03)) * width, height / 2 + float(rng.normal(0, 0.03)) * height
    mask = np.zeros((height, width), np.uint8)
    if rng.random() < 0.6:
        cv2.rectangle(mask, (round(x - w / 2), round(y - h / 2)), (round(x + w / 2), round(y + h / 2)), 255, -1)
    else:
        cv2.ellipse(mask, ((x, y), (w, h), 0.0), 255, -1)
    ground = _WHITE if rng.random() < 0.8 else int(rng.integers(256))
    return np.asarray(np.where(mask[..., None] > 0, photo, np.uint8(ground)), np.uint8)


_SKIN = ((205, 160, 130), (235, 190, 165), (150, 105, 80), (95, 65, 50))


def _covered(photo: Picture, rng: np.random.Generator, other: Picture | None) -> Picture:
    height, width = photo.shape[:2]
    made = photo.copy()
    w, h = int(width * rng.uniform(0.12, 0.45)), int(height * rng.uniform(0.12, 0.45))
    left, top = int(rng.uniform(-0.3 * w, width - 0.7 * w)), int(rng.uniform(-0.3 * h, height - 0.7 * h))
    x1, y1, x2, y2 = max(0, left), max(0, top), min(width, left + w), min(height, top + h)
    if other is not None and other.shape[0] >= y2 - y1 and other.shape[1] >= x2 - x1:
        made[y1:y2, x1:x2] = other[: y2 - y1, : x2 - x1]
        return made
    tone = np.clip(np.array(_SKIN[int(rng.integers(len(_SKIN)))]) + rng.normal(0, 14, 3), 0, 255)
    for finger in range(int(rng.integers(1, 5))):  # fingers around a pack, or one arm before it
        centre = (x1 + w * (finger + 0.5) / 4, top + h / 2 + float(rng.normal(0, h * 0.1)))
        axes = (max(4.0, w * 0.3), max(6.0, h * float(rng.uniform(0.7, 1.1))))
        colour = tuple(float(value) for value in np.clip(tone + rng.normal(0, 6, 3), 0, 255))
        cv2.ellipse(made, (centre, axes, float(rng.normal(0, 20))), colour, -1, cv2.LINE_AA)
    return made


def _seen_from(photo: Picture, rng: np.random.Generator, plan: ViewPlan, *, mirrored: bool) -> Picture:
    """A crop, tilted and in perspective, by one resampling; what lies outside the photo is its mirror image."""
    height, width = photo.shape[:2]
    area = float(rng.uniform(plan.least_area, 1.05)) * height * width
    ratio = float(np.exp(rng.uniform(-0.28, 0.28)))
    w, h = min((area * ratio) ** 0.5, width * 1.05), min((area / ratio) ** 0.5, height * 1.05)
    room_x, room_y = max(0.0, width - w), max(0.0, height - h)
    # Products are in the middle of their photo, so crops are drawn towards it.
    x = width / 2 + float(rng.triangular(-0.5, 0.0, 0.5)) * room_x
    y = height / 2 + float(rng.triangular(-0.5, 0.0, 0.5)) * room_y
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * (w, h)
    angle = np.deg2rad(float(rng.normal(0, plan.turn_degrees)))
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    corners = corners @ turn.T + (x, y) + rng.uniform(-plan.corner_shift, plan.corner_shift, (4, 2)) * (w, h)
    if mirrored:
        corners = corners[[1, 0, 3, 2]]
    side = plan.size_px
    target = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    view = cv2.warpPerspective(photo, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(view, np.uint8)


def _relit(view: Picture, rng: np.random.Generator) -> Picture:
    """Brightness, contrast, gamma and the colour of the light, by one table; sometimes paler or stronger colours."""
    levels = np.arange(256, dtype=np.float32) / 255
    levels = levels ** float(np.exp(rng.normal(0, 0.25)))
    levels = (levels - 0.5) * float(np.exp(rng.normal(0, 0.18))) + 0.5 + float(rng.normal(0, 0.07))
    tint = np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)
    table = (np.clip(levels[:, None] * tint, 0, 1) * 255).astype(np.uint8)[None]
    view = np.asarray(cv2.LUT(view, table), np.uint8)
    if rng.random() < 0.3:
        grey = view.mean(axis=2, keepdims=True, dtype=np.float32)
        view = np.clip(grey + (view - grey) * float(rng.uniform(0.6, 1.4)), 0, 255).astype(np.uint8)
    return view


def _blurred(view: Picture, rng: np.random.Generator) -> Picture:
    chance = rng.random()
    side = view.shape[0]
    if chance < 0.4:
        return np.asarray(cv2.GaussianBlur(view, (0, 0), float(rng.uniform(0.5, 1.6))), np.uint8)
    if chance < 0.6:
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        cv2.line(kernel, (0, int(rng.integers(length))), (length - 1, int(rng.integers(length))), 1.0)
        return np.asarray(cv2.filter2D(view, -1, kernel / kernel.sum()), np.uint8)
    if chance < 0.85:  # a product far from the camera
        small = cv2.resize(view, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
    noise = rng.normal(0, float(rng.uniform(3, 10)), view.shape).astype(np.float32)
    return np.asarray(np.clip(view + noise, 0, 255), np.uint8)

"""Labelled pictures made different every time they are seen: mosaics, other scales, light, colour and blur."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]

_PADDING = 114
_LEAST_SIDE_PX = 4.0
_LEAST_LEFT = 0.35


@dataclass(frozen=True, eq=False)
class Labelled:
    """A picture and what is in it.

    Attributes:
        picture: (h, w, 3) uint8 BGR.
        boxes: (n, 4) float32 xyxy in pixels.
        classes: (n,) int64; -1 is "unsure": nobody knows what is there, so nothing is taught there.
    """

    picture: Picture
    boxes: Boxes
    classes: npt.NDArray[np.int64]


def mosaic(draw: Callable[[], Labelled], height: int, width: int, rng: np.random.Generator) -> Labelled:
    """Four pictures around a point by chance, each at a scale by chance."""
    centre_x, centre_y = int(rng.uniform(0.3, 0.7) * width), int(rng.uniform(0.3, 0.7) * height)
    canvas = np.full((height, width, 3), _PADDING, np.uint8)
    parts = []
    for left, top, right, bottom in (
        (0, 0, centre_x, centre_y), (centre_x, 0, width, centre_y),
        (0, centre_y, centre_x, height), (centre_x, centre_y, width, height),
    ):  # fmt: skip
        piece = placed(draw(), bottom - top, right - left, rng, zoom=(0.7, 1.9))
        canvas[top:bottom, left:right] = piece.picture
        parts.append((piece.boxes + np.array([left, top, left, top], np.float32), piece.classes))
    boxes = np.concatenate([boxes for boxes, _ in parts])
    return Labelled(canvas, boxes, np.concatenate([classes for _, classes in parts]))


def placed(
    source: Labelled, height: int, width: int, rng: np.random.Generator, *, zoom: tuple[float, float] = (0.75, 1.5)
) -> Labelled:
    """One picture at a scale and place by chance, perhaps mirrored, on a canvas of the wanted size.

    Args:
        zoom: 1 fits the whole picture into the canvas; more shows a part of it, less leaves a border.
    """
    src_h, src_w = source.picture.shape[:2]
    fit = min(height / src_h, width / src_w)
    scale = fit * float(np.exp(rng.uniform(*np.log(zoom))))
    stretch = float(np.exp(rng.uniform(-0.15, 0.15)))
    scale_x, scale_y = scale * stretch, scale / stretch
    room_x, room_y = width - src_w * scale_x, height - src_h * scale_y
    left, top = float(rng.uniform(0, 1)) * room_x, float(rng.uniform(0, 1)) * room_y
    flip = rng.random() < 0.5
    matrix = np.array([[scale_x, 0, left], [0, scale_y, top]], np.float32)
    if flip:
        matrix[0] = [-scale_x, 0, left + src_w * scale_x]
    how = cv2.INTER_AREA if scale < 0.6 else cv2.INTER_LINEAR
    if scale < 0.6:  # warpAffine cannot average areas: shrink first, place after
        small = cv2.resize(
            source.picture, (max(1, round(src_w * scale_x)), max(1, round(src_h * scale_y))), interpolation=how
        )
        moved = np.array([[-1 if flip else 1, 0, left + (small.shape[1] if flip else 0)], [0, 1, top]], np.float32)
        picture = cv2.warpAffine(small, moved, (width, height), borderValue=(_PADDING,) * 3)
    else:
        picture = cv2.warpAffine(source.picture, matrix, (width, height), flags=how, borderValue=(_PADDING,) * 3)
    boxes = source.boxes.copy()
    xs = boxes[:, [0, 2]] * matrix[0, 0] + matrix[0, 2]
    boxes[:, 0], boxes[:, 2] = xs.min(axis=1), xs.max(axis=1)
    boxes[:, [1, 3]] = boxes[:, [1, 3]] * scale_y + top
    whole = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    boxes[:, [0, 2]] = boxes[:, [0, 2]].clip(0, width)
    boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(0, height)
    sides = boxes[:, 2:] - boxes[:, :2]
    left_over = sides.prod(axis=1) / np.maximum(whole, 1e-6)
    big = sides.min(axis=1) >= _LEAST_SIDE_PX
    keep = big & (left_over >= _LEAST_LEFT)
    # What is cut off too far, or too small to tell, is neither a product nor nothing.
    doubtful = ~keep & (sides.min(axis=1) >= 1.0)
    classes = np.where(keep, source.classes, -1)
    chosen = keep | doubtful
    return Labelled(np.asarray(picture, np.uint8), boxes[chosen].astype(np.float32), classes[chosen])


def relit(picture: Picture, rng: np.random.Generator) -> Picture:
    """Other light, colour, sharpness and noise; a new array."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
    hue, colourful, bright = rng.uniform(-1, 1, 3) * (0.02, 0.6, 0.45) + (0, 1, 1)
    steps = np.arange(256)
    tables = (
        ((steps + hue * 180) % 180).astype(np.uint8),
        np.clip(steps * colourful, 0, 255).astype(np.uint8),
        np.clip(255 * (steps / 255) ** float(np.exp(rng.uniform(-0.35, 0.35))) * bright, 0, 255).astype(np.uint8),
    )
    hsv = cv2.merge([cv2.LUT(plane, table) for plane, table in zip(cv2.split(hsv), tables, strict=True)])
    out = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if rng.random() < 0.3:
        gains = rng.uniform(0.85, 1.15, 3)
        casts = [np.clip(steps * gain, 0, 255).astype(np.uint8) for gain in gains]
        out = cv2.merge([cv2.LUT(plane, cast) for plane, cast in zip(cv2.split(out), casts, strict=True)])
    if rng.random() < 0.2:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.3)))
    if rng.random() < 0.2:
        noise = float(rng.uniform(2, 9)) * rng.standard_normal(out.shape, np.float32)
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    return np.asarray(out, np.uint8)

"""Types and small helpers for pictures: uint8 (height, width, 3) in BGR order."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Colour = tuple[int, int, int]


def shaded(picture: Picture, gain: float) -> Picture:
    """The picture brighter (gain > 1) or darker."""
    return cast(Picture, cv2.convertScaleAbs(picture, alpha=gain))


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """``one`` with ``share`` (0..1) of ``other`` mixed in."""
    b, g, r = (round(a + (c - a) * share) for a, c in zip(one, other, strict=True))
    return (b, g, r)


def from_hsv(hue: float, saturation: float, value: float) -> Colour:
    """BGR of a hue in degrees and saturation and value in 0..1."""
    pixel = np.array([[[hue % 360 / 2, saturation * 255, value * 255]]]).round().astype(np.uint8)
    b, g, r = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0]
    return (int(b), int(g), int(r))


def brightness(colour: Colour) -> float:
    """Perceived brightness in 0..1."""
    b, g, r = colour
    return (0.114 * b + 0.587 * g + 0.299 * r) / 255


def resized(picture: Picture, width_px: int, height_px: int) -> Picture:
    """Scaled by area when it shrinks, else linearly."""
    shrinks = width_px < picture.shape[1] or height_px < picture.shape[0]
    size = (max(1, width_px), max(1, height_px))
    return cast(Picture, cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


_FACES: dict[str, Any] = {}


def write_fitting(
    picture: Picture, text: str, box: tuple[float, float, float, float], colour: Colour, *, font: str = "sans",
    weight: int = 700, align: float = 0.5, largest: float = 1e9,
) -> None:  # fmt: skip
    """Write one line as large as fits in ``box`` (left, top, width, height in px); ``align`` 0 left to 1 right.

    OpenCV 5 has outline fonts; OpenCV 4 falls back to the stroke fonts.
    """
    left, top, width, height = box
    if not text or width < 4 or height < 4:
        return
    if hasattr(cv2, "FontFace"):
        if font not in _FACES:
            _FACES[font] = cv2.FontFace(font)
        face = _FACES[font]
        probe = cv2.getTextSize((4000, 400), text, (0, 0), face, 100, weight)
        size = min(height / 0.78, width / max(probe[2], 1) * 100, largest)
        drawn_width = probe[2] * size / 100
        x = left + (width - drawn_width) * align
        y = top + height / 2 + size * 0.27
        # Text at the picture's edge would wrap onto a new line; a wide wrapping range keeps it on one.
        cv2.putText(picture, text, (round(x), round(y)), colour, face, max(3, round(size)), weight, 0, (0, 100_000))
        return
    font_id = cv2.FONT_HERSHEY_DUPLEX
    (probe_width, probe_height), _ = cv2.getTextSize(text, font_id, 1.0, 1)
    scale = min(width / probe_width, height / probe_height, largest / 28)
    x = left + (width - probe_width * scale) * align
    y = top + (height + probe_height * scale) / 2
    thick = max(1, round(scale * 1.5))
    cv2.putText(picture, text, (round(x), round(y)), font_id, scale, colour, thick, cv2.LINE_AA)

"""What a camera does to a scene: light, colour temperature, gradients, blur, sensor noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from shelf_simulator.adapters.pictures import Picture

_NOISE_MARGIN = 96
LIVE_QUALITY = 85
"""JPEG quality of the live cameras, and so of recordings that stand for them."""


@dataclass(frozen=True)
class Optics:
    """One camera under one light.

    Attributes:
        gain: overall light; warmth: -1 (blue) to 1 (yellow); gamma: of the tone curve.
        gradient: how much darker one side is (0..0.6), towards ``gradient_angle_rad``; vignette: darker corners.
        blur_px: Gaussian sigma; noise: standard deviation of the sensor noise in levels.
        motion_px, motion_angle_rad: length and direction of a shake's blur.
        jpeg_quality: 1..100.
    """

    gain: float = 1.0
    warmth: float = 0.0
    gamma: float = 1.0
    gradient: float = 0.12
    gradient_angle_rad: float = 0.6
    vignette: float = 0.1
    blur_px: float = 0.6
    noise: float = 2.2
    motion_px: int = 0
    motion_angle_rad: float = 0.0
    jpeg_quality: int = 85


def lit(picture: Picture, optics: Optics) -> Picture:
    """Light and blur, without noise."""
    plain = optics.warmth == 0 and optics.gamma == 1  # then the gain goes into the field, which is cheaper
    out = picture if plain else cv2.LUT(picture, _tone_curve(optics.gain, optics.warmth, optics.gamma))
    field = _field(picture.shape[1], picture.shape[0], optics.gradient, optics.gradient_angle_rad, optics.vignette)
    out = cv2.multiply(out, field, scale=(optics.gain if plain else 1.0) / 255)
    if optics.motion_px > 1:
        out = cv2.filter2D(out, -1, _shake(optics.motion_px, optics.motion_angle_rad))
    if optics.blur_px > 0.2:
        out = cv2.GaussianBlur(out, (3, 3) if optics.blur_px < 0.9 else (5, 5), optics.blur_px)
    return cast(Picture, out)


def noisy(picture: Picture, optics: Optics, rng: np.random.Generator) -> Picture:
    """Sensor noise: a window of a fixed field, at a place that ``rng`` chooses."""
    if optics.noise < 0.2:
        return picture
    h, w = picture.shape[:2]
    field = _noise_field(w, h, round(optics.noise * 4) / 4)
    x, y = (int(v) for v in rng.integers(0, _NOISE_MARGIN, size=2))
    return cast(Picture, cv2.add(picture, field[y : y + h, x : x + w], dtype=cv2.CV_8U))


def encoded(picture: Picture, quality: int) -> bytes:
    """The picture as JPEG."""
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV could not encode a picture of shape {picture.shape}")
    return data.tobytes()


def decoded(data: bytes) -> Picture:
    """A JPEG as a picture. Raises: ValueError when it is none."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("not a picture that OpenCV can decode")
    return cast(Picture, picture)


@lru_cache(maxsize=64)
def _tone_curve(gain: float, warmth: float, gamma: float) -> Picture:
    levels = np.linspace(0, 1, 256) ** gamma * gain
    blue, red = levels * (1 - 0.12 * warmth), levels * (1 + 0.10 * warmth)
    curve = np.stack([blue, levels, red], axis=1)
    return (np.clip(curve, 0, 1) * 255).round().astype(np.uint8)[None]


@lru_cache(maxsize=8)
def _field(w: int, h: int, gradient: float, angle_rad: float, vignette: float) -> Picture:
    x = np.linspace(-1, 1, w)[None, :]
    y = np.linspace(-1, 1, h)[:, None]
    along = x * np.cos(angle_rad) + y * np.sin(angle_rad)
    light = (1 - gradient * (along + 1) / 2) * (1 - vignette * (x**2 + y**2) / 2)
    grey = np.clip(light * 255, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


@lru_cache(maxsize=12)
def _noise_field(w: int, h: int, sigma: float) -> NDArray[np.int16]:
    rng = np.random.default_rng(99)
    size = (h + _NOISE_MARGIN, w + _NOISE_MARGIN)
    grey = rng.normal(0, sigma * 0.8, (*size, 1)) + rng.normal(0, sigma * 0.6, (*size, 3))
    return cast("NDArray[np.int16]", grey.round().astype(np.int16))


@lru_cache(maxsize=64)
def _shake(length_px: int, angle_rad: float) -> NDArray[np.float32]:
    size = length_px | 1
    kernel = np.zeros((size, size), np.float32)
    middle = size // 2
    dx, dy = np.cos(angle_rad) * middle, np.sin(angle_rad) * middle
    cv2.line(kernel, (round(middle - dx), round(middle - dy)), (round(middle + dx), round(middle + dy)), 1.0, 1)
    return cast("NDArray[np.float32]", kernel / kernel.sum())

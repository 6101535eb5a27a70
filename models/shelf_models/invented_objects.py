"""Things that could stand on a shelf, drawn flat by chance: bottles, jars, tubs, cans, cartons, bags, boxes, fruit.

The simulator draws packs as a shop's camera sees them, on a shelf and in three dimensions. These are for the opposite:
cut-outs of any shape, size and print, also transparent ones, so that a detector learns what a whole object is and not
what this simulator's packs look like.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

CutOut = npt.NDArray[np.uint8]
_Field = npt.NDArray[np.float32]
_Colour = tuple[int, int, int]


def invent_object(rng: np.random.Generator, size_px: int = 220) -> CutOut:
    """A cut-out (h, w, 4) uint8, BGR and opacity, whose longer side is about ``size_px``."""
    outline = _OUTLINES[int(rng.integers(len(_OUTLINES)))]
    mask = outline(rng, size_px)
    height, width = mask.shape
    is_turned = outline in {_bottle, _jar, _can, _tub}
    see_through = outline in {_bottle, _jar} and rng.random() < 0.5
    colour = _colour(rng)
    body = np.empty((height, width, 3), np.float32)
    body[:] = colour
    if see_through:
        opacity = _glass(mask, rng)
        _band(body, opacity, mask, rng)
    else:
        opacity = mask.astype(np.float32)
        _print_on(body, rng)
    if outline is _bottle:
        _cap(body, opacity, mask, rng)
    body *= _light(width, height, rng, is_turned=is_turned)[..., None]
    body = np.asarray(cv2.GaussianBlur(body, (0, 0), 0.7), np.float32)
    picture = np.dstack([np.clip(body, 0, 255), np.clip(opacity, 0, 1) * 255]).astype(np.uint8)
    if rng.random() < 0.25:
        picture = _tilted(picture, float(rng.normal(0, 14)))
    return picture


def _turned(rng: np.random.Generator, size_px: int, widths: list[tuple[float, float]], aspect: float) -> _Field:
    """A silhouette of revolution from (height share, half-width share) knots, with rounded foot and top."""
    height = size_px
    width = max(12, round(size_px * aspect))
    at = np.linspace(0, 1, height)
    half = np.interp(at, [knot[0] for knot in widths], [knot[1] for knot in widths])
    knots = half.astype(np.float32)[:, None]
    smooth = np.asarray(cv2.GaussianBlur(knots, (1, 2 * (height // 40) + 1), height / 60), np.float32).ravel()
    across = np.abs(np.linspace(-1, 1, width))
    mask = (across[None] <= smooth[:, None]).astype(np.float32)
    bulge = int(rng.uniform(0.0, 0.09) * width)
    if bulge > 1:  # the camera looks down a little: foot and top are arcs
        foot = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (1, 2 * bulge + 1))
        mask = np.asarray(cv2.dilate(mask, foot), np.float32)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.8), np.float32)


def _bottle(rng: np.random.Generator, size_px: int) -> _Field:
    neck, shoulder = float(rng.uniform(0.25, 0.5)), float(rng.uniform(0.18, 0.45))
    waist = float(rng.uniform(0.75, 1.0))
    knots = [(0.0, neck), (shoulder * 0.45, neck), (shoulder, 0.95), (0.6, waist), (0.75, 0.97), (1.0, 0.9)]
    return _turned(rng, size_px, knots, float(rng.uniform(0.24, 0.5)))


def _jar(rng: np.random.Generator, size_px: int) -> _Field:
    lid = float(rng.uniform(0.7, 0.95))
    return _turned(rng, size_px, [(0, lid), (0.14, lid), (0.22, 1), (0.9, 1), (1, 0.9)], float(rng.uniform(0.5, 1.0)))


def _can(rng: np.random.Generator, size_px: int) -> _Field:
    return _turned(rng, size_px, [(0, 0.93), (0.05, 1), (0.95, 1), (1, 0.93)], float(rng.uniform(0.4, 1.1)))


def _tub(rng: np.random.Generator, size_px: int) -> _Field:
    foot = float(rng.uniform(0.65, 0.9))
    mask = _turned(rng, size_px, [(0, 1), (0.1, 1), (0.13, 0.95), (1, foot)], float(rng.uniform(0.8, 1.9)))
    return _fitted(mask, size_px)


def _carton(rng: np.random.Generator, size_px: int) -> _Field:
    width = round(size_px * float(rng.uniform(0.3, 0.6)))
    gable = float(rng.uniform(0.0, 0.22))
    points = np.array([(0, gable), (0.12, 0.03), (0.88, 0.03), (1, gable), (1, 1), (0, 1)]) * (width - 1, size_px - 1)
    return _filled(points, width, size_px)


def _box(rng: np.random.Generator, size_px: int) -> _Field:
    aspect = float(np.exp(rng.uniform(-0.9, 0.9)))
    width, height = (size_px, round(size_px / aspect)) if aspect > 1 else (round(size_px * aspect), size_px)
    lean = rng.uniform(-0.08, 0.08, 4)
    points = np.array([(0, abs(lean[0])), (1, abs(lean[1])), (1 - abs(lean[2]), 1), (abs(lean[3]), 1)])
    return _filled(points * (width - 1, height - 1), width, height)


def _bag(rng: np.random.Generator, size_px: int) -> _Field:
    width = round(size_px * float(rng.uniform(0.55, 0.95)))
    at = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    power = float(rng.uniform(0.25, 0.5))
    x = np.sign(np.cos(at)) * np.abs(np.cos(at)) ** power
    y = np.sign(np.sin(at)) * np.abs(np.sin(at)) ** power
    wave = 1 + 0.03 * np.interp(np.arange(60), np.arange(0, 61, 6), rng.normal(0, 1, 11))
    points = np.column_stack([(x * wave + 1.04) / 2.08 * (width - 1), (y * wave + 1.04) / 2.08 * (size_px - 1)])
    return _filled(points, width, size_px)


def _round_thing(rng: np.random.Generator, size_px: int) -> _Field:
    width = round(size_px * float(rng.uniform(0.6, 1.0)))
    at = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    egg = 1 + float(rng.uniform(-0.12, 0.12)) * np.sin(at)
    points = np.column_stack([(np.cos(at) * egg + 1.15) / 2.3 * (width - 1), (np.sin(at) + 1) / 2 * (size_px - 1)])
    return _filled(points, width, size_px)


_OUTLINES: tuple[Callable[[np.random.Generator, int], _Field], ...] = (
    _bottle, _bottle, _bottle, _jar, _can, _tub, _carton, _box, _box, _bag, _bag, _round_thing,
)  # fmt: skip


def _filled(points: npt.NDArray[np.float64], width: int, height: int) -> _Field:
    mask = np.zeros((max(8, height), max(8, width)), np.float32)
    cv2.fillPoly(mask, [points.round().astype(np.int32)], 1.0, cv2.LINE_8)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.8), np.float32)


def _fitted(mask: _Field, size_px: int) -> _Field:
    scale = size_px / max(mask.shape)
    if scale >= 1:
        return mask
    return np.asarray(cv2.resize(mask, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.float32)


def _colour(rng: np.random.Generator) -> _Colour:
    hsv = np.array([[[rng.integers(180), rng.integers(20, 256), rng.integers(40, 256)]]], np.uint8)
    if rng.random() < 0.25:  # white, grey and black packs
        hsv[..., 1] = rng.integers(0, 30)
    b, g, r = (int(value) for value in cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0])
    return b, g, r


def _glass(mask: _Field, rng: np.random.Generator) -> _Field:
    """Clear in the middle, dense at the edge, with a glint; perhaps filled up to a level."""
    height, width = mask.shape
    inside = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    edge = np.exp(-inside / max(1.5, width * 0.06)).astype(np.float32)
    opacity = (float(rng.uniform(0.08, 0.45)) + 0.5 * edge) * mask
    if rng.random() < 0.6:
        opacity[int(height * rng.uniform(0.2, 0.6)) :] += float(rng.uniform(0.05, 0.5))
    glint = int(width * rng.uniform(0.15, 0.75))
    opacity[:, glint : glint + max(1, width // 18)] += float(rng.uniform(0.0, 0.35))
    return np.asarray(opacity * mask, np.float32)


def _band(body: _Field, opacity: _Field, mask: _Field, rng: np.random.Generator) -> None:
    """A printed label around a transparent body, or none."""
    height, width = mask.shape
    if rng.random() < 0.35:
        return
    top = int(height * rng.uniform(0.35, 0.6))
    bottom = int(min(height, top + height * rng.uniform(0.12, 0.4)))
    label = np.empty((bottom - top, width, 3), np.float32)
    label[:] = _colour(rng)
    _print_on(label, rng)
    body[top:bottom] = label
    opacity[top:bottom] = mask[top:bottom]


def _cap(body: _Field, opacity: _Field, mask: _Field, rng: np.random.Generator) -> None:
    depth = int(mask.shape[0] * rng.uniform(0.03, 0.12))
    body[:depth] = _colour(rng)
    opacity[:depth] = mask[:depth]


def _print_on(body: _Field, rng: np.random.Generator) -> None:
    """Panels, stripes, spots, letters: whatever packs carry."""
    height, width = body.shape[:2]
    paper = body.astype(np.uint8)
    for _ in range(int(rng.integers(0, 5))):
        left, top = int(rng.integers(-width // 3, width)), int(rng.integers(-height // 3, height))
        right, bottom = left + int(width * rng.uniform(0.15, 1.2)), top + int(height * rng.uniform(0.05, 0.6))
        if rng.random() < 0.6:
            cv2.rectangle(paper, (left, top), (right, bottom), _colour(rng), -1)
        else:
            axes = (max(1, (right - left) // 2), max(1, (bottom - top) // 2))
            cv2.ellipse(
                paper,
                ((left + right) // 2, (top + bottom) // 2),
                axes,
                float(rng.uniform(0, 180)),
                0,
                360,
                _colour(rng),
                -1,
            )
    for _ in range(int(rng.integers(0, 6))):
        letters = "".join(chr(int(code)) for code in rng.integers(65, 91, int(rng.integers(2, 9))))
        scale = float(width / 22 / len(letters) * rng.uniform(0.4, 1.1))
        place = (int(width * rng.uniform(-0.05, 0.5)), int(height * rng.uniform(0.05, 0.98)))
        font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX]))
        cv2.putText(paper, letters, place, font, scale, _colour(rng), max(1, round(scale * 2.5)), cv2.LINE_AA)
    body[:] = paper
    if rng.random() < 0.3:
        grain = cv2.resize(rng.normal(0, 1, (8, 8)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        body *= 1 + 0.12 * grain[..., None]


def _light(width: int, height: int, rng: np.random.Generator, *, is_turned: bool) -> _Field:
    """Shading: round bodies are brightest off the middle, flat ones slope gently."""
    across = np.linspace(-1, 1, width, dtype=np.float32)
    if is_turned:
        shade = 1.05 - 0.5 * np.abs(across - float(rng.uniform(-0.5, 0.5))) ** 2
    else:
        shade = 1 + float(rng.uniform(-0.2, 0.2)) * across
    down = 1 + float(rng.uniform(-0.2, 0.1)) * np.linspace(-1, 1, height, dtype=np.float32)
    return np.asarray(shade[None] * down[:, None], np.float32)


def _tilted(picture: CutOut, degrees: float) -> CutOut:
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    new_width, new_height = int(height * sin + width * cos) + 2, int(height * cos + width * sin) + 2
    matrix[:, 2] += ((new_width - width) / 2, (new_height - height) / 2)
    return np.asarray(cv2.warpAffine(picture, matrix, (new_width, new_height)), np.uint8)

"""Pictures put together from cut-outs: things standing on boards, before backgrounds of any kind, at any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from shelf_models.augment import Labelled, Picture
from shelf_models.invented_objects import CutOut

_LEAST_VISIBLE = 0.4
_SIZE_PX = 480


def collage(
    draw: Callable[[], CutOut], backgrounds: Sequence[Picture], rng: np.random.Generator, size_px: int = _SIZE_PX
) -> Labelled:
    """One picture with a box of class 0 around each thing that is seen for at least 40 %.

    Args:
        draw: gives a cut-out (h, w, 4) uint8, BGR and opacity; invented or cut out of a photograph.
        backgrounds: pictures without products, or so blurred that nothing can be told; may be empty.
        size_px: the longer side.
    """
    aspect = float(rng.choice([16 / 9, 4 / 3, 1.0, 3 / 4]))
    width, height = (size_px, round(size_px / aspect)) if aspect >= 1 else (round(size_px * aspect), size_px)
    canvas = _background(backgrounds, width, height, rng)
    for _ in range(int(rng.choice([0, 1, 2, 4, 7]))):
        _furnish(canvas, rng)
    boards = _boards(canvas, rng)
    owner = np.zeros((height, width), np.int16)
    areas: list[float] = []
    unit = float(np.exp(rng.uniform(np.log(0.05), np.log(0.6)))) * size_px
    dim = float(rng.uniform(0.35, 1.1))
    for base in boards:
        x = float(rng.uniform(-0.1, 0.3)) * width
        spread = float(rng.choice([0.0, 0.1, 0.8, 2.5]))
        rows = 2 if rng.random() < 0.25 else 1
        same = draw() if rng.random() < 0.35 else None
        for _ in range(40):
            thing = same if same is not None else draw()
            high = unit * float(np.exp(rng.normal(0, 0.25)))
            scale = high / thing.shape[0] if thing.shape[0] >= thing.shape[1] else high / thing.shape[1]
            if x > width or len(areas) > 120:
                break
            for row in range(rows):
                lift = (rows - 1 - row) * 0.12 * high
                _paste(canvas, owner, areas, thing, scale, x, base - lift, dim * float(rng.uniform(0.9, 1.1)), rng)
            x += thing.shape[1] * scale * (1 + float(rng.exponential(spread)) + float(rng.uniform(-0.06, 0.12)))
    boxes = []
    for number, area in enumerate(areas, start=1):
        mask = owner == number
        if mask.sum() >= _LEAST_VISIBLE * area:
            left, top, w, h = cv2.boundingRect(mask.astype(np.uint8))
            if min(w, h) >= 4:
                boxes.append((left, top, left + w, top + h))
    found = np.array(boxes, np.float32).reshape(-1, 4)
    return Labelled(canvas, found, np.zeros(len(found), np.int64))


def _background(backgrounds: Sequence[Picture], width: int, height: int, rng: np.random.Generator) -> Picture:
    if backgrounds and rng.random() < 0.45:
        source = backgrounds[int(rng.integers(len(backgrounds)))]
        zoom = float(rng.uniform(1.0, 2.0))
        scale = zoom * max(width / source.shape[1], height / source.shape[0])
        big = cv2.resize(source, None, fx=scale, fy=scale)
        left, top = int(rng.integers(big.shape[1] - width + 1)), int(rng.integers(big.shape[0] - height + 1))
        return np.array(big[top : top + height, left : left + width], np.uint8)
    colour = rng.uniform(20, 245, 3) * (1 if rng.random() < 0.3 else 0) + rng.uniform(20, 245) * np.ones(3)
    corners = np.clip(colour / max(colour.max() / 235, 1) * rng.uniform(0.6, 1.15, (2, 2, 1)), 0, 255)
    field = cv2.resize(corners.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.4:  # grain of wood or stone
        cells = (int(rng.integers(2, 30)), int(rng.integers(2, 60)))
        coarse = rng.normal(0, 1, cells).astype(np.float32)
        field *= 1 + 0.1 * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    for _ in range(int(rng.integers(0, 9))):  # edges, wires, seams, panels and lamps, which are no products
        shade = rng.uniform(0.5, 1.4)
        x1, y1, x2, y2 = (int(v) for v in rng.uniform(0, 1, 4) * (width, height, width, height))
        tone = tuple(float(v) for v in np.clip(field[y1 % height, x1 % width] * shade, 0, 255))
        kind = rng.random()
        if kind < 0.5:
            if rng.random() < 0.7:
                x2, y2 = (x1, height) if rng.random() < 0.5 else (width, y1)
            cv2.line(field, (x1, y1), (x2, y2), tone, int(rng.integers(1, 5)), cv2.LINE_AA)
        elif kind < 0.75:
            cv2.rectangle(field, (x1, y1), (x1 + width, y1 + height), tone, -1)
        else:
            glow = np.zeros((height, width), np.float32)
            cv2.circle(glow, (x1, y1), int(rng.uniform(0.01, 0.06) * width) + 2, 1.0, -1)
            blurred = cv2.GaussianBlur(glow, (0, 0), float(rng.uniform(1, 0.02 * width + 2)))
            field += 160 * blurred[..., None]
    return np.asarray(np.clip(field, 0, 255), np.uint8)


def _furnish(canvas: Picture, rng: np.random.Generator) -> None:
    """Something that belongs to the fixture and is no product: a drawer, a lamp, a vent, a knob, a notice."""
    height, width = canvas.shape[:2]
    side = float(rng.uniform(0.04, 0.3)) * width
    w, h = max(4, int(side)), max(4, int(side * rng.uniform(0.25, 1.2)))
    x, y = int(rng.integers(-w // 2, width)), int(rng.integers(-h // 2, height))
    around = canvas[max(0, y) : max(0, y) + h, max(0, x) : max(0, x) + w]
    if not around.size:
        return
    tone = around.reshape(-1, 3).mean(axis=0)
    near, line = (np.clip(tone * rng.uniform(*share), 0, 255).tolist() for share in ((0.8, 1.2), (0.45, 1.6)))
    kind = int(rng.integers(5))
    if kind == 0:  # a drawer or a panel, perhaps of clear plastic
        veil = canvas.copy()
        cv2.rectangle(veil, (x, y), (x + 2 * w, y + h), near, -1)
        cv2.rectangle(veil, (x, y), (x + 2 * w, y + h), line, int(rng.integers(1, 4)), cv2.LINE_AA)
        cv2.line(veil, (x + w // 2, y + h // 6), (x + 3 * w // 2, y + h // 6), line, int(rng.integers(1, 4)))
        share = float(rng.uniform(0.3, 0.9))
        cv2.addWeighted(veil, share, canvas, 1 - share, 0, dst=canvas)
    elif kind == 1:  # a lamp in its housing
        cv2.rectangle(canvas, (x, y), (x + w, y + h // 2), line, -1)
        glow = np.zeros(canvas.shape, np.float32)
        cv2.circle(glow, (x + w // 2, y + h // 2), max(2, w // 4), (1.0, 1.0, 1.0), -1)
        blurred = cv2.GaussianBlur(glow, (0, 0), max(1.0, w / 12))
        canvas[:] = np.clip(canvas + 220 * blurred, 0, 255).astype(np.uint8)
    elif kind == 2:  # a vent
        for step in range(0, w, max(3, w // int(rng.integers(4, 14)))):
            cv2.line(canvas, (x + step, y), (x + step, y + h // 3), line, 1, cv2.LINE_AA)
    elif kind == 3:  # knobs and screws
        for step in range(int(rng.integers(1, 4))):
            place = (x + step * w, y)
            cv2.circle(canvas, place, max(2, w // 14), near, -1, cv2.LINE_AA)
            cv2.circle(canvas, place, max(2, w // 14), line, 1, cv2.LINE_AA)
    else:  # a notice
        for row in range(int(rng.integers(2, 7))):
            letters = "".join(chr(int(code)) for code in rng.integers(97, 123, int(rng.integers(4, 16))))
            cv2.putText(
                canvas, letters, (x, y + row * max(4, h // 8)), cv2.FONT_HERSHEY_SIMPLEX, max(0.2, w / 400), line, 1
            )


def _boards(canvas: Picture, rng: np.random.Generator) -> list[float]:
    """Draw one to five boards; the y their things stand at, from the top."""
    height, width = canvas.shape[:2]
    count = int(rng.choice([1, 1, 2, 3, 4, 5]))
    ys = np.sort(rng.uniform(0.25, 1.0, count)) * height
    style = rng.random()
    colour = [float(v) for v in np.clip(rng.uniform(0.3, 1.2) * canvas.reshape(-1, 3).mean(axis=0), 0, 255)]
    for y in ys:
        thick = int(rng.uniform(1, 0.05 * height + 2))
        if style < 0.4:
            cv2.rectangle(canvas, (0, int(y)), (width, int(y) + thick), colour, -1)
        elif style < 0.7:  # a glass or wire shelf: an edge at the front, a paler one at the back
            cv2.line(canvas, (0, int(y)), (width, int(y)), [min(255.0, c + 60) for c in colour], 1 + thick // 4)
            back = int(y - 0.05 * height)
            cv2.line(canvas, (0, back), (width, back), colour, 1)
    return [float(y) for y in ys]


def _paste(
    canvas: Picture, owner: npt.NDArray[np.int16], areas: list[float], thing: CutOut, scale: float, x: float,
    base: float, gain: float, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Put a cut-out with its foot at ``base``; it hides what is behind it and throws a soft shadow."""
    w, h = max(3, round(thing.shape[1] * scale)), max(3, round(thing.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(thing, (w, h), interpolation=how)
    if rng.random() < 0.5:
        small = cv2.flip(small, 1)
    left, top = round(x), round(base) - h
    height, width = owner.shape
    x1, y1, x2, y2 = max(0, left), max(0, top), min(width, left + w), min(height, top + h)
    if x1 >= x2 or y1 >= y2:
        return
    shade = max(1, h // 12)
    s1, s2 = max(0, round(base) - shade), min(height, round(base) + shade)
    if s1 < s2:
        strip = canvas[s1:s2, max(0, left - shade) : min(width, left + w + shade)]
        np.multiply(strip, float(rng.uniform(0.55, 0.95)), out=strip, casting="unsafe")
    part = small[y1 - top : y2 - top, x1 - left : x2 - left].astype(np.float32)
    opacity = part[..., 3:] / 255
    under = canvas[y1:y2, x1:x2]
    under[:] = np.clip(part[..., :3] * gain * opacity + under * (1 - opacity), 0, 255).astype(np.uint8)
    solid = part[..., 3] > 25
    owner[y1:y2, x1:x2][solid] = len(areas) + 1
    areas.append(float((small[..., 3] > 25).sum()))

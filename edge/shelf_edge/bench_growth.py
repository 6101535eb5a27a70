"""How a node's work grows with slots and with known products, by processor time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelf_contracts.planogram import Planogram
from shelf_edge.core.bay import Bay
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.frame import Frame, Picture
from shelf_edge.core.recognition import Calibration, References, looks_of

BAYS = ((1, 4), (2, 6), (4, 6), (4, 12), (8, 12), (8, 24))
"""Shelves, and slots on each."""
PRODUCTS = (100, 300, 1000, 3000, 10_000)
_VIEWS_A_PRODUCT = 5
_DIMENSION = 128
_CROPS = 6


@dataclass(frozen=True)
class Point:
    """``count`` of slots or products, and what they cost in ms of processor time: a frame at rest, and a look."""

    count: int
    rest_ms: float
    look_ms: float


def by_slots(
    make_plan: Callable[[int, int], Planogram], make_picture: Callable[[Planogram], Picture], frames: int
) -> list[Point]:
    """The chain without the detector, whose work does not depend on slots; a person stands before a part of them."""
    points = []
    for shelves, slots in BAYS:
        plan = make_plan(shelves, slots)
        points.append(_slots_point(plan, make_picture(plan), frames))
    return points


def _slots_point(plan: Planogram, picture: Picture, frames: int) -> Point:
    height, width = picture.shape[:2]
    rng = np.random.default_rng(3)
    boxes = [[0.4 * width, 0.1 * height, 0.6 * width, 1.0 * height]]
    for view in plan.views[0].slots.values():
        corners = np.array(view.front) * (width, height)
        (x1, y1), (x2, y2) = corners.min(axis=0), corners.max(axis=0)
        boxes.append([x1 + 0.1 * (x2 - x1), y1 + 0.2 * (y2 - y1), x1 + 0.5 * (x2 - x1), y2])
    kinds = np.array([Kind.PERSON] + [Kind.PRODUCT] * (len(boxes) - 1), np.uint8)
    seen = Detections(np.array(boxes, np.float32), np.full(len(boxes), 0.9, np.float32), kinds)
    bay = Bay(plan, plan.views[0].camera)
    rest_s: list[float] = []
    look_s: list[float] = []
    for number in range(2 * frames):
        noise = rng.integers(-2, 3, picture.shape, np.int8)
        frame = Frame(np.clip(picture.astype(np.int16) + noise, 0, 255).astype(np.uint8), number / 10, number)
        is_look = number % 2 == 0
        began_s = time.thread_time()
        bay.wants_look(frame)
        bay.advance(frame, seen if is_look else None)
        (look_s if is_look else rest_s).append(time.thread_time() - began_s)
    return Point(
        len(plan.positions), round(statistics.median(rest_s) * 1000, 3), round(statistics.median(look_s) * 1000, 3)
    )


def by_products(calibration: Calibration, repeats: int = 7) -> list[Point]:
    """A look's six crops compared with a gallery of five photos a product, without embedding them."""
    points = []
    rng = np.random.default_rng(4)
    crops = _unit(rng.standard_normal((_CROPS, _DIMENSION)).astype(np.float32))
    for count in PRODUCTS:
        rows = count * _VIEWS_A_PRODUCT
        references = References(
            vectors=_unit(rng.standard_normal((rows, _DIMENSION)).astype(np.float32)),
            layers=(count,) * _VIEWS_A_PRODUCT,
            rests=np.zeros(0, np.intp),
            lengths=np.full(count, _VIEWS_A_PRODUCT**0.5, np.float32),
            products=tuple(f"{number:014d}" for number in range(count)),
            kinds=("",) * count,
        )
        spent_s = []
        for _ in range(repeats):
            began_s = time.thread_time()
            looks_of(references, crops, calibration)
            spent_s.append(time.thread_time() - began_s)
        points.append(Point(count, 0.0, round(statistics.median(spent_s) * 1000, 3)))
    return points


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

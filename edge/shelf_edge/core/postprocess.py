"""The detector's raw output into detections, for the heads the field uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Boxes, Detections, Kind, Kinds, Scores
from shelf_edge.core.preprocess import Placement

Head = Literal["yolo", "yolo-end2end", "yolox"]
Output = npt.NDArray[np.float32]

Suppressing = Callable[[Boxes, Scores, Kinds, float], npt.NDArray[np.intp]]
"""Boxes, scores, kinds and the highest IoU of two that stay; gives the indices that stay, in any order that does not
depend on more than these."""

YOLOX_STRIDES = (8, 16, 32)

_PRODUCT = int(Kind.PRODUCT)  # NumPy takes 20 us to compare with a member of an enumeration
_INSIDE = 0.8
_AS_SURE = 0.7
_HALF = np.float32(0.5)


class Decoder:
    """Turns one model's output into detections.

    Args:
        head: "yolo" (1, 4 + classes, n) of YOLOv8 and 11, "yolo-end2end" (1, n, 6) of YOLO26 and v10,
            "yolox" (1, n, 5 + classes) before the decoding of its grid.
        kinds: what each label means, in the order of the labels; ignored labels are dropped before NMS.
        score_threshold, iou_threshold: 0 to 1. There is no cap on the number of boxes.
        part_weight: see ``weigh_parts``.
        faint_threshold: products from this score on are told as faint ones; None: none are.
        suppressing: non-maximum suppression; ``suppress`` when there is none that is faster.
    """

    def __init__(
        self,
        head: Head,
        kinds: Sequence[int],
        score_threshold: float,
        iou_threshold: float,
        part_weight: float = 1.0,
        faint_threshold: float | None = None,
        suppressing: Suppressing | None = None,
    ) -> None:
        self._head = head
        self._kinds = np.array(kinds, np.uint8)
        self._score_threshold = score_threshold
        self._iou_threshold = iou_threshold
        self._part_weight = part_weight
        self._suppress = suppressing or suppress
        self._lowest = score_threshold if faint_threshold is None else min(faint_threshold, score_threshold)
        self._least_of = np.full(len(Kind), score_threshold)  # by kind
        self._least_of[Kind.PRODUCT] = self._lowest
        self._least_of_label = np.where(self._kinds > 0, self._least_of[self._kinds], np.inf)

    def __call__(self, output: Output, placement: Placement) -> Detections:
        """Detections in picture pixels, best first. Raises: ValueError when the output does not fit the head."""
        boxes, scores, kinds = self._candidates(output, placement)
        finite = np.isfinite(boxes)
        if not finite.all():
            sound = finite.all(axis=1)
            boxes, scores, kinds = boxes[sound], scores[sound], kinds[sound]
        if self._head != "yolo-end2end":
            keep = self._suppress(boxes, scores, kinds, self._iou_threshold)
            boxes, scores, kinds = boxes.take(keep, 0), scores.take(keep), kinds.take(keep)
        scores = weigh_parts(boxes, scores, kinds, self._part_weight)
        order = (-scores).argsort(kind="stable")
        scores, kinds = scores.take(order), kinds.take(order)
        enough = scores >= self._least_of.take(kinds)
        if not enough.all():
            order, scores, kinds = order[enough], scores[enough], kinds[enough]
        if self._lowest < self._score_threshold:
            kinds[scores < self._score_threshold] = Kind.FAINT_PRODUCT
        return Detections(placement.undo(boxes.take(order, 0)), scores, kinds)

    def _candidates(self, output: Output, placement: Placement) -> tuple[Boxes, Scores, Kinds]:
        """What reaches the threshold of its kind, in input pixels and in the order of the output."""
        if self._head == "yolox":
            return self._yolox_candidates(output, placement)
        classes, rows = len(self._kinds), output[0]
        if self._head == "yolo-end2end":
            if rows.ndim != 2 or rows.shape[1] != 6:
                raise _misfit(output, "(1, n, 6)")
            scores, labels = rows[:, 4], np.clip(rows[:, 5].astype(np.intp), 0, classes - 1)
        else:
            if rows.ndim != 2 or rows.shape[0] != 4 + classes:
                raise _misfit(output, f"(1, {4 + classes}, n)")
            scores, labels = rows[4:].max(axis=0), rows[4:].argmax(axis=0)
            rows = rows.T
        wanted = (scores >= self._least_of_label.take(labels)).nonzero()[0]
        boxes = rows[:, :4].take(wanted, 0)
        if self._head == "yolo":
            boxes = _from_centres(boxes)
        return boxes, scores.take(wanted), self._kinds.take(labels.take(wanted))

    def _yolox_candidates(self, output: Output, placement: Placement) -> tuple[Boxes, Scores, Kinds]:
        classes, rows = len(self._kinds), output[0]
        if rows.ndim != 2 or rows.shape[1] != 5 + classes:
            raise _misfit(output, f"(1, n, {5 + classes})")
        cells = _yolox_cells(placement.input_height_px, placement.input_width_px)
        if len(cells) != len(rows):
            size = f"{placement.input_width_px} x {placement.input_height_px}"
            raise _misfit(output, f"(1, {len(cells)}, {5 + classes}) for an input of {size}")
        # Nearly all of the thousands of rows are empty, and one column says so: a score is its product with a
        # probability. Only the others are worth decoding.
        possible = (rows[:, 4] >= self._lowest).nonzero()[0]
        rows = rows.take(possible, 0)
        # One row a class: along the long side both are several times as fast.
        of_classes = np.ascontiguousarray(rows[:, 5:].T)
        labels = of_classes.argmax(axis=0)
        scores = np.maximum.reduce(of_classes, axis=0)
        scores *= rows[:, 4]
        wanted = (scores >= self._least_of_label.take(labels)).nonzero()[0]
        if len(wanted) < len(possible):
            possible, rows = possible.take(wanted), rows.take(wanted, 0)
            scores, labels = scores.take(wanted), labels.take(wanted)
        cells = cells.take(possible, 0)
        centre = rows[:, :2] + cells[:, :2]
        centre *= cells[:, 2:3]
        half = np.minimum(rows[:, 2:4], np.float32(20))
        np.exp(half, out=half)
        half *= cells[:, 3:]
        boxes = np.empty((len(rows), 4), np.float32)
        np.subtract(centre, half, out=boxes[:, :2])
        np.add(centre, half, out=boxes[:, 2:])
        return boxes, scores, self._kinds.take(labels)


def _from_centres(boxes: npt.NDArray[np.float32]) -> Boxes:
    """Centre x, centre y, width, height to corners, (n, 4)."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1).astype(np.float32)


def suppress(boxes: Boxes, scores: Scores, kinds: Kinds, iou_threshold: float) -> npt.NDArray[np.intp]:
    """Indices kept by greedy non-maximum suppression within each kind, best first."""
    if not len(boxes):
        return np.zeros(0, np.intp)
    sides = boxes.astype(np.float64)
    sides[:, 2:] -= boxes[:, :2]
    # OpenCV takes arrays too, whatever its stubs say; lists of Python's numbers cost as much as the work itself.
    batched: Any = cv2.dnn.NMSBoxesBatched
    kept = batched(sides, scores, kinds.astype(np.int32), 0.0, iou_threshold)
    indices = np.asarray(kept, np.intp).reshape(-1)
    return indices[np.argsort(-scores[indices], kind="stable")]


def weigh_parts(boxes: Boxes, scores: Scores, kinds: Kinds, weight: float) -> Scores:
    """Lower the scores of products that lie inside another: the picture on a bag is not a second bag.

    The score of a box with 0.8 of its area inside a larger product that is at least 0.7 as sure is multiplied by
    ``weight``, so that one that really stands before another keeps a place among the unsure. IoU suppression cannot
    see this: a part of half the size has an IoU of 0.5. What it gives is measured in ``docs/detector-levers.md``.
    """
    if weight == 1.0:
        return scores
    products = (kinds == _PRODUCT).nonzero()[0]
    if len(products) < 2:
        return scores
    sure, corners = scores.take(products), np.ascontiguousarray(boxes.take(products, 0).T)
    x1, y1, x2, y2 = corners
    area = (x2 - x1) * (y2 - y1)
    # With so much of it inside, a part's middle is inside too: few pairs are left to be measured.
    x, y = ((x1 + x2) * _HALF)[:, None], ((y1 + y2) * _HALF)[:, None]
    may_be = x > x1
    may_be &= x < x2
    may_be &= y > y1
    may_be &= y < y2
    may_be &= area[:, None] < area
    part, whole = np.divmod(may_be.ravel().nonzero()[0], len(products))
    of_part, of_whole = corners.take(part, 1), corners.take(whole, 1)
    shared = np.minimum(of_part[2:], of_whole[2:])
    shared -= np.maximum(of_part[:2], of_whole[:2])
    np.maximum(shared, np.float32(0), out=shared)
    is_part = shared[0] * shared[1] >= _INSIDE * area.take(part)
    is_part &= sure.take(whole) >= _AS_SURE * sure.take(part)
    if not is_part.any():
        return scores
    part, whole = part[is_part], whole[is_part]
    is_inner = np.zeros(len(products), np.bool_)
    is_inner[part] = True
    # What is a part of something that is itself no part needs no second look: nearly all of them.
    in_inner = is_inner.take(whole)
    if in_inner.any():
        doubtful = np.setdiff1d(part, part[~in_inner])
        # The largest first: a part of something that is itself a part is one of the whole only.
        for index in doubtful[np.argsort(-area[doubtful], kind="stable")]:
            is_inner[index] = not is_inner[whole[part == index]].all()
    scores = scores.copy()
    scores[products[is_inner]] *= weight
    return scores


@lru_cache(maxsize=8)
def _yolox_cells(height: int, width: int) -> npt.NDArray[np.float32]:
    """Of each cell of YOLOX's three maps, row by row, its column, its row, its side in pixels and half of that."""
    cells = []
    for stride in YOLOX_STRIDES:
        ys, xs = np.mgrid[0 : height // stride, 0 : width // stride]
        sides = np.full(xs.size, stride)
        cells.append(np.stack([xs.ravel(), ys.ravel(), sides, sides / 2], axis=-1))
    return np.concatenate(cells).astype(np.float32)


def _misfit(output: Output, shape: str) -> ValueError:
    return ValueError(f"the model's output is {output.shape}, but its head and labels need {shape}")

"""The detector's raw output into detections, for the heads the field uses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Boxes, Detections, Kind, Kinds, Scores
from shelf_edge.core.preprocess import Placement

Head = Literal["yolo", "yolo-end2end", "yolox"]
Output = npt.NDArray[np.float32]

YOLOX_STRIDES = (8, 16, 32)

_INSIDE = 0.8
_AS_SURE = 0.7


class Decoder:
    """Turns one model's output into detections.

    Args:
        head: "yolo" (1, 4 + classes, n) of YOLOv8 and 11, "yolo-end2end" (1, n, 6) of YOLO26 and v10,
            "yolox" (1, n, 5 + classes) before the decoding of its grid.
        kinds: what each label means, in the order of the labels; ignored labels are dropped before NMS.
        score_threshold, iou_threshold: 0 to 1. There is no cap on the number of boxes.
        part_weight: see ``weigh_parts``.
        faint_threshold: products from this score on are told as faint ones; None: none are.
    """

    def __init__(
        self,
        head: Head,
        kinds: Sequence[int],
        score_threshold: float,
        iou_threshold: float,
        part_weight: float = 1.0,
        faint_threshold: float | None = None,
    ) -> None:
        self._head = head
        self._kinds = np.array(kinds, np.uint8)
        self._score_threshold = score_threshold
        self._iou_threshold = iou_threshold
        self._part_weight = part_weight
        self._lowest = score_threshold if faint_threshold is None else min(faint_threshold, score_threshold)
        self._least_of = np.full(len(Kind), score_threshold)  # by kind
        self._least_of[Kind.PRODUCT] = self._lowest

    def __call__(self, output: Output, placement: Placement) -> Detections:
        """Detections in picture pixels, best first. Raises: ValueError when the output does not fit the head."""
        rows = self._rows(output, placement)
        # Nearly all of a head's thousands of rows are empty: only the others are worth decoding. YOLOX says so itself,
        # in one column: a score is its product with a probability.
        possible = np.flatnonzero(rows[:, 4] >= self._lowest) if self._head == "yolox" else slice(None)
        scores, labels = self._scores(rows[possible])
        kinds = self._kinds[labels]
        is_wanted = (scores >= self._least_of[kinds]) & (kinds > 0)
        wanted = possible[is_wanted] if isinstance(possible, np.ndarray) else np.flatnonzero(is_wanted)
        boxes, scores, kinds = self._boxes(rows[wanted], wanted, placement), scores[is_wanted], kinds[is_wanted]
        finite = np.isfinite(boxes)
        if not finite.all():
            sound = finite.all(axis=1)
            boxes, scores, kinds = boxes[sound], scores[sound], kinds[sound]
        if self._head == "yolo-end2end":
            keep = np.argsort(-scores, kind="stable")
        else:
            keep = suppress(boxes, scores, kinds, self._iou_threshold)
        boxes, kinds = boxes[keep], kinds[keep]
        scores = weigh_parts(boxes, scores[keep], kinds, self._part_weight)
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= self._least_of[kinds[order]]]
        boxes, scores, kinds = boxes[order], scores[order], kinds[order]
        kinds[scores < self._score_threshold] = Kind.FAINT_PRODUCT
        return Detections(placement.undo(boxes), scores, kinds)

    def _rows(self, output: Output, placement: Placement) -> Output:
        """One row a candidate: (n, 6), (n, 4 + classes) or (n, 5 + classes)."""
        classes = len(self._kinds)
        rows: Output = output[0]
        if self._head == "yolo-end2end":
            _expect(rows.ndim == 2 and rows.shape[1] == 6, output, "(1, n, 6)")
            return rows
        if self._head == "yolo":
            _expect(rows.ndim == 2 and rows.shape[0] == 4 + classes, output, f"(1, {4 + classes}, n)")
            return np.asarray(rows.T, np.float32)
        _expect(rows.ndim == 2 and rows.shape[1] == 5 + classes, output, f"(1, n, {5 + classes})")
        grid, _ = _yolox_grid(placement.input_height_px, placement.input_width_px)
        size = f"{placement.input_width_px} x {placement.input_height_px}"
        _expect(len(grid) == len(rows), output, f"(1, {len(grid)}, {5 + classes}) for an input of {size}")
        return rows

    def _scores(self, rows: Output) -> tuple[Scores, npt.NDArray[np.intp]]:
        """Score and label of each row."""
        if self._head == "yolo-end2end":
            return np.asarray(rows[:, 4]), np.clip(rows[:, 5].astype(np.intp), 0, len(self._kinds) - 1)
        # One row a class: along the long side both are several times as fast.
        of_classes = np.ascontiguousarray((rows[:, 4:] if self._head == "yolo" else rows[:, 5:]).T)
        labels, best = of_classes.argmax(axis=0), of_classes.max(axis=0)
        return (best if self._head == "yolo" else rows[:, 4] * best), labels

    def _boxes(self, rows: Output, places: npt.NDArray[np.intp], placement: Placement) -> Boxes:
        """Corners (m, 4) in input pixels of chosen rows (m, ...), which stood at those places of the output."""
        if self._head == "yolo-end2end":
            return rows[:, :4]
        if self._head == "yolo":
            return _from_centres(rows[:, :4])
        grid, stride = _yolox_grid(placement.input_height_px, placement.input_width_px)
        grid, stride = grid[places], stride[places]
        half = np.exp(np.minimum(rows[:, 2:4], np.float32(20))) * (stride * np.float32(0.5))
        centre = (rows[:, :2] + grid) * stride
        boxes = np.empty((len(rows), 4), np.float32)
        np.subtract(centre, half, out=boxes[:, :2])
        np.add(centre, half, out=boxes[:, 2:])
        return boxes


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
    scores = scores.copy()
    products = np.flatnonzero(kinds == Kind.PRODUCT)
    if len(products) < 2 or weight == 1.0:
        return scores
    corners, sure = boxes[products], scores[products]
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    x1, y1, x2, y2 = np.ascontiguousarray(corners.T)[:, :, None]
    shared, high = _overlap(x1, x2), _overlap(y1, y2)
    shared *= high
    is_part: npt.NDArray[np.bool_] = np.asarray(shared >= _INSIDE * area[:, None], np.bool_)
    is_part &= area[:, None] < area
    is_part &= sure >= _AS_SURE * sure[:, None]
    is_whole: npt.NDArray[np.bool_] = np.asarray(~is_part.any(axis=1), np.bool_)
    # What is a part of something that is itself no part needs no second look: nearly all of them.
    doubtful = np.flatnonzero(~is_whole & ~(is_part[:, is_whole].any(axis=1)))
    # The largest first: a part of something that is itself a part is one of the whole only.
    for index in doubtful[np.argsort(-area[doubtful], kind="stable")]:
        is_whole[index] = not (is_part[index] & is_whole).any()
    scores[products[~is_whole]] *= weight
    return scores


def _overlap(low: npt.NDArray[np.float32], high: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """How much each two of n intervals (n, 1) share: (n, n)."""
    shared = np.minimum(high, high.T)
    shared -= np.maximum(low, low.T)
    return np.maximum(shared, np.float32(0), out=shared)


@lru_cache(maxsize=8)
def _yolox_grid(height: int, width: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Cell corners (n, 2) and strides (n, 1) of YOLOX's three maps, row by row."""
    cells, strides = [], []
    for stride in YOLOX_STRIDES:
        ys, xs = np.mgrid[0 : height // stride, 0 : width // stride]
        cells.append(np.stack([xs, ys], axis=-1).reshape(-1, 2))
        strides.append(np.full((xs.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _expect(fits: bool, output: Output, shape: str) -> None:
    if not fits:
        raise ValueError(f"the model's output is {output.shape}, but its head and labels need {shape}")

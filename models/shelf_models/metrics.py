"""How good detections are: average precision, recall, precision and count error. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Boxes, Scores
from shelf_edge.core.geometry import box_iou


@dataclass(frozen=True)
class PictureResult:
    """One picture: boxes found with their scores, and the true boxes; pixels, xyxy."""

    found: Boxes
    scores: Scores
    truth: Boxes


@dataclass(frozen=True)
class DetectionScore:
    """Over all pictures of one class, at IoU 0.5. Recall and precision are those at the score threshold.

    Attributes:
        ap50: area under the precision-recall curve, 101 points (COCO's way), no cap on the number of boxes.
        count_mae: mean absolute error of the number of boxes a picture, at the score threshold.
    """

    pictures: int
    boxes: int
    ap50: float
    recall: float
    precision: float
    count_mae: float


def score_detections(results: list[PictureResult], score_threshold: float, iou: float = 0.5) -> DetectionScore:
    """Match greedily by score, each true box once, and score. Raises: ValueError without a true box."""
    total = sum(len(result.truth) for result in results)
    if not total:
        raise ValueError("there is no true box to score against")
    matched = [_matches(result, iou) for result in results]
    scores = np.concatenate([result.scores for result in results])
    hits = np.concatenate(matched)
    order = np.argsort(-scores, kind="stable")
    hits_in_order = hits[order]
    cumulative = np.cumsum(hits_in_order)
    recall = cumulative / total
    precision = cumulative / np.arange(1, len(cumulative) + 1)
    kept = scores >= score_threshold
    errors = [abs(int((result.scores >= score_threshold).sum()) - len(result.truth)) for result in results]
    return DetectionScore(
        pictures=len(results),
        boxes=total,
        ap50=_area(recall, precision),
        recall=float(hits[kept].sum() / total),
        precision=float(hits[kept].mean()) if kept.any() else 0.0,
        count_mae=float(np.mean(errors)),
    )


def _matches(result: PictureResult, iou: float) -> npt.NDArray[np.bool_]:
    """(n,) which found boxes hit a true box that no better one hit."""
    hits = np.zeros(len(result.found), bool)
    if not len(result.truth):
        return hits
    overlaps = box_iou(result.found, result.truth)
    free = np.ones(len(result.truth), bool)
    for index in np.argsort(-result.scores, kind="stable"):
        candidates = np.where(free, overlaps[index], -1.0)
        best = int(candidates.argmax())
        if candidates[best] >= iou:
            hits[index] = True
            free[best] = False
    return hits


def _area(recall: npt.NDArray[np.float64], precision: npt.NDArray[np.float64]) -> float:
    """Mean of the best precision at or beyond each of 101 recalls."""
    if not len(recall):
        return 0.0
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.linspace(0, 1, 101)
    places = np.searchsorted(recall, steps, side="left")
    values = np.where(places < len(envelope), envelope[np.minimum(places, len(envelope) - 1)], 0.0)
    return float(values.mean())

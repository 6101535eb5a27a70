"""How good detections are: average precision, recall, precision and count error. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Boxes, Scores
from shelf_edge.core.geometry import box_area, box_iou

IOUS = tuple(0.5 + 0.05 * step for step in range(10))
"""COCO's: AP is the mean over these."""
MAX_DETS = 300
"""Boxes a picture that count for AP. COCO's tools stop at 100, which halves the AP of a dense shelf."""
_IGNORED_SHARE = 0.5


@dataclass(frozen=True)
class PictureResult:
    """One picture: boxes found with their scores, and the true boxes; pixels, xyxy.

    ``ignored``: boxes of the truth that are neither right nor wrong (VOC's difficult, COCO's crowds); what is found
    there and hits nothing else is left out.
    """

    found: Boxes
    scores: Scores
    truth: Boxes
    ignored: Boxes = field(default_factory=lambda: np.zeros((0, 4), np.float32))


@dataclass(frozen=True)
class DetectionScore:
    """Over all pictures of one class. Recall and precision are those at IoU 0.5 and the score threshold.

    Attributes:
        ap50: area under the precision-recall curve at IoU 0.5, 101 points (COCO's way).
        ap: its mean over IoU 0.50 to 0.95.
        count_mae: mean absolute error of the number of boxes a picture, at the score threshold.
        recall_at_precision_80: the most that can be found while four in five found are right, over all thresholds.
        score_at_precision_80: the threshold that gives it; None when there is none.
        max_dets: the best this many boxes of a picture counted for ap and ap50: 300, or more when a picture truly
            holds more than 300; the other figures have no cap.
        most_boxes: the true boxes of the fullest picture.
        ap50_at_300, ap_at_300: with exactly 300; the same as ap50 and ap unless a picture holds more.
    """

    pictures: int
    boxes: int
    ap50: float
    recall: float
    precision: float
    count_mae: float
    ap: float = 0.0
    recall_at_precision_80: float = 0.0
    score_at_precision_80: float | None = None
    max_dets: int = MAX_DETS
    most_boxes: int = 0
    ap50_at_300: float = 0.0
    ap_at_300: float = 0.0


def score_detections(
    results: list[PictureResult], score_threshold: float, iou: float = 0.5, max_dets: int | None = None
) -> DetectionScore:
    """Match greedily by score, each true box once, and score.

    Args:
        iou: what makes a hit for recall, precision and ap50.
        max_dets: cap for ap and ap50; by default 300, or twice the boxes of the fullest picture when it holds more
            than 300, so that no picture is too dense to be found whole.
    Raises: ValueError without a true box.
    """
    total = sum(len(result.truth) for result in results)
    if not total:
        raise ValueError("there is no true box to score against")
    fullest = max(len(result.truth) for result in results)
    cap = max_dets or (MAX_DETS if fullest <= MAX_DETS else 2 * fullest)
    kept = [_best(result, cap) for result in results]
    ap50, ap = _areas(kept, iou, total)
    at_300 = [_best(result, MAX_DETS) for result in results]
    is_same = all(len(one.found) == len(other.found) for one, other in zip(kept, at_300, strict=True))
    ap50_300, ap_300 = (ap50, ap) if is_same else _areas(at_300, iou, total)
    recall, precision, scores = _curve(results, iou, total)
    hits, counted = zip(*(_matches(result, iou) for result in results), strict=True)
    shown = np.concatenate([result.scores for result in results]) >= score_threshold
    shown &= np.concatenate(counted)
    right = int(np.concatenate(hits)[shown].sum())
    errors = [
        abs(int(((result.scores >= score_threshold) & countable).sum()) - len(result.truth))
        for result, countable in zip(results, counted, strict=True)
    ]
    # A threshold takes all boxes of one score or none: among equals there is no cut.
    is_cut = np.append(scores[1:] != scores[:-1], True) if len(scores) else np.zeros(0, bool)
    precise = np.flatnonzero((precision >= 0.8) & is_cut)
    last = int(precise[-1]) if len(precise) else None
    return DetectionScore(
        pictures=len(results),
        boxes=total,
        ap50=ap50,
        recall=right / total,
        precision=right / int(shown.sum()) if shown.any() else 0.0,
        count_mae=float(np.mean(errors)),
        ap=ap,
        recall_at_precision_80=float(recall[last]) if last is not None else 0.0,
        score_at_precision_80=float(scores[last]) if last is not None else None,
        max_dets=cap,
        most_boxes=fullest,
        ap50_at_300=ap50_300,
        ap_at_300=ap_300,
    )


def _areas(results: list[PictureResult], iou: float, total: int) -> tuple[float, float]:
    """Area under the curve at ``iou``, and the mean over COCO's."""
    at_iou, *levels = (_area(*_curve(results, level, total)[:2]) for level in (iou, *IOUS))
    return at_iou, float(np.mean(levels))


def precision_recall(
    results: list[PictureResult], iou: float = 0.5
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The whole curve for a plot: recall, precision and score, (n,) each, best score first."""
    return _curve(results, iou, sum(len(result.truth) for result in results))


def _best(result: PictureResult, cap: int) -> PictureResult:
    if len(result.found) <= cap:
        return result
    order = np.argsort(-result.scores, kind="stable")[:cap]
    return PictureResult(result.found[order], result.scores[order], result.truth, result.ignored)


def _curve(
    results: list[PictureResult], iou: float, total: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    hits, counted = zip(*(_matches(result, iou) for result in results), strict=True)
    keep = np.concatenate(counted)
    scores = np.concatenate([result.scores for result in results])[keep]
    order = np.argsort(-scores, kind="stable")
    cumulative = np.cumsum(np.concatenate(hits)[keep][order])
    return cumulative / total, cumulative / np.arange(1, len(cumulative) + 1), scores[order].astype(np.float64)


def _matches(result: PictureResult, iou: float) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(n,) which found boxes hit a true box that no better one hit, and (n,) which count at all."""
    hits = np.zeros(len(result.found), bool)
    if len(result.truth):
        overlaps = box_iou(result.found, result.truth)
        free = np.ones(len(result.truth), bool)
        for index in np.argsort(-result.scores, kind="stable"):
            candidates = np.where(free, overlaps[index], -1.0)
            best = int(candidates.argmax())
            if candidates[best] >= iou - 1e-6:
                hits[index] = True
                free[best] = False
    return hits, hits | ~_within(result.found, result.ignored)


def _within(found: Boxes, regions: Boxes) -> npt.NDArray[np.bool_]:
    """(n,) which boxes lie by half or more in one of the regions."""
    if not len(regions) or not len(found):
        return np.zeros(len(found), bool)
    left_top = np.maximum(found[:, None, :2], regions[None, :, :2])
    right_bottom = np.minimum(found[:, None, 2:], regions[None, :, 2:])
    overlap = np.prod(np.clip(right_bottom - left_top, 0, None), axis=2)
    inside: npt.NDArray[np.bool_] = (overlap >= _IGNORED_SHARE * box_area(found)[:, None]).any(axis=1)
    return inside


def _area(recall: npt.NDArray[np.float64], precision: npt.NDArray[np.float64]) -> float:
    """Mean of the best precision at or beyond each of 101 recalls."""
    if not len(recall):
        return 0.0
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.linspace(0, 1, 101)
    places = np.searchsorted(recall, steps, side="left")
    values = np.where(places < len(envelope), envelope[np.minimum(places, len(envelope) - 1)], 0.0)
    return float(values.mean())

"""Plots and pictures of an evaluation: a precision-recall curve as SVG, and the best and worst pictures with boxes.

Pictures show what was photographed: they go to a folder the caller names, never into the project.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Kind
from shelf_edge.core.frame import Picture
from shelf_edge.core.geometry import box_iou
from shelf_models.evaluate import Evaluation, PictureMeasure, product_results
from shelf_models.metrics import precision_recall

_COLOURS = ("#1b6ca8", "#d1495b", "#3a7d44", "#b07d00", "#6a4c93", "#444444")
_WIDTH, _HEIGHT, _LEFT, _TOP, _SIDE = 660, 360, 48, 16, 296
_FOUND_BGR, _FALSE_BGR, _MISSED_BGR = (96, 200, 60), (40, 40, 230), (230, 160, 30)
_CASES = 3


@dataclass(frozen=True)
class Curve:
    """A line of a plot: recall and precision, (n,) each, 0 to 1."""

    name: str
    recall: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]


def curve_of(evaluation: Evaluation, name: str | None = None) -> Curve:
    """Class-agnostic products at IoU 0.5."""
    recall, precision, _ = precision_recall(product_results(evaluation.measures))
    return Curve(name or f"{evaluation.model} ({evaluation.score.ap50:.3f})", recall, precision)


def curves_svg(curves: Sequence[Curve], title: str) -> str:
    """Precision over recall, one line a model."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="{_text(title)}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for tenth in range(0, 11, 2):
        x, y = _LEFT + _SIDE * tenth / 10, _TOP + _SIDE * (1 - tenth / 10)
        parts += [
            f'<path d="M{_LEFT} {y:.1f}h{_SIDE}M{x:.1f} {_TOP}v{_SIDE}" stroke="#ddd" fill="none"/>',
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tenth / 10:.1f}</text>',
            f'<text x="{x:.1f}" y="{_TOP + _SIDE + 16}" text-anchor="middle">{tenth / 10:.1f}</text>',
        ]
    parts.append(f'<text x="{_LEFT + _SIDE / 2}" y="{_HEIGHT - 12}" text-anchor="middle">recall</text>')
    middle = _TOP + _SIDE / 2
    parts.append(f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">precision</text>')
    for index, curve in enumerate(curves):
        colour = _COLOURS[index % len(_COLOURS)]
        kept = _corners(curve.recall)
        points = " ".join(
            f"{_LEFT + _SIDE * r:.1f},{_TOP + _SIDE * (1 - p):.1f}"
            for r, p in zip(curve.recall[kept], curve.precision[kept], strict=True)
        )
        y = _TOP + 20 + 20 * index
        parts += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<path d="M{_LEFT + _SIDE + 14} {y}h16" stroke="{colour}" stroke-width="3"/>',
            f'<text x="{_LEFT + _SIDE + 36}" y="{y + 4}">{_text(curve.name)}</text>',
        ]
    return "\n".join([*parts, "</svg>\n"])


def _corners(recall: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The points that a line needs: before and after each rise of recall, 800 of them at most."""
    rises = np.flatnonzero(np.diff(recall, prepend=-1.0) > 0)
    points = np.unique(np.concatenate([rises, np.maximum(rises - 1, 0), [max(len(recall) - 1, 0)]]))
    points = points[points < len(recall)]
    return points[:: max(1, len(points) // 800)]


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def write_figures(evaluation: Evaluation, folder: Path) -> None:
    """``curve.svg``, ``best-N.jpg`` and ``worst-N.jpg`` into a folder; green found, red false, blue missed."""
    folder.mkdir(parents=True, exist_ok=True)
    curve = curves_svg([curve_of(evaluation)], f"precision and recall of {evaluation.model}")
    (folder / "curve.svg").write_text(curve, encoding="utf-8")
    ranked = sorted(evaluation.measures, key=lambda measure: _errors(measure, evaluation.score_threshold))
    cases = min(_CASES, (len(ranked) + 1) // 2)
    for name, measures in (("best", ranked[:cases]), ("worst", ranked[::-1][:cases])):
        for number, measure in enumerate(measures, start=1):
            cv2.imwrite(str(folder / f"{name}-{number}.jpg"), _drawn(measure, evaluation.score_threshold))


def _verdicts(
    measure: PictureMeasure, threshold: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Boxes found above the threshold, which are right (IoU 0.5), and the true boxes that were missed."""
    found = measure.found.of(Kind.PRODUCT)
    boxes = found.boxes_px[found.scores >= threshold]
    truth, _ = measure.picture.of(None)
    right, free = np.zeros(len(boxes), bool), np.ones(len(truth), bool)
    overlaps = box_iou(boxes, truth)
    for index in range(len(boxes)):
        candidates = np.where(free, overlaps[index], -1.0)
        if len(truth) and candidates.max() >= 0.5:
            right[index] = True
            free[int(candidates.argmax())] = False
    return boxes, right, truth[free]


def _errors(measure: PictureMeasure, threshold: float) -> float:
    """Missed and false boxes as a share of what is there."""
    _, right, missed = _verdicts(measure, threshold)
    return (int((~right).sum()) + len(missed)) / max(1, int(right.sum()) + len(missed))


def _drawn(measure: PictureMeasure, threshold: float) -> Picture:
    canvas = measure.picture.read().copy()
    boxes, right, missed = _verdicts(measure, threshold)
    thick = max(2, canvas.shape[1] // 500)
    for box in missed:
        _rectangle(canvas, box, _MISSED_BGR, thick)
    for box, is_right in zip(boxes, right, strict=True):
        _rectangle(canvas, box, _FOUND_BGR if is_right else _FALSE_BGR, thick)
    return canvas


def _rectangle(canvas: Picture, box: npt.NDArray[np.float32], colour: tuple[int, int, int], thick: int) -> None:
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, thick, cv2.LINE_AA)

"""Models on the same pictures, side by side. Times are taken in turn, picture by picture, so that all suffer alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from shelf_edge.adapters.detector_onnx import OnnxDetector
from shelf_edge.adapters.model_folder import ModelFiles
from shelf_edge.adapters.runtime import Execution
from shelf_edge.tiled import Tiling, detect_tiled
from shelf_models.evaluate import Evaluation, evaluate_detector
from shelf_models.labelled import LabelledPicture


@dataclass(frozen=True)
class Candidate:
    """A model, what counts as a product, and what it runs on."""

    files: ModelFiles
    products: str
    execution: Execution


@dataclass(frozen=True)
class Compared:
    """Attributes:
    ms: median for a picture, taken in turn with the others.
    times_first: how much of the first one's time it takes.
    """

    evaluation: Evaluation
    ms: float
    times_first: float

    def as_json(self) -> dict[str, Any]:
        return self.evaluation.as_json() | {
            "ms_per_image": round(self.ms, 2),
            "times_first": round(self.times_first, 3),
        }


def compare_models(
    candidates: list[Candidate],
    pictures: list[LabelledPicture],
    *,
    confidence: float | None = None,
    threads: int = 2,
    tiling: Tiling = "auto",
    on_picture: Callable[[], None] = lambda: None,
) -> list[Compared]:
    """Figures of each candidate. Raises: FileProblems."""
    evaluations = [
        evaluate_detector(
            one.files,
            pictures,
            products=one.products,
            confidence=confidence,
            threads=threads,
            execution=one.execution,
            tiling=tiling,
            on_picture=on_picture,
        )
        for one in candidates
    ]
    detectors = [
        OnnxDetector(one.files, threads=threads, score_threshold=confidence, execution=one.execution)
        for one in candidates
    ]
    times: list[list[float]] = [[] for _ in candidates]
    for picture in pictures:
        image = picture.read()
        for detector, spent in zip(detectors, times, strict=True):
            began_s = time.perf_counter()
            detect_tiled(detector, image, tiling=tiling)
            spent.append((time.perf_counter() - began_s) * 1000)
        on_picture()
    first = np.array(times[0])
    return [
        Compared(evaluation, float(np.median(spent)), float(np.median(np.array(spent) / first)))
        for evaluation, spent in zip(evaluations, times, strict=True)
    ]


_HEADINGS = (
    "model",
    "on",
    "AP",
    "AP50",
    "recall",
    "precision",
    "recall at P 0.8",
    "count error",
    "ms",
    "x first",
    "MB",
)


def table(rows: list[Compared]) -> str:
    """As Markdown."""
    cells = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADINGS))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _cells(row: Compared) -> tuple[str, ...]:
    told, score = row.evaluation, row.evaluation.score
    return (
        f"{told.model} {told.version}",
        told.provider.removesuffix("ExecutionProvider"),
        f"{score.ap:.3f}",
        f"{score.ap50:.3f}",
        f"{score.recall:.3f}",
        f"{score.precision:.3f}",
        f"{score.recall_at_precision_80:.3f}",
        f"{score.count_mae:.2f}",
        f"{row.ms:.1f}",
        f"{row.times_first:.2f}",
        f"{told.model_mb:.1f}",
    )

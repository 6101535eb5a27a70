"""A detector measured on labelled pictures by the edge's own pre- and post-processing: what is measured ships."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.manifest import Kind as KindName
from shelf_contracts.manifest import Manifest
from shelf_contracts.messages import ModelInfo
from shelf_edge.adapters.detector_onnx import OnnxDetector, RawLook
from shelf_edge.adapters.model_folder import ModelFiles, locate_model
from shelf_edge.adapters.runtime import Execution
from shelf_edge.core.coco import COCO_LABELS
from shelf_edge.core.detections import KIND_BY_NAME, Detections, Kind
from shelf_edge.core.frame import Picture
from shelf_edge.tiled import Tiling, detect_tiled
from shelf_models.labelled import NOT_PRODUCTS, LabelledPicture
from shelf_models.metrics import DetectionScore, PictureResult, score_detections

LOWEST_SCORE = 0.001
"""Boxes above it count for AP, as in COCO's tools; the shipped threshold only cuts recall, precision and counts."""

ALL_BUT_PERSON = "all-but:person"


@dataclass(frozen=True)
class PictureMeasure:
    """One picture measured: all boxes from the lowest score, how long it took, and in how many looks."""

    picture: LabelledPicture
    found: Detections
    ms: float
    tiles: int


@dataclass(frozen=True)
class Evaluation:
    """Attributes:
    score: class-agnostic products.
    by_label: the other labels that the model knows and the pictures hold.
    """

    model: str
    version: str
    provider: str
    products: str
    score_threshold: float
    score: DetectionScore
    by_label: dict[str, DetectionScore]
    ms_per_image: float
    ms_p90: float
    tiles_per_image: float
    model_mb: float
    measures: tuple[PictureMeasure, ...]

    def as_json(self) -> dict[str, Any]:
        """The figures of ``smartshelf models evaluate detector --json``."""
        score = self.score
        return {
            "model": self.model,
            "version": self.version,
            "provider": self.provider,
            "model_mb": round(self.model_mb, 3),
            "products": self.products,
            "images": score.pictures,
            "boxes": score.boxes,
            "ap": round(score.ap, 4),
            "ap50": round(score.ap50, 4),
            "max_dets": score.max_dets,
            "most_boxes_an_image": score.most_boxes,
            "ap_at_300": round(score.ap_at_300, 4),
            "ap50_at_300": round(score.ap50_at_300, 4),
            "confidence": self.score_threshold,
            "recall_50": round(score.recall, 4),
            "precision_50": round(score.precision, 4),
            "count_mae": round(score.count_mae, 4),
            "recall_at_precision_80": round(score.recall_at_precision_80, 4),
            "confidence_at_precision_80": (
                None if score.score_at_precision_80 is None else round(score.score_at_precision_80, 4)
            ),
            "ms_per_image": round(self.ms_per_image, 2),
            "ms_per_image_p90": round(self.ms_p90, 2),
            "tiles_per_image": round(self.tiles_per_image, 2),
            "labels": {
                label: {
                    "boxes": other.boxes,
                    "ap50": round(other.ap50, 4),
                    "max_dets": other.max_dets,
                    "recall_50": round(other.recall, 4),
                    "precision_50": round(other.precision, 4),
                }
                for label, other in self.by_label.items()
            },
        }


def locate_for_evaluation(path: Path, as_product: str | None = None) -> tuple[ModelFiles, str]:
    """The model, and in words what counts as a product.

    Args:
        as_product: "all-but:LABEL,..." or "LABEL,...". By default what the manifest says; a brought model with COCO's
            labels is taken class-agnostic, since a shop sells more than COCO names.
    Raises: FileProblems.
    """
    files = locate_model(path)
    if as_product is None and files.is_brought and tuple(files.manifest.labels) == COCO_LABELS:
        as_product = ALL_BUT_PERSON
    if as_product is None:
        told = ", ".join(label for label, kind in files.manifest.kinds.items() if kind == "product")
        return files, told
    return replace(files, manifest=with_products(files, as_product)), as_product


def with_products(files: ModelFiles, as_product: str) -> Manifest:
    """The manifest with other labels taken as products. Raises: FileProblems when a label is not the model's."""
    manifest = files.manifest
    is_exception = as_product.startswith("all-but:")
    named = [name.strip() for name in as_product.removeprefix("all-but:").split(",") if name.strip()]
    unknown = [name for name in named if name not in manifest.labels]
    if unknown or not named:
        allowed = f"must name labels of {files.onnx.name}: {', '.join(manifest.labels[:100])}"
        raise FileProblems(files.onnx, [Problem("--as-product", ", ".join(unknown) or "nothing", allowed)])
    chosen = [label for label in manifest.labels if (label in named) != is_exception]
    kinds: dict[str, KindName] = {label: kind for label, kind in manifest.kinds.items() if kind != "product"}
    kinds |= dict.fromkeys(chosen, "product")
    return manifest.model_copy(update={"kinds": kinds, "golden": None, "more_golden": []})


def evaluate_detector(
    files: ModelFiles,
    pictures: list[LabelledPicture],
    *,
    products: str = "",
    confidence: float | None = None,
    threads: int = 2,
    execution: Execution = Execution(),  # noqa: B008 - frozen
    tiling: Tiling = "auto",
    on_picture: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Measure.

    Args:
        confidence: where recall, precision and counts are cut; by default the manifest's threshold.
        on_picture: called after each picture, for a progress bar.
    Raises: FileProblems when a picture or the model is bad, or no picture holds a product.
    """
    if not any(len(picture.of(None)[0]) for picture in pictures):
        told = Problem("", f"{len(pictures)} pictures without a product", "must hold at least one to be found")
        raise FileProblems(pictures[0].path.parent, [told])
    detector = OnnxDetector(files, threads=threads, score_threshold=confidence, execution=execution)
    measures = []
    for picture in pictures:
        measures.append(_measure(detector, picture, tiling))
        on_picture()
    threshold = detector.score_threshold
    by_label = {}
    for label, kind in _other_labels(files.manifest):
        results = [_result(measure, label, kind) for measure in measures]
        if any(len(result.truth) for result in results):
            by_label[label] = score_detections(results, threshold)
    times = np.array([measure.ms for measure in measures])
    return Evaluation(
        model=detector.info.name,
        version=detector.info.version,
        provider=detector.info.provider,
        products=products,
        score_threshold=threshold,
        score=score_detections(product_results(measures), threshold),
        by_label=by_label,
        ms_per_image=float(np.median(times)),
        ms_p90=float(np.percentile(times, 90)),
        tiles_per_image=float(np.mean([measure.tiles for measure in measures])),
        model_mb=files.onnx.stat().st_size / 1e6,
        measures=tuple(measures),
    )


def product_results(measures: list[PictureMeasure] | tuple[PictureMeasure, ...]) -> list[PictureResult]:
    """Class-agnostic products of each picture, found and true."""
    return [_result(measure, None, Kind.PRODUCT) for measure in measures]


def _other_labels(manifest: Manifest) -> list[tuple[str, Kind]]:
    found = [(label, KIND_BY_NAME[kind]) for label, kind in manifest.kinds.items() if label in NOT_PRODUCTS]
    return [(label, kind) for label, kind in found if kind not in (Kind.PRODUCT, Kind.IGNORE)]


class _Remembering:
    """A detector that keeps what the graph said, so that it can be decoded again without running it again."""

    def __init__(self, detector: OnnxDetector) -> None:
        self._detector = detector
        self._looks: list[RawLook] = []
        self._again: Iterator[RawLook] | None = None

    @property
    def info(self) -> ModelInfo:
        return self._detector.info

    def input_size_px(self, width_px: int, height_px: int) -> tuple[int, int]:
        return self._detector.input_size_px(width_px, height_px)

    @property
    def score_threshold(self) -> float:
        return self._detector.score_threshold

    def repeat(self) -> None:
        """From now on the same looks come again, in the same order."""
        self._again = iter(self._looks)

    def detect(self, image: Picture) -> Detections:
        return self.detect_from(image, self.score_threshold)

    def detect_from(self, image: Picture, score_threshold: float) -> Detections:
        if self._again is not None:
            return self._detector.decode(next(self._again), score_threshold)
        look = self._detector.look(image)
        self._looks.append(look)
        return self._detector.decode(look, score_threshold)


def _measure(detector: OnnxDetector, picture: LabelledPicture, tiling: Tiling) -> PictureMeasure:
    """Timed as the node does it, at its own threshold; then decoded once more from the lowest score.

    Which tiles are looked at depends on what is found at the detector's own threshold, so both times they are the same.
    """
    image = picture.read()
    remembering = _Remembering(detector)
    began_s = time.perf_counter()
    timed = detect_tiled(remembering, image, tiling=tiling)
    ms = (time.perf_counter() - began_s) * 1000
    remembering.repeat()
    found = detect_tiled(remembering, image, tiling=tiling, score_threshold=LOWEST_SCORE).found
    return PictureMeasure(picture, found, ms, timed.looks)


def _result(measure: PictureMeasure, label: str | None, kind: Kind) -> PictureResult:
    found = measure.found.of(kind)
    truth, ignored = measure.picture.of(label)
    return PictureResult(found.boxes_px, found.scores, truth, ignored)

"""Fit the shipped detector to one shop: a dozen labelled photos of its own shelves, half an hour at most."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.manifest import Manifest, Training
from shelf_edge.adapters.detector_onnx import OnnxDetector
from shelf_edge.adapters.model_folder import ModelFiles, locate_model
from shelf_edge.core.detections import Kind
from shelf_models.augment import Labelled
from shelf_models.describe import LABELS, with_figures, write_model_folder
from shelf_models.drawn_pictures import draw_pictures
from shelf_models.evaluate import PictureMeasure, evaluate_detector, product_results
from shelf_models.export_yolox import export, manifest_of
from shelf_models.labelled import LabelledPicture
from shelf_models.metrics import DetectionScore, score_detections
from shelf_models.presets import ShelfPreset
from shelf_models.sources import CollageSource, FolderSource, MemorySource, StoredSource
from shelf_models.yolox_fit import FitPlan, Share, fit
from shelf_models.yolox_network import YoloxNano, start_from_onnx

log = logging.getLogger(__name__)

LEAST_PHOTOS = 3
_COLLAGES = 240
_DRAWN = 360
"""Drawn shelves with hands, people, labels and gaps: a shop's photos show products only."""


@dataclass(frozen=True)
class ShopPlan:
    """How to fit a shop.

    Attributes:
        steps, batch, learning_rate: see ``FitPlan``.
        own_share: how many of the pictures are the shop's own; the rest are drawn shelves and collages, so that what
            is known of other things is kept.
    """

    steps: int = 240
    batch: int = 16
    learning_rate: float = 5e-4
    own_share: float = 0.5
    drawn_share: float = 0.35
    seed: int = 31


def train_shop(
    photos: Sequence[LabelledPicture],
    base: Path,
    out: Path,
    work: Path,
    plan: ShopPlan = ShopPlan(),
    on_step: Callable[[], None] = lambda: None,
) -> Manifest:
    """Go on training the model folder ``base`` with the shop's photos; write the model folder ``out``.

    Only products are learned from the photos: hands, people, labels and gaps are not expected to be marked in them.
    What the base model makes of those is kept: by drawn shelves that show them, by holding on to its answers on every
    picture, and by teaching nothing where it sees one in a photo of the shop.
    Raises: FileProblems when there are too few photos, or ``base`` is not a YOLOX-nano of ours.
    """
    if len(photos) < LEAST_PHOTOS:
        told = Problem("", f"{len(photos)} labelled photos", f"must hold at least {LEAST_PHOTOS}")
        raise FileProblems(photos[0].path.parent if photos else Path(), [told])
    files = locate_model(base)
    network = _network_of(files)
    work.mkdir(parents=True, exist_ok=True)
    detector = OnnxDetector(files, threads=2)
    own = MemorySource([_learnable(photo, detector) for photo in photos])
    rng = np.random.default_rng([plan.seed, 2])
    collages = StoredSource((CollageSource([], []).draw(rng) for _ in range(_COLLAGES)), rng)
    size = files.manifest.preprocessing
    drawn = draw_pictures(work / "drawn", _DRAWN, plan.seed, width_px=size.width)
    shares = [
        Share(own, plan.own_share),
        Share(FolderSource(drawn), plan.drawn_share),
        Share(collages, 1 - plan.own_share - plan.drawn_share),
    ]
    how = FitPlan(steps=plan.steps, batch=plan.batch, learning_rate=plan.learning_rate, seed=plan.seed)
    fitted = fit(network, shares, how, on_step, keeps=_network_of(files))
    onnx = export(fitted, work / "model.onnx", size.width, size.height)
    kept_apart = sorted((drawn / "images" / "val").iterdir())
    return write_model_folder(
        out, work, onnx, lambda folder: _describe(files.manifest, photos, plan, folder, kept_apart)
    )


def _network_of(files: ModelFiles) -> YoloxNano:
    if files.manifest.head != "yolox" or files.manifest.labels != LABELS:
        told = Problem("head, labels", f"{files.manifest.head}, {files.manifest.labels}", f"must be yolox, {LABELS}")
        raise FileProblems(files.onnx, [told])
    network = YoloxNano(len(LABELS))
    start_from_onnx(network, files.onnx, [[index] for index in range(len(LABELS))])
    return network


def _learnable(photo: LabelledPicture, base: OnnxDetector) -> Labelled:
    """Products as class 0. What is marked as neither right nor wrong, or is none but was seen, teaches nothing."""
    boxes, ignored = photo.of(None)
    picture = photo.read()
    found = base.detect(picture)
    others = found.boxes_px[found.kinds != Kind.PRODUCT]
    unsure = np.concatenate([ignored, others]).astype(np.float32)
    classes = np.concatenate([np.zeros(len(boxes), np.int64), np.full(len(unsure), -1, np.int64)])
    return Labelled(picture, np.concatenate([boxes, unsure]).astype(np.float32), classes)


def _describe(
    base: Manifest, photos: Sequence[LabelledPicture], plan: ShopPlan, folder: Path, kept_apart: list[Path]
) -> Manifest:
    training = Training(
        recipe=json.dumps(asdict(plan)),
        data=f"{base.name} {base.version}, then {len(photos)} photos of the shop, {_DRAWN} drawn "
        f"shelves and {_COLLAGES} collages",
        seed=plan.seed,
        pictures=len(photos) + _DRAWN + _COLLAGES,
        epochs=0,
        software=f"torch {torch.__version__}",
    )
    preset = ShelfPreset(
        f"{base.name}-shop", 0, 0, 0, plan.steps, score_threshold=base.score_threshold,
        iou_threshold=base.iou_threshold, part_weight=base.part_weight,
    )  # fmt: skip
    bare = manifest_of(preset, folder / "model.onnx", training)
    # A drawn golden picture: a folder that goes to every node holds no photograph of the shop.
    return with_figures(bare, folder, kept_apart)


def cross_validate(
    photos: Sequence[LabelledPicture],
    base: Path,
    work: Path,
    folds: int,
    plan: ShopPlan = ShopPlan(),
    on_step: Callable[[], None] = lambda: None,
) -> DetectionScore:
    """Score each photo with a model that never saw it: fit ``folds`` times, each time without every n-th photo."""
    measures: list[PictureMeasure] = []
    threshold = locate_model(base).manifest.score_threshold
    for fold in range(folds):
        learned = [photo for index, photo in enumerate(photos) if index % folds != fold]
        kept = [photo for index, photo in enumerate(photos) if index % folds == fold]
        model = work / f"fold-{fold}"
        train_shop(learned, base, model, work, plan, on_step)
        found = evaluate_detector(locate_model(model), kept)
        log.info("fold %d of %d: AP50 %.3f on %d photos", fold + 1, folds, found.score.ap50, len(kept))
        measures += found.measures
    return score_detections(product_results(measures), threshold)

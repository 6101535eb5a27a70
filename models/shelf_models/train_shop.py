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
from shelf_edge.adapters.model_folder import ModelFiles, locate_model
from shelf_models.augment import Labelled
from shelf_models.describe import LABELS, golden_of, write_model_folder
from shelf_models.evaluate import PictureMeasure, evaluate_detector, product_results
from shelf_models.export_yolox import export, manifest_of
from shelf_models.labelled import LabelledPicture
from shelf_models.metrics import DetectionScore, score_detections
from shelf_models.presets import ShelfPreset
from shelf_models.sources import CollageSource, MemorySource, StoredSource
from shelf_models.yolox_fit import FitPlan, Share, fit
from shelf_models.yolox_network import YoloxNano, start_from_onnx

log = logging.getLogger(__name__)

LEAST_PHOTOS = 3
_COLLAGES = 400


@dataclass(frozen=True)
class ShopPlan:
    """How to fit a shop.

    Attributes:
        steps, batch, learning_rate: see ``FitPlan``.
        own_share: how many of the pictures are the shop's own; the rest are collages, so that what is known of other
            things is kept.
    """

    steps: int = 240
    batch: int = 16
    learning_rate: float = 5e-4
    own_share: float = 0.7
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
    Raises: FileProblems when there are too few photos, or ``base`` is not a YOLOX-nano of ours.
    """
    if len(photos) < LEAST_PHOTOS:
        told = Problem("", f"{len(photos)} labelled photos", f"must hold at least {LEAST_PHOTOS}")
        raise FileProblems(photos[0].path.parent if photos else Path(), [told])
    files = locate_model(base)
    network = _network_of(files)
    work.mkdir(parents=True, exist_ok=True)
    own = MemorySource([_learnable(photo) for photo in photos])
    rng = np.random.default_rng([plan.seed, 2])
    collages = StoredSource((CollageSource([], []).draw(rng) for _ in range(_COLLAGES)), rng)
    shares = [Share(own, plan.own_share), Share(collages, 1 - plan.own_share)]
    how = FitPlan(steps=plan.steps, batch=plan.batch, learning_rate=plan.learning_rate, seed=plan.seed)
    fitted = fit(network, shares, how, on_step)
    size = files.manifest.preprocessing
    onnx = export(fitted, work / "model.onnx", size.width, size.height)
    return write_model_folder(out, work, onnx, lambda folder: _describe(files.manifest, photos, plan, folder))


def _network_of(files: ModelFiles) -> YoloxNano:
    if files.manifest.head != "yolox" or files.manifest.labels != LABELS:
        told = Problem("head, labels", f"{files.manifest.head}, {files.manifest.labels}", f"must be yolox, {LABELS}")
        raise FileProblems(files.onnx, [told])
    network = YoloxNano(len(LABELS))
    start_from_onnx(network, files.onnx, [[index] for index in range(len(LABELS))])
    return network


def _learnable(photo: LabelledPicture) -> Labelled:
    """Products as class 0; what is marked as neither right nor wrong teaches nothing."""
    boxes, ignored = photo.of(None)
    classes = np.concatenate([np.zeros(len(boxes), np.int64), np.full(len(ignored), -1, np.int64)])
    return Labelled(photo.read(), np.concatenate([boxes, ignored]).astype(np.float32), classes)


def _describe(base: Manifest, photos: Sequence[LabelledPicture], plan: ShopPlan, folder: Path) -> Manifest:
    training = Training(
        recipe=json.dumps(asdict(plan)),
        data=f"{base.name} {base.version}, then {len(photos)} photos of the shop and {_COLLAGES} collages",
        seed=plan.seed,
        pictures=len(photos) + _COLLAGES,
        epochs=0,
        software=f"torch {torch.__version__}",
    )
    preset = ShelfPreset(
        f"{base.name}-shop", 0, 0, 0, plan.steps, score_threshold=base.score_threshold,
        iou_threshold=base.iou_threshold, part_weight=base.part_weight,
    )  # fmt: skip
    bare = manifest_of(preset, folder / "model.onnx", training)
    golden = golden_of(bare, folder / "model.onnx", [photo.path for photo in photos], folder)
    return bare.model_copy(update={"golden": golden})


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

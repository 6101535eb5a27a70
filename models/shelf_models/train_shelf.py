"""Train the detector that is shipped: YOLOX-nano, from its published weights, on pictures made by code.

What it learns from: drawn shelves with people, collages of invented things and of products cut out of photographs, and
what the published network itself is sure of in photographs that nobody labelled (real hands above all). Neither torch's
nor anybody's licence but Apache-2.0 lies on the weights.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from shelf_contracts.manifest import Manifest, Training
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.core.coco import COCO_LABELS
from shelf_models.augment import Labelled, Picture
from shelf_models.describe import LABELS, with_figures, write_model_folder
from shelf_models.drawn_pictures import draw_pictures
from shelf_models.export_yolox import export, manifest_of
from shelf_models.invented_objects import CutOut
from shelf_models.presets import ShelfPreset
from shelf_models.sources import CollageSource, FolderSource, MemorySource, PosterSource, StoredSource
from shelf_models.teacher import blurred_backgrounds, label
from shelf_models.yolox_fit import FitPlan, Share, fit
from shelf_models.yolox_network import YoloxNano, start_from_onnx

log = logging.getLogger(__name__)

_PRODUCTS = ("bottle", "wine glass", "cup", "bowl", "banana", "apple", "orange", "book", "vase")
"""COCO's classes whose mean is where ``product`` starts."""


@dataclass(frozen=True)
class Photos:
    """Photographs without boxes: where they are, and which of them show a pack held before the lens.

    Attributes:
        folder: searched whole.
        in_hand: a word in the path of those photos; none when empty.
        empty_folder: photographs without products, as backgrounds; may be None.
    """

    folder: Path
    in_hand: str = "Packages"
    empty_folder: Path | None = None


def train_shelf(
    preset: ShelfPreset,
    start_from: Path,
    photos: Photos | None,
    out: Path,
    work: Path,
    on_step: Callable[[], None] = lambda: None,
) -> Manifest:
    """Train, export, measure and write the model folder ``out``.

    Args:
        start_from: YOLOX-nano as ONNX, with COCO's classes.
        photos: without them the model sees no real picture in training, and knows fewer real things.
        work: for pictures and the network; kept, so that a look at the run is possible.
    """
    work.mkdir(parents=True, exist_ok=True)
    teacher = YoloxNano(len(COCO_LABELS))
    start_from_onnx(teacher, start_from, [[index] for index in range(len(COCO_LABELS))])
    taught = _teach(teacher.eval(), photos)
    wide = preset.width_px
    shelves = draw_pictures(work / "shelves", preset.shelf_pictures, preset.seed, width_px=wide)
    close = draw_pictures(work / "close", preset.close_pictures, preset.seed + 1, close_share=0.92, width_px=wide)
    collages = _collages(preset, taught)
    shares = [
        Share(FolderSource(shelves), 0.34),
        Share(FolderSource(close), 0.12),
        Share(collages, 0.28),
    ]
    if taught.hands:
        shares.append(Share(MemorySource(taught.hands, turns=True), 0.09))
        shares.append(Share(PosterSource(taught.hands, collages), 0.1))
    if taught.things:
        shares.append(Share(MemorySource(taught.things), 0.07))
    torch.set_num_threads(preset.threads)
    network = fit(_beginner(start_from), shares, _plan(preset), on_step)
    torch.save(network.state_dict(), work / "network.pt")
    onnx = export(network, work / "model.onnx", preset.width_px, preset.height_px)
    return write_model_folder(out, work, onnx, lambda folder: _describe(preset, taught, folder, shelves))


def _plan(preset: ShelfPreset) -> FitPlan:
    return FitPlan(steps=preset.steps, batch=preset.batch, learning_rate=preset.learning_rate, seed=preset.seed)


def _beginner(start_from: Path) -> YoloxNano:
    """The published network with our classes; a hand starts as a person, which is what COCO takes it for."""
    person = [COCO_LABELS.index("person")]
    network = YoloxNano(len(LABELS))
    start_from_onnx(network, start_from, [[COCO_LABELS.index(name) for name in _PRODUCTS], person, person, [], []])
    return network


@dataclass(frozen=True, eq=False)
class _Taught:
    """What the teacher made of the photographs: those with a hand, those with things alone, cut-outs, backgrounds."""

    hands: list[Labelled]
    things: list[Labelled]
    cut_outs: list[CutOut]
    backgrounds: list[Picture]


def _teach(teacher: YoloxNano, photos: Photos | None) -> _Taught:
    taught = _Taught([], [], [], [])
    if photos is None:
        return taught
    files = sorted(path for path in photos.folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    log.info("%d photographs to learn from", len(files))
    for number, path in enumerate(files):
        labelled, cuts = label(teacher, read_picture(path), shows_pack_in_hand=photos.in_hand in path.parts)
        taught.cut_outs.extend(cuts)
        if (labelled.classes == 1).any():
            taught.hands.append(labelled)
        elif (labelled.classes == 0).any():
            taught.things.append(labelled)
        if number % 20 == 0:
            taught.backgrounds.extend(blurred_backgrounds([labelled.picture]))
    if photos.empty_folder is not None:
        for path in sorted(photos.empty_folder.glob("*.jpg")):
            picture = read_picture(path)
            scale = 600 / max(picture.shape[:2])
            taught.backgrounds.extend([np.asarray(cv2.resize(picture, None, fx=scale, fy=scale), np.uint8)] * 6)
    log.info("%d hands, %d others, %d cut-outs", len(taught.hands), len(taught.things), len(taught.cut_outs))
    return taught


def _collages(preset: ShelfPreset, taught: _Taught) -> StoredSource:
    """Made once: a mosaic of four made afresh would cost more than the step that learns from it."""
    source = CollageSource(taught.cut_outs, taught.backgrounds)
    rng = np.random.default_rng([preset.seed, 2])
    return StoredSource((source.draw(rng) for _ in range(preset.collages)), rng)


def _describe(preset: ShelfPreset, taught: _Taught, folder: Path, shelves: Path) -> Manifest:
    photographs = len(taught.hands) + len(taught.things)
    training = Training(
        recipe=json.dumps(asdict(preset)),
        data=(
            f"{preset.shelf_pictures + preset.close_pictures} pictures drawn by smartshelf simulator dataset, "
            f"{preset.collages} collages of invented things and {len(taught.cut_outs)} cut-outs, {photographs} "
            "photographs labelled by YOLOX-nano (COCO) where it was sure"
        ),
        seed=preset.seed,
        pictures=preset.shelf_pictures + preset.close_pictures + preset.collages + photographs,
        epochs=0,
        software=f"torch {torch.__version__}, from the published weights of YOLOX-nano",
    )
    bare = manifest_of(preset, folder / "model.onnx", training)
    kept_apart = sorted((shelves / "images" / "val").iterdir())
    return with_figures(bare, folder, kept_apart)

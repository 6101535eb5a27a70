"""Train a detector through ultralytics, from nothing but simulated pictures.

The only module that imports ultralytics. Nothing is half-written: the model folder appears when it is whole.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from shelf_contracts.manifest import Manifest, Preprocessing, Training
from shelf_edge.adapters.model_folder import sha256_of
from shelf_models.describe import KINDS, LABELS, with_figures, write_model_folder
from shelf_models.drawn_pictures import draw_pictures
from shelf_models.presets import Preset, Stage
from shelf_models.torchvision_shim import ensure_torchvision
from shelf_models.versions import version_of

log = logging.getLogger(__name__)

LICENCE = "AGPL-3.0-only"
"""Of weights that were trained through ultralytics."""


def train(preset: Preset, out: Path, work: Path, dataset: Path | None = None) -> Manifest:
    """Train, export, measure and write ``out/{model.onnx, golden.jpg, manifest.json}``.

    Args:
        out: the model folder; replaced as a whole at the end.
        work: for pictures and checkpoints; kept, so that a look at the run is possible.
        dataset: pictures made before (``smartshelf simulator dataset``); made in ``work`` when None.
    Raises: subprocess.CalledProcessError when the simulator fails.
    """
    work.mkdir(parents=True, exist_ok=True)
    weights, pictures = preset.architecture, dataset
    for number, stage in enumerate(preset.stages, start=1):
        pictures = dataset or draw_pictures(work / f"pictures-{number}", stage.pictures, stage.seed)
        log.info("stage %d of %d: %d epochs", number, len(preset.stages), stage.epochs)
        weights = str(_fit(preset, stage, weights, pictures, work, f"stage-{number}"))
    assert pictures is not None
    onnx = _export(preset, Path(weights))
    return write_model_folder(out, work, onnx, lambda folder: _describe(preset, folder, pictures))


def _fit(preset: Preset, stage: Stage, weights: str, pictures: Path, work: Path, name: str) -> Path:
    """Train one stage from ``weights`` (an architecture file or a checkpoint); the checkpoint it ends with."""
    os.environ.update(
        YOLO_OFFLINE="True", YOLO_AUTOINSTALL="False", YOLO_CONFIG_DIR=str(work / "ultralytics"), YOLO_VERBOSE="True"
    )
    log.info("torchvision: %s", ensure_torchvision())
    import torch
    from ultralytics import YOLO

    torch.manual_seed(stage.seed)
    on_gpu = torch.cuda.is_available()
    YOLO(weights).train(
        data=str(_data_file(pictures, work)),
        imgsz=max(preset.width_px, preset.height_px),
        rect=True,  # batches of the picture's own shape, so the network learns at the size it will run
        epochs=stage.epochs,
        batch=stage.batch,
        device=0 if on_gpu else "cpu",
        workers=8 if on_gpu else 0,
        cache="ram",
        optimizer="AdamW",
        lr0=stage.learning_rate,
        lrf=0.05,
        cos_lr=True,
        warmup_epochs=1.0,
        cls_pw=stage.rare_class_power,
        pretrained=weights.endswith(".pt"),
        seed=stage.seed,
        deterministic=True,
        plots=False,
        val=False,
        scale=0.3,
        translate=0.08,
        fliplr=0.5,
        erasing=0.0,
        max_det=1000,
        project=str(work.resolve()),
        name=name,
        exist_ok=True,
    )
    return work / name / "weights" / "last.pt"


def _export(preset: Preset, checkpoint: Path) -> Path:
    from ultralytics import YOLO

    exported = YOLO(str(checkpoint)).export(
        format="onnx", imgsz=[preset.height_px, preset.width_px], opset=17, dynamic=False, simplify=True
    )
    return Path(exported)


def _data_file(pictures: Path, work: Path) -> Path:
    """A data file for ultralytics with an absolute path: a relative one it would look for in its own folder."""
    names = "".join(f"  {index}: {label}\n" for index, label in enumerate(LABELS))
    file = work / "data.yaml"
    file.write_text(f"path: {pictures.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}")
    return file


def _describe(preset: Preset, folder: Path, pictures: Path) -> Manifest:
    """The manifest: figures on the pictures kept apart, and a golden picture from among them."""
    onnx = folder / "model.onnx"
    bare = Manifest.model_validate(
        {
            "schema": "smartshelf.model.v1",
            "name": preset.name,
            "version": version_of(datetime.now(UTC)),
            "file": onnx.name,
            "sha256": sha256_of(onnx),
            "licence": LICENCE,
            "head": "yolo",
            "preprocessing": Preprocessing(width=preset.width_px, height=preset.height_px),
            "labels": LABELS,
            "kinds": KINDS,
            "score_threshold": preset.score_threshold,
            "iou_threshold": preset.iou_threshold,
            "trained_on": Training(
                recipe=json.dumps(asdict(preset)),
                data="pictures drawn by smartshelf simulator dataset; no photograph",
                seed=preset.stages[0].seed,
                pictures=sum(stage.pictures for stage in preset.stages),
                epochs=sum(stage.epochs for stage in preset.stages),
                software=_software(),
            ),
            "made_on": datetime.now(UTC).date(),
        }
    )
    return with_figures(bare, folder, sorted((pictures / "images" / "val").iterdir()))


def _software() -> str:
    import torch
    import ultralytics

    return f"ultralytics {ultralytics.__version__}, torch {torch.__version__}"

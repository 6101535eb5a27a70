"""Train a preset: simulated pictures, ultralytics, ONNX, figures by the edge's own code, manifest, golden picture.

The only module that imports torch and ultralytics. Nothing is half-written: the model folder appears when it is whole.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from shelf_contracts.files import write_json
from shelf_contracts.manifest import Golden, GoldenBox, Manifest, Preprocessing, Training
from shelf_edge.adapters.detector_onnx import OnnxDetector
from shelf_edge.adapters.model_folder import MANIFEST_NAME, ModelFiles, locate_model, sha256_of
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.core.detections import KIND_BY_NAME, Boxes, Detections, Kind
from shelf_models.metrics import DetectionScore, PictureResult, score_detections
from shelf_models.presets import Preset, Stage
from shelf_models.torchvision_shim import ensure_torchvision

log = logging.getLogger(__name__)

LABELS = ["product", "arm-or-hand", "person"]
KINDS = {"product": "product", "arm-or-hand": "hand", "person": "person"}
LICENCE = "AGPL-3.0-only"
"""Of weights that were trained through ultralytics."""

_LOWEST_SCORE = 0.01
_GOLDEN_SCORE = 0.6


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
        pictures = dataset or _make_pictures(stage, work / f"pictures-{number}")
        log.info("stage %d of %d: %d epochs", number, len(preset.stages), stage.epochs)
        weights = str(_fit(preset, stage, weights, pictures, work, f"stage-{number}"))
    assert pictures is not None
    onnx = _export(preset, Path(weights))
    with tempfile.TemporaryDirectory(dir=work) as folder:
        built = Path(folder) / "model"
        built.mkdir()
        shutil.copyfile(onnx, built / "model.onnx")
        manifest = _describe(preset, built, pictures)
        write_json(built / MANIFEST_NAME, manifest)
        OnnxDetector(locate_model(built))  # what is written must pass its own self-test
        if out.exists():
            shutil.rmtree(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(built, out)
    return manifest


def _make_pictures(stage: Stage, folder: Path) -> Path:
    """Pictures from the simulator, which is a component of its own: started, not imported."""
    command = [
        sys.executable, "-m", "shelf_simulator", "dataset", "--out", str(folder), "--pictures", str(stage.pictures),
        "--seed", str(stage.seed), "--workers", str(os.cpu_count() or 1),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return folder


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
            "version": datetime.now(UTC).strftime("%Y.%m.%d"),
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
    kept_apart = sorted((pictures / "images" / "val").iterdir())
    figures = {label: evaluate(bare, onnx, kept_apart, label) for label in LABELS}
    metrics = {
        f"{label}.{name}": round(value, 4)
        for label, score in figures.items()
        if score is not None
        for name, value in (("ap50", score.ap50), ("recall", score.recall), ("precision", score.precision))
    }
    golden = _golden(bare, onnx, kept_apart, folder)
    protocol = (
        f"{len(kept_apart)} simulated pictures kept apart, the edge's own pre- and post-processing; ap50 with scores "
        f"from {_LOWEST_SCORE}, recall and precision at {preset.score_threshold}, IoU 0.5"
    )
    # A model too weak for its threshold (the minute preset) still has to find its own golden box.
    weakest = min(box.score for box in golden.boxes)
    threshold = preset.score_threshold if weakest > preset.score_threshold else weakest / 2
    return bare.model_copy(
        update={"metrics": metrics, "metrics_protocol": protocol, "golden": golden, "score_threshold": threshold}
    )


def _software() -> str:
    import torch
    import ultralytics

    return f"ultralytics {ultralytics.__version__}, torch {torch.__version__}"


def evaluate(manifest: Manifest, onnx: Path, pictures: list[Path], label: str) -> DetectionScore | None:
    """Score one class on pictures with label files; None when none of them holds it."""
    detector = OnnxDetector(ModelFiles(onnx, manifest, is_brought=False), threads=2, score_threshold=_LOWEST_SCORE)
    index, kind = LABELS.index(label), KIND_BY_NAME[KINDS[label]]
    results = []
    for path in pictures:
        image = read_picture(path)
        found = detector.detect(image).of(kind)
        results.append(PictureResult(found.boxes_px, found.scores, true_boxes(path, index, image.shape[1::-1])))
    if not any(len(result.truth) for result in results):
        return None
    return score_detections(results, manifest.score_threshold)


def true_boxes(picture: Path, label: int, size_px: tuple[int, ...]) -> Boxes:
    """Boxes of one class from the label file that belongs to a picture in an images/labels tree; (n, 4) pixels."""
    file = picture.parents[2] / "labels" / picture.parent.name / f"{picture.stem}.txt"
    rows = [line.split() for line in file.read_text().splitlines()] if file.is_file() else []
    shares = np.array([row[1:5] for row in rows if int(row[0]) == label], float).reshape(-1, 4)
    centres, sides = shares[:, :2] * size_px, shares[:, 2:] * size_px
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1).astype(np.float32)


def _golden(manifest: Manifest, onnx: Path, pictures: list[Path], folder: Path) -> Golden:
    """The picture with the most confident boxes of the most kinds becomes the self-test."""
    detector = OnnxDetector(ModelFiles(onnx, manifest, is_brought=False), threads=2)
    best: tuple[tuple[int, int], Path, list[GoldenBox]] | None = None
    for path in pictures[:40]:
        image = read_picture(path)
        height, width = image.shape[:2]
        found = detector.detect(image)
        boxes = [
            _golden_box(found, row, width, height) for row in range(len(found)) if found.scores[row] >= _GOLDEN_SCORE
        ]
        rank = (len({box.label for box in boxes}), len(boxes))
        if boxes and (best is None or rank > best[0]):
            best = (rank, path, boxes)
    if best is None:
        # A run of a minute learns nothing sure: the best box of the first picture is still a fingerprint.
        return _weak_golden(manifest, onnx, pictures[0], folder)
    _, path, boxes = best
    target = folder / f"golden{path.suffix}"
    shutil.copyfile(path, target)
    return Golden(picture=target.name, sha256=sha256_of(target), boxes=boxes[:60])


def _weak_golden(manifest: Manifest, onnx: Path, path: Path, folder: Path) -> Golden:
    detector = OnnxDetector(ModelFiles(onnx, manifest, is_brought=False), threads=2, score_threshold=1e-4)
    image = read_picture(path)
    height, width = image.shape[:2]
    found = detector.detect(image)
    if not len(found):
        raise RuntimeError("the trained model finds nothing at all; train longer")
    target = folder / f"golden{path.suffix}"
    shutil.copyfile(path, target)
    return Golden(picture=target.name, sha256=sha256_of(target), boxes=[_golden_box(found, 0, width, height)])


def _golden_box(found: Detections, row: int, width: int, height: int) -> GoldenBox:
    """One detection as an expected box, in shares of the picture."""
    label_of = {KIND_BY_NAME[kind]: label for label, kind in KINDS.items()}
    x1, y1, x2, y2 = (float(value) for value in found.boxes_px[row])
    return GoldenBox(
        label=label_of[Kind(found.kinds[row])],
        box=(x1 / width, y1 / height, x2 / width, y2 / height),
        score=float(found.scores[row]),
    )

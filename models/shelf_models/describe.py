"""The manifest of a model just trained: figures by the edge's own code, and the golden picture it is checked by."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import read_model, write_json
from shelf_contracts.manifest import Golden, GoldenBox, Manifest
from shelf_contracts.manifest import Kind as KindName
from shelf_edge.adapters.detector_onnx import OnnxDetector
from shelf_edge.adapters.model_folder import MANIFEST_NAME, ModelFiles, locate_model, sha256_of
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.core.detections import KIND_BY_NAME, Detections, Kind
from shelf_models.card import CARD_NAME, card_text
from shelf_models.metrics import DetectionScore, PictureResult, score_detections
from shelf_models.sources import read_pair

LABELS = ["product", "arm-or-hand", "person", "price-label", "gap"]
KINDS: dict[str, KindName] = {
    "product": "product", "arm-or-hand": "hand", "person": "person", "price-label": "price-label", "gap": "gap",
}  # fmt: skip

_LOWEST_SCORE = 0.01
_GOLDEN_SCORE = 0.6


def write_model_folder(out: Path, work: Path, onnx: Path, describe: Callable[[Path], Manifest]) -> Manifest:
    """Build a model folder beside its place, check that a node accepts it, and only then move it there.

    Args:
        out: replaced as a whole at the end; see ``check_out``.
        work: a folder on the same disk, for what is half done.
        describe: given the folder with ``model.onnx``, adds what else belongs there and gives the manifest.
    """
    with tempfile.TemporaryDirectory(dir=work) as folder:
        built = Path(folder) / "model"
        built.mkdir()
        shutil.copyfile(onnx, built / "model.onnx")
        manifest = describe(built)
        write_json(built / MANIFEST_NAME, manifest)
        OnnxDetector(locate_model(built))  # what is written must pass its own self-test
        put_in_place(built, out)
    return manifest


def check_out(out: Path) -> None:
    """Before long work: only a new folder, an empty one or a model folder is written to.

    Raises: FileProblems.
    """
    if out.exists() and not (out.is_dir() and ((out / MANIFEST_NAME).is_file() or not any(out.iterdir()))):
        remedy = "name a new folder; a folder with other files in it is never replaced"
        raise FileProblems(out, [Problem("--out", "exists", "must be new, empty or a model folder", remedy)])


def put_in_place(built: Path, out: Path) -> None:
    """The old folder is moved aside, not deleted, until the new one stands there."""
    check_out(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    ready, before = out.with_name(out.name + ".new"), out.with_name(out.name + ".before")
    for left in (ready, before):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(built, ready)  # may cross disks; the renames below do not
    if out.exists():
        out.rename(before)
    ready.rename(out)
    shutil.rmtree(before, ignore_errors=True)


def with_figures(bare: Manifest, folder: Path, kept_apart: list[Path]) -> Manifest:
    """The manifest with its figures on pictures kept apart, and a golden picture from among them."""
    onnx = folder / bare.file
    metrics = {
        f"{label}.{name}": round(value, 4)
        for label, score in evaluate(bare, onnx, kept_apart).items()
        for name, value in (("ap50", score.ap50), ("recall", score.recall), ("precision", score.precision))
    }
    golden = golden_of(bare, onnx, kept_apart, folder)
    height, width = read_picture(kept_apart[0]).shape[:2]
    protocol = (
        f"{len(kept_apart)} simulated pictures kept apart, {width} x {height}, the edge's own pre- and "
        f"post-processing; ap50 with scores from {_LOWEST_SCORE}, recall and precision at {bare.score_threshold}, "
        "IoU 0.5"
    )
    # A model too weak for its threshold (the minute preset) still has to find its own golden box.
    weakest = min(box.score for box in golden.boxes)
    threshold = bare.score_threshold if weakest > bare.score_threshold else weakest / 2
    return bare.model_copy(
        update={"metrics": metrics, "metrics_protocol": protocol, "golden": golden, "score_threshold": threshold}
    )


def record_figures(folder: Path, metrics: dict[str, float], protocol: str) -> Manifest:
    """Write what was measured into a model folder's manifest and card; a signature falls, for it no longer holds.

    Raises: FileProblems when the folder holds no manifest.
    """
    file = folder / MANIFEST_NAME
    measured = {"metrics": metrics, "metrics_protocol": protocol, "signature": None}
    manifest = read_model(file, Manifest).model_copy(update=measured)
    write_json(file, manifest)
    (folder / CARD_NAME).write_text(card_text(manifest), encoding="utf-8")
    return manifest


def evaluate(manifest: Manifest, onnx: Path, pictures: list[Path]) -> dict[str, DetectionScore]:
    """Score on pictures with label files each class that they hold."""
    detector = OnnxDetector(ModelFiles(onnx, manifest, is_brought=False), threads=2, score_threshold=_LOWEST_SCORE)
    results: dict[str, list[PictureResult]] = {label: [] for label in manifest.labels}
    for path in pictures:
        pair = read_pair(path)
        found = detector.detect(pair.picture)
        for index, label in enumerate(manifest.labels):
            of_kind = found.of(KIND_BY_NAME[manifest.kinds[label]])
            results[label].append(PictureResult(of_kind.boxes_px, of_kind.scores, pair.boxes[pair.classes == index]))
    return {
        label: score_detections(of_label, manifest.score_threshold)
        for label, of_label in results.items()
        if any(len(result.truth) for result in of_label)
    }


def golden_of(manifest: Manifest, onnx: Path, pictures: list[Path], folder: Path) -> Golden:
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

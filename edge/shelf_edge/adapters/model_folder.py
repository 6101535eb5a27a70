"""A model on disk: its manifest, or what the graph itself tells when it is brought without one."""

from __future__ import annotations

import hashlib
import mmap
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import problems_of, read_model
from shelf_contracts.manifest import Kind, Manifest, Preprocessing
from shelf_edge.adapters.runtime import open_session
from shelf_edge.adapters.signatures import Trust, check_signature
from shelf_edge.core.coco import COCO_LABELS, coco_kinds
from shelf_edge.core.masking import kinds_of_people
from shelf_edge.core.onnx_weights import NotOnnx, outside_weights
from shelf_edge.core.postprocess import YOLOX_STRIDES

MANIFEST_NAME = "manifest.json"
_HASH_BLOCK_BYTES = 1 << 20
_LONGEST_NAMES = 100_000
_LONGEST_SIDE = 4096
_NAME = re.compile(r"""(\d{1,6}): (?:'([^'\\]{0,100})'|"([^"\\]{0,100})")""")
_NAMES = re.compile(r"""\{(?:\d{1,6}: (?:'[^'\\]{0,100}'|"[^"\\]{0,100}")(?:, )?)*\}""")


@dataclass(frozen=True)
class ModelFiles:
    """Attributes:
    onnx: the graph's file.
    manifest: what it is and how to feed it.
    is_brought: True when the manifest was derived from the graph, not read from a file.
    signed_by: the trusted key that signed it; empty when none did.
    """

    onnx: Path
    manifest: Manifest
    is_brought: bool
    signed_by: str = ""


def locate_model(path: Path, trust: Trust = Trust()) -> ModelFiles:  # noqa: B008 - frozen
    """The model at a path: a folder with a manifest, or an .onnx file (with or without ``manifest.json`` beside it).

    Args:
        trust: whose signatures are trusted, and whether one is required.
    Raises: FileProblems when a file is missing, broken, not the one the manifest names, not signed as required, or
        when a folder's weights are not all in the graph's file.
    """
    if path.is_dir() or path.name == MANIFEST_NAME:
        folder = path if path.is_dir() else path.parent
        return _with_manifest(folder / MANIFEST_NAME, trust)
    if not path.is_file():
        remedy = "give a model folder with manifest.json, or an .onnx file"
        raise FileProblems(path, [Problem("", "missing", "must be a model", remedy)])
    beside = path.parent / MANIFEST_NAME
    if beside.is_file():
        files = _with_manifest(beside, trust)
        if files.onnx.resolve() == path.resolve():
            return files
    if trust.require:
        remedy = "make a model folder with a signed manifest, or set require_signature = false"
        raise FileProblems(path, [Problem("signature", "a bare file", "must be signed", remedy)])
    return ModelFiles(path, _manifest_of_graph(path), is_brought=True)


def _with_manifest(manifest_path: Path, trust: Trust) -> ModelFiles:
    manifest = read_model(manifest_path, Manifest)
    signed_by = check_signature(manifest_path, trust)
    onnx = manifest_path.parent / manifest.file
    if not onnx.is_file():
        raise FileProblems(manifest_path, [Problem("file", repr(manifest.file), "must be a file beside the manifest")])
    found = sha256_of(onnx)
    if found != manifest.sha256:
        raise FileProblems(
            onnx,
            [
                Problem(
                    "sha256",
                    found,
                    f"must be {manifest.sha256}, as {manifest_path.name} says",
                    "the file is damaged or was exchanged: fetch the model again, or train and export it anew",
                )
            ],
        )
    _check_is_whole(onnx)
    return ModelFiles(onnx, manifest, is_brought=False, signed_by=signed_by)


def check_is_signed(path: Path, trust: Trust) -> None:
    """Only that: whether a model would be refused for its signature. Raises: FileProblems as ``locate_model``."""
    if not trust.require:
        return
    folder = path if path.is_dir() else path.parent
    if (folder / MANIFEST_NAME).is_file():
        check_signature(folder / MANIFEST_NAME, trust)
    else:
        locate_model(path, trust)


def _check_is_whole(onnx: Path) -> None:
    """The hash of the graph's file must cover the weights. Raises: FileProblems when some are in another file."""
    try:
        with onnx.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            outside = outside_weights(raw)
    except (NotOnnx, ValueError, OSError) as error:  # an empty file cannot be mapped
        told = Problem("", str(error), "must be an ONNX model that onnxruntime can load")
        raise FileProblems(onnx, [told]) from error
    if outside:
        remedy = (
            "export it as one file: onnx.save(onnx.load(FILE), FILE) in Python, or torch.onnx.export(..., "
            "external_data=False); then write its sha256 into the manifest, and sign again"
        )
        allowed = "must be in the .onnx file of a model folder, which is what the manifest's sha256 covers"
        raise FileProblems(onnx, [Problem("external data", ", ".join(outside), allowed, remedy)])


def people_in(path: Path, trust: Trust = Trust()) -> frozenset[int]:  # noqa: B008 - frozen
    """The kinds (values of ``Kind``) under which the model at a path tells people; empty when it knows none.

    Raises: FileProblems as ``locate_model``.
    """
    return frozenset(int(kind) for kind in kinds_of_people(locate_model(path, trust).manifest.kinds))


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _manifest_of_graph(path: Path) -> Manifest:
    """Recognise a brought detector from its graph and metadata (ultralytics writes its labels there)."""
    session = open_session(path, threads=1)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = inputs[0].shape
    told = f"inputs {[(i.name, i.shape, i.type) for i in inputs]}, outputs {[(o.name, o.shape) for o in outputs]}"
    if inputs[0].type != "tensor(float)" or len(inputs) != 1 or len(shape) != 4 or shape[1] != 3 or _is_many(shape[0]):
        allowed = "must be one float32 tensor (1, 3, height, width): NCHW, three colours, one picture at a time"
        raise FileProblems(path, [Problem("input", told, allowed, "export it anew like that; a manifest can't help")])
    if not all(isinstance(side, int) for side in shape[2:]):
        raise FileProblems(path, [Problem("input", told, "must state its height and width", _ADVICE)])
    height, width = int(shape[2]), int(shape[3])
    if any(not 32 <= side <= _LONGEST_SIDE or side % 32 for side in (height, width)):
        allowed = f"must have a height and a width in multiples of 32, from 32 to {_LONGEST_SIDE}"
        raise FileProblems(path, [Problem("input", told, allowed, "export it anew like that; a manifest can't help")])
    out = outputs[0].shape
    metadata = session.get_modelmeta().custom_metadata_map
    labels = _labels_in(metadata.get("names", ""))
    cells = sum((height // stride) * (width // stride) for stride in YOLOX_STRIDES)
    if len(out) == 3 and out[1] == cells and isinstance(out[2], int) and out[2] > 5:
        labels = labels or _default_labels(out[2] - 5)
        spec = Preprocessing(width=width, height=height, colour_order="BGR", scale=1.0, padding=114, anchor="top-left")
        return _brought(path, "yolox", spec, labels, metadata)
    spec = Preprocessing(width=width, height=height)
    if len(out) == 3 and out[2] == 6:
        return _brought(path, "yolo-end2end", spec, labels or _default_labels(80), metadata)
    if len(out) == 3 and isinstance(out[1], int) and out[1] > 4 and (out[2] == cells or not isinstance(out[2], int)):
        return _brought(path, "yolo", spec, labels or _default_labels(out[1] - 4), metadata)
    allowed = f"must be (1, 4 + classes, {cells}), (1, {cells}, 5 + classes) or (1, n, 6)"
    raise FileProblems(path, [Problem("output", told, allowed, _ADVICE)])


def graph_text(path: Path) -> list[str]:
    """What a graph tells about itself, in lines: inputs, outputs, labels. Raises: FileProblems when it won't load."""
    session = open_session(path, threads=1)
    metadata = session.get_modelmeta().custom_metadata_map
    labels = _labels_in(metadata.get("names", ""))
    named = f"{len(labels)} in its metadata: {', '.join(labels[:12])}{', …' if len(labels) > 12 else ''}"
    licence = metadata.get("license", "not stated in the file")
    return [
        f"file: {path}, {path.stat().st_size / 1e6:.1f} MB, licence {licence}",
        *(f"input: {one.name} {one.type} {one.shape}" for one in session.get_inputs()),
        *(f"output: {one.name} {one.type} {one.shape}" for one in session.get_outputs()),
        f"labels: {named if labels else 'none in its metadata'}",
    ]


def _is_many(batch: object) -> bool:
    return isinstance(batch, int) and batch != 1


_ADVICE = "write a manifest.json beside the model (models/README.md shows one), or export it with its YOLO head"


def _labels_in(names: str) -> list[str]:
    """Labels from ultralytics' metadata, a Python dict in text such as ``{0: 'person', 1: "lay's"}``; else none.

    It is read by a pattern and never evaluated: the text comes with a file that somebody brought.
    """
    if len(names) > _LONGEST_NAMES or not _NAMES.fullmatch(names):
        return []
    found = {int(key): single or double for key, single, double in _NAME.findall(names)}
    return [found[key] for key in sorted(found)]


def _default_labels(classes: int) -> list[str]:
    return list(COCO_LABELS) if classes == len(COCO_LABELS) else [f"class-{index}" for index in range(classes)]


_OWN_LABELS: dict[str, Kind] = {
    "product": "product",
    "arm-or-hand": "hand",
    "person": "person",
    "price-label": "price-label",
    "gap": "gap",
}


def _brought(
    path: Path, head: str, preprocessing: Preprocessing, labels: list[str], metadata: dict[str, str]
) -> Manifest:
    kinds: dict[str, Kind]
    if tuple(labels) == COCO_LABELS:
        kinds = coco_kinds()
    else:
        kinds = {label: _OWN_LABELS[label] for label in labels if label in _OWN_LABELS}
    if "product" not in kinds.values():
        found = ", ".join(labels[:10])
        remedy = "write a manifest.json beside the model that says which labels are products"
        raise FileProblems(path, [Problem("labels", found, "must hold COCO's classes or 'product'", remedy)])
    content = {
        "schema": "smartshelf.model.v1",
        "name": path.stem[:64],
        "version": "brought",
        "file": path.name,
        "sha256": sha256_of(path),
        "licence": metadata.get("license") or "unknown",
        "head": head,
        "preprocessing": preprocessing,
        "labels": labels,
        "kinds": kinds,
        # YOLOX suppresses at 0.45; more lets doubles through.
        "iou_threshold": 0.45 if head == "yolox" else 0.6,
    }
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise FileProblems(path, problems_of(error, Manifest)) from error

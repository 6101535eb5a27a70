"""INT8 by static quantisation: unsigned activations, signed weights per channel, as x86 computes fastest.

What was measured (docs/accuracy.md says where): signed activations are twice as slow as fp32 on x86, and quantising
convolutions alone loses the gain to the steps between them, so the ops of SiLU and the movers of data are quantised
too. The decode after the last convolutions stays in fp32: boxes and scores in one tensor do not fit 256 steps.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import write_json
from shelf_contracts.manifest import Golden, GoldenBox, Manifest
from shelf_edge.adapters.detector_onnx import OnnxDetector
from shelf_edge.adapters.model_folder import MANIFEST_NAME, ModelFiles, locate_model, sha256_of
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.adapters.runtime import open_session
from shelf_edge.core.detections import KIND_BY_NAME
from shelf_edge.core.preprocess import Letterbox
from shelf_models.card import CARD_NAME, card_text
from shelf_models.labelled import pictures_under

OPS = ("Conv", "Mul", "Sigmoid", "Add", "Concat", "Resize", "MaxPool", "Split")
RECIPE = "static INT8, U8S8 per channel, QDQ over " + ", ".join(OPS) + "; decode and last convolutions in fp32; MinMax"
_FEWEST_PICTURES = 8
_MANY_DEPTHWISE = 0.2
_GOLDEN_SCORE = 0.5
_DFL_BINS = 16
_OLDEST_OPSET = 13


Depthwise = Literal["auto", "int8", "fp32"]


@dataclass(frozen=True)
class Quantised:
    """Attributes:
    nodes: how many nodes of the graph there are; left_out: how many of them stay in fp32 on purpose.
    """

    manifest: Manifest
    nodes: int
    left_out: int
    mb_before: float
    mb_after: float


def quantise(
    model: Path,
    calibration: Path,
    out: Path,
    *,
    pictures: int = 64,
    depthwise: Depthwise = "auto",
    on_picture: Callable[[], None] = lambda: None,
) -> Quantised:
    """Write an INT8 copy of a model as a model folder: unsigned and without figures, since neither carries over.

    Args:
        model: a model folder or a brought .onnx file.
        calibration: a folder of pictures like those the model will see; a spread of ``pictures`` of them is used.
        out: must not exist; appears when it is whole.
        depthwise: whether depthwise convolutions stay in fp32; auto: where they are more than a fifth of all.
        on_picture: called after each picture.
    Raises: FileProblems.
    """
    if out.exists():
        raise FileProblems(out, [Problem("--out", "exists", "must not exist yet")])
    files = locate_model(model)
    found = pictures_under(calibration) if calibration.is_dir() else []
    if len(found) < _FEWEST_PICTURES:
        told = Problem("--calibration", f"{len(found)} pictures", f"must hold at least {_FEWEST_PICTURES}")
        raise FileProblems(calibration, [told])
    chosen = [found[index] for index in np.linspace(0, len(found) - 1, min(pictures, len(found))).round().astype(int)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as name:
        built = Path(name) / "model"
        built.mkdir()
        nodes, left_out = _quantise_graph(files, chosen, built / "model.onnx", Path(name), depthwise, on_picture)
        manifest = _manifest(files, built, len(chosen))
        write_json(built / MANIFEST_NAME, manifest)
        (built / CARD_NAME).write_text(card_text(manifest), encoding="utf-8")
        OnnxDetector(locate_model(built))  # what is written must pass its own self-test
        built.rename(out)
    after = (out / "model.onnx").stat().st_size
    return Quantised(manifest, nodes, left_out, files.onnx.stat().st_size / 1e6, after / 1e6)


class _Pictures:
    """What onnxruntime's calibration reads: one input after the other, then None."""

    def __init__(self, files: ModelFiles, pictures: list[Path], on_picture: Callable[[], None]) -> None:
        self._input = open_session(files.onnx, 1).get_inputs()[0].name
        self._letterbox = Letterbox(files.manifest.preprocessing)
        self._left = list(pictures)
        self._on_picture = on_picture

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        if not self._left:
            return None
        tensor, _ = self._letterbox(read_picture(self._left.pop(0)))
        self._on_picture()
        return {self._input: tensor.copy()}


def _quantise_graph(
    files: ModelFiles,
    pictures: list[Path],
    target: Path,
    work: Path,
    depthwise: Depthwise,
    on_picture: Callable[[], None],
) -> tuple[int, int]:
    """Writes the graph; how many nodes it had, and how many were left out."""
    import onnx
    from onnx import version_converter
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = work / "prepared.onnx"
    quiet = logging.getLogger()
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it advises on every call to do what was just done
    try:
        source = onnx.load(files.onnx)
        if next(one.version for one in source.opset_import if not one.domain) < _OLDEST_OPSET:
            source = version_converter.convert_version(source, _OLDEST_OPSET)  # weights per channel came with it
        onnx.save(source, work / "source.onnx")
        quant_pre_process(str(work / "source.onnx"), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        left_out = nodes_to_leave(graph)
        if depthwise == "fp32" or (depthwise == "auto" and _is_mostly_depthwise(graph)):
            left_out = list(dict.fromkeys([*left_out, *depthwise_parts(graph)]))
        quantize_static(
            str(prepared),
            str(target),
            _Pictures(files, pictures, on_picture),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPS),
            nodes_to_exclude=left_out,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
    finally:
        quiet.setLevel(level)
    return len(graph.node), len(left_out)


def nodes_to_leave(graph: Any) -> list[str]:
    """Names of the nodes that stay in fp32: from the outputs back to the last convolutions, these included.

    The distribution-focal-loss convolution of YOLO's box branch is part of the decode, so the way goes on behind it.
    Attention blocks stay as well.
    """
    makers = {output: node for node in graph.node for output in node.output}
    shapes = {one.name: list(one.dims) for one in graph.initializer}
    left: dict[str, None] = {node.name: None for node in graph.node if "/attn/" in node.name}
    waiting = [makers[output.name] for output in graph.output if output.name in makers]
    while waiting:
        node = waiting.pop()
        if node.name in left:
            continue
        left[node.name] = None
        is_last = node.op_type == "Conv" and shapes.get(node.input[1], []) != [1, _DFL_BINS, 1, 1]
        if not is_last:
            waiting += [makers[name] for name in node.input if name in makers]
    return list(left)


def depthwise_parts(graph: Any) -> list[str]:
    """Names of the depthwise convolutions and of the activations right behind them.

    One scale for an activation does not fit channels that were never mixed: of YOLOX-nano, whose body is full of them,
    quantising them takes 31 points of AP50.
    """
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    depthwise = [node for node in convolutions if any(one.name == "group" and one.i > 1 for one in node.attribute)]
    fed = {output for node in depthwise for output in node.output}
    sigmoids = [node for node in graph.node if node.op_type == "Sigmoid" and fed & set(node.input)]
    fed |= {output for node in sigmoids for output in node.output}
    products = [node for node in graph.node if node.op_type == "Mul" and fed & set(node.input)]
    return [node.name for node in (*depthwise, *sigmoids, *products)]


def _is_mostly_depthwise(graph: Any) -> bool:
    groups = [
        max((one.i for one in node.attribute if one.name == "group"), default=1)
        for node in graph.node
        if node.op_type == "Conv"
    ]
    return bool(sum(group > 1 for group in groups) > _MANY_DEPTHWISE * len(groups))


def _manifest(files: ModelFiles, folder: Path, pictures: int) -> Manifest:
    """The manifest of the copy: its own hash and golden boxes; figures and signature do not carry over."""
    old = files.manifest
    quantised = f"{RECIPE}; {pictures} calibration pictures; from {old.name} {old.version} ({old.sha256[:12]})"
    bare = old.model_copy(
        update={
            "name": f"{old.name[:59]}-int8",
            "file": "model.onnx",
            "sha256": sha256_of(folder / "model.onnx"),
            "golden": None,
            "more_golden": [],
            "metrics": {},
            "metrics_protocol": "",
            "signature": None,
            "notes": old.notes | {"quantisation": quantised},
        }
    )
    golden = []
    for one in old.golden_pictures:
        shutil.copyfile(files.onnx.parent / one.picture, folder / one.picture)
        golden.append(_golden(bare, folder, one))
    return bare.model_copy(update={"golden": golden[0] if golden else None, "more_golden": golden[1:]})


def _golden(manifest: Manifest, folder: Path, old: Golden) -> Golden:
    """The same picture with the boxes that the copy finds where the original found its own.

    Raises: FileProblems when it finds less than nine in ten of them: then the copy is not good enough to be kept.
    """
    from shelf_edge.core.geometry import box_iou

    detector = OnnxDetector(ModelFiles(folder / "model.onnx", manifest, is_brought=False), threads=2)
    picture = read_picture(folder / old.picture)
    height, width = picture.shape[:2]
    sides = np.array([width, height, width, height], np.float32)
    found = detector.detect(picture)
    boxes = []
    for expected in old.boxes:
        overlaps = box_iou(np.array([expected.box], np.float32) * sides, found.boxes_px)[0]
        overlaps[found.kinds != KIND_BY_NAME[manifest.kinds.get(expected.label, "ignore")]] = 0
        if len(overlaps) and overlaps.max() >= _GOLDEN_SCORE:
            best = int(overlaps.argmax())
            x1, y1, x2, y2 = (float(value) for value in found.boxes_px[best] / sides)
            boxes.append(GoldenBox(label=expected.label, box=(x1, y1, x2, y2), score=float(found.scores[best])))
    if len(boxes) < 0.9 * len(old.boxes):
        remedy = "calibrate with pictures like those the model will see"
        told = Problem(old.picture, f"{len(boxes)} of {len(old.boxes)} boxes", "must find nine in ten", remedy)
        raise FileProblems(folder, [told])
    return old.model_copy(update={"boxes": boxes})

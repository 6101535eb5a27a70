"""A detector on onnxruntime: checked against its manifest's hash and golden picture before it may be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.manifest import Golden, Manifest
from shelf_contracts.messages import ModelInfo
from shelf_edge.adapters.model_folder import ModelFiles, locate_model, sha256_of
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.adapters.runtime import Execution, open_runtime
from shelf_edge.adapters.signatures import Trust
from shelf_edge.adapters.suppression import GraphSuppression
from shelf_edge.core.detections import KIND_BY_NAME, Detections
from shelf_edge.core.frame import Picture
from shelf_edge.core.geometry import box_iou
from shelf_edge.core.postprocess import Decoder
from shelf_edge.core.preprocess import Letterbox, Placement, input_size

_MOST_TOLD = 3
_FAINT_SHARE = 0.15
"""From this share of its threshold on, products are told as faint ones. By a low score alone as many false boxes would
be counted as true ones are found, so the slot's geometry decides (``core.slot_view``)."""


@dataclass(frozen=True)
class RawLook:
    """What the graph said about one picture, before it is decoded; valid until the next look."""

    output: npt.NDArray[np.float32]
    placement: Placement


class OnnxDetector:
    """Used by one thread: its input buffer is shared between calls.

    Args:
        files: where the model is and what its manifest says.
        threads: for one inference. One a worker and a worker a core is fastest in all; more only for a single camera.
        score_threshold: overrides the manifest's.
        execution: what to compute on.
        tells_faint: ``detect`` also gives products of a low score, as ``Kind.FAINT_PRODUCT``.
    Raises: FileProblems when the file cannot be loaded or fails its golden picture.
    """

    def __init__(
        self,
        files: ModelFiles,
        *,
        threads: int = 1,
        score_threshold: float | None = None,
        execution: Execution = Execution(),  # noqa: B008 - frozen
        tells_faint: bool = False,
    ) -> None:
        manifest = files.manifest
        if manifest.head == "embedding":
            remedy = "give a detector here; a recogniser's place is the key recogniser"
            raise FileProblems(files.onnx, [Problem("role", manifest.role, "must be detector", remedy)])
        self._manifest = manifest
        self._head = manifest.head
        self._runtime = open_runtime(files.onnx, threads, execution)
        self._letterbox = Letterbox(manifest.preprocessing)
        self._suppressing = GraphSuppression()
        self._score_threshold = score_threshold if score_threshold is not None else manifest.score_threshold
        faint_threshold = _FAINT_SHARE * self._score_threshold if tells_faint else None
        self._decoder = self._make_decoder(self._score_threshold, faint_threshold)
        self._info = ModelInfo(
            role="detector",
            name=manifest.name,
            version=manifest.version,
            sha256=manifest.sha256,
            licence=manifest.licence,
            provider=self._runtime.provider,
            fallback=self._runtime.fallback[:300],
        )
        try:
            self.detect(np.zeros((manifest.preprocessing.height, manifest.preprocessing.width, 3), np.uint8))
        except Exception as error:
            text = str(error).splitlines()[0]
            raise FileProblems(
                files.onnx, [Problem("", text, "must accept the input its manifest describes")]
            ) from error
        for golden in manifest.golden_pictures:
            self._check_golden(files, manifest, golden)

    def _make_decoder(self, score_threshold: float, faint_threshold: float | None = None) -> Decoder:
        manifest = self._manifest
        return Decoder(
            self._head,
            [KIND_BY_NAME[manifest.kinds.get(label, "ignore")] for label in manifest.labels],
            score_threshold,
            manifest.iou_threshold,
            manifest.part_weight,
            faint_threshold,
            self._suppressing,
        )

    @property
    def info(self) -> ModelInfo:
        return self._info

    def input_size_px(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Width and height of the model's input for a picture of that size."""
        return input_size(self._manifest.preprocessing, width_px, height_px)

    @property
    def score_threshold(self) -> float:
        return self._score_threshold

    def detect(self, image: Picture) -> Detections:
        return self.decode(self.look(image))

    def detect_from(self, image: Picture, score_threshold: float) -> Detections:
        """What is in the picture, from another score than the detector's own."""
        return self.decode(self.look(image), score_threshold)

    def input_tensor(self, image: Picture) -> npt.NDArray[np.float32]:
        """What the graph is given for a picture; a copy."""
        return self._letterbox(image)[0].copy()

    def look(self, image: Picture) -> RawLook:
        """Pre-processing and the graph, without decoding."""
        tensor, placement = self._letterbox(image)
        return RawLook(self._runtime.run(tensor), placement)

    def decode(self, look: RawLook, score_threshold: float | None = None) -> Detections:
        """Detections of a look, from another threshold when one is given."""
        decoder = self._decoder if score_threshold is None else self._make_decoder(score_threshold)
        return decoder(look.output, look.placement)

    def _check_golden(self, files: ModelFiles, manifest: Manifest, golden: Golden) -> None:
        path = files.onnx.parent / golden.picture
        if not path.is_file() or sha256_of(path) != golden.sha256:
            found = "missing" if not path.is_file() else sha256_of(path)
            raise FileProblems(path, [Problem("golden.picture", found, f"must have the hash {golden.sha256}")])
        picture = read_picture(path)
        # At the manifest's own threshold: its boxes were written down there, and a node may have a higher one.
        seen = self.detect_from(picture, manifest.score_threshold)
        missed = missing_golden_boxes(seen, picture, manifest, golden)
        if missed:
            more = ", …" if len(missed) > _MOST_TOLD else ""
            told = f"missed {len(missed)} of {len(golden.boxes)} boxes: {', '.join(missed[:_MOST_TOLD])}{more}"
            remedy = "the model, its preprocessing or onnxruntime is not what the manifest was written for"
            raise FileProblems(files.onnx, [Problem("golden", told, "must be found", remedy)])


def missing_golden_boxes(found: Detections, picture: Picture, manifest: Manifest, golden: Golden) -> list[str]:
    """The expected boxes that were not found, in words; empty when the model does what its manifest says."""
    height, width = picture.shape[:2]
    missed = []
    for expected in golden.boxes:
        kind = KIND_BY_NAME[manifest.kinds.get(expected.label, "ignore")]
        box = np.array([expected.box], np.float32) * np.array([width, height, width, height], np.float32)
        fits = box_iou(box, found.boxes_px)[0] >= golden.least_iou
        fits &= (found.kinds == kind) & (np.abs(found.scores - expected.score) <= golden.score_tolerance)
        if not fits.any():
            missed.append(f"{expected.label} at {tuple(round(share, 3) for share in expected.box)}")
    return missed


def load_detector(
    path: Path,
    *,
    threads: int = 1,
    score_threshold: float | None = None,
    execution: Execution = Execution(),  # noqa: B008 - frozen
    trust: Trust = Trust(),  # noqa: B008 - frozen
    tells_faint: bool = False,
) -> OnnxDetector:
    """The detector at a path, checked. Raises: FileProblems."""
    return OnnxDetector(
        locate_model(path, trust),
        threads=threads,
        score_threshold=score_threshold,
        execution=execution,
        tells_faint=tells_faint,
    )

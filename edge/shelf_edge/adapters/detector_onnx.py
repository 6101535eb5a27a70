"""A detector on onnxruntime: checked against its manifest's hash and golden picture before it may be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.manifest import Golden, Manifest
from shelf_contracts.messages import ModelInfo
from shelf_edge.adapters.model_folder import ModelFiles, locate_model, open_session, sha256_of
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.core.detections import KIND_BY_NAME, Detections
from shelf_edge.core.frame import Picture
from shelf_edge.core.geometry import box_iou
from shelf_edge.core.postprocess import Decoder
from shelf_edge.core.preprocess import Letterbox


class OnnxDetector:
    """Used by one thread: its input buffer is shared between calls.

    Args:
        files: where the model is and what its manifest says.
        threads: for one inference. One a worker and a worker a core is fastest in all; more only for a single camera.
        score_threshold: overrides the manifest's.
    Raises: FileProblems when the file cannot be loaded or fails its golden picture.
    """

    def __init__(self, files: ModelFiles, *, threads: int = 1, score_threshold: float | None = None) -> None:
        manifest = files.manifest
        self._session = open_session(files.onnx, threads)
        self._input = self._session.get_inputs()[0].name
        self._letterbox = Letterbox(manifest.preprocessing)
        kinds = [KIND_BY_NAME[manifest.kinds.get(label, "ignore")] for label in manifest.labels]
        self._decoder = Decoder(
            manifest.head,
            kinds,
            (manifest.preprocessing.height, manifest.preprocessing.width),
            score_threshold if score_threshold is not None else manifest.score_threshold,
            manifest.iou_threshold,
        )
        self._info = ModelInfo(
            role="detector",
            name=manifest.name,
            version=manifest.version,
            sha256=manifest.sha256,
            licence=manifest.licence,
            provider=self._session.get_providers()[0],
        )
        try:
            self.detect(np.zeros((manifest.preprocessing.height, manifest.preprocessing.width, 3), np.uint8))
        except Exception as error:
            text = str(error).splitlines()[0]
            raise FileProblems(
                files.onnx, [Problem("", text, "must accept the input its manifest describes")]
            ) from error
        if manifest.golden is not None:
            self._check_golden(files, manifest, manifest.golden)

    @property
    def info(self) -> ModelInfo:
        return self._info

    def detect(self, image: Picture) -> Detections:
        tensor, placement = self._letterbox(image)
        output = self._session.run(None, {self._input: tensor})[0]
        return self._decoder(output, placement)

    def _check_golden(self, files: ModelFiles, manifest: Manifest, golden: Golden) -> None:
        path = files.onnx.parent / golden.picture
        if not path.is_file() or sha256_of(path) != golden.sha256:
            found = "missing" if not path.is_file() else sha256_of(path)
            raise FileProblems(path, [Problem("golden.picture", found, f"must have the hash {golden.sha256}")])
        picture = read_picture(path)
        missed = missing_golden_boxes(self.detect(picture), picture, manifest, golden)
        if missed:
            remedy = "the model, its preprocessing or onnxruntime is not what the manifest was written for"
            raise FileProblems(
                files.onnx, [Problem("golden", f"missed {miss}", "must be found", remedy) for miss in missed]
            )


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


def load_detector(path: Path, *, threads: int = 1, score_threshold: float | None = None) -> OnnxDetector:
    """The detector at a path, checked. Raises: FileProblems."""
    return OnnxDetector(locate_model(path), threads=threads, score_threshold=score_threshold)

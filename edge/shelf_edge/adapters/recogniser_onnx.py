"""A recogniser on onnxruntime: crops of products to embeddings, checked against its manifest before it may be used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.gallery import Embedder
from shelf_contracts.manifest import EmbeddingSpec, GoldenEmbedding, Preprocessing
from shelf_contracts.messages import ModelInfo
from shelf_edge.adapters.model_folder import ModelFiles, locate_model, sha256_of
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.adapters.runtime import Execution, open_runtime
from shelf_edge.adapters.signatures import Trust
from shelf_edge.core.frame import Picture, check_picture
from shelf_edge.core.recognition import Calibration

_BATCH = 8
"""More at once gains nothing on a CPU and costs memory."""

Embeddings = npt.NDArray[np.float32]


class OnnxRecogniser:
    """Used by one thread: its input buffer is shared between calls.

    Args:
        files: where the model is and what its manifest says.
        threads: for one inference.
        execution: what to compute on.
    Raises: FileProblems when it is no recogniser, cannot be loaded, or does not put its golden picture where it lay.
    """

    def __init__(
        self,
        files: ModelFiles,
        *,
        threads: int = 1,
        execution: Execution = Execution(),  # noqa: B008 - frozen
    ) -> None:
        manifest = files.manifest
        if manifest.embedding is None:
            remedy = "give a recogniser here; train one with smartshelf models train --recogniser"
            raise FileProblems(files.onnx, [Problem("role", manifest.role, "must be recogniser", remedy)])
        self._spec: EmbeddingSpec = manifest.embedding
        self._preprocessing = manifest.preprocessing
        self._runtime = open_runtime(files.onnx, threads, execution)
        self._info = ModelInfo(
            role="recogniser",
            name=manifest.name,
            version=manifest.version,
            sha256=manifest.sha256,
            licence=manifest.licence,
            provider=self._runtime.provider,
            fallback=self._runtime.fallback[:300],
        )
        self._buffer = np.empty((_BATCH, 3, manifest.preprocessing.height, manifest.preprocessing.width), np.float32)
        try:
            found = self.embed([np.zeros((64, 48, 3), np.uint8)] * 2)
        except Exception as error:
            text = str(error).splitlines()[0]
            raise FileProblems(
                files.onnx, [Problem("", text, "must accept the input its manifest describes")]
            ) from error
        if found.shape != (2, self._spec.dimension):
            raise FileProblems(
                files.onnx,
                [Problem("embedding.dimension", str(found.shape), f"must give (n, {self._spec.dimension})")],
            )
        if self._spec.golden is not None:
            self._check_golden(files, self._spec.golden)

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def embedder(self) -> Embedder:
        """The model as galleries name it."""
        return Embedder(name=self._info.name, version=self._info.version, sha256=self._info.sha256)

    @property
    def dimension(self) -> int:
        return self._spec.dimension

    @property
    def calibration(self) -> Calibration:
        """What this model's cosines mean."""
        spec = self._spec
        return Calibration(spec.temperature, spec.none_cosine, spec.least_known, spec.least_share)

    def embed(self, crops: Sequence[Picture]) -> Embeddings:
        """Embeddings (len(crops), dimension) of length 1, of BGR pictures (h, w, 3) uint8 of any size.

        Raises: ValueError for what is no picture.
        """
        parts = []
        for start in range(0, len(crops), _BATCH):
            batch = crops[start : start + _BATCH]
            for place, crop in enumerate(batch):
                _fill(self._buffer[place], crop, self._preprocessing)
            parts.append(self._runtime.run(self._buffer[: len(batch)]))
        if not parts:
            return np.zeros((0, self._spec.dimension), np.float32)
        found = np.concatenate(parts)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.maximum(lengths, 1e-12), np.float32)

    def _check_golden(self, files: ModelFiles, golden: GoldenEmbedding) -> None:
        path = files.onnx.parent / golden.picture
        if not path.is_file() or sha256_of(path) != golden.sha256:
            found = "missing" if not path.is_file() else sha256_of(path)
            raise FileProblems(path, [Problem("embedding.golden", found, f"must have the hash {golden.sha256}")])
        expected = np.array(golden.vector, np.float32)
        cosine = float(self.embed([read_picture(path)])[0] @ expected / max(float(np.linalg.norm(expected)), 1e-12))
        if not cosine >= golden.least_cosine:
            remedy = "the model, its preprocessing or onnxruntime is not what the manifest was written for"
            allowed = f"must be at least {golden.least_cosine:g} from where the golden picture lay"
            raise FileProblems(files.onnx, [Problem("embedding.golden", f"cosine {cosine:.4f}", allowed, remedy)])


def _fill(target: npt.NDArray[np.float32], crop: Picture, spec: Preprocessing) -> None:
    """A crop into its place (3, height, width): aspect kept, padded, colours ordered, scaled."""
    check_picture(crop)
    height, width = crop.shape[:2]
    scale = min(spec.width / width, spec.height / height)
    new_width = min(spec.width, max(1, round(width * scale)))
    new_height = min(spec.height, max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    small = cv2.resize(crop, (new_width, new_height), interpolation=how)
    centred = spec.anchor == "centre"
    left = (spec.width - new_width) // 2 if centred else 0
    top = (spec.height - new_height) // 2 if centred else 0
    if (new_width, new_height) != (spec.width, spec.height):
        target.fill(spec.padding * spec.scale)
    order = (2, 1, 0) if spec.colour_order == "RGB" else (0, 1, 2)
    for plane, channel in enumerate(order):
        np.multiply(
            small[..., channel],
            np.float32(spec.scale),
            out=target[plane, top : top + new_height, left : left + new_width],
        )


def load_recogniser(
    path: Path,
    *,
    threads: int = 1,
    execution: Execution = Execution(),  # noqa: B008 - frozen
    trust: Trust = Trust(),  # noqa: B008 - frozen
) -> OnnxRecogniser:
    """The recogniser at a path, checked. Raises: FileProblems."""
    return OnnxRecogniser(locate_model(path, trust), threads=threads, execution=execution)

"""Models that remember what they saw: a recording is looked at once, and replayed with other rules in seconds."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

import shelf_edge
from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.messages import ModelInfo
from shelf_edge.adapters.model_folder import ModelFiles
from shelf_edge.core.detections import Detections
from shelf_edge.core.frame import Picture
from shelf_edge.core.recognition import Calibration
from shelf_edge.ports import Detector, Embedder

_KEY_BYTES, _COUNT_BYTES = 16, 4
_END = b"whole file"
_CODE = (
    "core/preprocess.py", "core/postprocess.py", "core/detections.py", "core/geometry.py", "adapters/detector_onnx.py",
    "adapters/runtime.py", "adapters/suppression.py",
)  # fmt: skip
_RECOGNISER_CODE = ("adapters/recogniser_onnx.py", "adapters/runtime.py")
_NUMBER_BYTES = 2


def detector_fingerprint(files: ModelFiles, score_threshold: float | None) -> str:
    """Of everything that decides what a detector says of a picture: model, manifest, threshold, code, runtime."""
    return _fingerprint(files, f"{score_threshold}", _CODE)


def recogniser_fingerprint(files: ModelFiles) -> str:
    """Of everything that decides what a recogniser makes of a crop."""
    return _fingerprint(files, "", _RECOGNISER_CODE)


def _fingerprint(files: ModelFiles, setting: str, code: Iterable[str]) -> str:
    mark = hashlib.sha256(f"{files.manifest.model_dump_json()} {setting} {version('onnxruntime')}".encode())
    mark.update(hashlib.sha256(files.onnx.read_bytes()).digest())
    folder = Path(shelf_edge.__file__).parent
    for name in code:
        mark.update((folder / name).read_bytes())
    return mark.hexdigest()[:16]


class RememberingDetector:
    """Answers from its file where it can; else it asks the real detector, which is loaded then.

    Args:
        file: where answers are kept, by a hash of the picture; a broken one is begun anew.
        load: makes the real detector.
    """

    def __init__(self, file: Path, load: Callable[[], Detector]) -> None:
        self._file = file
        self._load = load
        self._detector: Detector | None = None
        self._known = _read(file)
        self._fresh = 0

    @property
    def info(self) -> ModelInfo:
        return self._real().info

    @property
    def fresh(self) -> int:
        """How many pictures the real detector looked at."""
        return self._fresh

    def detect(self, image: Picture) -> Detections:
        key = _hash_of(image)
        found = self._known.get(key)
        if found is None:
            found = self._real().detect(image)
            self._known[key] = found
            self._fresh += 1
        return found

    def keep(self) -> None:
        """Write down what is known: boxes, no pictures; whole or not at all."""
        if self._fresh:
            known = _read(self._file) | self._known  # somebody else may have written meanwhile
            _write(self._file, (_row_of(key, found) for key, found in known.items()))

    def _real(self) -> Detector:
        if self._detector is None:
            self._detector = self._load()
        return self._detector


class RememberingEmbedder:
    """Embeds each crop once. What is kept is float16, as galleries keep it, and so is what it says the first time.

    Args:
        file: where answers are kept, by a hash of the crop; a broken one is begun anew.
        files: the model.
        load: makes the real recogniser.
    Raises: FileProblems when the model is no recogniser.
    """

    def __init__(self, file: Path, files: ModelFiles, load: Callable[[], Embedder]) -> None:
        spec = files.manifest.embedding
        if spec is None:
            raise FileProblems(files.onnx, [Problem("role", files.manifest.role, "must be recogniser")])
        self._file = file
        self._spec = spec
        self._load = load
        self._embedder: Embedder | None = None
        self._known = _read_vectors(file, spec.dimension)
        self._fresh = 0

    @property
    def info(self) -> ModelInfo:
        return self._real().info

    @property
    def dimension(self) -> int:
        return self._spec.dimension

    @property
    def calibration(self) -> Calibration:
        """What the model's cosines mean."""
        spec = self._spec
        return Calibration(spec.temperature, spec.none_cosine, spec.least_known, spec.least_share)

    @property
    def fresh(self) -> int:
        """How many crops the real recogniser looked at."""
        return self._fresh

    def embed(self, crops: Sequence[Picture]) -> npt.NDArray[np.float32]:
        keys = [_hash_of(crop) for crop in crops]
        missing = {key: crop for key, crop in zip(keys, crops, strict=True) if key not in self._known}
        if missing:
            found = self._real().embed(list(missing.values())).astype("<f2")
            self._known.update(zip(missing, found, strict=True))
            self._fresh += len(missing)
        rows = [self._known[key] for key in keys]
        return np.array(rows, np.float32).reshape(len(rows), self.dimension)

    def keep(self) -> None:
        """Write down what is known: embeddings, no pictures; whole or not at all."""
        if self._fresh:
            _write(self._file, (key + vector.tobytes() for key, vector in self._known.items()))

    def _real(self) -> Embedder:
        if self._embedder is None:
            self._embedder = self._load()
        return self._embedder


def _read_vectors(file: Path, dimension: int) -> dict[bytes, npt.NDArray[np.float16]]:
    try:
        raw = file.read_bytes()
    except OSError:
        return {}
    row_bytes = _KEY_BYTES + _NUMBER_BYTES * dimension
    if not raw.endswith(_END) or (len(raw) - len(_END)) % row_bytes:
        return {}
    starts = range(0, len(raw) - len(_END), row_bytes)
    return {
        raw[at : at + _KEY_BYTES]: np.frombuffer(raw, "<f2", dimension, at + _KEY_BYTES).astype(np.float16)
        for at in starts
    }


def _write(file: Path, rows: Iterable[bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}-{os.getpid()}-{threading.get_ident()}")
    try:
        with part.open("wb") as out:
            out.writelines(rows)
            out.write(_END)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _row_of(key: bytes, found: Detections) -> bytes:
    count = len(found).to_bytes(_COUNT_BYTES, "little")
    return key + count + found.boxes_px.tobytes() + found.scores.tobytes() + found.kinds.tobytes()


def _hash_of(image: Picture) -> bytes:
    mark = hashlib.blake2b(str(image.shape).encode(), digest_size=_KEY_BYTES)
    mark.update(np.ascontiguousarray(image).data)
    return mark.digest()


def _read(file: Path) -> dict[bytes, Detections]:
    """What a file holds; nothing when it is missing or was cut off."""
    try:
        raw = file.read_bytes()
        return _parsed(raw) if raw.endswith(_END) else {}
    except (OSError, ValueError):
        return {}


def _parsed(raw: bytes) -> dict[bytes, Detections]:
    """Raises: ValueError when lengths and content disagree."""
    known: dict[bytes, Detections] = {}
    at, end = 0, len(raw) - len(_END)
    while at < end:
        key, at = raw[at : at + _KEY_BYTES], at + _KEY_BYTES
        count, at = int.from_bytes(raw[at : at + _COUNT_BYTES], "little"), at + _COUNT_BYTES
        boxes = np.frombuffer(raw, np.float32, 4 * count, at).reshape(-1, 4)
        scores = np.frombuffer(raw, np.float32, count, at + 16 * count)
        known[key] = Detections(boxes, scores, np.frombuffer(raw, np.uint8, count, at + 20 * count))
        at += 21 * count
    return known

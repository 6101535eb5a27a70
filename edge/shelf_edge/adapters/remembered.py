"""A detector that remembers what it saw: a recording is looked at once, and replayed with other rules in seconds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

import shelf_edge
from shelf_contracts.messages import ModelInfo
from shelf_edge.adapters.model_folder import ModelFiles
from shelf_edge.core.detections import Detections
from shelf_edge.core.frame import Picture
from shelf_edge.ports import Detector

_KEY_BYTES, _COUNT_BYTES = 16, 4
_END = b"whole file"
_CODE = (
    "core/preprocess.py", "core/postprocess.py", "core/detections.py", "core/geometry.py", "adapters/detector_onnx.py",
    "adapters/runtime.py",
)  # fmt: skip


def detector_fingerprint(files: ModelFiles, score_threshold: float | None) -> str:
    """Of everything that decides what a detector says of a picture: model, manifest, threshold, code, runtime."""
    mark = hashlib.sha256(f"{files.manifest.model_dump_json()} {score_threshold} {version('onnxruntime')}".encode())
    mark.update(hashlib.sha256(files.onnx.read_bytes()).digest())
    folder = Path(shelf_edge.__file__).parent
    for name in _CODE:
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
        if not self._fresh:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_name(f".{self._file.name}-{os.getpid()}")
        try:
            with part.open("wb") as out:
                for key, found in self._known.items():
                    out.write(key + len(found).to_bytes(_COUNT_BYTES, "little"))
                    out.write(found.boxes_px.tobytes() + found.scores.tobytes() + found.kinds.tobytes())
                out.write(_END)
            part.replace(self._file)
        finally:
            part.unlink(missing_ok=True)

    def _real(self) -> Detector:
        if self._detector is None:
            self._detector = self._load()
        return self._detector


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

"""A detector that remembers what it saw: a recording is looked at once, and replayed with other rules in seconds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

import shelf_edge
from shelf_contracts.messages import ModelInfo
from shelf_edge.adapters.model_folder import ModelFiles
from shelf_edge.core.detections import Detections
from shelf_edge.core.frame import Picture
from shelf_edge.ports import Detector

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

    def save(self) -> None:
        """Keep what is known; whole or not at all."""
        if not self._fresh:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_name(f".{self._file.name}-{os.getpid()}")
        found = list(self._known.values())
        none = Detections.none()
        try:
            with part.open("wb") as out:
                np.savez(
                    out,
                    keys=np.frombuffer(b"".join(self._known), np.uint8).reshape(-1, 16),
                    lengths=np.array([len(one) for one in found], np.int64),
                    boxes_px=np.concatenate([one.boxes_px for one in [*found, none]]),
                    scores=np.concatenate([one.scores for one in [*found, none]]),
                    kinds=np.concatenate([one.kinds for one in [*found, none]]),
                )
            part.replace(self._file)
        finally:
            part.unlink(missing_ok=True)

    def _real(self) -> Detector:
        if self._detector is None:
            self._detector = self._load()
        return self._detector


def _hash_of(image: Picture) -> bytes:
    mark = hashlib.blake2b(str(image.shape).encode(), digest_size=16)
    mark.update(np.ascontiguousarray(image).data)
    return mark.digest()


def _read(file: Path) -> dict[bytes, Detections]:
    try:
        with file.open("rb") as raw, np.load(raw) as held:
            ends = np.cumsum(held["lengths"])
            boxes, scores, kinds = held["boxes_px"], held["scores"], held["kinds"]
            keys = held["keys"].tobytes()
    except (OSError, ValueError, KeyError, BadZipFile):  # missing, or cut off: looked at again
        return {}
    starts = ends - np.diff(ends, prepend=0)
    return {
        keys[16 * i : 16 * i + 16]: Detections(boxes[start:end], scores[start:end], kinds[start:end])
        for i, (start, end) in enumerate(zip(starts, ends, strict=True))
    }

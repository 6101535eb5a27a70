"""Eyes for the collector, in a process of their own: detector and embedding model behind frames on stdin and stdout.

The process is started when it is first needed and ends when it was not needed for a while. It gets photos and gives
back boxes and numbers; a photo that hangs or kills it costs that photo only.
"""

from __future__ import annotations

import json
import logging
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from shelf_contracts.files import parse_model
from shelf_contracts.gallery import Embedder
from shelf_contracts.planogram import Planogram

log = logging.getLogger(__name__)

INSTALL = "pip install 'smartshelf[models]'"
_START_S = 60.0
_ANSWER_S = 20.0
_WAIT_S = 30.0
_IDLE_S = 300.0
_STOP_S = 2.0
_RESTARTS, _RESTART_WINDOW_S = 5, 600.0
_LARGEST_HEADER_BYTES = 1 << 20
_LARGEST_BODY_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 16


class VisionProblem(Exception):
    """A photo could not be looked at, in words for people; ``is_missing`` when nothing can be looked at here."""

    def __init__(self, text: str, *, is_missing: bool = False) -> None:
        self.is_missing = is_missing
        super().__init__(text)


class PhotoProblem(VisionProblem):
    """It is the photo's fault."""


class Warned(BaseModel):
    """What staff should know of a photo or a crop."""

    kind: str
    text: str
    gtin: str = ""
    similarity: float = 0.0


class Look(BaseModel):
    """What is in a photo. ``proposals``: boxes that may be cropped, in shares of the picture, the best first."""

    sha256: str
    width: int
    height: int
    proposals: list[tuple[float, float, float, float]]
    warnings: list[Warned]


@dataclass(frozen=True)
class Crop:
    """A crop's embedding (float16, little-endian), what is wrong with it, and a small JPEG (empty: none)."""

    sha256: str
    vector: bytes
    warnings: list[Warned]
    thumbnail: bytes


@dataclass(frozen=True)
class BayPhoto:
    """What a photo of a full shelf is of: whose bay, its size in mm, its four corners in shares of the picture."""

    store: str
    bay: str
    camera: str
    width: float
    height: float
    depth: float
    corners: tuple[float, ...]


class EdgeLabel(BaseModel):
    """A barcode read on the shelf's edge under a slot.

    ``others``: further numbers that hang under it. ``seen``: what its items were recognised as, by their looks.
    """

    slot: str
    gtin: str
    others: list[str] = []
    seen: str | None = None


@dataclass(frozen=True)
class Proposal:
    """A planogram proposed from a photo. ``people``: boxes to be covered, in shares; the photo's size in pixels.

    ``labels``: what shelf edges say, which the planogram follows. ``reads_labels``: whether barcodes can be read here.
    ``not_full``: shelves on which places were empty, so that slots are missing or guessed.
    """

    planogram: Planogram
    people: list[tuple[float, float, float, float]]
    width_px: int
    height_px: int
    labels: list[EdgeLabel] = field(default_factory=list)
    reads_labels: bool = True
    not_full: list[str] = field(default_factory=list)


class VisionWorker:
    """One process, one question at a time; any thread may ask.

    Args:
        arguments: after ``python -m shelf_models enrol-worker``: which models to use.
    """

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self._arguments = list(arguments)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._embedder: Embedder | None = None
        self._dimension = 0
        self._starts: deque[float] = deque(maxlen=_RESTARTS)
        self._missing = ""
        self._idle: threading.Timer | None = None
        self._is_stopped = False

    @property
    def missing(self) -> str:
        """Why nothing can be looked at here, as far as is known without trying; empty when it may be possible."""
        needed = [name for name in ("shelf_models", "onnxruntime", "cv2") if find_spec(name) is None]
        return f"{', '.join(needed)} missing: {INSTALL}" if needed else self._missing

    def describe(self) -> tuple[Embedder, int]:
        """The embedding model and its dimension. Raises: VisionProblem."""
        with self._turn():
            self._started()
            assert self._embedder is not None
            return self._embedder, self._dimension

    def look(self, name: str, photo: bytes) -> Look:
        """Raises: VisionProblem."""
        header, _ = self._ask({"op": "look", "name": name}, photo)
        try:
            return Look.model_validate(header)
        except ValidationError as error:
            raise VisionProblem(f"the helper's answer cannot be used: {error.errors()[0]['msg']}") from error

    def embed(self, name: str, photo: bytes, box: Sequence[float], gtin: str, gallery: Path | None, mark: str) -> Crop:
        """A crop's embedding, compared with the products of ``gallery``; ``mark`` changes when that file does.

        Raises: VisionProblem.
        """
        question = {"op": "embed", "name": name, "box": list(box), "gtin": gtin, "mark": mark}
        header, body = self._ask(question | ({"gallery": str(gallery)} if gallery else {}), photo)
        try:
            length, sha256 = int(header["vector"]), str(header["sha256"])
            warnings = [Warned.model_validate(one) for one in header["warnings"]]
        except (KeyError, TypeError, ValueError) as error:
            raise VisionProblem(f"the helper's answer cannot be used: {error}") from error
        return Crop(sha256, body[:length], warnings, body[length:])

    def propose(self, asked: BayPhoto, photo: bytes, gallery: Path | None) -> Proposal:
        """Slots of a full shelf, from a photo. Raises: VisionProblem, FileProblems."""
        question = {"op": "propose", **asdict(asked), **({"gallery": str(gallery)} if gallery else {})}
        header, body = self._ask(question, photo)
        plan = parse_model(Path("proposal"), body, Planogram)
        try:
            labels = [EdgeLabel.model_validate(one) for one in header["labels"]]
            size = int(header["width"]), int(header["height"])
            not_full = [str(shelf) for shelf in header["not_full"]]
            return Proposal(plan, header["people"], *size, labels, bool(header["reads_labels"]), not_full)
        except (KeyError, TypeError, ValueError) as error:
            raise VisionProblem(f"the helper's answer cannot be used: {error}") from error

    def view(self, plan: Planogram, camera: str, corners: Sequence[float], width_px: int, height_px: int) -> Planogram:
        """The planogram with a camera's view of it, checked as a whole. Raises: VisionProblem, FileProblems."""
        question = {"op": "view", "camera": camera, "corners": list(corners), "width_px": width_px}
        body = plan.model_dump_json(by_alias=True, exclude_none=True).encode()
        _, answer = self._ask({**question, "height_px": height_px}, body)
        return parse_model(Path("planogram"), answer, Planogram)

    def stop(self) -> None:
        """End the process, and start none any more."""
        self._is_stopped = True
        with self._lock:
            self._end()

    # ---------------------------------------------------------------------------------------------------------------

    def _turn(self) -> _Turn:
        return _Turn(self._lock)

    def _ask(self, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        with self._turn():
            process = self._started()
            deadline_s = time.monotonic() + _ANSWER_S
            try:
                _write(process, header, body, deadline_s)
                answer, raw = _read(process, deadline_s)
            except (OSError, EOFError, ValueError, struct.error) as error:
                self._end()
                log.error("the vision helper is ended: %s", error)
                raise VisionProblem(f"the photo could not be looked at: {error}") from error
            self._end_when_idle()
        if not answer.get("ok"):
            raise PhotoProblem(str(answer.get("problem", "it could not be used"))[:500])
        return answer, raw

    def _started(self) -> subprocess.Popen[bytes]:
        """The process, with both models loaded. Called with the lock held. Raises: VisionProblem."""
        if self._is_stopped:
            raise VisionProblem("the collector is stopping")
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        if self.missing and find_spec("shelf_models") is None:
            raise VisionProblem(self.missing, is_missing=True)
        now_s = time.monotonic()
        if len(self._starts) == _RESTARTS and now_s - self._starts[0] < _RESTART_WINDOW_S:
            raise VisionProblem(f"the helper ended {_RESTARTS} times within ten minutes; the collector's log says why")
        self._starts.append(now_s)
        command = [sys.executable, "-m", "shelf_models", "enrol-worker", *self._arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0, start_new_session=True
        )
        self._process = process
        try:
            answer, _ = _read(process, time.monotonic() + _START_S)
        except (OSError, EOFError, ValueError, struct.error) as error:
            self._end()
            raise VisionProblem(f"the vision helper does not start: {error}") from error
        if not answer.get("ok"):
            self._end()
            self._starts.clear()  # it is no accident, and it ends by itself
            package = str(answer.get("missing", ""))
            why = f"{package} missing: {INSTALL}" if package else str(answer.get("problem", ""))[:500]
            self._missing = why
            raise VisionProblem(why, is_missing=True)
        try:
            self._embedder = Embedder.model_validate(answer.get("embedder"))
            self._dimension = int(answer["dimension"])
        except (ValidationError, KeyError, TypeError, ValueError) as error:
            self._end()
            raise VisionProblem(f"the vision helper does not say what it is: {error}") from error
        self._missing = ""
        self._end_when_idle()
        return process

    def _end_when_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = threading.Timer(_IDLE_S, self._idle_end)
        self._idle.daemon = True
        self._idle.start()

    def _idle_end(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        """Called with the lock held."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        try:
            process.wait(_STOP_S if process.poll() is None else 0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)


class _Turn:
    """Waits for one's turn, but not for ever."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=_WAIT_S):
            raise VisionProblem("busy with other photos; try again")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _write(process: subprocess.Popen[bytes], header: dict[str, Any], body: bytes, deadline_s: float) -> None:
    assert process.stdin is not None
    text = json.dumps({**header, "body": len(body)}).encode()
    left = memoryview(struct.pack(">I", len(text)) + text + body)
    pipe = process.stdin.fileno()
    while left:
        _, ready, _ = select.select([], [pipe], [], max(0.0, deadline_s - time.monotonic()))
        if not ready:
            raise TimeoutError("it takes no photo")
        left = left[os.write(pipe, left[: select.PIPE_BUF]) :]


def _read(process: subprocess.Popen[bytes], deadline_s: float) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack(">I", _read_bytes(process, 4, deadline_s))
    if length > _LARGEST_HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes")
    header = json.loads(_read_bytes(process, length, deadline_s))
    size = int(header.get("body", 0)) if isinstance(header, dict) else -1
    if not 0 <= size <= _LARGEST_BODY_BYTES:
        raise ValueError("an answer that cannot be read")
    return header, _read_bytes(process, size, deadline_s)


def _read_bytes(process: subprocess.Popen[bytes], count: int, deadline_s: float) -> bytes:
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    found = bytearray()
    while len(found) < count:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline_s - time.monotonic()))
        if not ready:
            raise TimeoutError("it takes too long")
        block = os.read(pipe, min(_BLOCK_BYTES, count - len(found)))
        if not block:
            raise EOFError(f"it ended with code {process.wait(_STOP_S)}")
        found += block
    return bytes(found)

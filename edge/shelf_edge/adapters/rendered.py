"""Recordings with truth, rendered once by the simulator in a process of its own and kept for the next time."""

from __future__ import annotations

import ast
import hashlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import read_model
from shelf_contracts.planogram import Planogram
from shelf_contracts.shipped import simulator_folder
from shelf_contracts.truth import RECORDING_NOTE, RecordingNote, TruthLog, read_truth

FPS = 12.0
_BAY = "a01"
_POLL_S = 0.25
_LEAST_FRAMES_PER_S = 0.3
"""A child that renders fewer than this on average has lost its way, or the machine has."""
_UNUSED_DAYS = 2.0
_DATA = ("scenarios/{scenario}.toml", "shop/packs.json", "app.py")
_CODE_FROM = ("adapters/recording.py", "core/splits.py")
"""What these import, and what that imports in turn, draws a recording; the rest of the simulator does not."""


class Stopped(Exception):
    """Somebody asked to stop; what was half done is taken away."""


@dataclass(frozen=True)
class Take:
    """Which recording: a shipped scenario (or a TOML file), a split's store, which of its seeds, how long, how fast.

    ``delivery``: how its frames come (``core.delivery``); 0: all, in time.
    """

    scenario: str
    split: str
    number: int
    seconds: float
    fps: float = FPS
    delivery: int = 0

    @property
    def name(self) -> str:
        rate = "" if self.fps == FPS else f"-{self.fps:g}fps"
        return f"{Path(self.scenario).stem}-{self.split}-{self.number}-{self.seconds:g}s{rate}"

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)


@dataclass(frozen=True)
class Rendered:
    """A recording on disk: its folder, its note, the frames, the planogram and the truth."""

    folder: Path
    note: RecordingNote

    @property
    def pictures(self) -> Path:
        return self.folder / self.note.bay

    def planogram(self) -> Planogram:
        """Raises: FileProblems."""
        return read_model(self.folder / f"planogram-{self.note.bay}.json", Planogram)

    def truth(self) -> TruthLog:
        """Raises: FileProblems."""
        return read_truth(self.folder / f"truth-{self.note.bay}.jsonl")


def shipped_scenarios() -> list[str]:
    """Names of the scenarios that the simulator ships. Raises: FileNotFoundError when it is not installed."""
    return sorted(path.stem for path in (simulator_folder() / "scenarios").glob("*.toml"))


def fingerprint(scenario: str, code_from: Sequence[str] = _CODE_FROM) -> str:
    """Of everything a recording is made by: the simulator's code, the scenario, the packs, the libraries.

    Args:
        code_from: what the simulator runs; what that imports counts too.
    """
    folder = simulator_folder()
    mark = hashlib.sha256(f"{np.__version__} {cv2.__version__} {FPS} {_BAY}".encode())
    files = [*_drawing_code(folder, code_from), *(folder / name.format(scenario=scenario) for name in _DATA)]
    for file in [*files, Path(scenario)]:
        if file.is_file():
            mark.update(f"{file.name}\n".encode() + file.read_bytes())
    return mark.hexdigest()[:16]


def _drawing_code(folder: Path, code_from: Sequence[str]) -> list[Path]:
    found: set[Path] = set()
    left = [folder / name for name in code_from]
    while left:
        file = left.pop()
        if file in found or not file.is_file():
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{folder.name}."):
                left.append(folder.joinpath(*str(node.module).split(".")[1:]).with_suffix(".py"))
    return sorted(found)


def rendered(take: Take, cache: Path, stop: threading.Event, on_frames: Callable[[int], None]) -> Rendered:
    """The recording, from the cache or made now; it appears whole or not at all.

    Args:
        stop: set by somebody who wants it to end; on_frames: told how many frames there are, now and then.
    Raises: Stopped; FileProblems when the simulator refuses or fails.
    """
    folder = cache / f"{take.name}-{fingerprint(take.scenario)}"
    if not (folder / RECORDING_NOTE).is_file():
        cache.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{take.name}-", dir=cache))
        try:
            _run_simulator(take, part, stop, on_frames)
            _forget_older(take, cache)
            if not folder.exists():  # somebody else may have made the same meanwhile
                part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    (folder / RECORDING_NOTE).touch()
    on_frames(take.frames)
    return Rendered(folder, read_model(folder / RECORDING_NOTE, RecordingNote))


def _run_simulator(take: Take, out: Path, stop: threading.Event, on_frames: Callable[[int], None]) -> None:
    log = out / "simulator.log"
    command = [
        sys.executable, "-m", "shelf_simulator", "record", "--out", str(out), "--scenario", take.scenario,
        "--split", take.split, "--number", str(take.number), "--seconds", f"{take.seconds:g}", "--bay", _BAY,
        "--fps", f"{take.fps:g}", "--kind", "jpeg",
    ]  # fmt: skip
    with log.open("wb") as told:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=told, stderr=subprocess.STDOUT)
        for _ in waiting_for(child, stop, 60 + take.frames / _LEAST_FRAMES_PER_S, take):
            pictures = out / _BAY
            on_frames(sum(1 for _ in pictures.iterdir()) if pictures.is_dir() else 0)
    refuse_failure(child, take, log)
    log.unlink()


def waiting_for(child: subprocess.Popen[bytes], stop: threading.Event, longest_s: float, take: Take) -> Iterator[None]:
    """Yields now and then until the child is done; it is over with the waiting. Raises: Stopped; FileProblems."""
    deadline_s = time.monotonic() + longest_s
    try:
        while child.poll() is None:
            if stop.wait(_POLL_S):
                raise Stopped(take.name)
            if time.monotonic() > deadline_s:
                problem = Problem("", take.name, f"must be done within {longest_s:.0f} s", "see the machine's load")
                raise FileProblems(Path(take.scenario), [problem])
            yield
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(timeout=5)


def refuse_failure(child: subprocess.Popen[bytes], take: Take, log: Path) -> None:
    """Raises: FileProblems with the end of its log, when the child failed."""
    if child.returncode != 0:
        text = " ".join(log.read_text(encoding="utf-8", errors="replace").split())[-500:]
        raise FileProblems(Path(take.scenario), [Problem("", f"exit code {child.returncode}", text)])


def _forget_older(take: Take, cache: Path) -> None:
    """Recordings of the same take by other code, once nobody has used them for a while."""
    oldest_s = time.time() - _UNUSED_DAYS * 86_400
    for other in cache.glob(f"{take.name}-*"):
        note = other / RECORDING_NOTE
        if note.is_file() and note.stat().st_mtime < oldest_s:
            shutil.rmtree(other, ignore_errors=True)

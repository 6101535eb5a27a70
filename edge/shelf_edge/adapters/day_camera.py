"""A resting bay through a day, picture by picture on request, from the simulator in a process of its own."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import read_model
from shelf_contracts.planogram import Planogram
from shelf_contracts.truth import DayNote, TruthLog, read_truth
from shelf_edge.adapters.pictures import decode_picture
from shelf_edge.core.frame import Frame

BAY = "a01"
_LONGEST_WAIT_S = 60.0
_READ_BYTES = 1 << 16


@dataclass(frozen=True)
class DayTake:
    """Which day: a shipped one (or a TOML file), a split's store, which of its seeds, which hours since it began."""

    day: str
    split: str
    number: int
    begin_h: float = 0.0
    hours: float = 24.0
    fps: float = 10.0

    @property
    def name(self) -> str:
        return f"{Path(self.day).stem}-{self.split}-{self.number}"


@dataclass(frozen=True)
class Shown:
    """A picture, and how bright the light truly was."""

    frame: Frame
    gain: float


class DayCamera:
    """Ask for pictures with ``next``; close it in the end.

    Args:
        folder: the simulator writes planogram and truth there.
    """

    def __init__(self, take: DayTake, folder: Path) -> None:
        command = [
            sys.executable, "-m", "shelf_simulator", "day", "--out", str(folder), "--day", take.day, "--split",
            take.split, "--number", str(take.number), "--begin-h", f"{take.begin_h:g}", "--hours", f"{take.hours:g}",
            "--fps", f"{take.fps:g}", "--bay", BAY,
        ]  # fmt: skip
        self._take, self._folder = take, folder
        self._log = (folder / "simulator.log").open("w+", encoding="utf-8", errors="replace")
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, bufsize=0
        )
        self._waiting = b""
        self._number = 0

    def next(self, most_s: float) -> Shown | None:
        """The next picture, at most so many seconds after the one before; None when the day is over.

        Raises: FileProblems when the simulator refuses, fails, or says nothing for a minute.
        """
        deadline_s = time.monotonic() + _LONGEST_WAIT_S
        with suppress(BrokenPipeError):  # the day is over, or it failed: what it said tells
            _pipe(self._child.stdin).write(f"{most_s:g}\n".encode())
        while b"\n" not in self._waiting:
            if not self._read(deadline_s):
                if self._child.wait(timeout=_LONGEST_WAIT_S) != 0:
                    raise self._failed(f"exit code {self._child.returncode}")
                return None
        line, self._waiting = self._waiting.split(b"\n", 1)
        try:
            note = DayNote.model_validate_json(line)
        except ValidationError as error:
            raise self._failed(f"said {line[:80]!r}") from error
        while len(self._waiting) < note.size:
            if not self._read(deadline_s):
                raise self._failed("ended within a picture")
        raw, self._waiting = self._waiting[: note.size], self._waiting[note.size :]
        image = decode_picture(raw)
        if image is None:
            raise self._failed("sent something that is no picture")
        self._number += 1
        return Shown(Frame(image, note.at_s, self._number - 1), note.gain)

    def planogram(self) -> Planogram:
        """After the first picture. Raises: FileProblems."""
        return read_model(self._folder / f"planogram-{BAY}.json", Planogram)

    def truth(self) -> TruthLog:
        """So far. Raises: FileProblems."""
        return read_truth(self._folder / f"truth-{BAY}.jsonl")

    def close(self) -> None:
        """The simulator ends when nobody asks any more, else it is ended."""
        _pipe(self._child.stdin).close()
        _pipe(self._child.stdout).close()
        try:
            self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(timeout=5)
        self._log.close()

    def _read(self, deadline_s: float) -> bool:
        """Take what has come; False at the end."""
        out = _pipe(self._child.stdout)
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not select.select([out], [], [], left_s)[0]:
            raise self._failed(f"no picture within {_LONGEST_WAIT_S:.0f} s")
        more = os.read(out.fileno(), _READ_BYTES)
        self._waiting += more
        return bool(more)

    def _failed(self, what: str) -> FileProblems:
        self._log.seek(0)
        said = " ".join(self._log.read().split())[-500:]
        return FileProblems(self._take.day, [Problem("", what, said or "must give pictures until the day is over")])


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "both are asked for"
    return pipe

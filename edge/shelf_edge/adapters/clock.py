"""The computer's clocks."""

from __future__ import annotations

import time
from pathlib import Path


class SystemClock:
    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()


class ShiftedClock(SystemClock):
    """For rehearsals: a wall clock that somebody sets. The file holds the seconds to add; without it there are none."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now_s(self) -> float:
        try:
            return time.time() + float(self._file.read_text())
        except (OSError, ValueError):
            return time.time()

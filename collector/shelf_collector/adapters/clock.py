"""The time of this computer."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path


class SystemClock:
    """UTC from the operating system."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()


class ShiftedClock(SystemClock):
    """For rehearsals: a clock that somebody sets. The file holds the seconds to add; without it there are none."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        try:
            return datetime.now(UTC) + timedelta(seconds=float(self._file.read_text()))
        except (OSError, ValueError):
            return datetime.now(UTC)

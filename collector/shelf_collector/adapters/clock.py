"""The time of this computer."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """UTC from the operating system."""

    def now(self) -> datetime:
        return datetime.now(UTC)

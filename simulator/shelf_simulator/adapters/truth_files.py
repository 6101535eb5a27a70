"""Truth as lines of JSON, written while the world goes on; read by ``shelf_contracts.truth``."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TextIO

from shelf_contracts.truth import CountChanged, Fact, line_of


class TruthWriter:
    """Appends facts to a file, flushed after each batch. ``epoch_unix`` is the unix time of the world's second 0."""

    def __init__(self, path: Path, epoch_unix: float | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("w", encoding="utf-8")
        self.epoch_unix = epoch_unix

    def __enter__(self) -> TruthWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, facts: list[Fact]) -> None:
        for fact in facts:
            self._file.write(line_of(fact, self.epoch_unix).model_dump_json(exclude_none=True) + "\n")
        if facts:
            self._file.flush()

    def close(self) -> None:
        self._file.close()


def first_counts(bay: str, counts: dict[str, int]) -> list[Fact]:
    """What stood there at second 0, as facts."""
    return [CountChanged(bay, slot, 0.0, count) for slot, count in counts.items()]

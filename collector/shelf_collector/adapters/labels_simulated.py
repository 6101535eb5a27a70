"""Labels made of files: each picture is written to a folder, and is shown as soon as it is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from shelf_collector.adapters.label_picture import write_png
from shelf_collector.core.labels import Label, LabelProblem, PushState, PushTicket

_WIDTH_PX, _HEIGHT_PX = 296, 128
"""A label of 2.9 inches."""


class SimulatedLabels:
    """A driver for tests and demonstrations."""

    def __init__(self, folder: Path, ids: Sequence[str]) -> None:
        self._folder = folder
        self._ids = list(ids)

    def discover(self) -> list[Label]:
        return [Label(label, _WIDTH_PX, _HEIGHT_PX, has_red=True, battery_mv=3000) for label in self._ids]

    def push(self, label: Label, picture: Image.Image, *, revision: str, ttl_s: int) -> PushTicket:
        if label.id not in self._ids:
            raise LabelProblem(f"label {label.id}: there is no such label; known: {', '.join(self._ids)}")
        self._folder.mkdir(parents=True, exist_ok=True)
        write_png(picture, self._folder / f"{label.id}.png")
        return PushTicket(label.id, revision)

    def confirm(self, ticket: PushTicket) -> PushState:
        return PushState.SHOWN if (self._folder / f"{ticket.label}.png").is_file() else PushState.FAILED

    def identify(self, label_id: str) -> None:
        """A file does not blink."""

    def close(self) -> None:
        """Holds nothing open."""

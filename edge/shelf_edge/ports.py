"""What the node needs from the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shelf_contracts.messages import ModelInfo
from shelf_edge.core.detections import Detections
from shelf_edge.core.frame import Frame, Picture


class SourceProblem(Exception):
    """A camera or file cannot be read; the message says which and why."""


class SourceEnded(Exception):
    """A recording is over."""


class FrameSource(Protocol):
    """A camera or a recording; used by one thread."""

    def open(self) -> None:
        """Connect. Raises: SourceProblem, within a few seconds."""

    def read(self) -> Frame:
        """The next frame. Raises: SourceProblem when it was lost, SourceEnded at the end of a recording."""

    def close(self) -> None:
        """Let go; never raises."""


class Detector(Protocol):
    @property
    def info(self) -> ModelInfo:
        """Which model runs, and on what."""

    def detect(self, image: Picture) -> Detections:
        """What is in a BGR picture, in its pixels."""


class LookingDetector(Detector, Protocol):
    """A detector that says what size its input is and from which score it tells."""

    @property
    def input_size_px(self) -> tuple[int, int]:
        """Width and height."""

    @property
    def score_threshold(self) -> float:
        """Boxes under it are not told by ``detect``."""

    def detect_from(self, image: Picture, score_threshold: float) -> Detections:
        """What is in the picture, from another score."""


@dataclass(frozen=True)
class OutboxEntry:
    """A message that waits to be acknowledged by the broker."""

    sequence: int
    topic: str
    payload: bytes
    retain: bool
    expiry_s: int | None


class Outbox(Protocol):
    """Keeps what must not be lost until the broker has it."""

    def append(self, make: Callable[[int], OutboxEntry]) -> OutboxEntry:
        """Give the next sequence number to ``make`` and keep what it returns, durably."""

    def pending(self, after: int, limit: int) -> list[OutboxEntry]:
        """The oldest entries with a sequence above ``after``."""

    def remove(self, sequence: int) -> None:
        """The broker has it."""

    def depth(self) -> int:
        """How many wait."""

    def close(self) -> None: ...


class Clock(Protocol):
    def now_s(self) -> float:
        """Seconds since the epoch."""

    def monotonic_s(self) -> float:
        """Seconds that only grow."""

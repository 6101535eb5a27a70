"""What the node needs from the world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from shelf_contracts.messages import ModelInfo
from shelf_edge.core.detections import Detections
from shelf_edge.core.frame import Frame, Picture


class SourceProblem(Exception):
    """A camera or file cannot be read; the message says which and why."""


class UnreadablePicture(SourceProblem):
    """Something came that is no picture. The source is still open: the next read may give a frame.

    ``why``: without the name of the source.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.why = why


class SourceEnded(Exception):
    """A recording is over."""


class FrameSource(Protocol):
    """A camera or a recording; used by one thread."""

    def open(self) -> None:
        """Connect. Raises: SourceProblem, within a few seconds."""

    def read(self) -> Frame:
        """The next frame.

        Raises: UnreadablePicture when this one is of no use, SourceProblem when the camera was lost, SourceEnded at
            the end of a recording.
        """

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

    def input_size_px(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Width and height, for a picture of that size."""

    @property
    def score_threshold(self) -> float:
        """Boxes under it are not told by ``detect``."""

    def detect_from(self, image: Picture, score_threshold: float) -> Detections:
        """What is in the picture, from another score."""


class Embedder(Protocol):
    """Turns crops of products into points: what looks alike lies close together."""

    @property
    def info(self) -> ModelInfo:
        """Which model runs, and on what."""

    @property
    def dimension(self) -> int:
        """Numbers in an embedding."""

    def embed(self, crops: Sequence[Picture]) -> npt.NDArray[np.float32]:
        """Embeddings (len(crops), dimension) of length 1, of BGR pictures of any size."""


Kind = Literal["event", "state"]
"""An event is said once; a state is replaced by the next one on its topic."""


@dataclass(frozen=True)
class OutboxEntry:
    """A message that waits for the collector's acknowledgement."""

    sequence: int
    topic: str
    payload: bytes
    retain: bool
    expiry_s: int | None

    @property
    def kind(self) -> Kind:
        return "state" if self.retain else "event"


NumberRange = tuple[int, int]
"""First and last sequence number, both included."""


@dataclass(frozen=True)
class GivenUp:
    """What an outbox no longer has.

    Attributes:
        lost: numbers of events. superseded: numbers of states of which a newer one is kept.
        health: how many health messages. refused: events that a full disk kept from getting a number.
    """

    lost: tuple[NumberRange, ...] = ()
    superseded: tuple[NumberRange, ...] = ()
    health: int = 0
    refused: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.lost or self.superseded or self.refused)


@dataclass(frozen=True)
class Notice:
    """What the collector must be told about numbers of ``numbering``: ``overflow`` by itself, ``gone`` when asked."""

    action: Literal["overflow", "gone"]
    given_up: GivenUp
    numbering: str
    text: str


class OutboxFull(Exception):
    """The outbox takes no more; the message is still the caller's. The text says why, and what to do."""


@dataclass(frozen=True)
class WaitingEvent:
    """An event that is not in the outbox yet. ``number`` grows by one; ``data`` is its JSON."""

    number: int
    bay: str
    slot: str
    time_s: float
    data: str


class WaitingEvents(Protocol):
    """Keeps the events that a full disk keeps out of the outbox, as durably as it can. Nothing here raises."""

    @property
    def refused(self) -> int:
        """Events that gave way, ever."""

    @property
    def told(self) -> int:
        """How many of those the collector was told of."""

    @property
    def beyond(self) -> int:
        """Events that are in memory only."""

    def load(self, written: int, told: int) -> list[WaitingEvent]:
        """What waits since an earlier run, without what is in the outbox up to number ``written``.

        The outbox knows of ``told`` refused events that the collector heard of.
        """

    def push(self, bay: str, slot: str, time_s: float, data: str) -> WaitingEvent:
        """Keep an event behind all others."""

    def pop(self, *, refused: bool) -> None:
        """The oldest event is in the outbox, or (``refused``) gives way."""

    def tell(self, refused: int) -> None:
        """The collector is told of so many refused events, ever."""


class Outbox(Protocol):
    """Keeps what must not be lost until the collector has it."""

    @property
    def numbering(self) -> str:
        """The name of this outbox's numbering."""

    def was_ours(self, numbering: str) -> bool:
        """Whether this outbox gave numbers under that name before."""

    @property
    def lost(self) -> int:
        """Events given up, ever."""

    @property
    def last_sequence(self) -> int:
        """The number given last."""

    @property
    def waited(self) -> int:
        """The number that the last event out of the waiting file had there."""

    @property
    def refused_told(self) -> int:
        """Refused events the collector was told of, ever."""

    def append(self, make: Callable[[int], OutboxEntry], *, waited: int = 0) -> OutboxEntry:
        """Give the next sequence number to ``make`` and keep what it returns, durably. Raises: OutboxFull.

        ``waited`` is the event's number in the waiting file, remembered in the same breath.
        """

    def append_notice(
        self,
        action: Literal["overflow", "gone"],
        given_up: GivenUp,
        numbering: str,
        text: str,
        *,
        refused_told: int = 0,
    ) -> None:
        """Say what was given up, in as many events as it takes; with the last goes ``refused_told``.

        Raises: OutboxFull.
        """

    def append_health(self, topic: str, payload: bytes) -> None:
        """Keep a health message for a while if there is room: the first to go when there is none. Never raises."""

    def take_health(self) -> list[tuple[str, bytes]]:
        """The health messages kept (topic, payload), which are then forgotten."""

    def pending(self, after: int, limit: int) -> list[OutboxEntry]:
        """The oldest entries with a sequence above ``after``."""

    def within(self, asked: NumberRange, limit: int) -> list[OutboxEntry]:
        """The oldest entries among these numbers."""

    def missing(self, asked: NumberRange) -> GivenUp:
        """Which of these numbers were given but are no longer here."""

    def acknowledge(self, numbering: str, first: int, through: int) -> int:
        """The collector has these numbers: forget them. Returns how many entries went."""

    def depth(self) -> int:
        """How many wait."""

    def close(self) -> None: ...


class Clock(Protocol):
    def now_s(self) -> float:
        """Seconds since the epoch."""

    def monotonic_s(self) -> float:
        """Seconds that only grow."""

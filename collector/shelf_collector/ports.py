"""What the collector needs from the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from shelf_collector.core.inbox import Claim, Numbered
from shelf_collector.core.labels import Label, PushState, PushTicket
from shelf_collector.core.memory import Facts
from shelf_collector.core.notices import Mark, MarkChanges
from shelf_collector.core.state import StoreState
from shelf_collector.core.views import Screen

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came from the broker. ``token`` is the bus's own, to acknowledge it by."""

    topic: str
    payload: bytes
    retained: bool
    received_at: datetime
    token: object = None


@dataclass(frozen=True, slots=True)
class SetAside:
    """A message that could not be used, and why. ``payload`` is its beginning, ``claim`` whose it says it is."""

    topic: str
    payload: bytes
    problem: str
    at: datetime
    claim: Claim | None = None


class Bus(Protocol):
    """The broker: what was stored is acknowledged, and what is true now is published."""

    @property
    def is_connected(self) -> bool: ...

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the broker that these need not be sent again. Call after the commit, from any thread."""
        ...

    def post(self, topic: str, payload: bytes) -> None:
        """Make this the retained message of a topic; empty clears it. The newest wins; never waits."""
        ...

    def send(self, topic: str, payload: bytes) -> bool:
        """Publish once, not retained. False when it could not be taken: ask again later. Never waits."""
        ...


class History(Protocol):
    """Durable memory. Called by one thread only."""

    def known(self, messages: Sequence[Numbered]) -> set[tuple[str, str]]:
        """Which (source, id) of these were stored before."""
        ...

    def store(self, facts: Facts, state: StoreState, set_aside: Sequence[SetAside]) -> None:
        """Write all of it in one transaction. Raises: StorageProblem when it could not be written."""
        ...

    def prune(self, now: datetime) -> int:
        """Forget what is older than the history is kept. Returns how many messages went."""
        ...


class Screens(Protocol):
    """The open web pages."""

    def show(self, *screens: Screen) -> None:
        """Send each to all who listen to its topic, in this order. Any thread; never waits."""
        ...


class LabelDriver(Protocol):
    """Electronic shelf labels behind one access point. Every call has a deadline."""

    def discover(self) -> list[Label]:
        """All labels it knows. Raises: LabelProblem."""
        ...

    def push(self, label: Label, picture: Image, *, revision: str, ttl_s: int) -> PushTicket:
        """Hand over a picture of the label's size. Raises: LabelProblem."""
        ...

    def confirm(self, ticket: PushTicket) -> PushState:
        """What became of it. Raises: LabelProblem when nobody can say."""
        ...

    def identify(self, label_id: str) -> None:
        """Let somebody in front of the shelf see which label it is. Raises: LabelProblem."""
        ...

    def close(self) -> None:
        """Let go of its connections."""
        ...


@dataclass(frozen=True, slots=True)
class NoticeMessage:
    """What a channel sends. ``id`` is the same when it is tried again; ``tasks`` are objects of the contract."""

    id: str
    at: datetime
    store: str
    title: str
    text: str
    link: str
    is_urgent: bool
    tasks: tuple[object, ...] = ()
    is_test: bool = False
    about: tuple[int, ...] = ()
    """Numbers of the tasks: when somebody sees to all of them, it need not be sent any more."""


NoticeWhy = Literal["refused", "nobody", "no_name", "no_answer", "no_tls", "no_login", "failed"]
"""Why a message did not arrive, a key of the pages' words (``notice_why_...``); ``refused``: the text is the answer."""


class NoticeProblem(Exception):
    """A message did not arrive. ``is_final``: it will not either when it is sent again."""

    def __init__(self, text: str, is_final: bool, why: NoticeWhy = "refused") -> None:
        self.is_final = is_final
        self.why = why
        super().__init__(text)


class NoticeChannel(Protocol):
    """A way to tell people."""

    @property
    def name(self) -> str: ...

    def send(self, message: NoticeMessage) -> str:
        """Hand a message over, within ten seconds. Returns what the other side answered. Raises: NoticeProblem."""
        ...


@dataclass(frozen=True, slots=True)
class QueuedNotice:
    """A message that its channel has not taken yet. ``next_at``: not before; None: at once."""

    channel: str
    message: NoticeMessage
    tries: int = 0
    next_at: datetime | None = None


class NoticeMemory(Protocol):
    """What outlives a restart of the collector: what was told of which task, and what waits. Any thread may call.

    Every method raises StorageProblem.
    """

    def marks(self) -> list[Mark]: ...

    def queued(self) -> list[QueuedNotice]:
        """What waits, in the order in which it was queued."""
        ...

    def keep(self, changes: MarkChanges, queued: Sequence[QueuedNotice]) -> None:
        """In one transaction: what was told is queued, or neither."""
        ...

    def tried(self, notice: QueuedNotice) -> None:
        """It was tried once more, in vain."""
        ...

    def forget(self, channel: str, message: str) -> None:
        """It was taken, given up or dropped."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that only grow, whatever is done to the computer's clock."""
        ...


class StorageProblem(Exception):
    """The database could not be read or written; what to do stands in the text."""

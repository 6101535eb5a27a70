"""The state of the store: what nodes said, folded; each message once, whatever the order it comes in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from shelf_collector.core import audit
from shelf_collector.core.audit import SourceAudit
from shelf_collector.core.inbox import (
    CameraGone,
    CameraPresence,
    Claim,
    Happening,
    HeldSeen,
    Inbound,
    NodeBeat,
    NodeBirth,
    NodeOccurrence,
    NodePresence,
    Numbered,
    SlotMessage,
    StockReport,
)
from shelf_contracts.messages import (
    LARGEST_SEQUENCE,
    CameraStatus,
    Level,
    NodeHealth,
    NodeInfo,
    Reason,
    SeenProduct,
    StockLevel,
    StrangeItem,
)

HEARTBEAT_S = 5.0
MISSED_HEARTBEATS = 3
_MOST_RECENT_IDS = 20_000

_MOST_SOURCES = 10_000

SlotKey = tuple[str, str]
"""Bay and slot."""

SourceKey = tuple[str, str]
"""A source and the name of its numbering."""

Outcome = Literal["applied", "duplicate", "expired", "stale", "ignored"]


@dataclass(frozen=True, slots=True)
class SlotState:
    """The stock level held for a slot. ``as_of`` is when it was observed, never later than when it came."""

    bay: str
    slot: str
    source: str
    node: str
    sequence: int
    stock: StockLevel
    as_of: datetime
    numbering: str = ""


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node as last heard: ``heard_at`` is our time of its last sign of life."""

    node: str
    state: Literal["online", "offline", "degraded", "updating"]
    session: str
    since: datetime
    heard_at: datetime
    info: NodeInfo | None = None
    health: NodeHealth | None = None
    text: str = ""
    """Why it is degraded."""

    def is_present(self, now: datetime) -> bool:
        """Said to be there, and heard within three heartbeats."""
        return self.state != "offline" and now - self.heard_at <= timedelta(seconds=HEARTBEAT_S * MISSED_HEARTBEATS)


@dataclass(frozen=True, slots=True)
class CameraState:
    node: str
    camera: str
    status: CameraStatus


@dataclass(frozen=True, slots=True)
class SlotReading:
    """What is known of a slot at a moment: the held stock level, or unknown while its node is away.

    ``count_low`` and ``count_high`` equal ``count`` where the node gave no range; all three are None when unknown.
    """

    bay: str
    slot: str
    level: Level
    reason: Reason
    count: int | None
    count_low: int | None
    count_high: int | None
    capacity: int
    min_presentation: int
    confidence: float
    gtin: str | None
    observed_at: datetime | None
    seen: SeenProduct | None = None
    strange: tuple[StrangeItem, ...] = ()

    @property
    def is_known(self) -> bool:
        return self.level != "unknown"


@dataclass
class Counters:
    """What was not applied, by reason; duplicates are counted per source."""

    expired: int = 0
    stale: int = 0
    late_offline: int = 0


@dataclass
class StoreState:
    """Everything the collector remembers. ``apply`` is the only way in."""

    slots: dict[SlotKey, SlotState] = field(default_factory=dict)
    nodes: dict[str, NodeState] = field(default_factory=dict)
    cameras: dict[SlotKey, CameraState] = field(default_factory=dict)
    sources: dict[SourceKey, SourceAudit] = field(default_factory=dict)
    bays_of: dict[str, set[str]] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    _recent_ids: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)

    def apply(self, message: Inbound, now: datetime, *, known: bool = False) -> Outcome:
        """Fold one message in.

        Args:
            now: our time at which it came; rules never trust a node's clock for durations.
            known: the history already holds its (source, id). The last 20 000 are remembered here besides.
        Returns: whether it changed anything, and why not.
        """
        match message:
            case StockReport() | Happening():
                return self._apply_slot_message(message, now, known)
            case NodeOccurrence():
                return self._apply_occurrence(message, now, known)
            case HeldSeen():
                return "applied"  # it concerns displays only
            case NodePresence():
                return self._apply_presence(message, now)
            case NodeBirth(node, info):
                held = self._node(node, info.session, now)
                self.bays_of.setdefault(node, set()).update(camera.bay for camera in info.cameras)
                self.nodes[node] = replace(held, info=info, heard_at=now)
                return "applied"
            case NodeBeat():
                return self._apply_beat(message, now)
            case CameraPresence(node, camera, status):
                self.cameras[node, camera] = CameraState(node, camera, status)
                return "applied"
            case CameraGone(node, camera):
                return "ignored" if self.cameras.pop((node, camera), None) is None else "applied"

    def reading(self, bay: str, slot: str, now: datetime) -> SlotReading | None:
        """What is known of a slot now; None when nothing was ever said about it."""
        held = self.slots.get((bay, slot))
        if held is None:
            return None
        stock = held.stock
        node = self.nodes.get(held.node)
        is_away = node is not None and not node.is_present(now)
        if is_away or stock.count is None or stock.level == "unknown":
            return SlotReading(
                bay, slot, "unknown", "stale" if is_away else stock.reason, None, None, None, stock.capacity,
                stock.min, 0.0 if is_away else stock.confidence, stock.gtin, stock.observed_at,
                None if is_away else stock.seen,
            )  # fmt: skip
        low = stock.count if stock.count_low is None else stock.count_low
        high = stock.count if stock.count_high is None else stock.count_high
        return SlotReading(
            bay, slot, stock.level, stock.reason, stock.count, low, high, stock.capacity, stock.min,
            stock.confidence, stock.gtin, stock.observed_at, stock.seen,
            tuple(stock.strange),
        )  # fmt: skip

    def may_speak_of(self, node: str, bay: str) -> bool:
        """Whether the node said at its birth, on a topic that only it may write, that it watches the bay.

        The broker's rules hold the topic, not what stands in a message: without this a node could give its own bay's
        messages another node's name, and so use up that node's numbers. A node never heard of is taken at its word.
        """
        bays = self.bays_of.get(node)
        return not bays or bay in bays

    def is_node_away(self, node: str, now: datetime) -> bool:
        """Whether the node is known, and not there: then what it said of its cameras holds no more."""
        held = self.nodes.get(node)
        return held is not None and not held.is_present(now)

    def slots_of_node(self, node: str) -> list[SlotKey]:
        """The slots whose held stock level came from the node."""
        return [key for key, held in self.slots.items() if held.node == node]

    def count_set_aside(self, claim: Claim, now: datetime) -> SourceKey | None:
        """Count a message that could not be used; its number is not asked for again. None: of no known source."""
        key = claim.source, claim.numbering
        held = self.sources.get(key)
        if claim.sequence is None:
            if held is None:
                return None
            self.sources[key] = replace(held, set_aside=held.set_aside + 1)
            return key
        if held is None and len(self.sources) >= _MOST_SOURCES:
            return None
        self.sources[key] = audit.unreadable(held or SourceAudit(*key), claim.sequence, now)
        return key

    def abandon_gaps(self, before: datetime, may_give_up: Callable[[str], bool]) -> list[SourceKey]:
        """What has been missing since before that moment is lost. Returns the numberings it concerns.

        Args:
            may_give_up: by source; False while the node may still have what is missing.
        """
        changed = []
        for key, held in self.sources.items():
            if not held.gaps or not may_give_up(key[0]):
                continue
            after = audit.abandon(held, before)
            if after is not held:
                self.sources[key] = after
                changed.append(key)
        return changed

    def _take_number(self, message: Numbered, now: datetime, known: bool) -> bool:
        """Note the message's number; True when it is new."""
        event = message.message
        identity = (event.source, event.id)
        key = event.source, event.numbering
        held = self.sources.get(key) or SourceAudit(*key)
        # A numbering with a name gives no number twice: this knows also what the history has forgotten by now.
        has_come = bool(event.numbering) and audit.has_come(held, event.sequence_number)
        is_new = not known and not has_come and identity not in self._recent_ids
        self._remember(identity)
        self.sources[key] = audit.seen(held, event.sequence_number, now, is_new=is_new, retained=message.retained)
        return is_new

    def _apply_occurrence(self, message: NodeOccurrence, now: datetime, known: bool) -> Outcome:
        if not self._take_number(message, now, known):
            return "duplicate"
        data = message.message.data
        key = message.message.source, data.numbering
        held = audit.give_up(
            self.sources.get(key) or SourceAudit(*key),
            [(one.first, one.last) for one in data.lost],
            [(one.first, one.last) for one in data.superseded],
        )
        self.sources[key] = replace(held, refused=min(held.refused + data.refused, LARGEST_SEQUENCE))
        return "applied"

    def _apply_slot_message(self, message: SlotMessage, now: datetime, known: bool) -> Outcome:
        event = message.message
        if not self._take_number(message, now, known):
            return "duplicate"
        if event.expirytime is not None and event.expirytime < now:
            self.counters.expired += 1
            key = event.source, event.numbering
            self.sources[key] = replace(self.sources[key], expired=self.sources[key].expired + 1)
            return "expired"
        return self._hold_stock(message, now) if isinstance(message, StockReport) else "applied"

    def _hold_stock(self, message: StockReport, now: datetime) -> Outcome:
        event = message.message
        # A node whose clock runs ahead must not shut out every later, honest report.
        as_of = min(event.data.observed_at, now)
        held = self.slots.get((message.bay, message.slot))
        if held is not None and _is_newer(held, event.source, event.numbering, event.sequence_number, as_of):
            self.counters.stale += 1
            return "stale"
        self.slots[message.bay, message.slot] = SlotState(
            message.bay, message.slot, event.source, message.node, event.sequence_number, event.data, as_of,
            event.numbering,
        )  # fmt: skip
        return "applied"

    def _apply_presence(self, message: NodePresence, now: datetime) -> Outcome:
        status = message.status
        held = self.nodes.get(message.node)
        if status.state == "offline" and held is not None and held.session != status.session:
            self.counters.late_offline += 1
            return "ignored"
        since = held.since if held is not None and held.state == status.state else (status.time or now)
        known = self._node(message.node, status.session, now)
        self.nodes[message.node] = replace(
            known, state=status.state, session=status.session, since=since, heard_at=now, text=status.text
        )
        return "applied"

    def _apply_beat(self, message: NodeBeat, now: datetime) -> Outcome:
        held = self._node(message.node, message.health.session, now)
        if held.session != message.health.session:
            return "ignored"
        self.nodes[message.node] = replace(held, health=message.health, heard_at=now)
        return "applied"

    def _node(self, node: str, session: str, now: datetime) -> NodeState:
        return self.nodes.get(node) or NodeState(node, "online", session, now, now)

    def _remember(self, identity: tuple[str, str]) -> None:
        self._recent_ids[identity] = None
        if len(self._recent_ids) > _MOST_RECENT_IDS:
            self._recent_ids.popitem(last=False)


def _is_newer(held: SlotState, source: str, numbering: str, sequence: int, as_of: datetime) -> bool:
    """Whether the held stock level is newer: by number within a numbering, else by the time of observation."""
    if numbering and (held.source, held.numbering) == (source, numbering):
        return held.sequence > sequence
    return (held.as_of, held.sequence) > (as_of, sequence)

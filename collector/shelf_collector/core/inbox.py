"""From topic and payload to a typed message, or every reason why it cannot be used."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from shelf_contracts import envelope, topics
from shelf_contracts.envelope import NodeHappening, SlotHappening, StockLevelEvent
from shelf_contracts.errors import MessageProblem, Problem, TopicProblem, shown
from shelf_contracts.ids import LEVEL_PATTERN
from shelf_contracts.messages import LARGEST_SEQUENCE, CameraStatus, HeldProduct, NodeHealth, NodeInfo, Status

_NUMBERING = re.compile(r"[a-z0-9]{0,32}")
_NODE_ID = re.compile(LEVEL_PATTERN.strip("^$"))
_DIGITS = 20


@dataclass(frozen=True, slots=True)
class StockReport:
    """What a slot holds now. ``retained``: the broker gave its kept copy because we subscribed."""

    bay: str
    slot: str
    node: str
    message: StockLevelEvent
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened at a slot."""

    bay: str
    slot: str
    node: str
    message: SlotHappening
    retained: bool = False


@dataclass(frozen=True, slots=True)
class NodeOccurrence:
    """What an outbox gave up."""

    node: str
    message: NodeHappening
    retained: bool = False


@dataclass(frozen=True, slots=True)
class NodePresence:
    node: str
    status: Status


@dataclass(frozen=True, slots=True)
class NodeBirth:
    node: str
    info: NodeInfo


@dataclass(frozen=True, slots=True)
class NodeBeat:
    node: str
    health: NodeHealth


@dataclass(frozen=True, slots=True)
class CameraPresence:
    node: str
    camera: str
    status: CameraStatus


@dataclass(frozen=True, slots=True)
class CameraGone:
    """The node cleared the topic: it has this camera no more."""

    node: str
    camera: str


@dataclass(frozen=True, slots=True)
class HeldSeen:
    """What a hand at a bay holds now."""

    bay: str
    node: str
    held: HeldProduct


SlotMessage = StockReport | Happening
Numbered = SlotMessage | NodeOccurrence
"""What takes a number of its source's sequence."""
Inbound = Numbered | HeldSeen | NodePresence | NodeBirth | NodeBeat | CameraPresence | CameraGone


def decode(topic: str, payload: bytes, *, store: str, retained: bool = False) -> Inbound | None:
    """The message, or None for an empty payload (a retained topic that was cleared), unless it was a camera's.

    Raises: MessageProblem when topic, size or content do not keep the contract, or contradict one another.
    """
    try:
        address = topics.parse(topic)
    except TopicProblem as error:
        raise MessageProblem(topic, [Problem("topic", shown(topic), str(error))]) from error
    row, ids = address.row, address.ids
    if not payload:
        return CameraGone(ids["node"], ids["camera"]) if row.name == "camera_status" and ids["store"] == store else None
    if len(payload) > row.largest_bytes:
        allowed = f"must be at most {row.largest_bytes} bytes"
        raise MessageProblem(topic, [Problem("", f"{len(payload)} bytes", allowed)])
    if ids["store"] != store:
        raise MessageProblem(topic, [Problem("store", shown(ids["store"]), f"must be {store!r}")])
    match row.name:
        case "slot_stock" | "slot_event":
            return _slot_message(topic, payload, ids, retained)
        case "bay_held":
            held = envelope.decode_plain(topic, payload, HeldProduct)
            return HeldSeen(ids["bay"], held.node, held)
        case "node_event":
            return _node_occurrence(topic, payload, ids, retained)
        case "node_status":
            return NodePresence(ids["node"], envelope.decode_plain(topic, payload, Status))
        case "node_info":
            return NodeBirth(ids["node"], envelope.decode_plain(topic, payload, NodeInfo))
        case "node_health":
            return NodeBeat(ids["node"], envelope.decode_plain(topic, payload, NodeHealth))
        case "camera_status":
            status = envelope.decode_plain(topic, payload, CameraStatus)
            return CameraPresence(ids["node"], ids["camera"], status)
    raise MessageProblem(topic, [Problem("topic", shown(topic), "is not one the collector reads")])


def node_of(source: str, store: str) -> str | None:
    """The node id in a CloudEvent's ``source``; None when it is not a node of this store.

    >>> node_of("/smartshelf/nl-ams-001/node/n01", "nl-ams-001")
    'n01'
    >>> node_of("/smartshelf/nl-ams-001/node/n01/x", "nl-ams-001") is None
    True
    """
    prefix = envelope.node_source(store, "")
    node = source.removeprefix(prefix) if source.startswith(prefix) else ""
    return node if _NODE_ID.fullmatch(node) else None


@dataclass(frozen=True, slots=True)
class Claim:
    """Who an unusable message says it is of, and its number; None where it cannot be told."""

    source: str
    numbering: str
    sequence: int | None


def claim_of(payload: bytes) -> Claim | None:
    """What can be told of a message that cannot be used; whether it may say so is for the caller to judge."""
    if len(payload) > envelope.LARGEST_PAYLOAD_BYTES:
        return None
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    source = content.get("source") if isinstance(content, dict) else None
    if not isinstance(source, str):
        return None
    numbering, sequence = content.get("numbering", ""), content.get("sequence")
    is_named = isinstance(numbering, str) and _NUMBERING.fullmatch(numbering) is not None
    is_number = isinstance(sequence, str) and sequence.isascii() and sequence.isdigit() and len(sequence) == _DIGITS
    if not (is_named and is_number and int(sequence) <= LARGEST_SEQUENCE):
        return Claim(source, "", None)
    return Claim(source, numbering, int(sequence))


def _node_occurrence(topic: str, payload: bytes, ids: dict[str, str], retained: bool) -> NodeOccurrence:
    message = envelope.decode_numbered(topic, payload)
    if not isinstance(message, NodeHappening):
        raise MessageProblem(topic, [Problem("type", shown(message.type), "does not belong on this topic")])
    expected = envelope.node_source(ids["store"], ids["node"])
    wrong = []
    if message.source != expected:
        wrong.append(Problem("source", shown(message.source), f"must be {expected!r}, as the topic says"))
    if message.data.action != ids["kind"]:
        wrong.append(Problem("data.action", shown(message.data.action), f"must be {ids['kind']!r}, as the topic says"))
    if wrong:
        raise MessageProblem(topic, wrong)
    return NodeOccurrence(ids["node"], message, retained)


def _slot_message(topic: str, payload: bytes, ids: dict[str, str], retained: bool) -> SlotMessage:
    message = envelope.decode_slot_message(topic, payload)
    bay, slot = ids["bay"], ids["slot"]
    wrong = []
    expected_subject = envelope.slot_subject(bay, slot)
    if message.subject != expected_subject:
        wrong.append(Problem("subject", shown(message.subject), f"must be {expected_subject!r}, as the topic says"))
    node = node_of(message.source, ids["store"])
    if node is None:
        wrong.append(Problem("source", shown(message.source), "must be /smartshelf/STORE/node/NODE of this store"))
    kind = ids.get("kind")
    if isinstance(message, StockLevelEvent) != (kind is None):
        wrong.append(Problem("type", shown(message.type), "does not belong on this topic"))
    elif isinstance(message, SlotHappening) and message.data.action != kind:
        wrong.append(Problem("data.action", shown(message.data.action), f"must be {kind!r}, as the topic says"))
    if wrong or node is None:
        raise MessageProblem(topic, wrong)
    if isinstance(message, StockLevelEvent):
        return StockReport(bay, slot, node, message, retained)
    return Happening(bay, slot, node, message, retained)

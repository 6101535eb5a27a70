"""CloudEvents 1.0, structured JSON: the envelope around every fact about a slot.

Structured mode works with MQTT 3.1.1 too, survives logging to a file and can be put unchanged on HTTP. The envelope is
self-sufficient (id, source, sequence, time, expiry, version in ``type``): MQTT 5 properties only repeat it.
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from shelf_contracts.errors import MessageProblem, Problem, shown
from shelf_contracts.files import problems_of, refuse_constant, refuse_depth
from shelf_contracts.messages import LARGEST_SEQUENCE, NodeEvent, NumberingId, SlotEvent, StockLevel, UtcTime

M = TypeVar("M", bound=BaseModel)

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
LARGEST_PAYLOAD_BYTES = 256 * 1024
STOCK_TYPE: Final = "org.smartshelf.stock.level.v1"
EVENT_TYPE: Final = "org.smartshelf.slot.event.v1"
NODE_EVENT_TYPE: Final = "org.smartshelf.node.event.v1"

_ID_NAMESPACE = uuid.UUID("6f0f0f3e-52a5-5d0c-9a54-6d0f2a3b4c5d")


def _must_be_version_1(text: str) -> str:
    if not text.startswith("1."):
        raise ValueError("must be a CloudEvents version 1.x")
    return text


def _must_fit(text: str) -> str:
    if int(text) > LARGEST_SEQUENCE:
        raise ValueError(f"must not exceed {LARGEST_SEQUENCE}")
    return text


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    specversion: Annotated[
        str, AfterValidator(_must_be_version_1), WithJsonSchema({"type": "string", "pattern": r"^1\."})
    ] = "1.0"
    id: Annotated[str, Field(min_length=1, max_length=128)]
    source: Annotated[str, Field(min_length=1, max_length=256)]
    subject: Annotated[str, Field(min_length=1, max_length=256)]
    time: UtcTime
    datacontenttype: str = "application/json"
    sequence: Annotated[str, Field(pattern=r"^[0-9]{20}$"), AfterValidator(_must_fit)]
    numbering: NumberingId = ""
    expirytime: UtcTime | None = None

    @property
    def sequence_number(self) -> int:
        return int(self.sequence)


class StockLevelEvent(_Envelope):
    """What a slot holds now, in its CloudEvents envelope."""

    type: Literal["org.smartshelf.stock.level.v1"] = STOCK_TYPE
    data: StockLevel


class SlotHappening(_Envelope):
    """Something that happened at a slot, in its CloudEvents envelope."""

    type: Literal["org.smartshelf.slot.event.v1"] = EVENT_TYPE
    data: SlotEvent


class NodeHappening(_Envelope):
    """Something that happened to a node's outbox, in its CloudEvents envelope."""

    type: Literal["org.smartshelf.node.event.v1"] = NODE_EVENT_TYPE
    data: NodeEvent


SlotMessage = StockLevelEvent | SlotHappening
NumberedMessage = SlotMessage | NodeHappening
"""What takes a number of its source's sequence."""


def node_source(store: str, node: str) -> str:
    """``source`` of what a node says."""
    return f"/smartshelf/{store}/node/{node}"


def slot_subject(bay: str, slot: str) -> str:
    """``subject`` of what is said about a slot; the level is called shelf as in the topic tree."""
    return f"shelf/{bay}/slot/{slot}"


def node_subject(node: str) -> str:
    """``subject`` of what a node says of itself."""
    return f"node/{node}"


def event_id(source: str, sequence: int) -> str:
    """The id that belongs to a source's sequence number: the same in every replay of a recording."""
    return str(uuid.uuid5(_ID_NAMESPACE, f"{source}#{sequence:020d}"))


def wrap(
    data: StockLevel | SlotEvent, *, source: str, bay: str, slot: str, sequence: int, time: datetime,
    expires: datetime | None = None, numbering: str = "", message_id: str = "",
) -> SlotMessage:  # fmt: skip
    """Put a fact about a slot into its envelope. ``sequence`` grows by one for each message of a source.

    Without ``message_id`` the id follows from source and sequence, as replays want it. A live node gives a random one:
    then a number that was used twice (a disk put back from an image) costs no event.
    """
    kind = StockLevelEvent if isinstance(data, StockLevel) else SlotHappening
    return kind(
        id=message_id or event_id(source, sequence),
        source=source,
        subject=slot_subject(bay, slot),
        time=time,
        sequence=f"{sequence:020d}",
        numbering=numbering,
        expirytime=expires,
        data=data,  # type: ignore[arg-type]  # the pair of kind and data is fixed on the line above
    )


def wrap_node_event(
    data: NodeEvent, *, source: str, node: str, sequence: int, time: datetime, numbering: str, message_id: str = "",
    expires: datetime | None = None,
) -> NodeHappening:  # fmt: skip
    """Put what happened to a node's outbox into its envelope, as ``wrap`` does."""
    return NodeHappening(
        id=message_id or event_id(source, sequence),
        source=source,
        subject=node_subject(node),
        time=time,
        sequence=f"{sequence:020d}",
        numbering=numbering,
        expirytime=expires,
        data=data,
    )


def with_numbering(payload: bytes, numbering: str) -> bytes:
    """An encoded numbered message under another numbering; its id stays. Raises: ValueError when it is none."""
    content = json.loads(payload)
    if not isinstance(content, dict):
        raise ValueError("not an envelope")
    return json.dumps({**content, "numbering": numbering}, separators=(",", ":"), ensure_ascii=False).encode()


def encode(message: BaseModel) -> bytes:
    """Compact UTF-8 JSON without the fields that are null by default."""
    return message.model_dump_json(exclude_none=not isinstance(message, _Envelope)).encode()


def decode_slot_message(topic: str, payload: bytes) -> SlotMessage:
    """A received stock level or slot event.

    Raises: MessageProblem with every problem when the payload does not keep the contract.
    """
    message = decode_numbered(topic, payload)
    if isinstance(message, NodeHappening):
        raise MessageProblem(topic, [Problem("type", shown(message.type), "must say something about a slot")])
    return message


def decode_numbered(topic: str, payload: bytes) -> NumberedMessage:
    """A received message of any kind that is numbered. Raises: MessageProblem as ``decode_slot_message``."""
    content = _parse_json(topic, payload)
    kinds: dict[object, type[StockLevelEvent] | type[SlotHappening] | type[NodeHappening]] = {
        STOCK_TYPE: StockLevelEvent,
        EVENT_TYPE: SlotHappening,
        NODE_EVENT_TYPE: NodeHappening,
    }
    found = content.get("type")
    kind = kinds.get(found) if isinstance(found, str) else None
    if kind is None:
        raise MessageProblem(topic, [Problem("type", shown(found), f"must be one of {', '.join(map(str, kinds))}")])
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise MessageProblem(topic, problems_of(error)) from error


def decode_plain(topic: str, payload: bytes, model: type[M]) -> M:
    """A received plain JSON message. Raises: MessageProblem as ``decode_slot_message``."""
    content = _parse_json(topic, payload)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise MessageProblem(topic, problems_of(error)) from error


def _parse_json(topic: str, payload: bytes) -> dict[str, object]:
    if len(payload) > LARGEST_PAYLOAD_BYTES:
        found = f"{len(payload)} bytes"
        raise MessageProblem(topic, [Problem("", found, f"must be at most {LARGEST_PAYLOAD_BYTES} bytes")])
    try:
        content = json.loads(payload, parse_constant=refuse_constant)
        refuse_depth(content)
    except (ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, NaN, a number of 5000 digits
        raise MessageProblem(topic, [Problem("", "not JSON", str(error) or "nested too deep")]) from error
    if not isinstance(content, dict):
        raise MessageProblem(topic, [Problem("", shown(content), "must be a JSON object")])
    return content

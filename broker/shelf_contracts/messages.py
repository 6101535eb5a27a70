"""The messages: what is said on MQTT, one model each.

Facts about slots travel as the ``data`` of a CloudEvent (``shelf_contracts.envelope``); status, birth, health, alert
and display content are plain JSON. Readers ignore fields they do not know, so that a newer writer does no harm; writers
give every new field a default. No field names a person or a track, or holds a picture.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from shelf_contracts.ids import BayId, CameraId, DisplayId, Gtin, NodeId, SlotId

Action = Literal["reach", "pick", "put", "restock", "misplaced", "anomaly"]
AnomalyCause = Literal["count", "fallen", "pushed-back"]
Level = Literal["full", "ok", "low", "out", "unknown"]
Reason = Literal["clear", "occluded", "rear-unseen", "moved-camera", "dark", "stale", "camera-lost", "starting"]
Confidence = Annotated[float, Field(ge=0.0, le=1.0)]
Quantity = Annotated[int, Field(ge=0, le=10_000)]


def iso_time(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: ``2026-11-22T09:15:02.120Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must lie within the years 1 to 9999 in UTC") from error


UtcTime = Annotated[
    AwareDatetime, AfterValidator(_in_utc), PlainSerializer(iso_time, return_type=str, when_used="json")
]


LARGEST_SEQUENCE = 2**63 - 1
"""What a database holds in one integer."""

Sequence = Annotated[int, Field(ge=0, le=LARGEST_SEQUENCE)]
NumberingId = Annotated[str, Field(pattern=r"^[a-z0-9]{0,32}$")]
"""Names one outbox: a node that lost its disk counts anew, under another name. Empty: written before there was one."""


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


GalleryRevision = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
"""The beginning of a gallery's SHA-256."""


class SeenProduct(Message):
    """What stands in a slot by the looks of it, whatever the planogram says; voted over frames and facings.

    ``known``: ``gtin``. ``ambiguous``: ``gtin`` or ``other``, which look too much alike. ``unknown``: nothing that was
    enrolled, though perhaps something of a ``kind``. ``since`` and ``looks`` say how long and how often it was seen so.
    """

    verdict: Literal["known", "ambiguous", "unknown"]
    gtin: Gtin | None = None
    other: Gtin | None = None
    kind: Annotated[str, Field(max_length=64)] = ""
    confidence: Confidence
    gallery: GalleryRevision
    since: UtcTime
    looks: Annotated[int, Field(ge=0)] = 0
    embedding: Annotated[str, Field(max_length=6000, pattern=r"^[A-Za-z0-9+/]*={0,2}$")] = ""
    """Of what is unknown: where it lies (float16, little-endian, in base64), so that staff can say what it is without a
    photo. It is a few hundred numbers; no picture can be had from it here."""

    @model_validator(mode="after")
    def _names_what_it_says(self) -> SeenProduct:
        if (self.gtin is None) != (self.verdict == "unknown") or (self.other is None) != (self.verdict != "ambiguous"):
            raise ValueError("known needs gtin, ambiguous needs gtin and other, unknown has none")
        return self


class StrangeItem(Message):
    """What surely stands in one facing though the planogram does not want it there: ``gtin``, or else ``other``.

    ``facing``: its place in the slot, counted from the left, from 1.
    """

    facing: Annotated[int, Field(ge=1, le=100)]
    gtin: Gtin
    other: Gtin | None = None
    confidence: Confidence
    since: UtcTime


class StockLevel(Message):
    """What one slot holds now. ``count`` is the best value within ``count_low..count_high``; null when unseen.

    ``gtin`` is what the planogram wants there, ``seen`` what is recognised there; null where nothing recognises.
    ``confidence`` is how far to trust that ``count`` is exactly right, not that it lies in the range, which is surer:
    how well the last looks agree, times 0.98 for each item between ``count_low`` and ``count_high``, which only the
    books know; half of it while nothing was seen since a restart; 0 when ``count`` is null.
    """

    gtin: Gtin | None = None
    count: Quantity | None
    count_low: Quantity | None = None
    count_high: Quantity | None = None
    capacity: Quantity
    min: Quantity = 0
    level: Level
    confidence: Confidence
    reason: Reason = "clear"
    method: Literal["camera", "scale", "manual", "pos", "fused"] = "camera"
    observed_at: UtcTime
    seen: SeenProduct | None = None
    strange: Annotated[list[StrangeItem], Field(max_length=20)] = []
    """Single items that do not belong among the others, as long as they stand there."""
    plan: Annotated[str, Field(pattern=r"^([0-9a-f]{12}|none)?$")] = ""
    """By which plan of the slot it was counted (``Planogram.slot_plan``); ``none``: none shows it any more."""

    @model_validator(mode="after")
    def _range_holds_count(self) -> StockLevel:
        if self.count is None and self.level != "unknown":
            raise ValueError("level must be 'unknown' when count is null")
        low = self.count_low if self.count_low is not None else self.count
        high = self.count_high if self.count_high is not None else self.count
        if self.count is not None and low is not None and high is not None and not low <= self.count <= high:
            raise ValueError(f"count {self.count} must lie within count_low {low} and count_high {high}")
        if low is not None and high is not None and low > high:
            raise ValueError(f"count_low {low} must not exceed count_high {high}")
        return self


class SlotEvent(Message):
    """Something that happened at one slot.

    ``started_at`` is when the hand came, ``ended_at`` when the event was certain; ``captured_at`` is the capture time
    of the frame that decided it. ``at_s`` is set in replays: seconds from the start of the recording. Of something
    ``misplaced``, ``gtin`` is what stands there, and ``seen`` how sure that is. An ``anomaly`` has a ``cause``:
    ``count`` when the books (``count_before``) and the view (``count_after``) disagree and nobody was seen to change
    it, after which the view is believed; ``fallen`` when an item lies; ``pushed-back`` when what is left stands far
    back.
    """

    action: Action
    quantity: Quantity = 0
    gtin: Gtin | None = None
    count_before: Quantity | None = None
    count_after: Quantity | None = None
    confidence: Confidence
    started_at: UtcTime
    ended_at: UtcTime
    captured_at: UtcTime
    at_s: float | None = None
    text: Annotated[str, Field(max_length=300)] = ""
    seen: SeenProduct | None = None
    cause: AnomalyCause | None = None


class Status(Message):
    """Whether a node or the collector is there. The will has the same ``session``, state ``offline`` and no time.

    An ``offline`` whose session is not the last ``online`` one is a late will of an old session and is ignored.
    """

    state: Literal["online", "offline", "degraded", "updating"]
    session: Annotated[str, Field(min_length=1, max_length=64)]
    time: UtcTime | None = None
    text: Annotated[str, Field(max_length=300)] = ""
    """Why it is ``degraded``: what was preferred could not be had."""


class ModelInfo(Message):
    """A model in use. ``fallback`` says why it does not run on the provider that was preferred."""

    role: Literal["detector", "recogniser"]
    name: str
    version: str
    sha256: str
    licence: str
    provider: str = "CPUExecutionProvider"
    fallback: Annotated[str, Field(max_length=300)] = ""


class CameraInfo(Message):
    id: CameraId
    bay: BayId
    slots: Quantity


class NodeInfo(Message):
    """A node's birth: everything a receiver needs to know about it."""

    node: NodeId
    session: str
    hardware: str = ""
    software: str
    protocol: str = "1.0"
    models: list[ModelInfo] = []
    cameras: list[CameraInfo] = []
    capabilities: list[str] = []
    config_revision: int = 0
    store_images: bool = False


class CameraHealth(Message):
    """``frames_dropped``: replaced by newer ones. ``frames_unusable``: no pictures, or odd ones."""

    id: CameraId
    frames_seen: int
    frames_dropped: int
    frames_unusable: int = 0
    fps: float
    infer_ms: float
    frame_age_ms: float


class ModelHealth(Message):
    """The detector in use, and how its last change went.

    ``settled``: in use for good. ``trial``: in use, watched. ``fetching``: the one offered is on its way, the old
    one in use. ``refused``: the one offered was not taken. ``rolled-back``: it failed, the one before is in use.
    """

    name: str
    version: str
    sha256: str
    provider: str = "CPUExecutionProvider"
    fallback: Annotated[str, Field(max_length=300)] = ""
    state: Literal["settled", "trial", "fetching", "refused", "rolled-back"] = "settled"
    rollout: Annotated[str, Field(max_length=64)] = ""
    """Which rollout ``state`` is about; empty when it is about none."""
    text: Annotated[str, Field(max_length=300)] = ""


class GalleryHealth(Message):
    """The gallery in use, and how the last change went.

    ``settled``: in use. ``fetching``: the one ``offered`` is on its way, the old one in use. ``refused``: it could not
    be taken, ``text`` says why; the old one stays in use.
    """

    revision: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    products: Annotated[int, Field(ge=0)] = 0
    photos: Annotated[int, Field(ge=0)] = 0
    state: Literal["settled", "fetching", "refused"] = "settled"
    offered: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    text: Annotated[str, Field(max_length=300)] = ""


class UnknownPicturesHealth(Message):
    """Of which places this node keeps a picture of something unknown, for people who come to it. It sends none.

    ``deleted_at_limit``: pictures that made room for newer ones, since the node started.
    """

    places: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}/[a-z0-9][a-z0-9-]{0,31}$")]],
        Field(max_length=100),
    ] = []
    """Each as bay/slot."""
    deleted_at_limit: Annotated[int, Field(ge=0)] = 0


class PlanogramHealth(Message):
    """The planogram a bay uses, and how the last change went; ``offered`` is a revision.

    ``settled``: in use. ``fetching``: on its way. ``trial``: in use for a few frames, the one before at hand.
    ``refused``: it could not be taken or failed, ``text`` says why; ``revision`` stays in use.
    """

    bay: BayId
    revision: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    state: Literal["settled", "fetching", "trial", "refused"] = "settled"
    offered: Annotated[int, Field(ge=0)] = 0
    text: Annotated[str, Field(max_length=200)] = ""


class NodeHealth(Message):
    """A node's figures, every few seconds."""

    node: NodeId
    session: str
    time: UtcTime
    uptime_s: float
    rss_mb: float
    outbox_messages: int
    outbox_lost: int = 0
    outbox_waiting: int = 0
    """Messages that wait in memory because the disk is full."""
    cameras: list[CameraHealth] = []
    model: ModelHealth | None = None
    gallery: GalleryHealth | None = None
    """Null where nothing recognises products."""
    planograms: Annotated[list[PlanogramHealth], Field(max_length=64)] = []
    unknown_pictures: UnknownPicturesHealth | None = None
    """Null where none may be kept."""


class CameraStatus(Message):
    """Whether a camera is of use: ``text`` says what is wrong with it.

    ``moved`` asks for it to be turned back or calibrated again; slots that it still shows may be counted all the same.

    ``unsteady``: it sends pictures of several sizes, things that are no pictures, single pictures of something else, or
    a clock that goes back, again and again. What is good of it is used. Said as it begins, at most every few seconds,
    and when it was well for a minute.
    """

    state: Literal["online", "offline", "obstructed", "moved", "unsteady", "disabled"]
    bay: BayId
    since: UtcTime
    text: Annotated[str, Field(max_length=300)] = ""


class HeldProduct(Message):
    """What a hand holds by the looks of it, said while it is held and kept by nobody.

    ``slot`` is where a hand was last, ``side`` where the bay it is held: 0 left to 1 right. ``seen`` is never unknown.
    """

    node: NodeId
    seen: SeenProduct
    slot: SlotId | None = None
    side: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    captured_at: UtcTime

    @model_validator(mode="after")
    def _names_a_product(self) -> HeldProduct:
        if self.seen.verdict == "unknown":
            raise ValueError("seen.verdict must be known or ambiguous")
        return self


class DisplayPanel(Message):
    """One product to show because a hand reaches for it."""

    slot: SlotId
    gtin: Gtin
    side: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Where the slot lies in the bay, 0 left to 1 right: panels are laid out on the side of the hand."""
    candidates: Annotated[list[Gtin], Field(max_length=3)] = []
    """When it is not certain which product it is: those it may be. Then a display says so and shows no allergens."""
    is_held: bool = False
    """The camera recognised this product in a hand: what is shown is what was taken."""


class DisplayContent(Message):
    """What a display must show: fields, not pixels. No panels means the calm page."""

    display: DisplayId
    bay: BayId
    revision: int
    panels: list[DisplayPanel] = []
    captured_at: UtcTime | None = None


class Alert(Message):
    """An open replenishment alert; when it is solved the retained topic is emptied."""

    alert: str
    kind: Literal["stock_low", "stock_out"]
    severity: Literal["warning", "critical"]
    subject: str
    bay: BayId
    slot: SlotId
    gtin: Gtin | None = None
    opened_at: UtcTime
    state: Literal["open", "solved"]
    count: Quantity | None = None
    suggested_qty: Quantity


class Task(Message):
    """Work for staff; when it is over the retained topic is emptied. No person is ever named.

    ``expected_loss_cents``: sales lost in the next ``expected_loss_h`` hours if nobody goes; null when not known.
    """

    task: Annotated[str, Field(pattern=r"^t-[0-9]{1,16}$")]
    kind: Literal["help", "replenish", "misplaced", "unknown", "anomaly", "camera", "node", "products"]
    state: Literal["open", "claimed", "done", "verified", "failed", "cancelled"]
    bay: BayId | None = None
    slot: SlotId | None = None
    facing: Annotated[int, Field(ge=1, le=100)] | None = None
    """Which place of the slot, counted from the left, from 1; null: all of it."""
    gtin: Gtin | None = None
    detail: Annotated[str, Field(max_length=300)] = ""
    qty: Quantity = 0
    created_at: UtcTime
    claimed_at: UtcTime | None = None
    done_at: UtcTime | None = None
    snoozed_until: UtcTime | None = None
    escalated_at: UtcTime | None = None
    is_quiet: bool = False
    expected_loss_cents: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    expected_loss_h: Annotated[float, Field(gt=0.0, le=24.0)] | None = None


class BayState(Message):
    """A bay in three figures: on-shelf availability, fill and coverage, each a share of 0 to 1 or null when unknown."""

    osa: Confidence | None = None
    fill: Confidence | None = None
    coverage: Confidence


class SequenceRange(Message):
    """Sequence numbers from ``first`` to ``last``, both included."""

    first: Sequence
    last: Sequence

    @model_validator(mode="after")
    def _in_order(self) -> SequenceRange:
        if self.first > self.last:
            raise ValueError(f"first {self.first} must not exceed last {self.last}")
        return self


Ranges = Annotated[list[SequenceRange], Field(max_length=200)]


class NodeEvent(Message):
    """What became of messages that a node can no longer send.

    ``overflow``: the outbox reached its bound, or the disk was full. ``gone``: the collector asked for them. ``lost``
    were events; ``superseded`` were stock levels of which a newer one is kept; ``refused`` events never got a number,
    ``health`` counts health messages.
    """

    action: Literal["overflow", "gone"]
    numbering: NumberingId
    lost: Ranges = []
    superseded: Ranges = []
    refused: Sequence = 0
    health: Sequence = 0
    text: Annotated[str, Field(max_length=300)] = ""


class Acknowledgement(Message):
    """The collector has all of ``first`` to ``through`` in durable storage, or knows it is lost: forget it."""

    numbering: NumberingId
    first: Sequence
    through: Sequence
    time: UtcTime


class ResendArguments(Message):
    numbering: NumberingId
    ranges: Ranges


class ResendCommand(Message):
    """Send these numbers again; what is no longer there is answered by a ``gone`` event.

    A node obeys it whatever ``expires`` says: its clock may be wrong, and sending twice does no harm.
    """

    command: Literal["resend"] = "resend"
    args: ResendArguments
    correlation: Annotated[str, Field(min_length=1, max_length=64)]
    requested_by: str = "collector"
    expires: UtcTime


Sha256Text = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ModelOffer(Message):
    """A model that can be fetched: ``url`` is a folder; ``manifest.json`` in it must have the hash told here."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    version: Annotated[str, Field(min_length=1, max_length=32)]
    sha256: Sha256Text
    manifest_sha256: Sha256Text
    size_bytes: Annotated[int, Field(ge=1)]
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)]


class UpdateArguments(Message):
    """``install`` the model that is offered, or ``rollback`` from it to the one before."""

    action: Literal["install", "rollback"]
    rollout: Annotated[str, Field(min_length=1, max_length=64)]
    offer: ModelOffer


class UpdateCommand(Message):
    """Said again until the node's health tells that it was obeyed; obeying twice changes nothing."""

    command: Literal["update"] = "update"
    args: UpdateArguments
    correlation: Annotated[str, Field(min_length=1, max_length=64)]
    requested_by: str = "collector"
    expires: UtcTime


class PlanogramOffer(Message):
    """The planogram a bay's node should use: ``url`` gives the file, ``smartshelf.planogram.v1``, with this hash.

    A node that cannot use it keeps the one it has, and says why in its health and on the camera's status.
    """

    bay: BayId
    revision: Annotated[int, Field(ge=0)]
    sha256: Sha256Text
    size_bytes: Annotated[int, Field(ge=1)]
    at: UtcTime
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)]


class GalleryOffer(Message):
    """The gallery every node should run: ``url`` gives the file, whose SHA-256 is ``revision``.

    A node with another embedding model leaves it, and says so in its health.
    """

    revision: Sha256Text
    size_bytes: Annotated[int, Field(ge=1)]
    products: Annotated[int, Field(ge=0)]
    photos: Annotated[int, Field(ge=0)]
    model_name: Annotated[str, Field(min_length=1, max_length=64)]
    model_version: Annotated[str, Field(min_length=1, max_length=32)]
    model_sha256: Sha256Text
    at: UtcTime
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)]

"""THE table: every topic, its message, who publishes it, and how the broker must treat it.

The topic strings, JSON Schemas, the AsyncAPI document, the ACL and docs/topics.md all come from here; a test fails when
one of them drifts. The level ``shelf/{bay}`` keeps the string of the published topic tree: what is called a bay
everywhere else is one ``shelf`` level there (docs/adr/0003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from shelf_contracts import messages
from shelf_contracts.envelope import NodeHappening, SlotHappening, StockLevelEvent

Role = Literal["node", "collector", "display"]

ROOT = "smartshelf/v1/{store}"


@dataclass(frozen=True)
class Topic:
    """One row of the catalog.

    Attributes:
        name: how the code calls it.
        template: levels after the root, ``{name}`` for an id.
        message: the payload's model; a CloudEvent envelope for facts about slots, else plain JSON.
        publisher: the only role that may write it.
        subscribers: the roles that read it.
        expiry_s: after this many seconds the message is worthless (None: never).
        largest_bytes: a bigger payload is refused by readers.
    """

    name: str
    template: str
    message: type[BaseModel]
    publisher: Role
    subscribers: tuple[Role, ...]
    qos: Literal[0, 1]
    retain: bool
    expiry_s: int | None
    largest_bytes: int
    about: str

    @property
    def address(self) -> str:
        return f"{ROOT}/{self.template}"


_DAY_S = 86_400

CATALOG: tuple[Topic, ...] = (
    Topic(
        "slot_stock",
        "shelf/{bay}/slot/{slot}/stock",
        StockLevelEvent,
        "node",
        ("collector",),
        1,
        True,
        _DAY_S,
        8192,
        "What a slot holds now; on change and every 300 s.",
    ),
    Topic(
        "slot_event",
        "shelf/{bay}/slot/{slot}/event/{kind}",
        SlotHappening,
        "node",
        ("collector",),
        1,
        False,
        7 * _DAY_S,
        8192,
        "Something that happened at a slot: reach, pick, put, restock, misplaced, anomaly.",
    ),
    Topic(
        "bay_held",
        "shelf/{bay}/held",
        messages.HeldProduct,
        "node",
        ("collector",),
        0,
        False,
        5,
        4096,
        "What a hand at the bay holds, recognised while it is held, so that a display can confirm it. Not numbered.",
    ),
    Topic(
        "bay_state",
        "shelf/{bay}/state",
        messages.BayState,
        "collector",
        ("display",),
        1,
        True,
        None,
        4096,
        "On-shelf availability, fill and coverage of a bay.",
    ),
    Topic(
        "node_status",
        "node/{node}/status",
        messages.Status,
        "node",
        ("collector",),
        1,
        True,
        None,
        1024,
        "Whether the node is there; its will says offline.",
    ),
    Topic(
        "node_info",
        "node/{node}/info",
        messages.NodeInfo,
        "node",
        ("collector",),
        1,
        True,
        None,
        32_768,
        "The node's birth: versions, models, cameras, slots.",
    ),
    Topic(
        "node_health",
        "node/{node}/health",
        messages.NodeHealth,
        "node",
        ("collector",),
        0,
        False,
        120,
        32_768,
        "Frames, times, memory and outbox, every few seconds.",
    ),
    Topic(
        "node_event",
        "node/{node}/event/{kind}",
        NodeHappening,
        "node",
        ("collector",),
        1,
        False,
        7 * _DAY_S,
        32_768,
        "What an outbox had to give up (overflow) or no longer has (gone); numbered like slot events.",
    ),
    Topic(
        "node_ack",
        "node/{node}/ack",
        messages.Acknowledgement,
        "collector",
        ("node",),
        1,
        True,
        None,
        1024,
        "What the collector has stored for good, cumulative: the node forgets it. Every 0.5 s at most.",
    ),
    Topic(
        "node_resend",
        "node/{node}/cmd/resend",
        messages.ResendCommand,
        "collector",
        ("node",),
        1,
        False,
        60,
        32_768,
        "Sequence numbers the collector misses.",
    ),
    Topic(
        "node_update",
        "node/{node}/cmd/update",
        messages.UpdateCommand,
        "collector",
        ("node",),
        1,
        False,
        60,
        8192,
        "Take the model that is offered, or go back from it. How it went stands in the node's health.",
    ),
    Topic(
        "camera_status",
        "node/{node}/camera/{camera}/status",
        messages.CameraStatus,
        "node",
        ("collector",),
        1,
        True,
        None,
        2048,
        "Whether a camera is of use, and why not.",
    ),
    Topic(
        "display_content",
        "display/{display}/content",
        messages.DisplayContent,
        "collector",
        ("display",),
        1,
        True,
        None,
        16_384,
        "What a display must show.",
    ),
    Topic(
        "alert_state",
        "alert/{alert}/state",
        messages.Alert,
        "collector",
        ("display",),
        1,
        True,
        None,
        8192,
        "An open replenishment alert; an empty payload means solved.",
    ),
    Topic(
        "task_state",
        "task/{task}/state",
        messages.Task,
        "collector",
        ("display",),
        1,
        True,
        None,
        4096,
        "Work for staff, ranked by expected lost sales; an empty payload means it is over.",
    ),
    Topic(
        "gallery_offer",
        "gallery/offer",
        messages.GalleryOffer,
        "collector",
        ("node",),
        1,
        True,
        None,
        2048,
        "The gallery that nodes should recognise products with. Which one they do stands in their health.",
    ),
    Topic(
        "planogram_offer",
        "planogram/{bay}/offer",
        messages.PlanogramOffer,
        "collector",
        ("node",),
        1,
        True,
        None,
        2048,
        "The planogram that the bay's node should use. How it went stands in its health and on the camera's status.",
    ),
    Topic(
        "collector_status",
        "collector/status",
        messages.Status,
        "collector",
        ("node", "display"),
        1,
        True,
        None,
        1024,
        "Whether the collector is there; its will says offline.",
    ),
)

BY_NAME: dict[str, Topic] = {row.name: row for row in CATALOG}

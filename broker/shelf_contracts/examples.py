"""A true message or two for each row of the catalog: shown in the documents, sent through the real code in tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from shelf_contracts import messages, topics
from shelf_contracts.catalog import BY_NAME
from shelf_contracts.envelope import node_source, wrap, wrap_node_event

STORE, BAY, SLOT, NODE, CAMERA, DISPLAY = "nl-ams-001", "a03", "s2-04", "n01", "c1", "d1"
GTIN = "04006381333931"
SESSION = "0192f7a0-6b00-7aaa-8bbb-000000000001"
_NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Example:
    """A message as it would be sent.

    Attributes:
        row: name of its row in the catalog.
        summary: what it says, in a few words.
    """

    row: str
    summary: str
    topic: str
    message: BaseModel


def _example(row: str, summary: str, message: BaseModel, **ids: str) -> Example:
    return Example(row, summary, topics.build(row, store=STORE, **ids), message)


def _after(seconds: float) -> datetime:
    return _NOON + timedelta(seconds=seconds)


def _stock(summary: str, sequence: int, level: messages.StockLevel) -> Example:
    expiry_s = BY_NAME["slot_stock"].expiry_s or 0
    envelope = wrap(
        level, source=node_source(STORE, NODE), bay=BAY, slot=SLOT, sequence=sequence, time=_after(0.22),
        expires=_after(expiry_s),
    )  # fmt: skip
    return _example("slot_stock", summary, envelope, bay=BAY, slot=SLOT)


def _happening(summary: str, sequence: int, event: messages.SlotEvent) -> Example:
    expiry_s = BY_NAME["slot_event"].expiry_s or 0
    envelope = wrap(
        event, source=node_source(STORE, NODE), bay=BAY, slot=SLOT, sequence=sequence, time=_after(4.1),
        expires=_after(expiry_s),
    )  # fmt: skip
    return _example("slot_event", summary, envelope, bay=BAY, slot=SLOT, kind=event.action)


EXAMPLES: tuple[Example, ...] = (
    _stock(
        "two of twelve left",
        4711,
        messages.StockLevel(
            gtin=GTIN, count=2, count_low=2, count_high=3, capacity=12, min=4, level="low", confidence=0.94,
            observed_at=_NOON,
        ),
    ),
    _stock(
        "a hand covers the slot: no count, and why",
        4712,
        messages.StockLevel(
            gtin=GTIN, count=None, capacity=12, min=4, level="unknown", confidence=0.0, reason="occluded",
            observed_at=_after(2),
        ),
    ),
    _stock(
        "something else stands there",
        4712,
        messages.StockLevel(
            gtin=GTIN, count=3, capacity=12, min=4, level="low", confidence=0.9, observed_at=_after(2),
            seen=messages.SeenProduct(
                verdict="known", gtin="08712345678906", confidence=0.97, gallery="5f0c1a2b3c4d", since=_NOON, looks=9
            ),
        ),
    ),
    _stock(
        "nobody enrolled what stands there",
        4712,
        messages.StockLevel(
            gtin=GTIN, count=3, capacity=12, min=4, level="low", confidence=0.9, observed_at=_after(2),
            seen=messages.SeenProduct(
                verdict="unknown", kind="tea", confidence=0.9, gallery="5f0c1a2b3c4d", since=_NOON, looks=41
            ),
        ),
    ),
    _happening(
        "one was taken",
        4713,
        messages.SlotEvent(
            action="pick", quantity=1, gtin=GTIN, count_before=3, count_after=2, confidence=0.88,
            started_at=_after(1.2), ended_at=_after(4), captured_at=_after(3.9),
        ),
    ),
    _happening(
        "a hand came near; a display may react",
        4714,
        messages.SlotEvent(
            action="reach", gtin=GTIN, confidence=0.97, started_at=_after(1.2), ended_at=_after(1.2),
            captured_at=_after(1.2),
        ),
    ),
    _example(
        "bay_held",
        "a hand holds what it took",
        messages.HeldProduct(
            node=NODE, slot=SLOT, side=0.75, captured_at=_after(1.2),
            seen=messages.SeenProduct(
                verdict="known", gtin=GTIN, confidence=0.97, gallery="2" * 12, since=_after(0.9), looks=3
            ),
        ),
        bay=BAY,
    ),
    _example(
        "bay_state",
        "two slots in ten are empty",
        messages.BayState(osa=0.8, fill=0.61, coverage=1.0),
        bay=BAY,
    ),
    _example(
        "bay_state",
        "no slot can be seen: nothing is claimed",
        messages.BayState(osa=None, fill=None, coverage=0.0),
        bay=BAY,
    ),
    _example(
        "node_status",
        "said on every connect",
        messages.Status(state="online", session=SESSION, time=_NOON),
        node=NODE,
    ),
    _example(
        "node_status",
        "the will: the same session, no time",
        messages.Status(state="offline", session=SESSION),
        node=NODE,
    ),
    _example(
        "node_info",
        "the birth of a node with one camera",
        messages.NodeInfo(
            node=NODE, session=SESSION, hardware="Raspberry Pi 5, 8 GB", software="0.1.0",
            models=[
                messages.ModelInfo(
                    role="detector", name="shelf-demo", version="1", sha256="0" * 64, licence="Apache-2.0"
                )
            ],
            cameras=[messages.CameraInfo(id=CAMERA, bay=BAY, slots=24)], capabilities=["count", "events"],
        ),
        node=NODE,
    ),
    _example(
        "node_health",
        "a node at rest",
        messages.NodeHealth(
            node=NODE, session=SESSION, time=_NOON, uptime_s=3600.0, rss_mb=310.5, outbox_messages=0,
            cameras=[
                messages.CameraHealth(
                    id=CAMERA, frames_seen=36_000, frames_dropped=12, fps=10.0, infer_ms=41.5, frame_age_ms=63.0
                )
            ],
            model=messages.ModelHealth(
                name="shelf-demo", version="1", sha256="0" * 64, state="trial", rollout="r-0192f7a0",
            ),
            gallery=messages.GalleryHealth(revision="2" * 64, products=120, photos=410),
            unknown_pictures=messages.UnknownPicturesHealth(places=[f"{BAY}/{SLOT}"]),
        ),
        node=NODE,
    ),
    _example(
        "node_event",
        "a week without a collector: the oldest events were given up, and these levels were replaced by newer ones",
        wrap_node_event(
            messages.NodeEvent(
                action="overflow", numbering="3f2a9c01", lost=[messages.SequenceRange(first=4001, last=4200)],
                superseded=[messages.SequenceRange(first=3900, last=3905)], health=24, text="bound of 256 MiB reached",
            ),
            source=node_source(STORE, NODE), node=NODE, sequence=4714, time=_after(5), numbering="3f2a9c01",
            expires=_after(BY_NAME["node_event"].expiry_s or 0),
        ),
        node=NODE, kind="overflow",
    ),
    _example(
        "node_ack",
        "all up to 4714 is stored",
        messages.Acknowledgement(numbering="3f2a9c01", first=4000, through=4714, time=_after(6)),
        node=NODE,
    ),
    _example(
        "node_resend",
        "two messages did not come",
        messages.ResendCommand(
            args=messages.ResendArguments(
                numbering="3f2a9c01", ranges=[messages.SequenceRange(first=4711, last=4712)]
            ),
            correlation="0192f7a0-7c1e-7cc3-98c4-dc0c0c07398f", expires=_after(60),
        ),
        node=NODE,
    ),
    _example(
        "node_update",
        "a newer detector, signed",
        messages.UpdateCommand(
            args=messages.UpdateArguments(
                action="install",
                rollout="r-0192f7a0",
                offer=messages.ModelOffer(
                    name="shelf-demo", version="2", sha256="0" * 64, manifest_sha256="1" * 64, size_bytes=10_100_000,
                    url="http://collector.store.local:8080/models/shelf-demo-2",
                ),
            ),
            correlation="0192f7a0-7c1e-7cc3-98c4-dc0c0c073990", expires=_after(60),
        ),
        node=NODE,
    ),
    _example(
        "camera_status",
        "somebody pushed the camera",
        messages.CameraStatus(state="moved", bay=BAY, since=_NOON, text="the picture shifted by 4 % of its width"),
        node=NODE, camera=CAMERA,
    ),
    _example(
        "display_content",
        "a hand reaches for one product",
        messages.DisplayContent(
            display=DISPLAY, bay=BAY, revision=17, panels=[messages.DisplayPanel(slot=SLOT, gtin=GTIN, side=0.75)],
            captured_at=_after(1.2),
        ),
        display=DISPLAY,
    ),
    _example(
        "display_content",
        "nobody reaches: the calm page",
        messages.DisplayContent(display=DISPLAY, bay=BAY, revision=18),
        display=DISPLAY,
    ),
    _example(
        "alert_state",
        "a slot runs low",
        messages.Alert(
            alert="a03-s2-04-low", kind="stock_low", severity="warning", subject=f"shelf/{BAY}/slot/{SLOT}", bay=BAY,
            slot=SLOT, gtin=GTIN, opened_at=_NOON, state="open", count=2, suggested_qty=10,
        ),
        alert="a03-s2-04-low",
    ),
    _example(
        "task_state",
        "somebody is on the way with ten pieces",
        messages.Task(
            task="t-118", kind="replenish", state="claimed", bay=BAY, slot=SLOT, gtin=GTIN, detail="stock_out", qty=10,
            created_at=_NOON, claimed_at=_after(60), expected_loss_cents=840, expected_loss_h=2.0,
        ),
        task="t-118",
    ),
    _example(
        "gallery_offer",
        "a product was enrolled",
        messages.GalleryOffer(
            revision="2" * 64, size_bytes=210_000, products=120, photos=410, model_name="shelf-embed",
            model_version="1", model_sha256="0" * 64, at=_NOON,
            url="http://collector.store.local:8080/galleries/" + "2" * 64,
        ),
    ),
    _example(
        "planogram_offer",
        "a bay was set up anew",
        messages.PlanogramOffer(
            bay=BAY, revision=4, sha256="3" * 64, size_bytes=14_200, at=_NOON,
            url="http://collector.store.local:8080/planograms/" + "3" * 64,
        ),
        bay=BAY,
    ),
    _example(
        "collector_status",
        "said on every connect",
        messages.Status(state="online", session=SESSION, time=_NOON),
    ),
)  # fmt: skip

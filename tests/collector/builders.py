"""Small shops and messages for the collector's tests: every value has a default, a test names only what it is about."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shelf_collector.core.inbox import Happening, StockReport
from shelf_contracts import envelope, topics
from shelf_contracts.messages import NodeEvent, SequenceRange, SlotEvent, StockLevel
from shelf_contracts.planogram import Planogram
from shelf_mqtt.session import Received

STORE = "demo"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GTINS = ["09521000137004", "09521000274006", "09521000411005", "09521000548008"]


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def planogram(bay: str = "a01", **changes: Any) -> Planogram:
    """One shelf with four slots s1-01 to s1-04: capacity 6, minimum 2, case pack 4."""
    content = {
        "schema": "smartshelf.planogram.v1",
        "id": f"pg-{bay}",
        "store": STORE,
        "bay": bay,
        "name": "Pasta",
        "width": 800,
        "height": 300,
        "products": [{"id": gtin, "gtin": gtin, "name": f"P{i}", "w": 90, "h": 200} for i, gtin in enumerate(GTINS)],
        "fixtures": [{"id": "s1", "x": 0, "y": 0, "w": 800, "h": 300}],
        "positions": [
            {
                "id": f"s1-0{i + 1}",
                "productId": gtin,
                "fixtureId": "s1",
                "x": 200 * i,
                "y": 100,
                "w": 190,
                "h": 200,
                "facings": {"h": 2, "v": 1, "d": 3},
                "capacity": 6,
                "min_presentation": 2,
                "case_pack": 4,
            }
            for i, gtin in enumerate(GTINS)
        ],
    }
    return Planogram.model_validate({**content, **changes})


def stock_level(count: int | None = 5, *, observed_at: datetime = NOON, **changes: Any) -> StockLevel:
    level = "unknown" if count is None else "out" if count == 0 else "low" if count <= 2 else "ok"
    content = {"count": count, "capacity": 6, "min": 2, "level": level, "confidence": 0.9, "observed_at": observed_at}
    return StockLevel.model_validate({**content, **changes})


def slot_event(action: str = "reach", *, captured_at: datetime = NOON, **changes: Any) -> SlotEvent:
    content = {
        "action": action,
        "confidence": 0.9,
        "started_at": captured_at,
        "ended_at": captured_at,
        "captured_at": captured_at,
    }
    return SlotEvent.model_validate({**content, **changes})


@dataclass
class Node:
    """Numbers its messages as a node does."""

    name: str = "n01"
    bay: str = "a01"
    sequence: int = 0
    numbering: str = ""
    sent: list[StockReport | Happening] = field(default_factory=list)

    @property
    def source(self) -> str:
        return envelope.node_source(STORE, self.name)

    def stock(
        self, slot: str = "s1-01", count: int | None = 5, *, now: datetime = NOON, expires: datetime | None = None,
        retained: bool = False, **changes: Any,
    ) -> StockReport:  # fmt: skip
        data = stock_level(count, **{"observed_at": now, **changes})
        message = self._wrap(data, slot, now, expires)
        assert isinstance(message, envelope.StockLevelEvent)
        report = StockReport(self.bay, slot, self.name, message, retained)
        self.sent.append(report)
        return report

    def event(
        self, action: str = "reach", slot: str = "s1-01", *, now: datetime = NOON, expires: datetime | None = None,
        **changes: Any,
    ) -> Happening:  # fmt: skip
        message = self._wrap(slot_event(action, captured_at=now, **changes), slot, now, expires)
        assert isinstance(message, envelope.SlotHappening)
        happening = Happening(self.bay, slot, self.name, message)
        self.sent.append(happening)
        return happening

    def _wrap(
        self, data: StockLevel | SlotEvent, slot: str, now: datetime, expires: datetime | None
    ) -> envelope.SlotMessage:
        self.sequence += 1
        return envelope.wrap(
            data, source=self.source, bay=self.bay, slot=slot, sequence=self.sequence, time=now, expires=expires,
            numbering=self.numbering,
        )  # fmt: skip

    def gave_up(self, *lost: tuple[int, int], superseded: tuple[tuple[int, int], ...] = ()) -> tuple[str, bytes]:
        """Topic and payload of an overflow event."""
        self.sequence += 1
        ranges = [[SequenceRange(first=a, last=b) for a, b in one] for one in (lost, superseded)]
        event = NodeEvent(action="overflow", numbering=self.numbering, lost=ranges[0], superseded=ranges[1])
        message = envelope.wrap_node_event(
            event, source=self.source, node=self.name, sequence=self.sequence, time=NOON, numbering=self.numbering
        )
        topic = topics.build("node_event", store=STORE, node=self.name, kind="overflow")
        return topic, envelope.encode(message)


def wire(message: StockReport | Happening) -> tuple[str, bytes]:
    """Topic and payload of a message."""
    name = "slot_stock" if isinstance(message, StockReport) else "slot_event"
    ids = {"store": STORE, "bay": message.bay, "slot": message.slot}
    if isinstance(message, Happening):
        ids["kind"] = message.message.data.action
    return topics.build(name, **ids), envelope.encode(message.message)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], object], timeout_s: float = 15.0) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.02)


def newest(heard: list[Received], ending: str) -> Any:
    """The newest content of a topic; ``b""`` when it was cleared, None when nothing came."""
    payload = next((one.payload for one in reversed(heard) if one.topic.endswith(ending)), None)
    return json.loads(payload) if payload else payload

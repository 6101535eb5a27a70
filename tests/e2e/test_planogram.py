"""A planogram saved on the page is in use on the node at once: real broker, real HTTP, real processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shelf_contracts.planogram import Planogram
from tests.e2e.test_enrol import Shop, camera, eventually, shop

__all__ = ["camera", "shop"]
pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CORNERS = [0.2, 0.3, 0.8, 0.3, 0.8, 0.9, 0.2, 0.9]


def node(shop: Shop) -> dict[str, Any]:
    return dict(shop.web.get("/api/v1/state").json()["nodes"][0])


def health(shop: Shop) -> dict[str, Any]:
    """What the node says of its planogram."""
    return dict(node(shop)["planograms"][0])


def of_camera(shop: Shop) -> dict[str, Any]:
    return dict(shop.web.get("/api/v1/state").json()["cameras"][0])


def is_used(shop: Shop, revision: int) -> bool:
    told = health(shop)
    return (told["state"], told["revision"]) == ("settled", revision)


def start_collector(shop: Shop) -> None:
    shop.start("collector", "shelf_collector", "run", "--config", str(shop.folder / "collector.toml"))


def test_from_the_page_to_the_shelf_and_back(shop: Shop) -> None:
    eventually(lambda: is_used(shop, 0))
    plan = Planogram.model_validate_json((shop.folder / "b1.json").read_text())
    (slot,) = plan.positions
    content = plan.model_dump(mode="json", by_alias=True)
    half = content["positions"][0] | {"w": slot.w / 2, "capacity": slot.facings.d, "min_presentation": 1}
    half["facings"] = {"h": 1, "v": 1, "d": slot.facings.d}
    content["positions"] = [half, half | {"id": "s2", "x": slot.w / 2}]
    asked = {"planogram": content, "camera": "c1", "corners": CORNERS, "width": 320, "height": 192}
    saved = shop.web.post("/api/v1/calibrate/save", json=asked, headers=shop.marked)
    assert saved.status_code == 200, saved.text

    # In use without a restart, kept on the node's disk, and what it counts has the new slots.
    eventually(lambda: is_used(shop, 1))
    kept = shop.folder / "state" / "planograms" / "b1.json"
    assert len(json.loads(kept.read_text())["positions"]) == 2
    eventually(lambda: said_slots(shop) >= {"s1", "s2"})

    # One whose slots lie on one another is refused in words, and the last good one goes on.
    shop.stop("collector")
    offered = shop.folder / "state" / "offered-planograms" / "b1.json"
    spoilt = json.loads(offered.read_text())
    spoilt["revision"] = 7
    spoilt["views"][0]["slots"]["s2"] = spoilt["views"][0]["slots"]["s1"]
    offered.write_text(json.dumps(spoilt))
    start_collector(shop)
    eventually(lambda: health(shop)["state"] == "refused")
    assert (health(shop)["revision"], health(shop)["offered"]) == (1, 7)
    eventually(lambda: "planogram revision 7 was refused, 1 stays in use" in of_camera(shop)["text"])
    assert "must be a place of its own" in of_camera(shop)["text"]
    assert of_camera(shop)["state"] == "online"

    # Back to the one before the last, from the page; a node that was restarted keeps to it.
    back = shop.web.post("/api/v1/calibrate/back?bay=b1", headers=shop.marked)
    assert (back.status_code, back.json()["slots"]) == (200, 1), back.text
    eventually(lambda: is_used(shop, 2) and not of_camera(shop)["text"])
    shop.stop("node")
    uptime_s = node(shop)["uptime_s"]
    shop.start_node()
    eventually(lambda: node(shop)["uptime_s"] < uptime_s and is_used(shop, 2))


def said_slots(shop: Shop) -> set[str]:
    """The slots in the books that the node keeps."""
    memory = Path(shop.folder / "state" / "memory.json")
    return set(json.loads(memory.read_text())["bays"]["b1"]["slots"]) if memory.exists() else set()

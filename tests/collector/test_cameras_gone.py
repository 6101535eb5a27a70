"""A camera is online only as long as its node is there and has it."""

from __future__ import annotations

from collections.abc import Callable

from shelf_contracts import envelope, topics
from shelf_contracts.messages import CameraStatus, Status
from tests.collector.builders import NOON, STORE
from tests.collector.conftest import Shop, Web

CAMERA = topics.build("camera_status", store=STORE, node="n01", camera="c1")
NODE = topics.build("node_status", store=STORE, node="n01")
SEEN = CAMERA, envelope.encode(CameraStatus(state="online", bay="a01", since=NOON))


def _presence(state: str) -> tuple[str, bytes]:
    return NODE, envelope.encode(Status.model_validate({"state": state, "session": "one"}))


def _states(shop: Shop) -> list[tuple[str, str, str]]:
    found = Web(shop).get("/api/v1/state").json()["cameras"]
    return [(camera["camera"], camera["state"], camera["text"]) for camera in found]


def test_no_camera_is_online_while_its_node_is_away(shop: Shop) -> None:
    shop.say_raw(_presence("online"), SEEN)
    assert _states(shop) == [("c1", "online", "")]
    shop.say_raw(_presence("offline"))
    assert _states(shop) == [("c1", "offline", "its node is away")]
    shop.say_raw(_presence("online"))
    assert _states(shop) == [("c1", "online", "")]
    shop.wait(16)
    assert _states(shop) == [("c1", "offline", "its node is away")], "a node that fell silent said no goodbye"


def test_open_pages_are_told_of_the_cameras_too(shop: Shop) -> None:
    told: list[tuple[str, str]] = []

    def show(*screens: object) -> None:
        told.extend((one.topic, one.content.state) for one in screens if one.topic.startswith("camera/"))  # type: ignore[attr-defined]

    shop.say_raw(_presence("online"), SEEN)
    shop.hub.show = show  # type: ignore[method-assign]
    shop.say_raw(_presence("offline"))
    assert told == [("camera/n01/c1", "offline")]


def test_a_camera_whose_topic_was_cleared_is_gone_also_after_a_restart(open_shop: Callable[[], Shop]) -> None:
    shop = open_shop()
    other = topics.build("camera_status", store=STORE, node="n01", camera="c2"), SEEN[1]
    shop.say_raw(_presence("online"), SEEN, other)
    shop.say_raw((CAMERA, b""))
    assert _states(shop) == [("c2", "online", "")]
    again = open_shop()
    assert _states(again) == [("c2", "online", "")]
    again.say_raw((CAMERA, b""), (CAMERA.replace(STORE, "elsewhere"), b""))
    assert _states(again) == [("c2", "online", "")]
    assert again.database.set_aside_count() == 0

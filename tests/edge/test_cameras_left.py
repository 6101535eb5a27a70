"""Cameras that a node has no more: said at every start, remembered over restarts, and cleared on a real broker."""

from __future__ import annotations

import threading
from pathlib import Path

from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import start_broker
from shelf_edge.adapters.cameras_file import cameras_left_behind
from shelf_edge.app import run_node
from shelf_edge.config import check_config
from shelf_mqtt.session import MqttSession, Received
from shelf_testing.demo import free_port
from tests.collector.builders import eventually

BOTTLES = Path(__file__).resolve().parents[2] / "examples" / "bottles" / "planogram.json"
TOPIC = "smartshelf/v1/example/node/n01/camera/{}/status"


def test_what_was_there_and_is_no_more(tmp_path: Path) -> None:
    file = tmp_path / "cameras.json"
    assert cameras_left_behind(file, ["c1", "c2"]) == []
    assert cameras_left_behind(file, ["c2"]) == ["c1"]
    assert cameras_left_behind(file, ["c3"]) == ["c1", "c2"], "also who was not heard is told of again"
    assert cameras_left_behind(file, ["c1"]) == ["c2", "c3"]
    file.write_text("{")
    assert cameras_left_behind(file, ["c1"]) == []
    assert cameras_left_behind(file, ["c9"]) == ["c1"]
    assert cameras_left_behind(tmp_path / "no" / "such" / "folder" / "\0", ["c9"]) == []


def test_many_cameras_are_bounded(tmp_path: Path) -> None:
    file = tmp_path / "cameras.json"
    cameras_left_behind(file, [f"a{number:03}" for number in range(250)])
    assert len(cameras_left_behind(file, [f"b{number:03}" for number in range(50)])) == 206
    assert len(cameras_left_behind(file, [f"b{number:03}" for number in range(50)])) == 206


def test_a_node_clears_the_topic_of_a_camera_it_has_no_more(tmp_path: Path) -> None:
    settings = {"kind": "embedded", "port": free_port(), "state": tmp_path / "broker", "ack_wait_s": 1}
    file = tmp_path / "edge.toml"

    def configure(camera: str) -> None:
        file.write_text(
            f'store = "example"\nnode = "n01"\n[broker]\nport = {settings["port"]}\n'
            f'[[cameras]]\nid = "{camera}"\nsource = "http://127.0.0.1:{free_port()}/dead.mjpg"\n'
            f'planogram = "{BOTTLES}"\npurpose = "nothing"\n'
        )

    heard: list[Received] = []

    def newest(camera: str) -> bytes | None:
        return next((one.payload for one in reversed(heard) if one.topic == TOPIC.format(camera)), None)

    with start_broker(BrokerConfig.model_validate(settings)) as broker:
        session = MqttSession(
            broker.address, client_id="listener", persistent=False, on_message=heard.append,
            subscriptions=[(TOPIC.format("+"), 1)],
        )  # fmt: skip
        session.start()
        eventually(lambda: session.is_connected)
        try:
            for camera, is_told in (("c1", lambda: newest("c1")), ("c2", lambda: newest("c1") == b"" and newest("c2"))):
                configure(camera)
                stop = threading.Event()
                node = threading.Thread(target=run_node, args=(check_config(file), stop))
                node.start()
                try:
                    eventually(is_told)
                finally:
                    stop.set()
                    node.join(15)
        finally:
            session.stop()

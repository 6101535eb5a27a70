"""A product is enrolled through the collector, and a node recognises it: real broker, real HTTP, real processes."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import start_broker
from shelf_contracts.gallery import GalleryEntry, Reference, added, read_gallery, without_names, write_gallery
from shelf_testing.demo import free_port
from shelf_testing.gradient_model import draw_products, write_model_folder
from shelf_testing.planograms import one_slot_planogram
from shelf_testing.tap import Tap, picture_signs
from shelf_testing.tiny_recogniser import write_recogniser_folder

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

WANTED, OTHER = "04006381333931", "08712345678906"
ON_THE_SHELF = [(90, 80, 130, 150), (180, 80, 220, 150)]
BROKERS = ["embedded", pytest.param("mosquitto", marks=pytest.mark.long)]


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    picture = draw_products(320, 192, ON_THE_SHELF)
    asked = itertools.count()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            picture[:8, :8] = next(asked) % 50  # a picture that never changes is that of a frozen camera
            raw = cv2.imencode(".png", picture)[1].tobytes()
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")  # nodes look at what it is, not at what it is called
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/picture"
    server.shutdown()
    server.server_close()


@dataclass
class Shop:
    """A collector and a node; the page's own way in, without a browser."""

    folder: Path
    web: httpx.Client
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with (self.folder / "log.txt").open("a") as log:
            started = [sys.executable, "-m", *command]
            self.processes[name] = subprocess.Popen(started, env=environment, stdout=log, stderr=log)

    def stop(self, name: str) -> None:
        self.processes[name].terminate()
        assert self.processes[name].wait(40) == 0

    def start_collector(self) -> None:
        self.start("collector", "shelf_collector", "run", "--config", str(self.folder / "collector.toml"))

    def start_node(self) -> None:
        self.start("node", "shelf_edge", "run", "--config", str(self.folder / "edge.toml"))

    def seen(self) -> dict[str, Any]:
        slot = self.web.get("/api/v1/slots").json()[0]
        return dict(slot["seen"] or {})

    def view(self) -> dict[str, Any]:
        return dict(self.web.get("/api/v1/enrol").json())

    @property
    def marked(self) -> dict[str, str]:
        found = re.search(r'name="mark" value="([0-9a-f]{64})"', self.web.get("/enrol").text)
        assert found
        return {"X-Form-Mark": found[1]}

    def enrol(self, gtin: str, *boxes: tuple[int, int, int, int]) -> dict[str, Any]:
        photo = cv2.imencode(".png", draw_products(320, 192, list(boxes)))[1].tobytes()
        taken = self.web.post("/api/v1/enrol/photos", content=photo, headers=self.marked)
        assert taken.status_code == 200, taken.text
        chosen = {"photo": taken.json()["photo"], "box": taken.json()["proposals"][0]}
        saved = self.web.post("/api/v1/enrol", json={"gtin": gtin, "photos": [chosen]}, headers=self.marked)
        assert saved.status_code == 200, saved.text
        return dict(saved.json())

    def is_live(self, revision: str) -> bool:
        nodes = self.view()["nodes"]
        return bool(nodes) and all(node["is_live"] and node["revision"] == revision for node in nodes)


def eventually(is_true: Callable[[], object], within_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        try:
            if is_true():
                return
        except (httpx.HTTPError, IndexError, KeyError):
            pass
        time.sleep(0.1)
    raise AssertionError("did not come about in time")


@pytest.fixture(params=BROKERS)
def shop(request: pytest.FixtureRequest, tmp_path: Path, camera: str) -> Iterator[Shop]:
    if request.param == "mosquitto" and shutil.which("mosquitto") is None:
        pytest.skip("needs mosquitto")
    mqtt, http = free_port(), free_port()
    write_model_folder(tmp_path / "detector", labels=["product", "person"])
    write_recogniser_folder(tmp_path / "recogniser")
    (tmp_path / "b1.json").write_text(one_slot_planogram().model_dump_json(by_alias=True))
    (tmp_path / "edge.toml").write_text(
        f'store = "test"\nnode = "n01"\n[broker]\nport = {mqtt}\n[model]\npath = "detector"\n'
        f'[recogniser]\nmodel = "recogniser"\n[[cameras]]\nid = "c1"\nsource = "{camera}"\n'
        'planogram = "b1.json"\npurpose = "testing"\n'
    )
    (tmp_path / "collector.toml").write_text(
        f'store = "test"\nplanograms = ["b1.json"]\n[broker]\nport = {mqtt}\n[http]\nport = {http}\n'
        '[enrolment]\nrecogniser = "recogniser"\ndetector = "detector"\n[demo]\nopen_to_this_computer = true\n'
    )
    settings = {"kind": request.param, "port": mqtt, "state": tmp_path / "broker"}
    with (
        start_broker(BrokerConfig.model_validate(settings)),
        httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=60) as web,
    ):
        shop = Shop(tmp_path, web)
        shop.start("collector", "shelf_collector", "run", "--config", str(tmp_path / "collector.toml"))
        shop.start_node()
        try:
            yield shop
        except BaseException:
            sys.stderr.write((tmp_path / "log.txt").read_text()[-6000:])
            raise
        finally:
            for process in shop.processes.values():
                process.terminate()
            codes = {name: process.wait(40) for name, process in shop.processes.items()}
    assert codes == {"collector": 0, "node": 0}, (tmp_path / "log.txt").read_text()[-6000:]


def test_from_the_photo_to_the_shelf_within_a_minute(shop: Shop) -> None:
    # Nobody enrolled anything: the node says so, and the queue tells where to go.
    eventually(lambda: shop.seen()["verdict"] == "unknown")
    item = shop.view()["unknown"][0]
    assert (item["place"]["bay"], item["planned_gtin"]) == ("b1", WANTED)

    # The planned product is enrolled: live on the node, and recognised, within the minute.
    began_s = time.monotonic()
    saved = shop.enrol(WANTED, (120, 40, 180, 145))
    saved_s = time.monotonic()
    eventually(lambda: shop.is_live(saved["revision"]))
    live_s = time.monotonic()
    eventually(lambda: shop.seen()["gtin"] == WANTED)
    seen_s = time.monotonic()
    print(f"saved after {saved_s - began_s:.2f} s, live {live_s - saved_s:.2f} s later, seen {seen_s - saved_s:.2f} s")
    assert shop.seen()["gallery"] == saved["revision"][:12]
    assert shop.view()["unknown"] == []

    # The node dies and comes back without asking anybody: the gallery is on its disk.
    shop.processes["node"].send_signal(signal.SIGKILL)
    shop.processes["node"].wait(10)
    killed_at = datetime.now(UTC)
    shop.start_node()
    # What it said before stands until it is heard again: only a look after its end tells that it sees anew.
    eventually(lambda: shop.seen()["gtin"] == WANTED and datetime.fromisoformat(shop.seen()["since"]) > killed_at, 120)
    assert shop.is_live(saved["revision"])

    # A spoilt file: staff are told, nodes keep what they have, and nothing more can be saved into it.
    file = shop.folder / "state" / "gallery" / "shop.gallery"
    good = file.read_bytes()
    file.write_bytes(good[:-2])
    eventually(lambda: "must be" in shop.view()["problem"])
    assert shop.is_live(saved["revision"])
    file.write_bytes(good)
    eventually(lambda: not shop.view()["problem"])

    # Somebody says that it is another product: the planogram is overruled. No hand brought it: nobody has to fetch it.
    undone = shop.web.post("/api/v1/enrol/undo", json={"enrolment": saved["enrolment"]}, headers=shop.marked)
    assert undone.status_code == 200
    assert "an empty gallery recognises nothing" in undone.json()["problem"]
    assert (shop.is_live(saved["revision"]), shop.seen()["gtin"]) == (True, WANTED), "nodes keep the last gallery"
    other = shop.enrol(OTHER, (120, 40, 180, 145))
    eventually(lambda: shop.is_live(other["revision"]) and shop.seen()["gtin"] == OTHER)
    events = shop.web.get("/api/v1/events").json()["events"]
    assert [event for event in events if event["action"] == "misplaced"] == []
    audit = shop.web.get("/api/v1/audit").json()["sources"]
    assert [one["lost"] for one in audit] == [0]
    assert json.dumps(shop.web.get("/api/v1/nodes").json()).count("recogniser") == 1


def test_a_picture_of_something_unknown_stays_on_its_node_until_it_is_known(shop: Shop) -> None:
    eventually(lambda: shop.seen()["verdict"] == "unknown")
    assert shop.view()["unknown"][0]["picture_on"] is None
    shop.stop("node")
    config = shop.folder / "edge.toml"
    port = int(re.findall(r"port = (\d+)", config.read_text())[0])
    tap = Tap("127.0.0.1", port)
    try:
        listened_to = config.read_text().replace(f"port = {port}", f"port = {tap.port}")
        config.write_text(listened_to + "[unknown_pictures]\nkeep = true\n")
        shop.start_node()
        picture = shop.folder / "state" / "unknown" / "b1.s1.jpg"
        eventually(picture.is_file)
        eventually(lambda: shop.view()["unknown"][0]["picture_on"] == "n01")
        kept = picture.read_bytes()
        assert cv2.imdecode(np.frombuffer(kept, np.uint8), cv2.IMREAD_COLOR) is not None
        assert picture.stat().st_mode & 0o777 == 0o600

        # It is told what it is: the picture is of no use any more.
        saved = shop.enrol(WANTED, (120, 40, 180, 145))
        eventually(lambda: shop.is_live(saved["revision"]) and shop.seen()["gtin"] == WANTED)
        eventually(lambda: not picture.exists())
        assert shop.view()["unknown"] == []
        shop.stop("node")

        said = tap.published()
        assert any(b"unknown_pictures" in one.payload for one in said), "the node says where, and no more"
        for one in said:
            embedding = re.compile(rb'"embedding":"[A-Za-z0-9+/=]*"')
            assert picture_signs(embedding.sub(b"", one.payload)) == [], one.topic
        sent = b"".join(bytes(kept_bytes) for kept_bytes in tap.sent)
        assert b"\xff\xd8\xff" not in sent
        assert kept[200:264] not in sent
    finally:
        tap.close()


def test_enrolments_survive_nodes_that_are_off_and_a_collector_that_is_killed(shop: Shop) -> None:
    eventually(lambda: shop.seen()["verdict"] == "unknown", 120)

    # Enrolled while the node is off: it has it when it starts.
    shop.stop("node")
    first = shop.enrol(WANTED, (120, 40, 180, 145))
    shop.start_node()
    eventually(lambda: shop.is_live(first["revision"]), 120)

    # Killed after it saved an enrolment, before it offered it: it is offered by the next start.
    shop.processes["collector"].send_signal(signal.SIGKILL)
    shop.processes["collector"].wait(10)
    file = shop.folder / "state" / "gallery" / "shop.gallery"
    saved = read_gallery(file)
    at = saved.entries[0].at + timedelta(seconds=1)
    entry = GalleryEntry(gtin=OTHER, photo_sha256="5" * 64, enrolment="e-saved", at=at, by="Anna")
    vector = saved.vector(0)[2:] + saved.vector(0)[:2]  # some other direction
    write_gallery(file, added(saved, [Reference(entry, vector)]))
    shop.start_collector()
    second = without_names(read_gallery(file)).revision
    assert second != first["revision"]
    eventually(lambda: shop.is_live(second), 120)
    assert {product["gtin"] for product in shop.view()["products"]} == {WANTED, OTHER}

    # Of two who take the same enrolment back one is told that there is nothing left to undo; the other's is live.
    answers = [
        shop.web.post("/api/v1/enrol/undo", json={"enrolment": "e-saved"}, headers=shop.marked) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 422]
    assert "nothing to undo" in answers[1].text
    eventually(lambda: shop.is_live(first["revision"]), 120)

"""A new model for two nodes, over a real broker and real HTTP: canary first; and one that is no good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import httpx
import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import start_broker
from shelf_edge.adapters.signatures import make_keys, read_private_key, sign
from shelf_testing.demo import ROOT, free_port
from shelf_testing.gradient_model import draw_products, write_model_folder
from shelf_testing.planograms import one_slot_planogram

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODES = ("n01", "n02")


@dataclass
class Shop:
    folder: Path
    web: str
    key: Path

    def nodes(self) -> dict[str, dict[str, Any]]:
        return {node["node"]: node for node in httpx.get(f"{self.web}/api/v1/nodes", timeout=5).json()}

    def versions(self) -> dict[str, str]:
        return {name: (node["model"] or {}).get("version", "") for name, node in self.nodes().items()}

    def rollout(self) -> dict[str, Any]:
        rollout: dict[str, Any] = httpx.get(f"{self.web}/api/v1/rollouts", timeout=5).json()["rollout"] or {}
        return rollout

    def model(self, version: str, *, finds_its_golden_box: bool = True) -> None:
        folder = self.folder / "models" / f"gradient-{version}"
        write_model_folder(folder, version=version)
        manifest = json.loads((folder / "manifest.json").read_text())
        if not finds_its_golden_box:
            manifest["golden"]["boxes"][0]["box"] = [0.5, 0.5, 0.9, 0.9]
        manifest["signature"] = sign(manifest, read_private_key(self.key)).model_dump()
        (folder / "manifest.json").write_text(json.dumps(manifest))

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "smartshelf.py"), "collector", "rollout", *arguments]
        return subprocess.run(
            [*command, "--config", str(self.folder / "collector.toml")], capture_output=True, text=True, timeout=60
        )


def eventually(is_true: Callable[[], object], within_s: float = 40.0) -> None:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        try:
            if is_true():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("did not come about in time")


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    """Answers each request with a picture of two products."""
    raw = cv2.imencode(".png", draw_products(320, 192, [(90, 80, 130, 150), (180, 80, 220, 150)]))[1].tobytes()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
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


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, camera: str) -> Iterator[Shop]:
    tmp_path = tmp_path_factory.mktemp("shop")
    key, public = make_keys(tmp_path / "keys", "shop")
    mqtt, http = free_port(), free_port()
    shop = Shop(tmp_path, f"http://127.0.0.1:{http}", key)
    shop.model("1.0")
    plans = []
    for number, node in enumerate(NODES, start=1):
        plan = one_slot_planogram().model_copy(update={"bay": f"b{number}", "id": f"pg-{number}"})
        (tmp_path / f"{node}.json").write_text(plan.model_dump_json(by_alias=True))
        plans.append(f"{node}.json")
        (tmp_path / f"{node}.toml").write_text(
            f"""
store = "test"
node = "{node}"
state = "state-{node}"
[broker]
port = {mqtt}
[model]
path = "models/gradient-1.0"
trusted_keys = ["{public.read_text().strip()}"]
require_signature = true
updates = true
trial_s = 1.0
[[cameras]]
id = "c1"
source = "{camera}"
planogram = "{node}.json"
purpose = "testing"
"""
        )
    (tmp_path / "collector.toml").write_text(
        f'store = "test"\nplanograms = {json.dumps(plans)}\n[broker]\nport = {mqtt}\n[http]\nport = {http}\n'
        '[models]\nfolder = "models"\n[demo]\nopen_to_this_computer = true\n'
    )
    processes = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    broker = BrokerConfig.model_validate({"kind": "embedded", "port": mqtt, "state": tmp_path / "broker"})
    with start_broker(broker), (tmp_path / "log.txt").open("w") as log:
        commands = [["shelf_collector", "run", "--config", str(tmp_path / "collector.toml")]]
        commands += [["shelf_edge", "run", "--config", str(tmp_path / f"{node}.toml")] for node in NODES]
        for command in commands:
            started = [sys.executable, "-m", *command]
            processes.append(subprocess.Popen(started, env=environment, stdout=log, stderr=log))
        try:
            eventually(lambda: shop.versions() == dict.fromkeys(NODES, "1.0"))
            yield shop
        except BaseException:
            log.flush()
            sys.stderr.write((tmp_path / "log.txt").read_text()[-6000:])
            raise
        finally:
            for process in processes:
                process.terminate()
            codes = [process.wait(15) for process in processes]
    assert codes == [0, 0, 0]


def test_canary_first_then_the_rest_and_a_bad_one_nowhere(shop: Shop) -> None:
    shop.model("1.1")
    seen: list[dict[str, str]] = []
    begun = shop.ask("gradient-1.1", "--canary", "n02", "--healthy-s", "2")
    assert begun.returncode == 0, begun.stderr
    assert "canary n02" in begun.stdout

    def is_done() -> bool:
        seen.append(shop.versions())
        return shop.rollout()["stage"] == "done"

    eventually(is_done)
    assert {"n01": "1.0", "n02": "1.1"} in seen, "the canary must have been alone with it"
    assert {"n01": "1.1", "n02": "1.0"} not in seen
    assert shop.versions() == dict.fromkeys(NODES, "1.1")
    birth = shop.nodes()["n01"]["models"][0]
    assert birth["version"] == "1.1"

    shop.model("1.2", finds_its_golden_box=False)
    assert shop.ask("gradient-1.2", "--canary", "n01").returncode == 0
    eventually(lambda: shop.rollout()["stage"] == "rolled-back")
    assert "n01: refused" in shop.rollout()["text"]
    assert shop.versions() == dict.fromkeys(NODES, "1.1")

    source = httpx.get(f"{shop.web}/api/v1/audit", timeout=5).json()["sources"]
    assert [one["lost"] for one in source] == [0, 0]
    assert all(node["is_present"] for node in shop.nodes().values())


def test_what_cannot_be_offered_is_said(shop: Shop) -> None:
    unknown = shop.ask("other")
    assert (unknown.returncode, "must be one of: gradient-1.0" in unknown.stderr) == (2, True)
    assert shop.ask("gradient-1.0", "--canary", "n09").returncode == 2
    assert httpx.get(f"{shop.web}/models/gradient-1.0/manifest.json", timeout=5).status_code == 200
    for path in ("/models/gradient-1.0/..%2F..%2Fcollector.toml", "/models/..%2F/collector.toml", "/models/x/y"):
        assert httpx.get(shop.web + path, timeout=5).status_code == 404

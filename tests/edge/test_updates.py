"""A node whose model changes while it looks at frames."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from shelf_contracts.errors import FileProblems
from shelf_contracts.messages import ModelInfo, ModelOffer, UpdateArguments, UpdateCommand
from shelf_edge.adapters.clock import SystemClock
from shelf_edge.adapters.detector_onnx import OnnxDetector, load_detector
from shelf_edge.adapters.model_fetch import fetch_model
from shelf_edge.adapters.model_folder import sha256_of
from shelf_edge.adapters.model_store import ModelStore
from shelf_edge.adapters.signatures import Trust, make_keys
from shelf_edge.core.detections import Detections
from shelf_edge.detector_switch import DetectorSwitch
from shelf_edge.updates import ModelUpdates
from shelf_testing.gradient_model import write_model_folder
from shelf_testing.tiny_recogniser import write_recogniser_folder
from tests.edge.test_model_store import sign_folder

FRAME = np.zeros((192, 320, 3), np.uint8)


@dataclass
class FakeDetector:
    """Counts its looks; fails or is slow when told."""

    name: str
    looks: int = 0
    fails: bool = False
    clock: FakeClock | None = None
    look_s: float = 0.0

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(role="detector", name=self.name, version="1", sha256="0" * 64, licence="x")

    def detect(self, image: np.ndarray) -> Detections:
        self.looks += 1
        if self.clock is not None:
            self.clock.monotonic += self.look_s
        if self.fails:
            raise RuntimeError("no memory")
        return Detections.none()


@dataclass
class FakeClock:
    monotonic: float = 0.0

    def now_s(self) -> float:
        return self.monotonic

    def monotonic_s(self) -> float:
        return self.monotonic


def test_a_new_detector_that_fails_gives_way_on_the_same_frame() -> None:
    old, new = FakeDetector("old"), FakeDetector("new", fails=True)
    switch = DetectorSwitch(old, FakeClock(), 1000)
    switch.change(new, on_trial=True)
    switch.detect(FRAME)
    assert (old.looks, new.looks, switch.info.name) == (1, 1, "old")
    assert switch.failure == "RuntimeError: no memory"


def test_a_new_detector_that_is_slow_gives_way_after_a_few_looks() -> None:
    clock = FakeClock()
    switch = DetectorSwitch(FakeDetector("old"), clock, 1000)
    switch.change(FakeDetector("new", clock=clock, look_s=1.5), on_trial=True)
    for _ in range(6):
        switch.detect(FRAME)
    assert switch.info.name == "old"
    assert "1500 ms" in switch.failure


def test_a_settled_detector_that_fails_is_the_pipelines_matter() -> None:
    switch = DetectorSwitch(FakeDetector("old"), FakeClock(), 1000)
    switch.change(FakeDetector("new", fails=True), on_trial=True)
    switch.settle()
    with pytest.raises(RuntimeError):
        switch.detect(FRAME)


@dataclass
class Node:
    """The updating part of a node, its frames given by hand."""

    switch: DetectorSwitch
    updates: ModelUpdates
    store: ModelStore
    said: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        return self.updates.health().state


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Shop:
    folder: Path
    key: Path
    trust: Trust
    url: str

    def model(self, version: str, *, signed: bool = True) -> ModelOffer:
        folder = self.folder / "models" / version
        manifest = write_model_folder(folder, version=version)
        if signed:
            sign_folder(folder, self.key)
        return ModelOffer(
            name=manifest.name, version=version, sha256=manifest.sha256,
            manifest_sha256=sha256_of(folder / "manifest.json"),
            size_bytes=sum(file.stat().st_size for file in folder.iterdir()), url=f"{self.url}/{version}",
        )  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    key, public = make_keys(tmp_path / "keys", "shop")
    (tmp_path / "models").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "models")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    trust = Trust((public.read_text().strip(),), require=True)
    yield Shop(tmp_path, key, trust, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


@pytest.fixture
def start_node(shop: Shop) -> Iterator[Callable[..., Node]]:
    started: list[ModelUpdates] = []

    def start(*, trial_s: float = 0.2, accepts_orders: bool = True) -> Node:
        shop.model("1.0")

        def load(path: Path) -> OnnxDetector:
            return load_detector(path, trust=shop.trust)

        def self_test(path: Path) -> None:
            load(path)

        store = ModelStore(shop.folder / "store", shop.folder / "models" / "1.0", shop.trust, self_test)
        switch = DetectorSwitch(load(store.start()), SystemClock(), 60_000)
        said: list[str] = []
        updates = ModelUpdates(
            store, switch, load, fetch_model, SystemClock(), incoming=shop.folder / "store" / "fetched",
            trial_s=trial_s, accepts_orders=accepts_orders, is_pipeline_down=lambda: False,
            on_change=lambda: said.append(updates.health().state),
        )  # fmt: skip
        updates.start()
        started.append(updates)
        return Node(switch, updates, store, said)

    yield start
    for updates in started:
        updates.stop(5)


def order(offer: ModelOffer, action: str = "install", rollout: str = "r1", expires_s: float = 60) -> UpdateCommand:
    return UpdateCommand(
        args=UpdateArguments(action=action, rollout=rollout, offer=offer),  # type: ignore[arg-type]
        correlation="1",
        expires=datetime.now(UTC) + timedelta(seconds=expires_s),
    )


def until(is_true: Callable[[], object], node: Node) -> None:
    """Frames keep coming until it is true."""
    for _ in range(2000):
        if is_true():
            return
        node.switch.detect(FRAME)
        threading.Event().wait(0.005)
    raise AssertionError((node.state, node.updates.health().text, node.said))


def test_a_model_is_fetched_switched_watched_and_settles(shop: Shop, start_node: Callable[..., Node]) -> None:
    node = start_node()
    node.updates.take(order(shop.model("1.1")))
    until(lambda: node.state == "settled" and node.switch.info.version == "1.1", node)
    assert node.said == ["fetching", "trial", "settled"]
    assert not node.store.pointer.on_trial
    assert not (shop.folder / "store" / "fetched").exists()


def test_a_model_that_fails_on_trial_is_left_and_not_taken_again(shop: Shop, start_node: Callable[..., Node]) -> None:
    node = start_node(trial_s=60)
    offer = shop.model("1.1")
    node.updates.take(order(offer))
    until(lambda: node.state == "trial", node)
    node.switch._current = FakeDetector("broken", fails=True)
    until(lambda: node.state == "rolled-back", node)
    assert node.switch.info.version == "1.0"
    assert node.store.pointer.failed == [offer.sha256]
    node.updates.take(order(offer, rollout="r2"))
    until(lambda: node.state == "refused", node)


def test_the_collector_takes_a_model_back(shop: Shop, start_node: Callable[..., Node]) -> None:
    node = start_node()
    offer = shop.model("1.1")
    node.updates.take(order(offer))
    until(lambda: node.state == "settled" and node.switch.info.version == "1.1", node)
    node.updates.take(order(offer, "rollback"))
    until(lambda: node.state == "rolled-back", node)
    assert node.switch.info.version == "1.0"


def test_the_command_line_changes_a_running_node(shop: Shop, start_node: Callable[..., Node]) -> None:
    node = start_node()
    shop.model("1.1")
    node.store.promote(shop.folder / "models" / "1.1")
    until(lambda: node.switch.info.version == "1.1" and node.state == "settled", node)
    node.store.roll_back("staff")
    until(lambda: node.switch.info.version == "1.0", node)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sha256": "0" * 64, "manifest_sha256": "0" * 64}, "sha256"),
        ({"size_bytes": 500}, "more than offered"),
        ({"url": "http://127.0.0.1:9/models"}, "must be there"),
    ],
)
def test_what_is_not_as_offered_is_refused(
    change: dict[str, object], told: str, shop: Shop, start_node: Callable[..., Node]
) -> None:
    node = start_node()
    node.updates.take(order(shop.model("1.1").model_copy(update=change)))
    until(lambda: node.state == "refused", node)
    assert told in node.updates.health().text
    assert node.switch.info.version == "1.0"


def test_unsigned_older_and_unwanted_models_are_refused(shop: Shop, start_node: Callable[..., Node]) -> None:
    node = start_node()
    for number, (version, signed, told) in enumerate((("1.1", False, "signature"), ("0.9", True, "older"))):
        node.updates.take(order(shop.model(version, signed=signed), rollout=f"r{number}"))
        until(lambda told=told: told in node.updates.health().text, node)  # type: ignore[misc]
        assert (node.state, node.switch.info.version) == ("refused", "1.0")


def test_a_recogniser_is_no_detector(shop: Shop, start_node: Callable[..., Node]) -> None:
    folder = shop.folder / "models" / "eyes"
    manifest = json.loads(write_recogniser_folder(folder).model_dump_json(by_alias=True))
    vector = [0.0] * manifest["embedding"]["dimension"]
    manifest["embedding"]["golden"] = {"picture": "golden.png", "sha256": "0" * 64, "vector": vector}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    sign_folder(folder, shop.key)
    offer = shop.model("1.1").model_copy(
        update={"url": f"{shop.url}/eyes", "manifest_sha256": sha256_of(folder / "manifest.json")}
    )
    node = start_node()
    node.updates.take(order(offer))
    until(lambda: node.state == "refused", node)
    assert "must be detector" in node.updates.health().text


def test_a_node_that_takes_no_updates_says_so(shop: Shop, start_node: Callable[..., Node]) -> None:
    node = start_node(accepts_orders=False)
    node.updates.take(order(shop.model("1.1")))
    until(lambda: node.state == "refused", node)
    assert "updates is false" in node.updates.health().text


def test_yesterdays_order_is_not_carried_out(shop: Shop, start_node: Callable[..., Node]) -> None:
    node = start_node()
    node.updates.take(order(shop.model("1.1"), expires_s=-1))
    assert node.updates.counters.ignored == 1


def test_a_fetch_that_is_stopped_leaves_nothing(shop: Shop) -> None:
    with pytest.raises(FileProblems, match="stopped"):
        fetch_model(shop.model("1.1"), shop.folder / "fetched", lambda: True)
    assert not (shop.folder / "fetched").exists()

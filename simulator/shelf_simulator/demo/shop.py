"""The demo shop's files and processes: one bay or several, one node, a broker, the collector."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shelf_contracts.shipped import demo_shop_folder
from shelf_simulator.demo.children import ChildSpec

STORE = "demo"
NODE = "n01"
HOST = "127.0.0.1"
PREFERRED_WEB_PORT = 8080
LARGEST_BAYS = 8


@dataclass(frozen=True)
class Ports:
    """Where the demo's servers listen, all on the loopback."""

    broker: int
    cameras: int
    preview: int
    web: int


_SCORE_THRESHOLD = 0.3


@dataclass(frozen=True)
class Shop:
    """One demo run.

    Attributes:
        folder: everything it writes, logs included.
        bays: ids, a01 and up.
        broker: embedded or mosquitto.
    """

    folder: Path
    bays: tuple[str, ...]
    seed: int
    fps: int
    scenario: str
    broker: str
    ports: Ports
    recognises: bool = False
    """Whether the shop's packs are enrolled, and the node says which product stands where."""

    @property
    def web(self) -> str:
        return f"http://{HOST}:{self.ports.web}"

    def camera_health(self) -> str:
        return f"http://{HOST}:{self.ports.cameras}/health"

    @property
    def truth_folder(self) -> Path:
        return self.folder / "shop"

    # The processes, in the order in which they are started

    def broker_process(self) -> ChildSpec:
        state = self.folder / "broker"
        return ChildSpec(
            "broker",
            "shelf_broker",
            ["run", "--kind", self.broker, "--port", str(self.ports.broker), "--state", str(state)],
        )

    def simulator_process(self) -> ChildSpec:
        return ChildSpec(
            "simulator",
            "shelf_simulator",
            [
                "serve", "--bays", str(len(self.bays)), "--seed", str(self.seed), "--port", str(self.ports.cameras),
                "--out", str(self.truth_folder), "--fps", str(self.fps), "--scenario", self.scenario,
            ],
            stop_s=2.0,
        )  # fmt: skip

    def collector_process(self) -> ChildSpec:
        return ChildSpec("collector", "shelf_collector", ["run", "--config", str(self.folder / "collector.toml")])

    def edge_process(self) -> ChildSpec:
        return ChildSpec("edge", "shelf_edge", ["run", "--config", str(self.folder / "edge.toml")], stop_s=7.0)

    def enrol_process(self) -> ChildSpec:
        arguments = ["enrol", "--from", str(self.packs_folder), "--gallery", str(self.gallery), "--by", "demo"]
        arguments.append("--keep-thumbnails")
        return ChildSpec("enrol", "shelf_models", arguments)

    @property
    def gallery(self) -> Path:
        """The collector's, into which the packs are enrolled."""
        return self.folder / "collector" / "gallery" / "shop.gallery"

    @property
    def packs_folder(self) -> Path:
        """Pictures of the packs, by GTIN."""
        return self.folder / "packs"

    def write_configs(self) -> None:
        """The collector's and the node's files; the planograms are written by the simulator."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "collector.toml").write_text(self._collector_toml(), encoding="utf-8")
        (self.folder / "products.json").write_text(fresh_products(datetime.now(UTC)), encoding="utf-8")
        (self.folder / "edge.toml").write_text(self._edge_toml(), encoding="utf-8")

    def _collector_toml(self) -> str:
        planograms = ", ".join(f'"shop/planogram-{bay}.json"' for bay in self.bays)
        previews = "\n".join(f'{bay} = "http://{HOST}:{self.ports.preview}/{bay}.mjpg"' for bay in self.bays)
        return f"""\
store = "{STORE}"
store_name = "Smartshelf demo"
state = "collector"
planograms = [{planograms}]
products = ["products.json"]

[broker]
host = "{HOST}"
port = {self.ports.broker}

[http]
host = "{HOST}"
port = {self.ports.web}

[shop]
latitude = 52.37
longitude = 4.9

[rules]
low_dwell_s = 4
out_dwell_s = 2
clear_dwell_s = 2

[tasks]
least_watched_hours = 0.02
trouble_seconds = 20

[enrolment]
keep_thumbnails = true

[demo]
open_to_this_computer = true

[demo.camera_previews]
{previews}
"""

    def _edge_toml(self) -> str:
        head = f"""\
store = "{STORE}"
node = "{NODE}"
state = "edge"

[broker]
host = "{HOST}"
port = {self.ports.broker}

[model]
# What stands in no slot is left out, so that a shelf camera may listen to less certain boxes than a photo may.
score_threshold = {_SCORE_THRESHOLD}

[preview]
port = {self.ports.preview}
"""
        head += "\n[recogniser]\n" if self.recognises else ""
        cameras = "".join(
            f"""
[[cameras]]
id = "c-{bay}"
source = "http://{HOST}:{self.ports.cameras}/{bay}.mjpg"
planogram = "shop/planogram-{bay}.json"
purpose = "demonstration with a simulated camera"
"""
            for bay in self.bays
        )
        return head + cameras


_WRITTEN_ON = datetime(2026, 11, 22, tzinfo=UTC)
"""When the shipped products were written: their offers lie around this day."""


def fresh_products(now: datetime) -> str:
    """The shipped products as JSON with offers, price histories and checks of allergens as old as they were then."""
    later = now.replace(hour=0, minute=0, second=0, microsecond=0) - _WRITTEN_ON
    content = json.loads((demo_shop_folder() / "products.json").read_text(encoding="utf-8"))

    def shifted(text: str) -> str:
        return (datetime.fromisoformat(text) + later).strftime("%Y-%m-%dT%H:%M:%SZ")

    for product in content["products"]:
        for step in product.get("price_history", []):
            step["since"] = shifted(step["since"])
        promotion = product.get("promotion")
        if promotion:
            promotion.update({name: shifted(promotion[name]) for name in ("starts_at", "ends_at")})
        if product.get("allergens"):
            checked = datetime.fromisoformat(product["allergens"]["verified_on"]) + later
            product["allergens"]["verified_on"] = checked.date().isoformat()
    return json.dumps(content, ensure_ascii=False, indent=1)


def free_ports(web_port: int | None) -> Ports:
    """Ports nobody listens on; the pages' is the one wished for, else 8080, else any.

    Raises: OSError when the port wished for is taken.
    """
    if web_port is not None:
        with socket.create_server((HOST, web_port)):
            pass
    holders = [socket.create_server((HOST, 0)) for _ in range(4)]
    try:
        broker, cameras, preview, other = (int(holder.getsockname()[1]) for holder in holders)
    finally:
        for holder in holders:
            holder.close()
    return Ports(broker, cameras, preview, web_port or _preferred_or(other))


def _preferred_or(other: int) -> int:
    try:
        with socket.create_server((HOST, PREFERRED_WEB_PORT)):
            return PREFERRED_WEB_PORT
    except OSError:
        return other

"""The rehearsal's files and processes: a broker, a collector, and nodes that invent events."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path

from shelf_simulator.demo.children import ChildSpec

STORE = "chaos"
HOST = "127.0.0.1"
SLOTS = tuple(f"s1-{number:02}" for number in range(1, 9))
_STOP_S = 10.0


@dataclass(frozen=True)
class ChaosShop:
    """One rehearsal. Node ``n01`` speaks of bay ``a01``, and so on."""

    folder: Path
    nodes: int
    rate_per_s: float
    seed: int
    broker_kind: str
    broker_port: int
    web_port: int

    @property
    def node_names(self) -> tuple[str, ...]:
        return tuple(f"n{number:02}" for number in range(1, self.nodes + 1))

    @property
    def database(self) -> Path:
        return self.folder / "collector" / "collector.sqlite3"

    @property
    def broker_state(self) -> Path:
        return self.folder / "broker"

    @property
    def web(self) -> str:
        return f"http://{HOST}:{self.web_port}"

    def node_folder(self, node: str) -> Path:
        return self.folder / node

    def control(self, whom: str) -> Path:
        return self.folder / whom / "control"

    def broker_process(self) -> ChildSpec:
        arguments = ["run", "--kind", self.broker_kind, "--port", str(self.broker_port), "--state"]
        return ChildSpec("broker", "shelf_broker", [*arguments, str(self.broker_state)], stop_s=_STOP_S)

    def collector_process(self) -> ChildSpec:
        clock = self.control("collector") / "clock"
        arguments = ["run", "--config", str(self.folder / "collector.toml"), "--clock-file", str(clock)]
        return ChildSpec("collector", "shelf_collector", arguments, stop_s=_STOP_S)

    def node_process(self, node: str, port: int) -> ChildSpec:
        arguments = [
            "rehearse", "--store", STORE, "--node", node, "--bay", bay_of(node), "--slots", ",".join(SLOTS),
            "--port", str(port), "--folder", str(self.node_folder(node)), "--rate", str(self.rate_per_s),
            "--seed", str(self.seed),
        ]  # fmt: skip
        return ChildSpec(node, "shelf_edge", arguments, stop_s=_STOP_S)

    def write_files(self, collector_port: int) -> None:
        """The collector's configuration and planograms, and the folders others write into."""
        for whom in (*self.node_names, "collector"):
            self.control(whom).mkdir(parents=True, exist_ok=True)
        bays = [bay_of(node) for node in self.node_names]
        for bay in bays:
            (self.folder / f"planogram-{bay}.json").write_text(json.dumps(_planogram(bay)), encoding="utf-8")
        planograms = ", ".join(f'"planogram-{bay}.json"' for bay in bays)
        (self.folder / "collector.toml").write_text(
            f'store = "{STORE}"\nstate = "collector"\nplanograms = [{planograms}]\n'
            f'[broker]\nhost = "{HOST}"\nport = {collector_port}\n[http]\nhost = "{HOST}"\nport = {self.web_port}\n',
            encoding="utf-8",
        )


def bay_of(node: str) -> str:
    """The bay a node speaks of.

    >>> bay_of("n01")
    'a01'
    """
    return f"a{node[1:]}"


def two_free_ports() -> tuple[int, int]:
    """Ports of this computer that nobody listens on now."""
    holders = [socket.create_server((HOST, 0)) for _ in range(2)]
    try:
        first, second = (int(holder.getsockname()[1]) for holder in holders)
    finally:
        for holder in holders:
            holder.close()
    return first, second


def _planogram(bay: str) -> dict[str, object]:
    width = 100 * len(SLOTS)
    return {
        "schema": "smartshelf.planogram.v1",
        "id": f"pg-{bay}",
        "store": STORE,
        "bay": bay,
        "width": width,
        "height": 300,
        "products": [{"id": "p", "name": "Rehearsal", "w": 90, "h": 200}],
        "fixtures": [{"id": "s1", "x": 0, "y": 0, "w": width, "h": 300}],
        "positions": [
            {"id": slot, "productId": "p", "fixtureId": "s1", "x": 100 * index, "y": 100, "w": 90, "h": 200,
             "facings": {"h": 2, "v": 1, "d": 6}, "capacity": 12, "min_presentation": 2}
            for index, slot in enumerate(SLOTS)
        ],
    }  # fmt: skip

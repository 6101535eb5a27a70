"""A shop of three computers on one network: the node, the store's server, and somebody who should not be there.

The node, the collector, the enrolment and the broker are started by their own commands. What the attacker may not do is
checked by what arrives at a reader of everything, by what lies on the broker's disk, and by what crossed the wire.
``pytest -s`` prints the figures of docs/security.md.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.errors import BrokerMissing
from shelf_broker.launcher import find_program
from shelf_broker.pki.office import RegistryOffice
from shelf_contracts.shipped import demo_shop_folder
from shelf_mqtt.address import CA_FILE, DEVICE_FILE
from shelf_testing.network import Network, open_network, why_there_is_no_network
from shelf_testing.pki import enrol_here, new_office

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

STORE = "demo"
ROOT = f"smartshelf/v1/{STORE}"
PORT = 8883
DEVICE_LIFE_S = 120
"""So short that node and collector have to renew their certificates while the tests run."""
GENUINE, FORGED = "GENUINE", "FORGED"


@dataclass
class Shop:
    """The running shop: its network, its files, and the commands a person would type on each computer."""

    network: Network
    folder: Path
    kind: str
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def server(self) -> str:
        return self.network.addresses["server"]

    @property
    def etc(self) -> Path:
        return self.folder / "etc"

    def pki(self, *arguments: str) -> str:
        return self.network.run("server", "shelf_broker.pki.cli", *arguments, "--folder", str(self.etc / "pki"))

    def enrol(self, host: str, device: str, role: str, *bays: str) -> Path:
        token = RegistryOffice(self.etc / "pki").issue_token(device, role, bays)
        self.network.run(host, "shelf_broker.pki.cli", "enrol", str(token), "--into", str(self.folder / device))
        return self.folder / device

    def attack(self, *arguments: str) -> Any:
        return json.loads(self.network.run("attacker", "shelf_testing.attacker", *arguments, timeout_s=120))

    def try_everything(self, *arguments: str) -> list[dict[str, Any]]:
        attempts: list[dict[str, Any]] = self.attack("try", self.server, str(PORT), STORE, *arguments)
        for name, more in [
            ("connections tried", len(attempts)),
            ("connections made", sum(one["connected"] for one in attempts)),
            ("forged messages that looked acknowledged", sum(one["acked"] for one in attempts)),
        ]:
            self.figures[name] = self.figures.get(name, 0) + more
        return attempts

    def seen(self) -> list[tuple[str, str]]:
        """What the reader of everything has had so far: topics and payloads."""
        lines = (self.folder / "seen.jsonl").read_text().splitlines()
        return [tuple(json.loads(line)) for line in lines]  # type: ignore[misc]

    def forged(self) -> list[tuple[str, str]]:
        return [one for one in self.seen() if FORGED in one[1]]

    def on_disk(self, word: str) -> list[str]:
        """The broker's files that hold a word; Mosquitto writes its own every second."""
        time.sleep(1.5)
        folder = self.etc / "broker"
        found = []
        for file in folder.rglob("*"):
            if file.is_file() and file.name != "broker.log" and word.encode() in file.read_bytes():
                found.append(str(file.relative_to(folder)))
        return found

    def api(self, path: str) -> Any:
        code = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080{path}', timeout=5).read().decode())"
        return json.loads(self.network.run("server", "shelf_testing.run_code", code))


def eventually(is_true: Callable[[], object], within_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline_s, "did not come about in time"
        time.sleep(0.1)


def answers(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except AssertionError:
        return None


@pytest.fixture(scope="module", params=["mosquitto", "embedded"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    reason = why_there_is_no_network()
    if reason is not None:
        pytest.skip(reason)
    try:
        find_program(BrokerConfig(kind=request.param))
    except BrokerMissing as missing:
        pytest.skip(str(missing))
    with open_network("server", "node", "attacker") as network:
        shop = _open(network, tmp_path_factory.mktemp("shop"), request.param)
        yield shop
        print(
            "\n" + json.dumps({"broker": shop.kind, **shop.figures, "forged messages that arrived": len(shop.forged())})
        )


def _open(network: Network, folder: Path, kind: str) -> Shop:
    shop = Shop(network, folder, kind)
    network.start(network.switch, "shelf_testing.sniffer", log=folder / "wire.log")
    network.run(
        "server", "shelf_broker.pki.cli", "init", "--store", STORE, "--host", shop.server, "--folder",
        str(shop.etc / "pki"), "--device-days", str(DEVICE_LIFE_S / 86_400),
    )  # fmt: skip
    network.run(
        "server", "shelf_broker", "init", "--profile", "production", "--kind", kind, "--store", STORE,
        "--host", shop.server, "--into", str(shop.etc),
    )  # fmt: skip
    network.start("server", "shelf_broker", "run", "--config", str(shop.etc / "broker.toml"), log=folder / "broker.log")
    network.start("server", "shelf_broker.pki.cli", "serve", "--folder", str(shop.etc / "pki"), log=folder / "pki.log")
    eventually(lambda: "enrolment ready" in (folder / "pki.log").read_text())
    eventually(lambda: "broker ready" in (folder / "broker.log").read_text())

    shop.enrol("server", "eye", "observer")
    network.start("server", "shelf_testing.listener", shop.server, str(PORT), STORE, str(folder / "eye"),
                  str(folder / "seen.jsonl"), log=folder / "eye.log")  # fmt: skip
    network.start("node", "shelf_simulator", "serve", "--bays", "1", "--seed", "7", "--port", "8090", "--fps", "5",
                  "--out", str(folder / "shop"), log=folder / "simulator.log")  # fmt: skip
    eventually(lambda: (folder / "shop" / "planogram-a01.json").exists())
    shop.enrol("server", "collector", "collector")
    shop.enrol("node", "n01", "node", "a01")
    broker = f'[broker]\nhost = "{shop.server}"\nport = {PORT}\n'
    (folder / "collector.toml").write_text(
        f'store = "{STORE}"\nstore_name = "Two hosts"\nstate = "collector-state"\n'
        f'planograms = ["shop/planogram-a01.json"]\nproducts = ["{demo_shop_folder() / "products.json"}"]\n'
        f'{broker}identity = "collector"\n[http]\nhost = "127.0.0.1"\nport = 8080\n'
        "[demo]\nopen_to_this_computer = true\n"
    )
    (folder / "edge.toml").write_text(
        f'store = "{STORE}"\nnode = "n01"\nstate = "edge-state"\n{broker}identity = "n01"\n[[cameras]]\nid = "c1"\n'
        'source = "http://127.0.0.1:8090/a01.mjpg"\nplanogram = "shop/planogram-a01.json"\npurpose = "a test"\n'
    )
    network.start("server", "shelf_collector", "run", "--config", str(folder / "collector.toml"),
                  log=folder / "collector.log")  # fmt: skip
    network.start("node", "shelf_edge", "run", "--config", str(folder / "edge.toml"), log=folder / "edge.log")
    eventually(lambda: f"{ROOT}/node/n01/info" in [topic for topic, _ in shop.seen()], 90)
    return shop


def test_the_node_works_over_tls_from_camera_to_page(shop: Shop) -> None:
    eventually(lambda: (answers(lambda: shop.api("/api/v1/state")) or {}).get("slots_known", 0) >= 10, 90)
    node = shop.api("/api/v1/nodes")[0]
    assert (node["node"], node["state"], node["is_present"]) == ("n01", "online", True)
    assert any("/slot/" in topic and topic.endswith("/stock") for topic, _ in shop.seen())


def test_only_two_ports_are_open_and_they_speak_tls_only(shop: Shop) -> None:
    said = shop.attack("scan", shop.server)
    shop.figures["open ports of 65535"] = [int(port) for port in said]
    assert set(said) == {str(PORT), "8884"}
    for answer in (one for ones in said.values() for one in ones):
        # Nothing, or the alert of TLS. No CONNACK (20 02), no INFO of NATS, no page.
        assert answer == "" or answer.startswith("15"), bytes.fromhex(answer)


def test_without_a_certificate_nobody_gets_in(shop: Shop) -> None:
    attempts = shop.try_everything("--ca", str(shop.folder / "n01" / CA_FILE))
    assert [one["name"] for one in attempts if one["connected"]] == []
    assert shop.forged() == []


def test_with_a_certificate_of_another_authority_nobody_gets_in(shop: Shop) -> None:
    foreign = shop.folder / "foreign"
    if not foreign.exists():
        enrol_here(new_office(shop.folder / "foreign-pki"), foreign, "n01", bays=["a01"])
    attempts = shop.try_everything("--ca", str(foreign / CA_FILE), "--pem", str(foreign / DEVICE_FILE))
    assert [one["name"] for one in attempts if one["connected"]] == []
    assert shop.forged() == []


def test_another_node_says_and_hears_only_what_is_its_own(shop: Shop) -> None:
    identity = shop.enrol("attacker", "n02", "node", "b01")
    attempts = shop.try_everything(
        "--ca", str(identity / CA_FILE), "--pem", str(identity / DEVICE_FILE), "--own", "b01"
    )
    connected = [one for one in attempts if one["connected"]]
    assert len(connected) >= 4, attempts  # a control: its certificate is good, and its own topic arrives
    eventually(lambda: (f"{ROOT}/shelf/b01/slot/s1/stock", GENUINE) in shop.seen())
    assert shop.forged() == []
    for one in connected:
        assert set(one["heard"]) <= {f"{ROOT}/collector/status"}, one
    assert shop.on_disk(GENUINE) != []
    assert shop.on_disk(FORGED) == []
    node = shop.api("/api/v1/nodes")
    assert [one["is_present"] for one in node if one["node"] == "n01"] == [True]


def test_a_stolen_certificate_is_cut_off_when_it_is_revoked(shop: Shop) -> None:
    thief = shop.folder / "thief"
    shutil.copytree(shop.enrol("attacker", "n03", "node", "c01"), thief)
    topic = f"{ROOT}/shelf/c01/slot/s1/stock"
    held_log = shop.folder / "held.log"
    held = shop.network.start(
        "attacker", "shelf_testing.attacker", "hold", shop.server, str(PORT), topic,
        "--ca", str(thief / CA_FILE), "--pem", str(thief / DEVICE_FILE), log=held_log,
    )  # fmt: skip
    eventually(lambda: any(one == (topic, "GENUINE held") for one in shop.seen()))
    shop.pki("revoke", "n03", "--reason", "carried away")
    began_s = time.monotonic()
    held.wait(20)
    assert json.loads(held_log.read_text().splitlines()[-1])["cut"] is True
    cut_after_s = time.monotonic() - began_s
    assert cut_after_s < 15
    shop.figures["seconds from the end of revoke to the cut"] = round(cut_after_s, 1)
    time.sleep(1)
    before = sum(one[0] == topic for one in shop.seen())
    attempts = shop.try_everything("--ca", str(thief / CA_FILE), "--pem", str(thief / DEVICE_FILE), "--own", "c01")
    assert [one["name"] for one in attempts if one["connected"]] == []
    assert sum(one[0] == topic for one in shop.seen()) == before
    assert shop.forged() == []


def test_the_shop_goes_on_through_all_that(shop: Shop) -> None:
    count = len(shop.seen())
    eventually(lambda: len(shop.seen()) > count, 60)
    eventually(lambda: shop.api("/api/v1/nodes")[0]["is_present"])
    books = {one["source"]: one for one in shop.api("/api/v1/audit")["sources"]}
    source = books[f"/smartshelf/{STORE}/node/n01"]
    assert source["lost"] == 0
    shop.figures["events of the node applied"] = source["applied"]
    shop.figures["events of the node lost"] = source["lost"]


def test_node_and_collector_renew_their_certificates_by_themselves(shop: Shop) -> None:
    def renewals() -> dict[str, int]:
        return {row["device"]: row["renewals"] for row in json.loads(shop.pki("list", "--json"))}

    eventually(lambda: min(renewals()["n01"], renewals()["collector"]) >= 1, DEVICE_LIFE_S)
    assert (shop.folder / "edge.log").read_text().count("was renewed; valid until") >= 1
    count = len(shop.seen())
    eventually(lambda: len(shop.seen()) > count, 60)
    assert shop.api("/api/v1/nodes")[0]["is_present"]


def test_nothing_of_it_could_be_read_on_the_wire(shop: Shop) -> None:
    wire = shop.network.process(shop.folder / "wire.log")
    shop.network.stop(wire)
    heard = json.loads((shop.folder / "wire.log").read_text().splitlines()[-1])
    assert heard["octets"] > 100_000
    # The attacker's own plain-text attempt never gets past its CONNECT, whose will names a topic.
    assert heard["found"]["PRIVATE KEY"] == heard["found"]["se1."] == heard["found"]["smartshelf.v1"] == 0
    assert heard["found"]["smartshelf/"] <= heard["found"][FORGED]

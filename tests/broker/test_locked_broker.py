"""Both brokers with the production profile: who gets in, what they may say, and how somebody is put out again.

What may not be said is checked by what arrives: a refused message looks acknowledged.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import MOSQUITTO_OWN_FILES, RunningBroker, keep_running, start_broker
from shelf_broker.pki.office import RegistryOffice
from shelf_broker.probe import probe
from shelf_mqtt.address import DEVICE_FILE, IDENTITY_FILE, BrokerAddress
from shelf_mqtt.identity import now_utc
from shelf_mqtt.session import MqttSession, Received, Will
from shelf_testing.pki import STORE, enrol_here, new_office, serving

# paho leaves the socket of a failed handshake to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed .*[sS]ocket.*:ResourceWarning")

ROOT = f"smartshelf/v1/{STORE}"
Eventually = Callable[..., None]
OpenSession = Callable[..., MqttSession]


@dataclass
class Shop:
    """A broker that runs with the profile, its authority, and one device of each kind."""

    config: BrokerConfig
    office: RegistryOffice
    folder: Path
    starts: list[RunningBroker] = field(default_factory=list)

    def at(self, device: str) -> BrokerAddress:
        return BrokerAddress(self.config.host, self.config.port, identity=self.folder / device)


@pytest.fixture(params=["embedded", "mosquitto"])
def shop(
    request: pytest.FixtureRequest, tmp_path: Path, broker_config: Callable[..., BrokerConfig], eventually: Eventually
) -> Iterator[Shop]:
    office = new_office(tmp_path / "pki")
    for device, role, bays in [
        ("n01", "node", ["a01"]), ("n02", "node", ["b01"]), ("collector", "collector", []), ("eye", "observer", []),
    ]:  # fmt: skip
        enrol_here(office, tmp_path / device, device, role, bays)
    shop = Shop(broker_config(request.param, store=STORE, pki=office.public), office, tmp_path)
    stop = threading.Event()
    runner = threading.Thread(target=keep_running, args=(shop.config, stop), kwargs={"on_ready": shop.starts.append})
    runner.start()
    try:
        eventually(lambda: shop.starts, 30)
        yield shop
    finally:
        stop.set()
        runner.join(20)


def stock(bay: str) -> str:
    return f"{ROOT}/shelf/{bay}/slot/s1/stock"


def test_a_certificate_says_who_somebody_is_and_what_he_may(
    shop: Shop, open_session: OpenSession, eventually: Eventually
) -> None:
    seen: list[str] = []
    open_session(shop.at("eye"), "eye", subscriptions=[(f"{ROOT}/#", 1)], on_message=lambda one: seen.append(one.topic))
    node = open_session(shop.at("n01"), "n01", will=Will(f"{ROOT}/node/n02/status", b"forged"))
    for topic in [
        stock("b01"), f"{ROOT}/node/n02/status", f"{ROOT}/collector/status", f"{ROOT}/alert/x/state",
        f"{ROOT}/display/d1/content", stock("a01"), f"{ROOT}/node/n01/status",
    ]:  # fmt: skip
        node.publish(topic, b"x", retain=True)
    eventually(lambda: {stock("a01"), f"{ROOT}/node/n01/status"} <= set(seen))
    assert node._connection is not None
    node._connection._shut_socket()  # its will names somebody else
    open_session(shop.at("n02"), "n02").publish(stock("b01"), b"x")
    eventually(lambda: stock("b01") in seen)
    assert sorted(set(seen)) == sorted({stock("a01"), stock("b01"), f"{ROOT}/node/n01/status"})


def test_a_node_reads_nothing_of_others(shop: Shop, open_session: OpenSession, eventually: Eventually) -> None:
    got: list[Received] = []
    node = open_session(
        shop.at("n02"), "n02", on_message=got.append,
        subscriptions=[
            (f"{ROOT}/collector/status", 1), ("#", 1), (f"{ROOT}/#", 1), ("$SYS/#", 1), ("$JS/#", 1),
            ("$MQTT/#", 1), (stock("a01"), 1), (f"{ROOT}/node/n01/#", 1), ("+/+/+/+/+/status", 1),
        ],
    )  # fmt: skip
    open_session(shop.at("n01"), "n01").publish(stock("a01"), b"secret", retain=True)
    open_session(shop.at("collector"), "collector").publish(f"{ROOT}/collector/status", b"online", retain=True)
    eventually(lambda: got)
    time.sleep(0.5)
    assert {one.topic for one in got} == {f"{ROOT}/collector/status"}
    if shop.config.kind == "embedded":
        assert len(node.refused_filters) == 8  # Mosquitto grants them, and brings nothing


def test_who_has_no_certificate_of_the_store_does_not_get_in(
    shop: Shop, open_session: OpenSession, eventually: Eventually, tmp_path: Path
) -> None:
    foreign = enrol_here(new_office(tmp_path / "foreign-pki"), tmp_path / "foreign", "n01", bays=["a01"])
    then = RegistryOffice(shop.office.folder, now=lambda: now_utc() - timedelta(days=91))
    over = enrol_here(then, tmp_path / "over", "n09", bays=["a01"]) / DEVICE_FILE
    host, port, ca = shop.config.host, shop.config.port, shop.office.public / "store-ca.crt"
    server = shop.office.public / "server.pem"
    strangers = [
        BrokerAddress(host, port),  # plain text
        BrokerAddress(host, port, tls_ca=ca),  # no certificate
        BrokerAddress(host, port, tls_ca=ca, tls_cert=foreign / DEVICE_FILE, tls_key=foreign / DEVICE_FILE),
        BrokerAddress(host, port, tls_ca=ca, tls_cert=server, tls_key=server),  # signed, but no client's
        BrokerAddress(host, port, tls_ca=ca, tls_cert=over, tls_key=over),  # over since yesterday
    ]
    for number, address in enumerate(strangers):
        session = open_session(address, f"stranger{number}", wait=False, attempt_timeout_s=1.0)
        eventually(lambda session=session: session.counters.connect_failures >= 1)
        assert not session.is_connected, address
    assert not probe(host, port).answered
    asked = probe(host, port, tls=True)
    assert (asked.answered, asked.asks_for_certificate) == (False, True), asked


def test_tls_older_than_1_2_is_refused(shop: Shop) -> None:
    def handshake(version: ssl.TLSVersion) -> str | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(shop.folder / "n01" / DEVICE_FILE)
        with socket.create_connection((shop.config.host, shop.config.port), timeout=5) as plain:
            return context.wrap_socket(plain).version()

    assert handshake(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert handshake(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with (
        pytest.warns(DeprecationWarning, match="TLSv1_1"),
        pytest.raises(OSError, match=r"(?i)version|reset|protocol|alert"),
    ):
        handshake(ssl.TLSVersion.TLSv1_1)


def test_a_revocation_cuts_an_open_connection_and_no_other_for_long(
    shop: Shop, open_session: OpenSession, eventually: Eventually
) -> None:
    seen: list[bytes] = []
    topics = [(stock("a01"), 1), (stock("b01"), 1)]
    open_session(shop.at("eye"), "eye", subscriptions=topics, on_message=lambda one: seen.append(one.payload))
    thief, honest = open_session(shop.at("n01"), "n01"), open_session(shop.at("n02"), "n02")
    thief.publish(stock("a01"), b"before")
    eventually(lambda: b"before" in seen)

    reader = open_session(shop.at("collector"), "collector", subscriptions=[(stock("b01"), 1)])
    reader.stop()
    honest.publish(stock("b01"), b"while the collector was away")
    eventually(lambda: b"while the collector was away" in seen)

    shop.office.revoke("n01", "carried away")
    eventually(lambda: thief.counters.disconnects >= 1)
    eventually(lambda: thief.counters.connect_failures >= 1)
    assert not thief.is_connected
    eventually(lambda: honest.publish(stock("b01"), b"honest"))
    eventually(lambda: b"honest" in seen)
    missed: list[bytes] = []
    open_session(
        shop.at("collector"), "collector", subscriptions=[(stock("b01"), 1)],
        on_message=lambda one: missed.append(one.payload),
    )  # fmt: skip
    eventually(lambda: b"while the collector was away" in missed)  # what was queued is still there
    assert thief.counters.connects == 1
    eventually(lambda: len(shop.starts) == (2 if shop.config.kind == "mosquitto" else 1))


def test_a_device_enrolled_again_gets_in_and_its_stolen_certificate_does_not(
    shop: Shop, open_session: OpenSession, eventually: Eventually
) -> None:
    stolen = open_session(shop.at("n01"), "n01-stolen", attempt_timeout_s=1.0)
    shop.office.revoke("n01", "stolen")
    eventually(lambda: stolen.counters.disconnects == 1)
    enrol_here(shop.office, shop.folder / "n01-new", "n01", bays=["a01"])
    new = open_session(shop.at("n01-new"), "n01", wait=False)
    eventually(lambda: new.is_connected and new.publish(stock("a01"), b"x"))
    failures = stolen.counters.connect_failures
    eventually(lambda: stolen.counters.connect_failures >= failures + 2)
    assert stolen.counters.connects == 1
    assert new.is_connected


def test_new_devices_and_bays_are_known_at_once_and_nobody_is_cut_for_it(
    shop: Shop, open_session: OpenSession, eventually: Eventually
) -> None:
    seen: list[str] = []
    open_session(shop.at("eye"), "eye", subscriptions=[(f"{ROOT}/#", 1)], on_message=lambda one: seen.append(one.topic))
    node = open_session(shop.at("n01"), "n01")
    enrol_here(shop.office, shop.folder / "n03", "n03", bays=["c01"])
    new = open_session(shop.at("n03"), "n03", wait=False)
    eventually(lambda: new.is_connected and new.publish(stock("c01"), b"x") and stock("c01") in seen)
    shop.office.set_bays("n01", ["a01", "a02"])
    eventually(lambda: node.publish(stock("a02"), b"x") and stock("a02") in seen)
    assert len(shop.starts) == 1
    # NATS closes the connection of a user whose permissions changed; Mosquitto goes on with it.
    assert node.counters.disconnects <= 1


def test_nobody_takes_over_the_session_of_another(
    shop: Shop, open_session: OpenSession, eventually: Eventually
) -> None:
    """Whoever connects with a client id takes its session: so an id is of no use to others, or cannot be known."""
    got: list[bytes] = []
    collector = open_session(
        shop.at("collector"), "collector", subscriptions=[(stock("a01"), 1)],
        on_message=lambda one: got.append(one.payload),
    )  # fmt: skip
    record = json.loads((shop.folder / "collector" / IDENTITY_FILE).read_text())
    pair = shop.folder / "n02" / DEVICE_FILE
    address = BrokerAddress(
        shop.config.host, shop.config.port, tls_ca=shop.folder / "n02" / "store-ca.crt", tls_cert=pair, tls_key=pair
    )
    stolen: list[Received] = []
    ids = ["collector", "collector-" + "0" * len(record["client_mark"])]
    if shop.config.kind == "mosquitto":  # there not even the true id helps
        ids.append(f"collector-{record['client_mark']}")
    for client_id in ids:
        thief = open_session(address, client_id, on_message=stolen.append)
        open_session(shop.at("n01"), "n01").publish(stock("a01"), b"for the collector")
        eventually(lambda: b"for the collector" in got)
        got.clear()
        thief.stop()
    assert collector.counters.disconnects == 0
    assert stolen == []


def test_a_message_beyond_the_limit_ends_the_connection(shop: Shop, eventually: Eventually) -> None:
    context = ssl.create_default_context(cafile=str(shop.office.public / "store-ca.crt"))
    context.load_cert_chain(shop.folder / "n01" / DEVICE_FILE)
    with socket.create_connection((shop.config.host, shop.config.port), timeout=5) as plain:
        encrypted = context.wrap_socket(plain, server_hostname=shop.config.host)
        encrypted.sendall(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04big1")
        assert encrypted.recv(4) == b"\x20\x02\x00\x00"
        topic = stock("a01").encode()
        body = struct.pack("!H", len(topic)) + topic + b"x" * 400_000
        length, digits = len(body), b""
        while length:
            digits += bytes([length % 128 | (0x80 if length > 127 else 0)])
            length //= 128
        with pytest.raises(OSError):  # noqa: PT012 - whichever of the two notices it
            encrypted.sendall(b"\x30" + digits + body)
            while encrypted.recv(100):
                pass
            raise ConnectionResetError
    eventually(lambda: probe(shop.config.host, shop.config.port, tls=True).text)


@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
def test_clients_beyond_the_limit_are_turned_away(
    kind: str, tmp_path: Path, broker_config: Callable[..., BrokerConfig]
) -> None:
    """Also when many came before that had no certificate: Mosquitto 2.0 raises its own limit for each of them."""
    office = new_office(tmp_path / "pki")
    pair = enrol_here(office, tmp_path / "n01", "n01", bays=["a01"]) / DEVICE_FILE
    config = broker_config(kind, store=STORE, pki=office.public, max_connections=10)
    context = ssl.create_default_context(cafile=str(office.public / "store-ca.crt"))
    context.load_cert_chain(pair)
    with start_broker(config), contextlib.ExitStack() as open_ones:
        for _ in range(50):
            probe(config.host, config.port, tls=True)
        turned_away = 0
        for _ in range(50):
            try:
                plain = socket.create_connection((config.host, config.port), timeout=5)
                channel = open_ones.enter_context(context.wrap_socket(plain, server_hostname=config.host))
                channel.settimeout(0.05)
                turned_away += channel.recv(1) == b""
            except TimeoutError:
                pass  # it waits for our CONNECT
            except OSError:
                turned_away += 1
        if kind == "mosquitto":
            assert 10 <= 50 - turned_away <= 10 + MOSQUITTO_OWN_FILES
        else:
            assert 50 - turned_away == 10


def test_nats_own_protocol_is_of_no_use_to_a_user(shop: Shop) -> None:
    """Its listener is on the loopback; a program there that knows a user's name must not get in without certificate."""
    if shop.config.kind != "embedded":
        pytest.skip("NATS only")
    found = re.search(r"Listening for client connections on 127\.0\.0\.1:(\d+)", shop.starts[0].log_file.read_text())
    assert found is not None
    for user in [*re.findall(r'user: "([^"]+)"', (shop.config.state / "nats.conf").read_text()), ""]:
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=5) as channel:
            assert b"INFO" in channel.recv(4096)
            login = json.dumps({"user": user, "pass": "", "verbose": True} if user else {"verbose": True})
            channel.sendall(f"CONNECT {login}\r\nPING\r\n".encode())
            assert b"Authorization Violation" in channel.recv(4096), user


def test_a_certificate_is_renewed_by_itself_while_the_session_goes_on(
    tmp_path: Path, broker_config: Callable[..., BrokerConfig], open_session: OpenSession, eventually: Eventually
) -> None:
    """Certificates here live for three seconds: after seven the first is long over, and the node still speaks."""
    office = new_office(tmp_path / "pki", device_days=3 / 86_400)
    config = broker_config("embedded", store=STORE, pki=office.public)
    stop = threading.Event()
    runner = threading.Thread(target=keep_running, args=(config, stop))
    with serving(office) as server:
        folder = enrol_here(office, tmp_path / "n01", "n01", bays=["a01"])
        record = json.loads((folder / IDENTITY_FILE).read_text())
        (folder / IDENTITY_FILE).write_text(json.dumps({**record, "port": server.port}))
        runner.start()
        try:
            acked: list[int] = []
            connected: list[float] = []
            node = open_session(
                BrokerAddress(config.host, config.port, identity=folder), "n01",
                on_connected=lambda: connected.append(time.monotonic()),
            )  # fmt: skip
            end_s = time.monotonic() + 7
            while time.monotonic() < end_s:
                node.publish(stock("a01"), b"x", on_acked=lambda: acked.append(1))
                time.sleep(0.05)
            assert node.certificate_renewals >= 2
            assert len(connected) == node.certificate_renewals + 1
            assert node.counters.disconnects == 0
            before = len(acked)
            eventually(lambda: node.publish(stock("a01"), b"x", on_acked=lambda: acked.append(1)))
            eventually(lambda: len(acked) > before)
        finally:
            stop.set()
            runner.join(10)


def test_a_renewal_that_fails_is_tried_again_and_the_old_certificate_kept(
    tmp_path: Path, eventually: Eventually
) -> None:
    from shelf_mqtt.identity import read_validity
    from shelf_mqtt.renewal import CertificateRenewal

    office = new_office(tmp_path / "pki", device_days=6 / 86_400)
    folder = enrol_here(office, tmp_path / "n01", "n01", bays=["a01"])  # and its server is gone
    first = (folder / DEVICE_FILE).read_bytes()
    renewed: list[int] = []
    renewal = CertificateRenewal(folder, lambda: renewed.append(1), now=lambda: read_validity(folder).renew_from)
    renewal.start()
    try:
        eventually(lambda: renewal.failures >= 2)
        assert (folder / DEVICE_FILE).read_bytes() == first
        with serving(office) as server:
            record = json.loads((folder / IDENTITY_FILE).read_text())
            (folder / IDENTITY_FILE).write_text(json.dumps({**record, "port": server.port}))
            eventually(lambda: renewed)
    finally:
        renewal.stop(5)
    assert (folder / DEVICE_FILE).read_bytes() != first

"""Settings: what is refused and why, and what the brokers are told."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shelf_broker.config import BrokerConfig, mosquitto_conf, mosquitto_password_line, nats_conf
from shelf_broker.pki.roster import Roster
from shelf_contracts.errors import FileProblems
from shelf_contracts.files import read_model

NODE = {"username": "n01", "role": "node", "id": "n01", "bays": ["a03"], "password_file": "n01.password"}
TLS = {"cert": "broker.crt", "key": "broker.key"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"host": "0.0.0.0"}, "anybody could read and forge .* broker init --profile production"),
        ({"host": "broker.store.internal"}, "client certificates"),
        ({"host": "::"}, "client certificates"),
        ({"host": "0.0.0.0", "users": [NODE], "store": "s1"}, "client certificates"),
        ({"host": "0.0.0.0", "users": [NODE], "store": "s1", "tls": TLS}, "client certificates"),
        ({"host": "0.0.0.0", "tls": {**TLS, "ca": "clients.crt"}}, "without users everybody may say everything"),
        ({"host": "0.0.0.0", "users": [NODE], "store": "s1", "plain_text": True}, "plain_text"),
        ({"pki": "pki/broker"}, "store: is needed"),
        ({"pki": "pki/broker", "store": "s1", "tls": TLS}, "leave users and tls out"),
        ({"max_connections": 1}, "max_connections"),
        ({"users": [NODE]}, "store: is needed"),
        ({"users": [NODE, NODE], "store": "s1"}, "'n01' is used more than once"),
        ({"users": [{**NODE, "bays": []}], "store": "s1"}, "needs bays"),
        ({"users": [{**NODE, "id": None}], "store": "s1"}, "needs id"),
        ({"users": [{**NODE, "username": "a b"}], "store": "s1"}, "username"),
        ({"port": 0}, "port"),
        ({"max_in_flight": 20}, "max_in_flight"),
        ({"kind": "rabbitmq"}, "kind"),
        ({"prot": 1883}, "prot"),
    ],
)
def test_unsafe_or_impossible_settings_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        BrokerConfig.model_validate(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "::1"},
        {"host": "localhost"},
        {"users": [NODE], "store": "s1", "tls": TLS},
        {"host": "0.0.0.0", "users": [NODE], "store": "s1", "tls": {**TLS, "ca": "clients.crt"}},
        {"host": "0.0.0.0", "store": "s1", "pki": "pki/broker"},
    ],
)
def test_safe_settings_are_taken(settings: dict[str, Any]) -> None:
    BrokerConfig.model_validate(settings)


def test_a_file_with_several_mistakes_names_them_all(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text('kind = "embedded"\nprot = 1883\nmax_in_flight = 1\n[[users]]\nusername = "x"\n')
    with pytest.raises(FileProblems) as caught:
        read_model(file, BrokerConfig)
    text = str(caught.value)
    assert "prot = 1883" in text
    assert "did you mean 'port'?" in text
    assert "max_in_flight = 1" in text
    assert "users[0].role = (missing)" in text


@pytest.mark.parametrize(("pending", "most"), [(10_000, 6), (1024, 63), (60_000, 1)])
def test_how_many_subscriptions_a_nats_session_may_hold(pending: int, most: int) -> None:
    assert BrokerConfig(max_in_flight=pending).most_subscriptions == most
    assert BrokerConfig(kind="mosquitto", max_in_flight=pending).most_subscriptions == 0


def test_what_nats_is_told() -> None:
    text = nats_conf(BrokerConfig(port=1899, state=Path("/var/lib/shelf")), {})
    assert 'listen: "127.0.0.1:1899"' in text
    assert "max_ack_pending: 4000" in text
    assert 'ack_wait: "10s"' in text
    assert 'store_dir: "/var/lib/shelf/jetstream"' in text
    assert "authorization" not in text
    assert 'listen: "[::1]:1883"' in nats_conf(BrokerConfig(host="::1"), {})


def test_what_nats_is_told_about_users_and_certificates() -> None:
    config = BrokerConfig.model_validate({"users": [NODE], "store": "s1", "tls": {**TLS, "ca": "clients.crt"}})
    text = nats_conf(config, {"n01": 'say "x" \\ y'})
    assert r'password: "say \"x\" \\ y"' in text
    assert "smartshelf.v1.s1.node.n01.status" in text
    assert f'ca_file: "{Path("clients.crt").absolute()}"' in text
    assert "verify: true" in text


def test_what_mosquitto_is_told() -> None:
    text = mosquitto_conf(BrokerConfig(kind="mosquitto", state=Path("/var/lib/shelf")))
    assert "listener 1883 127.0.0.1" in text
    assert "allow_anonymous true" in text
    assert "max_inflight_messages 4000" in text
    assert "max_queued_messages 1000000" in text
    assert "autosave_interval 1\n" in text
    assert "\nuser " not in text
    secured = BrokerConfig.model_validate(
        {"kind": "mosquitto", "users": [NODE], "store": "s1", "tls": {**TLS, "ca": "clients.crt"}}
    )
    text = mosquitto_conf(secured, run_as="root")
    assert "allow_anonymous false" in text
    assert "require_certificate true" in text
    assert "user root" in text


ROSTER = Roster.model_validate(
    {"store": "s1", "devices": [{"device": "n01", "role": "node", "bays": ["a03"], "enrolment": "5" * 32}]}
)


def test_what_nats_is_told_about_enrolled_devices() -> None:
    config = BrokerConfig.model_validate({"host": "0.0.0.0", "store": "s1", "pki": "/pki/broker"})
    text = nats_conf(config, {}, ROSTER)
    assert f'user: "urn:smartshelf:s1:n01:{"5" * 32}", allowed_connection_types: ["MQTT"]' in text
    assert "verify_and_map: true" in text
    assert 'min_version: "1.2"' in text
    assert "password" not in text
    assert "max_connections: 500" in text
    # Without any user NATS would let everybody in who shows a certificate.
    assert 'user: "nobody"' in nats_conf(config, {}, Roster(store="s1"))


def test_what_mosquitto_is_told_about_enrolled_devices() -> None:
    config = BrokerConfig.model_validate({"kind": "mosquitto", "host": "0.0.0.0", "store": "s1", "pki": "/pki/broker"})
    lines = mosquitto_conf(config).splitlines()
    for line in [
        "allow_anonymous false",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "tls_version tlsv1.2",
        "crlfile /pki/broker/store.crl",
        "cafile /pki/broker/store-ca.crt",
        "max_connections 500",
        "max_packet_size 327680",
    ]:
        assert line in lines, line
    assert [line for line in lines if line.startswith("listener ")] == ["listener 1883 0.0.0.0"]


def test_the_password_line_is_the_one_mosquitto_writes(tmp_path: Path) -> None:
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not installed")
    file = tmp_path / "passwords"
    subprocess.run([program, "-c", "-b", str(file), "n01", "secret"], check=True, timeout=10, capture_output=True)
    line = file.read_text().strip()
    salt = base64.b64decode(line.split("$")[3])
    assert mosquitto_password_line("n01", "secret", salt) == line

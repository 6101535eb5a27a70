"""From token to certificate over a real connection, and what an impostor between device and server gets to know."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from typer.testing import CliRunner

from shelf_broker.errors import PortInUse
from shelf_broker.pki import server as server_module
from shelf_broker.pki.cli import app
from shelf_broker.pki.office import RegistryOffice
from shelf_broker.pki.server import EnrolmentServer
from shelf_contracts.files import read_model
from shelf_mqtt.address import CA_FILE, DEVICE_FILE, IDENTITY_FILE
from shelf_mqtt.enrolment import EnrolmentFailed, Token, enrol, renew
from shelf_mqtt.identity import IdentityRecord, read_validity
from shelf_testing.pki import enrol_here, new_office, serving

# A handshake that fails leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed .*socket.*:ResourceWarning")


@pytest.fixture
def office(tmp_path: Path) -> RegistryOffice:
    return new_office(tmp_path / "pki")


def token_for(office: RegistryOffice, port: int, device: str = "n01") -> Token:
    made = office.issue_token(device, "node", ["a01"], replace=True)
    return Token(made.secret, made.ca_fingerprint, "127.0.0.1", port)


def ask(port: int, path: str, body: Any, identity: Path | None = None, ca: Path | None = None) -> tuple[int, Any]:
    context = ssl.create_default_context(cafile=str(ca)) if ca is not None else ssl._create_unverified_context()
    if identity is not None:
        context.load_cert_chain(identity / DEVICE_FILE)
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    try:
        connection.request("POST", path, body if isinstance(body, str | bytes) else json.dumps(body))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_device_enrols_and_renews(office: RegistryOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[str] = []
    keep = office.enrol
    monkeypatch.setattr(office, "enrol", lambda *told: came.extend(told) or keep(*told))
    folder = tmp_path / "device"
    with serving(office) as server:
        record = enrol(token_for(office, server.port), folder)
        first = (folder / DEVICE_FILE).read_bytes()
        assert record.device == "n01"
        assert read_model(folder / IDENTITY_FILE, IdentityRecord) == record
        assert (folder / CA_FILE).read_text() == office.authority_pem
        assert stat.S_IMODE((folder / DEVICE_FILE).stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        ends = renew(folder).ends
        second = (folder / DEVICE_FILE).read_bytes()
        assert ends == read_validity(folder).ends
    assert len(came) == 2
    assert "PRIVATE" not in "".join(came)
    key = [pem.split(b"-----END")[0] for pem in (first, second)]
    assert key[0] != key[1], "a renewed certificate comes with a new key"
    assert [row.renewals for row in office.enrolments()] == [1]
    renewed = x509.load_pem_x509_certificate(second)
    assert renewed.subject == x509.load_pem_x509_certificate(first).subject


def test_a_server_of_another_authority_is_told_nothing(
    office: RegistryOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impostor = new_office(tmp_path / "impostor")
    asked: list[Any] = []
    monkeypatch.setattr(impostor, "enrol", lambda *told: asked.append(told))
    with serving(impostor) as server, pytest.raises(EnrolmentFailed, match="another fingerprint"):
        enrol(token_for(office, server.port), tmp_path / "device")
    assert asked == []
    assert not (tmp_path / "device").exists()


def test_an_impostor_that_shows_the_true_authority_is_told_nothing(
    office: RegistryOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificate is public. But only its key can vouch for a server."""
    impostor = new_office(tmp_path / "impostor")
    asked: list[Any] = []
    monkeypatch.setattr(RegistryOffice, "authority_pem", property(lambda _: (office.public / CA_FILE).read_text()))
    monkeypatch.setattr(impostor, "enrol", lambda *told: asked.append(told))
    with serving(impostor) as server, pytest.raises(EnrolmentFailed, match="certificate verify failed"):
        enrol(token_for(office, server.port), tmp_path / "device")
    assert asked == []


def test_an_enrolled_device_cannot_pose_as_the_server(office: RegistryOffice, tmp_path: Path) -> None:
    node = enrol_here(office, tmp_path / "n01", "n01", bays=["a01"])
    token = token_for(office, 0, "n02")
    # The server's own certificate is exchanged for the node's, which the same authority signed.
    (office.public / "server.pem").write_bytes((node / DEVICE_FILE).read_bytes())
    with serving(office) as server, pytest.raises(EnrolmentFailed, match="certificate verify failed"):
        enrol(Token(token.secret, token.ca_fingerprint, "127.0.0.1", server.port), tmp_path / "n02")


def test_who_may_not_renew(office: RegistryOffice, tmp_path: Path) -> None:
    identity = enrol_here(office, tmp_path / "n01", "n01", bays=["a01"])
    foreign = enrol_here(new_office(tmp_path / "foreign"), tmp_path / "f01", "n01", bays=["a01"])
    pair = (identity / DEVICE_FILE).read_bytes()
    with serving(office) as server:
        record = json.loads((identity / IDENTITY_FILE).read_text())
        (identity / IDENTITY_FILE).write_text(json.dumps({**record, "port": server.port}))
        status, answer = ask(server.port, "/v1/renew", {"request": "x"})
        assert (status, "needs the certificate" in answer["error"]) == (403, True)
        with pytest.raises(OSError, match=r"(?i)unknown.ca|reset|closed|eof|broken"):
            ask(server.port, "/v1/renew", {"request": "x"}, identity=foreign)
        renew(identity)
        office.revoke("n01", "stolen")
        with pytest.raises(EnrolmentFailed, match="revoked"):
            renew(identity)
        (identity / DEVICE_FILE).write_bytes(pair)  # a copy of before the renewal, as a thief may have
        with pytest.raises(EnrolmentFailed, match="revoked"):
            renew(identity)
    assert (identity / DEVICE_FILE).read_bytes() == pair


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/enrol", {}, 400),
        ("/v1/enrol", {"token": 5, "request": "x"}, 400),
        ("/v1/enrol", "{not json", 400),
        ("/v1/enrol", "[]", 400),
        ("/v1/enrol", b"\xff\xfe", 400),
        ("/v1/enrol", "[" * 10_000, 400),
        ("/v1/enrol", "x" * 20_000, 400),
        ("/v1/enrol", {"token": "A" * 26, "request": "x"}, 400),
        ("/v1/authority/../../etc/passwd", {}, 404),
        ("/", {}, 404),
    ],
)
def test_nonsense_is_refused_and_the_server_goes_on(path: str, body: Any, status: int, office: RegistryOffice) -> None:
    with serving(office) as server:
        assert ask(server.port, path, body)[0] == status
        assert ask(server.port, "/v1/authority", {}) == (200, {"authority": office.authority_pem})


def test_one_host_cannot_take_all_places(office: RegistryOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_WHOLE_REQUEST_S", 0.5)
    with serving(office) as server:
        held = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(4)]
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as fifth:
            assert fifth.recv(1) == b""
        for one in held:  # and those that say nothing lose theirs
            assert one.recv(1) == b""
            one.close()
        assert ask(server.port, "/v1/authority", {})[0] == 200


def test_plain_http_gets_no_answer(office: RegistryOffice) -> None:
    with serving(office) as server, socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain:
        plain.sendall(b"POST /v1/authority HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        assert b"authority" not in plain.recv(4096)


def test_a_port_in_use_is_told(office: RegistryOffice) -> None:
    with serving(office) as server, pytest.raises(PortInUse, match="cannot be listened on"):
        EnrolmentServer(office, "127.0.0.1", server.port)


def test_the_commands_from_init_to_revoke(tmp_path: Path) -> None:
    runner = CliRunner()

    def run(*arguments: str, code: int = 0, typed: str = "") -> str:
        result = runner.invoke(app, list(arguments), input=typed)
        assert result.exit_code == code, result.output
        return result.output

    pki, identity = str(tmp_path / "pki"), str(tmp_path / "identity")
    run("init", "--store", "s1", "--host", "127.0.0.1", "--folder", pki)
    assert "already" in run("init", "--store", "s1", "--host", "127.0.0.1", "--folder", pki, code=2)
    with serving(RegistryOffice(Path(pki))) as server:
        printed = run("token", "n01", "--bays", "a01,a02", "--folder", pki)
        token = next(word for word in printed.split() if word.startswith("se1."))
        where = ("--into", identity, "--server", f"127.0.0.1:{server.port}")
        section = run("enrol", "-", *where, typed=token + "\n")
        assert f'identity = "{identity}"' in section
        run("enrol", token, *where, code=1)
        run("renew", "--identity", identity)
        run("bays", "n01", "a03", "--folder", pki)
        assert json.loads(run("list", "--folder", pki, "--json"))[0]["bays"] == ["a03"]
        run("revoke", "n01", "--reason", "[stolen]", "--folder", pki)
        assert "revoked" in run("renew", "--identity", identity, code=1)
    assert "n01" in run("list", "--folder", pki)
    assert "store.crl" in run("crl", "--folder", pki)
    run("enrol", "no token", code=2)
    for host in ("", "a b", "-x", "läden", "x" * 254):
        run("init", "--store", "s1", "--host", host, "--folder", str(tmp_path / "other"), code=2)
    assert not (tmp_path / "other").exists()
    run("token", "N01", "--bays", "a01", "--folder", pki, code=2)
    run("revoke", "n77", "--folder", pki, code=2)
    run("token", "n01", "--folder", str(tmp_path / "nowhere"), code=2)
    assert "does smartshelf pki serve run there?" in run("renew", "--identity", identity, code=1)

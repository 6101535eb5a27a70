"""Addresses that make no sense are refused when they are made; files are read when they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shelf_mqtt.address import BrokerAddress, is_loopback

_FILE = Path("some.pem")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"host": ""}, "host"),
        ({"port": 0}, "port = 0"),
        ({"port": 65_536}, "port = 65536"),
        ({"password_file": _FILE}, "needs username"),
        ({"tls_ca": _FILE, "tls_cert": _FILE}, "together"),
        ({"tls_cert": _FILE, "tls_key": _FILE}, "tls_ca"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        BrokerAddress(**wrong)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("10.0.0.5", False), ("broker.store.internal", False)],
)  # fmt: skip
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
    assert BrokerAddress(host).is_loopback is expected


def test_the_password_is_the_files_text_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(" pass word \r\n")
    assert BrokerAddress(username="u", password_file=file).password() == " pass word "
    assert BrokerAddress(username="u").password() is None


def test_a_missing_certificate_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        BrokerAddress(tls_ca=tmp_path / "ca.crt").tls_context()


def test_no_secret_is_shown(tmp_path: Path) -> None:
    assert "key.pem" not in repr(BrokerAddress(tls_ca=_FILE, tls_cert=_FILE, tls_key=Path("key.pem")))

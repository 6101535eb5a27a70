"""Encrypted connections, with and without client certificates, with certificates made for the test."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import start_broker
from shelf_mqtt.session import BrokerAddress, MqttSession

# paho leaves the socket of a failed handshake to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed .*SSLSocket:ResourceWarning")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.crt, broker.crt/.key for 127.0.0.1, n01.crt/.key, and other-ca.crt that signed nothing."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, timeout=30, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other-ca"):
        run(
            "req",
            "-x509",
            *curve,
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.crt",
            "-subj",
            f"/CN={name}",
            "-days",
            "2",
        )
    for name in ("broker", "n01"):
        run("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "names.txt").write_text("subjectAltName=IP:127.0.0.1\n")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-out", f"{name}.crt", "-extfile", "names.txt")  # fmt: skip
    return folder


@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
@pytest.mark.parametrize("asks_for_certificate", [False, True])
def test_tls(
    kind: str, asks_for_certificate: bool, certificates: Path, broker_config: Callable[..., BrokerConfig],
    open_session: Callable[..., MqttSession], eventually: Callable[..., None],
) -> None:  # fmt: skip
    tls: dict[str, Any] = {"cert": certificates / "broker.crt", "key": certificates / "broker.key"}
    own = {"tls_cert": certificates / "n01.crt", "tls_key": certificates / "n01.key"}
    if asks_for_certificate:
        tls["ca"] = certificates / "ca.crt"
    config = broker_config(kind, tls=tls)
    got: list[bytes] = []
    with start_broker(config):

        def at(ca: str, **more: Any) -> BrokerAddress:
            return BrokerAddress(config.host, config.port, tls_ca=certificates / ca, **more)

        session = open_session(
            at("ca.crt", **own), "n01", subscriptions=[("x", 1)], on_message=lambda one: got.append(one.payload)
        )
        assert session.publish("x", b"secret")
        eventually(lambda: got == [b"secret"])

        wrong = [at("other-ca.crt", **own), BrokerAddress(config.host, config.port)]
        if asks_for_certificate:
            wrong.append(at("ca.crt"))
        for number, address in enumerate(wrong):
            stranger = open_session(address, f"stranger{number}", wait=False, attempt_timeout_s=1.0)
            eventually(lambda stranger=stranger: stranger.counters.connect_failures >= 1)
            assert not stranger.is_connected

"""The commands: what they print, write and exit with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shelf_broker.cli import app
from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import start_broker
from shelf_broker.probe import probe
from shelf_contracts.files import read_model
from shelf_contracts.schema import documents

runner = CliRunner()


def test_bad_options_exit_with_2_and_say_why(tmp_path: Path) -> None:
    result = runner.invoke(app, ["run", "--host", "0.0.0.0", "--state", str(tmp_path)])
    assert result.exit_code == 2
    assert "without TLS and client certificates" in result.output
    assert "smartshelf broker init --profile production" in result.output


def test_a_bad_file_exits_with_2_and_names_every_key(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text("prot = 1883\nport = 0\n")
    for command in ("run", "check"):
        result = runner.invoke(app, [command, "--config", str(file)])
        assert result.exit_code == 2
        assert "did you mean 'port'?" in result.output
        assert "port = 0" in result.output
    result = runner.invoke(app, ["check", "--config", str(tmp_path / "missing.toml")])
    assert result.exit_code == 2
    assert "check the path" in result.output


def test_check_says_what_is_there(broker_config: Callable[..., BrokerConfig], tmp_path: Path) -> None:
    config = broker_config("embedded")
    file = tmp_path / "broker.toml"
    file.write_text(f'port = 1883\nstate = "{config.state}"\n')
    options = ["check", "--config", str(file), "--port", str(config.port)]
    result = runner.invoke(app, options)
    assert result.exit_code == 0
    assert "as its wheel installed it" in result.output
    assert "refused" in result.output
    with start_broker(config):
        assert "accepts connections" in runner.invoke(app, options).output


def test_docs_are_written_and_checked(tmp_path: Path) -> None:
    assert runner.invoke(app, ["docs", "--out", str(tmp_path), "--check"]).exit_code == 1
    assert runner.invoke(app, ["docs", "--out", str(tmp_path)]).exit_code == 0
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*")} == set(documents())
    assert runner.invoke(app, ["docs", "--out", str(tmp_path), "--check"]).exit_code == 0
    (tmp_path / "topics.md").write_text("changed by hand")
    (tmp_path / "schemas" / "of-yesterday.json").write_text("{}")
    result = runner.invoke(app, ["docs", "--out", str(tmp_path), "--check"])
    assert result.exit_code == 1
    assert "smartshelf broker docs" in result.output
    assert "of-yesterday.json" in result.output
    runner.invoke(app, ["docs", "--out", str(tmp_path)])
    assert not (tmp_path / "schemas" / "of-yesterday.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_works_until_it_is_told_to_stop(number: signal.Signals, broker_config: Callable[..., BrokerConfig]) -> None:
    config = broker_config("embedded")
    command = [sys.executable, "-m", "shelf_broker", "run", "--port", str(config.port), "--state", str(config.state)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        assert f"broker ready on 127.0.0.1:{config.port}" in one.stdout.readline()
        assert probe(config.host, config.port).is_ready
        one.send_signal(number)
        assert one.wait(10) == 0
    assert not probe(config.host, config.port).answered


def test_run_on_a_port_in_use_exits_with_1(broker_config: Callable[..., BrokerConfig], tmp_path: Path) -> None:
    config = broker_config("embedded")
    with start_broker(config):
        options = ["--port", str(config.port), "--state", str(tmp_path / "other")]
        command = [sys.executable, "-m", "shelf_broker", "run", *options]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == 1
    assert "cannot be listened on" in result.stderr


def test_init_sets_up_the_production_profile_once(tmp_path: Path) -> None:
    options = ["init", "--profile", "production", "--store", "s1", "--host", "10.0.0.2", "--into", str(tmp_path)]
    result = runner.invoke(app, [*options, "--kind", "embedded"])
    assert result.exit_code == 0, result.output
    config = read_model(tmp_path / "broker.toml", BrokerConfig)
    assert (config.kind, config.host, config.port, config.store) == ("embedded", "0.0.0.0", 8883, "s1")
    assert config.pki is not None
    assert (config.pki / "store.crl").is_file()
    assert "smartshelf pki token" in result.output

    again = runner.invoke(app, options)
    assert again.exit_code == 2
    assert "not overwritten" in again.output
    (tmp_path / "broker.toml").unlink()
    other = runner.invoke(app, [part.replace("s1", "s2") for part in options])
    assert other.exit_code == 2
    assert "not that of s2" in other.output
    assert runner.invoke(app, [*options, "--profile", "open"]).exit_code == 2
    assert runner.invoke(app, ["init", "--store", "S1", "--host", "x", "--into", str(tmp_path / "n")]).exit_code == 2


def test_a_broker_without_its_authority_says_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(f'store = "s1"\nport = 65000\nstate = "{tmp_path / "state"}"\npki = "{tmp_path / "pki"}"\n')
    result = runner.invoke(app, ["run", "--config", str(file)])
    assert result.exit_code == 1
    assert "roster.json" in result.output
    assert "smartshelf pki init" in result.output

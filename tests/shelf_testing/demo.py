"""``smartshelf demo`` as a person starts it, for end-to-end tests: real processes, a real broker, the shipped model."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
OPEN_WITHIN_S = 180.0
STOP_WITHIN_S = 10.0
_ADDRESS = re.compile(r"overview\s+(http://\S+?)/?$")


def demo_command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "smartshelf.py"), "demo", *arguments]


@dataclass
class OpenDemo:
    """``smartshelf demo`` as a person starts it: what it printed, and its processes."""

    process: subprocess.Popen[str]
    folder: Path
    printed: list[str] = field(default_factory=list)

    @property
    def web(self) -> str:
        return next(match[1] for line in self.printed if (match := _ADDRESS.search(line.strip())))

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, name: str) -> psutil.Process:
        """The running process whose command line holds ``name``."""
        return next(child for child in self.children() if any(name in word for word in child.cmdline()))

    def stop(self) -> tuple[int, float, list[psutil.Process]]:
        """Ctrl-C; the exit code, the seconds it took, and the processes it left behind."""
        children = self.children()
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(STOP_WITHIN_S + 5)
        took_s = time.monotonic() - began_s
        _, left = psutil.wait_procs(children, timeout=0.5)
        return code, took_s, left


def open_demo(folder: Path, *arguments: str) -> OpenDemo:
    process = subprocess.Popen(
        demo_command("--keep", str(folder), *arguments),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    demo = OpenDemo(process, folder)
    assert process.stderr is not None

    opened = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            demo.printed.append(line.rstrip())
            if "Ctrl-C closes it" in line:
                opened.set()
        opened.set()

    threading.Thread(target=read, daemon=True).start()
    opened.wait(OPEN_WITHIN_S)
    if process.poll() is not None or not any("Ctrl-C" in line for line in demo.printed):
        process.kill()
        logs = "\n".join(
            f"--- {log.name}\n{log.read_text()[-2000:]}" for log in sorted((folder / "logs").glob("*.log"))
        )
        raise AssertionError("the demo did not open:\n" + "\n".join(demo.printed) + logs)
    return demo


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return int(holder.getsockname()[1])

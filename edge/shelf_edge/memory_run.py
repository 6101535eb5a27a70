"""A run of ``bench_memory`` as seen from outside: started, followed, stopped early if somebody wants it, summed up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from shelf_contracts.errors import FileProblems, Problem

FRAMES_A_SECOND = 10
FRAMES_A_SAMPLE = 300
_LEAST_SAMPLES = 3
_START_S = 180.0
_SLOWEST_FRAME_S = 0.5
_STOP_S = 20.0


@dataclass(frozen=True)
class MemoryRun:
    """Memory of four cameras over their time.

    Attributes:
        minutes_a_sample: of the cameras' time; rss_mb: resident memory, anon_mb: of it what is no file's (on Linux).
        is_whole: False when it was stopped early.
    """

    minutes_a_sample: float
    rss_mb: tuple[float, ...]
    anon_mb: tuple[float, ...]
    is_whole: bool = True

    @property
    def minutes(self) -> float:
        return len(self.rss_mb) * self.minutes_a_sample

    @property
    def peak_mb(self) -> float:
        return max(self.rss_mb)

    def per_hour(self, values_mb: tuple[float, ...]) -> float:
        """The slope after the first third, by least squares, MB an hour."""
        late = len(values_mb) // 3
        at_h = (np.arange(len(values_mb)) + 1) * self.minutes_a_sample / 60
        return float(np.polyfit(at_h[late:], np.array(values_mb[late:], float), 1)[0])

    def figures(self) -> dict[str, Any]:
        """As ``edge bench --only memory --json`` gives them, and ``scripts/performance.py --memory`` takes them."""
        return {
            "rss_mb_peak": round(self.peak_mb, 1),
            "rss_mb_per_hour": round(self.per_hour(self.rss_mb), 2),
            "anon_mb_per_hour": round(self.per_hour(self.anon_mb), 2),
            "rss_minutes": round(self.minutes, 1),
            "rss_is_whole": self.is_whole,
            "minutes_a_sample": self.minutes_a_sample,
            "rss_samples_mb": list(self.rss_mb),
            "anon_samples_mb": list(self.anon_mb),
        }


def bench_memory_command(
    model: Path, recording: Path, frames: int, frames_a_sample: int = FRAMES_A_SAMPLE
) -> list[str]:
    """How the process is started that measures itself."""
    words = [str(model), str(recording), str(frames), str(frames_a_sample)]
    return [sys.executable, "-m", "shelf_edge.bench_memory", *words]


def measure_memory(model: Path, recording: Path, minutes: float, say: Callable[[str], None]) -> MemoryRun:
    """Run so many minutes of four cameras' time in a process of its own; a third to a fifth of that passes meanwhile.

    SIGINT and SIGTERM end it early: what was measured until then is the result. Raises: FileProblems when it fails.
    """
    frames = max(_LEAST_SAMPLES * FRAMES_A_SAMPLE, round(minutes * 60 * FRAMES_A_SECOND))
    command = bench_memory_command(model, recording, frames)
    path = os.pathsep.join(folder for folder in sys.path if folder)
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert child.stdout is not None
    assert child.stderr is not None
    whole = frames / FRAMES_A_SECOND / 60
    last: dict[str, Any] = {}
    watch = threading.Timer(_START_S + frames * _SLOWEST_FRAME_S, child.kill)
    watch.daemon = True
    watch.start()
    try:
        with _passed_on_to(child):
            for line in child.stdout:
                last = json.loads(line)
                if "at_min" in last:
                    say(f"memory of four cameras: {last['at_min']:.1f} of {whole:.0f} min, {last['rss_mb']:g} MB")
            said = child.stderr.read().strip().splitlines()
            code = child.wait(timeout=_STOP_S)
    finally:
        watch.cancel()
        if child.poll() is None:
            child.kill()
            child.wait(timeout=_STOP_S)
    if code != 0 or len(last.get("rss_samples_mb", ())) < _LEAST_SAMPLES:
        why = said[-1][:200] if said else f"exit code {code}, {len(last.get('rss_samples_mb', ()))} samples"
        allowed = f"must run for {_LEAST_SAMPLES} samples of {FRAMES_A_SAMPLE / FRAMES_A_SECOND:g} s of cameras' time"
        raise FileProblems("shelf_edge.bench_memory", [Problem("", why, allowed)])
    return MemoryRun(
        float(last["minutes_a_sample"]),
        tuple(last["rss_samples_mb"]),
        tuple(last["anon_samples_mb"]),
        bool(last["is_whole"]),
    )


@contextmanager
def _passed_on_to(child: subprocess.Popen[str]) -> Iterator[None]:
    """Who wants this process to end wants the child to end, and to say what it has; on the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

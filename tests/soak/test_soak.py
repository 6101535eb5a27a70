"""What grew is found, what did not is not; and a short run of the whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from shelf_simulator.soak.figures import Sample, growth

COMMAND = [sys.executable, "-m", "smartshelf", "soak", "--json"]


def samples(
    rss_mb: float, per_sample_mb: float = 0.0, files: int = 20, threads: int = 5, leak: int = 0
) -> list[Sample]:
    """Sixty samples in five minutes."""
    return [
        Sample(5.0 * n, rss_mb + n * per_sample_mb + (n % 3) * 0.2, files + n * leak, threads + n * leak)
        for n in range(60)
    ]


@pytest.mark.parametrize(
    ("taken", "is_flat"),
    [
        pytest.param(samples(100), True, id="flat"),
        pytest.param([Sample(0, 20, 5, 2), *samples(100)], True, id="warm-up does not count"),
        pytest.param(samples(100, 0.5), False, id="memory"),
        pytest.param(samples(1000, 0.5), True, id="memory, little for its size"),
        pytest.param(samples(100, leak=1), False, id="files and threads"),
    ],
)
def test_growth(taken: list[Sample], is_flat: bool) -> None:
    found = growth("p", taken)
    assert found.is_flat is is_flat
    if is_flat:
        assert abs(found.rss_slope_mb_h) < 400


def test_the_slope_is_per_hour() -> None:
    assert growth("p", samples(100, 0.5)).rss_slope_mb_h == pytest.approx(360, rel=0.02)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        growth("p", samples(100)[:5])


def soak(minutes: str, cameras: str) -> tuple[int, dict[str, object]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*COMMAND, "--minutes", minutes, "--cameras", cameras, "--fps", "2"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert ended.stdout, ended.stderr
    report: dict[str, object] = json.loads(ended.stdout.splitlines()[-1])
    return ended.returncode, report


@pytest.mark.e2e
@pytest.mark.slow
def test_a_short_run_measures_every_process() -> None:
    _, report = soak("0.15", "1")  # too short for a verdict on memory
    processes = {one["process"]: one for one in report["processes"]}  # type: ignore[attr-defined]
    assert set(processes) == {"broker", "simulator", "collector", "edge", "rehearsal"}
    assert all(one["rss_mb"] > 5 and one["files"][1] > 0 for one in processes.values())
    assert report["messages"] > 20  # type: ignore[operator]
    assert report["outbox_left"] == 0


@pytest.mark.e2e
@pytest.mark.long
def test_two_minutes_are_flat_and_lose_nothing() -> None:
    code, report = soak("2", "4")
    assert code == 0, report

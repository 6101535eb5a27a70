"""Two hundred displays at once: what was reached for is matched with what each of them was told."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from shelf_simulator.bench.wall import Wall, measure_wall
from shelf_simulator.bench.wall_figures import Reach, Sight, Usage, WallFigures, wall_figures
from shelf_simulator.demo.shop import free_ports
from shelf_simulator.soak.figures import Sample

FLAT = [Sample(float(second), 90.0, 20, 8) for second in range(12)]
USAGE = Usage(2.0, 1.0, 0.4, FLAT, 0, (0.5, 1.0), 2)
DISPLAYS = (("d1", "a01"), ("d2", "a01"), ("d3", "a02"))


def summed(sights: list[Sight]) -> WallFigures:
    reaches = [Reach("a01", 100.0), Reach("a02", 101.0), Reach("a01", 102.0)]
    return wall_figures(DISPLAYS, {"d1"}, reaches, sights, USAGE)


def test_each_reach_counts_on_every_display_of_its_bay() -> None:
    found = summed([
        Sight("d1", 100.0, 100.1), Sight("d1", 102.0, 102.2), Sight("d2", 100.0, 100.3), Sight("d2", 102.0, 102.4),
        Sight("d3", 101.0, 101.5),
    ])  # fmt: skip
    assert (found.repaints, found.lost, found.overtaken) == (5, 0, 0)
    assert (found.p50_ms, found.p95_ms, found.painted_p95_ms) == (300.0, 500.0, 200.0)
    assert (found.cpu_us_per_repaint, found.is_flat) == (400_000.0, True)
    assert json.loads(found.to_json())["displays"] == 3


def test_what_a_newer_reach_overtook_is_late_and_not_lost() -> None:
    found = summed([
        Sight("d1", 102.0, 102.2), Sight("d1", 102.0, 109.0),  # the second after a reconnect
        Sight("d2", 100.0, 100.3), Sight("d3", 101.0, 101.5),
    ])  # fmt: skip
    assert (found.repaints, found.lost, found.overtaken) == (5, 1, 1)
    assert found.worst_ms == 2200.0


def test_displays_that_never_change_are_no_figure() -> None:
    with pytest.raises(ValueError, match="no display ever changed"):
        summed([])


def measured(folder: Path, displays: int, seconds: float, reaches_per_s: float) -> WallFigures:
    ports = free_ports(None)
    wall = Wall.of(folder, 8, displays, (ports.broker, ports.web))
    return measure_wall(wall, 0, seconds, reaches_per_s, threading.Event(), lambda text: None)


@pytest.mark.e2e
def test_two_hundred_displays_get_every_reach_and_cost_no_more_each_than_few(tmp_path: Path) -> None:
    """Ratios and counts: how fast a machine that runs tests is, nobody can say."""
    many = measured(tmp_path / "many", 200, 4, 6)
    assert (many.displays, many.repaints, many.lost, many.reconnects) == (200, 600, 0, 0)
    few = measured(tmp_path / "few", 8, 2, 6)
    assert (few.repaints, few.lost) == (12, 0)
    assert many.cpu_us_per_repaint < few.cpu_us_per_repaint, "what is made is made once for all displays of a bay"


@pytest.mark.long
def test_memory_stays_flat_with_two_hundred_displays(tmp_path: Path) -> None:
    found = measured(tmp_path, 200, 120, 8)
    assert (found.lost, found.reconnects, found.is_flat) == (0, 0, True)

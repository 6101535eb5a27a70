"""``smartshelf edge bench``: that it measures something; how much is for docs/performance.md."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from shelf_contracts.shipped import model_folder
from shelf_edge.adapters.model_folder import locate_model
from shelf_edge.bench import bench_planogram, scenes
from shelf_edge.cli import app


@pytest.mark.slow
def test_each_figure_is_measured() -> None:
    answer = CliRunner().invoke(app, ["bench", "--frames", "12", "--parts", "growth", "--json"])
    assert answer.exit_code == 0, answer.output
    figures = json.loads(answer.stdout.strip().splitlines()[-1])
    assert figures["overhead_vs_bare"] > 0.5
    assert 0 < figures["rest_ms"] <= figures["rest_with_rechecks_ms"]
    assert figures["start_s"] > 0
    assert figures["rss_mb"] > 20
    assert figures["slots"] == 24
    assert [point["count"] for point in figures["growth"]["slots"]] == [4, 12, 24, 48, 96, 192]
    assert figures["growth"]["products"][-1]["count"] == 10_000


def test_a_peer_that_is_not_there_is_told() -> None:
    answer = CliRunner().invoke(app, ["bench", "--frames", "10", "--parts", "none", "--peer-python", "/nowhere/python"])
    assert answer.exit_code == 2
    assert "/nowhere/python" in answer.output


def test_the_scene_is_full_and_its_planogram_has_boards() -> None:
    assert len(scenes(locate_model(model_folder()), 2)) == 2
    plan = bench_planogram()
    assert all(view.floor is not None for view in plan.view_of("c1").slots.values())

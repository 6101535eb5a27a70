"""The figures of a measured run: each reach is joined with its own pixel."""

from __future__ import annotations

import json

import pytest

from shelf_simulator.bench.display import paints_of
from shelf_simulator.bench.figures import Paint, figures

NOON_MS = 1_795_348_800_000.0


def mark(received_ms: float, captured: str = "12:00:00.000", decided: str = "12:00:00.060") -> dict[str, object]:
    day = "2026-11-22T"
    return {
        "captured_at": f"{day}{captured}Z", "decided_at": f"{day}{decided}Z", "received_ms": NOON_MS + received_ms,
        "painted_ms": NOON_MS + received_ms + 40,
    }  # fmt: skip


def test_a_change_is_painted_by_the_first_pixel_after_it_and_before_the_next() -> None:
    marks = [mark(70), mark(200), mark(300)]
    paints = paints_of("0", marks, [NOON_MS + 310, NOON_MS + 20, NOON_MS + 90, NOON_MS + 95])
    assert [paint.painted_ms - NOON_MS for paint in paints] == [90, 240, 310], "without a pixel: the frame after it"
    assert {(paint.captured_ms, paint.decided_ms) for paint in paints} == {(NOON_MS, NOON_MS + 60)}


def test_figures_are_of_the_whole_way() -> None:
    paints = [Paint("0", 0.0, 50.0, 60.0, 80.0 + number) for number in range(100)]
    found = json.loads(figures(paints, 2, 60, (0.5, 1.0), 2).to_json())
    assert (found["p50_ms"], found["p95_ms"], found["displays"], found["reaches"]) == (129.0, 174.0, 2, 100)
    assert (found["to_collector_p50_ms"], found["to_page_p50_ms"]) == (50.0, 10.0)


def test_nothing_reached_for_is_no_figure() -> None:
    with pytest.raises(ValueError, match="nobody reached"):
        figures([], 1, 60, (0.0, 0.0), 2)

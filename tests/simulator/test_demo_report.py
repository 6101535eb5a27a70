"""What a measured run says of itself to people."""

from __future__ import annotations

import pytest

from shelf_contracts.scoring import event_figures
from shelf_simulator.demo.report import (
    AlertFigures,
    CountFigures,
    DemoReport,
    FrameFigures,
    LatencyFigures,
    MessageFigures,
)


def report(frames: FrameFigures) -> DemoReport:
    none = LatencyFigures(None, None, None, None, None, None)
    counts = CountFigures(None, None, None, None, None, None)
    events = event_figures([])
    return DemoReport(
        seconds=90.0, seed=7, bays=1, broker="nats", events=events, quantity_exact=None, counts=counts,
        alerts=AlertFigures(0, 0, 0), latency_ms=none, frames=frames, messages=MessageFigures(0, 0, 0, 0), rss_mb={},
    )  # fmt: skip


@pytest.mark.parametrize(("seen", "dropped", "says"), [(0, 0, False), (900, 90, False), (900, 91, True)])
def test_a_machine_that_was_too_busy_is_said_first(seen: int, dropped: int, says: bool) -> None:
    lines = report(FrameFigures(seen, dropped)).summary()
    assert lines[0].startswith("this machine was too busy") == says
    assert any(f"{seen} seen, {dropped} dropped" in line for line in lines)

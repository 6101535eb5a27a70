"""The figures of a bay."""

from __future__ import annotations

import pytest

from shelf_collector.core.kpis import PlannedReading, bay_state
from tests.collector.test_alerts import reading

UNKNOWN = reading(None)


@pytest.mark.parametrize(
    ("readings", "osa", "fill", "coverage"),
    [
        pytest.param([], None, None, 0.0, id="nothing planned"),
        pytest.param([None, None], None, None, 0.0, id="nothing said"),
        pytest.param([UNKNOWN, None], None, None, 0.0, id="nothing known"),
        pytest.param([reading(6), reading(0)], 0.5, 0.5, 1.0, id="one of two is out"),
        pytest.param([reading(3), UNKNOWN, None, reading(0)], 0.5, 0.25, 0.5, id="unknown counts in coverage alone"),
        pytest.param([reading(8)], 1.0, 1.0, 1.0, id="more than fits"),
        pytest.param([reading(0, 4, 1)], 1.0, 0.1667, 1.0, id="the best count speaks"),
    ],
)
def test_bay_state(readings: list, osa: float | None, fill: float | None, coverage: float) -> None:  # type: ignore[type-arg]
    state = bay_state(PlannedReading(6, one) for one in readings)
    assert (state.osa, state.fill, state.coverage) == (osa, fill, coverage)

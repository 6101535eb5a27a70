"""What was measured at displays, as figures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

_ENDED_EARLY_MS = 60_000.0


@dataclass(frozen=True, slots=True)
class Paint:
    """A reach on its way to the glass, in ms since the epoch by this computer's one clock.

    Attributes:
        captured_ms: capture time of the frame that decided it.
        decided_ms: when the collector had folded it.
        received_ms: when the page had it.
        painted_ms: when its pixels were on the screen, as the browser says (Element Timing, else the frame after it).
    """

    display: str
    captured_ms: float
    decided_ms: float
    received_ms: float
    painted_ms: float


@dataclass(frozen=True, slots=True)
class DisplayFigures:
    """The result. ``load`` is the run queue's mean over a minute, before and after: a loaded machine is slower."""

    p50_ms: float
    p95_ms: float
    displays: int
    reaches: int
    seconds: float
    to_collector_p50_ms: float
    to_page_p50_ms: float
    to_paint_p50_ms: float
    to_paint_p95_ms: float
    after_collector_p95_ms: float
    load_before: float
    load_after: float
    cpus: int

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def in_words(self) -> str:
        return (
            f"{self.reaches} reaches on {self.displays} displays: half within {self.p50_ms:g} ms, 95 of 100 within "
            f"{self.p95_ms:g} ms (load {self.load_before:g} to {self.load_after:g} on {self.cpus} CPUs)"
        )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of all do not exceed.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5), percentile([1.0, 2.0], 0.95)
    (2.0, 2.0)
    """
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 1)


def figures(
    paints: Sequence[Paint], displays: int, seconds: float, loads: tuple[float, float], cpus: int
) -> DisplayFigures:
    """Sum up. Raises: ValueError when nothing was reached for."""
    paints = [paint for paint in paints if paint.painted_ms - paint.captured_ms < _ENDED_EARLY_MS]
    if not paints:
        raise ValueError("nobody reached for anything in this time: measure for longer, or take --scenario busy")
    whole = [paint.painted_ms - paint.captured_ms for paint in paints]
    on_page = [paint.painted_ms - paint.received_ms for paint in paints]
    return DisplayFigures(
        p50_ms=percentile(whole, 0.5),
        p95_ms=percentile(whole, 0.95),
        displays=displays,
        reaches=len(paints),
        seconds=seconds,
        to_collector_p50_ms=percentile([paint.decided_ms - paint.captured_ms for paint in paints], 0.5),
        to_page_p50_ms=percentile([paint.received_ms - paint.decided_ms for paint in paints], 0.5),
        to_paint_p50_ms=percentile(on_page, 0.5),
        to_paint_p95_ms=percentile(on_page, 0.95),
        after_collector_p95_ms=percentile([paint.painted_ms - paint.decided_ms for paint in paints], 0.95),
        load_before=round(loads[0], 2),
        load_after=round(loads[1], 2),
        cpus=cpus,
    )

"""What hundreds of displays were told and when, as figures. Pure."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from shelf_simulator.bench.figures import percentile
from shelf_simulator.soak.figures import Sample, growth


@dataclass(frozen=True, slots=True)
class Reach:
    """A hand reached in a bay; seconds since the epoch, as all times here."""

    bay: str
    captured_s: float


@dataclass(frozen=True, slots=True)
class Sight:
    """A display had (in a browser: had painted) what the frame of ``captured_s`` caused."""

    display: str
    captured_s: float
    seen_s: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What the collector used while it was measured; loads as ``os.getloadavg`` before and after."""

    cpu_s: float
    connected_s: float
    connect_cpu_s: float
    samples: Sequence[Sample]
    reconnects: int
    loads: tuple[float, float]
    cpus: int


@dataclass(frozen=True, slots=True)
class WallFigures:
    """The result. A repaint is one reach on one display; its time runs from the frame to the stream's end or the paint.

    Attributes:
        lost: repaints that never came: neither this reach nor a newer one of the bay reached the display.
        overtaken: repaints that came with a newer reach, because the display was told of both at once.
        painted_p95_ms: only of the displays that are browsers; null without any.
        connected_s: from nothing to every display having the present state, and the collector's CPU for it.
        rss_rise_mb: least squares over the run after its first third; flat as the soak test says it.
    """

    p50_ms: float
    p95_ms: float
    worst_ms: float
    displays: int
    browsers: int
    bays: int
    reaches: int
    repaints: int
    lost: int
    overtaken: int
    reconnects: int
    painted_p50_ms: float | None
    painted_p95_ms: float | None
    cpu_ms_per_reach: float
    cpu_us_per_repaint: float
    connected_s: float
    connect_cpu_ms_per_display: float
    rss_mb: float
    rss_rise_mb: float
    is_flat: bool
    load_before: float
    load_after: float
    cpus: int

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def in_words(self) -> str:
        return (
            f"{self.reaches} reaches, {self.repaints} repaints on {self.displays} displays, {self.lost} lost: half "
            f"within {self.p50_ms:g} ms, 95 of 100 within {self.p95_ms:g} ms; the collector took "
            f"{self.cpu_us_per_repaint:g} µs of CPU a repaint and holds {self.rss_mb:g} MB, "
            f"{self.rss_rise_mb:+g} MB over the run "
            f"(load {self.load_before:g} to {self.load_after:g} on {self.cpus} CPUs)"
        )


def wall_figures(
    displays: Sequence[tuple[str, str]], browsers: Collection[str], reaches: Sequence[Reach], sights: Sequence[Sight],
    usage: Usage,
) -> WallFigures:  # fmt: skip
    """Match what was reached for with what was seen, display by display.

    Args:
        displays: pairs of display and bay.
        browsers: those of them that are browsers.

    Raises: ValueError when nothing was seen, or the run was too short to speak of memory.
    """
    seen: dict[str, list[Sight]] = defaultdict(list)
    for sight in sorted(sights, key=lambda one: one.captured_s):
        seen[sight.display].append(sight)
    by_bay: dict[str, list[float]] = defaultdict(list)
    for reach in reaches:
        by_bay[reach.bay].append(reach.captured_s)
    waits_ms: list[float] = []
    painted_ms: list[float] = []
    lost = overtaken = 0
    for display, bay in displays:
        mine = _first_sights(seen[display])
        times = [sight.captured_s for sight in mine]
        for captured_s in by_bay[bay]:
            at = bisect_left(times, captured_s)
            if at == len(times):
                lost += 1
                continue
            overtaken += times[at] != captured_s
            wait_ms = (mine[at].seen_s - captured_s) * 1000
            waits_ms.append(wait_ms)
            if display in browsers:
                painted_ms.append(wait_ms)
    if not waits_ms:
        raise ValueError("no display ever changed: reach more often or measure for longer")
    memory = growth("collector", usage.samples)
    return WallFigures(
        p50_ms=percentile(waits_ms, 0.5),
        p95_ms=percentile(waits_ms, 0.95),
        worst_ms=percentile(waits_ms, 1.0),
        displays=len(displays),
        browsers=len(browsers),
        bays=len({bay for _, bay in displays}),
        reaches=len(reaches),
        repaints=len(waits_ms) + lost,
        lost=lost,
        overtaken=overtaken,
        reconnects=usage.reconnects,
        painted_p50_ms=percentile(painted_ms, 0.5) if painted_ms else None,
        painted_p95_ms=percentile(painted_ms, 0.95) if painted_ms else None,
        cpu_ms_per_reach=round(usage.cpu_s * 1000 / len(reaches), 2),
        cpu_us_per_repaint=round(usage.cpu_s * 1e6 / len(waits_ms), 1),
        connected_s=round(usage.connected_s, 2),
        connect_cpu_ms_per_display=round(usage.connect_cpu_s * 1000 / len(displays), 2),
        rss_mb=memory.rss_mb,
        rss_rise_mb=memory.rss_rise_mb,
        is_flat=memory.is_flat,
        load_before=round(usage.loads[0], 2),
        load_after=round(usage.loads[1], 2),
        cpus=usage.cpus,
    )


def _first_sights(sights: Sequence[Sight]) -> list[Sight]:
    """Of each frame the first sight, in the order of frames: a display may be told the same twice after a reconnect."""
    first: dict[float, Sight] = {}
    for sight in sights:
        held = first.get(sight.captured_s)
        if held is None or sight.seen_s < held.seen_s:
            first[sight.captured_s] = sight
    return list(first.values())

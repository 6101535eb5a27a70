"""Write docs/performance.md: run ``smartshelf edge bench`` and put its figures down as they are.

Usage: python scripts/performance.py [--from FIGURES.json] [--memory RUN.json] [options of smartshelf edge bench]
(make performance). With --from, figures that were measured elsewhere are written: the last line of that output, or
docs/performance.json, where the last ones are kept. With --memory, those of memory are of a long run of its own
(``smartshelf edge bench --only memory --memory-minutes 1440 --json > RUN.json``), with a plot.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "docs" / "performance.json"
PLOT = ROOT / "docs" / "pictures" / "performance-growth.svg"
MEMORY_PLOT = ROOT / "docs" / "pictures" / "performance-memory.svg"
MEMORY_POINTS = 240
WIDTH, HEIGHT, LEFT, TOP, SIDE = 900, 300, 60, 40, 200

TARGETS: tuple[tuple[str, str, float, bool], ...] = (
    ("overhead_vs_bare", "whole path of a frame against the bare `session.run`", 1.10, False),
    ("rest_ms", "CPU ms of a 1280x720 frame with nothing going on, after decoding", 0.3, False),
    ("speedup_vs_ultralytics", "frames/s against ultralytics, all cores", 2.0, True),
    ("memory_vs_ultralytics", "peak memory of a process against ultralytics", 0.3, False),
    ("start_vs_ultralytics", "process start to first detection against ultralytics", 0.15, False),
    ("cameras_ratio", "cameras on 2 cores against detect-every-frame", 10.0, True),
    ("rss_mb_peak", "peak MB of four cameras", 350.0, False),
    ("rss_mb_per_hour", "growth of that memory, MB an hour", 0.0, False),
)
"""Key, what it is, target, whether more is better."""

RATIOS = ("overhead_vs_bare", "memory_vs_ultralytics", "start_vs_ultralytics")


@dataclass(frozen=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]


def main() -> None:
    arguments = sys.argv[1:]
    taken = {}
    while arguments[:1] in (["--from"], ["--memory"]):
        taken[arguments[0]] = Path(arguments[1]).read_text(encoding="utf-8")
        arguments = arguments[2:]
    told = taken.get("--from")
    if told is None:
        if "--memory" in taken:  # the long run has it
            arguments = [*arguments, "--parts", "cameras,growth"]
        command = [sys.executable, str(ROOT / "smartshelf.py"), "edge", "bench", "--json", *arguments]
        told = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, Any] = json.loads(told.strip().splitlines()[-1])
    figures.setdefault("measured", f"{datetime.now(UTC):%Y-%m-%d} on {platform.machine()}")
    figures.setdefault("python", platform.python_version())
    if "--memory" in taken:
        figures |= with_fewer_samples(json.loads(taken["--memory"].strip().splitlines()[-1]))
    KEPT.write_text(json.dumps(figures) + "\n", encoding="utf-8")
    (ROOT / "docs" / "performance.md").write_text(document(figures), encoding="utf-8")


def with_fewer_samples(run: dict[str, Any]) -> dict[str, Any]:
    """A long run's figures, its samples thinned out to what a plot shows; of several the largest is kept."""
    several = max(1, -(-len(run["rss_samples_mb"]) // MEMORY_POINTS))
    thin = dict(run)
    for key in ("rss_samples_mb", "anon_samples_mb"):
        values = run.get(key, [])
        thin[key] = [max(values[at : at + several]) for at in range(0, len(values), several)]
    return thin | {"minutes_a_sample": run["minutes_a_sample"] * several}


def document(figures: dict[str, Any]) -> str:
    """The whole document; the plot is written beside it when there is something to plot."""
    if figures.get("cameras_every_frame"):
        figures["cameras_ratio"] = round(figures["cameras"] / figures["cameras_every_frame"], 2)
    parts = [
        "# Performance",
        "",
        "Written by `make performance` (`smartshelf edge bench --json`); do not edit. Ratios are of one run on one "
        "machine, what is compared taken in turn, because absolute times are those of that machine and of what else "
        "it did.",
        "",
        f"Measured {figures['measured']}, {figures['cpus']} CPUs, load "
        f"{figures['load']:g} at the time, Python {figures['python']}, {figures['frames']} frames a figure.",
        "",
        *_busy(figures),
        *_targets(figures),
        *_path(figures),
        *_cameras(figures),
        *_growth(figures),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _busy(figures: dict[str, Any]) -> list[str]:
    if figures["load"] <= figures["cpus"]:
        return []
    return [
        "**The machine was busy with other work.** Figures of processor time and memory stand; those of the clock "
        "(`speedup_vs_ultralytics`, `start_vs_ultralytics`, `start_s`) do not: a peer that spreads over all cores "
        "loses most by it. Measure them anew on a quiet machine.",
        "",
    ]


def _targets(figures: dict[str, Any]) -> list[str]:
    rows = ["## Targets", "", "| what | measured | target | met |", "|---|---|---|---|"]
    for key, about, target, is_more_better in TARGETS:
        value = figures.get(key)
        if value is None:
            rows.append(f"| {about} | not measured | {target:g} | – |")
            continue
        is_met = value >= target if is_more_better else value <= target
        sign = "at least" if is_more_better else "at most"
        rows.append(
            f"| {about} (`{key}`) | {_told(key, value)} | {sign} {target:g} | {'yes' if is_met else '**no**'} |"
        )
    return [*rows, "", *_why_not(figures), "", *_peer(figures)]


def _told(key: str, value: float) -> str:
    """Ratios with three digits: 0.293 is not its target of 0.3."""
    return f"{value:.3f}" if key in RATIOS else f"{value:g}"


def _peer(figures: dict[str, Any]) -> list[str]:
    if figures.get("speedup_vs_ultralytics") is None:
        return []
    return [
        "The peer is YOLO11n as ultralytics exports it, run by ultralytics' own `predict`, and untrained: an input of "
        "640 x 640, about three times our weights, nothing found and so nothing sorted out. These are figures of "
        "speed, memory and start alone. That ours finds as much at that speed (equal AP) is **not shown** by them, "
        "and part of the speed is the smaller network and its "
        "[rectangular input](performance-levers.md#levers-around-the-graph).",
        "",
    ]


def _why_not(figures: dict[str, Any]) -> list[str]:
    told = ["What holds the misses back:", ""]
    if figures["overhead_vs_bare"] > 1.10:
        told.append(
            f"- `overhead_vs_bare`: the graph alone takes {figures['bare_ms']:g} ms here, so ten percent are "
            f"{figures['bare_ms'] / 10:.2f} ms; shrinking a 720p picture, decoding, suppression and parts are "
            f"{figures['ms_per_frame'] - figures['bare_ms']:.2f} ms. [Piece by piece, and what was tried]"
            "(performance-levers.md#the-path-of-a-frame-overhead_vs_bare)."
        )
    if figures.get("memory_vs_ultralytics", 0) > 0.3:
        told.append(
            f"- `memory_vs_ultralytics`: {figures['rss_mb']:g} MB, most of it libraries and the session. [What it is "
            "made of, and what was tried](performance-levers.md#memory-of-a-process-memory_vs_ultralytics)."
        )
    if figures.get("cameras_ratio", 10) < 10:
        told.append(_why_few_cameras(figures))
    if figures.get("rss_mb_per_hour", 0) > 0 and "rss_samples_mb" in figures:
        told.append(
            f"- `rss_mb_per_hour`: over {_long(figures['rss_minutes'])}, without the first third; if that went on, "
            f"{24 * figures['rss_mb_per_hour']:.1f} MB a day. "
            "[Steps, and what was looked into](performance-levers.md#growth-of-memory-rss_mb_per_hour)."
        )
    elif figures.get("rss_mb_per_hour", 0) > 0:
        told.append(
            f"- `rss_mb_per_hour`: a slope over {figures['rss_minutes']:g} minutes, of which the first third is left "
            "out, shows the last of the warming up, and any step makes it more than 0. [What a longer look from "
            "outside showed](performance-levers.md#growth-of-memory-rss_mb_per_hour)."
        )
    return told if len(told) > 2 else []


def _why_few_cameras(figures: dict[str, Any]) -> str:
    detail, cameras = figures["cameras_detail"], figures["cameras"]
    looking = cameras * 10 * detail["gated_ms"] / 1000
    busy = next((one["busy"] for one in detail["curve"] if one["cameras"] == cameras), None)
    both = "" if busy is None else f", while both cores together are {100 * busy:.0f} % busy"
    by_work = (detail["every_frame_ms"] + detail["decode_ms"]) / (detail["gated_ms"] + detail["decode_ms"])
    return (
        f"- `cameras_ratio`: one thread looks at all cameras, and that is what is full: {cameras} cameras x 10 "
        f"frames/s x {detail['gated_ms']:.2f} ms take {looking:.2f} of its time{both}. With both cores full on both "
        f"sides the ratio would be about {by_work:.1f}: what a frame costs with the detector at each, decoding "
        "included, against what it costs as the node works. That is bound by the "
        f"{100 * detail['looked_at']:.0f} % of the frames that are looked at, so that a reach is known within two; "
        "only those in which nothing moved since the one before need no detector. "
        "[What was tried](performance-levers.md#fewer-or-cheaper-looks-cameras_ratio)."
    )


def _path(figures: dict[str, Any]) -> list[str]:
    return [
        "## A frame, a shelf at rest, a start",
        "",
        "| figure | value | how |",
        "|---|---|---|",
        f"| `ms_per_frame`, `bare_ms` | {figures['ms_per_frame']:g}, {figures['bare_ms']:g} | median ms of CPU, one "
        "thread, the model's golden scene at 1280x720; frame by frame in turn |",
        f"| `rest_ms` | {figures['rest_ms']:g} | CPU time, gate and state of {figures['slots']} slots, sensor noise |",
        f"| `rest_with_rechecks_ms` | {figures['rest_with_rechecks_ms']:g} | the same with a look every 2 s |",
        f"| `start_s`, `rss_mb` | {figures['start_s']:g}, {figures['rss_mb']:g} | a process of its own, until its "
        "first detection; its peak |",
        "",
    ]


def _cameras(figures: dict[str, Any]) -> list[str]:
    detail = figures.get("cameras_detail")
    told: list[str] = []
    if detail is not None:
        told += [
            "## Cameras on two cores",
            "",
            "A simulated bay (21 slots, 960x540 JPEGs, 10 frames/s, a shopper about every 20 s) goes through the "
            "node's chain once as it is and once with the detector at every frame. Each frame's work is measured by "
            "the thread's processor time; copies of it, shifted in time, are then laid on two cores as the node would "
            "do it (`core/capacity.py`): a capture thread a camera decodes, one thread looks, the newest frame wins. A "
            "number of cameras is carried when 95 of 100 reaches would be told within 150 ms, if two looks (100 ms) "
            "were enough for each, and at most 1 of 100 frames is dropped: that is what load costs. How many looks a "
            f"hand needs to be believed is another matter: here 95 of 100 are told {_ms(detail['decided_p95_s'])} ms "
            "after the first look with the hand in the slot, with one camera as with many, so that by the whole way "
            "from hand to event **no number of cameras stays under 150 ms**. By the simulator's truth, from the finger "
            "that crosses the slot's front: [accuracy.md](accuracy.md), *hand to reach*. Writing the outbox and the "
            "recogniser, which waits, are left out.",
            "",
            "| | cameras | CPU ms a frame after decoding | frames looked at |",
            "|---|---|---|---|",
            f"| as the node works (`cameras`) | {figures['cameras']} | {detail['gated_ms']:.2f} | "
            f"{100 * detail['looked_at']:.0f} % |",
            f"| detect every frame (`cameras_every_frame`) | {figures['cameras_every_frame']} | "
            f"{detail['every_frame_ms']:.2f} | 100 % |",
            "",
            f"Decoding: {detail['decode_ms']:.2f} ms a frame, in both.",
            "",
        ]
    if figures.get("rss_mb_peak") is not None:
        told += [
            "## Memory of four cameras",
            "",
            f"The pipeline's thread, detector, journal, outbox and books in a process of their own, on four cameras' "
            f"JPEGs of that bay as fast as they go: {_long(figures['rss_minutes'])} of the cameras' time. Peak "
            f"{figures['rss_mb_peak']:g} MB; the slope by least squares after the first third is "
            f"{figures['rss_mb_per_hour']:g} MB an hour. {_of_run(figures)}",
            "",
        ]
        if "rss_samples_mb" in figures:
            told += _memory_plot(figures)
    return told


def _long(minutes: float) -> str:
    return f"{minutes:g} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


def _of_run(figures: dict[str, Any]) -> str:
    if "rss_samples_mb" not in figures:
        return "A short stretch makes a small step look large: `--only memory --memory-minutes 1440` is a day."
    ended = "" if figures["rss_is_whole"] else " It was ended before the day was over."
    anon = figures.get("anon_mb_per_hour")
    own = "" if anon is None else f" What is no file's (`anon`) has a slope of {anon:g} MB an hour."
    return (
        "That is a run of its own, `smartshelf edge bench --only memory --memory-minutes 1440 --json`, on a machine "
        f"that was busy with other work.{ended}{own}"
    )


def _memory_plot(figures: dict[str, Any]) -> list[str]:
    every_h = figures["minutes_a_sample"] / 60
    lines = [
        Line(name, [((at + 1) * every_h, value) for at, value in enumerate(figures[key])])
        for name, key in (("resident", "rss_samples_mb"), ("no file's", "anon_samples_mb"))
        if figures.get(key)
    ]
    above = [Line(line.name, [(at, value - line.points[0][1]) for at, value in line.points]) for line in lines]
    panels = [("memory", "hours", "MB", lines), ("growth", "hours", "MB above the first sample", above)]
    svg = panels_svg(panels, "Memory of four cameras over the hours")
    MEMORY_PLOT.write_text(svg, encoding="utf-8")
    return [f"![Memory of four cameras over the hours](pictures/{MEMORY_PLOT.name})", ""]


def _growth(figures: dict[str, Any]) -> list[str]:
    growth = figures.get("growth")
    if growth is None:
        return []
    detail = figures.get("cameras_detail")
    panels: list[tuple[str, str, str, list[Line]]] = []
    if detail is not None:
        curve = [(point["cameras"], 100 * min(point["busy"], 1.0)) for point in detail["curve"]]
        panels.append(("cameras", "cameras", "% of two cores", [Line("busy", curve)]))
    slots, products = growth["slots"], growth["products"]
    panels.append(
        (
            "slots", "slots", "CPU ms a frame",
            [
                Line("look, without the detector", [(one["count"], one["look_ms"]) for one in slots]),
                Line("at rest", [(one["count"], one["rest_ms"]) for one in slots]),
            ],
        )
    )  # fmt: skip
    panels.append(
        ("products", "products", "CPU ms a look", [Line("six crops", [(p["count"], p["look_ms"]) for p in products])])
    )
    PLOT.write_text(panels_svg(panels), encoding="utf-8")
    rows = [
        "## Growth",
        "",
        "![What cameras, slots and products cost](pictures/performance-growth.svg)",
        "",
        "| slots | at rest, ms | a look without the detector, ms |",
        "|---|---|---|",
        *(f"| {one['count']} | {one['rest_ms']:g} | {one['look_ms']:g} |" for one in slots),
        "",
        "| known products, five photos each | six crops compared, ms |",
        "|---|---|",
        *(f"| {one['count']} | {one['look_ms']:g} |" for one in products),
    ]
    if detail is not None:
        rows += [
            "",
            "| cameras | reach p95, ms | frames dropped | cores busy |",
            "|---|---|---|---|",
            *(
                f"| {one['cameras']} | {_ms(one['reach_p95_s'])} | {100 * one['dropped']:.1f} % | "
                f"{100 * one['busy']:.0f} % |"
                for one in detail["curve"]
            ),
        ]
    return rows


def _ms(seconds: float | None) -> str:
    return "never" if seconds is None else f"{1000 * seconds:.0f}"


def panels_svg(
    panels: Sequence[tuple[str, str, str, Sequence[Line]]], about: str = "What cameras, slots and products cost"
) -> str:
    """Small plots side by side: name, words of both axes, lines; both axes begin at 0."""
    wide = LEFT + SIDE + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide * len(panels)} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img" '
        f'aria-label="{about}">',
        f'<rect width="{wide * len(panels)}" height="{HEIGHT}" fill="white"/>',
    ]
    for index, (_, x_words, y_words, lines) in enumerate(panels):
        left = index * wide + LEFT
        most_x = max(x for line in lines for x, _ in line.points)
        most_y = max(y for line in lines for _, y in line.points) or 1.0
        for half in (0.0, 0.5, 1.0):
            x, y = left + SIDE * half, TOP + SIDE * (1 - half)
            parts += [
                f'<path d="M{left} {y:.1f}h{SIDE}M{x:.1f} {TOP}v{SIDE}" stroke="#ddd" fill="none"/>',
                f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{most_y * half:.3g}</text>',
                f'<text x="{x:.1f}" y="{TOP + SIDE + 16}" text-anchor="middle">{most_x * half:.4g}</text>',
            ]
        parts.append(f'<text x="{left + SIDE / 2}" y="{TOP + SIDE + 36}" text-anchor="middle">{x_words}</text>')
        parts.append(f'<text x="{left - 40}" y="{TOP - 22}">{y_words}</text>')
        for number, line in enumerate(lines):
            colour = ("#1f6f8b", "#c0392b")[number % 2]
            points = " ".join(
                f"{left + SIDE * x / most_x:.1f},{TOP + SIDE * (1 - y / most_y):.1f}" for x, y in line.points
            )
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts.append(f'<text x="{left + 100 * number}" y="{TOP - 6}" fill="{colour}">{line.name}</text>')
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    main()

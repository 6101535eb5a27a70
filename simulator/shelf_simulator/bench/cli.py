"""``smartshelf bench``: how fast the shop is, measured."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from shelf_simulator.bench.figures import DisplayFigures
from shelf_simulator.bench.wall_figures import WallFigures

MOST_BROWSERS = 16
LARGEST_BAYS = 8

app = typer.Typer(help="How fast the shop is, measured.", add_completion=False)

_console = Console(stderr=True, highlight=False, soft_wrap=True)


@app.callback()
def bench() -> None:
    """How fast the shop is, measured."""


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def edge(context: typer.Context) -> None:
    """The node: a frame against the bare graph, a shelf at rest, the start, and a peer (smartshelf edge bench)."""
    # Components never import one another: the node's own command runs in a process of its own.
    raise typer.Exit(subprocess.call([sys.executable, "-m", "shelf_edge", "bench", *context.args]))


@app.command()
def display(
    displays: Annotated[
        int, typer.Option(min=1, max=1000, help="How many displays, spread over the bays; more than 16: see above.")
    ] = 3,
    bays: Annotated[
        int, typer.Option(min=0, max=100, help="How many bays; at most 8 with simulated cameras; 0: 1, or 8.")
    ] = 0,
    seconds: Annotated[int, typer.Option(min=5, max=3600, help="How long to measure.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same shop and the same shoppers.")] = 7,
    fps: Annotated[int, typer.Option(min=2, max=30, help="Frames a second of the simulated cameras.")] = 12,
    scenario: Annotated[str, typer.Option(help="How busy it is: demo, busy, calm, or a TOML file.")] = "busy",
    browsers: Annotated[int, typer.Option(min=0, max=16, help="More than 16 displays: how many are browsers.")] = 3,
    reaches: Annotated[
        float, typer.Option(min=0.1, max=100, help="More than 16 displays: reaches a second, in the whole shop.")
    ] = 4.0,
    json_only: Annotated[bool, typer.Option("--json", help="Only the figures, as JSON.")] = False,
) -> None:
    """From a frame's capture to the painted pixel, in a real Chromium: p50_ms, p95_ms, displays.

    Up to 16 displays each are a browser under a simulated camera, one bay unless you say more. With more of them
    reaches are said to the broker instead, over 8 bays; a few are browsers, the others read the same stream: p50_ms,
    p95_ms, lost, the collector's CPU time a repaint, and whether its memory stays flat.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    from shelf_simulator.demo.children import ChildProblem
    from shelf_simulator.demo.readiness import NotReady

    is_wall = displays > MOST_BROWSERS
    if not is_wall and bays > LARGEST_BAYS:
        raise typer.BadParameter(f"{bays}: simulated cameras watch at most {LARGEST_BAYS} bays", param_hint="--bays")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    found: DisplayFigures | WallFigures
    with tempfile.TemporaryDirectory(prefix="smartshelf-bench-") as folder, _console.status("starting") as status:
        try:
            if is_wall:
                found = _wall(Path(folder), displays, bays, seconds, seed, browsers, reaches, stop, status.update)
            else:
                found = _shop(Path(folder), displays, bays, seconds, seed, fps, scenario, stop, status.update)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except (ChildProblem, NotReady, ValueError) as problem:
            _console.print(f"error: {problem}", style="red", markup=False)
            raise typer.Exit(1) from problem
    typer.echo(found.to_json())
    if not json_only:
        _console.print(found.in_words(), markup=False)


def _shop(
    folder: Path, displays: int, bays: int, seconds: int, seed: int, fps: int, scenario: str,
    stop: threading.Event, say: Callable[[str], None],
) -> DisplayFigures:  # fmt: skip
    from shelf_simulator.bench.display import measure_displays
    from shelf_simulator.demo.shop import Shop, free_ports

    names = tuple(f"a{number + 1:02d}" for number in range(bays or 1))
    shop = Shop(folder, names, seed, fps, scenario, "embedded", free_ports(None))
    return measure_displays(shop, displays, seconds, stop, say)


def _wall(
    folder: Path, displays: int, bays: int, seconds: int, seed: int, browsers: int, reaches: float,
    stop: threading.Event, say: Callable[[str], None],
) -> WallFigures:  # fmt: skip
    from shelf_simulator.bench.wall import Wall, measure_wall
    from shelf_simulator.demo.shop import free_ports

    ports = free_ports(None)
    wall = Wall.of(folder, bays or LARGEST_BAYS, displays, (ports.broker, ports.web), seed)
    return measure_wall(wall, browsers, seconds, reaches, stop, say)

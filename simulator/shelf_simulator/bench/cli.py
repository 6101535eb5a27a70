"""``smartshelf bench``: how fast the shop is, measured."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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
    displays: Annotated[int, typer.Option(min=1, max=16, help="How many displays, spread over the bays.")] = 3,
    bays: Annotated[int, typer.Option(min=1, max=8, help="How many bays.")] = 1,
    seconds: Annotated[int, typer.Option(min=5, max=3600, help="How long to measure.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same shop and the same shoppers.")] = 7,
    fps: Annotated[int, typer.Option(min=2, max=30, help="Frames a second of the simulated cameras.")] = 12,
    scenario: Annotated[str, typer.Option(help="How busy it is: demo, busy, calm, or a TOML file.")] = "busy",
    json_only: Annotated[bool, typer.Option("--json", help="Only the figures, as JSON.")] = False,
) -> None:
    """From a frame's capture to the painted pixel, in a real Chromium: p50_ms, p95_ms, displays."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    from shelf_simulator.bench.display import measure_displays
    from shelf_simulator.demo.children import ChildProblem
    from shelf_simulator.demo.readiness import NotReady
    from shelf_simulator.demo.shop import Shop, free_ports

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    names = tuple(f"a{number + 1:02d}" for number in range(bays))
    with tempfile.TemporaryDirectory(prefix="smartshelf-bench-") as folder:
        shop = Shop(Path(folder), names, seed, fps, scenario, "embedded", free_ports(None))
        try:
            with _console.status("starting") as status:
                found = measure_displays(shop, displays, seconds, stop, status.update)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except (ChildProblem, NotReady, ValueError) as problem:
            _console.print(f"error: {problem}", style="red", markup=False)
            raise typer.Exit(1) from problem
    typer.echo(found.to_json())
    if not json_only:
        _console.print(
            f"{found.reaches} reaches on {found.displays} displays: half within {found.p50_ms:g} ms, 95 of 100 within "
            f"{found.p95_ms:g} ms (load {found.load_before:g} to {found.load_after:g} on {found.cpus} CPUs)",
            markup=False,
        )

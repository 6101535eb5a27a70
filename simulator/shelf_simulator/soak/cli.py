"""``smartshelf soak``: a shop for a long time at ten times its traffic. Exit code 1 when something grew or was lost."""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(help=__doc__, add_completion=False)

_console = Console(stderr=True, highlight=False, soft_wrap=True)

_INTERRUPTED = 130


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=0.1, max=100_000.0, help="How long.")] = 30.0,
    cameras: Annotated[int, typer.Option(min=1, max=8, help="How many cameras, each with its bay.")] = 4,
    fps: Annotated[int, typer.Option(min=2, max=30, help="Frames a second of the simulated cameras.")] = 6,
    seed: Annotated[int, typer.Option(min=0)] = 7,
    broker: Annotated[str, typer.Option(help="embedded or mosquitto.")] = "embedded",
    as_json: Annotated[bool, typer.Option("--json", help="The last line of output is one JSON object.")] = False,
) -> None:
    """Run a broker, a collector, simulated cameras, a node that watches them, and a node that only speaks: together ten
    times the messages of an ordinary hour. Tells for each process whether memory, open files and threads grew.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    from shelf_simulator.demo.children import ChildProblem
    from shelf_simulator.demo.readiness import NotReady
    from shelf_simulator.demo.shop import Shop, free_ports
    from shelf_simulator.soak.app import run_soak

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    folder = Path(tempfile.mkdtemp(prefix="smartshelf-soak-"))
    bays = tuple(f"a{number + 1:02d}" for number in range(cameras))
    try:
        shop = Shop(folder, bays, seed, fps, "busy", broker, free_ports(None))
        report = run_soak(shop, minutes, stop, lambda text: _console.print(text, markup=False))
    except KeyboardInterrupt:
        _console.print("stopped")
        raise typer.Exit(_INTERRUPTED) from None
    except (ChildProblem, NotReady, ValueError) as problem:
        _console.print(f"error: {problem}", style="red", markup=False)
        raise typer.Exit(1) from problem
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        sys.stdout.write(report.as_json() + "\n")
    else:
        table = Table("process", "rss MB", "MB/h", "files", "threads", "flat")
        for one in report.growths:
            files, threads = (f"{early} -> {late}" for early, late in (one.files, one.threads))
            flat = "yes" if one.is_flat else "no"
            table.add_row(one.process, f"{one.rss_mb}", f"{one.rss_slope_mb_h}", files, threads, flat)
        Console(highlight=False).print(table)
        _console.print(f"{report.messages} messages, {report.messages_per_s} a second; audit: {report.books}")
    raise typer.Exit(0 if report.is_good else 1)

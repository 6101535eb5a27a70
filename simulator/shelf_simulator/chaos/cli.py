"""``smartshelf chaos``: everything dies at random, and nothing may be lost. Exit code 1 when something was."""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(help=__doc__, add_completion=False)

_console = Console(stderr=True, highlight=False, soft_wrap=True)

_BAD_INPUT = 2
_INTERRUPTED = 130


@app.command()
def chaos(
    seconds: Annotated[float, typer.Option(min=5.0, max=86_400.0, help="How long faults come.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same faults at the same times.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="The last line of output is one JSON object.")] = False,
    broker: Annotated[str, typer.Option(help="embedded (NATS, MQTT 3.1.1) or mosquitto (MQTT 5).")] = "embedded",
    nodes: Annotated[int, typer.Option(min=1, max=8, help="How many nodes.")] = 3,
    rate: Annotated[float, typer.Option(min=1.0, max=1000.0, help="Events a second of each node.")] = 50.0,
    keep: Annotated[Path | None, typer.Option(help="Keep databases, ledgers and logs in this empty folder.")] = None,
) -> None:
    """Run a broker, a collector and nodes; kill, cut, wipe and disturb them; then compare what was said and applied.

    Faults: kill -9 of broker, collector, node; the broker's state wiped; the network of a part cut for 10 s; the disk
    of an outbox full; a clock set by an hour; deliveries repeated and reordered. Each node writes what it publishes
    into a ledger of its own, which is compared with the collector's history without regard to sequence numbers.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if broker not in {"embedded", "mosquitto"}:
        _console.print(f"--broker = {broker!r}: must be embedded or mosquitto", markup=False)
        raise typer.Exit(_BAD_INPUT)
    if keep is not None and keep.exists() and any(keep.iterdir()):
        _console.print(f"--keep = {keep}: must be an empty or a new folder", markup=False)
        raise typer.Exit(_BAD_INPUT)
    from shelf_simulator.chaos.app import ChaosProblem, run_chaos
    from shelf_simulator.chaos.shop import ChaosShop, two_free_ports

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with _folder(keep) as folder:
        shop = ChaosShop(folder, nodes, rate, seed, broker, *two_free_ports())
        try:
            report = run_chaos(shop, seconds, stop, lambda text: _console.print(text, markup=False))
        except ChaosProblem as problem:
            _console.print(f"chaos: {problem}", markup=False)
            raise typer.Exit(1) from problem
        except KeyboardInterrupt:
            _console.print("stopped")
            raise typer.Exit(_INTERRUPTED) from None
    if as_json:
        sys.stdout.write(report.as_json() + "\n")
    else:
        _tell(report)
    raise typer.Exit(0 if report.is_good else 1)


def _tell(report: Any) -> None:
    import json

    table = Table("", "")
    for name, value in json.loads(report.as_json()).items():
        table.add_row(name.replace("_", " "), str(value))
    Console(highlight=False).print(table)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="smartshelf-chaos-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

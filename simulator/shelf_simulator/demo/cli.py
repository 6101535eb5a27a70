"""``smartshelf demo``: a small simulated shop from camera to display, or a measured run of it."""

from __future__ import annotations

import logging
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.status import Status

if TYPE_CHECKING:
    from shelf_simulator.demo.shop import Shop

app = typer.Typer(help="A small simulated shop, from camera to display and staff alert.", add_completion=False)

_console = Console(stderr=True, highlight=False, soft_wrap=True)

BAD_INPUT = 2
LARGEST_SECONDS = 86_400


@app.command()
def demo(
    bays: Annotated[int, typer.Option(min=1, max=8, help="How many bays, each with its camera and display.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same shop and the same shoppers.")] = 7,
    fps: Annotated[int, typer.Option(min=2, max=30, help="Frames a second of the simulated cameras.")] = 12,
    scenario: Annotated[str, typer.Option(help="How busy it is: demo, busy, calm, or a TOML file.")] = "demo",
    broker: Annotated[str, typer.Option(help="embedded (default) or mosquitto.")] = "embedded",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of the pages; default: 8080 or a free one.")
    ] = None,
    headless: Annotated[
        bool, typer.Option(help="Measure a run with headless displays instead of opening the shop.")
    ] = False,
    seconds: Annotated[int, typer.Option(min=5, max=LARGEST_SECONDS, help="How long a headless run lasts.")] = 90,
    recognise: Annotated[
        bool,
        typer.Option("--recognise", help="Enrol the packs by sight; the node says which product stands where."),
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Where a headless run writes its JSON report.")] = None,
    screenshots: Annotated[
        Path | None, typer.Option(help="Make the README's pictures into this folder and stop.")
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep everything the run writes in this folder.")] = None,
) -> None:
    """Open the shop until Ctrl-C; or --headless --seconds 90 --report report.json."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if broker not in {"embedded", "mosquitto"}:
        _fail(f"--broker = {broker!r}: must be embedded or mosquitto")
    if report is not None and not headless:
        _fail("--report needs --headless: a report is the result of a measured run")
    if report is not None:
        from shelf_contracts.errors import FileProblems
        from shelf_contracts.files import check_target

        try:
            check_target(report)
        except FileProblems as problem:
            _fail(f"--report: {problem}")
    from shelf_simulator.demo.children import ChildProblem
    from shelf_simulator.demo.readiness import NotReady
    from shelf_simulator.demo.shop import Shop, free_ports

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        ports = free_ports(port)
    except OSError as error:
        _fail(f"--port = {port}: {error.strerror or error}; choose another port")
    with _folder(keep) as folder:
        names = tuple(f"a{number + 1:02d}" for number in range(bays))
        shop = Shop(folder, names, seed, fps, scenario, broker, ports, recognise)
        try:
            with _console.status("starting") as status:
                if headless:
                    _headless(shop, seconds, report, stop, status)
                elif screenshots is not None:
                    _screenshots(shop, screenshots, stop, status)
                else:
                    _open(shop, stop, status)
        except KeyboardInterrupt:
            _console.print("stopped")
            raise typer.Exit(130) from None
        except (ChildProblem, NotReady) as problem:
            _console.print(f"error: {problem}", style="red", markup=False)
            if keep is None:
                _console.print("run it again with --keep FOLDER to keep the logs", style="dim")
            raise typer.Exit(1) from problem


def _open(shop: Shop, stop: threading.Event, status: Status) -> None:
    from shelf_simulator.demo.app import keep_open, open_shop

    with open_shop(shop, stop, _said_on(status)) as running:
        status.stop()
        web = shop.web
        _console.print(f"\n[bold]The shop is open[/bold] (after {running.set_up_s:.0f} s).\n")
        _console.print(f"  overview   {web}/")
        for bay in shop.bays:
            _console.print(f"  display    {web}/display/{bay}")
        _console.print(f"  staff      {web}/staff")
        _console.print(f"  enrol      {web}/enrol")
        _console.print(f"  API        {web}/api/v1/state")
        _console.print(f"  MQTT       mqtt://127.0.0.1:{shop.ports.broker}  (topics: smartshelf/v1/demo/#)")
        _console.print("\nCtrl-C closes it.\n")
        keep_open(running, stop)
        status.start()
        status.update("closing")
        began_s = time.monotonic()
    status.stop()
    _console.print(f"closed in {time.monotonic() - began_s:.1f} s")


def _said_on(status: Status) -> Callable[[str], None]:
    """What is being done: on a terminal in one line that changes, elsewhere a line for each step."""
    if _console.is_terminal:
        return status.update
    began_s, said = time.monotonic(), ""

    def say(text: str) -> None:
        nonlocal said
        step = text.split(":")[0]
        if step != said:
            said = step
            _console.print(f"{time.monotonic() - began_s:5.1f} s  {step}", markup=False)

    return say


def _headless(shop: Shop, seconds: int, report: Path | None, stop: threading.Event, status: Status) -> None:
    from shelf_simulator.demo.app import run_headless

    result = run_headless(shop, seconds, stop, _said_on(status))
    status.stop()
    text = result.to_json()
    if report is not None:
        part = report.with_name(report.name + ".part")
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(report)
    for line in result.summary():
        _console.print(line, markup=False)
    if report is None:
        typer.echo(text)


def _screenshots(shop: Shop, folder: Path, stop: threading.Event, status: Status) -> None:
    from shelf_simulator.demo.screenshots import take_screenshots

    written = take_screenshots(shop, folder, stop, _said_on(status))
    status.stop()
    for path in written:
        _console.print(f"written: {path}", markup=False)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """The folder of the run: kept where asked, else temporary."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            _fail(f"--keep = {keep}: must be an empty or a new folder")
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="smartshelf-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fail(message: str) -> NoReturn:
    _console.print(f"error: {message}", style="red", markup=False)
    raise typer.Exit(BAD_INPUT)

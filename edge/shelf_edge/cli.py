"""``smartshelf edge``: arguments, logging and exit codes; nothing else. Exit code 2: bad input."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shelf_edge import cli_calibrate, cli_day, cli_planogram, cli_unknown
from shelf_edge.console import bad_input, errors, people_to_cover, print_whole

if TYPE_CHECKING:
    from shelf_edge.recognising import Recognising

app = typer.Typer(help="One node: cameras in, events out.", no_args_is_help=True)
app.add_typer(cli_planogram.app, name="planogram")
app.add_typer(cli_unknown.app, name="unknown")
app.command()(cli_calibrate.calibrate)
app.command()(cli_day.day)

_output = Console(soft_wrap=True, highlight=False)


def _check_tiles(tiles: str) -> None:
    if tiles not in ("auto", "never", "always"):
        errors.print(f"[red]error:[/red] --tiles = {tiles!r}: must be auto, never or always")
        raise typer.Exit(2)


@app.command()
def run(config: Annotated[Path, typer.Option(help="The node's TOML file.")]) -> None:
    """Run a node until Ctrl-C or SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with bad_input():
        from shelf_edge.app import run_node
        from shelf_edge.config import check_config

        code = run_node(check_config(config, may_leave_out=True), stop)
    raise typer.Exit(code)


@app.command()
def check(config: Annotated[Path, typer.Option(help="The node's TOML file.")]) -> None:
    """Check a configuration and every file it names, the model's self-test included."""
    with bad_input():
        from shelf_edge.check import check_whole

        whole = check_whole(config)
    checked = whole.config
    section, info = checked.config.model, whole.model
    sight = f" Recogniser: {whole.recogniser}." if whole.recogniser else ""
    if whole.products is not None:
        sight += f" Gallery: {whole.products} products."
    bays = ", ".join(camera.planogram.bay for camera in checked.cameras)
    if section.trusted_keys and not section.require_signature:
        told = "trusted_keys without require_signature = true: models on disk are taken whoever signed them"
        errors.print(f"warning: {told}", style="yellow", markup=False)
    _output.print(f"{config}: good. Bays: {bays}. Model: {info.name} {info.version} ({info.licence}).{sight}")


@app.command()
def replay(
    source: Annotated[Path, typer.Argument(help="A video, a folder of pictures, or one picture.")],
    planogram: Annotated[Path, typer.Option(help="Where the slots are in the picture.")],
    events: Annotated[Path, typer.Option(help="Written: one CloudEvent a line.")],
    model: Annotated[Path | None, typer.Option(help="A model folder or .onnx file; default: the shipped one.")] = None,
    camera: Annotated[str | None, typer.Option(help="Which view of the planogram; default: its first.")] = None,
    stock: Annotated[bool, typer.Option(help="Write stock levels too.")] = False,
    draw: Annotated[Path | None, typer.Option(help="Written: a video (.avi, .mp4) with what was seen.")] = None,
    nobody_in_it: Annotated[bool, typer.Option("--nobody-in-it", help="Draw without covering people.")] = False,
    score_threshold: Annotated[float | None, typer.Option(min=0.01, max=0.99, help="Overrides the model's.")] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, help="For one inference.")] = 2,
    tiles: Annotated[
        str, typer.Option(help="As [model] tiles of a node: never; auto: where products are small.")
    ] = "never",
    gallery: Annotated[Path | None, typer.Option(help="Recognise products too: the gallery that knows them.")] = None,
    recogniser: Annotated[
        Path | None, typer.Option(help="Model folder of the embedding network; default: the shipped one.")
    ] = None,
) -> None:
    """Run the node's chain on a recording, without a broker; the same input gives the same events."""
    _check_tiles(tiles)
    if recogniser is not None and gallery is None:
        errors.print("[red]error:[/red] --recogniser: needs --gallery, which says what it knows")
        raise typer.Exit(2)
    with bad_input():
        from shelf_contracts.shipped import model_folder
        from shelf_edge.adapters.camera_files import open_recording
        from shelf_edge.adapters.detector_onnx import load_detector
        from shelf_edge.core.masking import PeopleMask
        from shelf_edge.replay import replay as run_replay
        from shelf_edge.tiled import TilingDetector

        recording = open_recording(source)
        total = recording.frames
        recording.close()
        loaded = load_detector(
            model or model_folder(), threads=threads, score_threshold=score_threshold, tells_faint=True
        )
        detector = loaded if tiles == "never" else TilingDetector(loaded, tiles)  # type: ignore[arg-type]
        recognising = None if gallery is None else _recognising(gallery, recogniser, threads)
        people = people_to_cover(model or model_folder(), draw, nobody_in_it)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("frames", total=total or None)
            summary = run_replay(
                source,
                planogram,
                detector,
                events,
                camera=camera,
                stock=stock,
                drawing=draw,
                mask=None if people is None else PeopleMask(people),
                recognising=recognising,
                on_frame=lambda number: progress.update(task, completed=number + 1),
            )
    happened = ", ".join(f"{count} {action}" for action, count in summary.events.items()) or "no event"
    held = ", ".join(f"{slot}: {'?' if count is None else count}" for slot, count in summary.counts.items())
    _output.print(f"{summary.frames} frames, {summary.looked_at} looked at: {happened}. At the end {held}. -> {events}")


def _recognising(gallery: Path, recogniser: Path | None, threads: int) -> Recognising:
    """Raises: FileProblems."""
    from shelf_contracts.gallery import read_gallery
    from shelf_contracts.shipped import DEFAULT_RECOGNISER, model_folder
    from shelf_edge.adapters.recogniser_onnx import load_recogniser
    from shelf_edge.recognising import Recognising

    loaded = load_recogniser(recogniser or model_folder(DEFAULT_RECOGNISER), threads=threads)
    recognising = Recognising(loaded, loaded.calibration)
    recognising.use(read_gallery(gallery, loaded.embedder, loaded.dimension))
    return recognising


@app.command()
def count(
    source: Annotated[Path, typer.Argument(help="A picture or a folder of pictures.")],
    model: Annotated[Path | None, typer.Option(help="A model folder or .onnx file; default: the shipped one.")] = None,
    score_threshold: Annotated[float | None, typer.Option(min=0.01, max=0.99, help="Overrides the model's.")] = None,
    draw: Annotated[Path | None, typer.Option(help="Folder for the pictures with boxes drawn.")] = None,
    nobody_in_it: Annotated[bool, typer.Option("--nobody-in-it", help="Draw without covering people.")] = False,
    tiles: Annotated[str, typer.Option(help="auto: where products would be too small; never; always.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Count the products in each picture, without a planogram; large pictures are looked at in tiles."""
    _check_tiles(tiles)
    with bad_input():
        from shelf_contracts.shipped import model_folder
        from shelf_edge.adapters.detector_onnx import load_detector
        from shelf_edge.counting import count_pictures

        detector = load_detector(model or model_folder(), threads=2, score_threshold=score_threshold)
        people = people_to_cover(model or model_folder(), draw, nobody_in_it)
        counts = count_pictures(source, detector, draw, tiling=tiles, people=people)  # type: ignore[arg-type]
    if as_json:
        report = {
            "model": detector.info.name,
            "products": {count.name: count.products for count in counts},
            "looks": {count.name: count.looks for count in counts},
            "ms": {count.name: round(count.ms, 1) for count in counts},
        }
        _output.print(json.dumps(report), markup=False)
        return
    for count in counts:
        cost = f" ({count.looks} looks, {count.ms:.0f} ms: {count.reason})" if count.looks > 1 else ""
        _output.print(f"{count.name}: {count.products} products{cost}", markup=False)


@app.command()
def score(
    scenario: Annotated[str, typer.Option(help="A shipped scenario, a TOML file, or all.")] = "all",
    split: Annotated[
        str, typer.Option(help="The store: dev or varied (to work with), or hidden (to measure on only).")
    ] = "dev",
    seconds: Annotated[float, typer.Option(min=5, max=3600, help="Of each recording.")] = 90.0,
    seeds: Annotated[int, typer.Option(min=1, max=99, help="Recordings of each scenario.")] = 1,
    deliveries: Annotated[
        int, typer.Option(min=0, max=99, help="Each so many times as a live camera: frames late and lost. 0: as it is.")
    ] = 0,
    model: Annotated[Path | None, typer.Option(help="A model folder or .onnx file; default: the shipped one.")] = None,
    recogniser: Annotated[
        Path | None, typer.Option(help="Model folder of the embedding network; default: the shipped one.")
    ] = None,
    no_recogniser: Annotated[bool, typer.Option("--no-recogniser", help="Do not recognise products.")] = False,
    score_threshold: Annotated[float | None, typer.Option(min=0.01, max=0.99, help="Overrides the model's.")] = None,
    why: Annotated[bool, typer.Option("--why", help="List each miss and false event with its likely cause.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Where recordings and detections are kept; default: the user's cache.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Recordings at a time.")] = 2,
) -> None:
    """Score the node's chain on simulated recordings with truth: offline, and equal arguments give equal figures."""
    if split not in ("dev", "varied", "hidden"):
        errors.print(f"[red]error:[/red] --split = {split!r}: must be dev, varied or hidden")
        raise typer.Exit(2)
    with bad_input():
        from shelf_contracts.errors import FileProblems, Problem
        from shelf_contracts.shipped import DEFAULT_RECOGNISER, model_folder
        from shelf_edge.adapters.rendered import Take, shipped_scenarios
        from shelf_edge.score import report_of, score_takes
        from shelf_edge.score_tables import figures_table, why_table

        known = shipped_scenarios()
        if scenario not in ("all", *known) and not Path(scenario).is_file():
            allowed = f"must be all, a TOML file or one of {', '.join(known)}"
            raise FileProblems(Path(scenario), [Problem("--scenario", scenario, allowed)])
        names = known if scenario == "all" else [scenario]
        sight = None if no_recogniser else recogniser or model_folder(DEFAULT_RECOGNISER)
        takes = [
            Take(name, split, number, seconds, delivery=delivery)
            for name in names
            for number in range(seeds)
            for delivery in (range(1, deliveries + 1) if deliveries else (0,))
        ]
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=errors, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("scoring", total=len(takes))
            shares = [0.0] * len(takes)

            def on_progress(place: int, share: float, text: str) -> None:
                shares[place] = share
                progress.update(task, completed=sum(shares), description=f"{takes[place].name} {text}")

            scores = score_takes(
                takes,
                keep or _cache_folder(),
                model or model_folder(),
                recogniser=sight,
                score_threshold=score_threshold,
                workers=workers,
                on_progress=on_progress,
            )
        report = report_of(
            scores,
            split=split,
            seconds=seconds,
            model=model or model_folder(),
            score_threshold=score_threshold,
            recogniser=sight,
        )
    if why:
        print_whole(why_table(scores))
    print_whole(figures_table(scores))
    if as_json:
        _output.print(json.dumps(report), markup=False)


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "smartshelf" / "score"


@app.command()
def bench(
    model: Annotated[Path | None, typer.Option(help="A model folder; default: the shipped one.")] = None,
    frames: Annotated[int, typer.Option(min=10, max=100_000, help="How many frames each figure is taken of.")] = 200,
    peer_python: Annotated[
        Path | None, typer.Option(help="Python of an environment with ultralytics; default: .venv-train's, if there.")
    ] = None,
    parts: Annotated[str, typer.Option(help="Besides the frame's path: cameras,memory,growth or none.")] = (
        "cameras,memory,growth"
    ),
    memory_minutes: Annotated[
        float, typer.Option(min=1.5, max=1440, help="Of four cameras' time; about a third of it is needed.")
    ] = 5.0,
    only: Annotated[
        str, typer.Option(help="memory: that alone, with all its samples; Ctrl-C ends it with what it has.")
    ] = "",
    keep: Annotated[Path | None, typer.Option(help="Where the recording is kept; default: the user's cache.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """A frame against the bare graph, a shelf at rest, the start, a peer, cameras, memory (smartshelf bench edge)."""
    with bad_input():
        from shelf_contracts.errors import FileProblems, Problem
        from shelf_contracts.shipped import model_folder
        from shelf_edge.bench import PARTS, measure

        if only not in ("", "memory"):
            raise FileProblems("command line", [Problem("--only", only, "must be memory, or left out")])
        if only:
            from shelf_edge.bench import memory_alone

            with errors.status("starting") as status:
                run = memory_alone(model or model_folder(), status.update, keep or _cache_folder(), memory_minutes)
            _show(run.figures(), as_json=as_json)
            return
        chosen = [] if parts == "none" else parts.split(",")
        unknown = [part for part in chosen if part not in PARTS]
        if unknown:
            raise FileProblems("command line", [Problem("--parts", parts, f"must be none or of {', '.join(PARTS)}")])

        beside = Path(".venv-train/bin/python")
        peer = peer_python or (beside if beside.is_file() else None)
        with errors.status("starting") as status:
            found = measure(
                model or model_folder(), frames, peer, status.update, chosen, keep or _cache_folder(), memory_minutes
            )
    _show(json.loads(found.to_json()), as_json=as_json)


def _show(figures: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        _output.print(json.dumps(figures), markup=False)
        return
    for name, value in figures.items():
        _output.print(f"{name}: {value}", markup=False)


@app.command(hidden=True)
def rehearse(
    store: Annotated[str, typer.Option()],
    node: Annotated[str, typer.Option()],
    bay: Annotated[str, typer.Option()],
    slots: Annotated[str, typer.Option(help="Ids, with commas in between.")],
    port: Annotated[int, typer.Option(help="Of the broker on this computer.")],
    folder: Annotated[Path, typer.Option(help="Outbox, ledger and control files.")],
    rate: Annotated[float, typer.Option(help="Events a second.")] = 50.0,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Invented events through the real outbox and publisher, until SIGTERM (used by chaos and soak)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with bad_input():
        from shelf_edge.rehearsal import RehearsalSetup
        from shelf_edge.rehearsal import rehearse as run_rehearsal
        from shelf_mqtt.address import BrokerAddress

        control = folder / "control"
        control.mkdir(parents=True, exist_ok=True)
        address = BrokerAddress(port=port)
        setup = RehearsalSetup(
            store, node, bay, tuple(slots.split(",")), address, folder, folder / "ledger.txt", control, rate, seed
        )
        run_rehearsal(setup, stop)

"""``smartshelf simulator``: training pictures, recordings and live cameras of a store made of code."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Literal

import cv2
import typer
from rich.console import Console
from rich.progress import Progress

from shelf_contracts.errors import ContractError
from shelf_contracts.files import write_json
from shelf_contracts.truth import RecordingNote
from shelf_simulator import app as parts
from shelf_simulator.adapters.dataset import PictureStyle, contact_sheet, sample, write_dataset
from shelf_simulator.adapters.day_stream import stream_day
from shelf_simulator.adapters.live_view import LiveView
from shelf_simulator.adapters.pack_pictures import write_pack_pictures, write_reference_pictures
from shelf_simulator.adapters.recording import record as write_recording
from shelf_simulator.adapters.scenes import CLOSE_SHARE, invent_packs
from shelf_simulator.assortment import packs_sold
from shelf_simulator.core.design import build_planogram
from shelf_simulator.core.splits import HIDDEN, SplitName
from shelf_simulator.core.world import World
from shelf_simulator.resting import day_stage

app = typer.Typer(help="A store made of code: shelves, shoppers, cameras, with ground truth.", no_args_is_help=True)
console = Console(stderr=True)

Out = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same store.")]
Fps = Annotated[float, typer.Option("--fps", min=1, max=60, help="Frames a second.")]
ScenarioName = Annotated[str, typer.Option("--scenario", help="demo, busy, calm, or a TOML file.")]
Bay = Annotated[str, typer.Option("--bay", help="Bay id, a01 for the first.")]


@app.command()
def dataset(
    out: Out,
    pictures: Annotated[int, typer.Option("--pictures", min=1, help="How many.")] = 1000,
    seed: Seed = 1,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64)] = 2,
    close_share: Annotated[
        float, typer.Option("--close-share", min=0, max=1, help="How many show a few packs large.")
    ] = CLOSE_SHARE,
    width_px: Annotated[
        int, typer.Option("--width", min=256, max=1920, help="Of the pictures, px; they are 16:9.")
    ] = PictureStyle.width_px,
    preview: Annotated[Path | None, typer.Option("--preview", help="Also write a contact sheet with boxes.")] = None,
) -> None:
    """Write training pictures with boxes of products, hands, people, price labels and gaps (ultralytics layout)."""
    _refuse_hidden(seed)
    shop, style = parts.demo_packs(), PictureStyle(close_share, width_px)
    if preview is not None:
        others = invent_packs(160, seed * 1000)
        shown = [sample(index, seed, shop, others, style) for index in range(min(pictures, 16))]
        cv2.imwrite(str(preview), contact_sheet(shown))
    with Progress(console=console) as progress:
        task = progress.add_task("pictures", total=pictures)
        for done in write_dataset(out, pictures=pictures, seed=seed, shop=shop, workers=workers, style=style):
            progress.update(task, completed=done)
    console.print(f"{pictures} pictures in {out}")


@app.command()
def packs(
    out: Out,
    count: Annotated[int, typer.Option("--packs", min=1, max=5000, help="How many.")] = 200,
    views: Annotated[int, typer.Option("--views", min=1, max=20, help="Pictures of each.")] = 2,
    seed: Seed = 1,
) -> None:
    """Write invented packs one by one, cut out (PNG with opacity), a folder a pack: what a recogniser trains on."""
    _refuse_hidden(seed)
    with Progress(console=console) as progress:
        task = progress.add_task("packs", total=count)
        for done in write_pack_pictures(out, invent_packs(count, seed), views, seed):
            progress.update(task, completed=done)
    console.print(f"{count} packs in {out}")


@app.command()
def references(
    out: Out,
    scenario: ScenarioName = "demo",
    split: Annotated[
        SplitName, typer.Option("--split", help="Which store: dev (the demo's), varied or hidden.")
    ] = "dev",
    number: Annotated[int, typer.Option("--number", min=0, max=99, help="Which of the scenario's seeds.")] = 0,
) -> None:
    """Write reference pictures of all that a recording's store sells, a folder a GTIN: what a gallery is made of."""
    try:
        sold = packs_sold(scenario, split, number)
    except (ContractError, ValueError) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from error
    write_reference_pictures(out, sold)
    console.print(f"{len(sold)} products in {out}")


@app.command()
def planogram(
    out: Annotated[Path, typer.Option("--out", help="File to write.")], bay: Bay = "a01", seed: Seed = 7
) -> None:
    """Write the planogram of a demo bay."""
    write_json(out, build_planogram(parts.demo_bay(bay, seed)))


@app.command()
def frames(
    out: Out,
    bay: Bay = "a01",
    seed: Seed = 7,
    count: Annotated[int, typer.Option("--count", min=1, max=1000)] = 12,
    every_s: Annotated[float, typer.Option("--every", min=0.1)] = 2.0,
    scenario: ScenarioName = "demo",
) -> None:
    """Write a few frames of a bay as PNG."""
    world = _world(bay, seed, scenario)
    view = LiveView(world, seed)
    out.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        for _ in range(round(every_s * 12)):
            world.step(1 / 12)
        cv2.imwrite(str(out / f"{bay}-{number:03d}.png"), view.capture())


@app.command()
def record(
    out: Out,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=86_400)] = 60.0,
    bay: Bay = "a01",
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of the store's split; default: --number.")] = None,
    fps: Fps = 12.0,
    scenario: ScenarioName = "demo",
    kind: Annotated[Literal["avi", "jpeg"], typer.Option("--kind", help="One video, or numbered JPEGs.")] = "avi",
    split: Annotated[
        SplitName, typer.Option("--split", help="Which store: dev (the demo's), varied or hidden.")
    ] = "dev",
    number: Annotated[int, typer.Option("--number", min=0, max=99, help="Which of the scenario's seeds.")] = 0,
) -> None:
    """Write a recording with its truth, without a wall clock: equal arguments give equal files."""
    try:
        stage = parts.stage(bay, scenario, split, number, seed)
    except (ContractError, ValueError) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from error
    with Progress(console=console) as progress:
        task = progress.add_task("frames", total=round(seconds * fps))
        for done in write_recording(
            out, stage.world, seconds=seconds, fps=fps, seed=stage.seed, kind=kind, view=stage.view,
            scenario=Path(scenario).stem, split=split,
        ):  # fmt: skip
            progress.update(task, completed=done)


@app.command()
def day(
    out: Out,
    day: Annotated[str, typer.Option("--day", help="A shipped day (at-rest), or a TOML file.")] = "at-rest",
    split: Annotated[SplitName, typer.Option("--split", help="Which store: dev, varied or hidden.")] = "dev",
    number: Annotated[int, typer.Option("--number", min=0, max=99, help="Which of the day's seeds.")] = 0,
    begin_h: Annotated[float, typer.Option("--begin-h", min=0, max=24, help="Hours of the day to leave out.")] = 0.0,
    hours: Annotated[float, typer.Option("--hours", min=0.001, max=24, help="How long.")] = 24.0,
    fps: Fps = 10.0,
    bay: Bay = "a01",
) -> None:
    """Give pictures of a bay at rest on standard output, one for each line in: the seconds to go on at most."""
    try:
        stage = day_stage(bay, day, split, number)
    except (ContractError, ValueError) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from error
    cv2.setNumThreads(1)
    seconds = min(hours, 24 - begin_h) * 3600
    if seconds <= 0:
        console.print(f"--begin-h = {begin_h:g}: must leave something of the day", style="red", markup=False)
        raise typer.Exit(2)
    note = RecordingNote(
        scenario=f"day-{Path(day).stem}", split=split, seed=stage.seed, bay=bay, seconds=seconds, fps=fps
    )
    stream_day(
        out, stage.world, stage.view, note, stage.script.spells_s, begin_h * 3600, sys.stdin.buffer, sys.stdout.buffer
    )


@app.command()
def serve(
    out: Out,
    bays: Annotated[int, typer.Option("--bays", min=1, max=16, help="How many bays: a01, a02, …")] = 1,
    seed: Seed = 7,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535)] = 8090,
    fps: Fps = 12.0,
    scenario: ScenarioName = "demo",
) -> None:
    """Live cameras: /{bay}.mjpg, /{bay}.jpg, /health; planograms and truth go to --out."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    try:
        code = parts.serve(stop, bays=bays, seed=seed, host=host, port=port, out=out, fps=fps, scenario=scenario)
    except ContractError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from error
    except OSError as error:
        console.print(f"cannot serve on {host}:{port}: {error}; choose another --port", style="red", markup=False)
        raise typer.Exit(2) from error
    sys.exit(code)


def _world(bay: str, seed: int, scenario: str) -> World:
    try:
        return parts.make_world(bay, seed, scenario)
    except ContractError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from error


def _refuse_hidden(seed: int) -> None:
    """No training picture shows anything of the store that is there to measure on."""
    if seed in HIDDEN.seeds:
        allowed = f"must not be of the hidden split ({HIDDEN.seeds.start} to {HIDDEN.seeds.stop - 1})"
        console.print(f"--seed = {seed}: {allowed}, which no training may see", style="red", markup=False)
        raise typer.Exit(2)

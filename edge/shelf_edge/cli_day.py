"""``smartshelf edge day``: what a node tells falsely in a simulated day on which nobody comes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from shelf_edge.console import bad_input, errors

if TYPE_CHECKING:
    from shelf_edge.day import DayScore

_WIDE = 160


def day(
    split: Annotated[
        str, typer.Option(help="The store: dev or varied (to work with), or hidden (to measure on only).")
    ] = "dev",
    bays: Annotated[int, typer.Option(min=1, max=99, help="How many bays, each a whole day.")] = 1,
    first: Annotated[int, typer.Option(min=0, max=98, help="The first bay's number.")] = 0,
    begin_h: Annotated[
        float, typer.Option(min=0, max=23.9, help="Hours of the day to leave out; it begins at 20:00.")
    ] = 0,
    hours: Annotated[float, typer.Option(min=0.01, max=24, help="How long. Ten minutes of it take some seconds.")] = 24,
    day: Annotated[str, typer.Option(help="A shipped day (at-rest), or a TOML file.")] = "at-rest",
    rest_s: Annotated[
        float, typer.Option(min=0.1, max=60, help="Between pictures while nothing stirs; 2: all a node looks at.")
    ] = 20.0,
    model: Annotated[Path | None, typer.Option(help="A model folder or .onnx file; default: the shipped one.")] = None,
    why: Annotated[bool, typer.Option("--why", help="List all that was told falsely.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Bays at a time.")] = 1,
) -> None:
    """A day at rest in a day's light: false events, alerts and counts of bays to which nobody comes. Offline."""
    if split not in ("dev", "varied", "hidden"):
        errors.print(f"[red]error:[/red] --split = {split!r}: must be dev, varied or hidden")
        raise typer.Exit(2)
    with bad_input():
        from shelf_contracts.shipped import model_folder
        from shelf_edge.adapters.day_camera import DayTake
        from shelf_edge.day import Pace, day_report, score_days

        hours = min(hours, 24 - begin_h)
        takes = [DayTake(day, split, number, begin_h, hours) for number in range(first, first + bays)]
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
        with Progress(*columns, TimeElapsedColumn(), console=errors, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("a day at rest", total=len(takes))
            shares = [0.0] * len(takes)

            def on_progress(place: int, share: float) -> None:
                shares[place] = share
                progress.update(task, completed=sum(shares), description=takes[place].name)

            scores = score_days(
                takes, model or model_folder(), pace=Pace(rest_s=rest_s), workers=workers, on_progress=on_progress
            )
        report = day_report(scores, split=split, with_told=why)
    output = Console(width=_WIDE, highlight=False)
    if why:
        output.print(_told_table(scores))
    output.print(_table(scores))
    if as_json:
        Console(soft_wrap=True, highlight=False).print(json.dumps(report), markup=False)


def _table(scores: list[DayScore]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in (
        "bay", "hours", "slots", "frames", "looked at", "events", "alerts", "count changes", "camera", "wrong at first",
        "later", "wrong", "dark said/is h", "blind slot-h", "close h",
    ):  # fmt: skip
        table.add_column(heading, justify="left" if heading == "bay" else "right")
    for one in scores:
        table.add_row(
            one.take.name, f"{one.hours:.1f}", str(one.slots), str(one.frames), str(one.looked_at),
            str(one.false_events), str(one.alerts), str(one.count_changes), str(sum(one.camera.values())),
            str(one.wrong_at_first), str(one.became_wrong), f"{one.wrong_h / one.known_h:.3f}" if one.known_h else "-",
            f"{one.dark_said_h:.2f}/{one.dark_h:.2f}", f"{sum(one.blind_h.values()):.3f}", f"{one.close_h:.2f}",
        )  # fmt: skip
    return table


def _told_table(scores: list[DayScore]) -> Table:
    """What was told falsely; the first hundred of each bay."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("bay", "since the day began", "what", "slot", ""):
        table.add_column(heading)
    for score in scores:
        for one in score.told:
            minutes, seconds = divmod(one.at_s + score.take.begin_h * 3600, 60)
            clock = f"{minutes // 60:02.0f}:{minutes % 60:02.0f}:{seconds:04.1f}"
            table.add_row(score.take.name, clock, one.what, one.slot, one.text)
    return table

"""``smartshelf edge unknown``: for a person at the node, the pictures it keeps of what nobody knows."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from shelf_contracts.messages import iso_time
from shelf_edge.console import bad_input

if TYPE_CHECKING:
    from shelf_edge.adapters.unknown_store import KeptPicture, UnknownStore
    from shelf_edge.config import UnknownPicturesSection

app = typer.Typer(
    help="Pictures of unknown things that this node keeps, where [unknown_pictures] allows it.", no_args_is_help=True
)

_output = Console(soft_wrap=True, highlight=False)
_Config = Annotated[Path, typer.Option(help="The node's TOML file.")]
_Place = Annotated[str, typer.Argument(help="BAY/SLOT, as list tells it.")]


@app.command("list")
def list_(
    config: _Config, as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False
) -> None:
    """What is kept: where, since when it is unknown, how often and when last it was seen, until when, which file."""
    with bad_input():
        store, section = _open(config)
        found = store.pictures()
    if as_json:
        rows = [_told(store, section, kept) for kept in found]
        _output.print(json.dumps({"keep": section.keep, "pictures": rows}), markup=False)
        return
    if not found:
        why = "none is kept now" if section.keep else "none is kept: unknown_pictures.keep is false"
        _output.print(f"{config}: {why}", markup=False)
        return
    table = Table("place", "unknown since", "looks", "last seen", "deleted at", "file")
    for kept in found:
        told = _told(store, section, kept)
        table.add_row(*(str(told[key]) for key in ("place", "since", "looks", "seen", "until", "file")))
    Console(width=max(160, _output.width), highlight=False).print(table)


@app.command()
def show(place: _Place, config: _Config) -> None:
    """One of them: where the file is and what is known of it."""
    with bad_input():
        store, section = _open(config)
        told = _told(store, section, _one(store, place, config))
    for name, value in told.items():
        _output.print(f"{name}: {value}", markup=False)


@app.command()
def export(
    place: _Place, config: _Config, out: Annotated[Path, typer.Option(help="Written: a JPEG. The node's copy stays.")]
) -> None:
    """Copy a picture to a file; who copies it answers for the copy, which nothing deletes."""
    with bad_input():
        store, _ = _open(config)
        source = store.file(_one(store, place, config))
        shutil.copyfile(source, out)
        out.chmod(0o600)
    _output.print(f"{place} -> {out}", markup=False)


@app.command()
def purge(
    config: _Config,
    place: Annotated[str, typer.Argument(help="BAY/SLOT; without it, all of them.")] = "",
) -> None:
    """Delete one picture, or all; also while the node runs. It takes no other one of the same thing."""
    with bad_input():
        store, _ = _open(config)
        if place:
            kept = _one(store, place, config)
            deleted = int(store.forget(kept.bay, kept.slot))
        else:
            deleted = store.purge()
    _output.print(f"{config}: {deleted} deleted", markup=False)


def _open(config: Path) -> tuple[UnknownStore, UnknownPicturesSection]:
    """Raises: FileProblems when the configuration cannot be read."""
    from shelf_contracts.files import read_model
    from shelf_edge.adapters.unknown_store import UNKNOWN_FOLDER, UnknownStore
    from shelf_edge.config import EdgeConfig

    read = read_model(config, EdgeConfig)
    section = read.unknown_pictures
    return UnknownStore(config.parent / read.state / UNKNOWN_FOLDER, section.limits), section


def _one(store: UnknownStore, place: str, config: Path) -> KeptPicture:
    """Raises: FileProblems naming those there are."""
    from shelf_contracts.errors import FileProblems, Problem

    found = store.pictures()
    for kept in found:
        if kept.place == place:
            return kept
    known = ", ".join(kept.place for kept in found)
    allowed = f"must be one of {known}" if known else "is not there: no picture is kept"
    raise FileProblems(config, [Problem("PLACE", repr(place), allowed, "smartshelf edge unknown list shows them")])


def _told(store: UnknownStore, section: UnknownPicturesSection, kept: KeptPicture) -> dict[str, str | int]:
    until = kept.taken + timedelta(hours=section.retention_h)
    return {
        "place": kept.place,
        "since": iso_time(kept.since),
        "looks": kept.looks,
        "seen": iso_time(kept.seen),
        "taken": iso_time(kept.taken),
        "until": iso_time(until),
        "file": str(store.file(kept)),
    }

"""smartshelf collector: the store's memory on the command line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from shelf_collector.rollout_cli import rollout

if TYPE_CHECKING:
    from shelf_collector.config import CollectorSetup
    from shelf_collector.core.logbook import Deed

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The store's memory: state, displays, alerts.")
console = Console()
errors = Console(stderr=True)

app.command()(rollout)

BAD_INPUT = 2

ConfigOption = Annotated[Path, typer.Option("--config", help="The collector's TOML file.")]


class SourceFormat(StrEnum):
    auto = "auto"
    smartshelf = "smartshelf"
    off_tsv = "off-tsv"
    off_csv = "off-csv"


@app.command()
def run(
    config: ConfigOption,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say more in the log.")] = False,
    clock_file: Annotated[
        Path | None, typer.Option(hidden=True, help="Rehearsals: seconds to add to the clock.")
    ] = None,
) -> None:
    """Collect from the broker and serve displays, staff page, overview and API until stopped."""
    from shelf_collector.app import run as run_collector
    from shelf_collector.ports import StorageProblem
    from shelf_collector.product_files import log_faults

    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    setup = _load(config)
    log_faults(setup.shop_products)
    if setup.warnings:
        more = len(setup.warnings) - 1
        logging.getLogger(__name__).warning("%s (and %d more: see the check command)", setup.warnings[0], more)
    try:
        run_collector(setup, clock_file)
    except StorageProblem as problem:
        errors.print(str(problem), style="red", markup=False)
        raise typer.Exit(1) from problem


@app.command()
def check(config: ConfigOption) -> None:
    """Read the config and every file it names, and say everything that is wrong."""
    setup = _load(config, despite_products=False)
    for warning in setup.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    slots = sum(len(plan.positions) for plan in setup.planograms)
    console.print(
        f"{config}: store {setup.config.store}, {len(setup.planograms)} bays, {slots} slots, "
        f"{len(setup.products)} products, {len(setup.displays)} displays: all fine",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@app.command("import-products")
def import_products(
    config: ConfigOption,
    source: Annotated[Path, typer.Argument(help="A smartshelf JSON file or an Open Food Facts export or extract.")],
    layout: Annotated[SourceFormat, typer.Option("--format", help="What the file is.")] = SourceFormat.auto,
    language: Annotated[str, typer.Option(help="Language of the texts of an Open Food Facts file.")] = "en",
    problems: Annotated[int, typer.Option(help="How many problems to show.", min=0)] = 20,
) -> None:
    """Import product information. Rows of Open Food Facts go into a table of their own; the shop's own rows win."""
    from shelf_collector.adapters.database import Database
    from shelf_collector.adapters.off_file import layout_of, read_off_file
    from shelf_contracts.errors import FileProblems
    from shelf_contracts.files import read_model
    from shelf_contracts.products import ProductFile

    setup = _load(config)
    try:
        found = layout_of(source) if layout is SourceFormat.auto else layout.value
        if found == "smartshelf":
            file = read_model(source, ProductFile)
            console.print(
                f"{source}: {len(file.products)} products, all fine. The shop's own products are read from the files "
                f"named in {config}: add it there as products = [...]",
                markup=False,
                soft_wrap=True,
            )
            return
        imported = read_off_file(source, "off-tsv" if found == "off-tsv" else "off-csv", language)
    except FileProblems as problem:
        errors.print(str(problem), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from problem
    database = Database(setup.database_url)
    database.open()
    database.put_off_products(imported.products)
    database.close()
    for one in imported.problems[:problems]:
        errors.print(f"{source}:{one.line}: {one.problem}", markup=False, highlight=False, soft_wrap=True)
    left = len(imported.problems) - problems
    if left > 0:
        errors.print(f"and {left} problems more (--problems {len(imported.problems)} shows all)", markup=False)
    review = sum(bool(one.allergens and one.allergens.needs_review) for one in imported.products)
    console.print(
        f"{len(imported.products)} products imported, {imported.skipped} rows skipped, {review} with allergens to "
        "review (shown as not known). Source: Open Food Facts contributors, ODbL.",
        markup=False,
        soft_wrap=True,
    )


@app.command()
def invite(
    config: ConfigOption,
    name: Annotated[str, typer.Option(help="Of the person; with no person, the link makes the first admin.")] = "",
    role: Annotated[str, typer.Option(help="Of somebody new: viewer, staff or admin.")] = "staff",
) -> None:
    """Print a one-time link: for the first admin (15 min), or with --name for a person, new or with a lost password."""
    from shelf_collector.adapters.clock import SystemClock
    from shelf_collector.adapters.database import Database
    from shelf_collector.app import open_door
    from shelf_collector.core.access import role_of
    from shelf_collector.core.logbook import Deed
    from shelf_collector.doorkeeper import Refused

    setup = _load(config)
    database, clock = Database(setup.database_url), SystemClock()
    database.open()
    door = open_door(setup, clock)
    try:
        if name:
            person = door.accounts.person_called(name)
            if person is None:
                deed = Deed("person.added", subject=f"person:{name}", detail={"role": role_of(role).word})
                door.check_name(name)
                person = door.accounts.add_person(name, role_of(role), clock.now(), deed)
            secret: str | None = door.make_link(person)
        else:
            secret = door.make_setup_link()
    except (ValueError, Refused) as error:
        errors.print(f"--name {name!r}, --role {role!r}: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(BAD_INPUT) from error
    finally:
        door.accounts.close()
        database.close()
    if secret is None:
        errors.print("there is an admin already; with --name NAME somebody gets a link", style="red", markup=False)
        raise typer.Exit(BAD_INPUT)
    lasts = "24 hours" if name else "15 minutes"
    console.print(f"{setup.config.http.address}/welcome/{secret}", markup=False, highlight=False, soft_wrap=True)
    errors.print(f"works once, for {lasts}", markup=False)


@app.command("dead-letters")
def dead_letters(
    config: ConfigOption,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the messages that could not be used, and why."""
    from shelf_collector.adapters.backup import to_be_read
    from shelf_collector.adapters.database import Database
    from shelf_collector.ports import StorageProblem

    try:
        database = Database(to_be_read(_load(config).database_url))
        letters = database.dead_letters(limit)
    except StorageProblem as problem:
        errors.print(str(problem), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from problem
    database.close()
    for letter in letters:
        payload = letter.payload.decode("utf-8", errors="backslashreplace")
        content = {"at": letter.at.isoformat(), "topic": letter.topic, "problem": letter.problem, "payload": payload}
        text = (
            json.dumps(content)
            if as_json
            else f"{letter.at.isoformat()} {letter.topic}\n  {letter.problem}\n  {payload}"
        )
        console.print(text, markup=False, highlight=False, soft_wrap=True)


@app.command()
def backup(
    config: ConfigOption,
    target: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
) -> None:
    """Copy the database into one file, also while the collector runs."""
    from shelf_collector.adapters.backup import backup as copy_database
    from shelf_collector.adapters.backup import sqlite_file
    from shelf_collector.ports import StorageProblem

    setup = _load(config)
    try:
        copy = copy_database(sqlite_file(setup.database_url), target)
    except StorageProblem as problem:
        errors.print(str(problem), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from problem
    console.print(
        f"{copy.file}: {copy.size_bytes / 2**20:.1f} MiB, {copy.messages} messages, schema {copy.revision}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@app.command()
def restore(
    config: ConfigOption, source: Annotated[Path, typer.Argument(help="A file that backup has written.")]
) -> None:
    """Put a backup in the place of the database; the collector must be stopped. The former database is kept beside it.

    Exit code 2 when the file is damaged or of a newer version. What came after the backup was made is gone: nodes were
    told that it is stored, so smartshelf audit will report it as lost.

    No right comes back that was taken since: sessions and one-time links end, revoked API tokens stay revoked (all of
    them when there is no former database to ask), and people keep today's passwords and roles; who was removed since
    needs a new link.
    """
    from shelf_collector.adapters.backup import examine, sqlite_file
    from shelf_collector.adapters.backup import restore as put_back
    from shelf_collector.ports import StorageProblem

    setup = _load(config)
    try:
        copy = examine(source)
    except StorageProblem as problem:
        errors.print(str(problem), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from problem
    try:
        restored = put_back(source, sqlite_file(setup.database_url), _note_in)
    except StorageProblem as problem:
        errors.print(str(problem), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from problem
    former = f"; the former database is {restored.aside}" if restored.aside else ""
    console.print(f"{copy.messages} messages restored{former}", markup=False, highlight=False, soft_wrap=True)
    console.print("everybody has to log in again; one-time links are void", markup=False, highlight=False)
    why = "revoked since" if restored.aside else "no former database says which were revoked since"
    for what, names in ((f"API tokens revoked ({why})", restored.tokens), ("people", restored.people)):
        if names:
            console.print(f"{what}: {', '.join(names)}", markup=False, highlight=False, soft_wrap=True)


def _note_in(url: str, deed: Deed) -> None:
    """Write a row into the log of a database."""
    from shelf_collector.adapters.accounts import Accounts

    accounts = Accounts(url)
    try:
        accounts.note([deed], datetime.now(UTC))
    finally:
        accounts.close()


def _load(config: Path, *, despite_products: bool = True) -> CollectorSetup:
    from shelf_collector.config import SetupProblems, load_setup

    try:
        return load_setup(config, despite_products=despite_products)
    except SetupProblems as problems:
        errors.print(str(problems), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from problems

"""``smartshelf audit``: the proof that nothing was lost. Exit code 1 when something was, 2 for bad input."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from shelf_collector.adapters.database import Database

app = typer.Typer(add_completion=False, invoke_without_command=True, help=__doc__)
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

ConfigOption = Annotated[Path, typer.Option(help="The collector's TOML file.")]

_BAD_INPUT = 2
_LENGTH = re.compile(r"([0-9]+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass
class NodeAudit:
    """One source's books. ``missing`` may still come; ``lost`` will not."""

    source: str
    received: int = 0
    duplicates: int = 0
    gaps: int = 0
    healed: int = 0
    superseded: int = 0
    set_aside: int = 0
    missing: int = 0
    lost: int = 0


def since_of(text: str, now: datetime) -> datetime:
    """``30m``, ``24h``, ``7d`` before now, or a moment in ISO 8601 (UTC when it names no zone).

    Raises: ValueError when it is neither.
    """
    length = _LENGTH.fullmatch(text.strip())
    if length:
        return now - timedelta(seconds=int(length[1]) * _SECONDS[length[2]])
    moment = datetime.fromisoformat(text.strip())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def node_audits(database: Database, since: datetime | None) -> list[NodeAudit]:
    """The books of every source, all numberings together; since a moment, to ten minutes, or from the beginning."""
    found: dict[str, NodeAudit] = {}
    for audit in database.audits():
        node = found.setdefault(audit.source, NodeAudit(audit.source))
        node.missing += audit.missing
        if since is None:
            node.received += audit.applied + audit.duplicates + audit.set_aside
            node.duplicates += audit.duplicates
            node.gaps += audit.missing + audit.healed + audit.superseded + audit.given_up
            node.healed += audit.healed
            node.superseded += audit.superseded
            node.set_aside += audit.set_aside
            node.lost += audit.lost
    if since is not None:
        for source, grown in database.audit_since(since).items():
            node = found.setdefault(source, NodeAudit(source))
            node.gaps = grown["missed"]
            for name in ("received", "duplicates", "healed", "superseded", "set_aside", "lost"):
                setattr(node, name, grown[name])
    return list(found.values())


@app.callback()
def audit(
    context: typer.Context,
    config: ConfigOption = Path("collector.toml"),
    since: Annotated[str | None, typer.Option(help="30m, 24h, 7d, or a moment in ISO 8601; to ten minutes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """For each node: received, duplicates refused, gaps, healed, lost. Exit code 1 when anything is lost.

    A gap counts the numbers that did not come before a later one did. They stay missing until they come, the node says
    that they are gone, or a day is over.
    """
    if context.invoked_subcommand is not None:
        return
    from rich.table import Table

    from shelf_collector.adapters.backup import to_be_read
    from shelf_collector.adapters.database import Database
    from shelf_collector.config import SetupProblems, load_setup
    from shelf_collector.ports import StorageProblem

    try:
        start = since_of(since, datetime.now(UTC)) if since is not None else None
    except ValueError:
        errors.print(f"--since = {since!r}: must be like 30m, 24h, 7d or 2026-11-22T09:00", markup=False)
        raise typer.Exit(_BAD_INPUT) from None
    try:
        setup = load_setup(config, despite_products=True)
        database = Database(to_be_read(setup.database_url))
    except (SetupProblems, StorageProblem) as problems:
        errors.print(str(problems), style="red", markup=False)
        raise typer.Exit(_BAD_INPUT) from problems
    try:
        nodes, letters = node_audits(database, start), database.set_aside_count()
    finally:
        database.close()
    lost = sum(node.lost for node in nodes)
    if as_json:
        content = {"since": start.isoformat() if start else None, "lost": lost, "dead_letters": letters}
        console.print_json(json.dumps({**content, "nodes": [asdict(node) for node in nodes]}))
    else:
        names = [name for name in asdict(NodeAudit("")) if name != "source"]
        table = Table("node", *(name.replace("_", " ") for name in names))
        for node in nodes:
            table.add_row(node.source, *(str(getattr(node, name)) for name in names))
        console.print(table)
        console.print(f"dead letters kept: {letters} (smartshelf collector dead-letters)")
    raise typer.Exit(1 if lost > 0 else 0)


@app.command()
def verify(
    config: ConfigOption = Path("collector.toml"),
    head: Annotated[list[str] | None, typer.Option(help="A hash noted earlier, as ROW:HASH; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check the logbook: whether any row was changed, removed or put elsewhere. Exit code 1 when one was.

    Note the printed head down somewhere else: with --head it is told later whether the log was written anew as a whole.
    """
    from shelf_collector.adapters.accounts import Accounts
    from shelf_collector.adapters.backup import to_be_read
    from shelf_collector.config import SetupProblems, load_setup
    from shelf_collector.core.logbook import head_of
    from shelf_collector.ports import StorageProblem

    try:
        noted = [head_of(text) for text in head or []]
        setup = load_setup(config, despite_products=True)
        accounts = Accounts(to_be_read(setup.database_url))
        try:
            count, newest, breaks = accounts.verify(noted)
        finally:
            accounts.close()
    except (SetupProblems, StorageProblem, ValueError) as problems:
        errors.print(str(problems), style="red", markup=False)
        raise typer.Exit(_BAD_INPUT) from problems
    if as_json:
        content = {"rows": count, "head": str(newest) if newest else None, "breaks": [asdict(one) for one in breaks]}
        console.print_json(json.dumps(content))
    else:
        for one in breaks:
            console.print(f"row {one.row}: {one.problem}", style="red", markup=False)
        outcome = f"{len(breaks)} places where the chain does not hold" if breaks else "the chain holds"
        console.print(f"{count} rows: {outcome}; head {newest or '-'}", markup=False)
    raise typer.Exit(1 if breaks else 0)

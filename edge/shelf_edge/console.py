"""What the sub-commands of ``smartshelf edge`` share: where errors go, exit code 2 for bad input, people covered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console, RenderableType
from rich.measure import Measurement

errors = Console(stderr=True, soft_wrap=True, highlight=False)


def print_whole(table: RenderableType) -> None:
    """A table as wide as what is in it: in a file or a narrow window rich would cut its columns."""
    Console(width=Measurement.get(_ENDLESS, _ENDLESS.options, table).maximum, highlight=False).print(table)


_ENDLESS = Console(width=10_000)


@contextmanager
def bad_input() -> Iterator[None]:
    """Errors of files are told as they are, and end with exit code 2."""
    from shelf_contracts.errors import ContractError
    from shelf_contracts.files import in_words

    try:
        yield
    except (ContractError, OSError) as error:
        errors.print("[red]error:[/red] " + in_words(error).replace("[", r"\["))
        raise typer.Exit(2) from error


def people_to_cover(model: Path, draw: Path | None, nobody_in_it: bool) -> frozenset[int] | None:
    """The kinds to cover in what is drawn; None when nothing needs to be covered. Raises: FileProblems."""
    from shelf_contracts.errors import FileProblems, Problem
    from shelf_edge.adapters.model_folder import people_in

    if draw is None or nobody_in_it:
        return None
    people = people_in(model)
    if not people:
        remedy = "take a model with a label person, or say --nobody-in-it when that is so"
        found = f"with {model}, which knows no people"
        raise FileProblems(draw, [Problem("--draw", found, "must cover people in every picture it writes", remedy)])
    return people

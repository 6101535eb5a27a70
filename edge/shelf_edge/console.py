"""What the sub-commands of ``smartshelf edge`` share: where errors go, and exit code 2 for bad input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

errors = Console(stderr=True, soft_wrap=True, highlight=False)


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

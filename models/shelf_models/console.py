"""What the sub-commands of ``smartshelf models`` share: output, errors with exit code 2, progress bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
output = Console(soft_wrap=True, highlight=False, emoji=False)


@contextmanager
def bad_input() -> Iterator[None]:
    """Errors of files are told as they are, and end with exit code 2; Ctrl-C ends with 130."""
    from shelf_contracts.errors import ContractError
    from shelf_contracts.files import in_words

    try:
        yield
    except (ContractError, OSError) as error:
        errors.print(f"error: {in_words(error)}", markup=False, style="red")
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        errors.print("stopped; nothing was written")
        raise typer.Exit(130) from error


def refuse(text: str) -> typer.Exit:
    """Tell what is wrong with an argument; the caller raises what comes back."""
    errors.print(f"error: {text}", markup=False, style="red")
    return typer.Exit(2)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal, nothing elsewhere; yields what is called after each step."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)

"""Who changes a gallery file holds it: the page and the command line must not undo each other's work."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shelf_contracts.errors import DiskRefused, FileProblems, Problem

_TRIES, _PAUSE_S = 100, 0.1


@contextmanager
def held(path: Path | str) -> Iterator[None]:
    """While one program reads, changes and writes a gallery, no other does.

    Raises: FileProblems after ten seconds; DiskRefused.
    """
    file = Path(path)
    if file.is_dir():
        raise FileProblems(file, [Problem("", "a folder", "must be a file", "name the gallery's file in it")])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = file.with_name(file.name + ".lock").open("w")
    except OSError as error:
        raise DiskRefused(file, error) from error
    with opened as lock:
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if not left:
                    problem = Problem("", "in use", "another program changes it", "try again")
                    raise FileProblems(file, [problem]) from error
                time.sleep(_PAUSE_S)
        yield

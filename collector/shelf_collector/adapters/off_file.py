"""Product files from elsewhere: which format they have, and their rows one by one."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

from shelf_collector.core.off import Import, Row, read_rows
from shelf_contracts.errors import FileProblems, Problem

Layout = Literal["smartshelf", "off-tsv", "off-csv"]

_LARGEST_FIELD = 1_000_000
_LONGEST_LINE = 4_000_000


def layout_of(source: Path) -> Layout:
    """The format of a file by its beginning. Raises: FileProblems when it is none of them."""
    first = _first_line(source)
    if first.lstrip().startswith("{"):
        return "smartshelf"
    if first.startswith("code\t"):
        return "off-tsv"
    if "barcode_id" in first.split(","):
        return "off-csv"
    allowed = "must be smartshelf JSON, the Open Food Facts export (code, tabs) or an extract (barcode_id, commas)"
    raise FileProblems(source, [Problem("(first line)", repr(first[:60]), allowed, "name it with --format")])


def read_off_file(source: Path, layout: Literal["off-tsv", "off-csv"], language: str) -> Import:
    """Read a whole file; it counts as fetched when it was last written. Raises: FileProblems."""
    try:
        fetched_at = datetime.fromtimestamp(source.stat().st_mtime, UTC)
        return read_rows(_rows(source, layout), layout=layout, language=language, fetched_at=fetched_at)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(source, error) from error


def _rows(source: Path, layout: Literal["off-tsv", "off-csv"]) -> Iterator[tuple[int, Row]]:
    # The export quotes nothing: a quotation mark in a name is only that.
    csv.field_size_limit(_LARGEST_FIELD)
    with source.open(encoding="utf-8", newline="") as file:
        lines = _bounded_lines(file)
        if layout == "off-tsv":
            reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        else:
            reader = csv.DictReader(lines)
        for row in reader:
            yield reader.line_num, {key: value for key, value in row.items() if isinstance(key, str)}


def _bounded_lines(file: TextIO) -> Iterator[str]:
    """Lines; one without an end is refused before it fills the memory. Raises: csv.Error."""
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise csv.Error(f"a line is longer than {_LONGEST_LINE} characters")
        yield line


def _first_line(source: Path) -> str:
    try:
        with source.open(encoding="utf-8") as file:
            return file.readline(4000)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(source, error) from error


def _unreadable(source: Path, error: Exception) -> FileProblems:
    return FileProblems(source, [Problem("", type(error).__name__, f"must be readable UTF-8 text: {error}")])

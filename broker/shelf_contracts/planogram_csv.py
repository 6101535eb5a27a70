"""A planogram from a table: one row a slot, as a shop's own list or an export of its planning program has them.

Read by its heading, in any order: ``shelf, product, width_mm, height_mm`` must be there; ``slot, gtin, name, depth_mm,
x_mm, facings_h, facings_v, facings_d, capacity, min_presentation, case_pack`` may. Width, height and depth are those of
one item: a slot is ``facings_h`` items wide and ``facings_v`` high, both 1 when left out. Shelves stand from top to
bottom in the order in which they appear; a slot without ``x_mm`` stands right of the one before. Commas, semicolons and
tabs separate columns, and ``12,5`` is a number too, since that is what spreadsheets in Italy and the Netherlands write.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shelf_contracts.azure import as_level_id
from shelf_contracts.errors import FileProblems, Problem, shown
from shelf_contracts.files import problems_of
from shelf_contracts.ids import parse_gtin
from shelf_contracts.planogram import Planogram

NEEDED = ("shelf", "product", "width_mm", "height_mm")
NUMBERS = ("width_mm", "height_mm", "depth_mm", "x_mm")
WHOLE_NUMBERS = ("facings_h", "facings_v", "facings_d", "capacity", "min_presentation", "case_pack")
KNOWN = (*NEEDED, "slot", "gtin", "name", "depth_mm", "x_mm", *WHOLE_NUMBERS)
_MOST_ROWS = 1000


@dataclass(frozen=True)
class BaySize:
    """The fixture: its width, and the height and depth of each shelf's space, in mm."""

    width_mm: float
    shelf_height_mm: float
    shelf_depth_mm: float


@dataclass(frozen=True)
class _Row:
    line: int
    text: dict[str, str]
    number: dict[str, float]


def planogram_from_csv(file: Path, text: str, *, store: str, bay: str, size: BaySize) -> Planogram:
    """The table as a planogram without views; ``smartshelf edge calibrate`` adds where the camera sees each slot.

    Args:
        file: for the errors only.
    Raises: FileProblems with every problem of the table, by line and column.
    """
    problems: list[Problem] = []
    rows = _rows(text, problems)
    if problems:
        raise FileProblems(file, problems)
    content = _content(rows, store, bay, size, problems)
    if problems:
        raise FileProblems(file, problems)
    try:
        return Planogram.model_validate(content)
    except ValidationError as error:
        lines = [f"line {row.line}" for row in rows]
        raise FileProblems(file, [_by_line(problem, lines) for problem in problems_of(error)]) from error


def _rows(text: str, problems: list[Problem]) -> list[_Row]:
    text = text.removeprefix("\ufeff")
    heading = text.partition("\n")[0]
    delimiter = max(";\t,", key=heading.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        problems.append(Problem(f"line {reader.line_num}", "no table", str(error)))
        return []
    if not lines:
        problems.append(Problem("", "empty", f"must hold a heading with {', '.join(NEEDED)}"))
        return []
    names = [cell.strip().lower().replace(" ", "_") for cell in lines[0][1]]
    for name in NEEDED:
        if name not in names:
            found = shown(", ".join(names))
            problems.append(Problem("heading", found, f"must hold {name}", f"all that is known: {', '.join(KNOWN)}"))
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        problems.append(Problem("heading", name, "must stand there once"))
    if len(lines) > _MOST_ROWS + 1:
        problems.append(Problem("", f"{len(lines) - 1} rows", f"must hold at most {_MOST_ROWS}"))
    if len(lines) == 1:
        problems.append(Problem("", "a heading and no row", "must hold one row a slot"))
    if problems:
        return []
    return [_row(line, dict(zip(names, cells, strict=False)), problems) for line, cells in lines[1:]]


def _row(line: int, cells: dict[str, str], problems: list[Problem]) -> _Row:
    text = {name: cell.strip() for name, cell in cells.items() if name in KNOWN}
    number: dict[str, float] = {}
    for name in NEEDED:
        if not text.get(name):
            problems.append(Problem(f"line {line}, {name}", "empty", "must be given"))
    for name in (*NUMBERS, *WHOLE_NUMBERS):
        if not text.get(name):
            continue
        try:
            value = float(text[name].replace(",", ".")) if name in NUMBERS else int(text[name])
        except ValueError:
            allowed = "must be a number of mm" if name in NUMBERS else "must be a whole number"
            problems.append(Problem(f"line {line}, {name}", shown(text[name]), allowed))
            continue
        number[name] = value
    if text.get("gtin"):
        try:
            text["gtin"] = parse_gtin(text["gtin"])
        except ValueError as error:
            remedy = "spreadsheets turn long numbers into 4.00638E+12: make the column text and export again"
            problems.append(Problem(f"line {line}, gtin", shown(text["gtin"]), str(error), remedy))
    return _Row(line, text, number)


def _content(rows: list[_Row], store: str, bay: str, size: BaySize, problems: list[Problem]) -> dict[str, Any]:
    shelves = list(dict.fromkeys(row.text["shelf"] for row in rows))
    products: dict[str, dict[str, Any]] = {}
    said_in: dict[str, int] = {}
    positions: list[dict[str, Any]] = []
    right_mm = dict.fromkeys(shelves, 0.0)
    for row in rows:
        number, text = row.number, row.text
        product = _product(row)
        before = products.setdefault(text["product"], product)
        first = said_in.setdefault(text["product"], row.line)
        if before != product:
            allowed = f"must have the size, GTIN and name that it has in line {first}"
            problems.append(Problem(f"line {row.line}, product", shown(text["product"]), allowed))
        top_mm = shelves.index(text["shelf"]) * size.shelf_height_mm
        across, up = int(number.get("facings_h", 1)), int(number.get("facings_v", 1))
        depth_mm = number.get("depth_mm") or number["width_mm"]
        deep = int(number.get("facings_d", 0)) or max(1, int(size.shelf_depth_mm // depth_mm))
        x_mm, high_mm = number.get("x_mm", right_mm[text["shelf"]]), up * number["height_mm"]
        right_mm[text["shelf"]] = x_mm + across * number["width_mm"]
        place = sum(other.text["shelf"] == text["shelf"] for other in rows if other.line <= row.line)
        positions.append(
            {
                "id": as_level_id(text.get("slot") or f"s{shelves.index(text['shelf']) + 1}-{place:02d}"),
                "productId": text["product"],
                "fixtureId": _fixture_id(shelves, text["shelf"]),
                "x": x_mm,
                "y": top_mm + size.shelf_height_mm - high_mm,
                "w": across * number["width_mm"],
                "h": high_mm,
                "facings": {"h": across, "v": up, "d": deep},
                "capacity": int(number.get("capacity", across * up * deep)),
                "min_presentation": int(number.get("min_presentation", across)),
                "case_pack": int(number.get("case_pack", 1)),
            }
        )
        if high_mm > size.shelf_height_mm:
            allowed = f"must fit under the shelf above, {size.shelf_height_mm:g} mm"
            problems.append(Problem(f"line {row.line}, height_mm", f"{high_mm:g}", allowed))
    return {
        "schema": "smartshelf.planogram.v1",
        "id": f"pg-{bay}",
        "store": store,
        "bay": bay,
        "width": size.width_mm,
        "height": len(shelves) * size.shelf_height_mm,
        "products": list(products.values()),
        "fixtures": [
            {
                "id": _fixture_id(shelves, shelf), "x": 0.0, "y": i * size.shelf_height_mm, "w": size.width_mm,
                "h": size.shelf_height_mm, "d": size.shelf_depth_mm,
            }
            for i, shelf in enumerate(shelves)
        ],
        "positions": positions,
    }  # fmt: skip


def _product(row: _Row) -> dict[str, Any]:
    return {
        "id": row.text["product"],
        "gtin": row.text.get("gtin") or None,
        "name": row.text.get("name", ""),
        "w": row.number["width_mm"],
        "h": row.number["height_mm"],
        "d": row.number.get("depth_mm") or row.number["width_mm"],
    }


def _fixture_id(shelves: list[str], shelf: str) -> str:
    return as_level_id(f"t{shelves.index(shelf) + 1}-{shelf}")


def _by_line(problem: Problem, lines: list[str]) -> Problem:
    """``positions[3].w`` is something of the fourth row: say its line."""
    head, _, rest = problem.key.partition("]")
    if not head.startswith("positions[") or not head.removeprefix("positions[").isdigit():
        return problem
    line = lines[int(head.removeprefix("positions["))]
    remedy = problem.remedy
    if not remedy and rest == ".x + w":
        remedy = "width_mm is that of one item, facings_h how many stand side by side; or the bay's --width-mm is wrong"
    return Problem(f"{line}{rest.replace('.', ', ', 1)}", problem.found, problem.allowed, remedy)

"""docs/security.md names a test for each threat: they must be there, and every row must name one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"

HEADINGS = ("Network and broker", "Web", "Privacy", "Input", "Supply chain")
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions_of(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


def threat_rows() -> list[str]:
    """The rows of the tables whose head is threat, measure, test."""
    rows, inside = [], False
    for line in PAGE.read_text().splitlines():
        inside = line.startswith("| threat |") or (inside and line.startswith("|"))
        if inside and not line.startswith(("| threat |", "|---")):
            rows.append(line)
    return rows


def test_the_page_has_its_sections() -> None:
    for heading in HEADINGS:
        assert f"\n## {heading}\n" in PAGE.read_text()


def test_every_threat_names_a_test_that_exists() -> None:
    rows = threat_rows()
    assert rows
    for row in rows:
        named = TEST_ID.findall(row.rsplit("|", 2)[1])
        assert named, f"this threat names no test: {row}"
        for file, function in named:
            assert (ROOT / file).is_file(), f"{file} does not exist: {row}"
            assert function in functions_of(ROOT / file), f"{file} has no {function}: {row}"

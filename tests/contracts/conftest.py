"""Small valid things that tests then break in one place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_PLANOGRAM: dict[str, Any] = {
    "schema": "smartshelf.planogram.v1",
    "id": "pg-a03",
    "store": "nl-ams-001",
    "bay": "a03",
    "width": 1000,
    "height": 800,
    "products": [
        {"id": "beans", "gtin": "4006381333931", "name": "Beans", "w": 80, "h": 110, "d": 80},
        {"id": "rice", "w": 120, "h": 200},
    ],
    "fixtures": [{"id": "top", "x": 0, "y": 0, "w": 1000, "h": 400, "d": 400}],
    "positions": [
        {"id": "s1", "productId": "beans", "fixtureId": "top", "x": 0, "y": 100, "w": 160, "h": 110,
         "facings": {"h": 2, "d": 3}, "capacity": 6, "min_presentation": 2, "case_pack": 6},
        {"id": "s2", "productId": "rice", "fixtureId": "top", "x": 200, "y": 100, "w": 120, "h": 200, "capacity": 1},
    ],
    "views": [
        {"camera": "c1", "slots": {
            "s1": [[0.1, 0.1], [0.3, 0.1], [0.3, 0.4], [0.1, 0.4]],
            "s2": {"front": [[0.4, 0.1], [0.6, 0.1], [0.6, 0.4]],
                   "floor": [[0.4, 0.4], [0.6, 0.4], [0.58, 0.35], [0.42, 0.35]]},
        }}
    ],
}  # fmt: skip


@pytest.fixture
def planogram_content() -> dict[str, Any]:
    """A planogram of two slots as a JSON object; a fresh copy for each test."""
    return copy.deepcopy(_PLANOGRAM)


@pytest.fixture
def json_file(tmp_path: Path) -> Callable[[Any], Path]:
    def write(content: Any, name: str = "file.json") -> Path:
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return file

    return write

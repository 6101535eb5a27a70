"""The recordings and pictures that are not part of the project: found by SMARTSHELF_DATA or beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def real_data(*parts: str) -> Path:
    """A file or folder of the real data; skips the test, with the reason, where it is not."""
    root = Path(os.environ.get("SMARTSHELF_DATA") or _BESIDE)
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(parts)} in SMARTSHELF_DATA or ../shared/data")
    return path

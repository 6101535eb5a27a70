"""``python -m shelf_collector``: the same commands as ``smartshelf collector``."""

from __future__ import annotations

from shelf_collector.cli import app

if __name__ == "__main__":
    app()

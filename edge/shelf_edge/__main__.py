"""``python -m shelf_edge``."""

from shelf_edge.cli import app

app()

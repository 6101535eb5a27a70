"""``python -m shelf_broker``."""

from shelf_broker.cli import app

app()

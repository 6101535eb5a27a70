"""``python -m shelf_models``."""

from shelf_models.cli import app

app()

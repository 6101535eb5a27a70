"""``python -m shelf_simulator``: the same commands as ``smartshelf simulator``."""

from shelf_simulator.cli import app

app(prog_name="smartshelf simulator")

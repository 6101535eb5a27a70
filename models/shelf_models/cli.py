"""``smartshelf models``: train a detector; measuring and the registry are in modules of their own."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from shelf_models import cli_evaluate, cli_registry

app = typer.Typer(help="From pictures to a checked .onnx.", no_args_is_help=True)
app.add_typer(cli_evaluate.app, name="evaluate")
app.command()(cli_evaluate.compare)
app.command()(cli_evaluate.quantise)
cli_registry.add_to(app)

_errors = Console(stderr=True, soft_wrap=True, highlight=False)
_output = Console(soft_wrap=True, highlight=False)


@app.command()
def train(
    preset: Annotated[str, typer.Option(help="Which recipe: demo (under an hour on 2 cores) or minute.")] = "demo",
    out: Annotated[Path | None, typer.Option(help="Model folder to write; default: runs/PRESET/model.")] = None,
    work: Annotated[Path | None, typer.Option(help="For pictures and checkpoints; default: runs/PRESET.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="Pictures made before, instead of new ones.")] = None,
) -> None:
    """Train on simulated pictures and write a model folder: model.onnx, golden picture, manifest.json."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    from shelf_models.presets import PRESETS

    if preset not in PRESETS:
        _errors.print(f"[red]error:[/red] --preset = {preset!r}: must be one of {', '.join(PRESETS)}")
        raise typer.Exit(2)
    missing = [name for name in ("torch", "torchvision", "ultralytics", "onnx") if not _is_installed(name)]
    if missing:
        remedy = "install the training environment with `make train-env`, or pip install 'smartshelf\\[train]'"
        _errors.print(f"[red]error:[/red] {', '.join(missing)} missing: {remedy}")
        raise typer.Exit(2)
    from shelf_models.train import train as run_training

    work = work or Path("runs") / preset
    manifest = run_training(PRESETS[preset], out or work / "model", work, dataset)
    for name, value in manifest.metrics.items():
        _output.print(f"{name}: {value:.3f}")
    _output.print(f"written: {out or work / 'model'} ({manifest.metrics_protocol})", markup=False)


def _is_installed(name: str) -> bool:
    from importlib.util import find_spec

    return name in sys.modules or find_spec(name) is not None

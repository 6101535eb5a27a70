"""``smartshelf simulator``: training pictures, recordings and live cameras of a store made of code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import typer
from rich.console import Console
from rich.progress import Progress

from shelf_contracts.files import read_model
from shelf_contracts.shipped import demo_shop_folder
from shelf_simulator.adapters.dataset import contact_sheet, sample, write_dataset
from shelf_simulator.adapters.scenes import invent_packs
from shelf_simulator.core.design import Pack
from shelf_simulator.core.packs import PackFile

app = typer.Typer(help="A store made of code: shelves, shoppers, cameras, with ground truth.", no_args_is_help=True)
console = Console(stderr=True)

Out = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same store.")]


def demo_packs() -> list[Pack]:
    """What the demo shop sells."""
    return read_model(demo_shop_folder() / "packs.json", PackFile).as_packs()


@app.command()
def dataset(
    out: Out,
    pictures: Annotated[int, typer.Option("--pictures", min=1, help="How many.")] = 1000,
    seed: Seed = 1,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64)] = 2,
    preview: Annotated[Path | None, typer.Option("--preview", help="Also write a contact sheet with boxes.")] = None,
) -> None:
    """Write training pictures with boxes of products, hands and people (ultralytics layout)."""
    shop = demo_packs()
    if preview is not None:
        others = invent_packs(160, seed * 1000)
        cv2.imwrite(str(preview), contact_sheet([sample(i, seed, shop, others) for i in range(min(pictures, 16))]))
    with Progress(console=console) as progress:
        task = progress.add_task("pictures", total=pictures)
        for done in write_dataset(out, pictures=pictures, seed=seed, shop=shop, workers=workers):
            progress.update(task, completed=done)
    console.print(f"{pictures} pictures in {out}")


@app.callback()
def main() -> None:
    """A store made of code."""

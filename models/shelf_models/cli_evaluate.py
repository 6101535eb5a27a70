"""``smartshelf models evaluate`` and ``compare``: figures on labelled pictures. Exit code 2: bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from shelf_models.console import bad_input, errors, output, progress, refuse

app = typer.Typer(help="Measure a model on labelled pictures.", no_args_is_help=True)

FORMATS = ("tsv", "coco", "yolo", "voc")
PROVIDERS = ("cpu", "cuda", "tensorrt", "coreml", "directml", "openvino")

_Data = Annotated[Path, typer.Option("--data", help="Folder of pictures with labels.")]
_Format = Annotated[str, typer.Option("--format", help="tsv, coco, yolo or voc.")]
_Labels = Annotated[Path | None, typer.Option(help="Label file or folder, when it lies elsewhere.")]
_Model = Annotated[Path | None, typer.Option(help="A model folder or a bare FILE.onnx; default: the shipped model.")]
_AsProduct = Annotated[
    str | None,
    typer.Option(help="Labels taken as products: 'all-but:person' or 'bottle,cup'. Default: the manifest's."),
]
_Confidence = Annotated[
    float | None, typer.Option(min=0.001, max=0.999, help="For recall, precision and counts; default: the manifest's.")
]
_Threads = Annotated[int, typer.Option(min=1, max=64, help="For one inference.")]
_Provider = Annotated[str, typer.Option(help="What to compute on (required): " + ", ".join(PROVIDERS) + ".")]
_Tiles = Annotated[str, typer.Option(help="auto: where products would be too small; never; always.")]
_Limit = Annotated[int | None, typer.Option(min=1, help="Only the first pictures.")]


@app.command()
def barcodes(
    data: Annotated[Path, typer.Option("--data", help="Pictures, the number that each shows beside it as NAME.txt.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Read barcodes as ``edge planogram labels`` does, and as zxing-cpp alone does, on the same pictures."""
    with bad_input():
        from shelf_models.evaluate_barcodes import evaluate_barcodes, pictures_with_numbers

        pictures = pictures_with_numbers(data)
        with progress("pictures", len(pictures)) as step:
            found = evaluate_barcodes(pictures, on_picture=step)
    if as_json:
        output.print(json.dumps(found), markup=False)
        return
    for name, value in found.items():
        output.print(f"{name}: {value}", markup=False)


@app.command()
def detector(
    data: _Data,
    form: _Format = "tsv",
    labels: _Labels = None,
    model: _Model = None,
    as_product: _AsProduct = None,
    confidence: _Confidence = None,
    threads: _Threads = 2,
    provider: _Provider = "cpu",
    tiles: _Tiles = "auto",
    limit: _Limit = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for curve.svg and pictures of the worst cases.")] = None,
) -> None:
    """Find products on labelled pictures as a node would: AP, AP50, recall, precision, count error, time.

    Class-agnostic: every label is a product but arm-or-hand, person, price-label and gap. AP counts up to 300 boxes a
    picture; where a picture truly holds more, twice as many as the fullest does: max_dets tells it, ap_at_300 and
    ap50_at_300 are those with 300. Recall, precision and counts have no cap.
    """
    _check_choices(form, provider, tiles)
    with bad_input():
        from shelf_contracts.shipped import model_folder
        from shelf_edge.adapters.runtime import Execution
        from shelf_models.evaluate import evaluate_detector, locate_for_evaluation
        from shelf_models.labelled import read_labelled
        from shelf_models.metrics import MAX_DETS

        files, products = locate_for_evaluation(model or model_folder(), as_product)
        pictures = read_labelled(data, form, labels)[:limit]  # type: ignore[arg-type]
        with progress("pictures", len(pictures)) as step:
            found = evaluate_detector(
                files,
                pictures,
                products=products,
                confidence=confidence,
                threads=threads,
                execution=Execution(provider, "require"),  # type: ignore[arg-type]
                tiling=tiles,  # type: ignore[arg-type]
                on_picture=step,
            )
        if out is not None:
            from shelf_models.figures import write_figures

            write_figures(found, out)
    report, score = found.as_json(), found.score
    if score.max_dets > MAX_DETS:
        errors.print(
            f"note: a picture holds {score.most_boxes} boxes, so ap and ap50 count the best {score.max_dets} found in "
            f"each; ap_at_300 and ap50_at_300 are {score.ap_at_300:.4f} and {score.ap50_at_300:.4f}",
            markup=False,
        )
    if as_json:
        output.print(json.dumps(report), markup=False)
        return
    for name, value in report.items():
        output.print(f"{name}: {value}", markup=False)


@app.command()
def recogniser(
    gallery: Annotated[Path, typer.Option(help="Folder of reference photos.")],
    query: Annotated[Path, typer.Option(help="Folder of photos to recognise.")],
    layout: Annotated[str, typer.Option(help="grocery-store, or folders: one folder a product.")] = "folders",
    model: Annotated[Path | None, typer.Option(help="A recogniser's folder; default: the shipped one.")] = None,
    provider: _Provider = "cpu",
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures into the model's manifest and card.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Recognise products by reference photos: first answer right, one catalogue picture a product, honest unknowns.

    Open set: half of the products are enrolled, the others must come out unknown; five splits with fixed seeds.
    """
    from shelf_models.product_photos import LAYOUTS

    if layout not in LAYOUTS:
        raise refuse(f"--layout = {layout!r}: must be one of {', '.join(LAYOUTS)}")
    if provider not in PROVIDERS:
        raise refuse(f"--provider = {provider!r}: must be one of {', '.join(PROVIDERS)}")
    with bad_input():
        from shelf_contracts.shipped import DEFAULT_RECOGNISER, model_folder
        from shelf_edge.adapters.recogniser_onnx import load_recogniser
        from shelf_edge.adapters.runtime import Execution
        from shelf_models.evaluate_recogniser import evaluate_recogniser
        from shelf_models.product_photos import QUERY_SPLITS, read_product_photos

        execution = Execution(provider, "require")  # type: ignore[arg-type]
        folder = model or model_folder(DEFAULT_RECOGNISER)
        loaded = load_recogniser(folder, execution=execution)
        references = read_product_photos(gallery, layout)
        queries = read_product_photos(query, layout, QUERY_SPLITS)
        catalogue = references.catalogue or queries.catalogue
        with progress("photos", len(references.photos) + len(queries.photos) + len(catalogue)) as step:
            found = evaluate_recogniser(loaded, references, queries, step)
        if record:
            from shelf_models.describe import record_figures

            record_figures(folder, found.shares(), found.protocol())
    report = found.as_json()
    if as_json:
        output.print(json.dumps(report), markup=False, soft_wrap=True)
        return
    for name, value in report.items():
        output.print(f"{name}: {'nothing to measure it on' if value is None else value}", markup=False)


def compare(
    one: Annotated[Path, typer.Argument(help="A model folder or FILE.onnx.")],
    other: Annotated[Path, typer.Argument(help="Another.")],
    data: _Data,
    form: _Format = "tsv",
    labels: _Labels = None,
    as_product: _AsProduct = None,
    confidence: _Confidence = None,
    threads: _Threads = 2,
    providers: Annotated[str, typer.Option(help="Each model on each of these, as: cpu,openvino.")] = "cpu",
    tiles: _Tiles = "auto",
    limit: _Limit = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Two models on the same pictures, side by side: AP, recall, precision, count error, ms a picture, MB."""
    chosen = [provider.strip() for provider in providers.split(",")]
    for provider in chosen:
        _check_choices(form, provider, tiles)
    with bad_input():
        from shelf_edge.adapters.runtime import Execution
        from shelf_models.compare import Candidate, compare_models, table
        from shelf_models.evaluate import locate_for_evaluation
        from shelf_models.labelled import read_labelled

        candidates = [
            Candidate(*locate_for_evaluation(path, as_product), Execution(provider, "require"))  # type: ignore[arg-type]
            for path in (one, other)
            for provider in chosen
        ]
        pictures = read_labelled(data, form, labels)[:limit]  # type: ignore[arg-type]
        with progress("pictures", len(pictures) * (len(candidates) + 1)) as step:
            rows = compare_models(
                candidates,
                pictures,
                confidence=confidence,
                threads=threads,
                tiling=tiles,  # type: ignore[arg-type]
                on_picture=step,
            )
    output.print(table(rows), markup=False)
    if as_json:
        output.print(json.dumps({"models": [row.as_json() for row in rows]}), markup=False)


def quantise(
    model: Annotated[Path, typer.Argument(help="A model folder or FILE.onnx.")],
    calibration: Annotated[Path, typer.Option(help="Folder of pictures like those the model will see.")],
    out: Annotated[Path, typer.Option(help="Model folder to write; must not exist.")],
    pictures: Annotated[int, typer.Option(min=8, max=1000, help="How many of them to use.")] = 64,
    depthwise: Annotated[
        str, typer.Option(help="Depthwise convolutions: int8, fp32, or auto: fp32 where there are many.")
    ] = "auto",
) -> None:
    """Write an INT8 copy of a model; compare it before you ship it."""
    from importlib.util import find_spec

    if find_spec("onnx") is None:
        raise refuse("the package onnx is missing: pip install 'smartshelf[models]'")
    if depthwise not in ("auto", "int8", "fp32"):
        raise refuse(f"--depthwise = {depthwise!r}: must be auto, int8 or fp32")
    with bad_input():
        from shelf_models.quantise import quantise as run

        with progress("calibration", pictures) as step:
            done = run(model, calibration, out, pictures=pictures, depthwise=depthwise, on_picture=step)  # type: ignore[arg-type]
    output.print(
        f"written: {out}: {done.mb_before:.2f} MB -> {done.mb_after:.2f} MB; {done.left_out} of {done.nodes} nodes "
        f"stay in fp32. Now: smartshelf models compare {model} {out} --data DIR",
        markup=False,
    )


def _check_choices(form: str, provider: str, tiles: str) -> None:
    for name, value, allowed in (
        ("--format", form, FORMATS),
        ("--provider", provider, PROVIDERS),
        ("--tiles", tiles, ("auto", "never", "always")),
    ):
        if value not in allowed:
            raise refuse(f"{name} = {value!r}: must be one of {', '.join(allowed)}")

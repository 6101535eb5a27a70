"""``smartshelf models enrol`` and ``enrol-worker``: products by sight. Exit code 2: bad input."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shelf_models.console import bad_input, errors, output, progress, refuse

if TYPE_CHECKING:
    from shelf_models.enrol import Enroller

_Recogniser = Annotated[
    Path | None, typer.Option(help="Model folder of the embedding network; default: the shipped one.")
]
_Detector = Annotated[Path | None, typer.Option(help="Model folder of the detector; default: the shipped one.")]


def enrol(
    photos: Annotated[list[Path] | None, typer.Argument(help="Photos of one product, from several sides.")] = None,
    gtin: Annotated[str, typer.Option(help="The product's number; its check digit is checked.")] = "",
    gallery: Annotated[Path, typer.Option(help="The gallery; made when it is not there.")] = Path("shop.gallery"),
    by: Annotated[str, typer.Option(help="Who enrols; default: your login name. Nodes never get it.")] = "",
    kind: Annotated[str, typer.Option(help="What it is when the very product is not sure: milk, tea.")] = "",
    recogniser: _Recogniser = None,
    detector: _Detector = None,
    folders: Annotated[
        Path | None, typer.Option("--from", help="Many products: a folder of folders named by GTIN, photos in them.")
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Where no product is found in a photo, all of it is the product.")
    ] = False,
    keep_thumbnails: Annotated[
        bool,
        typer.Option(
            help="Keep a small picture of each photo beside the gallery, for the page that shows look-alikes."
        ),
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last enrolment back.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Enrol a product from a few photos; a collector that keeps this gallery brings it to every node by itself.

    The gallery of a collector is ``state/gallery/shop.gallery`` beside its configuration.
    """
    with bad_input():
        from shelf_contracts.ids import parse_gtin
        from shelf_models.enrol_files import enrol_files, undo_last

        if undo:
            after, name = undo_last(gallery)
            text = f"undone: {name}; {len(after.gtins)} products, {len(after.entries)} photos in {gallery}"
            output.print(json.dumps(_figures(after) | {"undone": name}) if as_json else text, markup=False)
            return
        if folders is not None:
            many = load_enroller(recogniser, detector)
            _enrol_many(gallery, folders, many, by or getpass.getuser()[:64], keep_thumbnails)
            return
        try:
            number = parse_gtin(gtin)
        except ValueError as error:
            raise refuse(f"--gtin = {gtin!r}: {error}") from error
        if not photos:
            raise refuse("photos: none was given; name one or more of the product")
        if len(by) > 64 or len(kind) > 64:
            raise refuse("--by, --kind: must have at most 64 characters")
        enroller = load_enroller(recogniser, detector)
        with progress("photos", len(photos)) as step:
            done = enrol_files(
                gallery,
                number,
                photos,
                enroller,
                by=by or getpass.getuser()[:64],
                kind=kind,
                whole=whole,
                keeps_thumbnails=keep_thumbnails,
                on_photo=step,
            )
    for name, warning in done.warnings:
        errors.print(f"warning: {name + ': ' if name else ''}{warning.text}", markup=False, style="yellow")
    if as_json:
        told = [{"photo": name, "kind": one.kind, "text": one.text, "gtin": one.gtin} for name, one in done.warnings]
        content = {"gtin": number, "enrolment": done.enrolment, "enrolled": len(done.boxes), "warnings": told}
        output.print(json.dumps(content | _figures(done.gallery)), markup=False)
        return
    output.print(
        f"{number}: {len(done.boxes)} photos enrolled; {len(done.gallery.gtins)} products in {gallery}, "
        f"revision {done.gallery.revision[:12]}",
        markup=False,
    )


def _enrol_many(gallery: Path, folders: Path, enroller: Enroller, by: str, keeps_thumbnails: bool) -> None:
    from shelf_contracts.gallery import read_gallery
    from shelf_models.enrol_files import enrol_folders

    with progress("products", sum(path.is_dir() for path in folders.glob("*"))) as step:
        done = enrol_folders(gallery, folders, enroller, by=by, keeps_thumbnails=keeps_thumbnails, on_product=step)
    for one in done:
        for name, warning in one.warnings:
            errors.print(f"warning: {name + ': ' if name else ''}{warning.text}", markup=False, style="yellow")
    after = read_gallery(gallery)
    output.print(f"{len(done)} products enrolled; {len(after.gtins)} in {gallery}, revision {after.revision[:12]}")


def enrol_worker(recogniser: _Recogniser = None, detector: _Detector = None) -> None:
    """Used by the collector: photos on stdin, crops and embeddings on stdout, until stdin ends."""
    from shelf_models.enrol_worker import serve, tell_missing

    try:
        enroller = load_enroller(recogniser, detector)
    except ModuleNotFoundError as error:
        tell_missing(sys.stdout.buffer, error.name or str(error))
        raise typer.Exit(3) from error
    except Exception as error:
        tell_missing(sys.stdout.buffer, "", str(error))
        raise typer.Exit(2) from error
    serve(enroller, sys.stdin.buffer, sys.stdout.buffer)


def load_enroller(recogniser: Path | None, detector: Path | None) -> Enroller:
    """Both models, checked. Raises: FileProblems; ModuleNotFoundError when the packages for vision are missing."""
    from shelf_contracts.shipped import DEFAULT_RECOGNISER, model_folder
    from shelf_edge.adapters.detector_onnx import load_detector
    from shelf_edge.adapters.recogniser_onnx import load_recogniser
    from shelf_models.enrol import Enroller

    embedder = load_recogniser(recogniser or model_folder(DEFAULT_RECOGNISER))
    return Enroller(load_detector(detector or model_folder()), embedder, embedder.calibration.none_cosine)


def _figures(gallery: object) -> dict[str, object]:
    from shelf_contracts.gallery import Gallery

    assert isinstance(gallery, Gallery)
    return {"revision": gallery.revision, "products": len(gallery.gtins), "photos": len(gallery.entries)}

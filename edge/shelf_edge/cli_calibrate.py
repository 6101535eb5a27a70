"""``smartshelf edge calibrate``: four corners in a picture give the view of a planogram."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from shelf_edge.console import bad_input, errors, people_to_cover

_output = Console(soft_wrap=True, highlight=False)
_NARROW_DEG, _WIDE_DEG = 35.0, 125.0
"""Shelf cameras lie between; beyond it the sizes in mm are more likely to be wrong, and boards are drawn bent."""
_LEAST_FIT = 0.015
"""Of the picture's width: corners that fit worse are others than those of the rectangle, or its sizes are wrong."""
_RECTANGLE = "point at a shelf or another rectangle that is, and say which with --of 'x,y,width,height' in mm"
_PART = "point at the part that is, down to a board, and give its width and height with --size"
_PICTURES = (".jpg", ".jpeg", ".png")


def calibrate(
    planogram: Annotated[
        Path | None, typer.Argument(help="planogram.json; its sizes in mm must be those of the real bay.")
    ] = None,
    *,
    corners: Annotated[
        str,
        typer.Option(
            help="Pixels: top left, top right, bottom right, bottom left, as '120,80 1810,95 1790,1010 140,1000'."
        ),
    ],
    picture: Annotated[
        Path | None, typer.Option(help="A picture of that camera, in which the corners were measured.")
    ] = None,
    propose: Annotated[
        Path | None,
        typer.Option(help="Instead: a picture of the full shelf by that camera; slots are proposed from what is seen."),
    ] = None,
    size: Annotated[str, typer.Option(help="With --propose: the bay's 'width,height,depth' in mm.")] = "",
    store: Annotated[str, typer.Option(help="With --propose: the store's id.")] = "",
    bay: Annotated[str, typer.Option(help="With --propose: the bay's id.")] = "",
    gallery: Annotated[Path | None, typer.Option(help="With --propose: names products that were enrolled.")] = None,
    camera: Annotated[str, typer.Option(help="Id of the camera's view.")] = "c1",
    of: Annotated[
        str, typer.Option(help="Which rectangle has these corners, in mm: 'x,y,width,height'. Default: the whole bay.")
    ] = "",
    view_angle: Annotated[
        float | None,
        typer.Option(min=15, max=150, help="The camera's horizontal angle of view in degrees, when known."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Written; default: the planogram itself, the old one is kept beside.")
    ] = None,
    draw: Annotated[Path | None, typer.Option(help="Written: the picture with the slots drawn on it.")] = None,
    nobody_in_it: Annotated[bool, typer.Option("--nobody-in-it", help="Draw without covering people.")] = False,
) -> None:
    """Tell where a camera sees every slot: point at four corners of the bay's front, and look at what is drawn."""
    with bad_input():
        import numpy as np
        from pydantic import ValidationError

        from shelf_contracts.errors import FileProblems, Problem
        from shelf_contracts.files import problems_of, read_model, write_json
        from shelf_contracts.planogram import Planogram
        from shelf_contracts.shipped import model_folder
        from shelf_edge.adapters.pictures import read_picture
        from shelf_edge.core.calibration import Rectangle, camera_from_corners, with_view
        from shelf_edge.core.calibration import calibrate as calibrate_view

        if propose is not None:
            _propose(propose, planogram, corners, size, (store, bay), camera, gallery, out, draw, nobody_in_it)
            return
        if planogram is None or picture is None:
            need = "PLANOGRAM and --picture, or --propose PHOTO"
            raise FileProblems("command line", [Problem("", "something is missing", f"needs {need}")])
        plan = read_model(planogram, Planogram)
        image = read_picture(picture)
        height, width = image.shape[:2]
        points = np.array(_numbers(corners, 8, "--corners", "four points: 'x,y x,y x,y x,y'")).reshape(4, 2)
        _must_be_inside(points, picture, width, height, _RECTANGLE)
        whole = Rectangle(0, 0, plan.width, plan.height)
        at = Rectangle(*_numbers(of, 4, "--of", "x,y,width,height in mm")) if of else whole
        if draw is not None and draw.suffix.lower() not in _PICTURES:
            raise FileProblems(draw, [Problem("--draw", repr(draw.suffix), f"must end with {', '.join(_PICTURES)}")])
        people = people_to_cover(model_folder(), draw, nobody_in_it)
        try:
            seen_by = camera_from_corners(points, at, width, height, view_angle)
            found = calibrate_view(plan, camera, seen_by, points, at)
        except ValueError as error:
            raise FileProblems(picture, [Problem("--corners", repr(corners), str(error))]) from error
        try:
            done = with_view(plan, found.view)
        except ValidationError as error:
            raise FileProblems(planogram, problems_of(error, Planogram)) from error
        target = out or planogram
        if target.exists():
            write_json(target.with_suffix(".before.json"), read_model(target, Planogram))
        write_json(target, done)
        if draw is not None:
            _draw(draw, image, done, camera, people)
    angle = "" if found.camera.is_angle_known else " (usual: give --view-angle when you know it)"
    _output.print(
        f"{target}: {len(found.view.slots)} slots of bay {done.bay} in the view of {camera}. Camera: "
        f"{found.camera.distance_mm / 1000:.2f} m before the bay, {found.camera.view_angle_deg:.0f}° wide{angle}; the "
        f"corners fit to {found.error_px:.1f} px.",
        markup=False,
    )
    for slots, what in (
        (found.hardly_seen, "less than half in the picture"),
        (found.unseen, "not in the picture: left out"),
    ):
        if slots:
            _output.print(f"{', '.join(slots)}: {what}", markup=False)
    depths = {fixture.id: fixture.d for fixture in done.fixtures}
    flat = [slot for slot, view in found.view.slots.items() if view.floor is None]
    unknown = [slot for slot in flat if depths[done.position(slot).fixture_id] <= 1]
    for flat_slots, why in (
        (unknown, "the planogram does not say how deep the shelf is"),
        ([slot for slot in flat if slot not in unknown], "the board is not seen from above"),
    ):
        if flat_slots:
            _output.print(f"{', '.join(flat_slots)}: {why}, so items behind others are not counted", markup=False)
    told = ""
    if found.error_px > _LEAST_FIT * width:
        told = f"no camera sees the corners there, they are off by {found.error_px:.0f} px"
    elif found.camera.is_angle_known and not _NARROW_DEG <= found.camera.view_angle_deg <= _WIDE_DEG:
        told = f"{found.camera.view_angle_deg:.0f}° is unusual for a camera"
    if told:
        remedy = f"see that the corners are those of {at.w:g} x {at.h:g} mm, or give --view-angle when you know it"
        errors.print(f"warning: {told}: {remedy}", style="yellow", markup=False)


def _propose(
    photo: Path,
    planogram: Path | None,
    corners: str,
    size: str,
    place: tuple[str, str],
    camera: str,
    gallery: Path | None,
    out: Path | None,
    draw: Path | None,
    nobody_in_it: bool,
) -> None:
    """Slots from a photo of the full shelf; an existing planogram tells the bay's size and names."""
    import numpy as np
    from pydantic import ValidationError

    from shelf_contracts.errors import FileProblems, Problem
    from shelf_contracts.files import problems_of, read_model, write_json
    from shelf_contracts.planogram import Planogram
    from shelf_contracts.shipped import DEFAULT_RECOGNISER, model_folder
    from shelf_edge.adapters.barcodes import BarcodeReader
    from shelf_edge.adapters.detector_onnx import load_detector
    from shelf_edge.adapters.pictures import read_picture
    from shelf_edge.adapters.recogniser_onnx import load_recogniser
    from shelf_edge.core.proposing import BaySpec
    from shelf_edge.proposals import name_by_labels, propose_planogram
    from shelf_edge.tiled import TilingDetector

    points = np.array(_numbers(corners, 8, "--corners", "four points: 'x,y x,y x,y x,y'")).reshape(4, 2)
    target = out or planogram
    if target is None:
        raise FileProblems("command line", [Problem("--out", "missing", "must say where the planogram is written")])
    if planogram is not None and planogram.exists() and not size:
        held = read_model(planogram, Planogram)
        spec = BaySpec(held.store, held.bay, held.width, held.height, max(one.d for one in held.fixtures))
    else:
        width_mm, height_mm, depth_mm = _numbers(size, 3, "--size", "width,height,depth in mm")
        if not all(place):
            raise FileProblems("command line", [Problem("--store, --bay", "missing", "must be given with --size")])
        spec = BaySpec(*place, width_mm, height_mm, depth_mm)
    image = read_picture(photo)
    _must_be_inside(points, photo, image.shape[1], image.shape[0], _PART)
    people = people_to_cover(model_folder(), draw, nobody_in_it)
    recogniser = load_recogniser(model_folder(DEFAULT_RECOGNISER)) if gallery is not None else None
    detector = TilingDetector(load_detector(model_folder(), threads=2), "auto")
    try:
        found = propose_planogram(image, points, spec, detector, camera=camera, recogniser=recogniser, gallery=gallery)
    except ValidationError as error:
        raise FileProblems(photo, problems_of(error, Planogram)) from error
    except ValueError as error:
        raise FileProblems(photo, [Problem("--corners", repr(corners), str(error))]) from error
    plan = found.planogram
    try:
        plan, named = name_by_labels(image, points, plan, BarcodeReader(insists=False))
        read = f"{len(named)} named by the barcodes under them"
    except FileProblems as missing:
        read = f"barcodes on shelf edges were not read: {missing.problems[0].remedy}"
    if target.exists():
        write_json(target.with_suffix(".before.json"), read_model(target, Planogram))
    write_json(target, plan)
    if draw is not None:
        _draw(draw, image, plan, camera, people)
    known = sum(product.gtin is not None for product in plan.products)
    _output.print(
        f"{target}: proposed {len(plan.positions)} slots on {len(plan.fixtures)} shelves of bay {plan.bay}, {known} "
        f"with a product, {read}. Look at them before you use it: names, facings and capacity are guesses.",
        markup=False,
    )
    if found.gaps:
        told = "; ".join(map(str, found.gaps))
        errors.print(
            f"warning: the shelf is not full: slots where nothing stands are missing, others are guesses ({told}). "
            "Fill it and take the photo again, or correct them by hand.",
            style="yellow",
            markup=False,
        )


def _must_be_inside(corners_px: object, picture: Path, width_px: int, height_px: int, instead: str) -> None:
    """Raises: FileProblems naming every corner that is not in the picture."""
    import numpy as np

    from shelf_contracts.errors import FileProblems, Problem
    from shelf_edge.core.calibration import corners_outside

    outside = corners_outside(np.asarray(corners_px), width_px, height_px)
    if outside:
        allowed = f"must lie in the picture: x 0 to {width_px}, y 0 to {height_px}"
        remedy = f"measure them in this picture; of a bay that is not in it as a whole, {instead}"
        raise FileProblems(picture, [Problem("--corners", ", ".join(outside), allowed, remedy)])


def _numbers(text: str, count: int, option: str, shape: str) -> list[float]:
    from shelf_contracts.errors import FileProblems, Problem

    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise FileProblems("command line", [Problem(option, repr(text), f"must be {shape}")])
    return numbers


def _draw(target: Path, image: object, plan: object, camera: str, people: frozenset[int] | None) -> None:
    import cv2
    import numpy as np

    from shelf_contracts.errors import FileProblems, Problem
    from shelf_contracts.planogram import Planogram
    from shelf_contracts.shipped import model_folder
    from shelf_edge.adapters.detector_onnx import load_detector
    from shelf_edge.core.drawing import draw_view
    from shelf_edge.core.masking import PeopleMask

    assert isinstance(image, np.ndarray)
    assert isinstance(plan, Planogram)
    covered = image
    if people is not None:
        masked = PeopleMask(people).masked(image, load_detector(model_folder(), threads=2).detect(image), 0.0)
        assert masked is not None, "the shipped model knows people"
        covered = masked
    target.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(target), draw_view(covered, plan, camera)):
        raise FileProblems(target, [Problem("--draw", "not written", "must be a place that can be written")])

"""The collector's page /calibrate: a photo of a full shelf to a proposed planogram, and corners to a camera's view."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import problems_of
from shelf_contracts.planogram import Planogram
from shelf_edge.adapters.barcodes import BarcodeReader
from shelf_edge.adapters.pictures import shrunk
from shelf_edge.adapters.recogniser_onnx import OnnxRecogniser
from shelf_edge.core.calibration import Rectangle, calibrate, camera_from_corners, with_view
from shelf_edge.core.detections import Kind
from shelf_edge.core.proposing import BaySpec, ShelfGap
from shelf_edge.proposals import Named, name_by_labels, propose_planogram
from shelf_models.enrol import LOOKED_AT_PX, Enroller, opened_picture

Corners = npt.NDArray[np.float64]
_AROUND_PEOPLE = 0.1


@dataclass(frozen=True)
class Proposed:
    """``people``: boxes to be covered, x1 y1 x2 y2 in shares of the picture; sizes in pixels.

    ``labels``: what was read on shelf edges; ``reads_labels``: whether that could be tried here.
    ``gaps``: where the shelf was not full.
    """

    planogram: Planogram
    people: tuple[tuple[float, float, float, float], ...]
    width_px: int
    height_px: int
    labels: tuple[Named, ...] = ()
    reads_labels: bool = True
    gaps: tuple[ShelfGap, ...] = ()


def propose_from_photo(
    enroller: Enroller, photo: bytes, corners: Corners, spec: BaySpec, camera: str, gallery: Path | None
) -> Proposed:
    """Corners (4, 2) are shares of the picture. Raises: FileProblems."""
    path = Path("photo")
    whole = opened_picture(path.name, photo)
    picture = shrunk(whole, LOOKED_AT_PX)  # bars of barcodes need all there is
    height, width = picture.shape[:2]
    size = np.array([width, height], float)
    people = enroller.detector.detect(picture).of(Kind.PERSON).boxes_px.astype(float)
    grown = _AROUND_PEOPLE * (people[:, 2:] - people[:, :2])
    boxes = np.concatenate([people[:, :2] - grown, people[:, 2:] + grown], axis=1) / np.tile(size, 2)
    recogniser = enroller.recogniser if isinstance(enroller.recogniser, OnnxRecogniser) else None
    try:
        found = propose_planogram(
            picture, corners * size, spec, enroller.detector, camera=camera, recogniser=recogniser, gallery=gallery
        )
    except ValidationError as error:
        raise FileProblems(path, problems_of(error, Planogram)) from error
    except ValueError as error:
        raise FileProblems(path, [Problem("corners", "as given", str(error))]) from error
    plan, reader = found.planogram, _reader()
    named: list[Named] = []
    if reader is not None:
        plan, named = name_by_labels(whole, corners * (whole.shape[1], whole.shape[0]), plan, reader)
    covered = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in np.clip(boxes, 0.0, 1.0))
    return Proposed(plan, covered, width, height, tuple(named), reader is not None, found.gaps)


def _reader() -> BarcodeReader | None:
    """None where zxing-cpp is not installed: slots are proposed all the same."""
    try:
        return BarcodeReader(insists=False)
    except FileProblems:
        return None


def view_from_corners(plan: Planogram, corners: Corners, width_px: int, height_px: int, camera: str) -> Planogram:
    """The planogram with the camera's view of it. Raises: FileProblems."""
    path, at = Path("planogram"), Rectangle(0, 0, plan.width, plan.height)
    points = corners * (width_px, height_px)
    try:
        seen_by = camera_from_corners(points, at, width_px, height_px)
        return with_view(plan, calibrate(plan, camera, seen_by, points, at).view)
    except ValidationError as error:
        raise FileProblems(path, problems_of(error, Planogram)) from error
    except ValueError as error:
        raise FileProblems(path, [Problem("corners", "as given", str(error))]) from error

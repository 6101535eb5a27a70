"""A photo of a full shelf and its four corners become a proposed planogram with a view.

Barcodes on shelf edges say which product belongs to which slot: they are looked for in strips of the photo, one under
each board, straightened by the corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from shelf_contracts.gallery import read_gallery
from shelf_contracts.planogram import PlannedProduct, Planogram
from shelf_edge.adapters.barcodes import BarcodeReader
from shelf_edge.adapters.recogniser_onnx import OnnxRecogniser
from shelf_edge.core.calibration import Rectangle, calibrate, camera_from_corners, with_view
from shelf_edge.core.detections import Boxes, Kind
from shelf_edge.core.frame import Picture
from shelf_edge.core.geometry import Matrix
from shelf_edge.core.proposing import BaySpec, Colours, Proposal, Viewpoint, items_on_front, propose
from shelf_edge.core.recognition import decide, looks_of, references_of
from shelf_edge.core.shelf_labels import HANGS_ABOVE_MM, HANGS_BELOW_MM, HungLabel, SlotLabel, agreed, under_slots
from shelf_edge.ports import Detector

_CROPS_AT_ONCE = 8
_STRIP_SCALES = (2.0, 2.2, 2.5)
"""Strips are read at several sizes: which of them gives a small barcode is chance, and so are misreadings, which pass
the check digit one time in ten. What two sizes agree on counts: at 1.5 pixels a bar 25 of 32 and none wrong, where one
size alone read 7 to 32 and up to 3 wrong ones.
"""
_WIDEST_STRIP_PX = 20_000
_HALF_A_LABEL_MM = 15.0


@dataclass(frozen=True)
class Named:
    """What the label under a slot says, and what its items were recognised as (None: not recognised)."""

    label: SlotLabel
    seen_gtin: str | None


def propose_planogram(
    picture: Picture,
    corners_px: npt.NDArray[np.float64],
    spec: BaySpec,
    detector: Detector,
    *,
    camera: str = "c1",
    recogniser: OnnxRecogniser | None = None,
    gallery: Path | None = None,
) -> Proposal:
    """Look at the photo, and group what stands there; ``corners_px`` (4, 2) are those of the bay's front.

    Raises: ValueError when the corners cannot be, or nothing is seen; pydantic's ValidationError when the bay cannot;
        FileProblems of the gallery.
    """
    at = Rectangle(0, 0, spec.width_mm, spec.height_mm)
    height, width = picture.shape[:2]
    seen_by = camera_from_corners(corners_px, at, width, height)
    boxes = detector.detect(picture).of(Kind.PRODUCT).boxes_px
    known = recognised(picture, boxes, recogniser, gallery)
    x, y, z = seen_by.place_mm.tolist()
    items = items_on_front(boxes, known, colours_of(picture, boxes), corners_px, spec)
    found = propose(items, spec, seen_from=Viewpoint(x, y, abs(z)))
    return replace(
        found, planogram=with_view(found.planogram, calibrate(found.planogram, camera, seen_by, corners_px, at).view)
    )


def name_by_labels(
    picture: Picture, corners_px: npt.NDArray[np.float64], plan: Planogram, reader: BarcodeReader
) -> tuple[Planogram, list[Named]]:
    """The planogram with the products that the labels name, and what was read; a label counts more than the looks.

    Args:
        corners_px: (4, 2) of the bay's front in ``picture``.
    """
    labels = under_slots(read_edges(picture, corners_px, plan, reader), plan)
    named = [Named(label, plan.product_of(label.slot).gtin) for label in labels]
    said = {plan.position(label.slot).product_id: label.gtin for label in labels}
    products = [
        PlannedProduct(id=one.id, gtin=said[one.id], name="", w=one.w, h=one.h, d=one.d)
        if one.id in said and said[one.id] != one.gtin
        else one
        for one in plan.products
    ]
    return plan.model_copy(update={"products": products}), named


def read_edges(
    picture: Picture, corners_px: npt.NDArray[np.float64], plan: Planogram, reader: BarcodeReader
) -> list[HungLabel]:
    """Every barcode under a board of the bay's front."""
    corners = np.asarray(corners_px, np.float32)
    front_mm = np.array([[0, 0], [plan.width, 0], [plan.width, plan.height], [0, plan.height]], np.float32)
    to_picture = np.asarray(cv2.getPerspectiveTransform(front_mm, corners), np.float64)
    native = float(np.sqrt(abs(cv2.contourArea(corners)) / (plan.width * plan.height)))
    found: list[HungLabel] = []
    for board in plan.fixtures:
        reads: list[HungLabel] = []
        for step in _STRIP_SCALES:
            scale = min(step * native, _WIDEST_STRIP_PX / plan.width)
            reads += _read_strip(picture, to_picture, plan.width, board.y + board.h, scale, reader) if scale > 0 else []
        found += agreed(reads)
    return found


def _read_strip(
    picture: Picture, to_picture: Matrix, width_mm: float, edge_mm: float, scale: float, reader: BarcodeReader
) -> list[HungLabel]:
    """The barcodes about one edge of the front, straightened to so many pixels a mm."""
    top = edge_mm - HANGS_ABOVE_MM
    height_mm = HANGS_ABOVE_MM + HANGS_BELOW_MM + _HALF_A_LABEL_MM
    to_strip = np.array([[scale, 0, 0], [0, scale, -top * scale], [0, 0, 1]]) @ np.linalg.inv(to_picture)
    size_px = max(1, round(width_mm * scale)), max(1, round(height_mm * scale))
    strip = cv2.warpPerspective(picture, to_strip, size_px, flags=cv2.INTER_CUBIC).astype(np.uint8)
    middles = [(one.gtin, *one.middle_px) for one in reader.read_plainly(strip)]
    return [HungLabel(gtin, x / scale, top + y / scale) for gtin, x, y in middles]


def recognised(
    picture: Picture, boxes: Boxes, recogniser: OnnxRecogniser | None, gallery: Path | None
) -> list[str | None]:
    """The GTIN of each box (n, 4), None where it is not known."""
    if recogniser is None or gallery is None or not len(boxes):
        return [None] * len(boxes)
    references = references_of(read_gallery(gallery, recogniser.embedder, recogniser.dimension))
    found: list[str | None] = []
    for start in range(0, len(boxes), _CROPS_AT_ONCE):
        crops = [_crop(picture, box) for box in boxes[start : start + _CROPS_AT_ONCE]]
        looks = looks_of(references, recogniser.embed(crops), recogniser.calibration)
        answers = [decide(look, recogniser.calibration) for look in looks]
        found += [answer.product if answer.verdict == "known" else None for answer in answers]
    return found


def colours_of(picture: Picture, boxes: Boxes) -> Colours:
    """Mean colour, CIELAB, of each box's upper, middle and lower third: (n, 9)."""
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    means = [[part.reshape(-1, 3).mean(axis=0) for part in np.array_split(_crop(lab, box), 3)] for box in boxes]
    return np.array(means, np.float32).reshape(-1, 9)


def _crop(picture: npt.NDArray[np.generic], box: Sequence[float] | npt.NDArray[np.float32]) -> Picture:
    height, width = picture.shape[:2]
    left, top = (max(0, min(int(value), side - 3)) for value, side in zip(box[:2], (width, height), strict=True))
    right, bottom = max(left + 3, int(box[2])), max(top + 3, int(box[3]))
    return np.ascontiguousarray(picture[top:bottom, left:right])

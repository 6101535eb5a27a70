"""A photo of a full shelf and its four corners become a proposed planogram with a view."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from shelf_contracts.gallery import read_gallery
from shelf_contracts.planogram import Planogram
from shelf_edge.adapters.recogniser_onnx import OnnxRecogniser
from shelf_edge.core.calibration import Rectangle, calibrate, camera_from_corners, with_view
from shelf_edge.core.detections import Boxes, Kind
from shelf_edge.core.frame import Picture
from shelf_edge.core.proposing import BaySpec, Colours, items_on_front, propose
from shelf_edge.core.recognition import decide, looks_of, references_of
from shelf_edge.ports import Detector

_CROPS_AT_ONCE = 8


def propose_planogram(
    picture: Picture,
    corners_px: npt.NDArray[np.float64],
    spec: BaySpec,
    detector: Detector,
    *,
    camera: str = "c1",
    recogniser: OnnxRecogniser | None = None,
    gallery: Path | None = None,
) -> Planogram:
    """Look at the photo, and group what stands there; ``corners_px`` (4, 2) are those of the bay's front.

    Raises: ValueError when the corners cannot be, or nothing is seen; pydantic's ValidationError when the bay cannot;
        FileProblems of the gallery.
    """
    at = Rectangle(0, 0, spec.width_mm, spec.height_mm)
    height, width = picture.shape[:2]
    seen_by = camera_from_corners(corners_px, at, width, height)
    boxes = detector.detect(picture).of(Kind.PRODUCT).boxes_px
    known = recognised(picture, boxes, recogniser, gallery)
    plan = propose(items_on_front(boxes, known, colours_of(picture, boxes), corners_px, spec), spec)
    return with_view(plan, calibrate(plan, camera, seen_by, corners_px, at).view)


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

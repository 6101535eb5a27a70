"""Products in single pictures: the detector alone, for a first look at one's own shelf."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import cv2

from shelf_edge.adapters.camera_files import PictureFolder
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.core.detections import Kind
from shelf_edge.core.drawing import draw_boxes
from shelf_edge.core.masking import PeopleMask
from shelf_edge.ports import LookingDetector
from shelf_edge.tiled import Tiling, detect_tiled


@dataclass(frozen=True)
class PictureCount:
    """Attributes:
    products: how many were found.
    looks: how often the model ran: 1, or 1 and the number of tiles.
    ms: for finding, without reading the file.
    reason: why that many looks.
    """

    name: str
    products: int
    looks: int
    ms: float
    reason: str


def count_pictures(
    source: Path,
    detector: LookingDetector,
    drawings: Path | None = None,
    *,
    tiling: Tiling = "auto",
    people: frozenset[int] | None = None,
) -> list[PictureCount]:
    """Products found in each picture, in the order of the file names.

    Args:
        source: a picture or a folder of pictures.
        drawings: a folder for copies with the boxes drawn.
        people: the kinds to cover in the copies; None only when nobody is in the pictures.
    Raises: FileProblems.
    """
    folder = PictureFolder(source)
    folder.open()
    counts = []
    for file in folder.files:
        image = read_picture(file)
        began_s = time.perf_counter()
        look = detect_tiled(detector, image, tiling=tiling)
        ms = (time.perf_counter() - began_s) * 1000
        counts.append(PictureCount(file.name, len(look.found.of(Kind.PRODUCT)), look.looks, ms, look.reason))
        if drawings is not None:
            drawings.mkdir(parents=True, exist_ok=True)
            covered = image if people is None else PeopleMask(people).masked(image, look.found, 0.0)
            if covered is not None:
                cv2.imwrite(str(drawings / f"{file.stem}.jpg"), draw_boxes(covered, look.found))
    return counts

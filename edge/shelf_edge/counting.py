"""Products in single pictures: the detector alone, for a first look at one's own shelf."""

from __future__ import annotations

from pathlib import Path

import cv2

from shelf_edge.adapters.camera_files import PictureFolder
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.core.detections import Kind
from shelf_edge.core.drawing import draw_boxes
from shelf_edge.ports import Detector


def count_pictures(source: Path, detector: Detector, drawings: Path | None = None) -> dict[str, int]:
    """Products found in each picture, by file name.

    Args:
        source: a picture or a folder of pictures.
        drawings: a folder for copies with the boxes drawn.
    Raises: FileProblems.
    """
    folder = PictureFolder(source)
    folder.open()
    counts = {}
    for file in folder.files:
        image = read_picture(file)
        found = detector.detect(image)
        counts[file.name] = len(found.of(Kind.PRODUCT))
        if drawings is not None:
            drawings.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(drawings / f"{file.stem}.jpg"), draw_boxes(image, found))
    return counts

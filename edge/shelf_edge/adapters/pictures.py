"""Picture files, read with care: a broken, huge or animated file is an error that names it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from shelf_contracts.errors import FileProblems, Problem
from shelf_edge.core.frame import Picture, check_picture

LARGEST_FILE_BYTES = 50 * 1024 * 1024
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def read_picture(path: Path) -> Picture:
    """The picture as uint8 (height, width, 3) BGR. Raises: FileProblems."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise FileProblems(path, [Problem("", reason, "must be a readable picture")]) from error
    if len(raw) > LARGEST_FILE_BYTES:
        raise FileProblems(path, [Problem("", f"{len(raw)} bytes", f"must be at most {LARGEST_FILE_BYTES} bytes")])
    image = decode_picture(raw)
    if image is None:
        raise FileProblems(path, [Problem("", f"{len(raw)} bytes", "must be a picture that OpenCV can decode")])
    try:
        check_picture(image)
    except ValueError as error:
        raise FileProblems(path, [Problem("", str(image.shape), str(error))]) from error
    return image


def decode_picture(raw: bytes) -> Picture | None:
    """JPEG, PNG, ... to BGR; None when it is none of them."""
    if not raw:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)

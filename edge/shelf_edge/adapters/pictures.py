"""Picture files, read with care: a broken, huge or animated file is an error that names it. Small pictures to keep."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from shelf_contracts.errors import FileProblems, Problem
from shelf_edge.core.frame import Picture, check_picture
from shelf_edge.core.picture_header import PictureHeader, read_header

LARGEST_FILE_BYTES = 50 * 1024 * 1024
LARGEST_PIXELS = 100_000_000
_EXIF = b"Exif\x00\x00"
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def read_picture(path: Path, *, upright: bool = True) -> Picture:
    """The picture as uint8 (height, width, 3) BGR.

    Args:
        upright: turn it as its EXIF data says; False for labels that were drawn on the picture as it is stored.
    Raises: FileProblems when it is missing, torn, huge, animated, or no picture.
    """
    raw = _read_bytes(path)
    check_header(path, raw)
    image = decode_picture(raw, upright=upright)
    if image is None:
        raise FileProblems(path, [Problem("", f"{len(raw)} bytes", "must be a picture that OpenCV can decode")])
    try:
        check_picture(image)
    except ValueError as error:
        raise FileProblems(path, [Problem("", str(image.shape), str(error))]) from error
    return image


def read_picture_header(path: Path) -> PictureHeader:
    """What the file says about itself, nothing decoded. Raises: FileProblems, as ``read_picture``."""
    return check_header(path, _read_bytes(path))


def upright_size(path: Path, header: PictureHeader) -> tuple[int, int]:
    """Width and height in pixels of what ``read_picture`` gives: as the EXIF data turns the picture.

    Decodes only a JPEG that has EXIF data. Raises: FileProblems, as ``read_picture``.
    """
    if header.kind != "JPEG" or _EXIF not in _read_bytes(path):
        return header.width_px, header.height_px
    height, width = read_picture(path).shape[:2]
    return width, height


def _read_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE_BYTES:
            raise FileProblems(path, [Problem("", f"{size} bytes", f"must be at most {LARGEST_FILE_BYTES} bytes")])
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise FileProblems(path, [Problem("", reason, "must be a readable picture")]) from error


def check_header(path: Path, raw: bytes) -> PictureHeader:
    """Refuse what must not be decoded. Raises: FileProblems with everything that is wrong."""
    header = read_header(raw)
    if header is None:
        found = "empty" if not raw else f"{len(raw)} bytes beginning with {raw[:6]!r}"
        remedy = "save it anew in one of these formats"
        raise FileProblems(path, [Problem("", found, "must be a JPEG, PNG, WebP or BMP with a sound header", remedy)])
    problems = []
    size = f"{header.width_px}x{header.height_px} px"
    if header.width_px * header.height_px > LARGEST_PIXELS:
        allowed = f"must hold at most {LARGEST_PIXELS // 10**6} million pixels"
        problems.append(Problem("size", size, allowed, "make it smaller"))
    elif not header.width_px or not header.height_px:
        problems.append(Problem("size", size, "must hold pixels"))
    if header.is_animated:
        problems.append(Problem("", f"an animated {header.kind}", "must be a still picture", "save one of its frames"))
    if not header.is_whole:
        problems.append(Problem("", f"a torn {header.kind}", "must be whole", "copy it again"))
    if problems:
        raise FileProblems(path, problems)
    return header


def decode_picture(raw: bytes, *, upright: bool = True) -> Picture | None:
    """JPEG, PNG, ... to BGR; None when it is none of them."""
    if not raw:
        return None
    try:
        flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), flags)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def shrunk(picture: Picture, largest_px: int) -> Picture:
    """A picture (h, w, 3) with no side over ``largest_px``; itself when it has none."""
    share = largest_px / max(picture.shape[:2])
    if share >= 1.0:
        return picture
    height, width = (max(1, round(side * share)) for side in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def small_jpeg(picture: Picture, largest_px: int, quality: int) -> bytes:
    """The picture as JPEG (quality 1 to 100), no side over ``largest_px``; empty when it cannot be encoded."""
    done, raw = cv2.imencode(".jpg", shrunk(picture, largest_px), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return raw.tobytes() if done else b""

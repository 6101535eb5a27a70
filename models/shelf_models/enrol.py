"""Enrolling a product by sight: from a photo to a crop, what is wrong with it, and its embedding. Nothing is written.

A photo is looked at by the detector; of what it finds, the largest and most central product is proposed. People are
never part of what is enrolled: where one is in the photo, only a product's box may be used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.gallery import Embedder as EmbedderId
from shelf_contracts.gallery import Gallery
from shelf_edge.adapters.pictures import LARGEST_FILE_BYTES, check_header, decode_picture, shrunk, small_jpeg
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.frame import Picture, check_picture
from shelf_edge.ports import Detector, Embedder

Box = tuple[float, float, float, float]
"""x1 y1 x2 y2 in shares of the picture, 0 to 1."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
WarningKind = Literal["blurred", "dark", "bright", "small", "no-product", "people", "twice", "enrolled", "look-alike"]

LOOKED_AT_PX = 2000
"""Products are found in a picture of at most this side: phones make four times as large ones, which say no more of
where a product stands and cost seconds and gigabytes."""
_MOST_PROPOSALS = 6
_MOST_SHARED = 0.5
_LEAST_PROPOSED_SHARE = 0.01
_SMALL_PX = 64
_LEAST_CROP_PX = 24
_CUT_OUT_PX = 160
"""A picture this small shows one product and little else; it is looked at with a margin, as it would hang on a page."""
_MARGIN_SHARE = 0.25
_FARTHER_SHARE = 0.6
"""A product that fills its photo is larger than any on a shelf: seen from farther away when nothing was found."""
_DARK, _BRIGHT = 45.0, 235.0
_BLURRED = 30.0
_JUDGED_AT_PX = 256
_PERSON_SHARE = 0.1
_OWN_SHARE = 0.5
"""Of a crop that somebody drew by hand, so much must be a product that was found, where people are in the photo."""
_MARGIN = 0.02
_THUMBNAIL_PX = 160


@dataclass(frozen=True)
class Warned:
    """Something staff should know; it does not stop them. ``gtin`` and ``similarity`` are a look-alike's."""

    kind: WarningKind
    text: str
    gtin: str = ""
    similarity: float = 0.0


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo that can be used.

    Attributes:
        name: as errors call it.
        picture: BGR uint8 (h, w, 3), upright.
        proposals: boxes that may be cropped, the best first; the whole picture is one unless people are in it.
        people: boxes of people.
        warnings: about the photo as a whole.
    """

    name: str
    sha256: str
    picture: Picture
    proposals: tuple[Box, ...]
    people: tuple[Box, ...]
    warnings: tuple[Warned, ...]


def opened_picture(name: str, raw: bytes) -> Picture:
    """A photo that somebody sent, decoded. Raises: FileProblems naming it: no picture, torn, huge."""
    path = Path(name)
    if len(raw) > LARGEST_FILE_BYTES:
        allowed = f"must be at most {LARGEST_FILE_BYTES} bytes"
        raise FileProblems(path, [Problem("", f"{len(raw)} bytes", allowed, "make the photo smaller")])
    check_header(path, raw)
    picture = decode_picture(raw)
    try:
        if picture is None:
            raise ValueError("must be a picture that can be decoded")
        check_picture(picture)
    except ValueError as error:
        raise FileProblems(path, [Problem("", f"{len(raw)} bytes", str(error))]) from error
    return picture


class Enroller:
    """Looks at photos; used by one thread.

    Args:
        look_alike: from this cosine on two products may be taken for one another.
    """

    def __init__(self, detector: Detector, embedder: Embedder, look_alike: float) -> None:
        self.look_alike = look_alike
        self._detector = detector
        self._embedder = embedder

    @property
    def detector(self) -> Detector:
        return self._detector

    @property
    def recogniser(self) -> Embedder:
        return self._embedder

    @property
    def embedder(self) -> EmbedderId:
        """The model that makes the embeddings, as galleries name it."""
        info = self._embedder.info
        return EmbedderId(name=info.name, version=info.version, sha256=info.sha256)

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    def open(self, name: str, raw: bytes, *, from_catalogue: bool = False) -> Photo:
        """Decode a photo and propose crops.

        Args:
            from_catalogue: a picture of at most 160 px is a product that was cut out, and is not looked at.
        Raises: FileProblems naming it: no picture, torn, huge; or people in it and no product.
        """
        picture = opened_picture(name, raw)
        height, width = picture.shape[:2]
        seen = shrunk(picture, LOOKED_AT_PX)
        is_cut_out = max(width, height) <= _CUT_OUT_PX
        is_trusted = is_cut_out and from_catalogue
        found = Detections.none()
        for margin_share in () if is_trusted else (_MARGIN_SHARE if is_cut_out else 0.0, _FARTHER_SHARE):
            found = self._found(seen, margin_share)
            if len(found.of(Kind.PRODUCT)):
                break
        size = np.array([*seen.shape[1::-1]] * 2, np.float32)
        products, people = (
            [_box(row) for row in np.clip(found.of(kind).boxes_px / size, 0.0, 1.0)]
            for kind in (Kind.PRODUCT, Kind.PERSON)
        )
        proposals = _apart([box for box in products if _is_large_enough(box, width, height)])
        warnings = []
        if people:
            warnings.append(Warned("people", "somebody is in the photo: only the product's box is used"))
        if not proposals and people:
            remedy = "photograph the product alone"
            raise FileProblems(Path(name), [Problem("", "somebody, and no product", "must show the product", remedy)])
        if not proposals and not is_trusted:
            warnings.append(Warned("no-product", "no product was found: all of it is one only if a person says so"))
        whole = () if people else (WHOLE,)
        boxes = (*whole, *proposals) if is_cut_out else (*proposals, *whole)
        sha256 = hashlib.sha256(raw).hexdigest()
        return Photo(name, sha256, picture, boxes, tuple(people), tuple(warnings))

    def _found(self, picture: Picture, margin_share: float) -> Detections:
        """What is in a picture (h, w, 3), with a margin of its own edge's colour around it; boxes are the picture's."""
        margin_px = round(margin_share * max(picture.shape[:2]))
        if not margin_px:
            return self._detector.detect(picture)
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        colour = tuple(float(value) for value in np.median(edge, axis=0))
        sides = margin_px, margin_px, margin_px, margin_px
        wider = cv2.copyMakeBorder(picture, *sides, cv2.BORDER_CONSTANT, value=colour)
        found = self._detector.detect(np.asarray(wider, np.uint8))
        return replace(found, boxes_px=found.boxes_px - np.float32(margin_px))

    def embed(self, crops: Sequence[Picture]) -> npt.NDArray[np.float16]:
        """Embeddings (n, dimension) as galleries keep them."""
        return self._embedder.embed(crops).astype("<f2")


def crop_of(photo: Photo, box: Box) -> Picture:
    """A box of the photo with a little around it. Raises: FileProblems when it is no box, or the whole of people."""
    x1, y1, x2, y2 = box
    if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
        raise FileProblems(photo.name, [Problem("box", str(box), "must be x1 < x2 and y1 < y2, each 0 to 1")])
    if photo.people and box == WHOLE:
        raise FileProblems(photo.name, [Problem("box", "the whole photo", "has somebody in it", "choose a product")])
    if photo.people and not any(_shared(box, product) >= _OWN_SHARE for product in photo.proposals):
        remedy = "somebody is in the photo: stay near a product that was found, or photograph it alone"
        raise FileProblems(photo.name, [Problem("box", str(box), "must be a product for the most part", remedy)])
    height, width = photo.picture.shape[:2]
    aside, above = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
    left, right = int(max(x1 - aside, 0) * width), int(np.ceil(min(x2 + aside, 1) * width))
    top, bottom = int(max(y1 - above, 0) * height), int(np.ceil(min(y2 + above, 1) * height))
    if min(bottom - top, right - left) < _LEAST_CROP_PX and box != WHOLE:
        size = f"{right - left} x {bottom - top} px"
        raise FileProblems(photo.name, [Problem("box", size, f"must be {_LEAST_CROP_PX} px a side", "come closer")])
    return np.ascontiguousarray(photo.picture[top:bottom, left:right])


def crop_warnings(photo: Photo, box: Box) -> list[Warned]:
    """What is wrong with a crop as a picture."""
    crop = crop_of(photo, box)
    height, width = crop.shape[:2]
    found = []
    if min(height, width) < _SMALL_PX:
        found.append(Warned("small", f"{width} x {height} px: come closer, {_SMALL_PX} px is the least"))
    scale = _JUDGED_AT_PX / max(height, width)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.cvtColor(cv2.resize(crop, shape, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    light = float(grey.mean())
    if light < _DARK:
        found.append(Warned("dark", "too dark: more light"))
    elif light > _BRIGHT:
        found.append(Warned("bright", "too bright: less light, no flash"))
    if float(cv2.Laplacian(grey, cv2.CV_64F).var()) < _BLURRED:
        found.append(Warned("blurred", "blurred: hold still, and let the camera focus"))
    return found


def look_alikes(
    gallery: Gallery, gtin: str, vectors: npt.NDArray[np.float16], least: float, most: int = 2
) -> list[Warned]:
    """Other products with a reference whose cosine with one of these embeddings (n, d) is ``least`` or more."""
    rows = [row for row, entry in enumerate(gallery.entries) if entry.gtin != gtin]
    if not rows or not len(vectors):
        return []
    matrix = np.frombuffer(gallery.vectors, "<f2").reshape(-1, gallery.dimension)[rows].astype(np.float32)
    cosines = (matrix @ vectors.astype(np.float32).T).max(axis=1)
    nearest: dict[str, float] = {}
    for row, cosine in zip(rows, cosines, strict=True):
        other = gallery.entries[row].gtin
        nearest[other] = max(nearest.get(other, -1.0), float(cosine))
    ordered = sorted(nearest.items(), key=lambda pair: -pair[1])
    return [
        Warned("look-alike", f"looks like {other} ({cosine:.0%} alike)", other, round(cosine, 3))
        for other, cosine in ordered[:most]
        if cosine >= least
    ]


def thumbnail_of(photo: Photo, box: Box) -> bytes:
    """A JPEG of the crop, 160 px at most; empty when people may be in it."""
    if any(_shared(box, person) > _PERSON_SHARE for person in photo.people):
        return b""
    return small_jpeg(crop_of(photo, box), _THUMBNAIL_PX, 80)


def _box(row: npt.NDArray[np.float32]) -> Box:
    x1, y1, x2, y2 = (round(float(value), 4) for value in row)
    return x1, y1, x2, y2


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _is_large_enough(box: Box, width: int, height: int) -> bool:
    sides_px = (box[2] - box[0]) * width, (box[3] - box[1]) * height
    return _area(box) >= _LEAST_PROPOSED_SHARE and min(sides_px) >= _LEAST_CROP_PX


def _apart(boxes: list[Box]) -> list[Box]:
    """The most appealing ones, none of which lies in another for the most part."""
    chosen: list[Box] = []
    for box in sorted(boxes, key=_appeal, reverse=True):
        if all(max(_shared(box, other), _shared(other, box)) <= _MOST_SHARED for other in chosen):
            chosen.append(box)
        if len(chosen) == _MOST_PROPOSALS:
            break
    return chosen


def _appeal(box: Box) -> float:
    """Large and central is what somebody photographs."""
    away = np.hypot((box[0] + box[2]) / 2 - 0.5, (box[1] + box[3]) / 2 - 0.5)
    return float(_area(box) ** 0.5 * (1.0 - away))


def _shared(box: Box, other: Box) -> float:
    """Share of ``box`` under ``other``."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(0.0, width) * max(0.0, height) / max(_area(box), 1e-9)

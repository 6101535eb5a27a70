"""Barcodes in pictures: what zxing-cpp reads, and what it reads when a small or flat print is made clearer for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.ids import parse_gtin
from shelf_edge.core.frame import Picture
from shelf_edge.core.geometry import Matrix

Point = tuple[float, float]

INSTALL = 'pip install "smartshelf[barcodes]"'
_LARGEST_ENLARGED_PX = 3000
_SETTLED_LEAD = 2
"""A number read in so many looks more than any other at its place needs no further look."""
_AROUND = 0.35
"""Two readings that lie nearer than this share of their length are of one code: bars are high."""
_ENLARGED = (2.0, 3.0)
_TURNS_DEG = (12.0, -12.0, 25.0, -25.0)


@dataclass(frozen=True)
class Barcode:
    """A barcode of a product. ``text``: as it was read; ``corners_px``: clockwise from its top left."""

    gtin: str
    text: str
    corners_px: tuple[Point, Point, Point, Point]

    @property
    def middle_px(self) -> Point:
        xs, ys = zip(*self.corners_px, strict=True)
        return sum(xs) / 4, sum(ys) / 4


class BarcodeReader:
    """EAN-13, EAN-8, UPC-A and UPC-E.

    Args:
        insists: look again at the picture evened out, enlarged, sharpened and turned, until what is read is read often
            enough: a single look misreads one code in twenty-five, check digit or not.
    Raises: FileProblems when zxing-cpp is not installed.
    """

    def __init__(self, *, insists: bool = True) -> None:
        try:
            import zxingcpp
        except ImportError as error:
            raise FileProblems("zxingcpp", [Problem("", "not installed", "reads barcodes", INSTALL)]) from error
        self._zxing: Any = zxingcpp
        self._formats = zxingcpp.BarcodeFormat.EANUPC
        self._insists = insists

    def read(self, picture: Picture) -> list[Barcode]:
        """The barcodes of a picture (h, w, 3) or (h, w), from top left to bottom right; each once."""
        grey = np.asarray(picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
        if not self._insists:
            return _in_order(self._read(grey, np.eye(3)))
        readings: list[list[Barcode]] = []
        for clearer, to_original in ((grey, np.eye(3)), *_clearer(grey)):
            readings.append(list(self._read(clearer, to_original).values()))
            if _are_settled(readings):
                break
        return _in_order(most_read(readings))

    def read_plainly(self, picture: Picture) -> list[Barcode]:
        """The same, once and without insisting."""
        grey = np.asarray(picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
        return _in_order(self._read(grey, np.eye(3)))

    def _read(self, grey: Picture, to_original: Matrix) -> dict[str, Barcode]:
        found: dict[str, Barcode] = {}
        for one in self._zxing.read_barcodes(np.ascontiguousarray(grey), formats=self._formats):
            gtin = _gtin_of(one.text, str(one.format))
            if not gtin or gtin in found:
                continue
            place = one.position
            corners = [place.top_left, place.top_right, place.bottom_right, place.bottom_left]
            moved = np.array([[p.x, p.y, 1.0] for p in corners]) @ to_original.T
            a, b, c, d = ((float(x), float(y)) for x, y, _ in moved)
            found[gtin] = Barcode(gtin, one.text, (a, b, c, d))
        return found


def _in_order(found: dict[str, Barcode]) -> list[Barcode]:
    return sorted(found.values(), key=lambda one: (one.middle_px[1], one.middle_px[0]))


def most_read(readings: Sequence[Sequence[Barcode]]) -> dict[str, Barcode]:
    """What several looks at one picture say together: at each place the number that most of them read.

    Two numbers that were read equally often at one place are both left out: one of them at least is misread.
    """
    places = _places(readings)
    return {gtin: found[0] for gtin, found in places.items() if len(found) > _most_against(gtin, places)}


def _are_settled(readings: Sequence[Sequence[Barcode]]) -> bool:
    """Whether further looks would change nothing."""
    places = _places(readings)
    against = {gtin: _most_against(gtin, places) for gtin in places}
    return bool(places) and all(abs(len(found) - against[gtin]) >= _SETTLED_LEAD for gtin, found in places.items())


def _places(readings: Sequence[Sequence[Barcode]]) -> dict[str, list[Barcode]]:
    """By number: one reading of each look that read it."""
    places: dict[str, list[Barcode]] = {}
    for look in readings:
        for gtin, one in {one.gtin: one for one in look}.items():
            places.setdefault(gtin, []).append(one)
    return places


def _most_against(gtin: str, places: dict[str, list[Barcode]]) -> int:
    """How many looks read the strongest other number at the place of this one."""
    own = [_around(one) for one in places[gtin]]
    return max(
        (
            len(found)
            for other, found in places.items()
            if other != gtin and any(_meet(one, _around(seen)) for one in own for seen in found)
        ),
        default=0,
    )


def _around(one: Barcode) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = one.corners_px[:2]
    aside = _AROUND * max(float(np.hypot(right - left, bottom - top)), 1.0)
    xs, ys = zip(*one.corners_px, strict=True)
    return min(xs) - aside, min(ys) - aside, max(xs) + aside, max(ys) + aside


def _meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _gtin_of(text: str, kind: str) -> str:
    """14 digits, or empty when it is the number of no product."""
    digits = "".join(character for character in text if character.isdigit())
    if "UPC" in kind.upper() and kind.upper().endswith("E") and len(digits) == 8:
        digits = _upc_a(digits)
    try:
        return parse_gtin(digits)
    except ValueError:
        return ""


def _upc_a(upc_e: str) -> str:
    """The twelve digits that eight of UPC-E stand for.

    >>> _upc_a("01234565")
    '012345000065'
    """
    system, d, check = upc_e[0], upc_e[1:7], upc_e[7]
    last = d[5]
    if last in "012":
        middle = d[:2] + last + "0000" + d[2:5]
    elif last == "3":
        middle = d[:3] + "00000" + d[3:5]
    elif last == "4":
        middle = d[:4] + "00000" + d[4]
    else:
        middle = d[:5] + "0000" + last
    return system + middle + check


def _clearer(grey: Picture) -> Iterator[tuple[Picture, Matrix]]:
    """Other pictures of the same, and the matrix (3, 3) that leads back to the original's pixels."""
    for picture, to_original in _variants(grey):
        yield np.asarray(picture, np.uint8), np.asarray(to_original, np.float64)


def _variants(grey: Picture) -> Iterator[tuple[Any, Any]]:
    even = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(grey)
    yield even, np.eye(3)
    height, width = grey.shape[:2]
    for factor in _ENLARGED:
        if factor * max(height, width) > _LARGEST_ENLARGED_PX:
            break
        back = np.diag([1 / factor, 1 / factor, 1.0])
        large = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        yield large, back
        soft = cv2.GaussianBlur(large, (0, 0), 1.2 * factor)
        yield cv2.addWeighted(large, 2.2, soft, -1.2, 0), back
    yield cv2.medianBlur(grey, 3), np.eye(3)
    for degrees in _TURNS_DEG:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        turned = cv2.warpAffine(grey, turn, (width, height), flags=cv2.INTER_LINEAR, borderValue=255)
        yield turned, np.linalg.inv(np.vstack([turn, [0, 0, 1]]))

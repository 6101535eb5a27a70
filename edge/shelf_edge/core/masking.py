"""People are covered before a picture is shown, stored or sent; where they cannot be seen there is no picture."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from shelf_edge.core.detections import KIND_BY_NAME, Boxes, Detections, Kind
from shelf_edge.core.frame import Picture

GROWTH = 0.1
"""A box is grown by this share of its width and height on each side."""
STAYS_S = 1.5
"""A body that a look misses stays covered as long: detectors blink."""

Cover = tuple[int, int, int, int]
"""x1 y1 x2 y2 in whole pixels, within the picture."""

_COVER_BGR = (96, 96, 96)
_PEOPLE_LABELS = {"person", "people", "pedestrian", "man", "woman", "child", "face", "head"}


def kinds_of_people(kinds: Mapping[str, str]) -> frozenset[Kind]:
    """The kinds that a model's whole people fall under; empty when it knows none.

    Args:
        kinds: what each label means, as in a manifest.
    COCO's ``person`` is taken for what reaches into a shelf, so its kind may be ``hand``: its name decides.

    >>> sorted(kinds_of_people({"product": "product", "arm-or-hand": "hand", "person": "person"}))
    [<Kind.PERSON: 3>]
    >>> sorted(kinds_of_people({"bottle": "product", "person": "hand"}))
    [<Kind.HAND: 2>]
    >>> sorted(kinds_of_people({"product": "product"}))
    []
    """
    people = (kind for label, kind in kinds.items() if kind == "person" or label.lower() in _PEOPLE_LABELS)
    return frozenset(KIND_BY_NAME[kind] for kind in people if kind != "ignore")


class PeopleMask:
    """Covers people on the pictures of one camera.

    Args:
        people: the kinds to cover; empty when the detector knows no people.
    """

    def __init__(self, people: Iterable[int]) -> None:
        self._people = frozenset(int(kind) for kind in people)
        self._recent: deque[tuple[float, Boxes]] = deque(maxlen=64)

    def detector_knows(self, people: Iterable[int]) -> None:
        """Another detector may look now. What the one before told stays covered too: its last look may still come."""
        kinds = frozenset(int(kind) for kind in people)
        self._people = self._people | kinds if kinds else kinds

    def masked(self, image: Picture, detections: Detections | None, now_s: float) -> Picture | None:
        """A copy with every person covered; None when nobody can say where people are.

        Args:
            image: uint8 (height, width, 3), BGR.
            detections: of this very picture; None: it was not looked at.
            now_s: any clock in seconds that does not go back.
        """
        height, width = image.shape[:2]
        covers = self.covers(width, height, detections, now_s)
        if covers is None:
            return None
        covered = np.ascontiguousarray(image.copy())
        for x1, y1, x2, y2 in covers:
            covered[y1:y2, x1:x2] = _COVER_BGR
        return covered

    def covers(self, width_px: int, height_px: int, detections: Detections | None, now_s: float) -> list[Cover] | None:
        """What ``masked`` covers of a picture of this size; None when nobody can say where people are."""
        if not self._people or detections is None:
            return None
        boxes_px = detections.boxes_px[np.isin(detections.kinds, list(self._people))]
        self._recent.append((now_s, boxes_px))
        while self._recent and now_s - self._recent[0][0] > STAYS_S:
            self._recent.popleft()
        return [cover for _, recent in self._recent for cover in grown(recent, width_px, height_px)]


def cut_out(
    image: Picture, box_px: tuple[float, float, float, float], covers: Sequence[Cover], most_covered: float
) -> Picture | None:
    """A copy of a box of the picture with the covers drawn over it; None when they cover more of it than that share.

    >>> cut_out(np.zeros((10, 10, 3), np.uint8), (0.0, 0.0, 4.0, 4.0), [(0, 0, 2, 4)], 0.4) is None
    True
    >>> cut_out(np.zeros((10, 10, 3), np.uint8), (0.0, 0.0, 4.0, 4.0), [(0, 0, 1, 4)], 0.4)[0, :, 0].tolist()
    [96, 0, 0, 0]
    """
    height, width = image.shape[:2]
    left, top = max(0, int(box_px[0])), max(0, int(box_px[1]))
    right, bottom = min(width, int(np.ceil(box_px[2]))), min(height, int(np.ceil(box_px[3])))
    if right <= left or bottom <= top:
        return None
    cut = np.ascontiguousarray(image[top:bottom, left:right].copy())
    hidden = np.zeros(cut.shape[:2], bool)
    for x1, y1, x2, y2 in covers:
        across, down = slice(max(0, x1 - left), max(0, x2 - left)), slice(max(0, y1 - top), max(0, y2 - top))
        hidden[down, across] = True
        cut[down, across] = _COVER_BGR
    return None if float(hidden.mean()) > most_covered else cut


def grown(boxes_px: Boxes, width_px: int, height_px: int) -> list[Cover]:
    """Boxes a tenth larger on each side, in whole pixels, within the picture."""
    found = []
    for x1, y1, x2, y2 in np.asarray(boxes_px, np.float64):
        wide, high = GROWTH * (x2 - x1), GROWTH * (y2 - y1)
        left, top = max(0, int(np.floor(x1 - wide))), max(0, int(np.floor(y1 - high)))
        right, bottom = min(width_px, int(np.ceil(x2 + wide))), min(height_px, int(np.ceil(y2 + high)))
        found.append((left, top, right, bottom))
    return found

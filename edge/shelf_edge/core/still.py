"""Looks that need no detector: nothing has moved since the last one, so it would see the same.

Half of the frames that are looked at are such: somebody stands and reads, a hand rests in a slot,
or a slot waits until it has been seen for long enough. The bay goes on as with a look of its own, in the same frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shelf_edge.core.change import PIXEL_STEP, TARGET_WIDTH_PX
from shelf_edge.core.detections import Detections
from shelf_edge.core.frame import Picture


@dataclass(frozen=True)
class StillRules:
    """Attributes:
    changed_share: a frame of which less than this share differs from the last one detected is like it.
    most_in_a_row: so many frames take over a look at most: a wrong one must not stand for long.
    """

    changed_share: float = 0.0006
    most_in_a_row: int = 2


class StillLooks:
    """One camera's; ``look`` takes the frames that a bay wants looked at, in order."""

    def __init__(self, rules: StillRules | None = None) -> None:
        self._rules = rules or StillRules()
        self._small: npt.NDArray[np.uint8] | None = None
        self._shape: tuple[int, ...] = ()
        self._found: Detections | None = None
        self._in_a_row = 0

    def look(self, detect: Callable[[Picture], Detections], image: Picture) -> Detections:
        """What is in the picture: by the last look where nothing moved, else by ``detect``, whose errors pass."""
        stride = max(1, round(image.shape[1] / TARGET_WIDTH_PX))
        small = np.ascontiguousarray(image[::stride, ::stride, 1])
        if self._found is not None and self._in_a_row < self._rules.most_in_a_row and self._is_like(small, image):
            self._in_a_row += 1
            return self._found
        self._found = None
        self._found = detect(image)
        self._small, self._shape, self._in_a_row = small, image.shape, 0
        return self._found

    def _is_like(self, small: npt.NDArray[np.uint8], image: Picture) -> bool:
        if self._small is None or self._shape != image.shape:
            return False
        differs = cv2.threshold(cv2.absdiff(small, self._small), PIXEL_STEP, 1, cv2.THRESH_BINARY)[1]
        return cv2.countNonZero(differs) <= self._rules.changed_share * small.size

"""A camera picture into the detector's input tensor, and the way back for boxes.

Buffers are made once a camera size and used again: at 640 px the page faults of fresh buffers cost more than the
arithmetic (vision benchmark: 4.8 ms against 0.4 ms a frame).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from shelf_contracts.manifest import Preprocessing
from shelf_edge.core.detections import Boxes
from shelf_edge.core.frame import Picture, check_picture


@dataclass(frozen=True)
class Placement:
    """Where the picture lies in the input: x at ``x * scale + pad_x``, y at ``y * scale * rows_kept + pad_y``.

    Attributes:
        rows_kept: share of the picture's rows that are in the input; less than 1 where some were left out to make it
            fit.
        width_px, height_px: of the picture.
        input_width_px, input_height_px: of the input.
    """

    scale: float
    pad_x_px: float
    pad_y_px: float
    width_px: int
    height_px: int
    input_width_px: int
    input_height_px: int
    rows_kept: float = 1.0

    def undo(self, boxes_px: Boxes) -> Boxes:
        """Map float32 (n, 4) boxes from input pixels to picture pixels, clipped to the picture."""
        pad, scale, limit = self._of_corners
        boxes_px = np.subtract(boxes_px, pad, dtype=np.float32)
        boxes_px /= scale
        np.maximum(boxes_px, np.float32(0), out=boxes_px)
        np.minimum(boxes_px, limit, out=boxes_px)
        return boxes_px

    @cached_property
    def _of_corners(self) -> npt.NDArray[np.float32]:
        """Pad, scale and limit of x1 y1 x2 y2, (3, 4)."""
        pad, limit = (self.pad_x_px, self.pad_y_px), (self.width_px, self.height_px)
        scale = self.scale, self.scale * self.rows_kept
        return np.array([pad * 2, scale * 2, limit * 2], np.float32)


_INPUT_STEP_PX = 32
_ROWS_KEPT = 0.97
"""At least this share of the rows must fit for the others to be left out."""


def input_size(spec: Preprocessing, width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height of the input for a picture of that size."""
    if spec.fit == "fixed":
        return spec.width, spec.height
    scale = (spec.width * spec.height / (width_px * height_px)) ** 0.5
    steps = (max(1, round(side * scale / _INPUT_STEP_PX)) for side in (width_px, height_px))
    width, height = (step * _INPUT_STEP_PX for step in steps)
    return width, height


class Letterbox:
    """Resizes with the aspect kept within 3 %, pads, orders colours and scales.

    One instance serves one camera size at a time.
    """

    def __init__(self, spec: Preprocessing) -> None:
        self._spec = spec
        self._picture_shape: tuple[int, int] = (0, 0)
        self._tensor = np.empty((1, 3, 0, 0), np.float32)

    def __call__(self, image: Picture) -> tuple[npt.NDArray[np.float32], Placement]:
        """The tensor (1, 3, height, width) float32, valid until the next call, and where the picture lies in it."""
        check_picture(image)
        if image.shape[:2] != self._picture_shape:
            self._prepare(image.shape[0], image.shape[1])
        small = image
        if self._shrunk is not None:
            cv2.resize(image, (self._shrunk.shape[1], self._shrunk.shape[0]), self._shrunk, 0, 0, cv2.INTER_AREA)
            small = self._shrunk
        if self._resized is not None:
            cv2.resize(small, (self._resized.shape[1], self._resized.shape[0]), self._resized, 0, 0, self._how)
            small = self._resized
        cv2.split(small, self._planes)
        for target, source in self._copies:
            if self._spec.scale == 1.0:
                np.copyto(target, source)
            else:
                np.multiply(source, np.float32(self._spec.scale), out=target)
        return self._tensor, self._placement

    def _prepare(self, height: int, width: int) -> None:
        spec = self._spec
        input_width, input_height = input_size(spec, width, height)
        scale = min(input_width / width, input_height / height)
        times = int(1 / scale)
        is_whole = times >= 2 and width % times == 0 and height % times == 0
        rows_kept = 1.0
        is_at_once = is_whole and width // times <= input_width and _ROWS_KEPT * (height // times) <= input_height
        if is_at_once:
            # 1280 x 720 becomes 640 x 360, where 640 x 352 fit. To shrink it once more takes as long again; without 8
            # of the 360 rows as much is found (docs/performance-levers.md).
            scale, rows_kept = 1 / times, min(1.0, input_height * times / height)
        new_width = min(input_width, max(1, round(width * scale)))
        new_height = min(input_height, max(1, round(height * scale * rows_kept)))
        centred = spec.anchor == "centre"
        left = (input_width - new_width) // 2 if centred else 0
        top = (input_height - new_height) // 2 if centred else 0
        self._picture_shape = (height, width)
        self._placement = Placement(scale, left, top, width, height, input_width, input_height, rows_kept)
        # Linear resampling aliases when it shrinks more than twice; area averaging does not, but is only fast when it
        # shrinks by a whole number: 1280 x 720 to 512 x 288 takes 0.4 ms by way of 640 x 360, and 1.4 ms at once.
        shrunk = (height // times, width // times) if is_whole else (height, width)
        final = shrunk if is_at_once else (new_height, new_width)
        self._shrunk = np.empty((*shrunk, 3), np.uint8) if is_whole else None
        self._resized = np.empty((*final, 3), np.uint8) if final != shrunk else None
        self._how = cv2.INTER_AREA if scale < 0.5 and not is_whole else cv2.INTER_LINEAR
        planes = np.empty((3, *final), np.uint8)
        self._planes = list(planes)
        if self._tensor.shape[2:] != (input_height, input_width):
            self._tensor = np.empty((1, 3, input_height, input_width), np.float32)
        self._tensor.fill(spec.padding * spec.scale)
        if spec.colour_order == "RGB":
            planes = planes[::-1]
        within = self._tensor[0, :, top : top + new_height, left : left + new_width]
        self._copies = [
            (within[:, to : to + rows], planes[:, at : at + rows]) for to, at, rows in _runs(final[0], new_height)
        ]


def _runs(rows: int, kept: int) -> list[tuple[int, int, int]]:
    """To where, from where and how many, when so many of a picture's rows are kept and the others left out evenly."""
    chosen = np.floor((np.arange(kept) + 0.5) * rows / kept).astype(np.intp)
    cuts = [0, *(np.flatnonzero(np.diff(chosen) > 1) + 1).tolist(), kept]
    return [(low, int(chosen[low]), high - low) for low, high in itertools.pairwise(cuts)]

"""How much brighter the light is than it was: a tube that flickers is no movement."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

_STEP = 4
_DARK = 16
_NOTICED = 0.01
_SAME_MEAN = 0.5


def light_gain(now: npt.NDArray[np.uint8], before: npt.NDArray[np.uint8]) -> float:
    """The factor between two small grey pictures (h, w) of one view, by the median pixel; 1 when the light is the same.

    People change less than half of the pixels, light changes them all.
    """
    if abs(cv2.mean(now)[0] - cv2.mean(before)[0]) < _SAME_MEAN:
        return 1.0
    few, old = now[::_STEP, ::_STEP], before[::_STEP, ::_STEP]
    lit = old >= _DARK
    if lit.mean() < 0.5:
        return 1.0
    gain = float(np.median(few[lit] / old[lit].astype(np.float32)))
    return gain if abs(gain - 1.0) >= _NOTICED else 1.0


def in_light(picture: npt.NDArray[np.uint8], gain: float) -> npt.NDArray[np.uint8]:
    """The picture as it would look in that light."""
    return picture if gain == 1.0 else np.asarray(cv2.convertScaleAbs(picture, alpha=gain), np.uint8)

"""A picture from a camera, checked once at the door."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

SMALLEST_SIDE_PX = 16
LARGEST_SIDE_PX = 16_384


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        image: uint8 (height, width, 3), BGR.
        captured_s: when it was captured; seconds since the epoch for a live camera, since the start for a recording.
        number: counts up by one for each frame of the camera, dropped ones included.
    """

    image: Picture
    captured_s: float
    number: int

    def __post_init__(self) -> None:
        check_picture(self.image)


def check_picture(image: Picture) -> None:
    """Raises: ValueError naming shape and dtype when this is no BGR picture of a usable size."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"a picture must be uint8 (height, width, 3), not {image.dtype} {image.shape}")
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_SIDE_PX or max(height, width) > LARGEST_SIDE_PX:
        raise ValueError(
            f"a picture must measure {SMALLEST_SIDE_PX} to {LARGEST_SIDE_PX} px a side, not {width}x{height}"
        )

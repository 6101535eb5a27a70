"""Looks without the detector: only while nothing moves, and never for long."""

from __future__ import annotations

import numpy as np
import pytest

from shelf_edge.core.detections import Detections
from shelf_edge.core.still import StillLooks

WALL = np.random.default_rng(3).integers(60, 200, (90, 160, 3), np.uint8).repeat(4, 0).repeat(4, 1)


class Counting:
    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, image: np.ndarray) -> Detections:
        self.looks += 1
        return Detections.none()


def noisy(number: int, picture: np.ndarray = WALL) -> np.ndarray:
    return np.clip(picture + np.random.default_rng(number).integers(-3, 4, picture.shape), 0, 255).astype(np.uint8)


def test_nothing_moves_and_every_third_frame_is_detected_anew() -> None:
    still, detect = StillLooks(), Counting()
    found = [still.look(detect, noisy(number)) for number in range(7)]
    assert detect.looks == 3
    assert found[0] is found[1] is found[2]
    assert found[2] is not found[3]


def test_what_moves_is_detected_at_once_also_when_it_moves_slowly() -> None:
    still, detect = StillLooks(), Counting()
    still.look(detect, WALL)
    moved = WALL.copy()
    moved[100:130, 200:230] = 255 - moved[100:130, 200:230]
    still.look(detect, moved)
    assert detect.looks == 2
    for step in range(1, 20):
        slow = WALL.copy()
        slow[100:104, 200 : 200 + 12 * step] = 255 - slow[100:104, 200 : 200 + 12 * step]
        before = detect.looks
        found = still.look(detect, slow)
        assert detect.looks >= before
        assert found is not None
    assert detect.looks > 5, "small changes add up: frames are compared with the one that was detected"


def test_another_size_and_a_look_that_failed_are_never_taken_over() -> None:
    still, detect = StillLooks(), Counting()
    still.look(detect, WALL)
    still.look(detect, np.ascontiguousarray(WALL[:180]))
    assert detect.looks == 2

    def fails(_image: np.ndarray) -> Detections:
        raise RuntimeError("the graph")

    changed = np.ascontiguousarray(WALL[::-1])
    with pytest.raises(RuntimeError):
        still.look(fails, changed)
    still.look(detect, changed)
    assert detect.looks == 3

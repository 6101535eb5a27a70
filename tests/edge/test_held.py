"""What hands hold: things that travel with a hand are looked at, things on the shelf are not."""

from __future__ import annotations

import numpy as np
import pytest

from shelf_edge.core.held import HeldThing, HeldThings
from shelf_edge.core.recognition import Calibration, Candidate, Look

CALIBRATION = Calibration()
MILK, TEA = "04006381333931", "08712345678906"


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def look(product: str, chance: float) -> Look:
    return Look((Candidate(product, "", 0.7, chance),), 1 - chance)


def carried(steps_px: list[float], *, with_hand: bool = True) -> list[HeldThing]:
    """What is found carried in the end when a thing 40 px wide makes these steps, a hand beside it."""
    things, found, left, now_s = HeldThings(), [], 100.0, 10.0
    for step in [0.0, *steps_px]:
        left += step
        now_s += 1 / 12
        hand = boxes((left + 20, 130, left + 70, 180)) if with_hand else boxes()
        found = things.follow(boxes((left, 100, left + 40, 180), (400, 100, 440, 180)), hand, now_s)
    return found


@pytest.mark.parametrize(
    ("steps_px", "count"),
    [
        ([20, 20, 20], 1),
        ([25, 25], 1),
        ([0, 0, 0, 0], 0),  # a hand at the shelf
        ([30, 0, 0, 0], 0),  # the box jumped once
        ([20, 20, 20, *[0] * 14], 0),  # put down for more than a second
    ],
)
def test_what_travels_with_a_hand_is_held(steps_px: list[float], count: int) -> None:
    assert len(carried(steps_px)) == count


def test_without_a_hand_nothing_is_held() -> None:
    assert carried([20, 20, 20], with_hand=False) == []


def test_it_is_told_when_it_is_certain_and_again_only_after_a_while() -> None:
    thing = carried([20, 20, 20])[0]
    thing.see(look(MILK, 0.9), 10.3)
    assert thing.answer(CALIBRATION, "", 10.3) is None, "one look is too few"
    thing.see(look(MILK, 0.9), 10.4)
    answer = thing.answer(CALIBRATION, "", 10.4)
    assert answer is not None
    assert (answer.verdict, answer.product) == ("known", MILK)
    assert thing.answer(CALIBRATION, "", 10.5) is None
    assert thing.answer(CALIBRATION, "", 12.5) is not None


def test_what_nobody_enrolled_or_looks_like_several_is_not_told() -> None:
    thing = carried([20, 20, 20])[0]
    for _ in range(3):
        thing.see(Look((Candidate(MILK, "", 0.7, 0.5), Candidate(TEA, "", 0.7, 0.45)), 0.05), 10.3)
    assert thing.answer(CALIBRATION, "", 10.4) is None
    other = carried([20, 20, 20])[0]
    for _ in range(3):
        other.see(look(MILK, 0.1), 10.3)
    assert other.answer(CALIBRATION, MILK, 10.4) is None

"""What hands hold: things that come away from the shelf at a hand are looked at, things that stand there are not."""

from __future__ import annotations

import numpy as np
import pytest

from shelf_edge.core.held import HeldThing, HeldThings
from shelf_edge.core.recognition import Calibration, Candidate, Look

CALIBRATION = Calibration()
MILK, TEA = "04006381333931", "08712345678906"
STANDS = (400.0, 100.0, 440.0, 180.0)


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def look(product: str, chance: float) -> Look:
    return Look((Candidate(product, "", 0.7, chance),), 1 - chance)


def between(milk: float, tea: float) -> Look:
    both = [Candidate(MILK, "", 0.7, milk), Candidate(TEA, "", 0.7, tea)]
    return Look(tuple(sorted(both, key=lambda one: -one.chance)), 1 - milk - tea)


def followed(
    steps_px: list[float], *, with_hand: bool = True, foreground: float = 0.8, stood: bool = False
) -> list[HeldThing]:
    """What is found in the end when a thing 40 px wide makes these steps, a hand beside it; another one stands aside.

    ``stood``: it was seen there before the hand came.
    """
    things, left, now_s = HeldThings(), 100.0, 10.0
    if stood:
        things.follow(boxes((left, 100, left + 40, 180), STANDS), np.zeros(2), boxes(), now_s)
    found: list[HeldThing] = []
    for step in [0.0, *steps_px]:
        left += step
        now_s += 1 / 12
        hand = boxes((left + 20, 130, left + 70, 180)) if with_hand else boxes()
        hides = np.array([foreground, 0.0])
        found = things.follow(boxes((left, 100, left + 40, 180), STANDS), hides, hand, now_s)
    return found


def carried() -> HeldThing:
    (thing,) = followed([20, 20])
    assert thing.is_carried
    return thing


@pytest.mark.parametrize(
    ("steps_px", "is_carried"),
    [
        ([20, 20, 20], True),
        ([40, 55], True),  # a quick hand moves it by more than its width between two looks
        ([0, 0, 0, 0], False),
        ([3, -3, 2], False),  # boxes are a pixel or two off
    ],
)
def test_what_travels_with_a_hand_is_carried(steps_px: list[float], is_carried: bool) -> None:
    assert [thing.is_carried for thing in followed(steps_px)] == [is_carried]


def test_what_stands_there_is_in_no_hand() -> None:
    assert followed([20, 20], with_hand=False) == []
    assert followed([20, 20], foreground=0.1) == [], "it hides nothing"
    assert followed([0, 2, 0], stood=True) == [], "it stood there before the hand came"
    assert [thing.is_carried for thing in followed([0, 20, 20], stood=True)] == [True], "and was drawn out"


def test_the_product_of_the_slot_is_confirmed_by_two_looks_that_agree() -> None:
    thing = carried()
    thing.see(look(MILK, 0.5))
    assert thing.answer(CALIBRATION, {MILK}) is None, "one look is too few"
    thing.see(look(MILK, 0.6))
    answer = thing.answer(CALIBRATION, {MILK})
    assert answer is not None
    assert (answer.verdict, answer.product) == ("known", MILK)
    assert thing.answer(CALIBRATION, set()) is None, "that is not enough to name it out of nothing"
    assert thing.answer(CALIBRATION, {TEA}) is None


def test_an_arm_before_it_in_most_looks_does_not_hide_what_two_saw() -> None:
    thing = carried()
    for chance in (0.02, 0.9, 0.01, 0.02, 0.95, 0.03):
        thing.see(look(MILK, chance))
    answer = thing.answer(CALIBRATION, {MILK, TEA})
    assert answer is not None
    assert answer.product == MILK


def test_another_product_is_named_only_when_every_look_says_so() -> None:
    thing = carried()
    for _ in range(3):
        thing.see(between(0.01, 0.98))
    assert thing.answer(CALIBRATION, {MILK}) is None, "three looks may repeat one mistake"
    thing.see(between(0.01, 0.98))
    answer = thing.answer(CALIBRATION, {MILK})
    assert answer is not None
    assert answer.product == TEA
    thing.see(between(0.6, 0.3))
    told = thing.answer(CALIBRATION, {MILK})
    assert told is None or told.product == MILK


@pytest.mark.parametrize("seen", [between(0.48, 0.47), look(MILK, 0.05)])
def test_what_looks_like_several_or_like_nothing_is_not_told(seen: Look) -> None:
    thing = carried()
    for _ in range(6):
        thing.see(seen)
    assert thing.answer(CALIBRATION, set()) is None


def test_a_product_is_told_once_and_again_after_a_while() -> None:
    things = HeldThings()
    assert [things.is_news(MILK, at_s) for at_s in (10.0, 10.5, 11.9, 12.1, 12.2)] == [True, False, False, True, False]
    assert things.is_news(TEA, 12.2)
    assert things.is_news(MILK, 5.0), "a clock that was set back holds nothing back"

from __future__ import annotations

import cv2
import numpy as np
import pytest

from shelf_edge.core.arms import ArmFinder, ArmRules
from shelf_edge.core.hands import BodyMemory, HandRules, HandTracker
from shelf_edge.core.light import in_light, light_gain

WIDTH, HEIGHT = 640, 360
BODY = np.array([[100, 100, 200, 360]], np.float32)
NOBODY = np.zeros((0, 4), np.float32)


def hand_at(x: float, y: float) -> np.ndarray:
    return np.array([[x - 15, y - 15, x + 15, y + 15]], np.float32)


def test_a_hand_that_stopped_is_steady_and_one_on_its_way_is_not() -> None:
    tracker = HandTracker(HandRules(), WIDTH, HEIGHT)
    steady = [tracker.follow(hand_at(x, 180), 0.1 * i)[0].is_steady for i, x in enumerate((300, 340, 380, 384, 386))]
    assert steady == [False, False, False, True, True]


def test_a_new_hand_elsewhere_is_not_the_old_one() -> None:
    tracker = HandTracker(HandRules(), WIDTH, HEIGHT)
    tracker.follow(hand_at(300, 180), 0.0)
    assert not tracker.follow(hand_at(500, 180), 0.1)[0].is_steady


def test_a_body_missed_for_a_moment_still_covers_and_then_is_forgotten() -> None:
    memory = BodyMemory(0.5)
    assert len(memory.follow(BODY, 0.0)) == 1
    assert memory.follow(NOBODY, 0.3).tolist() == BODY.tolist()
    assert len(memory.follow(NOBODY, 0.6)) == 0


def test_a_body_that_moved_is_not_there_twice() -> None:
    memory = BodyMemory(0.5)
    memory.follow(BODY, 0.0)
    assert len(memory.follow(BODY + np.float32(15), 0.1)) == 1


def shelf() -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), 180, np.uint8)


def with_arm(end: tuple[int, int]) -> np.ndarray:
    picture = shelf()
    cv2.rectangle(picture, (100, 100), (200, 359), (60, 60, 60), -1)
    cv2.line(picture, (195, 150), end, (90, 120, 170), 26)
    return picture


def test_the_end_of_an_arm_is_found_where_it_reaches() -> None:
    finder = ArmFinder(ArmRules(), WIDTH)
    finder.find(shelf(), NOBODY, 0.0)
    ends = finder.find(with_arm((330, 130)), BODY, 0.1).ends_px
    assert len(ends) == 1
    middle = (ends[0, :2] + ends[0, 2:]) / 2
    assert middle == pytest.approx([330, 130], abs=25)


def test_a_hanging_arm_and_an_item_that_changed_far_away_are_no_arms() -> None:
    finder = ArmFinder(ArmRules(), WIDTH)
    finder.find(shelf(), NOBODY, 0.0)
    picture = with_arm((208, 200))
    cv2.rectangle(picture, (500, 100), (540, 160), (0, 0, 200), -1)
    assert len(finder.find(picture, BODY, 0.1).ends_px) == 0


def test_an_arm_hides_what_is_behind_it_and_a_changed_item_hides_nothing() -> None:
    finder = ArmFinder(ArmRules(), WIDTH)
    finder.find(shelf(), NOBODY, 0.0)
    picture = with_arm((330, 130))
    cv2.rectangle(picture, (500, 100), (540, 160), (0, 0, 200), -1)
    arms = finder.find(picture, BODY, 0.1)
    points = np.array([[260, 140], [320, 131], [260, 220], [520, 130]], float)
    assert arms.cover(points).tolist() == [True, True, False, False]


def test_points_outside_the_picture_are_taken_to_its_edge() -> None:
    finder = ArmFinder(ArmRules(), WIDTH)
    arms = finder.find(shelf(), NOBODY, 0.0)
    assert not arms.cover(np.array([[-50.0, 900.0], [9999.0, -3.0]])).any()


def test_an_arm_may_rest_for_a_while_and_an_item_becomes_background_sooner() -> None:
    finder = ArmFinder(ArmRules(), WIDTH)
    finder.find(shelf(), NOBODY, 0.0)
    found = [len(finder.find(with_arm((330, 130)), BODY, 0.1 + 0.2 * i).ends_px) for i in range(30)]
    assert found[: round(ArmRules().rest_s / 0.2)] == [1] * round(ArmRules().rest_s / 0.2)
    assert found[-1] == 0


UPRIGHT = np.array([[205, 200, 229, 250]], np.float32)


def test_a_hand_that_hangs_at_its_body_is_not_meant_though_both_walk() -> None:
    tracker = HandTracker(HandRules(), WIDTH, HEIGHT)
    steps = [np.float32(12 * min(i, 8)) * np.array([1, 0, 1, 0], np.float32) for i in range(20)]
    meant = [tracker.follow(UPRIGHT + step, 0.1 * i, BODY + step)[0].is_meant for i, step in enumerate(steps)]
    assert meant == [False] * 20


def test_an_upright_hand_that_came_out_from_behind_its_body_is_meant() -> None:
    tracker = HandTracker(HandRules(), WIDTH, HEIGHT)
    for i, step in enumerate((-40, -10, 20, 40, 42)):
        hand = tracker.follow(UPRIGHT + np.float32(step) * np.array([1, 0, 1, 0], np.float32), 0.1 * i, BODY)[0]
    assert hand.is_meant
    assert hand.is_steady


def test_a_hand_that_reaches_out_or_has_no_body_near_is_meant() -> None:
    tracker = HandTracker(HandRules(), WIDTH, HEIGHT)
    across = np.array([[205, 200, 260, 230]], np.float32)
    assert tracker.follow(across, 0.0, BODY)[0].is_meant
    assert tracker.follow(UPRIGHT + np.float32([200, 0, 200, 0]), 0.0, BODY)[0].is_meant


def test_an_item_that_stood_there_before_is_no_hand() -> None:
    finder = ArmFinder(ArmRules(), WIDTH)
    finder.find(shelf(), NOBODY, 0.0)
    boxes = np.array([[300, 110, 350, 150], [420, 110, 470, 150], [700, 0, 720, 10]], np.float32)
    foreground = finder.find(with_arm((330, 130)), BODY, 0.1).foreground_of(boxes)
    assert foreground[0] > 0.3
    assert foreground[1:].tolist() == [0.0, 0.0]
    hands = HandTracker(HandRules(), WIDTH, HEIGHT).follow(boxes, 0.1, BODY, foreground)
    assert [hand.is_meant for hand in hands] == [True, False, False]


def test_a_light_that_flickers_moves_nothing() -> None:
    shelf_px = np.random.default_rng(1).integers(40, 180, (90, 160), np.uint8)
    darker = (shelf_px * 0.7).astype(np.uint8)
    gain = light_gain(darker, shelf_px)
    assert gain == pytest.approx(0.7, abs=0.02)
    assert int(cv2.absdiff(darker, in_light(shelf_px, gain)).max()) <= 6
    person = shelf_px.copy()
    person[:, 100:160] = 250
    assert light_gain(person, shelf_px) == 1.0


def beside(left: float = 0, right: float = 0) -> np.ndarray:
    return np.array([[left, right]], float)


@pytest.mark.parametrize(
    ("box", "arm", "expected"),
    [
        ((200, 200, 260, 230), beside(), (230, 210.8)),
        ((200, 200, 260, 230), beside(left=1), (260, 210.8)),
        ((200, 200, 260, 230), beside(right=1), (200, 210.8)),
        ((200, 200, 260, 230), beside(left=0.8, right=0.8), (230, 210.8)),
        ((0, 200, 60, 230), beside(right=1), (45, 210.8)),  # over the border: the arm is out of the picture
    ],
    ids=["no arm seen", "from the left", "from the right", "both sides", "over the border"],
)
def test_fingers_are_at_the_end_away_from_the_arm(
    box: tuple[int, ...], arm: np.ndarray, expected: tuple[float, float]
) -> None:
    rules = HandRules(fingers_up=0.14, fingers_aside=0.5)
    hand = HandTracker(rules, WIDTH, HEIGHT).follow(np.array([box], np.float32), 0.0, beside=arm)[0]
    assert (hand.x_px, hand.y_px) == pytest.approx((expected[0], expected[1]), abs=0.01)


def test_an_arm_shows_beside_the_box_of_its_hand() -> None:
    finder = ArmFinder(ArmRules(), WIDTH)
    finder.find(shelf(), NOBODY, 0.0)
    hand = np.array([[310, 115, 350, 150], [500, 20, 530, 50], [600, 320, 700, 400]], np.float32)
    shares = finder.find(with_arm((330, 132)), BODY, 0.1).foreground_beside(hand)
    assert shares.shape == (3, 2)
    assert shares[0, 0] > 0.5
    assert shares[0, 1] < 0.2
    assert shares[1:].max() == 0.0

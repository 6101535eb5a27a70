from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_edge.core.geometry import (
    box_iou,
    contains,
    interior_points,
    project,
    reach_point,
    share_covered,
    unit_square_from,
)

SQUARE = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])

side = st.floats(0, 1000, width=32)


@st.composite
def boxes(draw: st.DrawFn) -> np.ndarray:
    x1, y1 = draw(side), draw(side)
    return np.array([[x1, y1, x1 + draw(side), y1 + draw(side)]], np.float32)


@given(boxes(), boxes())
def test_iou_is_symmetric_and_a_share(one: np.ndarray, other: np.ndarray) -> None:
    forward, backward = box_iou(one, other)[0, 0], box_iou(other, one)[0, 0]
    assert forward == pytest.approx(backward, abs=1e-6)
    assert 0 <= forward <= 1 + 1e-6


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (10, 10, 20, 20), 0.0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ],
)
def test_iou_table(one: tuple[int, ...], other: tuple[int, ...], expected: float) -> None:
    assert box_iou(np.array([one], np.float32), np.array([other], np.float32))[0, 0] == pytest.approx(expected)


def test_contains_follows_the_outline_of_a_hollow_shape() -> None:
    angle = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [8.0, 10.0], [8.0, 2.0], [0.0, 2.0]])
    points = np.array([[1.0, 1.0], [9.0, 9.0], [2.0, 8.0], [11.0, 5.0]])
    assert contains(angle, points).tolist() == [True, True, False, False]


@given(st.floats(-200, 200), st.floats(-200, 200))
def test_homography_maps_the_corners_and_is_undone_by_its_inverse(dx: float, dy: float) -> None:
    quad = np.array([[100.0, 300.0], [400.0, 310.0], [360.0, 200.0], [130.0, 190.0]]) + np.array([dx, dy])
    homography = unit_square_from(quad)
    assert project(homography, quad) == pytest.approx(np.array([[0, 0], [1, 0], [1, 1], [0, 1]]), abs=1e-6)
    inner = quad.mean(axis=0, keepdims=True)
    back = project(np.linalg.inv(homography), project(homography, inner))
    assert back == pytest.approx(inner, abs=1e-6)


def test_a_board_without_area_is_refused() -> None:
    with pytest.raises(ValueError, match="do not span a board"):
        unit_square_from(np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]))


def test_share_covered_is_the_share_of_area() -> None:
    points = interior_points(SQUARE, across=20)
    assert share_covered(points, np.array([[0, 0, 5, 10]], np.float32)) == pytest.approx(0.5)
    halves = np.array([[0, 0, 5, 10], [5, 0, 10, 10]], np.float32)
    assert share_covered(points, halves) == 1.0
    assert share_covered(points, np.zeros((0, 4), np.float32)) == 0.0


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((300, 100, 340, 140), (320, 120)),  # a hand alone: its middle
        ((0, 0, 100, 200), (75, 150)),  # from the top left corner: towards the bottom right
        ((540, 160, 640, 260), (565, 210)),  # from the right
        ((200, 260, 300, 360), (250, 285)),  # from below
        ((0, 100, 640, 200), (320, 150)),  # right across: the middle
    ],
)
def test_reach_point_is_at_the_end_away_from_the_border(box: tuple[int, ...], expected: tuple[float, float]) -> None:
    assert reach_point(np.array(box, np.float32), 640, 360) == pytest.approx(expected)

"""Pictures and millimetres: what is projected comes back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_simulator.core.geometry import Camera, camera_over

cameras = st.builds(
    Camera,
    x_mm=st.floats(-500, 2500),
    y_mm=st.floats(-1200, -300),
    z_mm=st.floats(-3500, -1200),
    pitch_rad=st.floats(0.2, 0.8),
    view_angle_rad=st.floats(0.4, 1.4),
    yaw_rad=st.floats(-0.3, 0.3),
    roll_rad=st.floats(-0.2, 0.2),
)
places = st.tuples(st.floats(0, 1600), st.floats(0, 1400), st.floats(0, 400))


@given(camera=cameras, place=places)
def test_a_projected_point_comes_back_on_its_front_plane(camera: Camera, place: tuple[float, float, float]) -> None:
    back = camera.unproject_to_front(camera.project([place]), place[2])
    assert back[0] == pytest.approx(place, abs=1e-3)


@given(camera=cameras, place=places)
def test_a_projected_point_comes_back_on_its_level(camera: Camera, place: tuple[float, float, float]) -> None:
    back = camera.unproject_to_level(camera.project([place]), place[1])
    assert back[0] == pytest.approx(place, abs=1e-3)


@given(camera=cameras)
def test_axes_are_a_right_handed_frame(camera: Camera) -> None:
    right, down, forward = camera.axes
    assert camera.axes @ camera.axes.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.cross(right, down) == pytest.approx(forward, abs=1e-9)


def test_the_point_ahead_is_in_the_middle() -> None:
    camera = Camera(800, -500, -2000, math.radians(30), 1.0)
    ahead = camera.place_mm + camera.axes[2] * 1500
    assert camera.project([ahead])[0] == pytest.approx([480, 270])
    assert camera.depth_mm([ahead])[0] == pytest.approx(1500)


def test_up_is_up_and_right_is_right() -> None:
    camera = Camera(800, -500, -2000, math.radians(30), 1.0)
    low_left, high_right = camera.project([(500, 1200, 0), (1100, 200, 0)])
    assert low_left[0] < high_right[0]
    assert low_left[1] > high_right[1]


@given(
    width=st.floats(500, 2500), height=st.floats(300, 1800), margin=st.floats(0, 0.1), away=st.floats(1200, 3000),
    above=st.floats(100, 900),
)  # fmt: skip
def test_camera_over_sees_all_and_fills_the_picture(
    width: float, height: float, margin: float, away: float, above: float
) -> None:
    corners = [(x, y, 0.0) for x in (0, width) for y in (0, height)]
    camera = camera_over(corners, place_mm=(width / 2, -above, -away), margin=margin)
    shares = camera.project(corners) / (camera.width_px, camera.height_px)
    assert shares.min() > margin - 0.02
    assert shares.max() < 1 - margin + 0.02
    assert max(np.ptp(shares[:, 0]), np.ptp(shares[:, 1])) > 0.9 - 2 * margin


def test_resized_keeps_the_view() -> None:
    camera = Camera(800, -500, -2000, 0.5, 1.0, 0.02, 0.03)
    small = camera.resized(480, 270)
    assert small.project([(300, 400, 100)]) * 2 == pytest.approx(camera.project([(300, 400, 100)]))

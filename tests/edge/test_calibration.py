"""Four corners to the camera, against simulated cameras whose place is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelf_contracts.planogram import polygon_area
from shelf_edge.core.calibration import Rectangle, calibrate, camera_from_corners, with_view
from shelf_simulator.app import demo_bay
from shelf_simulator.core.design import build_planogram, floor_corners_mm
from shelf_simulator.core.geometry import Camera

BAY = Rectangle(0, 0, 1000, 1400)


def seen(camera: Camera, at: Rectangle) -> np.ndarray:
    return camera.project(np.column_stack([at.corners_mm, np.zeros(4)]))


@pytest.mark.parametrize("bay", ["a01", "a02", "a03"])
@pytest.mark.parametrize("seed", [7, 31])
def test_the_corners_of_a_bay_give_every_board(bay: str, seed: int) -> None:
    design = demo_bay(bay, seed)
    plan, camera = build_planogram(design), design.camera
    at = Rectangle(0, 0, plan.width, plan.height)
    corners = seen(camera, at)
    found = camera_from_corners(corners, at, camera.width_px, camera.height_px)
    assert found.is_angle_known
    assert found.focal_px == pytest.approx(camera.focal_px, rel=1e-3)
    assert found.distance_mm == pytest.approx(-camera.z_mm, rel=1e-3)
    for slot in design.slots:
        board = np.array(floor_corners_mm(slot, design.depth_mm))
        assert np.abs(found.project(board) - camera.project(board)).max() < 0.1
    made = calibrate(plan, "c1", found, corners, at)
    assert made.error_px < 0.1
    assert made.unseen == ()
    for slot, view in plan.views[0].slots.items():
        if made.view.slots[slot].floor is None:
            continue
        assert np.allclose(made.view.slots[slot].floor, view.floor, atol=0.035), slot


def test_corners_pointed_at_by_hand_are_a_pixel_off() -> None:
    """Then a board's rear edge is off by a few pixels, a fraction of a row."""
    design = demo_bay("a01", 7)
    plan, camera = build_planogram(design), design.camera
    at = Rectangle(0, 0, plan.width, plan.height)
    rng, errors = np.random.default_rng(2), []
    for _ in range(40):
        corners = seen(camera, at) + rng.uniform(-1, 1, (4, 2))
        found = camera_from_corners(corners, at, camera.width_px, camera.height_px)
        boards = np.array([floor_corners_mm(slot, design.depth_mm) for slot in design.slots]).reshape(-1, 3)
        errors.append(np.abs(found.project(boards) - camera.project(boards)).max())
    assert np.median(errors) < 2.5
    assert max(errors) < 8


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-400, 1400), st.floats(-900, 1200), st.floats(800, 4000), st.floats(35, 100),
    st.floats(-0.25, 0.25), st.floats(-0.35, 0.35), st.floats(-0.1, 0.1),
)  # fmt: skip
def test_any_camera_that_sees_the_corners_sees_them_where_they_were(
    x: float, y: float, away: float, angle: float, pitch: float, yaw: float, roll: float
) -> None:
    camera = Camera(x, y, -away, pitch, np.radians(angle), yaw, roll, 1280, 720)
    corners = seen(camera, BAY)
    if camera.depth_mm(np.column_stack([BAY.corners_mm, np.zeros(4)])).min() < 200:
        return
    try:
        found = camera_from_corners(corners, BAY, 1280, 720)
    except ValueError:
        return  # rolled so far that its top left is not its first corner
    corners_mm = np.column_stack([BAY.corners_mm, np.zeros(4)])
    if found.is_angle_known:
        assert np.abs(found.project(corners_mm) - corners).max() < 2
    assert np.allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(found.rotation) > 0


def test_a_camera_that_looks_squarely_takes_a_usual_angle_or_the_one_it_is_given() -> None:
    camera = Camera(500, 700, -2500, 0.0, np.radians(60), width_px=1280, height_px=720)
    corners = seen(camera, BAY)
    guessed = camera_from_corners(corners, BAY, 1280, 720)
    assert not guessed.is_angle_known
    assert guessed.view_angle_deg == pytest.approx(70)
    given_one = camera_from_corners(corners, BAY, 1280, 720, view_angle_deg=60)
    assert given_one.distance_mm == pytest.approx(2500, rel=1e-6)
    assert np.abs(given_one.project(np.array([[200.0, 600, 300]])) - camera.project([[200.0, 600, 300]])).max() < 0.01


def test_slots_at_the_border_are_clipped_and_told() -> None:
    """The picture ends within the bay: the camera was zoomed in."""
    design = demo_bay("a01", 7)
    plan, camera = build_planogram(design), design.camera
    at = Rectangle(0, 0, plan.width, plan.height)
    zoomed = Camera(
        camera.x_mm, camera.y_mm, camera.z_mm, camera.pitch_rad, camera.view_angle_rad / 2, width_px=960, height_px=540
    )
    corners = seen(zoomed, at)
    found = calibrate(plan, "c1", camera_from_corners(corners, at, 960, 540), corners, at)
    assert found.unseen
    assert set(found.hardly_seen) <= set(found.view.slots)
    assert not set(found.unseen) & set(found.view.slots)
    for view in found.view.slots.values():
        assert abs(polygon_area(view.front)) > 0
        assert all(0 <= value <= 1 for point in view.front for value in point)


def test_a_view_replaces_the_cameras_old_one_only() -> None:
    design = demo_bay("a01", 7)
    plan = build_planogram(design)
    at = Rectangle(0, 0, plan.width, plan.height)
    corners = seen(design.camera, at)
    camera = camera_from_corners(corners, at, 960, 540)
    two = with_view(plan, calibrate(plan, "c2", camera, corners, at).view)
    assert [view.camera for view in two.views] == ["c1", "c2"]
    again = with_view(two, calibrate(plan, "c1", camera, corners, at).view)
    assert [view.camera for view in again.views] == ["c2", "c1"]


@pytest.mark.parametrize(
    ("corners", "says"),
    [
        ([(0, 0), (0, 100), (100, 100), (100, 0)], "in that order"),
        ([(100, 0), (100, 100), (0, 100), (0, 0)], "in that order"),
        ([(0, 0), (100, 0), (50, 1), (0, 100)], "in that order"),
        ([(0, 0), (100, 100), (100, 0), (0, 100)], "in that order"),
        ([(0, 0), (50, 0), (100, 0), (0, 100)], "in that order"),
        ([(0, 0), (100, 0), (100, float("nan")), (0, 100)], "four points"),
        ([(0, 0), (100, 0), (100, 100)], "four points"),
    ],
)
def test_corners_that_cannot_be(corners: list[tuple[float, float]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        camera_from_corners(np.array(corners), BAY, 960, 540)

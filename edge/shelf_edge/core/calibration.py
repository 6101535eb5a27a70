"""From four corners in a picture to where a camera sees every slot: the view of a planogram, made by arithmetic.

The front of a bay is a plane whose size the planogram knows, so four of its points in the picture give a homography. A
camera with square pixels and its axis in the middle of the picture has one unknown more, its focal length. It follows
from the same homography unless the camera looks at the bay squarely (Zhang, "A Flexible New Technique for Camera
Calibration", 2000, section 3.1). With it the boards, which reach back into the shelf, can be drawn too.

Frames of reference: millimetres, x right and y down from the top left of the bay's front, z into the shelf; pixels, x
right and y down. Lens distortion is not modelled: measure corners in a picture without a fisheye's bend.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelf_contracts.planogram import Planogram, Point, Position, SlotView, View, polygon_area

Points = npt.NDArray[np.float64]

NARROWEST_DEG, WIDEST_DEG = 15.0, 150.0
USUAL_DEG = 70.0
"""Horizontal angle of view of a common camera; only boards depend on it, not the fronts."""
_LEAST_SEEN = 0.5
_FLOOR_OUTSIDE = 0.03


@dataclass(frozen=True)
class Rectangle:
    """A rectangle of the bay's front that was pointed at, in mm from its top left."""

    x: float
    y: float
    w: float
    h: float

    @property
    def corners_mm(self) -> Points:
        """(4, 2): top left, top right, bottom right, bottom left."""
        right, bottom = self.x + self.w, self.y + self.h
        return np.array([[self.x, self.y], [right, self.y], [right, bottom], [self.x, bottom]])


@dataclass(frozen=True, eq=False)
class BayCamera:
    """Where a camera stands before a bay.

    Attributes:
        focal_px: focal length in pixels of the picture.
        rotation: (3, 3), from the bay's frame to the camera's; translation_mm: (3,).
        width_px, height_px: of its picture.
        is_angle_known: the angle of view follows from the corners; else it was given or is a usual one.
    """

    focal_px: float
    rotation: Points
    translation_mm: Points
    width_px: int
    height_px: int
    is_angle_known: bool

    @property
    def view_angle_deg(self) -> float:
        """Horizontal angle of view."""
        return math.degrees(2 * math.atan(self.width_px / 2 / self.focal_px))

    @property
    def place_mm(self) -> Points:
        """(3,), where the camera is in the bay's frame; z is negative before the front."""
        return np.asarray(-self.rotation.T @ self.translation_mm, np.float64)

    @property
    def distance_mm(self) -> float:
        """From the camera to the plane of the bay's front."""
        return float(abs(self.place_mm[2]))

    def project(self, points_mm: Points) -> Points:
        """Points (n, 3) of the bay's frame as pixels (n, 2)."""
        seen = points_mm @ self.rotation.T + self.translation_mm
        centre = np.array([self.width_px / 2, self.height_px / 2])
        return np.asarray(seen[:, :2] / np.maximum(seen[:, 2:], 1.0) * self.focal_px + centre, np.float64)


def camera_from_corners(
    corners_px: Points, rectangle: Rectangle, width_px: int, height_px: int, view_angle_deg: float | None = None
) -> BayCamera:
    """The camera that sees the rectangle's corners there.

    Args:
        corners_px: (4, 2): top left, top right, bottom right, bottom left, as they appear in the picture.
        view_angle_deg: horizontal, when it is known; else it is found, or ``USUAL_DEG`` where it cannot be.
    Raises: ValueError when the corners are in another order, or no camera can see them so.
    """
    corners = np.asarray(corners_px, float)
    if corners.shape != (4, 2) or not np.isfinite(corners).all():
        raise ValueError("must be four points")
    if not _is_convex_clockwise(corners):
        raise ValueError("must be top left, top right, bottom right, bottom left, in that order")
    centre = np.array([width_px / 2, height_px / 2])
    plane = _homography(rectangle.corners_mm, corners - centre)
    found = _focal_px(plane)
    limits = [width_px / 2 / math.tan(math.radians(angle) / 2) for angle in (WIDEST_DEG, NARROWEST_DEG)]
    is_known = view_angle_deg is None and found is not None and limits[0] <= found <= limits[1]
    if is_known and found is not None:
        focal = found
    else:
        focal = width_px / 2 / math.tan(math.radians(view_angle_deg or USUAL_DEG) / 2)
    flat = plane / np.array([[focal], [focal], [1.0]])
    scale = 2 / (np.linalg.norm(flat[:, 0]) + np.linalg.norm(flat[:, 1]))
    flat = flat * scale * (1.0 if flat[2, 2] > 0 else -1.0)
    # The nearest rotation: measured corners never fit one exactly.
    left, _, right = np.linalg.svd(np.column_stack([flat[:, 0], flat[:, 1], np.cross(flat[:, 0], flat[:, 1])]))
    rotation = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    return BayCamera(focal, rotation, flat[:, 2], width_px, height_px, is_known)


CORNERS = ("top left", "top right", "bottom right", "bottom left")


def corners_outside(corners_px: Points, width_px: int, height_px: int) -> list[str]:
    """Which of four corners (4, 2) do not lie in the picture, and where they are: those were guessed."""
    return [
        f"{name} {x:g},{y:g}"
        for name, (x, y) in zip(CORNERS, np.asarray(corners_px, float), strict=True)
        if not (0 <= x <= width_px and 0 <= y <= height_px)
    ]


def to_front(corners_px: Points, rectangle: Rectangle, points_px: Points) -> Points:
    """Pixels (n, 2) as mm of the bay's front plane, whose rectangle has these corners (4, 2).

    Raises: ValueError when the corners are in another order, or span nothing.
    """
    corners = np.asarray(corners_px, float)
    if corners.shape != (4, 2) or not np.isfinite(corners).all() or not _is_convex_clockwise(corners):
        raise ValueError("must be top left, top right, bottom right, bottom left, in that order")
    return _mapped(_homography(corners, rectangle.corners_mm), np.asarray(points_px, float))


@dataclass(frozen=True)
class Calibrated:
    """What a calibration gave.

    Attributes:
        view: where the camera sees each slot.
        error_px: how far the corners lie from where this camera should see them, at most.
        hardly_seen: slots of which less than half is in the picture; ``unseen``: none of it, so they are left out.
    """

    view: View
    camera: BayCamera
    error_px: float
    hardly_seen: tuple[str, ...]
    unseen: tuple[str, ...]


def calibrate(planogram: Planogram, camera_id: str, camera: BayCamera, corners_px: Points, at: Rectangle) -> Calibrated:
    """The view of a camera: each slot's space at the bay's front, and its part of the board.

    Raises: ValueError when not one slot is in the picture.
    """
    corners_mm = np.column_stack([at.corners_mm, np.zeros(4)])
    error_px = float(np.abs(camera.project(corners_mm) - np.asarray(corners_px, float)).max())
    slots: dict[str, SlotView] = {}
    hardly, unseen = [], []
    for position in planogram.positions:
        view, seen = _slot_view(planogram, position, camera)
        if view is None:
            unseen.append(position.id)
            continue
        slots[position.id] = view
        if seen < _LEAST_SEEN:
            hardly.append(position.id)
    if not slots:
        raise ValueError("not one slot would be in the picture: are the corners those of this bay?")
    return Calibrated(View(camera=camera_id, slots=slots), camera, error_px, tuple(hardly), tuple(unseen))


def with_view(planogram: Planogram, view: View) -> Planogram:
    """The planogram with this view in the place of that camera's old one, checked as a whole."""
    others = [one for one in planogram.views if one.camera != view.camera]
    return Planogram.model_validate(
        {**planogram.model_dump(by_alias=True), "views": [one.model_dump() for one in [*others, view]]}
    )


def _slot_view(planogram: Planogram, position: Position, camera: BayCamera) -> tuple[SlotView | None, float]:
    """The slot's view and how much of its front is in the picture; (None, 0) when nothing is."""
    fixture = next(one for one in planogram.fixtures if one.id == position.fixture_id)
    left, right, bottom = position.x, position.x + position.w, fixture.y + fixture.h
    # A hand comes over what stands there: the space goes up to the board above.
    top = min(position.y, fixture.y)
    front_mm = np.array([[left, top, 0], [right, top, 0], [right, bottom, 0], [left, bottom, 0]], float)
    size = np.array([camera.width_px, camera.height_px], float)
    whole = camera.project(front_mm) / size
    front = _clipped(whole)
    area = abs(polygon_area([(float(x), float(y)) for x, y in whole]))
    if len(front) < 3 or area <= 0 or abs(polygon_area(front)) < 1e-5:
        return None, 0.0
    floor: list[Point] | None = None
    if fixture.kind == "shelf" and fixture.d > 1:
        board_mm = np.array(
            [[left, bottom, 0], [right, bottom, 0], [right, bottom, fixture.d], [left, bottom, fixture.d]], float
        )
        board = camera.project(board_mm) / size
        # Clipping would bend the board's perspective: one that leaves the picture is not used for depth.
        if (board >= -_FLOOR_OUTSIDE).all() and (board <= 1 + _FLOOR_OUTSIDE).all() and _is_open(board):
            floor = _rounded(np.clip(board, 0.0, 1.0))
    return SlotView(front=front, floor=floor), abs(polygon_area(front)) / area


def _is_open(board: Points) -> bool:
    """Whether the camera looks onto the board, not along or from under it."""
    return bool(board[2:, 1].mean() < board[:2, 1].mean() - 0.005)


def _rounded(points: Points) -> list[Point]:
    return [(round(float(x), 5), round(float(y), 5)) for x, y in points]


def _clipped(polygon: Points) -> list[Point]:
    """The part of a convex polygon that lies in the picture (Sutherland and Hodgman 1974), in shares of it."""
    points = [np.asarray(point, float) for point in polygon]
    for axis, limit, keeps_less in ((0, 0.0, False), (0, 1.0, True), (1, 0.0, False), (1, 1.0, True)):
        kept: list[Points] = []
        for one, other in zip(points, points[1:] + points[:1], strict=True):
            inside, other_inside = ((p[axis] <= limit) if keeps_less else (p[axis] >= limit) for p in (one, other))
            if inside:
                kept.append(one)
            if inside != other_inside:
                kept.append(one + (other - one) * ((limit - one[axis]) / (other[axis] - one[axis])))
        points = kept
        if not points:
            return []
    return list(dict.fromkeys(_rounded(np.clip(np.array(points), 0.0, 1.0))))


def _is_convex_clockwise(corners: Points) -> bool:
    """Clockwise as one sees it (y down), without a dent, and beginning at the top left."""
    edges = np.roll(corners, -1, axis=0) - corners
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    is_first = int(np.argmin(corners.sum(axis=1) - corners.mean(axis=0).sum())) == 0
    return bool((turns > 1.0).all()) and is_first


def _homography(from_points: Points, to_points: Points) -> Points:
    """(3, 3) that maps four points (4, 2) onto four others, by the direct linear transform on centred points."""
    one, other = _centring(from_points), _centring(to_points)
    source, target = (_mapped(matrix, points) for matrix, points in ((one, from_points), (other, to_points)))
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y, -u], [0, 0, 0, x, y, 1, -v * x, -v * y, -v]]
    solved = np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)
    found = np.linalg.inv(other) @ solved @ one
    return np.asarray(found / np.linalg.norm(found[:, 0]), np.float64)


def _centring(points: Points) -> Points:
    middle = points.mean(axis=0)
    scale = math.sqrt(2) / max(float(np.hypot(*(points - middle).T).mean()), 1e-9)
    return np.array([[scale, 0, -scale * middle[0]], [0, scale, -scale * middle[1]], [0, 0, 1]])


def _mapped(matrix: Points, points: Points) -> Points:
    lifted = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return np.asarray(lifted[:, :2] / lifted[:, 2:], np.float64)


def _focal_px(plane: Points) -> float | None:
    """From the two conditions on a homography's first columns: unit vectors, at a right angle. None: they say little.

    Both are linear in f²: they are solved together by least squares, each weighing by how much perspective it shows.
    """
    (a1, a2, _), (b1, b2, _), (c1, c2, _) = plane
    slopes = np.array([a1 * a2 + b1 * b2, a1 * a1 + b1 * b1 - a2 * a2 - b2 * b2])
    wanted = np.array([-c1 * c2, c2 * c2 - c1 * c1])
    # slopes = wanted * f². With hardly any perspective both sides are next to nothing.
    power = float(wanted @ wanted)
    if power <= 0:
        return None
    squared = float(slopes @ wanted) / power
    return math.sqrt(squared) if squared > 0 else None

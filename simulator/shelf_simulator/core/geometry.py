"""A pinhole camera in front of a bay.

The bay's frame of reference: millimetres, x right and y down from the top left of the bay's front, z into the shelf
(0 at the front edges, negative in the aisle). Pictures: x right, y down, pixels or shares of width and height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_NEAREST_MM = 20.0


@dataclass(frozen=True)
class Camera:
    """Where a camera stands and what it sees.

    Attributes:
        x_mm, y_mm, z_mm: its place in the bay's frame (z negative: in the aisle; y negative: above the bay's top).
        pitch_rad: how far it looks down; yaw_rad: to the right; roll_rad: turned clockwise.
        view_angle_rad: horizontal angle of view, 0 < angle < pi.
        width_px, height_px: size of its picture.
    """

    x_mm: float
    y_mm: float
    z_mm: float
    pitch_rad: float
    view_angle_rad: float
    yaw_rad: float = 0.0
    roll_rad: float = 0.0
    width_px: int = 960
    height_px: int = 540

    @cached_property
    def focal_px(self) -> float:
        """Pixels per unit of tangent."""
        return self.width_px / 2 / math.tan(self.view_angle_rad / 2)

    @cached_property
    def place_mm(self) -> FloatArray:
        """The camera's place, float64 (3,)."""
        return np.array([self.x_mm, self.y_mm, self.z_mm])

    @cached_property
    def axes(self) -> FloatArray:
        """Rows right, down, forward as unit vectors in the bay's frame, float64 (3, 3)."""
        cos_p, sin_p = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        cos_y, sin_y = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        forward = np.array([sin_y * cos_p, sin_p, cos_y * cos_p])
        right = np.array([cos_y, 0.0, -sin_y])
        down = np.cross(forward, right)
        cos_r, sin_r = math.cos(self.roll_rad), math.sin(self.roll_rad)
        return np.array([cos_r * right + sin_r * down, cos_r * down - sin_r * right, forward])

    def depth_mm(self, points_mm: ArrayLike) -> FloatArray:
        """Distance along the line of sight, (n, 3) to (n,)."""
        points = np.asarray(points_mm, dtype=np.float64)
        depths: FloatArray = (points - self.place_mm) @ self.axes[2]
        return depths

    def project(self, points_mm: ArrayLike) -> FloatArray:
        """Points of the bay's frame (n, 3) as pixels (n, 2); points behind the camera are pulled to 20 mm before it."""
        points = np.asarray(points_mm, dtype=np.float64)
        seen = (points - self.place_mm) @ self.axes.T
        scale = self.focal_px / np.maximum(seen[..., 2], _NEAREST_MM)
        centre = np.array([self.width_px / 2, self.height_px / 2])
        pixels: FloatArray = seen[..., :2] * scale[..., None] + centre
        return pixels

    def rays(self, pixels: ArrayLike) -> FloatArray:
        """Directions in the bay's frame (n, 3), not normalised, of pixels (n, 2)."""
        points = np.asarray(pixels, dtype=np.float64)
        centre = np.array([self.width_px / 2, self.height_px / 2])
        flat = (points - centre) / self.focal_px
        ahead = np.concatenate([flat, np.ones((*flat.shape[:-1], 1))], axis=-1)
        directions: FloatArray = ahead @ self.axes
        return directions

    def unproject_to_level(self, pixels: ArrayLike, y_mm: float) -> FloatArray:
        """Where the rays of pixels (n, 2) meet the horizontal plane ``y = y_mm``, (n, 3)."""
        directions = self.rays(pixels)
        reach = (y_mm - self.y_mm) / directions[..., 1]
        met: FloatArray = self.place_mm + directions * reach[..., None]
        return met

    def unproject_to_front(self, pixels: ArrayLike, z_mm: float) -> FloatArray:
        """Where the rays of pixels (n, 2) meet the upright plane ``z = z_mm``, (n, 3)."""
        directions = self.rays(pixels)
        reach = (z_mm - self.z_mm) / directions[..., 2]
        met: FloatArray = self.place_mm + directions * reach[..., None]
        return met

    def elevation_rad(self, point_mm: ArrayLike) -> float:
        """How steeply the camera looks down on a point; 0 when level with it."""
        x, y, z = np.asarray(point_mm, dtype=np.float64) - self.place_mm
        return math.atan2(float(y), math.hypot(float(x), float(z)))

    def resized(self, width_px: int, height_px: int) -> Camera:
        """The same view in a picture of another size (of the same proportions)."""
        return Camera(
            self.x_mm, self.y_mm, self.z_mm, self.pitch_rad, self.view_angle_rad,
            self.yaw_rad, self.roll_rad, width_px, height_px,
        )  # fmt: skip


def camera_over(
    points_mm: ArrayLike, *, place_mm: tuple[float, float, float], margin: float = 0.02, roll_rad: float = 0.0,
    yaw_rad: float = 0.0, size_px: tuple[int, int] = (960, 540),
) -> Camera:  # fmt: skip
    """A camera at ``place_mm`` pitched and zoomed so that all points are in the picture, ``margin`` (share) left."""
    points = np.asarray(points_mm, dtype=np.float64)
    away = points - np.array(place_mm)
    downs = np.arctan2(away[:, 1], away[:, 2])
    pitch = float((downs.min() + downs.max()) / 2)
    camera = Camera(*place_mm, pitch, 1.0, yaw_rad, roll_rad, *size_px)
    width_px, height_px = size_px
    for _ in range(12):
        pixels = camera.project(points)
        lowest, highest = float(pixels[:, 1].max()), float(pixels[:, 1].min())
        pitch += math.atan(((lowest + highest) / 2 - height_px / 2) / camera.focal_px)
        across = float(np.abs(pixels[:, 0] - width_px / 2).max()) / (width_px / 2)
        down = max(height_px / 2 - highest, lowest - height_px / 2) / (height_px / 2)
        used = max(across, down) / (1 - 2 * margin)
        angle = 2 * math.atan(math.tan(camera.view_angle_rad / 2) * used)
        camera = Camera(*place_mm, pitch, min(angle, 2.6), yaw_rad, roll_rad, *size_px)
    return camera

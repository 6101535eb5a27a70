"""Boxes, polygons and the view of a shelf board from above.

Boxes are x1 y1 x2 y2; points are (x, y); both in pixels of the camera's picture unless said otherwise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


def box_iou(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Intersection over union of every pair.

    Args:
        one: (n, 4); other: (m, 4).
    Returns: (n, m), 0 to 1; 0 where both boxes are empty.
    """
    left_top = np.maximum(one[:, None, :2], other[None, :, :2])
    right_bottom = np.minimum(one[:, None, 2:], other[None, :, 2:])
    overlap = np.prod(np.clip(right_bottom - left_top, 0, None), axis=2)
    areas = box_area(one)[:, None] + box_area(other)[None, :] - overlap
    return np.asarray(np.divide(overlap, areas, out=np.zeros_like(overlap), where=areas > 0), np.float32)


def box_area(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Areas of (n, 4) boxes, (n,)."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def base_points(boxes: Points) -> Points:
    """Where boxes (n, 4) stand: the middles of their lower edges, (n, 2)."""
    return np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]])


def contains(polygon: Points, points: Points) -> npt.NDArray[np.bool_]:
    """Which of (n, 2) points lie inside a polygon of (k, 2) corners, by the even-odd rule."""
    x, y = points[:, 0][:, None], points[:, 1][:, None]
    x1, y1 = polygon[:, 0], polygon[:, 1]
    x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
    straddles = (y1 <= y) != (y2 <= y)
    rise = np.where(y2 == y1, 1.0, y2 - y1)
    crossing_x = x1 + (y - y1) * (x2 - x1) / rise
    inside: npt.NDArray[np.bool_] = np.sum(straddles & (x < crossing_x), axis=1) % 2 == 1
    return inside


def interior_points(polygon: Points, across: int = 12) -> Points:
    """A grid of points inside a polygon, at least one; its shares stand for shares of the polygon's area."""
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    steps = (np.arange(across) + 0.5) / across
    grid = np.stack(np.meshgrid(low[0] + steps * (high - low)[0], low[1] + steps * (high - low)[1]), axis=-1)
    points: Points = grid.reshape(-1, 2)
    inside = points[contains(polygon, points)]
    return inside if len(inside) else polygon.mean(axis=0, keepdims=True)


def share_covered(points: Points, boxes: npt.NDArray[np.float32]) -> float:
    """Share of (n, 2) points that lie in any of (m, 4) boxes, 0 to 1."""
    return float(are_covered(points, boxes).mean()) if len(boxes) and len(points) else 0.0


def are_covered(points: Points, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which of the (n, 2) points lie in any of (m, 4) boxes."""
    x, y = points[:, 0][:, None], points[:, 1][:, None]
    within = (x >= boxes[:, 0]) & (x <= boxes[:, 2]) & (y >= boxes[:, 1]) & (y <= boxes[:, 3])
    return np.asarray(within.any(axis=1), np.bool_)


def unit_square_from(quad: Points) -> Matrix:
    """Homography that maps a quadrilateral onto the unit square.

    Args:
        quad: (4, 2): front-left, front-right, back-right, back-left.
    Returns: (3, 3); front-left maps to (0, 0), front-right to (1, 0), back-left to (0, 1): u across, v into the shelf.
    Raises: ValueError when three corners lie on one line.
    """
    targets = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    rows, wanted = [], []
    for (x, y), (u, v) in zip(quad, targets, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    try:
        solved = np.linalg.solve(np.array(rows), np.array(wanted))
    except np.linalg.LinAlgError as error:
        raise ValueError(f"the corners {quad.tolist()} do not span a board") from error
    return np.append(solved, 1.0).reshape(3, 3)


def project(homography: Matrix, points: Points) -> Points:
    """Map (n, 2) points by a (3, 3) homography."""
    lifted = np.column_stack([points, np.ones(len(points))]) @ homography.T
    mapped: Points = lifted[:, :2] / lifted[:, 2:]
    return mapped


def reach_point(box_px: npt.NDArray[np.float32], width_px: int, height_px: int) -> tuple[float, float]:
    """Where the fingers are in the box of a hand or arm.

    An arm comes into the picture over a border: the fingers are at the end away from it. A box that touches no border
    is a hand alone, and its middle is taken.

    >>> reach_point(np.array([0, 100, 200, 200], np.float32), 640, 360)
    (150.0, 150.0)
    """
    x1, y1, x2, y2 = (float(value) for value in box_px)
    margin_x, margin_y = 0.01 * width_px, 0.01 * height_px
    return (
        _away_from_border(x1, x2, x1 <= margin_x, x2 >= width_px - margin_x),
        _away_from_border(y1, y2, y1 <= margin_y, y2 >= height_px - margin_y),
    )


def _away_from_border(low: float, high: float, touches_low: bool, touches_high: bool) -> float:
    share = 0.5
    if touches_low != touches_high:
        share = 0.75 if touches_low else 0.25
    return low + share * (high - low)

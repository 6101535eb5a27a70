"""Where the view of a camera went when it was knocked: landmarks that both pictures show, and the plane between them.

A camera that turns about itself sees the same scene through a homography (Hartley and Zisserman 2004, section 8.4), and
one that hangs a few centimetres elsewhere nearly so. Landmarks are SIFT's (Lowe 2004); those that look like several
others, as facings of one product do, are left out by the ratio of the distances to the two nearest.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shelf_contracts.planogram import View
from shelf_edge.core.detections import Boxes
from shelf_edge.core.geometry import Matrix, Points, project

Features = npt.NDArray[np.float32]
"""(height, width), high-passed and divided by the local contrast, about -3 to 3; 0 where somebody hides the view."""

NOISE_BLUR_PX = 1.0
_PASS_BLUR_PX = 6.0
_LEAST_LOCAL_CONTRAST = 2.0
_AROUND_PEOPLE = 0.1
_GREY_PER_UNIT, _MIDDLE_GREY = 48.0, 128.0
_LANDMARKS = 600
_LEAST_CONTRAST = 0.02
_AROUND_HIDDEN_PX = 5
_AMBIGUOUS = 0.85
_OFF_PX = 3.0
_LEAST_IN_COMMON = 0.2
_LEAST_FOR_A_PLANE = 4


@dataclass(frozen=True)
class RegistrationRules:
    """When a view that was found again is believed.

    Attributes:
        least: so many landmarks must agree on it,
        agreeing_share: and so many of those that were matched at all,
        likeness: and what both pictures show must correlate at least so much.
        least_alone, alone_share: the first two where there is no picture from before to compare with.
        smallest, largest: how much of its size a part of the view may have now; another distance is another view.
    """

    least: int = 30
    agreeing_share: float = 0.4
    likeness: float = 0.5
    least_alone: int = 50
    alone_share: float = 0.5
    smallest: float = 0.7
    largest: float = 1.4


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Points (n, 2) of a small picture that can be told from others, and what they look like, float32 (n, 128)."""

    at_px: Points
    looks: npt.NDArray[np.float32]

    @staticmethod
    def of(seen: Features) -> Landmarks:
        """What stands out in a picture, away from what is hidden."""
        grey = np.clip(seen * _GREY_PER_UNIT + _MIDDLE_GREY, 0, 255).astype(np.uint8)
        around = np.ones((_AROUND_HIDDEN_PX, _AROUND_HIDDEN_PX), np.uint8)
        in_sight = cv2.erode((seen != 0).astype(np.uint8), around)
        finder = cv2.SIFT.create(_LANDMARKS, contrastThreshold=_LEAST_CONTRAST)
        points, looks = finder.detectAndCompute(grey, in_sight)
        if looks is None:
            return Landmarks(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
        return Landmarks(np.array([point.pt for point in points], float), np.asarray(looks, np.float32))


@dataclass(frozen=True, eq=False)
class RememberedView:
    """Where a camera that has not moved since its calibration sees its landmarks; no picture.

    Attributes:
        view: which calibration, as ``view_key`` says it.
        width_px, height_px: of the small picture that they were found in.
        landmarks: at pixels of it.
    """

    view: str
    width_px: int
    height_px: int
    landmarks: Landmarks


def view_key(view: View) -> str:
    """A calibration's name: another one, however little it differs, has another."""
    return hashlib.sha256(view.model_dump_json(by_alias=True).encode()).hexdigest()


def features(grey: npt.NDArray[np.uint8], people_px: Boxes) -> Features:
    """What of a small grey picture (height, width) stays the same in a day's light, without what people hide.

    Args:
        people_px: (n, 4) boxes of hands and bodies, in pixels of that picture.
    """
    values = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), NOISE_BLUR_PX)
    high = values - cv2.GaussianBlur(values, (0, 0), _PASS_BLUR_PX)
    contrast = cv2.GaussianBlur(high * high, (0, 0), _PASS_BLUR_PX)
    seen: Features = (high / (np.sqrt(contrast) + _LEAST_LOCAL_CONTRAST)).astype(np.float32)
    sides = (people_px[:, 2:] - people_px[:, :2]) * _AROUND_PEOPLE
    around = np.concatenate([people_px[:, :2] - sides, people_px[:, 2:] + sides], axis=1)
    for x1, y1, x2, y2 in np.maximum(np.round(around).astype(int), 0):
        seen[y1:y2, x1:x2] = 0.0
    return seen


def find_again(rules: RegistrationRules, reference: Features, landmarks: Landmarks, seen: Features) -> Matrix | None:
    """Where the reference lies in what is seen.

    Args:
        reference, seen: of the same size.
        landmarks: the reference's.
    Returns: (3, 3), from pixels of the reference to pixels of what is seen; None when that is not certain.
    """
    height, width = seen.shape
    found = _plane_between(landmarks, Landmarks.of(seen))
    if found is None or not found.is_held_by(rules.least, rules.agreeing_share):
        return None
    if not _is_a_view(rules, found.shift, width, height):
        return None
    return found.shift if likeness(reference, seen, found.shift) >= rules.likeness else None


def find_by_landmarks(
    rules: RegistrationRules, before: Landmarks, after: Landmarks, width_px: int, height_px: int
) -> Matrix | None:
    """The same where only landmarks are left of the picture before.

    Args:
        width_px, height_px: of both small pictures.
    """
    found = _plane_between(before, after)
    if found is None or not found.is_held_by(rules.least_alone, rules.alone_share):
        return None
    return found.shift if _is_a_view(rules, found.shift, width_px, height_px) else None


@dataclass(frozen=True, eq=False)
class _Plane:
    """Where the plane went that ``agreeing`` of ``matched`` landmarks lie in."""

    shift: Matrix
    agreeing: int
    matched: int

    def is_held_by(self, least: int, share: float) -> bool:
        return self.agreeing >= max(least, share * self.matched)


def _plane_between(before: Landmarks, after: Landmarks) -> _Plane | None:
    if min(len(before.at_px), len(after.at_px)) < 2:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(before.looks, after.looks, k=2)
    sure = [best for best, second in pairs if best.distance < _AMBIGUOUS * second.distance]
    if len(sure) < _LEAST_FOR_A_PLANE:
        return None
    here = before.at_px[[pair.queryIdx for pair in sure]]
    there = after.at_px[[pair.trainIdx for pair in sure]]
    found, agreeing = cv2.findHomography(here, there, cv2.RANSAC, _OFF_PX, maxIters=2000, confidence=0.999)
    return None if found is None else _Plane(np.asarray(found, float), int(agreeing.sum()), len(sure))


def laid_back(seen: Features, shift: Matrix) -> Features:
    """What is seen, where the reference has it; 0 where the picture ends."""
    height, width = seen.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    if np.array_equal(shift[2], (0.0, 0.0, 1.0)):
        return np.asarray(cv2.warpAffine(seen, shift[:2], (width, height), flags=flags, borderValue=0.0), np.float32)
    return np.asarray(cv2.warpPerspective(seen, shift, (width, height), flags=flags, borderValue=0.0), np.float32)


def likeness(reference: Features, seen: Features, shift: Matrix) -> float:
    """Correlation of the reference with what is seen, shifted back; -1 to 1. What lies outside does not count."""
    back = laid_back(seen, shift)
    both = (back != 0) & (reference != 0)
    if both.mean() < _LEAST_IN_COMMON:
        return -1.0
    one, other = reference[both] - reference[both].mean(), back[both] - back[both].mean()
    power = math.sqrt(float((one * one).sum()) * float((other * other).sum()))
    return float((one * other).sum()) / power if power > 0 else -1.0


def travel(shift: Matrix, width_px: int, height_px: int) -> float:
    """The farthest that a corner of the picture goes, as a share of its width."""
    corners = np.array([[0, 0], [width_px, 0], [0, height_px], [width_px, height_px]], float)
    return float(np.hypot(*(project(shift, corners) - corners).T).max()) / width_px


def _is_a_view(rules: RegistrationRules, shift: Matrix, width: int, height: int) -> bool:
    """Whether a camera can have moved like that: nothing mirrored, beyond the horizon, or much larger or smaller."""
    x, y = np.meshgrid(np.linspace(0, width, 5), np.linspace(0, height, 5))
    grid = np.column_stack([x.ravel(), y.ravel()])
    depth = np.column_stack([grid, np.ones(len(grid))]) @ shift[2]
    if depth.min() <= 0:
        return False
    moved = project(shift, grid).reshape(5, 5, 2)
    across, down = np.diff(moved, axis=1)[:-1], np.diff(moved, axis=0)[:, :-1]
    turned = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    sizes = np.sqrt(np.maximum(turned, 0.0) * 16 / (width * height))
    return bool(sizes.min() >= rules.smallest and sizes.max() <= rules.largest)

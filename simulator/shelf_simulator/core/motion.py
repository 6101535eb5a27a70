"""How hands and feet move: smoothly, between points, in a given time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelf_simulator.core.geometry import FloatArray

WALK_MM_PER_S = 950.0


def min_jerk(share: float) -> float:
    """Progress (0..1) of a movement of least jerk after ``share`` (0..1) of its time.

    >>> min_jerk(0.5)
    0.5
    """
    t = min(1.0, max(0.0, share))
    return t * t * t * (10 - 15 * t + 6 * t * t)


@dataclass(frozen=True, eq=False)
class Stroke:
    """One movement of a hand from ``start`` to ``end`` (mm) in ``lasts_s``, and how the posture goes along.

    Attributes:
        effort: share of bending and leaning at both ends; openness: of the hand at both ends.
        happens: something that is done when the stroke is over ("touch" changes the slot).
        via: pulls the way towards itself (a quadratic curve); a straight line without it.
    """

    start: FloatArray
    end: FloatArray
    lasts_s: float
    effort: tuple[float, float] = (1.0, 1.0)
    openness: tuple[float, float] = (0.5, 0.5)
    happens: str = ""
    via: FloatArray | None = None

    def at(self, elapsed_s: float) -> tuple[FloatArray, float, float]:
        """Grip point, effort and openness after ``elapsed_s``."""
        done = min_jerk(elapsed_s / self.lasts_s) if self.lasts_s > 0 else 1.0
        point: FloatArray = self.start + (self.end - self.start) * done
        if self.via is not None:
            point = (1 - done) ** 2 * self.start + 2 * done * (1 - done) * self.via + done**2 * self.end
        effort = self.effort[0] + (self.effort[1] - self.effort[0]) * done
        openness = self.openness[0] + (self.openness[1] - self.openness[0]) * done
        return point, effort, openness


@dataclass(frozen=True, eq=False)
class Walk:
    """Walking between two places (x, z in mm)."""

    start: FloatArray
    end: FloatArray
    begun_s: float

    @property
    def lasts_s(self) -> float:
        return max(0.35, float(np.linalg.norm(self.end - self.start)) / WALK_MM_PER_S)

    def at(self, now_s: float) -> FloatArray:
        """The place at a time."""
        place: FloatArray = self.start + (self.end - self.start) * min_jerk((now_s - self.begun_s) / self.lasts_s)
        return place

    def over(self, now_s: float) -> bool:
        return now_s - self.begun_s >= self.lasts_s

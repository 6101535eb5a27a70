"""Whether a hand reaches into the slot its fingers are in: six figures of it in one look, and their weighed sum.

What hangs at a body's side before a slot, an item or a sleeve taken for a hand, and a hand at the slot beside it differ
from a reaching hand in each of these figures, and in none of them for certain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Boxes

_SURE_SCORE = 0.6
_OVER_HEAD = 0.3


@dataclass(frozen=True)
class ReachFigures:
    """A hand in one look.

    Attributes:
        upright: natural logarithm of how high its box is to its width; 0 where it is wider than high.
        score: the detector's, at most 0.6: more says nothing more.
        differs: share of its box that differs from the picture without people.
        below_top: how far it is below the top of its body's box, in widths of that, -1 to 4; 0 where nobody is.
        in_body: share of its box that lies in its body's box.
        depth: how far its fingers are from the nearest edge of the slot's space: 1 in the middle, 0 at the edge, below
            0 over its board only.
    """

    upright: float
    score: float
    differs: float
    below_top: float
    in_body: float
    depth: float


@dataclass(frozen=True)
class ReachWeights:
    """Log-odds that the hand reaches into that slot for each unit of a figure, and ``base`` for none.

    Fitted to what the simulator's hands truly did: ``scripts/fit_reaches.py`` makes the table again.
    """

    base: float = -0.67
    upright: float = -7.78
    score: float = 3.17
    differs: float = 2.58
    below_top: float = -0.55
    in_body: float = -4.26
    depth: float = 3.42

    def log_odds(self, figures: ReachFigures) -> float:
        """Above 0: it rather reaches than not."""
        return (
            self.base
            + self.upright * figures.upright
            + self.score * figures.score
            + self.differs * figures.differs
            + self.below_top * figures.below_top
            + self.in_body * figures.in_body
            + self.depth * figures.depth
        )


@dataclass(frozen=True)
class ReachRules:
    """What one look at a hand in a slot tells of a reach into it, as log-odds.

    Attributes:
        weights: of the hand's figures.
        most, least: no look tells more than that, or less.
        moving_share: what is left of it while the hand moves.
        least_differs: what differs less from the picture without people was there before, and tells nothing.
        sure_depth, edge_share: nearer to the slot's edge than this depth the hand may be on its way to the slot beside,
            and what tells for a reach is worth the less the nearer it is; at the edge this share is left.
    """

    weights: ReachWeights = ReachWeights()
    most: float = 2.0
    least: float = -1.5
    moving_share: float = 0.5
    least_differs: float = 0.1
    sure_depth: float = 0.3
    edge_share: float = 0.3


def evidence_of(figures: ReachFigures, *, is_steady: bool, rules: ReachRules) -> float:
    """What the hand tells; above 0: it rather reaches than not."""
    if figures.differs < rules.least_differs:
        return 0.0
    told = min(max(rules.weights.log_odds(figures), rules.least), rules.most)
    if told > 0:
        told *= min(max(figures.depth / rules.sure_depth, rules.edge_share), 1.0)
    return told if is_steady else rules.moving_share * told


def figures_of(
    box_px: npt.NDArray[np.float32], at_px: tuple[float, float], bodies_px: Boxes | None, score: float, differs: float
) -> ReachFigures:
    """The figures of a hand at a point of its box (4,), with ``depth`` 0; ``bodies_px``: (m, 4), those in sight."""
    x1, y1, x2, y2 = (float(side) for side in box_px)
    width, height = max(x2 - x1, 1.0), max(y2 - y1, 1.0)
    body = _nearest_body(at_px, bodies_px)
    below_top = in_body = 0.0
    if body is not None:
        left, top, right, bottom = (float(side) for side in body)
        below_top = min(max((at_px[1] - top) / max(right - left, 1.0), -1.0), 4.0)
        shared = max(min(x2, right) - max(x1, left), 0.0) * max(min(y2, bottom) - max(y1, top), 0.0)
        in_body = shared / (width * height)
    upright = max(math.log(height / width), 0.0)
    return ReachFigures(upright, min(score, _SURE_SCORE), differs, below_top, in_body, 0.0)


def _nearest_body(at_px: tuple[float, float], bodies_px: Boxes | None) -> npt.NDArray[np.float32] | None:
    """The body that a hand at a point belongs to: the one least far beside it in its own widths, and rather one that
    the hand is not above; None: nobody is there."""
    best, least = None, math.inf
    for body in bodies_px if bodies_px is not None else ():
        left, top, right, _ = (float(side) for side in body)
        wide = max(right - left, 1.0)
        away = max(left - at_px[0], at_px[0] - right, 0.0) / wide
        if at_px[1] < top - _OVER_HEAD * wide:
            away += 0.5
        if away < least:
            best, least = body, away
    return best

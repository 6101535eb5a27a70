from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_edge.core.reaching import ReachFigures, ReachRules, ReachWeights, evidence_of, figures_of

BODY = (100, 100, 200, 360)
NOBODY = np.zeros((0, 4), np.float32)


def seen(
    box: tuple[float, ...], *bodies: tuple[float, ...], score: float = 0.7, differs: float = 0.5, depth: float = 0.4
) -> ReachFigures:
    x1, y1, x2, y2 = box
    bodies_px = np.array(bodies, np.float32).reshape(-1, 4)
    figures = figures_of(np.array(box, np.float32), ((x1 + x2) / 2, (y1 + y2) / 2), bodies_px, score, differs)
    return replace(figures, depth=depth)


@pytest.mark.parametrize(
    ("figures", "reaches"),
    [
        (seen((230, 150, 290, 180), BODY), True),
        (seen((230, 150, 265, 182), BODY), True),
        (seen((230, 150, 290, 180)), True),
        (seen((180, 150, 250, 180), BODY), True),
        (seen((190, 230, 220, 290), BODY), False),
        (seen((205, 230, 235, 300), BODY), False),
        (seen((150, 150, 190, 180), BODY), False),
        (seen((230, 150, 260, 172), BODY, score=0.35, differs=0.05, depth=0.1), False),
        (seen((230, 150, 290, 180), BODY, score=0.35, depth=0.0), True),
        (seen((230, 150, 265, 188), BODY, score=0.35, depth=0.0, differs=0.2), False),
    ],
    ids=[
        "beside its body", "as high as wide", "nobody near", "half before its body", "hangs before its body",
        "hangs beside it", "within its body", "an item that was there before", "at the slot's edge",
        "at the slot's edge, and not sure",
    ],
)  # fmt: skip
def test_a_hand_reaches_rather_than_not(figures: ReachFigures, reaches: bool) -> None:
    assert (evidence_of(figures, is_steady=True, rules=ReachRules()) > 0) == reaches


@pytest.mark.parametrize(
    ("base", "is_steady", "evidence"),
    [(0.7, True, 0.7), (0.7, False, 0.35), (9.0, True, 2.0), (9.0, False, 1.0), (-9.0, True, -1.5)],
)
def test_one_look_tells_so_much_at_most_and_half_while_the_hand_moves(
    base: float, is_steady: bool, evidence: float
) -> None:
    rules = ReachRules(ReachWeights(base, 0, 0, 0, 0, 0, 0))
    assert evidence_of(seen((0, 0, 30, 20)), is_steady=is_steady, rules=rules) == pytest.approx(evidence)


def test_the_body_is_the_one_nearest_beside_the_hand_and_not_one_far_below() -> None:
    box = (230, 150, 290, 180)
    assert seen(box, BODY, (420, 80, 500, 360)).below_top == pytest.approx(0.65)
    assert seen(box, (220, 300, 300, 360), (225, 100, 325, 360)).below_top == pytest.approx(0.65)
    assert seen(box).below_top == 0.0


@pytest.mark.parametrize(("depth", "share"), [(1.0, 1.0), (0.3, 1.0), (0.15, 0.5), (0.03, 0.3), (-0.4, 0.3)])
def test_near_the_edge_of_the_slot_a_hand_tells_less_for_a_reach(depth: float, share: float) -> None:
    sure = ReachWeights(9.0, 0, 0, 0, 0, 0, 0)
    hand = seen((0, 0, 30, 20), depth=depth)
    assert evidence_of(hand, is_steady=True, rules=ReachRules(sure)) == pytest.approx(2.0 * share)
    against = replace(sure, base=-1.0)
    assert evidence_of(hand, is_steady=True, rules=ReachRules(against)) == pytest.approx(-1.0)


@given(
    box=st.tuples(*(st.floats(0, 600) for _ in range(4))),
    body=st.tuples(*(st.floats(0, 600) for _ in range(4))),
    score=st.floats(0, 1),
    differs=st.floats(0, 1),
)
def test_figures_stay_within_their_bounds(
    box: tuple[float, ...], body: tuple[float, ...], score: float, differs: float
) -> None:
    ordered = [(min(one[0], one[2]), min(one[1], one[3]), max(one[0], one[2]), max(one[1], one[3]))
               for one in (box, body)]  # fmt: skip
    figures = seen(ordered[0], ordered[1], score=score, differs=differs)
    assert figures.upright >= 0
    assert 0 <= figures.score <= 0.6
    assert -1 <= figures.below_top <= 4
    assert 0 <= figures.in_body <= 1.001
    assert np.isfinite(ReachWeights().log_odds(figures))


def test_what_tells_more_of_a_reach_never_makes_it_less_likely() -> None:
    weights, hand = ReachWeights(), seen((230, 150, 290, 180), BODY)
    for better in (replace(hand, depth=0.9), replace(hand, differs=0.9), replace(hand, in_body=-0.1)):
        assert weights.log_odds(better) > weights.log_odds(hand)

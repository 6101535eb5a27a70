"""Bodies: hands get where they should, whoever reaches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelf_simulator.app import demo_bay
from shelf_simulator.core.motion import Stroke, Walk, min_jerk
from shelf_simulator.core.people import Figure, Reach, Stance, invent_appearance, pose_person
from shelf_simulator.core.visibility import SlotSight


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    x=st.floats(-500, 500),
    y=st.floats(150, 1180),
    z=st.floats(-200, 300),
    right=st.booleans(),
)
def test_the_hand_is_at_its_grip(seed: int, x: float, y: float, z: float, right: bool) -> None:
    look = invent_appearance(np.random.default_rng(seed))
    reach = Reach((x, y, z))
    parts = pose_person(look, Stance(0.0, -450.0), 1430.0, None if right else reach, reach if right else None)
    palms = [part for part in parts if part.kind == "hand" and part.owner == int(right)]
    nearest = min(float(np.linalg.norm(part.spheres[:, :3] - (x, y, z), axis=1).min()) for part in palms)
    assert nearest < 90
    assert all(np.isfinite(part.spheres).all() and (part.spheres[:, 3] > 0).all() for part in parts)
    assert {part.kind for part in parts} == {"hand", "arm", "body"}


def test_effort_moves_the_body_smoothly() -> None:
    look = invent_appearance(np.random.default_rng(1))

    def chest(effort: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        reach = Reach((500.0, 1100.0, 50.0), aim_mm=(500.0, 1100.0, 50.0), effort=effort)
        parts = pose_person(look, Stance(0.0, -450.0), 1430.0, None, reach)
        body = [part for part in parts if part.kind == "body"]
        return np.concatenate([part.spheres[:, :3] for part in body]).mean(axis=0)

    steps = [np.linalg.norm(chest(e + 0.05) - chest(e)) for e in np.arange(0, 0.95, 0.05)]
    assert max(steps) < 40


@given(share=st.floats(-1, 2))
def test_min_jerk_stays_within(share: float) -> None:
    assert 0.0 <= min_jerk(share) <= 1.0


@given(one=st.floats(0, 1), other=st.floats(0, 1))
def test_min_jerk_never_goes_back(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert min_jerk(low) <= min_jerk(high) + 1e-12


def test_a_stroke_ends_where_it_should_whatever_pulls_it() -> None:
    stroke = Stroke(np.zeros(3), np.array([1.0, 2.0, 3.0]), 0.5, via=np.array([9.0, 9.0, 9.0]))
    assert stroke.at(0.0)[0] == pytest.approx([0, 0, 0])
    assert stroke.at(9.0)[0] == pytest.approx([1, 2, 3])


def test_a_walk_takes_longer_the_further_it_is() -> None:
    near, far = Walk(np.zeros(2), np.array([300.0, 0.0]), 1.0), Walk(np.zeros(2), np.array([1500.0, 0.0]), 1.0)
    assert near.lasts_s < far.lasts_s
    assert far.at(1.0 + far.lasts_s) == pytest.approx([1500, 0])


def test_somebody_in_the_middle_covers_slots_and_somebody_outside_does_not() -> None:
    design = demo_bay("a01", 7)
    look = invent_appearance(np.random.default_rng(3))
    sight = SlotSight(design)
    middle = Figure(pose_person(look, Stance(design.width_mm / 2, -450.0), design.height_mm))
    outside = Figure(pose_person(look, Stance(-700.0, -450.0), design.height_mm))
    assert sight.coverage([middle]).body.max() > 0.9
    assert sight.coverage([outside]).total.max() < 0.05
    assert sight.coverage([]).total.max() == 0.0

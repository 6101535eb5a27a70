"""How a live camera's frames come: the same again for the same seed, in order, in runs lost."""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import pytest

from shelf_edge.core.delivery import Delivery, DeliveryRules
from shelf_edge.core.frame import Frame

FPS = 12.0
BLACK = np.zeros((16, 16, 3), np.uint8)


def delivered(seed: int, frames: int = 3000, rules: DeliveryRules | None = None) -> list[Frame | None]:
    delivery = Delivery(FPS, seed, rules)
    return [delivery.deliver(Frame(BLACK, number / FPS, number)) for number in range(frames)]


def test_the_ideal_delivery_is_the_recording() -> None:
    assert [(one.number, one.captured_s) for one in delivered(0, 50) if one] == [(n, n / FPS) for n in range(50)]
    assert Delivery(FPS, 0).start_s == 0.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_live_delivery_starts_later_loses_frames_in_runs_and_is_late_but_in_order(seed: int) -> None:
    came = delivered(seed)
    assert [(one.number, one.captured_s) for one in delivered(seed) if one] == [
        (one.number, one.captured_s) for one in came if one
    ]
    start_s = Delivery(FPS, seed).start_s
    first = next(place for place, one in enumerate(came) if one)
    assert 0 < start_s <= first / FPS <= start_s + 2
    lost = [one is None for one in came[first:]]
    assert 0.05 < sum(lost) / len(lost) < 0.16
    runs = [len(list(run)) for is_lost, run in groupby(lost) if is_lost]
    assert 1.5 < sum(runs) / len(runs) < 2.7
    times = [one.captured_s for one in came if one]
    assert all(before < after for before, after in pairwise(times))
    assert all(0 <= one.captured_s - one.number / FPS < 1 / FPS for one in came if one)


def test_seeds_differ() -> None:
    assert [one is None for one in delivered(1)] != [one is None for one in delivered(2)]

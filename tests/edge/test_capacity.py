"""How many cameras are carried, by arithmetic that can be checked by hand."""

from __future__ import annotations

import math

import pytest

from shelf_edge.core.capacity import FrameCost, carry, most_cameras

SECOND = 10


def frames(decode_ms: float, work_ms: float, reach_every: int = 10, before_s: float = 0.1) -> list[FrameCost]:
    return [
        FrameCost(decode_ms / 1000, work_ms / 1000, (before_s,) if number % reach_every == 0 else ())
        for number in range(20 * SECOND)
    ]


def test_one_camera_takes_what_its_frames_take() -> None:
    found = carry(frames(2.0, 8.0), 1, 0.1, cores=2)
    assert found.reach_p95_s == pytest.approx(0.1 + 0.010)
    assert found.dropped == 0
    assert found.busy == pytest.approx(0.010 / 0.1 / 2, rel=0.05)


def test_the_thread_that_looks_is_the_limit_of_heavy_frames() -> None:
    """10 ms a frame at 10 frames/s: ten cameras fill one core."""
    assert 8 <= most_cameras(frames(0.1, 10.0), 0.1).cameras <= 10
    assert not carry(frames(0.1, 10.0), 12, 0.1).is_enough


def test_decoding_takes_both_cores() -> None:
    found = most_cameras(frames(10.0, 0.1), 0.1).cameras
    assert 14 <= found <= 20


def test_too_many_cameras_lose_frames_and_what_was_in_them() -> None:
    found = carry(frames(0.1, 20.0), 20, 0.1)
    assert found.dropped > 0.5
    assert found.reach_p95_s == math.inf
    assert carry(frames(0.1, 400.0), 1, 0.1).dropped > 0.5
    assert most_cameras(frames(0.1, 400.0), 0.1).cameras == 0


def test_a_reach_that_took_too_long_already_carries_none() -> None:
    assert most_cameras(frames(1.0, 1.0, before_s=0.2), 0.1).cameras == 0


def test_fewer_cores_carry_fewer_cameras() -> None:
    one, two = (most_cameras(frames(4.0, 4.0), 0.1, cores).cameras for cores in (1, 2))
    assert one < two

"""How a live camera's frames come: from some moment on, some late, some never. So recordings can be replayed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from shelf_edge.core.frame import Frame


@dataclass(frozen=True)
class DeliveryRules:
    """Attributes:
    latest_start_s: the camera is first read at some moment up to this one.
    lost_share: of the frames, 0 to under 1; they are lost in runs, as a busy machine loses them.
    run_frames: how many are lost in a row on average, 1 or more.
    late_s: a frame comes this much late on average, but never after the next one was due.
    """

    latest_start_s: float = 4.0
    lost_share: float = 0.1
    run_frames: float = 2.0
    late_s: float = 0.006


class Delivery:
    """One camera's; ``deliver`` takes every frame in order. Equal seeds give equal deliveries.

    Args:
        fps: of the recording.
        seed: 0 delivers all, in time; every other number is another delivery.
    """

    def __init__(self, fps: float, seed: int, rules: DeliveryRules | None = None) -> None:
        self._rules = rules or DeliveryRules()
        self._interval_s = 1.0 / fps
        self._chance = random.Random(seed)
        self._is_ideal = seed == 0
        self._is_losing = False
        self.start_s = 0.0 if self._is_ideal else self._chance.uniform(0.0, self._rules.latest_start_s)
        """What is captured before it is not delivered."""

    def deliver(self, frame: Frame) -> Frame | None:
        """The frame as it comes, or None when it is lost."""
        if self._is_ideal:
            return frame
        rules, chance = self._rules, self._chance
        begins = rules.lost_share / (1.0 - rules.lost_share) / rules.run_frames
        self._is_losing = chance.random() < (1.0 - 1.0 / rules.run_frames if self._is_losing else begins)
        late_s = min(chance.expovariate(1.0 / rules.late_s), 0.9 * self._interval_s)
        if self._is_losing or frame.captured_s < self.start_s:
            return None
        return replace(frame, captured_s=frame.captured_s + late_s)

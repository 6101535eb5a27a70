"""How many cameras a node carries: its work, frame by frame, laid on its cores as the node would do it.

Measuring it live would need a quiet machine for every number of cameras. So each frame's work is measured once, by
the processor time it takes, and the rest is arithmetic: a capture thread a camera decodes, one thread looks at the
frames in turn, of each camera the newest one; both wait for a free core.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

LATEST_S = 0.150
"""A reach must be told within this time after its hand was in the picture, in 95 of 100 cases."""
MOST_DROPPED = 0.01


@dataclass(frozen=True)
class FrameCost:
    """One frame of one camera.

    Attributes:
        decode_s, work_s: processor time of decoding, and of all that comes after it.
        reaches: for each reach told at this frame, how long before it the hand was first seen, in seconds.
    """

    decode_s: float
    work_s: float
    reaches: tuple[float, ...] = ()


@dataclass(frozen=True)
class Carried:
    """What a number of cameras comes to.

    Attributes:
        reach_p95_s: from the first frame with a hand to the event; infinite when more than 5 of 100 came never.
        dropped: share of frames that were replaced by a newer one; busy: share of the cores' time.
    """

    cameras: int
    reach_p95_s: float
    dropped: float
    busy: float

    @property
    def is_enough(self) -> bool:
        return self.reach_p95_s <= LATEST_S and self.dropped <= MOST_DROPPED


@dataclass
class _Camera:
    """``decoding``: arrivals (time, frame) that wait for their capture thread; ``newest``: decoded, not looked at."""

    decoding: deque[tuple[float, int]] = field(default_factory=deque)
    is_decoding: bool = False
    newest: tuple[float, int] | None = None


def carry(costs: Sequence[FrameCost], cameras: int, interval_s: float, cores: int = 2) -> Carried:
    """Lay ``cameras`` copies of the frames, each shifted in time, on so many cores, once through.

    Args:
        costs: one camera's frames in order, ``interval_s`` apart; begun again at their end.
    """
    count = len(costs)
    states = [_Camera() for _ in range(cameras)]
    arrivals = [
        (interval_s * (frame + camera / cameras), 0, camera, (frame + camera * count // cameras) % count)
        for frame in range(count)
        for camera in range(cameras)
    ]
    queue: list[tuple[float, int, int, int]] = arrivals  # time, what (0 arrives, 1 decoded, 2 looked at), camera, frame
    heapq.heapify(queue)
    ready: deque[int] = deque()  # cameras whose next frame waits for a core to be decoded
    is_looking, running, turn = False, 0, 0
    began: dict[int, float] = {}
    dropped, busy_s, latencies = 0, 0.0, list[float]()
    while queue:
        now_s, what, camera, frame = heapq.heappop(queue)
        state = states[camera]
        if what == 0:
            state.decoding.append((now_s, frame))
            if not state.is_decoding and len(state.decoding) == 1:
                ready.append(camera)
        elif what == 1:
            running -= 1
            state.is_decoding = False
            arrived_s, _ = state.decoding.popleft()
            if state.newest is not None:
                dropped += 1
                latencies += [math.inf] * len(costs[state.newest[1]].reaches)
            state.newest = arrived_s, frame
            if state.decoding:
                ready.append(camera)
        else:
            running -= 1
            is_looking = False
            latencies += [now_s - began[camera] + before_s for before_s in costs[frame].reaches]
        while running < cores:
            waiting = None
            if not is_looking:
                order = ((turn + step) % cameras for step in range(cameras))
                waiting = next((one for one in order if states[one].newest is not None), None)
            if waiting is not None:
                held = states[waiting].newest
                assert held is not None
                began[waiting], chosen = held
                states[waiting].newest = None
                is_looking, turn = True, waiting + 1
                work_s, kind, whose = costs[chosen].work_s, 2, waiting
            elif ready:
                whose = ready.popleft()
                states[whose].is_decoding = True
                chosen = states[whose].decoding[0][1]
                work_s, kind = costs[chosen].decode_s, 1
            else:
                break
            running += 1
            busy_s += work_s
            heapq.heappush(queue, (now_s + work_s, kind, whose, chosen))
    latencies.sort()
    p95_s = latencies[math.ceil(0.95 * len(latencies)) - 1] if latencies else 0.0
    return Carried(cameras, p95_s, dropped / (count * cameras), busy_s / (cores * count * interval_s))


def most_cameras(costs: Sequence[FrameCost], interval_s: float, cores: int = 2, limit: int = 512) -> Carried:
    """The most cameras that are carried: twice as many until it is too much, then halfway; none: ``cameras`` is 0."""
    best = Carried(0, 0.0, 0.0, 0.0)
    high = 1
    while high <= limit:
        found = carry(costs, high, interval_s, cores)
        if not found.is_enough:
            break
        best, high = found, high * 2
    low = best.cameras
    while high - low > 1:
        middle = (low + high) // 2
        found = carry(costs, middle, interval_s, cores)
        if found.is_enough:
            best, low = found, middle
        else:
            high = middle
    return best

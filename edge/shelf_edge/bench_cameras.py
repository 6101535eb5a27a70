"""How many cameras a node carries: the node's work on a simulated recording, frame by frame, by processor time."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.planogram import Planogram
from shelf_edge.adapters.pictures import decode_picture
from shelf_edge.adapters.rendered import Rendered, Take, rendered
from shelf_edge.core.bay import Bay
from shelf_edge.core.capacity import Carried, FrameCost, carry, most_cameras
from shelf_edge.core.detections import Detections
from shelf_edge.core.facts import SlotFact
from shelf_edge.core.frame import Frame
from shelf_edge.core.still import StillLooks
from shelf_edge.ports import Detector

FPS = 10.0
SECONDS = 60.0
SCENARIO = Path(__file__).with_name("every-20-s.toml")
_SETTLED_S = 2.0


@dataclass(frozen=True)
class Cameras:
    """``gated``: as the node works; ``every_frame``: with the detector at every frame. Means in ms of CPU a frame.

    ``decided_p95_s``: from the first look with a hand in the slot to the reach, where nothing waits for a core.
    """

    gated: Carried
    every_frame: Carried
    curve: tuple[Carried, ...]
    decode_ms: float
    gated_ms: float
    every_frame_ms: float
    looked_at: float
    decided_p95_s: float


def bench_recording(cache: Path, on_frames: Callable[[int], None] = lambda frames: None) -> Rendered:
    """The recording, made by the simulator when it is not there yet. Raises: FileProblems."""
    return rendered(Take(str(SCENARIO), "dev", 0, SECONDS, FPS), cache, threading.Event(), on_frames)


def jpegs_of(recording: Rendered) -> list[bytes]:
    """The frames as a camera sends them. Raises: FileProblems when there is none."""
    found = [file.read_bytes() for file in sorted(recording.pictures.glob("*.jpg"))]
    if not found:
        raise FileProblems(recording.pictures, [Problem("", "no .jpg", "must hold the recording's frames")])
    return found


def measure_cameras(recording: Rendered, detector: Detector) -> Cameras:
    """Both ways on the same frames, one after the other, each frame's work by this thread's processor time."""
    plan, frames = recording.planogram(), jpegs_of(recording)
    gated = frame_costs(frames, plan, detector, every_frame=False)
    every = frame_costs(frames, plan, detector, every_frame=True)
    # What a frame costs to decode does not depend on what is done with it: the same for both.
    decode_s = statistics.median(one.decode_s for one in [*gated.costs, *every.costs])
    most = most_cameras(_with_decode(gated.costs, decode_s), 1 / FPS)
    base = most_cameras(_with_decode(every.costs, decode_s), 1 / FPS)
    steps = sorted({1, 2, 4, 8, 12, 16, 24, 32, 48, 64} | {most.cameras, base.cameras} - {0})
    curve = [carry(_with_decode(gated.costs, decode_s), count, 1 / FPS) for count in steps]
    return Cameras(
        most,
        base,
        tuple(curve),
        decode_s * 1000,
        statistics.mean(one.work_s for one in gated.costs) * 1000,
        statistics.mean(one.work_s for one in every.costs) * 1000,
        gated.looked_at / len(frames),
        float(np.percentile(gated.decided_s, 95)) if gated.decided_s else 0.0,
    )


@dataclass(frozen=True)
class Trace:
    """``decided_s``: for each reach, from the first look with its hand in the slot."""

    costs: tuple[FrameCost, ...]
    looked_at: int
    decided_s: tuple[float, ...]


def frame_costs(frames: list[bytes], plan: Planogram, detector: Detector, *, every_frame: bool) -> Trace:
    """The chain of one camera on JPEGs 0.1 s apart, without the first seconds, in which slots are counted first."""
    bay, still = Bay(plan, plan.views[0].camera), StillLooks()
    costs, looked_at = [], 0
    decided_s: list[float] = []
    for number, raw in enumerate(frames):
        at_s = number / FPS
        began_s = time.thread_time()
        image = decode_picture(raw)
        assert image is not None, "the simulator writes pictures"
        decoded_s = time.thread_time()
        frame = Frame(np.asarray(image, np.uint8), at_s, number)
        wants = bay.wants_look(frame)
        detections: Detections | None = None
        if every_frame:
            detections = detector.detect(frame.image)
        elif wants:
            detections = still.look(detector.detect, frame.image)
        facts = bay.advance(frame, detections)
        ended_s = time.thread_time()
        if at_s < _SETTLED_S:
            continue
        looked_at += detections is not None
        reaches = [fact for fact in facts if isinstance(fact, SlotFact) and fact.action == "reach"]
        decided_s += [at_s - fact.started_s for fact in reaches]
        # What load costs is asked here: every reach counts as one that two looks were enough for.
        costs.append(FrameCost(decoded_s - began_s, ended_s - decoded_s, (1 / FPS,) * len(reaches)))
    return Trace(tuple(costs), looked_at, tuple(decided_s))


def _with_decode(costs: tuple[FrameCost, ...], decode_s: float) -> list[FrameCost]:
    return [FrameCost(decode_s, one.work_s, one.reaches) for one in costs]

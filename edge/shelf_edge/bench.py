"""What a node costs: a frame against the bare graph, at rest, the start, a peer, how many cameras, memory, growth.

All figures are ratios or medians of one run on one machine; what is compared is taken in turn, frame by frame, so that
other work on the machine hits both.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.planogram import Planogram
from shelf_contracts.planogram_csv import BaySize, planogram_from_csv
from shelf_edge.adapters.detector_onnx import OnnxDetector
from shelf_edge.adapters.model_folder import ModelFiles, locate_model
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.adapters.rendered import Rendered
from shelf_edge.adapters.runtime import open_session
from shelf_edge.bench_cameras import Cameras, bench_recording, measure_cameras
from shelf_edge.bench_growth import Point, by_products, by_slots
from shelf_edge.core.bay import Bay
from shelf_edge.core.calibration import Rectangle, calibrate, camera_from_corners, with_view
from shelf_edge.core.detections import Detections
from shelf_edge.core.frame import Frame, Picture
from shelf_edge.core.recognition import Calibration
from shelf_edge.memory_run import MemoryRun, measure_memory

WIDTH_PX, HEIGHT_PX = 1280, 720
_FRAMES_A_SECOND = 10
_WARM_UP = 5
_NOISE = 3
_CHILD_S = 180.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Start:
    """A process of its own, from its start to its first detection."""

    start_s: float
    rss_mb: float


@dataclass(frozen=True)
class Peer:
    """Ultralytics' ``YOLO("model.onnx").predict`` of its own export, as a user would run it.

    The peer's network is untrained, so nothing is said about accuracy; it finds nothing and so sorts nothing out.
    """

    frames_per_s: float
    ours_per_s: float
    start_s: float
    rss_mb: float


@dataclass(frozen=True)
class EdgeFigures:
    """What ``smartshelf bench edge --json`` gives, with ``*_vs_ultralytics`` only where that is installed.

    Attributes:
        ms_per_frame, bare_ms: medians of CPU time of letterbox, inference, decoding and undoing; and of
            ``session.run`` alone, on one thread.
        overhead_vs_bare: median of each frame's ratio of the two.
        rest_ms: CPU time after decoding of a 1280 x 720 frame with nothing going on, without a look of the detector.
        rest_with_rechecks_ms: the same with the slow full re-check in between, inference included.
        cameras: how many a node of two cores carries at 10 frames/s with a shopper about every 20 s a bay, so that 95
            of 100 reaches are told within 150 ms; ``cameras_every_frame``: the same with the detector at every frame.
        rss_mb_peak, rss_mb_per_hour: of four cameras over ``rss_minutes`` of their time, after the first third.
        growth: ms of CPU by slots, and by products.
    """

    frames: int
    slots: int
    ms_per_frame: float
    bare_ms: float
    overhead_vs_bare: float
    rest_ms: float
    rest_with_rechecks_ms: float
    start_s: float
    rss_mb: float
    load: float
    cpus: int
    cameras: int | None = None
    cameras_every_frame: int | None = None
    cameras_detail: Cameras | None = None
    rss_mb_peak: float | None = None
    rss_mb_per_hour: float | None = None
    rss_minutes: float | None = None
    growth: dict[str, list[Point]] | None = None
    speedup_vs_ultralytics: float | None = None
    memory_vs_ultralytics: float | None = None
    start_vs_ultralytics: float | None = None

    def to_json(self) -> str:
        told = {name: _finite(value) for name, value in asdict(self).items() if value is not None}
        return json.dumps(told, allow_nan=False)


def _finite(value: Any) -> Any:
    """JSON has no infinity: what never came is null."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value


PARTS = ("cameras", "memory", "growth")
"""What ``measure`` can leave out."""


def measure(
    model: Path,
    frames: int,
    peer_python: Path | None,
    say: Say,
    parts: Sequence[str] = PARTS,
    cache: Path | None = None,
    memory_minutes: float = 5.0,
) -> EdgeFigures:
    """Raises: FileProblems when the model, the simulator or the peer cannot be run.

    Args:
        cache: where the recording of the cameras is kept; needed for cameras and memory.
        memory_minutes: simulated time of four cameras.
    """
    located = locate_model(model)
    pictures = scenes(located, 8)
    say("the path of a frame against the bare graph")
    spent, bare, ratios = _path(located, pictures, frames)
    say("a shelf at rest")
    detector = OnnxDetector(located, threads=1)
    plan = bench_planogram()
    at_rest, with_rechecks = _rest(plan, still_shelf(plan), detector, frames)
    say("from the start of a process to its first detection")
    own = first_detection(model)
    ours = EdgeFigures(
        frames=frames,
        slots=len(plan.positions),
        ms_per_frame=round(spent, 2),
        bare_ms=round(bare, 2),
        overhead_vs_bare=round(ratios, 3),
        rest_ms=round(at_rest, 3),
        rest_with_rechecks_ms=round(with_rechecks, 3),
        start_s=round(own.start_s, 2),
        rss_mb=round(own.rss_mb, 1),
        load=round(os.getloadavg()[0], 1),
        cpus=os.cpu_count() or 1,
    )
    if cache is not None and {"cameras", "memory"} & set(parts):
        say("a recording of a bay with a shopper about every 20 s")
        recording = bench_recording(cache, lambda done: say(f"rendering: {done} frames"))
        if "cameras" in parts:
            say("how many cameras")
            # As a node runs it: faint products cost a little more to decode and to judge.
            cameras = measure_cameras(recording, OnnxDetector(located, threads=1, tells_faint=True))
            ours = replace(
                ours,
                cameras=cameras.gated.cameras,
                cameras_every_frame=cameras.every_frame.cameras,
                cameras_detail=cameras,
            )
        if "memory" in parts:
            say("memory of four cameras")
            ours = _with_memory(ours, model, recording, memory_minutes, say)
    if "growth" in parts:
        say("growth")
        slots = by_slots(bench_planogram, still_shelf, max(10, min(frames, 60)))
        ours = replace(ours, growth={"slots": slots, "products": by_products(Calibration())})
    if peer_python is None:
        return ours
    say("ultralytics, as a user would run it")
    peer = against_ultralytics(peer_python, model, frames)
    return replace(
        ours,
        speedup_vs_ultralytics=round(peer.ours_per_s / peer.frames_per_s, 2),
        memory_vs_ultralytics=round(own.rss_mb / peer.rss_mb, 3),
        start_vs_ultralytics=round(own.start_s / peer.start_s, 3),
    )


def _with_memory(ours: EdgeFigures, model: Path, recording: Rendered, minutes: float, say: Say) -> EdgeFigures:
    run = measure_memory(model, recording.folder, minutes, say).figures()
    return replace(
        ours,
        rss_mb_peak=run["rss_mb_peak"],
        rss_mb_per_hour=run["rss_mb_per_hour"],
        rss_minutes=run["rss_minutes"],
    )


def memory_alone(model: Path, say: Say, cache: Path, minutes: float) -> MemoryRun:
    """The memory of four cameras and nothing else. Raises: FileProblems."""
    say("a recording of a bay with a shopper about every 20 s")
    recording = bench_recording(cache, lambda done: say(f"rendering: {done} frames"))
    say("memory of four cameras")
    return measure_memory(model, recording.folder, minutes, say)


def scenes(located: ModelFiles, count: int) -> list[Picture]:
    """The model's golden picture at 1280 x 720 with a sensor's noise: as many products as a shelf has."""
    golden = located.manifest.golden
    if golden is None:
        raise FileProblems(located.onnx, [Problem("golden", "none", "must be a model folder with a golden picture")])
    picture = cv2.resize(read_picture(located.onnx.parent / golden.picture), (WIDTH_PX, HEIGHT_PX)).astype(np.uint8)
    return _with_noise(picture, count)


def _with_noise(picture: Picture, count: int) -> list[Picture]:
    made = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(-_NOISE, _NOISE + 1, picture.shape, np.int16)
        made.append(np.clip(picture + noise, 0, 255).astype(np.uint8))
    return made


def bench_planogram(shelves: int = 4, slots: int = 6) -> Planogram:
    """So many shelves with so many slots each, seen from above."""
    wide_mm = int(960 / slots)
    rows = [f"{shelf},p{shelf}-{slot},{wide_mm},200,80" for shelf in range(shelves) for slot in range(slots)]
    table = "\n".join(["shelf,product,width_mm,height_mm,depth_mm", *rows])
    size = BaySize(width_mm=1000, shelf_height_mm=300, shelf_depth_mm=400)
    plan = planogram_from_csv(Path("bench.csv"), table, store="bench", bay="a01", size=size)
    corners = np.array([[180.0, 60], [1100, 60], [1010, 700], [270, 700]])
    at = Rectangle(0, 0, plan.width, plan.height)
    camera = camera_from_corners(corners, at, WIDTH_PX, HEIGHT_PX)
    return with_view(plan, calibrate(plan, "c1", camera, corners, at).view)


def still_shelf(plan: Planogram) -> Picture:
    """Nobody before a shelf: a striped pack in each slot."""
    picture, rng = np.full((HEIGHT_PX, WIDTH_PX, 3), 140, np.uint8), np.random.default_rng(5)
    for view in plan.view_of("c1").slots.values():
        corners = (np.array(view.front) * (WIDTH_PX, HEIGHT_PX)).round().astype(np.int32)
        (left, top), (right, bottom) = corners.min(axis=0) + 8, corners.max(axis=0) - 4
        colour = rng.integers(20, 230, 3)
        picture[top:bottom, left:right] = colour
        picture[top:bottom:9, left:right] = 255 - colour
    return picture


def _path(located: ModelFiles, pictures: list[Picture], frames: int) -> tuple[float, float, float]:
    """Median ms of CPU of the whole path, of the bare graph, and the median ratio; one thread each."""
    detector, session = OnnxDetector(located, threads=1), open_session(located.onnx, 1)
    name = session.get_inputs()[0].name
    tensors = [detector.input_tensor(picture) for picture in pictures]
    whole_ms, bare_ms = [], []
    for number in range(frames + _WARM_UP):
        picture, tensor = pictures[number % len(pictures)], tensors[number % len(tensors)]
        # This thread's processor time: other work on the machine would be in whichever of the two it hits.
        began_s = time.thread_time()
        session.run(None, {name: tensor})
        middle_s = time.thread_time()
        detector.detect(picture)
        ended_s = time.thread_time()
        bare_ms.append((middle_s - began_s) * 1000)
        whole_ms.append((ended_s - middle_s) * 1000)
    whole_ms, bare_ms = whole_ms[_WARM_UP:], bare_ms[_WARM_UP:]
    ratios = [whole / bare for whole, bare in zip(whole_ms, bare_ms, strict=True)]
    return statistics.median(whole_ms), statistics.median(bare_ms), statistics.median(ratios)


def _rest(plan: Planogram, picture: Picture, detector: OnnxDetector, frames: int) -> tuple[float, float]:
    """CPU ms a frame: of those at which nothing is looked at, and of all."""
    bay, still = Bay(plan, "c1"), picture.astype(np.int16)
    rng = np.random.default_rng(1)
    noisy = [
        np.clip(still + rng.integers(-_NOISE, _NOISE + 1, still.shape, np.int16), 0, 255).astype(np.uint8)
        for _ in range(8)
    ]
    at_rest_s, all_s = [], []
    found: Detections | None = None
    for number in range(frames + 10 * _FRAMES_A_SECOND):
        frame = Frame(noisy[number % len(noisy)], number / _FRAMES_A_SECOND, number)
        began_s = time.process_time()
        found = detector.detect(frame.image) if bay.wants_look(frame) else None
        bay.advance(frame, found)
        spent_s = time.process_time() - began_s
        if number >= 10 * _FRAMES_A_SECOND:  # the bay has settled
            all_s.append(spent_s)
            if found is None:
                at_rest_s.append(spent_s)
    return statistics.mean(at_rest_s) * 1000, statistics.mean(all_s) * 1000


def first_detection(model: Path) -> Start:
    """A process of its own, until it has detected something."""
    began_s = time.perf_counter()
    answer = _child([sys.executable, "-m", "shelf_edge.bench_start", str(model)])
    return Start(time.perf_counter() - began_s, float(answer["rss_mb"]))


def against_ultralytics(python: Path, model: Path, frames: int) -> Peer:
    """Both on all cores: theirs with its own threads, ours with one worker of one thread a core."""
    peer = [str(python), "-m", "shelf_models.bench_ultralytics"]
    with tempfile.TemporaryDirectory() as folder:
        exported = _child([*peer, "export", folder])["model"]
        began_s = time.perf_counter()
        first = _child([*peer, "first", str(exported)])
        start_s = time.perf_counter() - began_s
        theirs = _child([*peer, "run", str(exported), str(frames)])
    own = [sys.executable, "-m", "shelf_edge.bench_start", str(model), str(frames)]
    workers = [_spawn(own) for _ in range(os.cpu_count() or 1)]
    ours = sum(float(_answer(worker)["frames_per_s"]) for worker in workers)
    return Peer(float(theirs["frames_per_s"]), ours, start_s, float(first["rss_mb"]))


def _child(command: list[str]) -> dict[str, Any]:
    return _answer(_spawn(command))


def _spawn(command: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "YOLO_OFFLINE": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _answer(child: subprocess.Popen[str], within_s: float = _CHILD_S) -> dict[str, Any]:
    """The JSON object of its last line. Raises: FileProblems when it failed or took too long."""
    try:
        told, said = child.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        told, said = "", f"took longer than {within_s:g} s"
    if child.returncode != 0 or not told.strip():
        last = said.strip().splitlines()[-1:] or ["no answer"]
        command = " ".join(child.args[2:4]) if isinstance(child.args, list) else str(child.args)
        raise FileProblems(command, [Problem("", last[0][:200], "must run to its end")])
    answer: dict[str, str] = json.loads(told.strip().splitlines()[-1])
    return answer

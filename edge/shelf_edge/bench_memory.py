"""What a node with four cameras holds in memory, and whether that grows: its real chain, as fast as it goes.

Usage: python -m shelf_edge.bench_memory MODEL RECORDING FRAMES FRAMES_A_SAMPLE

A process of its own runs the pipeline's thread, the detector, the journal and the outbox on JPEGs that are decoded
frame by frame, with a clock that goes a tenth of a second a frame; now and then everything is acknowledged, as the
collector would. Prints a line of JSON every so many frames, and all samples in the last one: also when
SIGTERM or SIGINT ends it early.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shelf_edge.memory_run import FRAMES_A_SECOND

if TYPE_CHECKING:
    from shelf_edge.node import CameraWork

CAMERAS = 4
FPS = float(FRAMES_A_SECOND)
_LONGEST_WAIT_S = 30.0


@dataclass
class FrameClock:
    """Time as the frames tell it."""

    at_s: float = 1_700_000_000.0

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s


def main() -> None:
    import psutil

    from shelf_contracts.files import read_model
    from shelf_contracts.planogram import Planogram
    from shelf_contracts.truth import RECORDING_NOTE, RecordingNote
    from shelf_edge.adapters.detector_onnx import load_detector
    from shelf_edge.adapters.memory_file import MemoryFile
    from shelf_edge.adapters.outbox_sqlite import SqliteOutbox
    from shelf_edge.adapters.pictures import decode_picture
    from shelf_edge.adapters.waiting_file import WaitingFile
    from shelf_edge.core.bay import Bay
    from shelf_edge.core.frame import Frame
    from shelf_edge.journal import Journal, notice_maker
    from shelf_edge.node import CameraWork, Pipeline
    from shelf_edge.remembering import Remembering
    from shelf_edge.stages import LatestFrame

    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    model, folder, frames, a_sample = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    note = read_model(folder / RECORDING_NOTE, RecordingNote)
    plan = read_model(folder / f"planogram-{note.bay}.json", Planogram)
    files = sorted((folder / note.bay).glob("*.jpg"))
    clock, arrived, process = FrameClock(), threading.Condition(), psutil.Process()
    cameras: list[CameraWork] = []
    for number in range(CAMERAS):
        own = plan.model_copy(update={"bay": f"a{number + 1:02d}"})
        view = own.views[0].camera
        cameras.append(CameraWork(f"c{number}", view, own, LatestFrame(arrived), Bay(own, view)))
    with tempfile.TemporaryDirectory() as state:
        outbox = SqliteOutbox(
            Path(state) / "outbox.sqlite3",
            first_sequence=1,
            clock=clock,
            make_notice=notice_maker(plan.store, "n01", clock),
        )
        journal = Journal(plan.store, "n01", outbox, clock, WaitingFile(Path(state) / "outbox.waiting"))
        remembering = Remembering(MemoryFile(Path(state) / "memory.json"), {})
        pipeline = Pipeline(
            cameras, arrived, load_detector(model), journal, clock, lambda: None, remembering=remembering
        )
        remembering.start()
        pipeline.start()
        rss_mb: list[float] = []
        anon_mb: list[float] = []
        for number in range(frames):
            if stop.is_set():
                break
            clock.at_s += 1 / FPS
            for index, camera in enumerate(cameras):
                file = files[(number + index * len(files) // CAMERAS) % len(files)]
                image = decode_picture(file.read_bytes())
                assert image is not None, "the simulator writes pictures"
                camera.hand_off.put(Frame(image, clock.at_s, number))
                _wait_until_taken(camera, pipeline)
            if (number + 1) % a_sample == 0:
                outbox.acknowledge(outbox.numbering, 0, outbox.last_sequence)
                held = process.memory_info()
                rss_mb.append(round(held.rss / 2**20, 2))
                anon_mb.append(round((held.rss - getattr(held, "shared", 0)) / 2**20, 2))
                _say({"at_min": (number + 1) / FPS / 60, "rss_mb": rss_mb[-1], "anon_mb": anon_mb[-1]})
        pipeline.stop(5.0)
        remembering.stop(5.0)
        outbox.close()
    samples = {"rss_samples_mb": rss_mb, "anon_samples_mb": anon_mb}
    _say({**samples, "minutes_a_sample": a_sample / FPS / 60, "is_whole": not stop.is_set()})


def _say(told: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _wait_until_taken(camera: CameraWork, pipeline: object) -> None:
    deadline_s = time.monotonic() + _LONGEST_WAIT_S
    while camera.hand_off.is_waiting:
        if getattr(pipeline, "failed", "") or time.monotonic() > deadline_s:
            raise SystemExit(f"the pipeline does not take frames: {getattr(pipeline, 'failed', '')}")
        time.sleep(0.0002)


if __name__ == "__main__":
    main()

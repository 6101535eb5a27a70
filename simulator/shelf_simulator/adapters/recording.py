"""Recordings without a wall clock: the same seed writes the same pictures and the same truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2

from shelf_contracts.files import write_json
from shelf_contracts.truth import RECORDING_NOTE, RecordingNote
from shelf_simulator.adapters.live_view import LiveView
from shelf_simulator.adapters.optics import LIVE_QUALITY, encoded
from shelf_simulator.adapters.truth_files import TruthWriter, first_counts
from shelf_simulator.core.design import build_planogram
from shelf_simulator.core.world import World

_AVI_QUALITY = 90


def record(
    out: Path, world: World, *, seconds: float, fps: float, seed: int, kind: Literal["avi", "jpeg"] = "avi",
    view: LiveView | None = None, scenario: str = "", split: str = "dev",
) -> Iterator[int]:  # fmt: skip
    """Write the pictures and what ``shelf_contracts.truth`` says of a recording, or ``recording-{bay}.avi`` for them.

    Args:
        view: the camera; by default the demo's.
        scenario, split: written into ``recording.json``.
    Frame ``i`` shows the world at second ``i / fps``. Yields the number of frames written so far.
    Raises: OSError when OpenCV cannot write the video.
    """
    bay = world.design.bay
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / f"planogram-{bay}.json", build_planogram(world.design))
    note = RecordingNote(scenario=scenario, split=split, seed=seed, bay=bay, seconds=seconds, fps=fps)
    write_json(out / RECORDING_NOTE, note)
    view = view or LiveView(world, seed)
    camera = world.design.camera
    video = None
    if kind == "avi":
        video = cv2.VideoWriter(
            str(out / f"recording-{bay}.avi"), cv2.VideoWriter.fourcc(*"MJPG"), fps, (camera.width_px, camera.height_px)
        )
        if not video.isOpened():
            raise OSError(f"{out / f'recording-{bay}.avi'}: OpenCV cannot write a video there")
        video.set(cv2.VIDEOWRITER_PROP_QUALITY, _AVI_QUALITY)
    else:
        (out / bay).mkdir(exist_ok=True)
    try:
        with TruthWriter(out / f"truth-{bay}.jsonl") as truth:
            truth.write(first_counts(bay, world.initial_counts))
            for number in range(round(seconds * fps)):
                if number:
                    truth.write(world.step(1.0 / fps))
                picture = view.capture()
                if video is not None:
                    video.write(picture)
                else:
                    (out / bay / f"{number:06d}.jpg").write_bytes(encoded(picture, LIVE_QUALITY))
                yield number + 1
    finally:
        if video is not None:
            video.release()

"""Recordings without a wall clock: the same seed writes the same pictures and the same truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2

from shelf_contracts.files import write_json
from shelf_simulator.adapters.live_view import LiveView
from shelf_simulator.adapters.optics import encoded
from shelf_simulator.adapters.truth_files import TruthWriter, first_counts
from shelf_simulator.core.design import build_planogram
from shelf_simulator.core.world import World

JPEG_QUALITY = 90


def record(
    out: Path, world: World, *, seconds: float, fps: float, seed: int, kind: Literal["avi", "jpeg"] = "avi"
) -> Iterator[int]:
    """Write ``recording-{bay}.avi`` (or ``{bay}/000000.jpg``…), ``truth-{bay}.jsonl`` and ``planogram-{bay}.json``.

    Frame ``i`` shows the world at second ``i / fps``. Yields the number of frames written so far.
    Raises: OSError when OpenCV cannot write the video.
    """
    bay = world.design.bay
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / f"planogram-{bay}.json", build_planogram(world.design))
    view = LiveView(world, seed)
    camera = world.design.camera
    video = None
    if kind == "avi":
        video = cv2.VideoWriter(
            str(out / f"recording-{bay}.avi"), cv2.VideoWriter.fourcc(*"MJPG"), fps, (camera.width_px, camera.height_px)
        )
        if not video.isOpened():
            raise OSError(f"{out / f'recording-{bay}.avi'}: OpenCV cannot write a video there")
        video.set(cv2.VIDEOWRITER_PROP_QUALITY, JPEG_QUALITY)
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
                    (out / bay / f"{number:06d}.jpg").write_bytes(encoded(picture, JPEG_QUALITY))
                yield number + 1
    finally:
        if video is not None:
            video.release()

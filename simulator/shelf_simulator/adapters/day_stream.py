"""A resting bay's pictures on request: a day at ten frames a second would be 864,000 of them.

Each line on the way in says how many seconds to go on at most. Back comes a line of JSON (``DayNote``) and then so many
bytes of a JPEG; where the light changes fast the next frame comes, however long was asked for.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from shelf_contracts.files import write_json
from shelf_contracts.truth import RECORDING_NOTE, DayNote, RecordingNote
from shelf_simulator.adapters.live_view import LiveView
from shelf_simulator.adapters.optics import LIVE_QUALITY, encoded
from shelf_simulator.adapters.pictures import Picture
from shelf_simulator.adapters.truth_files import TruthWriter, first_counts
from shelf_simulator.core.day import RestingWorld, next_moment_s
from shelf_simulator.core.design import build_planogram
from shelf_simulator.core.splits import Light

_ASIDE_STEP = 0.02
_STEEPEST = 0.6


class DayView(LiveView):
    """The camera, also where more light comes from one side."""

    def __init__(self, world: RestingWorld, seed: int, *, look: int, light: Light) -> None:
        super().__init__(world, seed, look=look, light=light)
        self._day, self._gradient = world, self._optics.gradient

    def capture(self) -> Picture:
        gradient = min(_STEEPEST, self._gradient + self._day.aside)
        self._optics = replace(self._optics, gradient=round(gradient / _ASIDE_STEP) * _ASIDE_STEP)
        return super().capture()


def stream_day(
    out: Path, world: RestingWorld, view: LiveView, note: RecordingNote, spells_s: list[tuple[float, float]],
    begin_s: float, asked: BinaryIO, told: BinaryIO,
) -> None:  # fmt: skip
    """Write planogram, note and truth into ``out``, then answer until the time is over or nobody asks any more.

    Args:
        begin_s: seconds of the day that are left out; ``note.seconds`` counts from there.
        spells_s: where the light changes fast.
    """
    bay, frame_s = world.design.bay, 1.0 / note.fps
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / f"planogram-{bay}.json", build_planogram(world.design))
    with TruthWriter(out / f"truth-{bay}.jsonl") as truth:
        truth.write(first_counts(bay, world.initial_counts))
        write_json(out / RECORDING_NOTE, note)
        at_s = begin_s
        for line in asked:
            if at_s >= begin_s + note.seconds:
                break
            if at_s > world.now_s:
                truth.write(world.step(at_s - world.now_s))
            picture = encoded(view.capture(), LIVE_QUALITY)
            answer = DayNote(at_s=round(world.now_s, 3), gain=round(world.light, 3), size=len(picture))
            told.write(answer.model_dump_json().encode() + b"\n" + picture)
            told.flush()
            at_s = round(next_moment_s(spells_s, at_s, float(line), frame_s), 3)

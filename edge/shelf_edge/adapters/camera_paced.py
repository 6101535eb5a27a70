"""A recording as a live camera: frames come at the pace they were taken, stamped with the present."""

from __future__ import annotations

import time
from pathlib import Path

from shelf_edge.adapters.camera_files import PictureFolder, VideoFile, open_recording
from shelf_edge.core.frame import Frame
from shelf_edge.ports import SourceEnded, SourceProblem, UnreadablePicture

_LONGEST_PAUSE_S = 2.0


class PacedRecording:
    """Plays a recording once; at its end ``read`` raises SourceEnded."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recording: VideoFile | PictureFolder | None = None
        self._began_s = 0.0

    def open(self) -> None:
        try:
            self._recording = open_recording(self._path)
        except ValueError as error:
            raise SourceProblem(str(error)) from error
        self._began_s = time.time()

    def read(self) -> Frame:
        assert self._recording is not None, "open comes first"
        try:
            frame = self._recording.read()
        except SourceEnded:
            raise
        except ValueError as error:
            if isinstance(self._recording, PictureFolder):
                raise UnreadablePicture(str(self._path), " ".join(str(error).split())) from error
            raise SourceProblem(str(error)) from error
        due_s = self._began_s + frame.captured_s
        time.sleep(min(max(0.0, due_s - time.time()), _LONGEST_PAUSE_S))
        return Frame(frame.image, due_s, frame.number)

    def close(self) -> None:
        if self._recording is not None:
            self._recording.close()
            self._recording = None

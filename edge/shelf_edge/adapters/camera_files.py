"""Recordings: a video file or a folder of pictures, every frame in order."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from shelf_contracts.errors import FileProblems, Problem
from shelf_edge.adapters.pictures import PICTURE_SUFFIXES, read_picture
from shelf_edge.core.frame import Frame
from shelf_edge.ports import SourceEnded

PICTURES_FPS = 10.0
"""Of pictures and of videos that do not say it."""
_HIGHEST_FPS = 1000.0


class VideoFile:
    """Frames of a video file; capture times are seconds from its start, by frame number and the file's frame rate.

    Raises (open): FileProblems when it is missing or no video.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._video: cv2.VideoCapture | None = None
        self._fps = PICTURES_FPS
        self._number = 0

    @property
    def frames(self) -> int:
        """How many frames the file says it has; 0 when it does not say."""
        return max(0, int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))) if self._video else 0

    def open(self) -> None:
        if not self._path.is_file():
            raise FileProblems(self._path, [Problem("", "missing", "must be a video file or a folder of pictures")])
        video = cv2.VideoCapture(str(self._path))
        if not video.isOpened():
            raise FileProblems(self._path, [Problem("", "not a video", "must be a video that OpenCV can decode")])
        fps = video.get(cv2.CAP_PROP_FPS)
        self._fps = fps if 0 < fps <= _HIGHEST_FPS else PICTURES_FPS
        self._video = video
        self._number = 0

    def read(self) -> Frame:
        assert self._video is not None, "open comes first"
        found, image = self._video.read()
        if not found:
            if self._number == 0:
                raise FileProblems(self._path, [Problem("", "no frame", "must hold at least one frame")])
            raise SourceEnded(str(self._path))
        frame = Frame(np.asarray(image, np.uint8), self._number / self._fps, self._number)
        self._number += 1
        return frame

    def close(self) -> None:
        if self._video is not None:
            self._video.release()
            self._video = None


class PictureFolder:
    """The pictures of a folder by name, or one picture, as frames ``1 / fps`` apart.

    Raises (open): FileProblems when there is none; (read) when one cannot be decoded: the next read gives the next.
    """

    def __init__(self, path: Path, fps: float = PICTURES_FPS) -> None:
        self._path = path
        self._fps = fps
        self._files: list[Path] = []
        self._number = 0

    @property
    def frames(self) -> int:
        return len(self._files)

    @property
    def files(self) -> list[Path]:
        """The pictures in the order they are read; empty before ``open``."""
        return list(self._files)

    def open(self) -> None:
        if self._path.is_dir():
            found = [file for file in self._path.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES]
            self._files = sorted(found, key=lambda file: (len(file.stem), file.stem))
        else:
            self._files = [self._path]
        if not self._files:
            kinds = ", ".join(PICTURE_SUFFIXES)
            raise FileProblems(self._path, [Problem("", "no picture", f"must hold pictures ({kinds})")])
        self._number = 0

    def read(self) -> Frame:
        if self._number >= len(self._files):
            raise SourceEnded(str(self._path))
        number, self._number = self._number, self._number + 1
        return Frame(read_picture(self._files[number]), number / self._fps, number)

    def close(self) -> None:
        self._files = []


def open_recording(path: Path, fps: float = PICTURES_FPS) -> VideoFile | PictureFolder:
    """The recording at a path, opened; ``fps`` is that of pictures, which do not say it. Raises: FileProblems."""
    is_pictures = path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES
    recording = PictureFolder(path, fps) if is_pictures else VideoFile(path)
    recording.open()
    return recording

"""USB and RTSP cameras through OpenCV, with the deadlines its FFmpeg back end offers."""

from __future__ import annotations

import time

import cv2
import numpy as np

from shelf_edge.core.frame import Frame
from shelf_edge.ports import SourceProblem, UnreadablePicture


class OpencvCamera:
    """One camera that OpenCV can open.

    Args:
        device: a number for a USB camera, or an address (rtsp://...).
        name: for logs and status, without passwords.
        timeout_s: deadline for opening and for each frame (network cameras).
    """

    def __init__(self, device: int | str, name: str, *, timeout_s: float = 5.0) -> None:
        self._device = device
        self._name = name
        self._timeout_ms = int(timeout_s * 1000)
        self._video: cv2.VideoCapture | None = None
        self._number = 0

    def open(self) -> None:
        self.close()
        if isinstance(self._device, int):
            video = cv2.VideoCapture(self._device)
            video.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        else:
            limits = [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                self._timeout_ms,
                cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                self._timeout_ms,
            ]
            video = cv2.VideoCapture(self._device, cv2.CAP_FFMPEG, limits)
        if not video.isOpened():
            video.release()
            raise SourceProblem(f"{self._name}: cannot be opened")
        self._video = video

    def read(self) -> Frame:
        assert self._video is not None, "open comes first"
        if not self._video.grab():
            raise SourceProblem(f"{self._name}: no frame within {self._timeout_ms / 1000:g} s")
        captured_s = time.time()
        found, image = self._video.retrieve()
        if not found:
            raise UnreadablePicture(self._name, "a frame could not be decoded")
        self._number += 1
        try:
            return Frame(np.asarray(image, np.uint8), captured_s, self._number - 1)
        except ValueError as error:
            raise UnreadablePicture(self._name, str(error)) from error

    def close(self) -> None:
        if self._video is not None:
            self._video.release()
            self._video = None

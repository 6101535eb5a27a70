"""Which kind of source an address is."""

from __future__ import annotations

import urllib.parse
from pathlib import Path

from shelf_edge.adapters.camera_mjpeg import MjpegCamera
from shelf_edge.adapters.camera_opencv import OpencvCamera
from shelf_edge.adapters.camera_paced import PacedRecording
from shelf_edge.ports import FrameSource

SCHEMES = "http:// or https:// (MJPEG or JPEG), rtsp://, usb:NUMBER, or the path of a video or a folder of pictures"


def source_problem(address: str) -> str | None:
    """Why an address can't be a source, or None. Files are looked at when they are opened."""
    scheme, _, rest = address.partition(":")
    if scheme == "usb":
        return None if rest.isdigit() else f"after usb: must come the camera's number; allowed: {SCHEMES}"
    if "://" in address and scheme not in {"http", "https", "rtsp", "rtsps"}:
        return f"allowed: {SCHEMES}"
    if "://" in address:
        try:
            url = urllib.parse.urlsplit(address)
            _ = url.port
        except ValueError as error:
            return f"{error}; allowed: {SCHEMES}"
        return None if url.hostname else f"the host is missing; allowed: {SCHEMES}"
    return None if address else f"must not be empty; allowed: {SCHEMES}"


def make_source(address: str, folder: Path) -> FrameSource:
    """The source of an address; paths are relative to ``folder``. Raises: ValueError when it can't be one."""
    problem = source_problem(address)
    if problem is not None:
        raise ValueError(problem)
    scheme, _, rest = address.partition(":")
    if scheme == "usb":
        return OpencvCamera(int(rest), f"usb:{rest}")
    if scheme in {"http", "https"}:
        return MjpegCamera(address)
    if scheme in {"rtsp", "rtsps"}:
        url = urllib.parse.urlsplit(address)
        return OpencvCamera(address, f"{scheme}://{url.hostname}{url.path}")
    return PacedRecording(folder / address)

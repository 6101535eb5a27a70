"""Network cameras that send pictures over HTTP: a multipart stream of JPEGs, or one JPEG a request.

OpenCV reads such streams too, but buffers them and cannot be told to give up; here every wait has a deadline and the
newest picture is the one decoded.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import threading
import time
import urllib.parse
from typing import Final

from shelf_edge.adapters.pictures import LARGEST_FILE_BYTES, LARGEST_PIXELS, decode_picture
from shelf_edge.core.frame import Frame
from shelf_edge.core.picture_header import read_header
from shelf_edge.ports import SourceProblem, UnreadablePicture

_LONGEST_HEADER_BYTES: Final = 16_384
_CLOCKS_AGREE_S: Final = 5.0
_BLOCK_BYTES: Final = 65_536


class MjpegCamera:
    """One HTTP camera.

    Args:
        url: http:// or https://; user and password in it are sent as basic authentication.
        timeout_s: no whole picture for so long means that the camera is lost, however busily it drips bytes.
        poll_s: pause between requests of a camera that answers single pictures.
    The capture time is the camera's own ``X-Timestamp`` (seconds since the epoch) when its clock agrees with ours to
    5 s, else the time at which the picture began to arrive.
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0, poll_s: float = 0.2) -> None:
        self._url = urllib.parse.urlsplit(url)
        self._timeout_s = timeout_s
        self._poll_s = poll_s
        self._connection: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None
        self._boundary = b""
        self._at_boundary = False
        self._held = bytearray()
        self._deadline_s = 0.0
        self._number = 0

    @property
    def name(self) -> str:
        """The address without user and password, for logs and status."""
        return f"{self._url.scheme}://{self._url.hostname}:{self._url.port or ''}{self._url.path}"

    def open(self) -> None:
        self._request()

    def read(self) -> Frame:
        self._deadline_s = time.monotonic() + self._timeout_s
        try:
            raw, captured_s = self._next_part() if self._boundary else self._next_single()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SourceProblem(f"{self.name}: {type(error).__name__}: {error}") from error
        header = read_header(raw)
        if header is not None and header.width_px * header.height_px > LARGEST_PIXELS:
            size = f"{header.width_px}x{header.height_px} px"
            allowed = f"at most {LARGEST_PIXELS} pixels are decoded"
            raise UnreadablePicture(self.name, f"sent a picture of {size}: {allowed}")
        if header is not None and not header.is_whole:
            # OpenCV would paint the rest of it grey.
            raise UnreadablePicture(self.name, f"sent a torn {header.kind} of {len(raw)} bytes")
        image = decode_picture(raw) if header is not None else None
        if image is None:
            raise UnreadablePicture(self.name, f"sent {len(raw)} bytes that are no picture")
        self._number += 1
        try:
            return Frame(image, captured_s, self._number - 1)
        except ValueError as error:
            raise UnreadablePicture(self.name, str(error)) from error

    def close(self) -> None:
        # The response holds the socket for itself: closing the connection alone would leak it.
        for held in (self._response, self._connection):
            if held is not None:
                held.close()
        self._connection = self._response = None
        self._held.clear()

    def _request(self) -> None:
        self.close()
        url = self._url
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = {"Accept": "multipart/x-mixed-replace, image/jpeg"}
        if url.username is not None:
            pair = f"{urllib.parse.unquote(url.username)}:{urllib.parse.unquote(url.password or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        hurry: threading.Timer | None = None
        try:
            connection = kind(url.hostname or "", url.port, timeout=self._timeout_s)
            self._connection = connection
            connection.connect()
            # A timeout counts between two bytes; an answer that drips would never reach it.
            hurry = threading.Timer(self._timeout_s, _hang_up, (connection.sock,))
            hurry.daemon = True
            hurry.start()
            connection.request("GET", path, headers=headers)
            response = self._response = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise SourceProblem(f"{self.name}: {error}") from error
        finally:
            if hurry is not None:
                hurry.cancel()
        if response.status != 200:
            self.close()
            raise SourceProblem(f"{self.name}: answered {response.status} {response.reason}")
        content = response.headers.get_content_type()
        if content == "multipart/x-mixed-replace":
            boundary = str(response.headers.get_param("boundary", "") or "")
            self._boundary = b"--" + boundary.lstrip("-").encode()
            self._at_boundary = False
        elif content != "image/jpeg":
            self.close()
            allowed = "must be multipart/x-mixed-replace or image/jpeg"
            raise SourceProblem(f"{self.name}: Content-Type = {content!r}: {allowed}")

    def _next_part(self) -> tuple[bytes, float]:
        """One part of the stream: its body and capture time."""
        assert self._response is not None, "open comes first"
        if not self._at_boundary:
            self._read_to_boundary()
        length, stamp = None, ""
        while line := self._read_line().strip():
            key, _, value = line.partition(b":")
            name = key.strip().lower()
            if name == b"content-length":
                length = int(value)
            elif name == b"x-timestamp":
                stamp = value.decode("ascii", "replace").strip()
        arrived_s = time.time()
        if length is None:
            # Some cameras leave it out: the picture ends where the next part begins.
            body = self._read_to_boundary().removesuffix(b"\r\n")
            return body, _capture_time(stamp, arrived_s)
        if not 0 < length <= LARGEST_FILE_BYTES:
            raise ValueError(f"Content-Length of a part = {length}: must be 1 to {LARGEST_FILE_BYTES}")
        while len(self._held) < length:
            if not self._receive():
                raise ConnectionError("the stream ended within a picture")
        body = bytes(self._held[:length])
        del self._held[:length]
        self._at_boundary = False
        return body, _capture_time(stamp, arrived_s)

    def _read_to_boundary(self) -> bytes:
        """Everything before the next boundary line, which is read too."""
        before = bytearray()
        while not (line := self._read_line()).startswith(self._boundary):
            before += line
            if len(before) > LARGEST_FILE_BYTES:
                raise ValueError(f"no boundary within {LARGEST_FILE_BYTES} bytes")
        self._at_boundary = True
        return bytes(before)

    def _read_line(self) -> bytes:
        while (end := self._held.find(b"\n")) < 0 and len(self._held) < _LONGEST_HEADER_BYTES:
            if not self._receive():
                if not self._held:
                    raise ConnectionError("the stream ended")
                break
        size = end + 1 if 0 <= end < _LONGEST_HEADER_BYTES else min(len(self._held), _LONGEST_HEADER_BYTES)
        line = bytes(self._held[:size])
        del self._held[:size]
        return line

    def _receive(self) -> bool:
        """Take what has come, at least a byte; False at the end. Raises: TimeoutError when the picture is late."""
        assert self._response is not None
        if time.monotonic() > self._deadline_s:
            raise TimeoutError(f"no whole picture within {self._timeout_s:g} s, though some bytes come")
        block = self._response.read1(_BLOCK_BYTES)
        self._held += block
        return bool(block)

    def _next_single(self) -> tuple[bytes, float]:
        """A picture of a camera that answers one a request."""
        if self._response is None:
            time.sleep(self._poll_s)
            self._request()
            self._deadline_s = time.monotonic() + self._timeout_s
        assert self._response is not None
        stamp, arrived_s = self._response.headers.get("X-Timestamp", ""), time.time()
        while len(self._held) <= LARGEST_FILE_BYTES and self._receive():
            pass
        body = bytes(self._held)
        self._held.clear()
        self._response.close()
        self._response = None
        if len(body) > LARGEST_FILE_BYTES:
            raise ValueError(f"a picture must be at most {LARGEST_FILE_BYTES} bytes")
        return body, _capture_time(stamp, arrived_s)


def _capture_time(stamp: str, arrived_s: float) -> float:
    try:
        said_s = float(stamp)
    except ValueError:
        return arrived_s
    return said_s if abs(said_s - arrived_s) < _CLOCKS_AGREE_S else arrived_s


def _hang_up(held: socket.socket | None) -> None:
    """Wake whoever waits for this connection."""
    if held is not None:
        with contextlib.suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)

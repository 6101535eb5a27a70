"""Cameras over HTTP: ``/{bay}.mjpg`` (multipart), ``/{bay}.jpg`` (the latest) and ``/health``."""

from __future__ import annotations

import json
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

log = logging.getLogger(__name__)

BOUNDARY = "smartshelf-frame"
MOST_CLIENTS = 32
_WAIT_S = 1.0
_SEND_TIMEOUT_S = 5.0
_WANTED_FOR_S = 3.0


@dataclass(frozen=True)
class EncodedFrame:
    """One JPEG: its number, the unix time at which rendering began, and its bytes."""

    number: int
    captured_unix: float
    jpeg: bytes


class LatestFrame:
    """A hand-off of one place: the newest frame wins, every client takes what is newest when it is ready."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: EncodedFrame | None = None
        self._wanted_at = 0.0
        self._closed = False

    def put(self, frame: EncodedFrame) -> None:
        with self._changed:
            self._frame = frame
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def newer_than(self, number: int, timeout_s: float) -> EncodedFrame | None:
        """The newest frame after ``number``, waiting at most ``timeout_s``; None when none came."""
        with self._changed:
            self._wanted_at = time.monotonic()
            self._changed.wait_for(
                lambda: self._closed or (self._frame is not None and self._frame.number > number), timeout_s
            )
            return self._frame if self._frame is not None and self._frame.number > number else None

    @property
    def wanted(self) -> bool:
        """Whether somebody asked for a frame in the last seconds."""
        return time.monotonic() - self._wanted_at < _WANTED_FOR_S


class CameraServer:
    """Serves the latest frames of bays from ``host:port``; at most 32 clients at a time, others get 503."""

    def __init__(
        self, frames: dict[str, LatestFrame], health: Callable[[], dict[str, object]], *, host: str, port: int
    ) -> None:
        self._stop = threading.Event()
        self._clients = threading.BoundedSemaphore(MOST_CLIENTS)
        handler = _handler(frames, health, self._stop, self._clients)
        self._server = _Server((host, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="camera-http", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop taking and serving clients, within a second or two."""
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2.0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


def _handler(
    frames: dict[str, LatestFrame],
    health: Callable[[], dict[str, object]],
    stop: threading.Event,
    clients: threading.BoundedSemaphore,
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _SEND_TIMEOUT_S
        protocol_version = "HTTP/1.1"
        server_version = "smartshelf-simulator"

        def do_GET(self) -> None:
            if not clients.acquire(blocking=False):
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"too many clients\n", "text/plain")
                return
            try:
                self._route()
            except (BrokenPipeError, ConnectionResetError, TimeoutError):
                log.debug("client %s is gone", self.client_address)
            finally:
                self.close_connection = True
                clients.release()

        def _route(self) -> None:
            name, _, suffix = self.path.partition("?")[0].lstrip("/").rpartition(".")
            if self.path == "/health":
                self._answer(HTTPStatus.OK, json.dumps(health()).encode() + b"\n", "application/json")
            elif name in frames and suffix == "mjpg":
                self._stream(frames[name])
            elif name in frames and suffix == "jpg":
                self._picture(frames[name])
            else:
                known = ", ".join(f"/{bay}.mjpg, /{bay}.jpg" for bay in frames)
                self._answer(HTTPStatus.NOT_FOUND, f"try {known} or /health\n".encode(), "text/plain")

        def _picture(self, latest: LatestFrame) -> None:
            frame = latest.newer_than(0, 2.0)
            if frame is None:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"no frame yet\n", "text/plain")
                return
            self._answer(HTTPStatus.OK, frame.jpeg, "image/jpeg", _frame_headers(frame))

        def _stream(self, latest: LatestFrame) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Connection", "close")
            self.end_headers()
            number = 0
            while not stop.is_set() and not self._is_gone():
                frame = latest.newer_than(number, _WAIT_S)
                if frame is None:
                    continue
                number = frame.number
                headers = {
                    "Content-Type": "image/jpeg",
                    "Content-Length": str(len(frame.jpeg)),
                    **_frame_headers(frame),
                }
                head = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
                self.wfile.write(f"--{BOUNDARY}\r\n{head}\r\n".encode() + frame.jpeg + b"\r\n")
                self.wfile.flush()

        def _is_gone(self) -> bool:
            """Whether the client hung up: found out without a frame to send, and before its buffer is full."""
            if not select.select([self.connection], [], [], 0)[0]:
                return False
            return not self.connection.recv(1, socket.MSG_PEEK)

        def _answer(self, status: HTTPStatus, body: bytes, kind: str, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {
                "Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store",
                "Connection": "close", **(more or {}),
            }.items():  # fmt: skip
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            log.debug(format, *args)

    return Handler


def _frame_headers(frame: EncodedFrame) -> dict[str, str]:
    return {"X-Timestamp": f"{frame.captured_unix:.6f}", "X-Frame": str(frame.number)}

"""The demo's live view: pictures with boxes drawn, on this computer's loopback only.

No picture leaves a node. This view binds 127.0.0.1, is off unless the configuration asks for it, and draws only while
somebody looks. People are covered; with a detector that knows no people there is no picture.
"""

from __future__ import annotations

import http.server
import logging
import threading
import time
from collections.abc import Callable

import cv2

from shelf_edge.core.detections import Detections
from shelf_edge.core.drawing import draw_look
from shelf_edge.core.facts import Fact, SlotFact
from shelf_edge.core.frame import Frame
from shelf_edge.core.masking import PeopleMask
from shelf_edge.node import CameraWork

log = logging.getLogger(__name__)

_SHORTEST_GAP_S = 0.12
_MESSAGE_STAYS_S = 2.5
_WATCHED_S = 2.0
_BOUNDARY = "frame"


class Preview:
    """Serves ``/{bay}.mjpg``; ``show`` is called by the pipeline with each processed frame.

    Args:
        people: tells the kinds under which the present detector tells people; empty: no picture is served.
    """

    def __init__(self, port: int, people: Callable[[], frozenset[int]]) -> None:
        self._people = people
        self._masks: dict[str, PeopleMask] = {}
        self._fresh = threading.Condition()
        self._pictures: dict[str, tuple[int, bytes]] = {}
        self._asked_s: dict[str, float] = {}
        self._drawn_s: dict[str, float] = {}
        self._recent: dict[str, list[tuple[float, SlotFact]]] = {}
        self._stopping = False
        preview = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                preview._serve(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                log.debug(format, *args)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="preview", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        with self._fresh:
            self._fresh.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def show(self, camera: CameraWork, frame: Frame, detections: Detections | None, facts: list[Fact]) -> None:
        bay, now_s = camera.planogram.bay, time.monotonic()
        recent = [(when, fact) for when, fact in self._recent.get(bay, []) if now_s - when < _MESSAGE_STAYS_S]
        recent += [(now_s, fact) for fact in facts if isinstance(fact, SlotFact)]
        self._recent[bay] = recent[-6:]
        # Only a frame that was looked at is shown: of any other nobody knows where people are.
        mask = self._masks.setdefault(bay, PeopleMask(()))
        mask.detector_knows(self._people())
        masked = mask.masked(frame.image, detections, now_s)
        if masked is None:
            return
        is_watched = now_s - self._asked_s.get(bay, float("-inf")) < _WATCHED_S
        if not is_watched or now_s - self._drawn_s.get(bay, 0.0) < _SHORTEST_GAP_S:
            return
        self._drawn_s[bay] = now_s
        counts = {slot: "?" if level.count is None else str(level.count) for slot, level in camera.stock.items()}
        shown = [fact for _, fact in self._recent[bay]]
        canvas = draw_look(masked, detections, camera.planogram, camera.view, shown, counts)
        written, jpeg = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, 80])
        if written:
            with self._fresh:
                number = self._pictures.get(bay, (0, b""))[0] + 1
                self._pictures[bay] = (number, jpeg.tobytes())
                self._fresh.notify_all()

    def _serve(self, request: http.server.BaseHTTPRequestHandler) -> None:
        bay = request.path.removeprefix("/").removesuffix(".mjpg")
        if not request.path.endswith(".mjpg") or bay not in self._recent:
            request.send_error(404, "no such bay")
            return
        if not self._people():
            request.send_error(403, "the detector knows no people: nobody could be covered, so there is no picture")
            return
        request.send_response(200)
        request.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        request.send_header("Cache-Control", "no-store")
        request.end_headers()
        shown = 0
        try:
            while not self._stopping:
                self._asked_s[bay] = time.monotonic()
                number, jpeg = self._next_picture(bay, shown)
                if number > shown:
                    shown = number
                    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    request.wfile.write(head.encode() + jpeg + b"\r\n")
        except OSError:
            return  # the viewer went away

    def _next_picture(self, bay: str, shown: int) -> tuple[int, bytes]:
        """Wait up to a second for a picture newer than number ``shown``."""
        with self._fresh:
            self._fresh.wait_for(lambda: self._stopping or self._pictures.get(bay, (0, b""))[0] > shown, 1.0)
            return self._pictures.get(bay, (0, b""))

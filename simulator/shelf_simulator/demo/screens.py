"""Headless displays: they listen to a display's stream as the page does, and note when a product comes up."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

import httpx
from pydantic import ValidationError

from shelf_contracts.messages import DisplayContent

log = logging.getLogger(__name__)

_PAUSE_S = 0.5
_SILENCE_S = 40.0


@dataclass(frozen=True)
class Shown:
    """A display began to show a slot's product.

    Attributes:
        captured_s: capture time of the frame that caused it, seconds since the epoch.
        shown_s: when the display had it.
    """

    display: str
    slot: str
    captured_s: float
    shown_s: float


class HeadlessDisplay:
    """One display on its own thread, reconnecting until it is stopped."""

    def __init__(self, web: str, display: str) -> None:
        self._url = f"{web}/stream"
        self._display = display
        self._stop = threading.Event()
        self._shown: list[Shown] = []
        self._panels: set[str] = set()
        self._connected = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"display-{display}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Does not wait: the stream ends with its next ping or with the collector."""
        self._stop.set()

    @property
    def is_connected(self) -> bool:
        return self._connected.is_set()

    @property
    def shown(self) -> list[Shown]:
        return list(self._shown)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except httpx.HTTPError as error:
                if not self._stop.is_set():
                    log.warning("display %s: %s; trying again", self._display, error or type(error).__name__)
            self._connected.clear()
            self._stop.wait(_PAUSE_S)

    def _listen(self) -> None:
        timeout = httpx.Timeout(5.0, read=_SILENCE_S)
        topics = {"topics": f"display/{self._display}"}
        with httpx.stream("GET", self._url, params=topics, timeout=timeout) as answer:
            answer.raise_for_status()
            self._connected.set()
            for line in answer.iter_lines():
                now_s = time.time()
                if self._stop.is_set():
                    return
                if line.startswith("data: ") and '"panels"' in line:
                    self._take(line.removeprefix("data: "), now_s)

    def _take(self, data: str, now_s: float) -> None:
        try:
            content = DisplayContent.model_validate_json(data)
        except ValidationError as error:
            log.warning("display %s: content that does not keep the contract: %s", self._display, error)
            return
        panels = {panel.slot for panel in content.panels}
        if content.captured_at is not None:
            self._shown += [
                Shown(self._display, slot, content.captured_at.timestamp(), now_s) for slot in panels - self._panels
            ]
        self._panels = panels

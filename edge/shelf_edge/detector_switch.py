"""The detector in use, exchangeable between two frames: none is lost, and a new one that fails gives way at once."""

from __future__ import annotations

import logging
import threading

from shelf_contracts.messages import ModelInfo
from shelf_edge.core.detections import Detections
from shelf_edge.core.frame import Picture
from shelf_edge.ports import Clock, Detector

log = logging.getLogger(__name__)

_LOOKS_TO_JUDGE = 5
_SMOOTHING = 0.3


class DetectorSwitch:
    """A detector for the pipeline's thread; ``change`` and ``settle`` may be called from any other.

    Args:
        slowest_ms: while the one before is at hand, a detector whose looks take longer has failed.
    """

    def __init__(self, detector: Detector, clock: Clock, slowest_ms: float) -> None:
        self._lock = threading.Lock()
        self._current = detector
        self._before: Detector | None = None
        self._clock = clock
        self._slowest_ms = slowest_ms
        self._looks = 0
        self._mean_ms = 0.0
        self._failure = ""

    @property
    def info(self) -> ModelInfo:
        return self._current.info

    @property
    def looks(self) -> int:
        """Since the last change."""
        return self._looks

    @property
    def failure(self) -> str:
        """Why the one before had to take over again; empty when it had not."""
        return self._failure

    def change(self, detector: Detector, *, on_trial: bool) -> None:
        """Use another from the next frame on. On trial the present one is kept at hand."""
        with self._lock:
            self._before = self._current if on_trial else None
            self._current = detector
            self._looks, self._mean_ms, self._failure = 0, 0.0, ""

    def settle(self) -> None:
        """Let go of the one before."""
        with self._lock:
            self._before = None

    def detect(self, image: Picture) -> Detections:
        current = self._current
        began_s = self._clock.monotonic_s()
        try:
            found = current.detect(image)
        except Exception as error:
            with self._lock:
                before = self._give_way(current, f"{type(error).__name__}: {error}")
            if before is None:
                raise
            return before.detect(image)
        spent_ms = (self._clock.monotonic_s() - began_s) * 1000
        with self._lock:
            if current is self._current:
                self._looks += 1
                first = self._looks == 1
                self._mean_ms = spent_ms if first else self._mean_ms + _SMOOTHING * (spent_ms - self._mean_ms)
                if self._looks >= _LOOKS_TO_JUDGE and self._mean_ms > self._slowest_ms:
                    self._give_way(current, f"a look takes {self._mean_ms:.0f} ms, more than {self._slowest_ms:.0f}")
        return found

    def _give_way(self, failed: Detector, why: str) -> Detector | None:
        """The one before, in use again; None when there is none. Called with the lock held."""
        before = self._before
        if before is None or failed is not self._current:
            return before
        log.error("model %s %s gives way: %s", failed.info.name, failed.info.version, why)
        self._current, self._before, self._failure = before, None, why[:250]
        return before

"""The threads of a node: one a camera that captures, and the hand-off where the newest frame wins."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from shelf_edge.core.frame import Frame
from shelf_edge.core.pauses import pause_after
from shelf_edge.ports import Clock, FrameSource, SourceEnded, SourceProblem, UnreadablePicture

log = logging.getLogger(__name__)

_SHORTEST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_LONGEST_WITHOUT_S = 5.0
"""A camera that sends no picture for so long, whatever else it sends, is lost."""
_AFTER_UNREADABLE_S = 0.02
"""At least so long before the next: what a camera floods us with must not cost the others their share."""


class LatestFrame:
    """A hand-off of one: a new frame replaces one that was not taken, which is counted as dropped."""

    def __init__(self, arrived: threading.Condition) -> None:
        self._arrived = arrived
        self._frame: Frame | None = None
        self._seen = 0
        self._dropped = 0
        self._spoiled = 0
        self._spoiled_lately = 0
        self._why = ""

    @property
    def seen(self) -> int:
        return self._seen

    @property
    def dropped(self) -> int:
        return self._dropped

    @property
    def spoiled(self) -> int:
        """How much came that is no picture."""
        return self._spoiled

    @property
    def is_waiting(self) -> bool:
        return self._frame is not None

    def put(self, frame: Frame) -> None:
        with self._arrived:
            self._seen += 1
            self._dropped += self._frame is not None
            self._frame = frame
            self._arrived.notify_all()

    def spoil(self, why: str) -> None:
        """Something came that is no picture."""
        with self._arrived:
            self._spoiled += 1
            self._spoiled_lately += 1
            self._why = why

    def take_spoiled(self) -> tuple[int, str]:
        """How often ``spoil`` was called since this was asked last, and why the last time."""
        with self._arrived:
            count, self._spoiled_lately = self._spoiled_lately, 0
            return count, self._why

    def take(self) -> Frame | None:
        """The newest frame, once."""
        with self._arrived:
            frame, self._frame = self._frame, None
            return frame


@dataclass(frozen=True)
class CameraState:
    """Whether a camera delivers, since when, and why not."""

    is_online: bool
    since_s: float
    text: str = ""


class Capture:
    """Reads one camera on its own thread, for ever: lost cameras are tried again with a jittered back-off.

    Args:
        name: of the camera, for logs.
        source: the camera.
        hand_off: where frames go.
        on_state: called on the capture thread when the camera comes or goes.
    """

    def __init__(
        self,
        name: str,
        source: FrameSource,
        hand_off: LatestFrame,
        clock: Clock,
        on_state: Callable[[CameraState], None],
    ) -> None:
        self._name = name
        self._source = source
        self._hand_off = hand_off
        self._clock = clock
        self._on_state = on_state
        self._stop = threading.Event()
        self._state: CameraState | None = None
        self._thread = threading.Thread(target=self._run, name=f"capture-{name}", daemon=True)

    @property
    def state(self) -> CameraState | None:
        """None until the camera was tried for the first time."""
        return self._state

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.warning("camera %s did not let go within %g s; it is left behind", self._name, timeout_s)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            began_s = self._clock.monotonic_s()
            try:
                self._source.open()
                self._read()
            except SourceEnded as ended:
                self._become(False, f"{ended}: the recording is over")
                return
            except SourceProblem as problem:
                self._become(False, str(problem))
            except Exception as error:
                log.exception("camera %s failed", self._name)
                self._become(False, f"{type(error).__name__}: {error}")
            finally:
                self._source.close()
            failures = 1 if self._clock.monotonic_s() - began_s > _LONGEST_PAUSE_S else failures + 1
            pause_s = pause_after(failures - 1, _SHORTEST_PAUSE_S, _LONGEST_PAUSE_S)
            self._stop.wait(pause_s * random.uniform(0.7, 1.3))

    def _read(self) -> None:
        """Frame after frame; what cannot be read is counted and passed over, until nothing else comes.

        Raises: what ``FrameSource.read`` does.
        """
        good_s = self._clock.monotonic_s()
        while not self._stop.is_set():
            try:
                frame = self._source.read()
            except UnreadablePicture as problem:
                self._hand_off.spoil(problem.why)
                if self._clock.monotonic_s() - good_s >= _LONGEST_WITHOUT_S:
                    raise
                self._stop.wait(_AFTER_UNREADABLE_S)
                continue
            good_s = self._clock.monotonic_s()
            self._hand_off.put(frame)
            self._become(True, "")

    def _become(self, is_online: bool, text: str) -> None:
        state = self._state
        if state is not None and state.is_online == is_online and (is_online or state.text == text):
            return
        if is_online:
            log.info("camera %s delivers", self._name)
        else:
            log.warning("camera %s is lost: %s", self._name, text)
        since_s = self._clock.now_s() if state is None or state.is_online != is_online else state.since_s
        self._state = CameraState(is_online, since_s, text[:300])
        self._on_state(self._state)

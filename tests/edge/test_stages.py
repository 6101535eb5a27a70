from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_edge import stages
from shelf_edge.adapters.camera_paced import PacedRecording
from shelf_edge.adapters.clock import SystemClock
from shelf_edge.core.frame import Frame
from shelf_edge.ports import SourceEnded, SourceProblem, UnreadablePicture
from shelf_edge.stages import CameraState, Capture, LatestFrame

PICTURE = np.zeros((32, 32, 3), np.uint8)


def frame(number: int) -> Frame:
    return Frame(PICTURE, float(number), number)


@given(st.lists(st.booleans(), max_size=60))
def test_every_frame_is_either_taken_or_counted_as_dropped(puts: list[bool]) -> None:
    hand_off = LatestFrame(threading.Condition())
    taken, last = 0, -1
    for number, is_put in enumerate(puts):
        if is_put:
            hand_off.put(frame(number))
            last = number
        else:
            got = hand_off.take()
            taken += got is not None
            assert got is None or got.number == last
    waiting = hand_off.take() is not None
    assert hand_off.seen == taken + hand_off.dropped + waiting


class ScriptedSource:
    """A camera that does what the script says: a number of frames, or an exception to raise."""

    def __init__(self, script: list[int | Exception]) -> None:
        self._script: Iterator[int | Exception] = iter(script)
        self._left = 0
        self._fault: Exception | None = None
        self.opened = self.closed = 0

    def open(self) -> None:
        self.opened += 1
        step = next(self._script, SourceEnded("over"))
        self._left, self._fault = (step, SourceProblem("unplugged")) if isinstance(step, int) else (0, step)

    def read(self) -> Frame:
        time.sleep(0.005)
        if self._left == 0:
            assert self._fault is not None
            raise self._fault
        self._left -= 1
        return frame(self._left)

    def close(self) -> None:
        self.closed += 1


def eventually(is_true: Callable[[], bool], within_s: float = 5.0) -> bool:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if is_true():
            return True
        time.sleep(0.01)
    return False


def test_a_lost_camera_is_announced_tried_again_and_announced_when_back() -> None:
    states: list[CameraState] = []
    source = ScriptedSource([3, 2])
    hand_off = LatestFrame(threading.Condition())
    capture = Capture("c1", source, hand_off, SystemClock(), states.append)
    capture.start()
    assert eventually(lambda: len(states) == 4)
    capture.stop(2)
    assert [state.is_online for state in states] == [True, False, True, False]
    assert states[1].text == "unplugged"
    assert hand_off.seen == 5
    assert source.opened == source.closed


class SpoiledSource:
    """Every ``nth`` of its pictures is one, until it has sent so many; others cannot be read."""

    def __init__(self, pictures: int, nth: int) -> None:
        self._left = pictures
        self._nth = nth
        self._number = 0
        self.opened = 0

    def open(self) -> None:
        self.opened += 1

    def read(self) -> Frame:
        if self._left == 0:
            raise SourceEnded("over")
        self._number += 1
        if not self._nth or self._number % self._nth:
            raise UnreadablePicture("camera", "sent nonsense")
        self._left -= 1
        return frame(self._number)

    def close(self) -> None: ...


def test_what_cannot_be_read_is_passed_over_and_the_camera_stays_open() -> None:
    states: list[CameraState] = []
    hand_off = LatestFrame(threading.Condition())
    source = SpoiledSource(pictures=4, nth=3)
    capture = Capture("c1", source, hand_off, SystemClock(), states.append)
    capture.start()
    capture._thread.join(10)
    assert (hand_off.seen, hand_off.spoiled, source.opened) == (4, 8, 1)
    assert hand_off.take_spoiled() == (8, "sent nonsense")
    assert hand_off.take_spoiled()[0] == 0
    assert [state.is_online for state in states] == [True, False], "online until the recording was over"


def test_a_folder_with_a_broken_picture_plays_on(tmp_path: Path) -> None:
    for number in (1, 3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((32, 32, 3), number, np.uint8))
    (tmp_path / "2.png").write_bytes(b"no picture")
    source = PacedRecording(tmp_path)
    source.open()
    assert source.read().number == 0
    with pytest.raises(UnreadablePicture, match=r"2\.png"):
        source.read()
    assert source.read().number == 2
    with pytest.raises(SourceEnded):
        source.read()
    source.close()


def test_a_camera_that_sends_nothing_else_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[CameraState] = []
    monkeypatch.setattr(stages, "_LONGEST_WITHOUT_S", 0.2)
    capture = Capture("c1", SpoiledSource(1, 0), LatestFrame(threading.Condition()), SystemClock(), states.append)
    capture.start()
    assert eventually(lambda: bool(states))
    capture.stop(5)
    assert [(state.is_online, state.text) for state in states] == [(False, "camera: sent nonsense")]


def test_a_camera_that_fails_in_an_unforeseen_way_does_not_end_the_thread() -> None:
    states: list[CameraState] = []
    capture = Capture(
        "c1", ScriptedSource([MemoryError("odd"), 1]), LatestFrame(threading.Condition()), SystemClock(), states.append
    )
    capture.start()
    assert eventually(lambda: any(state.is_online for state in states))
    capture.stop(2)
    assert "MemoryError" in states[0].text


def test_stop_does_not_wait_for_the_back_off() -> None:
    capture = Capture(
        "c1", ScriptedSource([SourceProblem("gone")] * 9), LatestFrame(threading.Condition()), SystemClock(), print
    )
    capture.start()
    assert eventually(lambda: capture.state is not None)
    began_s = time.monotonic()
    capture.stop(5)
    assert time.monotonic() - began_s < 3


def test_a_camera_that_is_off_for_a_night_is_tried_again_in_the_morning(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a thousand tries: twice as long a pause each time would be more than a float holds."""
    source = ScriptedSource([SourceProblem("refused")] * 1100 + [3])
    hand_off = LatestFrame(threading.Condition())
    capture = Capture("c", source, hand_off, SystemClock(), lambda state: None)
    pauses: list[float] = []
    monkeypatch.setattr(capture._stop, "wait", pauses.append)
    capture.start()
    capture._thread.join(20)
    assert hand_off.seen == 3
    assert len(pauses) >= 1100
    assert max(pauses) <= 39

"""The node's own work: frames to facts to the outbox, one thread for all cameras."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from shelf_contracts.messages import CameraHealth, CameraStatus, StockLevel
from shelf_contracts.planogram import Planogram
from shelf_edge.core.bay import Bay
from shelf_edge.core.detections import Detections
from shelf_edge.core.facts import Fact, SlotFact
from shelf_edge.core.frame import Frame
from shelf_edge.core.reporting import gone_slot, misplaced_event, moment, slot_event, stock_level
from shelf_edge.core.sight import Sight, State
from shelf_edge.core.still import StillLooks
from shelf_edge.core.stream import PictureWatch, StreamWatch
from shelf_edge.journal import Journal
from shelf_edge.ports import Clock, Detector
from shelf_edge.recognising import HeldChange, Recognising
from shelf_edge.remembering import Remembering
from shelf_edge.stages import CameraState, LatestFrame
from shelf_edge.unknown_pictures import UnknownPictures

log = logging.getLogger(__name__)

_TICK_S = 0.25
_NOTE_EVERY_S = 5.0
_LOST_AFTER_S = 10.0
_SMOOTHING = 0.1
_MOST_FAILURES = 5
_FAILURE_WINDOW_S = 60.0
"""So many within that time are a fault, not an accident; as long a camera is left alone then."""
_TRIAL_FRAMES = 20
"""So many frames a new planogram must be good for before the one before is let go."""


@dataclass
class CameraWork:
    """One camera on the pipeline: its hand-off, its bay and its figures.

    ``trouble``: why its frames cannot be processed, and so nothing is said of it until ``rests_until_s``. ``stream``:
    what is odd about one that is used all the same; ``left_out``: how many of its pictures were not.
    ``planogram_notice``: what is wrong with a planogram that was not taken. ``former``: planogram, view and bay before
    the present ones, for ``trial_frames`` more frames.
    """

    id: str
    view: str
    planogram: Planogram
    hand_off: LatestFrame
    bay: Bay
    state: CameraState | None = None
    sight: Sight = field(default_factory=lambda: Sight("clear"))
    sight_since_s: float = 0.0
    looked_at: int = 0
    infer_ms: float = 0.0
    frame_age_ms: float = 0.0
    fps: float = 0.0
    last_served_s: float = -math.inf
    is_given_up: bool = False
    failures: list[float] = field(default_factory=list)
    trouble: str = ""
    rests_until_s: float = -math.inf
    stream: StreamWatch = field(default_factory=StreamWatch)
    pictures: PictureWatch = field(default_factory=PictureWatch)
    stream_since_s: float = 0.0
    left_out: int = 0
    noted_s: float = -math.inf
    counted_s: float = 0.0
    counted_seen: int = 0
    stock: dict[str, StockLevel] = field(default_factory=dict)
    planogram_notice: str = ""
    still: StillLooks = field(default_factory=StillLooks)
    former: tuple[Planogram, str, Bay] | None = None
    trial_frames: int = 0
    slot_plans: tuple[Planogram, str, dict[str, str]] | None = None

    def slot_plan(self, slot: str) -> str:
        """``Planogram.slot_plan`` of a slot, reckoned once for a planogram and view: both change only as a whole."""
        known = self.slot_plans
        if known is None or known[0] is not self.planogram or known[1] != self.view:
            known = self.slot_plans = (self.planogram, self.view, {})
        plans = known[2]
        if slot not in plans:
            plans[slot] = self.planogram.slot_plan(self.view, slot)
        return plans[slot]


_Told = Literal["online", "offline", "obstructed", "moved", "unsteady"]
_STATUS_OF: dict[State, _Told] = {
    "clear": "online", "dark": "obstructed", "frozen": "offline", "obstructed": "obstructed", "moved": "moved",
}  # fmt: skip

OnHeld = Callable[[str, HeldChange, float], None]
OnPlanogram = Callable[[str, str], None]
OnLook = Callable[[CameraWork, Frame, Detections | None, list[Fact]], None]


class Pipeline:
    """Takes the newest frame of each camera in turn, so that a wild camera can't starve the others.

    Args:
        cameras: what to look at.
        arrived: the condition that the hand-offs share.
        detector: shared by all cameras.
        journal: where messages go; ``wake`` tells that there are some.
        on_look: sees each processed frame (the demo's preview); must be quick.
        on_sight: called when what can be made of a camera's pictures changed.
        recognising: says which products stand there; None: what the planogram says is taken for granted.
        remembering: keeps the books over a restart.
        on_held: told what a hand holds, in which bay, and when the frame was captured.
        unknown_pictures: keeps a picture of what nobody knows, where the shop allows it.
        on_planogram: told of a bay how the planogram given to ``exchange`` did; empty: well.
    """

    def __init__(
        self,
        cameras: list[CameraWork],
        arrived: threading.Condition,
        detector: Detector,
        journal: Journal,
        clock: Clock,
        wake: Callable[[], None],
        on_look: OnLook | None = None,
        on_sight: Callable[[CameraWork], None] = lambda camera: None,
        recognising: Recognising | None = None,
        remembering: Remembering | None = None,
        on_held: OnHeld = lambda bay, held, captured_s: None,
        unknown_pictures: UnknownPictures | None = None,
        on_planogram: OnPlanogram = lambda bay, failure: None,
    ) -> None:
        self._cameras = cameras
        self._arrived = arrived
        self._detector = detector
        self._journal = journal
        self._clock = clock
        self._wake = wake
        self._on_look = on_look
        self._on_sight = on_sight
        self._began_s = clock.monotonic_s()
        self._recognising = recognising
        self._remembering = remembering
        self._on_held = on_held
        self._unknown_pictures = unknown_pictures
        self._on_planogram = on_planogram
        self._exchange: dict[str, tuple[Planogram, str]] = {}
        self._stop = threading.Event()
        self._say_again = threading.Event()
        self._own_failures: list[float] = []
        self._failed = ""
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)

    @property
    def failed(self) -> str:
        """Why nothing is processed any more, neither any camera's frames: empty while something is."""
        return self._failed

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        self._stop.set()
        with self._arrived:
            self._arrived.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def say_stock_again(self) -> None:
        """After a reconnect the broker may have forgotten: every slot's level is said once more."""
        self._say_again.set()

    def exchange(self, camera: str, planogram: Planogram, view: str) -> None:
        """Use another planogram of the camera's bay from its next frame on; any thread, never waits."""
        with self._arrived:
            self._exchange[camera] = planogram, view
            self._arrived.notify_all()

    def _take_planogram(self, camera: CameraWork) -> None:
        """Begin the trial of a planogram that was handed over. Slots that stay as they were go on from their books."""
        with self._arrived:
            given = self._exchange.pop(camera.id, None)
        if given is None:
            return
        try:
            bay = Bay(*given)
            bay.recall(camera.bay.memory(), self._clock.now_s())
            seen_before = camera.bay.remembered_view()
            if seen_before is not None:
                bay.recall_view(seen_before)
        except Exception as error:
            log.exception("camera %s: a planogram cannot be used", camera.id)
            self._on_planogram(camera.planogram.bay, f"{type(error).__name__}: {error}")
            return
        camera.former = camera.planogram, camera.view, camera.bay
        camera.trial_frames = _TRIAL_FRAMES
        (camera.planogram, camera.view), camera.bay = given, bay
        self._begin_anew(camera)

    def _begin_anew(self, camera: CameraWork) -> None:
        camera.stock = {}
        if self._recognising is not None:
            self._recognising.forget(camera.planogram.bay)

    def _judge_planogram(self, camera: CameraWork, failure: str) -> None:
        """A frame was served with a planogram on trial, or could not be: then the one before is used again."""
        if camera.former is None:
            return
        camera.trial_frames -= 1
        former, tried = camera.former[0].view_of(camera.former[1]).slots, camera.planogram.view_of(camera.view).slots
        left = former.keys() - tried.keys()
        if failure:
            left = tried.keys() - former.keys()
            camera.planogram, camera.view, camera.bay = camera.former
            camera.bay.say_again()
            self._begin_anew(camera)
            log.error("camera %s: the planogram before is in use again: %s", camera.id, failure)
        elif camera.trial_frames > 0:
            return
        camera.former = None
        if not failure:
            camera.stream.calibrated()
        self.say_gone(camera.planogram.bay, left)
        self._on_planogram(camera.planogram.bay, failure)

    def say_gone(self, bay: str, slots: Iterable[str]) -> None:
        """Nobody looks at these slots any more: what was said of them last must not stand for ever."""
        for slot in sorted(slots):
            log.info("%s %s: no planogram shows this slot any more", bay, slot)
            self._journal.say(bay, slot, gone_slot(self._clock.now_s()))
        self._wake()

    def _run(self) -> None:
        turn = 0
        while not self._stop.is_set():
            with self._arrived:
                if not any(camera.hand_off.is_waiting for camera in self._cameras):
                    self._arrived.wait(_TICK_S)
            try:
                self._journal.retry()
                self._repeat_stock()
            except Exception as error:
                log.exception("what was said could not be kept")
                if self._is_fault(self._own_failures):
                    self._failed = f"{type(error).__name__}: {error}"
            for offset in range(len(self._cameras)):
                self._serve_safely(self._cameras[(turn + offset) % len(self._cameras)])
            turn += 1
            if self._failed:
                log.critical("the pipeline stays down: %s", self._failed)
                return

    def _serve_safely(self, camera: CameraWork) -> None:
        """What goes wrong with one camera's frames is that camera's: the others go on."""
        if camera.trouble and self._clock.monotonic_s() < camera.rests_until_s:
            camera.hand_off.take()
            return
        self._take_planogram(camera)
        try:
            is_served = self._serve(camera)
        except Exception as error:
            log.exception("camera %s: a frame could not be processed", camera.id)
            if camera.former is not None:
                self._judge_planogram(camera, f"a frame could not be processed: {type(error).__name__}: {error}")
                return
            if camera.trouble or self._is_fault(camera.failures):
                self._set_aside(camera, error)
            return
        if is_served:
            self._judge_planogram(camera, "")
        if camera.trouble and is_served:
            log.info("camera %s: its frames can be processed again", camera.id)
            camera.trouble, camera.failures = "", []
            self._on_sight(camera)

    def _is_fault(self, failures: list[float]) -> bool:
        now_s = self._clock.monotonic_s()
        failures[:] = [when for when in failures if now_s - when < _FAILURE_WINDOW_S] + [now_s]
        return len(failures) >= _MOST_FAILURES

    def _set_aside(self, camera: CameraWork, error: Exception) -> None:
        """Leave a camera alone for a while and say so; when that happened to all of them, it is not the cameras."""
        camera.rests_until_s = self._clock.monotonic_s() + _FAILURE_WINDOW_S
        why = f"{type(error).__name__}: {error}"
        is_new, camera.trouble = not camera.trouble, f"its frames cannot be processed: {why}"[:300]
        if all(other.trouble for other in self._cameras):
            self._failed = why
        if is_new:
            log.error("camera %s: %s; it is tried again every %g s", camera.id, camera.trouble, _FAILURE_WINDOW_S)
            camera.sight_since_s = self._clock.now_s()
            self._say(camera, camera.bay.lose_sight(self._clock.now_s()))
            self._on_sight(camera)

    def _serve(self, camera: CameraWork) -> bool:
        """Process the camera's newest frame; False when there is none."""
        frame = self._take_frame(camera)
        if frame is None:
            self._give_up_if_lost(camera)
            return False
        camera.is_given_up = False
        detections = None
        if camera.bay.wants_look(frame):
            began_s = self._clock.monotonic_s()
            detections = camera.still.look(self._detector.detect, frame.image)
            spent_ms = (self._clock.monotonic_s() - began_s) * 1000
            camera.infer_ms += _SMOOTHING * (spent_ms - camera.infer_ms) if camera.looked_at else spent_ms
            camera.looked_at += 1
        facts = camera.bay.advance(frame, detections)
        camera.last_served_s = self._clock.monotonic_s()
        camera.frame_age_ms = (self._clock.now_s() - frame.captured_s) * 1000
        self._say(camera, facts)
        self._follow_sight(camera, frame)
        if self._on_look is not None:
            self._on_look(camera, frame, detections, facts)
        if self._recognising is not None:
            self._recognise(self._recognising, camera, frame, facts)
            if self._unknown_pictures is not None and detections is not None:
                things = self._recognising.unknown(camera.bay, camera.planogram)
                self._unknown_pictures.follow(camera.planogram.bay, camera.bay, frame, detections, things)
        if facts or camera.last_served_s - camera.noted_s >= _NOTE_EVERY_S:
            self._remember(camera)
        return True

    def _take_frame(self, camera: CameraWork) -> Frame | None:
        """The newest frame when it can be used; what is odd about the stream is said, seldom."""
        frame, at_s = camera.hand_off.take(), self._clock.monotonic_s()
        camera.stream.spoil(*camera.hand_off.take_spoiled(), at_s)
        if frame is not None:
            height, width = frame.image.shape[:2]
            is_fit = camera.stream.is_of_use((width, height), frame.captured_s, at_s)
            if not is_fit or not camera.pictures.is_of_use(frame.image):
                camera.left_out += 1
                frame = None
            elif camera.stream.is_clock_wild:
                frame = Frame(frame.image, self._clock.now_s(), frame.number)
        camera.stream.count_strange(camera.pictures.take_strange(), at_s)
        if camera.stream.has_news(at_s):
            self._tell_stream(camera, at_s)
        return frame

    def _tell_stream(self, camera: CameraWork, at_s: float) -> None:
        state = camera.stream.state
        camera.stream_since_s = self._clock.now_s() - (at_s - state.since_s)
        if state.text:
            log.warning("camera %s: %s", camera.id, state.text)
        else:
            log.info("camera %s: its stream is well again", camera.id)
        self._on_sight(camera)

    def _remember(self, camera: CameraWork) -> None:
        camera.noted_s = self._clock.monotonic_s()
        if self._remembering is not None:
            bay = camera.planogram.bay
            misplaced = self._recognising.told_misplaced(bay) if self._recognising is not None else {}
            self._remembering.note(bay, camera.bay.memory(), misplaced, camera.noted_s)
            if self._remembering.wants_view(camera.id, camera.noted_s):
                view = camera.bay.remembered_view()
                if view is not None:
                    self._remembering.note_view(camera.id, view, camera.noted_s)

    def _follow_sight(self, camera: CameraWork, frame: Frame) -> None:
        before, after = camera.sight, camera.bay.sight
        if (after.state, after.text) == (before.state, before.text):
            return
        camera.sight, camera.sight_since_s = after, frame.captured_s
        if after.text:
            log.warning("camera %s: %s", camera.id, after.text)
        else:
            log.info("camera %s sees the bay as it should", camera.id)
        self._on_sight(camera)

    def _give_up_if_lost(self, camera: CameraWork) -> None:
        """A camera that was silent for long, or from the start: what its slots hold is not known (any more)."""
        now_s = self._clock.monotonic_s()
        if camera.is_given_up or now_s - max(camera.last_served_s, self._began_s) < _LOST_AFTER_S:
            return
        camera.is_given_up = True
        self._say(camera, camera.bay.lose_sight(self._clock.now_s()))

    def _say(self, camera: CameraWork, facts: list[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, SlotFact):
                event = slot_event(fact, camera.planogram, is_recording=False)
                log.info("%s %s %s x%d", camera.planogram.bay, fact.slot, fact.action, fact.quantity)
                self._journal.say(camera.planogram.bay, fact.slot, event)
            else:
                sight = self._recognising
                seen = sight.seen(camera.planogram, fact.slot) if sight is not None else None
                strange = sight.strange(camera.planogram, fact.slot) if sight is not None else []
                level = stock_level(fact, camera.planogram, seen, strange, camera.slot_plan(fact.slot))
                camera.stock[fact.slot] = level
                self._journal.say(camera.planogram.bay, fact.slot, level)
        if facts:
            self._wake()

    def _recognise(self, recognising: Recognising, camera: CameraWork, frame: Frame, facts: list[Fact]) -> None:
        """Say what stands where, after the counts were said: they must not wait for it."""
        changes = recognising.follow(camera.bay, camera.planogram, frame, facts)
        bay = camera.planogram.bay
        for change in changes:
            level = camera.stock.get(change.slot)
            strange = list(change.strange)
            if level is not None and (level.seen, level.strange) != (change.seen, strange):
                update = {"seen": change.seen, "strange": strange, "observed_at": moment(frame.captured_s)}
                camera.stock[change.slot] = level.model_copy(update=update)
                self._journal.say(bay, change.slot, camera.stock[change.slot])
            for misplaced in change.misplaced:
                log.info("%s %s holds %s", bay, change.slot, misplaced.gtin)
                event = misplaced_event(change.slot, misplaced, camera.planogram, frame.captured_s)
                self._journal.say(bay, change.slot, event)
        for held in recognising.take_held():
            log.info("%s a hand holds %s", bay, held.seen.gtin)
            self._on_held(bay, held, frame.captured_s)
        if changes:
            camera.noted_s = -math.inf
            self._wake()

    def _repeat_stock(self) -> None:
        if not self._say_again.is_set():
            return
        self._say_again.clear()
        for camera in self._cameras:
            for slot, level in camera.stock.items():
                self._journal.say(camera.planogram.bay, slot, level)
        self._wake()


def camera_status(camera: CameraWork) -> CameraStatus | None:
    """What is said about a camera on MQTT; None until it was tried."""
    state, sight = camera.state, camera.sight
    if state is None:
        return None
    if camera.trouble:
        since = moment(camera.sight_since_s)
        return CameraStatus(state="offline", bay=camera.planogram.bay, since=since, text=camera.trouble)
    if not state.is_online:
        told: _Told = "offline"
        since_s, text = state.since_s, state.text
    elif sight.state != "clear":
        told, since_s = _STATUS_OF[sight.state], camera.sight_since_s
        text = "; ".join([sight.text, *_notices(camera)])
    else:
        odd, since_s = camera.stream.state, state.since_s
        told = "moved" if sight.is_far else "unsteady" if odd.is_unsteady else "online"
        if odd.text:
            since_s = camera.stream_since_s
        elif sight.text:
            since_s = camera.sight_since_s
        text = "; ".join([*([sight.text] if sight.text else []), *_notices(camera)])
    return CameraStatus(state=told, bay=camera.planogram.bay, since=moment(since_s), text=text[:300])


def _notices(camera: CameraWork) -> list[str]:
    return [text for text in (camera.planogram_notice, camera.stream.state.text) if text]


def camera_health(camera: CameraWork, now_s: float) -> CameraHealth:
    """The camera's figures since the last call (frames a second) and in all."""
    seen = camera.hand_off.seen
    elapsed_s = now_s - camera.counted_s if camera.counted_s else 0.0
    if elapsed_s > 0:
        camera.fps = (seen - camera.counted_seen) / elapsed_s
    camera.counted_s, camera.counted_seen = now_s, seen
    return CameraHealth(
        id=camera.id,
        frames_seen=seen,
        frames_dropped=camera.hand_off.dropped,
        frames_unusable=camera.hand_off.spoiled + camera.left_out,
        fps=round(camera.fps, 2),
        infer_ms=round(camera.infer_ms, 2),
        frame_age_ms=round(camera.frame_age_ms, 1),
    )

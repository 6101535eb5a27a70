"""A recording through the same chain as a live camera: deterministic, no broker, one CloudEvent a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from shelf_contracts.envelope import SlotHappening, SlotMessage, encode, node_source, wrap
from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import check_target, read_model
from shelf_contracts.messages import SlotEvent, StockLevel
from shelf_contracts.planogram import Planogram
from shelf_edge.adapters.camera_files import PICTURES_FPS, open_recording
from shelf_edge.core.bay import Bay
from shelf_edge.core.delivery import Delivery
from shelf_edge.core.detections import Detections
from shelf_edge.core.drawing import draw_look
from shelf_edge.core.facts import Fact, SlotFact
from shelf_edge.core.frame import Frame, Picture
from shelf_edge.core.masking import PeopleMask
from shelf_edge.core.reporting import misplaced_event, moment, slot_event, stock_level
from shelf_edge.core.still import StillLooks
from shelf_edge.ports import Detector, SourceEnded
from shelf_edge.recognising import HeldChange, Recognising, SightChange

REPLAY_NODE = "replay"


@dataclass(frozen=True)
class ReplayStep:
    """One frame of a replay: what was seen (None: the gate saw no need to look) and what followed."""

    frame: Frame
    detections: Detections | None
    facts: list[Fact]
    sights: list[SightChange] = field(default_factory=list)
    """Slots of which something else is recognised now; empty without a recogniser."""
    held: list[HeldChange] = field(default_factory=list)
    """What hands hold, as far as it was recognised just now."""


@dataclass
class ReplaySummary:
    """Attributes:
    frames, looked_at: frames in the recording, and those the detector saw.
    events: events written, by kind.
    counts: the last count of each slot (None: never seen).
    """

    frames: int = 0
    looked_at: int = 0
    events: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int | None] = field(default_factory=dict)


def read_planogram_for(path: Path, camera: str | None) -> tuple[Planogram, str]:
    """The planogram and the camera to use: the one named, else its only or first view. Raises: FileProblems."""
    planogram = read_model(path, Planogram)
    if not planogram.views:
        remedy = "add where the camera sees each slot"
        raise FileProblems(path, [Problem("views", "[]", "must hold at least one view", remedy)])
    known = [view.camera for view in planogram.views]
    if camera is not None and camera not in known:
        raise FileProblems(path, [Problem("views", ", ".join(known), f"must hold a view of camera {camera!r}")])
    return planogram, camera or known[0]


def steps(
    source: Path, planogram: Planogram, camera: str, detector: Detector, fps: float = PICTURES_FPS,
    recognising: Recognising | None = None, delivery: Delivery | None = None,
) -> Iterator[ReplayStep]:  # fmt: skip
    """Every frame of a recording through the chain; ``fps`` is that of pictures, ``delivery`` says which frames come.

    A node embeds crops on a thread of its own; here ``recognising`` must not be started: what it says of a frame is
    known with that frame. Raises: FileProblems.
    """
    recording = open_recording(source, fps)
    bay, still = Bay(planogram, camera), StillLooks()
    try:
        while True:
            try:
                frame = recording.read()
            except SourceEnded:
                return
            if delivery is not None:
                delivered = delivery.deliver(frame)
                if delivered is None:
                    continue
                frame = delivered
            yield step_of(frame, bay, still, planogram, detector, recognising)
    finally:
        recording.close()


def step_of(
    frame: Frame, bay: Bay, still: StillLooks, planogram: Planogram, detector: Detector, recognising: Recognising | None
) -> ReplayStep:
    """One frame through the chain, in the order of capture."""
    detections = still.look(detector.detect, frame.image) if bay.wants_look(frame) else None
    facts = bay.advance(frame, detections)
    sights: list[SightChange] = []
    held: list[HeldChange] = []
    if recognising is not None:
        sights = recognising.follow(bay, planogram, frame, facts)
        held = recognising.take_held()
    return ReplayStep(frame, detections, facts, sights, held)


def replay(
    source: Path,
    planogram_path: Path,
    detector: Detector,
    events_path: Path,
    *,
    camera: str | None = None,
    stock: bool = False,
    drawing: Path | None = None,
    mask: PeopleMask | None = None,
    recognising: Recognising | None = None,
    on_frame: Callable[[int], None] = lambda number: None,
) -> ReplaySummary:
    """Write the recording's events; the file appears whole at the end, or not at all.

    Args:
        source: a video, a folder of pictures or one picture.
        planogram_path: with a view of the camera.
        detector: what looks at the frames.
        events_path: one CloudEvent a line, ``data.at_s`` in seconds from the start.
        camera: which view; by default the planogram's first.
        stock: write stock levels too.
        drawing: a video of the frames with what was seen drawn on them.
        mask: covers people in the drawing; None only when nobody is in the recording.
        recognising: says which products stand there, with a gallery in use; not started.
        on_frame: called with the frame's number, for a progress bar.
    Raises: FileProblems.
    """
    planogram, camera_id = read_planogram_for(planogram_path, camera)
    check_target(events_path)
    summary = ReplaySummary(counts={position.id: None for position in planogram.positions})
    part = events_path.with_name(events_path.name + ".part")
    writer: cv2.VideoWriter | None = None
    sequence = 0
    levels: dict[str, StockLevel] = {}
    drawn: Picture | None = None
    try:
        with part.open("wb") as out:
            for step in steps(source, planogram, camera_id, detector, recognising=recognising):
                summary.frames += 1
                summary.looked_at += step.detections is not None
                for slot, data, at_s in _said(step, planogram, levels):
                    sequence += 1
                    message = _message(data, planogram, slot, at_s, sequence)
                    if isinstance(message, SlotHappening):
                        action = message.data.action
                        summary.events[action] = summary.events.get(action, 0) + 1
                    else:
                        summary.counts[slot] = message.data.count
                    if stock or isinstance(message, SlotHappening):
                        out.write(encode(message) + b"\n")
                if drawing is not None:
                    writer = writer or _video_writer(drawing, step.frame)
                    image = step.frame.image
                    covered = mask.masked(image, step.detections, step.frame.captured_s) if mask else image
                    if covered is not None:
                        drawn = draw_look(covered, step.detections, planogram, camera_id, step.facts)
                    # A frame that was not looked at is like the one before, which is drawn once more.
                    if drawn is not None:
                        writer.write(drawn)
                on_frame(step.frame.number)
        part.replace(events_path)
    finally:
        if writer is not None:
            writer.release()
        part.unlink(missing_ok=True)
    return summary


def _said(
    step: ReplayStep, planogram: Planogram, levels: dict[str, StockLevel]
) -> Iterator[tuple[str, SlotEvent | StockLevel, float]]:
    """What a node says of a frame, of which slot and when: counts and events, then what is recognised.

    Keeps ``levels``, what was said last of each slot.
    """
    for fact in step.facts:
        if isinstance(fact, SlotFact):
            yield fact.slot, slot_event(fact, planogram, is_recording=True), fact.captured_s
        else:
            before = levels.get(fact.slot)
            seen, strange = (before.seen, before.strange) if before is not None else (None, [])
            levels[fact.slot] = stock_level(fact, planogram, seen, strange)
            yield fact.slot, levels[fact.slot], fact.captured_s
    captured_s = step.frame.captured_s
    for change in step.sights:
        level = levels.get(change.slot)
        strange = list(change.strange)
        if level is not None and (level.seen, level.strange) != (change.seen, strange):
            update = {"seen": change.seen, "strange": strange, "observed_at": moment(captured_s)}
            levels[change.slot] = level.model_copy(update=update)
            yield change.slot, levels[change.slot], captured_s
        for misplaced in change.misplaced:
            event = misplaced_event(change.slot, misplaced, planogram, captured_s)
            yield change.slot, event.model_copy(update={"at_s": round(captured_s, 3)}), captured_s


def _message(data: SlotEvent | StockLevel, planogram: Planogram, slot: str, at_s: float, sequence: int) -> SlotMessage:
    return wrap(
        data,
        source=node_source(planogram.store, REPLAY_NODE),
        bay=planogram.bay,
        slot=slot,
        sequence=sequence,
        time=moment(at_s),
    )


def _video_writer(path: Path, frame: Frame) -> cv2.VideoWriter:
    height, width = frame.image.shape[:2]
    code = cv2.VideoWriter.fourcc(*("mp4v" if path.suffix == ".mp4" else "MJPG"))
    writer = cv2.VideoWriter(str(path), code, 15.0, (width, height))
    if not writer.isOpened():
        raise FileProblems(
            path, [Problem("", "cannot be written", "must be an .avi or .mp4 file in a folder that exists")]
        )
    return writer

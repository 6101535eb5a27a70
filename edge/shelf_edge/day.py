"""What a node tells falsely in a day on which nobody comes: a resting bay in a day's light through its chain.

A day at ten frames a second is 864,000 pictures, and a node at rest looks at one in twenty. So while nothing stirs only
some are given (``Pace``); where the light changes fast (the simulator knows), and as long as the node itself wants to
look closely, every frame comes. The node's clock is the shop's, so all it does by time it does in time.
"""

from __future__ import annotations

import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shelf_contracts.planogram import Planogram
from shelf_contracts.scoring import FoundCount, alerts_from_counts, false_alerts
from shelf_contracts.truth import TruthLog
from shelf_edge.adapters.day_camera import BAY, DayCamera, DayTake, Shown
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.core.bay import Bay
from shelf_edge.core.facts import SlotFact, StockFact
from shelf_edge.core.still import StillLooks
from shelf_edge.ports import Detector
from shelf_edge.replay import ReplayStep, step_of
from shelf_edge.side_by_side import side_by_side

LIT_GAIN, DARK_GAIN = 0.3, 0.1
"""From here on a shop is lit; below there it is night."""
_MOST_CLOSE_S, _CLOSE_AGAIN_S = 60.0, 600.0
"""A slot that is never certain is looked at frame by frame for so long, and again so much later: as a node goes on and
on, and always sees the same."""

OnProgress = Callable[[int, float], None]
"""Told: the day's place in the list, its share done (0 to 1)."""


@dataclass(frozen=True)
class Pace:
    """Seconds between pictures while nothing stirs: most of the day, in some minutes of every hour (as often as a node
    looks), and while the node says that it is too dark."""

    rest_s: float = 20.0
    dense_s: float = 2.0
    dense_for_s: float = 300.0
    dark_s: float = 30.0

    def at_rest_s(self, at_s: float) -> float:
        """At so many seconds since the day began."""
        return min(self.rest_s, self.dense_s) if at_s % 3600.0 < self.dense_for_s else self.rest_s


@dataclass(frozen=True)
class Told:
    """Something told although nothing happened: seconds since the day began, what, at which slot, in which words."""

    at_s: float
    what: str
    slot: str
    text: str


@dataclass(frozen=True)
class DayScore:
    """One bay through one day; every event, change and alert in it is false.

    Attributes:
        hours, slots: how long, and how many there are; frames, looked_at: pictures given, and those the detector saw.
        events: by kind; of anomalies by cause.
        count_changes: how often a count that was said became another one.
        alerts: low-stock ones that a shop would have heard, and were wrong.
        camera: how often the camera was said to be moved, obstructed or frozen.
        known_h, wrong_h: slot-hours with a count, and with a wrong one.
        wrong_at_first: slots whose first count of the day was wrong; became_wrong: others that were wrong later.
        dark_said_h, dark_h: hours that the node said were dark, and that were (below a gain of 0.1).
        blind_h: slot-hours in which the shop was lit and the node knew no count, after its first; by reason.
        close_h: hours in which it wanted every frame.
        told: what was told, the first hundred.
    """

    take: DayTake
    hours: float
    slots: int
    frames: int
    looked_at: int
    events: Mapping[str, int]
    count_changes: int
    alerts: int
    camera: Mapping[str, int]
    known_h: float
    wrong_h: float
    wrong_at_first: int
    became_wrong: int
    dark_said_h: float
    dark_h: float
    blind_h: Mapping[str, float]
    close_h: float
    told: tuple[Told, ...]

    @property
    def false_events(self) -> int:
        return sum(self.events.values())


_MOST_TOLD = 100


@dataclass
class _Log:
    """What a node says of a bay that rests."""

    truth: Mapping[str, int]
    told: list[Told] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    camera: Counter[str] = field(default_factory=Counter)
    counts: list[FoundCount] = field(default_factory=list)
    count_changes: int = 0
    now: dict[str, int | None] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    reason: dict[str, str] = field(default_factory=dict)
    first_wrong: set[str] = field(default_factory=set)
    ever_wrong: set[str] = field(default_factory=set)
    known_s: float = 0.0
    wrong_s: float = 0.0
    dark_s: float = 0.0
    dark_said_s: float = 0.0
    close_s: float = 0.0
    blind_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    sight: str = "clear"

    def pass_time(self, seconds: float, gain: float) -> None:
        """So long it stayed as it was said."""
        self.dark_s += seconds * (gain < DARK_GAIN)
        self.dark_said_s += seconds * (self.sight == "dark")
        for slot, count in self.now.items():
            if count is not None:
                self.known_s += seconds
                self.wrong_s += seconds * (count != self.truth[slot])
            elif slot in self.last and gain >= LIT_GAIN:
                self.blind_s[self.reason[slot]] += seconds

    def take(self, step: ReplayStep, sight: str, since_s: float) -> None:
        at_s = step.frame.captured_s - since_s
        if sight != self.sight:
            self.sight = sight
            if sight not in ("clear", "dark"):
                self.camera[sight] += 1
                self._note(at_s, f"camera {sight}", "", "")
        for fact in step.facts:
            if isinstance(fact, SlotFact):
                kind = fact.action if fact.cause is None else f"{fact.action}: {fact.cause}"
                self.events[kind] += 1
                self._note(at_s, kind, fact.slot, fact.text or f"{fact.before} to {fact.after}")
            else:
                self._count(fact, at_s)
        for change in step.sights:
            for _ in change.misplaced:
                self.events["misplaced"] += 1
                self._note(at_s, "misplaced", change.slot, "")

    def _count(self, fact: StockFact, at_s: float) -> None:
        seen, slot, true = fact.observation, fact.slot, self.truth[fact.slot]
        count = None if fact.level == "unknown" else seen.count
        self.counts.append(FoundCount(BAY, slot, fact.captured_s, count, seen.low, seen.high))
        self.now[slot], self.reason[slot] = count, seen.reason
        if count is None:
            return
        if slot not in self.last:
            self.first_wrong |= {slot} if count != true else set()
        elif count != self.last[slot]:
            self.count_changes += 1
            self._note(at_s, "count", slot, f"{self.last[slot]} to {count}, truly {true}")
        self.ever_wrong |= {slot} if count != true else set()
        self.last[slot] = count

    def _note(self, at_s: float, what: str, slot: str, text: str) -> None:
        if len(self.told) < _MOST_TOLD:
            self.told.append(Told(round(at_s, 1), what, slot, text))


def score_days(
    takes: Sequence[DayTake],
    model: Path,
    *,
    pace: Pace | None = None,
    workers: int = 1,
    on_progress: OnProgress = lambda place, share: None,
) -> list[DayScore]:
    """Score days, ``workers`` at a time, in the order of ``takes``; equal arguments give equal scores.

    Raises: FileProblems; KeyboardInterrupt, when no process is left behind.
    """
    stop = threading.Event()

    def score_one(place: int, take: DayTake) -> DayScore:
        detector = load_detector(model, threads=1, tells_faint=True)
        return score_day(take, detector, pace, stop, lambda share: on_progress(place, share))

    return side_by_side(score_one, takes, workers, stop)


def score_day(
    take: DayTake, detector: Detector, pace: Pace | None, stop: threading.Event, on_share: Callable[[float], None]
) -> DayScore:
    """One bay through its day. Raises: FileProblems."""
    pace = pace or Pace()
    with tempfile.TemporaryDirectory(prefix="smartshelf-day-") as name:
        camera = DayCamera(take, Path(name))
        try:
            shown = camera.next(0.0)
            assert shown is not None, "a day has a first moment"
            planogram, truth = camera.planogram(), camera.truth()
            return _through(take, camera, shown, planogram, truth, detector, pace, stop, on_share)
        finally:
            camera.close()


def _through(
    take: DayTake, camera: DayCamera, shown: Shown | None, planogram: Planogram, truth: TruthLog, detector: Detector,
    pace: Pace, stop: threading.Event, on_share: Callable[[float], None],
) -> DayScore:  # fmt: skip
    bay, still = Bay(planogram, planogram.views[0].camera), StillLooks()
    log = _Log({change.slot: change.count for change in truth.counts})
    frames = looked_at = 0
    begin_s = before_s = shown.frame.captured_s if shown is not None else 0.0
    close_since_s: float | None = None
    gain = shown.gain if shown is not None else 1.0
    while shown is not None and not stop.is_set():
        now_s = shown.frame.captured_s
        log.pass_time(now_s - before_s, gain)
        step = step_of(shown.frame, bay, still, planogram, detector, None)
        log.take(step, bay.sight.state, begin_s)
        frames += 1
        looked_at += step.detections is not None
        before_s, gain = now_s, shown.gain
        is_dark = bay.sight.state == "dark"
        is_close = bay.is_attentive and not is_dark
        if not is_close or (close_since_s is not None and now_s - close_since_s > _CLOSE_AGAIN_S):
            close_since_s = None
        if is_close and close_since_s is None:
            close_since_s = now_s
        is_patient = close_since_s is not None and now_s - close_since_s > _MOST_CLOSE_S
        most_s = pace.dark_s if is_dark else pace.at_rest_s(now_s) if not is_close or is_patient else 0.0
        after = camera.next(most_s)
        if after is not None and is_close:
            log.close_s += after.frame.captured_s - now_s
        shown = after
        if frames % 50 == 0:
            on_share((now_s - begin_s) / (take.hours * 3600))
    end_s = before_s
    marks = {(BAY, position.id): position.min_presentation for position in planogram.positions}
    wrong_alerts = false_alerts(alerts_from_counts(log.counts, marks, end_s), truth.counts, marks)
    for alert in wrong_alerts:
        log.told.append(Told(round(alert.at_s - begin_s, 1), "alert", alert.slot, f"truly {log.truth[alert.slot]}"))
    return DayScore(
        take=take,
        hours=round((end_s - begin_s) / 3600, 3),
        slots=len(log.truth),
        frames=frames,
        looked_at=looked_at,
        events=dict(log.events),
        count_changes=log.count_changes,
        alerts=len(wrong_alerts),
        camera=dict(log.camera),
        known_h=_hours(log.known_s),
        wrong_h=_hours(log.wrong_s),
        wrong_at_first=len(log.first_wrong),
        became_wrong=len(log.ever_wrong - log.first_wrong),
        dark_said_h=_hours(log.dark_said_s),
        dark_h=_hours(log.dark_s),
        blind_h={reason: _hours(seconds) for reason, seconds in log.blind_s.items()},
        close_h=_hours(log.close_s),
        told=tuple(log.told),
    )


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 4)


def day_report(scores: Sequence[DayScore], *, split: str, with_told: bool) -> dict[str, object]:
    """The JSON object of ``edge day``: all bays together, and each; ``with_told``: also what each told, one by one."""
    events: Counter[str] = Counter()
    blind: Counter[str] = Counter()
    camera: Counter[str] = Counter()
    for score in scores:
        events.update(score.events)
        camera.update(score.camera)
        blind.update({reason: round(1000 * hours) for reason, hours in score.blind_h.items()})
    known_h = sum(score.known_h for score in scores)
    days = sum(score.hours for score in scores) / 24
    bays = []
    for score in scores:
        bay = asdict(score)
        del bay["take"]
        if not with_told:
            del bay["told"]
        bays.append({"name": score.take.name, **bay})
    return {
        "split": split,
        "bay_days": round(days, 3),
        "slots": sum(score.slots for score in scores),
        "frames": sum(score.frames for score in scores),
        "looked_at": sum(score.looked_at for score in scores),
        "false_events": sum(events.values()),
        "events": dict(events),
        "alerts_false": sum(score.alerts for score in scores),
        "count_changes": sum(score.count_changes for score in scores),
        "camera": dict(camera),
        "counts_wrong": round(sum(score.wrong_h for score in scores) / known_h, 4) if known_h else None,
        "wrong_at_first": sum(score.wrong_at_first for score in scores),
        "became_wrong": sum(score.became_wrong for score in scores),
        "dark_said_h": round(sum(score.dark_said_h for score in scores), 3),
        "dark_h": round(sum(score.dark_h for score in scores), 3),
        "blind_slot_h": {reason: thousandths / 1000 for reason, thousandths in blind.items()},
        "close_h": round(sum(score.close_h for score in scores), 3),
        "bays": bays,
    }

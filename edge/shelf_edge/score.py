"""How good the node is at what happens: simulated recordings with truth through the node's chain, scored.

No broker and no wall clock: a scenario is rendered once (``adapters.rendered``), every frame goes the node's way at the
camera's rate, as a live camera's JPEG would, and what follows is held against the truth (``shelf_contracts.scoring``).
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from shelf_contracts.misses import Cause, WrongCount, explain, explain_counts
from shelf_contracts.scoring import (
    CountScore,
    DoubleReaches,
    FoundCount,
    FoundEvent,
    FoundHeld,
    HeldScore,
    JudgedEvents,
    KindFigures,
    ListScore,
    alerts_from_counts,
    double_reaches,
    event_figures,
    false_alerts,
    judge_events,
    quantity_exact,
    score_counts,
    score_events,
    score_held,
    score_lists,
    with_reaches,
)
from shelf_contracts.truth import OUT_OF_PLACE
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.model_folder import locate_model
from shelf_edge.adapters.recogniser_onnx import load_recogniser
from shelf_edge.adapters.remembered import (
    RememberingDetector,
    RememberingEmbedder,
    detector_fingerprint,
    recogniser_fingerprint,
)
from shelf_edge.adapters.rendered import FPS, Rendered, Stopped, Take, rendered
from shelf_edge.adapters.store_gallery import store_gallery
from shelf_edge.core.delivery import Delivery
from shelf_edge.core.facts import SlotFact, StockFact
from shelf_edge.ports import Detector
from shelf_edge.recognising import Recognising
from shelf_edge.replay import steps
from shelf_edge.side_by_side import side_by_side

WARM_UP_S = 1.0
"""A node that has just started counts its slots first; what happens before is not asked of it."""
_ALERT_GRACE_S = 10.0
_DAY_S = 86_400.0
_RENDER_SHARE = 0.4
"""Of a take's progress; the rest is the replay."""

OnProgress = Callable[[int, float, str], None]
"""Told: the take's place in the list, its share done (0 to 1), what it is at."""


@dataclass(frozen=True)
class TakeScore:
    """One recording, scored."""

    take: Take
    seed: int
    frames: int
    looked_at: int
    span_s: float
    judged: JudgedEvents
    counts: CountScore
    lists: ListScore
    doubles: DoubleReaches
    held: HeldScore
    alerts: int
    alerts_false: int
    causes: tuple[Cause, ...]
    wrong_counts: tuple[WrongCount, ...]


def score_takes(
    takes: Sequence[Take],
    cache: Path,
    model: Path,
    *,
    recogniser: Path | None = None,
    score_threshold: float | None = None,
    workers: int = 2,
    on_progress: OnProgress = lambda place, share, text: None,
) -> list[TakeScore]:
    """Score recordings, ``workers`` at a time, in the order of ``takes``; equal arguments give equal scores.

    Args:
        recogniser: a model folder; all that the simulated store sells is enrolled. None: products are not recognised.
    Raises: FileProblems; KeyboardInterrupt, when nothing half-written is left behind.
    """
    files = locate_model(model)
    mark = detector_fingerprint(files, score_threshold)
    sight_files = None if recogniser is None else locate_model(recogniser)
    stop = threading.Event()

    def score_one(place: int, take: Take) -> TakeScore:
        def rendering(frames: int) -> None:
            on_progress(place, _RENDER_SHARE * frames / max(1, take.frames), "rendering")

        recording = rendered(take, cache, stop, rendering)

        def replaying(frame: int) -> None:
            if stop.is_set():
                raise Stopped(take.name)
            if frame % 12 == 0:
                share = _RENDER_SHARE + (1 - _RENDER_SHARE) * frame / max(1, take.frames)
                on_progress(place, share, "replaying")

        def load() -> Detector:
            return load_detector(model, threads=1, score_threshold=score_threshold, tells_faint=True)

        detector = RememberingDetector(recording.folder / f"detections-{mark}.seen", load)
        embedder, recognising = None, None
        if recogniser is not None and sight_files is not None:
            sight_mark = recogniser_fingerprint(sight_files)
            embedder = RememberingEmbedder(
                recording.folder / f"vectors-{sight_mark}.seen", sight_files, partial(load_recogniser, recogniser)
            )
            on_progress(place, _RENDER_SHARE, "enrolling")
            recognising = Recognising(embedder, embedder.calibration)
            recognising.use(store_gallery(take, cache, embedder, sight_mark, stop))
        try:
            scored = score_recording(take, recording, detector, replaying, recognising)
        finally:
            detector.keep()
            if embedder is not None:
                embedder.keep()
        on_progress(place, 1.0, "done")
        return scored

    return side_by_side(score_one, takes, workers, stop)


def score_recording(
    take: Take,
    recording: Rendered,
    detector: Detector,
    on_frame: Callable[[int], None] = lambda number: None,
    recognising: Recognising | None = None,
) -> TakeScore:
    """One recording through the chain and against its truth. Raises: FileProblems."""
    planogram, log, note = recording.planogram(), recording.truth(), recording.note
    camera = planogram.views[0].camera
    events: list[FoundEvent] = []
    counts: list[FoundCount] = []
    held: list[FoundHeld] = []
    frames = looked_at = 0
    delivery = Delivery(note.fps, take.delivery)
    for step in steps(recording.pictures, planogram, camera, detector, note.fps, recognising, delivery):
        frames += 1
        looked_at += step.detections is not None
        for fact in step.facts:
            if isinstance(fact, SlotFact):
                kind = fact.cause if fact.cause in OUT_OF_PLACE else fact.action
                events.append(FoundEvent(kind, note.bay, fact.slot, fact.quantity, fact.captured_s))
            elif isinstance(fact, StockFact):
                seen = fact.observation
                count = None if fact.level == "unknown" else seen.count
                counts.append(FoundCount(note.bay, fact.slot, fact.captured_s, count, seen.low, seen.high))
        captured_s = step.frame.captured_s
        events += [
            FoundEvent("misplaced", note.bay, change.slot, 1, captured_s)
            for change in step.sights
            for _ in change.misplaced
        ]
        held += [FoundHeld(one.seen.gtin, captured_s) for one in step.held if one.seen.gtin is not None]
        on_frame(step.frame.number)
    begin_s, end_s = delivery.start_s + WARM_UP_S, note.seconds
    scored = score_events(with_reaches(log.events), events, sights=log.sights)
    judged = judge_events(scored, log.counts, begin_s, end_s, log.sights)
    marks = {(note.bay, position.id): position.min_presentation for position in planogram.positions}
    alerts = alerts_from_counts(counts, marks, end_s)
    return TakeScore(
        take=take,
        seed=note.seed,
        frames=frames,
        looked_at=looked_at,
        span_s=end_s - begin_s,
        judged=judged,
        counts=score_counts(log.counts, log.sights, counts, begin_s=begin_s, end_s=end_s),
        lists=score_lists(log.counts, log.sights, counts, begin_s=begin_s, end_s=end_s),
        doubles=double_reaches(scored, begin_s, end_s, log.counts),
        held=score_held(log.events, held, begin_s, end_s),
        alerts=len(alerts),
        alerts_false=len(false_alerts(alerts, log.counts, marks, recent_s=_ALERT_GRACE_S)),
        causes=tuple(explain(judged, log, counts)),
        wrong_counts=tuple(explain_counts(log, counts, begin_s, end_s)),
    )


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds; null when there was nothing."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True)
class Figures:
    """Of one scenario or of several; field names are the JSON keys. Shares are null when there was nothing to share.

    Attributes:
        recordings, bay_seconds: how much was scored; looked_at: share of the frames that the detector saw.
        events: by kind, and ``pick+put``; quantity_exact: of events that were told rightly.
        counts_*: of slot-time not occluded and settled for 1.5 s; in_range: the range held the truth;
            wrong: a count was said and was not the true one (``unknown`` is not wrong).
        list_exact: share of the time in which every slot (not occluded, settled) was exact; strict: all, always.
        false_changes: picks, puts, restocks and misplaced ones told falsely; alerts: low-stock ones a shop would have
            heard.
        held_*: products in hands: share of the picks whose product was told while it was carried off (told) and during
            which another one was told (mistaken); share of what was told that a hand carried then (precision).
        double_reaches: two hands in two slots at once, and both told and no third.
        hand_to_reach_ms: from the hand's coming into the slot; change_to_event_ms: from the slot's change.
        causes: of misses and false events, the commonest first.
        wrong_count_s: seconds of slot-time with a wrong count, by since when it was wrong.
    """

    recordings: int
    bay_seconds: float
    looked_at: float
    events: dict[str, KindFigures]
    quantity_exact: float | None
    counts_exact: float | None
    counts_within_one: float | None
    counts_in_range: float | None
    counts_known: float | None
    counts_wrong: float | None
    list_exact: float | None
    list_exact_strict: float | None
    false_changes: int
    false_changes_per_bay_day: float
    alerts: int
    alerts_false: int
    alerts_false_per_bay_day: float
    double_reaches: int
    double_reaches_right: float | None
    held_picks: int
    held_told: float | None
    held_mistaken: float | None
    held_messages: int
    held_precision: float | None
    hand_to_reach_ms: Percentiles
    change_to_event_ms: Percentiles
    causes: dict[str, int]
    wrong_count_s: dict[str, float]


def figures_of(scores: Sequence[TakeScore]) -> Figures:
    """Everything over all recordings; shares are weighed by what they are shares of."""
    judged = [score.judged for score in scores]
    hits = [hit for run in judged for hit in run.hits]
    span_s = sum(score.span_s for score in scores)
    doubles = sum(score.doubles.happened for score in scores)
    quiet = {"reach", *OUT_OF_PLACE}
    false_changes = sum(extra.kind not in quiet for run in judged for extra in run.extras)
    alerts_false = sum(score.alerts_false for score in scores)
    held = HeldScore(*(sum(getattr(score.held, one.name) for score in scores) for one in fields(HeldScore)))
    causes = Counter(f"{cause.wrong} {cause.kind}: {cause.cause}" for score in scores for cause in score.causes)

    def weighed(name: str) -> float | None:
        known = [(score.counts.settled_s, getattr(score.counts, name)) for score in scores]
        return _share(sum(s * v for s, v in known if v is not None), sum(s for s, v in known if v is not None))

    return Figures(
        recordings=len(scores),
        bay_seconds=round(span_s, 3),
        looked_at=_share(sum(s.looked_at for s in scores), sum(s.frames for s in scores)) or 0.0,
        events=event_figures(judged),
        quantity_exact=quantity_exact(judged),
        counts_exact=weighed("exact"),
        counts_within_one=weighed("within_one"),
        counts_in_range=weighed("in_range"),
        counts_known=weighed("known"),
        counts_wrong=_less(weighed("known"), weighed("exact")),
        list_exact=_share(sum(score.lists.exact_s for score in scores), span_s),
        list_exact_strict=_share(sum(score.lists.strict_s for score in scores), span_s),
        false_changes=false_changes,
        false_changes_per_bay_day=round(false_changes * _DAY_S / span_s, 1) if span_s else 0.0,
        alerts=sum(score.alerts for score in scores),
        alerts_false=alerts_false,
        alerts_false_per_bay_day=round(alerts_false * _DAY_S / span_s, 1) if span_s else 0.0,
        double_reaches=doubles,
        double_reaches_right=_share(sum(score.doubles.right for score in scores), doubles),
        held_picks=held.picks,
        held_told=_share(held.told, held.picks),
        held_mistaken=_share(held.mistaken, held.picks),
        held_messages=held.messages,
        held_precision=_share(held.right, held.messages),
        hand_to_reach_ms=_percentiles(h.found.at_s - h.truth.begin_s for h in hits if h.truth.kind == "reach"),
        change_to_event_ms=_percentiles(h.delay_s for h in hits if h.truth.kind != "reach"),
        causes=dict(sorted(causes.items(), key=lambda item: (-item[1], item[0]))),
        wrong_count_s=_seconds_by_cause(wrong for score in scores for wrong in score.wrong_counts),
    )


def report_of(
    scores: Sequence[TakeScore],
    *,
    split: str,
    seconds: float,
    model: Path,
    score_threshold: float | None,
    recogniser: Path | None = None,
) -> dict[str, object]:
    """The JSON object of ``edge score``."""
    manifest = locate_model(model).manifest
    sight = None if recogniser is None else locate_model(recogniser).manifest
    names = list(dict.fromkeys(score.take.scenario for score in scores))
    by_name = {name: figures_of([score for score in scores if score.take.scenario == name]) for name in names}
    return {
        "split": split,
        "seconds": seconds,
        "seeds": sorted({score.seed for score in scores}),
        "fps": FPS,
        "model": {"name": manifest.name, "version": manifest.version, "sha256": manifest.sha256},
        "recogniser": None if sight is None else {"name": sight.name, "version": sight.version, "sha256": sight.sha256},
        "score_threshold": manifest.score_threshold if score_threshold is None else score_threshold,
        "scenarios": {name: asdict(figures) for name, figures in by_name.items()},
        "all": asdict(figures_of(scores)),
    }


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _seconds_by_cause(wrong: Iterable[WrongCount]) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    for one in wrong:
        seconds[one.cause] += one.lasts_s
    return {cause: round(lasts, 1) for cause, lasts in sorted(seconds.items())}


def _less(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else round(value - other, 4)


def _percentiles(seconds: Iterable[float]) -> Percentiles:
    values = np.array(list(seconds)) * 1000
    if not len(values):
        return Percentiles(None, None)
    p50, p95 = np.percentile(values, [50, 95])
    return Percentiles(round(float(p50), 1), round(float(p95), 1))

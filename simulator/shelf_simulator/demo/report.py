"""A measured run in figures: what was said on MQTT and on displays against what happened in the simulator."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import httpx
import numpy as np

from shelf_contracts.envelope import SlotHappening, StockLevelEvent, node_source
from shelf_contracts.files import read_model
from shelf_contracts.planogram import Planogram
from shelf_simulator.adapters.truth_files import TruthLog, read_truth
from shelf_simulator.core.score import (
    LATE_S,
    EventScore,
    FoundCount,
    FoundEvent,
    RaisedAlert,
    false_alerts,
    score_counts,
    score_events,
)
from shelf_simulator.core.truth import KINDS, CountChanged, TruthEvent
from shelf_simulator.demo.children import Children
from shelf_simulator.demo.observer import HeardAlert, HeardMessage, Observer
from shelf_simulator.demo.screens import HeadlessDisplay, Shown
from shelf_simulator.demo.shop import NODE, STORE, Shop

_SETTLE_S = 4.0
_PAUSE_S = 0.2
_ALERT_GRACE_S = 10.0
"""An alert is right when its slot was low at any time in the last seconds: rules wait before they speak."""


@dataclass(frozen=True)
class KindFigures:
    """One kind of event; shares are null when there was nothing to divide by."""

    truth: int
    found: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class CountFigures:
    """Shares of slot-time that was not occluded (and 1.5 s of settling after a change, but for ``strict``)."""

    exact: float | None
    within_one: float | None
    exact_strict: float | None
    within_one_strict: float | None
    in_range: float | None
    known: float | None


@dataclass(frozen=True)
class AlertFigures:
    raised: int
    cleared: int
    false: int


@dataclass(frozen=True)
class LatencyFigures:
    """Milliseconds. ``reach_to_*`` count from the capture of the frame that decided the reach; ``hand_to_display``
    counts from the moment the hand was in the slot in the simulator's world, confirmation frames included."""

    reach_to_event_p50: float | None
    reach_to_event_p95: float | None
    reach_to_display_p50: float | None
    reach_to_display_p95: float | None
    hand_to_display_p50: float | None
    hand_to_display_p95: float | None


@dataclass(frozen=True)
class FrameFigures:
    seen: int
    dropped: int


@dataclass(frozen=True)
class MessageFigures:
    """``published``: sequence numbers the node gave; ``lost``: those the collector never got."""

    published: int
    applied: int
    lost: int
    duplicates: int


@dataclass(frozen=True)
class DemoReport:
    """The report of ``smartshelf demo --headless``; field names are its JSON keys."""

    seconds: float
    seed: int
    bays: int
    broker: str
    events: dict[str, KindFigures]
    quantity_exact: float | None
    counts: CountFigures
    alerts: AlertFigures
    latency_ms: LatencyFigures
    frames: FrameFigures
    messages: MessageFigures
    rss_mb: dict[str, float]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def summary(self) -> list[str]:
        """The report in a few lines for people."""
        both, late, said = self.events["pick+put"], self.latency_ms, self.messages
        return [
            f"pick+put: {both.truth} happened, {both.found} told; recall {_share(both.recall)}, "
            f"precision {_share(both.precision)}; quantity right {_share(self.quantity_exact)}",
            f"counts: exact {_share(self.counts.exact)}, within one {_share(self.counts.within_one)}, "
            f"in range {_share(self.counts.in_range)}",
            f"alerts: {self.alerts.raised} raised, {self.alerts.cleared} cleared, {self.alerts.false} false",
            f"reach to display: p50 {late.reach_to_display_p50} ms, p95 {late.reach_to_display_p95} ms "
            f"(from the hand itself p95 {late.hand_to_display_p95} ms)",
            f"messages: {said.published} published, {said.applied} applied, {said.lost} lost; "
            f"frames: {self.frames.seen} seen, {self.frames.dropped} dropped",
            "memory: " + ", ".join(f"{name} {mb:.0f} MB" for name, mb in self.rss_mb.items()),
        ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def measure(
    shop: Shop,
    children: Children,
    observer: Observer,
    displays: Sequence[HeadlessDisplay],
    from_s: float,
    to_s: float,
) -> DemoReport:
    """Score the span ``from_s..to_s`` (seconds since the epoch). The node has stopped; the collector still answers.

    Raises: FileProblems when the truth cannot be read.
    """
    audit = _settled_audit(shop)
    messages, alerts, health = observer.heard()
    truth = _all_truth(shop)
    scored = score_events(with_reaches(truth.events), found_events(messages))
    shown = [one for display in displays for one in display.shown if from_s <= one.captured_s <= to_s]
    counts = score_counts(truth.counts, truth.sights, found_counts(messages), begin_s=from_s, end_s=to_s)
    return DemoReport(
        seconds=round(to_s - from_s, 1),
        seed=shop.seed,
        bays=len(shop.bays),
        broker=shop.broker,
        events=event_figures(scored, truth.counts, from_s, to_s),
        quantity_exact=_rounded(scored.quantity_exact),
        counts=CountFigures(
            exact=_rounded(counts.exact),
            within_one=_rounded(counts.within_one),
            exact_strict=_rounded(counts.exact_strict),
            within_one_strict=_rounded(counts.within_one_strict),
            in_range=_rounded(counts.in_range),
            known=_rounded(counts.known),
        ),
        alerts=_alert_figures(shop, truth, alerts, from_s, to_s),
        latency_ms=_latencies(messages, shown, scored, from_s, to_s),
        frames=FrameFigures(
            seen=sum(camera.frames_seen for camera in health.cameras) if health else 0,
            dropped=sum(camera.frames_dropped for camera in health.cameras) if health else 0,
        ),
        messages=_message_figures(messages, audit),
        rss_mb=children.rss_mb,
    )


def found_events(messages: Iterable[HeardMessage]) -> list[FoundEvent]:
    """What the node told, each at the capture time of the frame that decided it."""
    return [
        FoundEvent(
            kind=event.action,
            bay=heard.bay,
            slot=heard.slot,
            quantity=event.quantity,
            at_s=event.captured_at.timestamp(),
            captured_at_s=event.captured_at.timestamp(),
        )
        for heard in messages
        if isinstance(heard.message, SlotHappening)
        for event in (heard.message.data,)
    ]


def found_counts(messages: Iterable[HeardMessage]) -> list[FoundCount]:
    """What the node said its slots hold."""
    return [
        FoundCount(
            bay=heard.bay,
            slot=heard.slot,
            t_s=level.observed_at.timestamp(),
            count=level.count,
            low=level.count_low,
            high=level.count_high,
        )
        for heard in messages
        if isinstance(heard.message, StockLevelEvent)
        for level in (heard.message.data,)
    ]


def event_figures(
    scored: EventScore, counts: Sequence[CountChanged], from_s: float, to_s: float
) -> dict[str, KindFigures]:
    """Figures by kind, and of picks and puts together, for the events that could be told within the span.

    Everything was matched; counted is a true event whose whole window lies in the span, and a false one told in it. So
    an event at the edge of the span is neither a miss nor a false alarm. The same holds for what is told of a touch
    that the truth has not told by the end, because people still stand before the slot.
    """
    hits: dict[str, int] = dict.fromkeys(KINDS, 0)
    misses, extras = dict(hits), dict(hits)
    for match in scored.matches:
        hits[match.truth.kind] += from_s <= match.truth.begin_s and match.truth.clear_s + LATE_S <= to_s
    for missed in scored.missed:
        misses[missed.kind] += from_s <= missed.begin_s and missed.clear_s + LATE_S <= to_s
    for told in scored.extra:
        excused = _is_same_visit(told, scored) or _is_misplaced(told, scored) or _is_unfinished(told, scored, counts)
        if from_s <= told.at_s <= to_s and not excused:
            extras[told.kind] += 1
    groups = {kind: [kind] for kind in KINDS} | {"pick+put": ["pick", "put"]}
    figures = {}
    for name, kinds in groups.items():
        hit, miss, extra = (sum(part[kind] for kind in kinds) for part in (hits, misses, extras))
        figures[name] = KindFigures(
            truth=hit + miss,
            found=hit + extra,
            precision=_rounded(hit / (hit + extra)) if hit + extra else None,
            recall=_rounded(hit / (hit + miss)) if hit + miss else None,
        )
    return figures


def with_reaches(events: Iterable[TruthEvent]) -> list[TruthEvent]:
    """The simulator tells a reach of its own only when nothing else came of it; every touch begins with one."""
    told = list(events)
    return told + [replace(event, kind="reach", quantity=0) for event in told if event.kind != "reach"]


def _is_misplaced(told: FoundEvent, scored: EventScore) -> bool:
    """A node without a recogniser tells a strange item put into a slot as ``put``: the misplaced item is a miss, the
    put is not false as well."""
    return told.kind == "put" and any(
        missed.kind == "misplaced"
        and (missed.bay, missed.slot) == (told.bay, told.slot)
        and missed.begin_s <= told.at_s <= missed.clear_s + LATE_S
        for missed in scored.missed
    )


_UNFINISHED_WITHIN_S = 10.0


def _is_unfinished(told: FoundEvent, scored: EventScore, counts: Sequence[CountChanged]) -> bool:
    """The slot's count did change that way shortly before, by a touch that no true event stands for yet."""
    if told.kind not in {"pick", "put", "restock"}:
        return False
    here = [change for change in counts if (change.bay, change.slot) == (told.bay, told.slot)]
    truth = [*(match.truth for match in scored.matches), *scored.missed]
    known = [event for event in truth if (event.bay, event.slot) == (told.bay, told.slot)]
    for before, after in pairwise(sorted(here, key=lambda change: change.t_s)):
        is_that_way = after.count < before.count if told.kind == "pick" else after.count > before.count
        is_recent = told.at_s - _UNFINISHED_WITHIN_S <= after.t_s <= told.at_s
        is_told = any(event.begin_s <= after.t_s <= event.clear_s for event in known)
        if is_that_way and is_recent and not is_told:
            return True
    return False


def _is_same_visit(told: FoundEvent, scored: EventScore) -> bool:
    """A hand that leaves for a moment and comes back within one touch (staff filling up) is no false reach."""
    return told.kind == "reach" and any(
        match.truth.kind == "reach"
        and (match.truth.bay, match.truth.slot) == (told.bay, told.slot)
        and match.truth.begin_s <= told.at_s <= match.truth.clear_s
        for match in scored.matches
    )


def _all_truth(shop: Shop) -> TruthLog:
    logs = [read_truth(shop.truth_folder / f"truth-{bay}.jsonl") for bay in shop.bays]
    return TruthLog(
        [event for log in logs for event in log.events],
        [count for log in logs for count in log.counts],
        [sight for log in logs for sight in log.sights],
    )


def _alert_figures(
    shop: Shop, truth: TruthLog, alerts: Sequence[HeardAlert], from_s: float, to_s: float
) -> AlertFigures:
    """An alert is raised when its topic goes from empty to an alert; a change of it is no new one."""
    low: dict[tuple[str, str], int] = {}
    for bay in shop.bays:
        plan = read_model(shop.truth_folder / f"planogram-{bay}.json", Planogram)
        low |= {(bay, position.id): position.min_presentation for position in plan.positions}
    is_open: dict[str, bool] = {}
    raised: list[RaisedAlert] = []
    cleared = 0
    for heard in alerts:
        was_open, is_open[heard.alert_id] = is_open.get(heard.alert_id, False), heard.alert is not None
        if not from_s <= heard.heard_s <= to_s:
            continue
        if heard.alert is not None and not was_open:
            raised.append(RaisedAlert(heard.alert.bay, heard.alert.slot, heard.heard_s))
        cleared += heard.alert is None and was_open
    wrong = false_alerts(raised, truth.counts, low, recent_s=_ALERT_GRACE_S)
    return AlertFigures(raised=len(raised), cleared=cleared, false=len(wrong))


def _latencies(
    messages: Sequence[HeardMessage], shown: Sequence[Shown], scored: EventScore, from_s: float, to_s: float
) -> LatencyFigures:
    to_event = [
        heard.heard_s - heard.message.data.captured_at.timestamp()
        for heard in messages
        if isinstance(heard.message, SlotHappening)
        and heard.message.data.action == "reach"
        and from_s <= heard.heard_s <= to_s
    ]
    to_display = [one.shown_s - one.captured_s for one in shown]
    hand_came = {
        (match.found.bay, match.found.slot, round(match.found.at_s, 3)): match.truth.begin_s
        for match in scored.matches
        if match.truth.kind == "reach"
    }
    from_hand = [
        one.shown_s - came_s
        for one in shown
        if (came_s := hand_came.get((one.display, one.slot, round(one.captured_s, 3)))) is not None
    ]
    return LatencyFigures(
        *_percentiles(to_event),
        *_percentiles(to_display),
        *_percentiles(from_hand),
    )


def _percentiles(seconds: Sequence[float]) -> tuple[float | None, float | None]:
    """Median and 95th percentile in ms."""
    if not seconds:
        return None, None
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return round(float(p50), 1), round(float(p95), 1)


@dataclass(frozen=True)
class _Audit:
    last: int
    applied: int
    lost: int
    duplicates: int


def _settled_audit(shop: Shop) -> _Audit:
    """The collector's books of the node, once they no longer change."""
    deadline_s = time.monotonic() + _SETTLE_S
    before = _Audit(0, 0, 0, 0)
    while time.monotonic() < deadline_s:
        now = _audit(shop)
        if now.applied and now == before:
            return now
        before = now
        time.sleep(_PAUSE_S)
    return before


def _audit(shop: Shop) -> _Audit:
    wanted = node_source(STORE, NODE)
    try:
        sources = httpx.get(f"{shop.web}/api/v1/audit", timeout=2.0).json()["sources"]
    except (httpx.HTTPError, ValueError, KeyError):
        return _Audit(0, 0, 0, 0)
    for source in sources:
        if source["source"] == wanted:
            return _Audit(source["last"], source["applied"], source["lost"], source["duplicates"])
    return _Audit(0, 0, 0, 0)


def _message_figures(messages: Sequence[HeardMessage], audit: _Audit) -> MessageFigures:
    """Two witnesses: what the observer heard the node number, and what the collector's books say."""
    numbers = [heard.message.sequence_number for heard in messages]
    if not numbers:
        return MessageFigures(0, audit.applied, audit.lost, audit.duplicates)
    last = max(*numbers, audit.last)
    published = last - min(numbers) + 1
    return MessageFigures(
        published=published,
        applied=audit.applied,
        lost=max(audit.lost, published - audit.applied),
        duplicates=audit.duplicates,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

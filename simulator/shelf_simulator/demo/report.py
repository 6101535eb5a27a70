"""A measured run in figures: what was said on MQTT and on displays against what happened in the simulator."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import httpx
import numpy as np

from shelf_contracts.envelope import SlotHappening, StockLevelEvent, node_source
from shelf_contracts.files import read_model
from shelf_contracts.planogram import Planogram
from shelf_contracts.scoring import (
    EventScore,
    FoundCount,
    FoundEvent,
    KindFigures,
    RaisedAlert,
    event_figures,
    false_alerts,
    judge_events,
    score_counts,
    score_events,
    with_reaches,
)
from shelf_contracts.truth import TruthLog, read_truth
from shelf_simulator.demo.children import Children
from shelf_simulator.demo.observer import HeardAlert, HeardMessage, Observer
from shelf_simulator.demo.screens import HeadlessDisplay, Shown
from shelf_simulator.demo.shop import NODE, STORE, Shop

_SETTLE_S = 4.0
_PAUSE_S = 0.2
_TOO_MANY_DROPPED = 0.1
_ALERT_GRACE_S = 10.0
"""An alert is right when its slot was low at any time in the last seconds: rules wait before they speak."""


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
    """``dropped``: of those seen, never looked at, for the node was still busy with another."""

    seen: int
    dropped: int

    @property
    def were_too_many(self) -> bool:
        return self.dropped > _TOO_MANY_DROPPED * self.seen


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
            *self._overload(),
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

    def _overload(self) -> list[str]:
        if not self.frames.were_too_many:
            return []
        return [
            f"this machine was too busy: {self.frames.dropped} of {self.frames.seen} frames could not be looked at, so "
            "picks and reaches are missed that an idle one sees; stop other programs, or ask for fewer --bays"
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
        events=event_figures([judge_events(scored, truth.counts, from_s, to_s)]),
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

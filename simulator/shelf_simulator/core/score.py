"""How well what was found agrees with what is true: events matched one to one, counts weighed by time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shelf_simulator.core.truth import KINDS, CountChanged, EventKind, SightChanged, TruthEvent

EARLY_S = 0.3
LATE_S = 1.5
SETTLE_S = 1.5


@dataclass(frozen=True)
class FoundEvent:
    """An event that a node reported. ``at_s`` is when it says it happened, ``captured_at_s`` the frame's time."""

    kind: str
    bay: str
    slot: str
    quantity: int | None
    at_s: float
    captured_at_s: float | None = None


@dataclass(frozen=True)
class FoundCount:
    """A slot's count as reported from ``t_s`` on; None when the node says that it does not know."""

    bay: str
    slot: str
    t_s: float
    count: int | None
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class KindScore:
    """One kind of event. Shares are None when nothing was there to divide by."""

    kind: EventKind
    truth: int
    found: int
    matched: int

    @property
    def precision(self) -> float | None:
        return self.matched / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        return self.matched / self.truth if self.truth else None


@dataclass(frozen=True)
class Match:
    """A found event and the true one it stands for. ``delay_s`` counts from when the slot had changed."""

    truth: TruthEvent
    found: FoundEvent

    @property
    def delay_s(self) -> float:
        return self.found.at_s - self.truth.done_s


@dataclass(frozen=True)
class EventScore:
    """All kinds, the matches, and what was left over on either side."""

    kinds: Mapping[EventKind, KindScore]
    matches: Sequence[Match]
    missed: Sequence[TruthEvent]
    extra: Sequence[FoundEvent]

    @property
    def quantity_exact(self) -> float | None:
        """Share of matched events with a quantity (all but reaches) whose quantity is right."""
        counted = [match for match in self.matches if match.truth.kind != "reach"]
        right = sum(match.found.quantity == match.truth.quantity for match in counted)
        return right / len(counted) if counted else None


@dataclass(frozen=True)
class CountScore:
    """Shares of slot-time in which the reported count was right; None when there was no such time.

    ``exact`` and ``within_one`` leave out occluded time and 1.5 s after an occlusion ends or a count changes; the
    strict ones leave out occluded time only. A count that is not known is wrong. ``in_range`` asks whether low..high
    held the truth, in settled time; ``known`` is the share of settled time with a count.
    """

    settled_s: float
    strict_s: float
    exact: float | None
    within_one: float | None
    exact_strict: float | None
    within_one_strict: float | None
    in_range: float | None
    known: float | None


def score_events(
    truth: Iterable[TruthEvent], found: Iterable[FoundEvent], *, early_s: float = EARLY_S, late_s: float = LATE_S
) -> EventScore:
    """Match events of the same kind, bay and slot one to one.

    A found event may stand for a true one if its ``at_s`` lies from ``early_s`` before the hand came to ``late_s``
    after the slot was clear. As many as possible are matched: true events in the order in which their windows end take
    the earliest found event that fits (optimal for windows that end in the order in which they begin).
    Found events of kinds that are not in the truth's vocabulary are ignored.
    """
    all_truth, all_found = list(truth), [event for event in found if event.kind in KINDS]
    waiting: dict[tuple[str, str, str], list[FoundEvent]] = defaultdict(list)
    for event in sorted(all_found, key=lambda event: event.at_s):
        waiting[event.kind, event.bay, event.slot].append(event)
    matches: list[Match] = []
    missed: list[TruthEvent] = []
    for true in sorted(all_truth, key=lambda event: (event.clear_s, event.begin_s)):
        candidates = waiting[true.kind, true.bay, true.slot]
        fitting = next((f for f in candidates if true.begin_s - early_s <= f.at_s <= true.clear_s + late_s), None)
        if fitting is None:
            missed.append(true)
        else:
            candidates.remove(fitting)
            matches.append(Match(true, fitting))
    kinds = {
        kind: KindScore(
            kind,
            sum(event.kind == kind for event in all_truth),
            sum(event.kind == kind for event in all_found),
            sum(match.truth.kind == kind for match in matches),
        )
        for kind in KINDS
    }
    extra = [event for events in waiting.values() for event in events]
    extra.sort(key=lambda event: event.at_s)
    return EventScore(kinds, matches, missed, extra)


class Timeline:
    """A value that changes at known times; before the first change it is ``None``."""

    def __init__(self, changes: Iterable[tuple[float, object]]) -> None:
        ordered = sorted(changes, key=lambda change: change[0])
        self.times = [time for time, _ in ordered]
        self._values = [value for _, value in ordered]

    def at(self, t_s: float) -> object:
        place = bisect_right(self.times, t_s)
        return self._values[place - 1] if place else None


def score_counts(
    truth: Iterable[CountChanged],
    sights: Iterable[SightChanged],
    found: Iterable[FoundCount],
    *,
    begin_s: float,
    end_s: float,
    settle_s: float = SETTLE_S,
) -> CountScore:
    """Weigh by time, over all slots that the truth knows, from ``begin_s`` to ``end_s``.

    Raises: ValueError when the span is empty.
    """
    if end_s <= begin_s:
        raise ValueError(f"the span {begin_s:g}..{end_s:g} s is empty")
    true_changes: dict[tuple[str, str], list[CountChanged]] = defaultdict(list)
    for change in truth:
        true_changes[change.bay, change.slot].append(change)
    covered: dict[tuple[str, str], list[SightChanged]] = defaultdict(list)
    for sight in sights:
        covered[sight.bay, sight.slot].append(sight)
    reported: dict[tuple[str, str], list[FoundCount]] = defaultdict(list)
    for count in found:
        reported[count.bay, count.slot].append(count)
    sums: dict[str, float] = defaultdict(float)
    for slot, changes in true_changes.items():
        _add_slot(sums, changes, covered[slot], reported[slot], begin_s, end_s, settle_s)

    def share(part: str, whole: str) -> float | None:
        return sums[part] / sums[whole] if sums[whole] > 0 else None

    return CountScore(
        settled_s=sums["settled"],
        strict_s=sums["strict"],
        exact=share("exact", "settled"),
        within_one=share("within_one", "settled"),
        exact_strict=share("exact_strict", "strict"),
        within_one_strict=share("within_one_strict", "strict"),
        in_range=share("in_range", "settled"),
        known=share("known", "settled"),
    )


def _add_slot(
    sums: dict[str, float],
    changes: Sequence[CountChanged],
    sights: Sequence[SightChanged],
    reported: Sequence[FoundCount],
    begin_s: float,
    end_s: float,
    settle_s: float,
) -> None:
    true_count = Timeline((change.t_s, change.count) for change in changes)
    occluded = Timeline((sight.t_s, sight.occluded) for sight in sights)
    said = Timeline((count.t_s, count) for count in reported)
    unsettled = [change.t_s for change in changes[1:]] + [sight.t_s for sight in sights if not sight.occluded]
    unsettled.sort()
    edges = {begin_s, end_s, *true_count.times, *occluded.times, *said.times, *(t + settle_s for t in unsettled)}
    ordered = [edge for edge in sorted(edges) if begin_s <= edge <= end_s]
    for start, end in pairwise(ordered):
        count = true_count.at(start)
        if not isinstance(count, int) or occluded.at(start):
            continue
        lasts = end - start
        report = said.at(start)
        value = report.count if isinstance(report, FoundCount) else None
        away = abs(value - count) if value is not None else None
        sums["strict"] += lasts
        sums["exact_strict"] += lasts * (away == 0)
        sums["within_one_strict"] += lasts * (away is not None and away <= 1)
        before = bisect_right(unsettled, start)
        if before and start - unsettled[before - 1] < settle_s - 1e-9:
            continue
        sums["settled"] += lasts
        sums["exact"] += lasts * (away == 0)
        sums["within_one"] += lasts * (away is not None and away <= 1)
        sums["known"] += lasts * (value is not None)
        if isinstance(report, FoundCount) and report.low is not None and report.high is not None:
            sums["in_range"] += lasts * (report.low <= count <= report.high)
        else:
            sums["in_range"] += lasts * (away == 0)


@dataclass(frozen=True)
class RaisedAlert:
    """An alert that a slot is low or out, raised at ``at_s``."""

    bay: str
    slot: str
    at_s: float


def false_alerts(
    alerts: Iterable[RaisedAlert],
    truth: Iterable[CountChanged],
    thresholds: Mapping[tuple[str, str], int],
    *,
    recent_s: float = 0.0,
) -> list[RaisedAlert]:
    """Alerts raised while the true count was above the slot's threshold, and had been for ``recent_s``.

    Args:
        thresholds: by (bay, slot): at or below this count an alert is right.
        recent_s: an alert this long after the slot was refilled still counts as right.
    """
    changes: dict[tuple[str, str], list[tuple[float, object]]] = defaultdict(list)
    for change in truth:
        changes[change.bay, change.slot].append((change.t_s, change.count))
    wrong = []
    for alert in alerts:
        key = (alert.bay, alert.slot)
        timeline, threshold = Timeline(changes[key]), thresholds.get(key, 0)
        moments = [
            alert.at_s,
            *(t for t in timeline.times if alert.at_s - recent_s <= t < alert.at_s),
            alert.at_s - recent_s,
        ]
        counts = [timeline.at(moment) for moment in moments]
        if not any(isinstance(count, int) and count <= threshold for count in counts):
            wrong.append(alert)
    return wrong

"""How well what was found agrees with what is true: events matched one to one, counts weighed by time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

from shelf_contracts.truth import KINDS, OUT_OF_PLACE, CountChanged, EventKind, SightChanged, TruthEvent

EARLY_S = 0.3
LATE_S = 1.5
SETTLE_S = 1.5
LATEST_S = 6.0
LASTING_LATE_S, LASTING_LATEST_S = 10.0, 20.0
"""Of what has to last before it is told, because it may right itself."""


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
class FoundHeld:
    """A product that a node said a hand holds, in a frame of that time."""

    gtin: str
    at_s: float


@dataclass(frozen=True)
class HeldScore:
    """What hands hold, as it was told. Sums of runs are sums of the fields.

    ``told``: picks whose product was told while it was carried off; ``mistaken``: those during which a product was told
    that nobody carried. ``messages`` in all, ``right`` ones among them: of something that a hand carried then.
    """

    picks: int
    told: int
    mistaken: int
    messages: int
    right: int


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


def window_ends(
    true: TruthEvent, sights: Iterable[SightChanged], late_s: float = LATE_S, latest_s: float = LATEST_S
) -> float:
    """When a true event's window ends: ``late_s`` of sight after the slot was clear.

    While others stand before the slot again nobody can see what happened there, so that time is not asked for; but no
    window is longer than ``latest_s`` after the slot was clear. What lies or was pushed back has 10 and 20 s.
    """
    if true.kind in OUT_OF_PLACE:
        late_s, latest_s = LASTING_LATE_S, LASTING_LATEST_S
    changes = sorted(
        (sight for sight in sights if (sight.bay, sight.slot) == (true.bay, true.slot)), key=lambda sight: sight.t_s
    )
    at_s, left_s, occluded = true.clear_s, late_s, False
    for change in changes:
        if change.t_s > at_s:
            if not occluded and change.t_s - at_s >= left_s:
                break
            left_s -= 0.0 if occluded else change.t_s - at_s
            at_s = change.t_s
        occluded = change.occluded
    end_s = at_s + left_s if not occluded else true.clear_s + latest_s
    return min(end_s, true.clear_s + latest_s)


def score_events(
    truth: Iterable[TruthEvent], found: Iterable[FoundEvent], *, early_s: float = EARLY_S, late_s: float = LATE_S,
    sights: Iterable[SightChanged] = (),
) -> EventScore:  # fmt: skip
    """Match events of the same kind, bay and slot one to one.

    A found event may stand for a true one if its ``at_s`` lies from ``early_s`` before the hand came to ``late_s``
    after the slot was clear; with ``sights``, time in which it is covered again is not counted (``window_ends``). As
    many as possible are matched: true events in the order in which their windows end take the earliest found event that
    fits (optimal for windows that end in the order in which they begin). Found events of kinds that are not in the
    truth's vocabulary are ignored.
    """
    all_truth, all_found = list(truth), [event for event in found if event.kind in KINDS]
    seen = list(sights)
    ends = {id(true): window_ends(true, seen, late_s) for true in all_truth}
    waiting: dict[tuple[str, str, str], list[FoundEvent]] = defaultdict(list)
    for event in sorted(all_found, key=lambda event: event.at_s):
        waiting[event.kind, event.bay, event.slot].append(event)
    matches: list[Match] = []
    missed: list[TruthEvent] = []
    for true in sorted(all_truth, key=lambda event: (ends[id(event)], event.begin_s)):
        candidates = waiting[true.kind, true.bay, true.slot]
        fitting = next((f for f in candidates if true.begin_s - early_s <= f.at_s <= ends[id(true)]), None)
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


@dataclass(frozen=True)
class KindFigures:
    """One kind of event; shares are null when there was nothing to divide by."""

    truth: int
    found: int
    precision: float | None
    recall: float | None
    f1: float | None = None


@dataclass(frozen=True)
class JudgedEvents:
    """What counts of a run: true events that were told, those that were not, and what was told falsely."""

    hits: tuple[Match, ...]
    misses: tuple[TruthEvent, ...]
    extras: tuple[FoundEvent, ...]


def judge_events(
    scored: EventScore, counts: Sequence[CountChanged], from_s: float, to_s: float, sights: Iterable[SightChanged] = ()
) -> JudgedEvents:
    """The events that could be told within the span.

    Everything was matched; counted is a true event whose whole window lies in the span, and a false one told in it. So
    an event at the edge of the span is neither a miss nor a false alarm. The same holds for what is told of a touch
    that the truth has not told by the end, because people still stand before the slot or it is not over.
    """

    seen = list(sights)

    def is_inside(true: TruthEvent) -> bool:
        return from_s <= true.begin_s and window_ends(true, seen) <= to_s

    return JudgedEvents(
        hits=tuple(match for match in scored.matches if is_inside(match.truth)),
        misses=tuple(missed for missed in scored.missed if is_inside(missed)),
        extras=tuple(
            told
            for told in scored.extra
            if from_s <= told.at_s <= to_s
            and not (
                _is_same_visit(told, scored)
                or _is_misplaced(told, scored)
                or _is_unfinished(told, scored, counts)
                or (told.kind == "reach" and told.at_s > to_s - _TOUCH_LASTS_S)
                or _is_reach_of_unfinished(told, scored, counts)
            )
        ),
    )


def event_figures(runs: Iterable[JudgedEvents]) -> dict[str, KindFigures]:
    """Figures by kind, and of picks and puts together, over all runs."""
    judged = list(runs)
    groups: dict[str, tuple[str, ...]] = {**{kind: (kind,) for kind in KINDS}, "pick+put": ("pick", "put")}
    figures = {}
    for name, kinds in groups.items():
        hit = sum(match.truth.kind in kinds for run in judged for match in run.hits)
        miss = sum(missed.kind in kinds for run in judged for missed in run.misses)
        extra = sum(told.kind in kinds for run in judged for told in run.extras)
        figures[name] = KindFigures(
            truth=hit + miss,
            found=hit + extra,
            precision=_rounded(hit / (hit + extra)) if hit + extra else None,
            recall=_rounded(hit / (hit + miss)) if hit + miss else None,
            f1=_rounded(2 * hit / (2 * hit + miss + extra)) if hit + miss + extra else None,
        )
    return figures


def quantity_exact(runs: Iterable[JudgedEvents]) -> float | None:
    """Share of the hits with a quantity (all but reaches) whose quantity is right, over all runs."""
    counted = [match for run in runs for match in run.hits if match.truth.kind != "reach"]
    right = sum(match.found.quantity == match.truth.quantity for match in counted)
    return _rounded(right / len(counted)) if counted else None


def _rounded(value: float) -> float:
    return round(value, 4)


def with_reaches(events: Iterable[TruthEvent]) -> list[TruthEvent]:
    """The simulator tells a reach of its own only when nothing else came of it; every touch begins with one."""
    told = list(events)
    return told + [replace(event, kind="reach", quantity=0) for event in told if event.kind != "reach"]


def _is_misplaced(told: FoundEvent, scored: EventScore) -> bool:
    """A strange item put into a slot is told as ``put`` too, as something was put there: no false put, whether or not
    it was recognised."""
    strange = [*scored.missed, *(match.truth for match in scored.matches)]
    return told.kind == "put" and any(
        true.kind == "misplaced"
        and (true.bay, true.slot) == (told.bay, told.slot)
        and true.begin_s <= told.at_s <= true.clear_s + LATE_S
        for true in strange
    )


_TOUCH_LASTS_S = 1.5
"""The truth tells of a touch when it is over: one that begins later than this before the end is told by no true event,
and none that is would be counted, as its window ends after the span."""
_UNFINISHED_WITHIN_S = 10.0


def _is_unfinished(told: FoundEvent, scored: EventScore, counts: Sequence[CountChanged]) -> bool:
    """The slot's count did change that way shortly before, by a touch that no true event stands for yet."""
    if told.kind not in {"pick", "put", "restock"}:
        return False
    for before, after in _changes_without_event(told, scored, counts):
        is_that_way = after.count < before.count if told.kind == "pick" else after.count > before.count
        if is_that_way and told.at_s - _UNFINISHED_WITHIN_S <= after.t_s <= told.at_s:
            return True
    return False


def _is_reach_of_unfinished(told: FoundEvent, scored: EventScore, counts: Sequence[CountChanged]) -> bool:
    """A hand was in the slot: its count changed then, by a touch that no true event stands for yet. Staff who fill a
    slot up reach into it for many seconds before the truth tells of it."""
    return told.kind == "reach" and any(
        abs(told.at_s - after.t_s) <= _TOUCH_LASTS_S for _, after in _changes_without_event(told, scored, counts)
    )


def _changes_without_event(
    told: FoundEvent, scored: EventScore, counts: Sequence[CountChanged]
) -> list[tuple[CountChanged, CountChanged]]:
    """The counts of the slot before and after each change that happened within no true event."""
    here = [change for change in counts if (change.bay, change.slot) == (told.bay, told.slot)]
    truth = [*(match.truth for match in scored.matches), *scored.missed]
    known = [event for event in truth if (event.bay, event.slot) == (told.bay, told.slot)]
    return [
        (before, after)
        for before, after in pairwise(sorted(here, key=lambda change: change.t_s))
        if not any(event.begin_s <= after.t_s <= event.clear_s for event in known)
    ]


def _is_same_visit(told: FoundEvent, scored: EventScore) -> bool:
    """A hand that leaves for a moment and comes back within one touch (staff filling up) is no false reach."""
    return told.kind == "reach" and any(
        match.truth.kind == "reach"
        and (match.truth.bay, match.truth.slot) == (told.bay, told.slot)
        and match.truth.begin_s <= told.at_s <= match.truth.clear_s
        for match in scored.matches
    )


@dataclass(frozen=True)
class DoubleReaches:
    """Two hands in two slots at the same time: how often, and how often both were told and no third slot."""

    happened: int
    right: int


def double_reaches(
    scored: EventScore, from_s: float, to_s: float, counts: Sequence[CountChanged] = ()
) -> DoubleReaches:
    """A pair is right when both reaches were told before their slots were clear, and no other slot was named with them.

    Args:
        scored: with a reach for every touch (``with_reaches``).
        counts: the true ones: where one changes, a hand was, though no true event stands for it yet.
    """
    told = {id(match.truth): match.found for match in scored.matches if match.truth.kind == "reach"}
    reaches = [match.truth for match in scored.matches if match.truth.kind == "reach"]
    reaches += [missed for missed in scored.missed if missed.kind == "reach"]
    reaches = [true for true in reaches if from_s <= true.begin_s and true.clear_s + LATE_S <= to_s]
    reaches.sort(key=lambda true: (true.begin_s, true.slot))
    happened = right = 0
    for one, other in combinations(reaches, 2):
        if one.bay != other.bay or one.slot == other.slot:
            continue
        if not (one.begin_s < other.done_s and other.begin_s < one.done_s):
            continue
        happened += 1
        begins, ends = min(one.begin_s, other.begin_s) - EARLY_S, max(one.done_s, other.done_s) + EARLY_S
        in_time = all((found := told.get(id(true))) is not None and found.at_s <= true.clear_s for true in (one, other))
        third = any(
            extra.kind == "reach"
            and extra.bay == one.bay
            and begins <= extra.at_s <= ends
            and not _is_same_visit(extra, scored)
            and not _is_reach_of_unfinished(extra, scored, counts)
            for extra in scored.extra
        )
        right += in_time and not third
    return DoubleReaches(happened, right)


def score_held(events: Iterable[TruthEvent], found: Sequence[FoundHeld], from_s: float, to_s: float) -> HeldScore:
    """Products in hands: what was taken is carried until a while after the slot is clear, what is put is brought.

    Picks of which the hand came before ``from_s``, or left after ``to_s``, are not asked for.
    """
    carried: list[tuple[str, float, float]] = []
    picks: list[tuple[str, float, float]] = []
    for event in events:
        if event.kind == "pick":
            span = event.gtin, event.done_s - EARLY_S, event.clear_s + LATE_S
            carried.append(span)
            if from_s <= event.begin_s and event.clear_s <= to_s:
                picks.append(span)
        elif event.kind in ("put", "restock", "misplaced"):
            carried.append((event.gtin, event.begin_s - LATE_S, event.done_s + EARLY_S))
    asked = [one for one in found if from_s <= one.at_s <= to_s]
    wrong = [one for one in asked if not any(one.gtin == gtin and a <= one.at_s <= b for gtin, a, b in carried)]
    return HeldScore(
        picks=len(picks),
        told=sum(any(one.gtin == gtin and a <= one.at_s <= b for one in asked) for gtin, a, b in picks),
        mistaken=sum(any(a <= one.at_s <= b for one in wrong) for _, a, b in picks),
        messages=len(asked),
        right=len(asked) - len(wrong),
    )


@dataclass(frozen=True)
class ListScore:
    """Seconds in which every slot of a bay was exact at once.

    ``exact_s`` of ``span_s`` leaves out slots that are occluded or not settled (as ``CountScore``); ``strict_s`` asks
    all slots at all times.
    """

    span_s: float
    exact_s: float
    strict_s: float


def score_lists(
    truth: Iterable[CountChanged], sights: Iterable[SightChanged], found: Iterable[FoundCount],
    *, begin_s: float, end_s: float, settle_s: float = SETTLE_S,
) -> ListScore:  # fmt: skip
    """All slots of one bay together, from ``begin_s`` to ``end_s``."""
    true_changes: dict[str, list[CountChanged]] = defaultdict(list)
    covered: dict[str, list[SightChanged]] = defaultdict(list)
    said: dict[str, list[FoundCount]] = defaultdict(list)
    for change in truth:
        true_changes[change.slot].append(change)
    for sight in sights:
        covered[sight.slot].append(sight)
    for count in found:
        said[count.slot].append(count)
    wrong: list[tuple[float, float]] = []
    inexcusable: list[tuple[float, float]] = []
    for slot, changes in true_changes.items():
        counts = Timeline((change.t_s, change.count) for change in changes)
        reports = Timeline((count.t_s, count.count) for count in said[slot])
        hidden = Timeline((sight.t_s, sight.occluded) for sight in covered[slot])
        unsettled = [change.t_s for change in changes[1:]]
        unsettled += [sight.t_s for sight in covered[slot] if not sight.occluded]
        edges = {begin_s, end_s, *counts.times, *reports.times, *hidden.times, *(t + settle_s for t in unsettled)}
        for start, end in pairwise(sorted(edge for edge in edges if begin_s <= edge <= end_s)):
            if counts.at(start) == reports.at(start):
                continue
            wrong.append((start, end))
            if not hidden.at(start) and not any(t <= start < t + settle_s - 1e-9 for t in unsettled):
                inexcusable.append((start, end))
    span_s = end_s - begin_s
    return ListScore(span_s, span_s - _length(sorted(inexcusable)), span_s - _length(sorted(wrong)))


def _length(spans: Sequence[tuple[float, float]]) -> float:
    """Of the union of spans that are sorted by their start."""
    total, reached = 0.0, float("-inf")
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


ALERT_DWELL_S = 10.0
ALERT_LIKELY_S = 120.0
"""An alert is raised when a slot is surely low for so long, and ends when it is surely not, or when the best count was
above the mark for the longer time, as the collector's rules have it."""


def alerts_from_counts(
    found: Iterable[FoundCount], thresholds: Mapping[tuple[str, str], int], end_s: float
) -> list[RaisedAlert]:
    """The low alerts that a shop would hear of what a node says its slots hold: the whole range at or under the mark
    for ``ALERT_DWELL_S``. A count that is not known stops no clock."""
    by_slot: dict[tuple[str, str], list[FoundCount]] = defaultdict(list)
    for count in found:
        by_slot[count.bay, count.slot].append(count)
    raised = []
    for (bay, slot), counts in by_slot.items():
        mark, since_s, is_open = thresholds.get((bay, slot), 0), None, False
        enough_s: float | None = None
        times = [count.t_s for count in counts[1:]] + [end_s]
        for count, until_s in zip(counts, times, strict=True):
            if count.count is None:
                continue
            high = count.high if count.high is not None else count.count
            low = count.low if count.low is not None else count.count
            if high > mark:
                enough_s = None if count.count <= mark else count.t_s if enough_s is None else enough_s
                is_likely_enough = enough_s is not None and until_s - enough_s >= ALERT_LIKELY_S
                since_s, is_open = None, is_open and low <= mark and not is_likely_enough
                continue
            enough_s = None
            since_s = count.t_s if since_s is None else since_s
            if not is_open and until_s - since_s >= ALERT_DWELL_S:
                is_open = True
                raised.append(RaisedAlert(bay, slot, since_s + ALERT_DWELL_S))
    return sorted(raised, key=lambda alert: (alert.at_s, alert.bay, alert.slot))

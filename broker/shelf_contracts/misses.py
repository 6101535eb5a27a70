"""Why an event was missed or told falsely, as far as the truth and what was told show it. One cause each, the likeliest
first: what is listed here is where a rule or a model can be made better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from shelf_contracts.scoring import EARLY_S, LATE_S, SETTLE_S, FoundCount, FoundEvent, JudgedEvents, Timeline
from shelf_contracts.truth import TruthEvent, TruthLog

NEAR_S = 20.0
"""What is told this long after a true event's window may still have been meant for it."""
_SEEN_LONG_ENOUGH_S = 1.0
_JUST_NOW_S = 3.0
_SAME_VISIT_S = 10.0


@dataclass(frozen=True)
class Cause:
    """One miss or false event.

    Attributes:
        wrong: "missed" or "false"; kind, slot, quantity, at_s: of the event (a true one: when it was done).
        cause: in a few fixed words; detail: the figures behind it.
    """

    wrong: str
    kind: str
    slot: str
    quantity: int | None
    at_s: float
    cause: str
    detail: str = ""


def explain(judged: JudgedEvents, log: TruthLog, found: Sequence[FoundCount]) -> list[Cause]:
    """Causes of one bay's misses and false events, in the order of time."""
    case = _Case(judged, log, found)
    causes = [case.of_miss(missed) for missed in judged.misses]
    causes += [case.of_extra(extra) for extra in judged.extras]
    return sorted(causes, key=lambda cause: (cause.at_s, cause.slot, cause.kind))


@dataclass(frozen=True)
class WrongCount:
    """A slot's count was wrong in settled sight: from ``from_s`` on, for ``lasts_s`` of such time in all."""

    slot: str
    from_s: float
    lasts_s: float
    true: int
    said: int
    cause: str


def explain_counts(log: TruthLog, found: Sequence[FoundCount], begin_s: float, end_s: float) -> list[WrongCount]:
    """Wrong counts of one bay in the order of time; a count that is not known is not wrong, and is left out.

    Wrong since the start, since the truth changed (which was missed), or since the node changed its mind.
    """
    wrong: list[WrongCount] = []
    for slot in sorted({change.slot for change in log.counts}):
        changes = [change for change in log.counts if change.slot == slot]
        sights = [sight for sight in log.sights if sight.slot == slot]
        true = Timeline((change.t_s, change.count) for change in changes)
        said = Timeline((count.t_s, count.count) for count in found if count.slot == slot)
        hidden = Timeline((sight.t_s, sight.occluded) for sight in sights)
        unsettled = [change.t_s for change in changes[1:]] + [sight.t_s for sight in sights if not sight.occluded]
        edges = {begin_s, end_s, *true.times, *said.times, *hidden.times, *(t + SETTLE_S for t in unsettled)}
        since: tuple[int, int, float, str] | None = None
        lasts_s = 0.0
        ordered = [edge for edge in sorted(edges) if begin_s <= edge <= end_s]
        for start, end in [*pairwise(ordered), (end_s, end_s)]:
            truly, told = true.at(start), said.at(start)
            is_wrong = start < end_s and isinstance(truly, int) and isinstance(told, int) and truly != told
            if since is not None and (not is_wrong or (truly, told) != since[:2]):
                if lasts_s > 0:
                    wrong.append(WrongCount(slot, round(since[2], 2), round(lasts_s, 2), since[0], since[1], since[3]))
                since, lasts_s = None, 0.0
            if not is_wrong or not isinstance(truly, int) or not isinstance(told, int):
                continue
            if since is None:
                first = start <= begin_s or len([t for t in said.times if t <= start]) == 1
                cause = "since the start" if first and start not in true.times else "the node changed its mind"
                if any(abs(start - t) < 1e-6 for t in true.times[1:]):
                    cause = "the truth changed"
                since = (truly, told, start, cause)
            if not hidden.at(start) and not any(t <= start < t + SETTLE_S - 1e-9 for t in unsettled):
                lasts_s += end - start
    return sorted(wrong, key=lambda one: (one.from_s, one.slot))


class _Case:
    def __init__(self, judged: JudgedEvents, log: TruthLog, found: Sequence[FoundCount]) -> None:
        self._judged = judged
        self._log = log
        slots = {change.slot for change in log.counts}
        self._true = {s: Timeline((c.t_s, c.count) for c in log.counts if c.slot == s) for s in slots}
        self._said = {s: Timeline((c.t_s, c.count) for c in found if c.slot == s) for s in slots}
        self._hidden = {s: Timeline((c.t_s, c.occluded) for c in log.sights if c.slot == s) for s in slots}

    def of_miss(self, true: TruthEvent) -> Cause:
        cause, detail = self._why_missed(true)
        return Cause("missed", true.kind, true.slot, true.quantity, true.done_s, cause, detail)

    def of_extra(self, told: FoundEvent) -> Cause:
        cause, detail = self._why_false(told)
        return Cause("false", told.kind, told.slot, told.quantity, told.at_s, cause, detail)

    def _why_missed(self, true: TruthEvent) -> tuple[str, str]:
        opens_s, closes_s = true.begin_s - EARLY_S, true.clear_s + LATE_S
        own = [told for told in self._judged.extras if told.slot == true.slot]
        same = [told for told in own if told.kind == true.kind]
        late = [told for told in same if closes_s < told.at_s <= closes_s + NEAR_S]
        if late:
            covered = self._covered_share(true.slot, true.clear_s, late[0].at_s)
            return (
                "too late",
                f"told {late[0].at_s - true.clear_s:.1f} s after it was clear, {covered:.0%} of it covered",
            )
        if any(opens_s - LATE_S <= told.at_s < opens_s for told in same):
            return "too early", ""
        if true.kind != "reach":
            other = [t for t in own if t.kind not in {true.kind, "reach"} and opens_s <= t.at_s <= closes_s]
            if other:
                return f"told as {other[0].kind}", f"x{other[0].quantity}"
            joined = self._joined(true)
            if joined:
                return joined
        elsewhere = [
            told for told in self._judged.extras
            if told.kind == true.kind and told.slot != true.slot and opens_s <= told.at_s <= closes_s
        ]  # fmt: skip
        if elsewhere:
            return "wrong slot", f"told at {elsewhere[0].slot}"
        if true.kind == "reach":
            if self._covered_share(true.slot, true.begin_s - 0.5, true.begin_s) > 0.5:
                return "covered before the hand came", ""
            return "not noticed", f"hand in the slot for {true.done_s - true.begin_s:.2f} s until it was deepest"
        return self._why_no_change(true, closes_s)

    def _joined(self, true: TruthEvent) -> tuple[str, str] | None:
        """Two touches shortly after one another, told as one or (a pick and a put) as none."""
        touches = [match.truth for match in self._judged.hits] + list(self._judged.misses)
        for other in touches:
            near = (
                other.begin_s - true.clear_s < LATE_S + _JUST_NOW_S
                and true.begin_s - other.clear_s < LATE_S + _JUST_NOW_S
            )
            if other is true or other.slot != true.slot or other.kind == "reach" or not near:
                continue
            apart_s = max(other.begin_s - true.clear_s, true.begin_s - other.clear_s)
            if (other.kind == "pick") != (true.kind == "pick"):
                return "cancelled by the opposite touch", f"{other.kind} {apart_s:.1f} s away"
            return "joined with another touch", f"{other.kind} {apart_s:.1f} s away"
        return None

    def _why_no_change(self, true: TruthEvent, closes_s: float) -> tuple[str, str]:
        before = self._said[true.slot].at(true.begin_s - EARLY_S)
        truly_before, truly_after = (self._true[true.slot].at(t) for t in (true.begin_s, true.clear_s))
        later = [self._said[true.slot].at(closes_s + s) for s in (0.0, 2.0, 5.0, NEAR_S)]
        counts = f"true {truly_before} to {truly_after}, node {before} to {later[0]}"
        if before is None:
            return "count unknown before", counts
        if before != truly_before and before == truly_after:
            return "counted so already", counts
        if any(count == truly_after for count in later) and before == truly_before:
            return "corrected without an event", counts
        seen_s = LATE_S * (1 - self._covered_share(true.slot, true.clear_s, closes_s))
        if seen_s < _SEEN_LONG_ENOUGH_S:
            return "covered again", f"seen for {seen_s:.1f} s; {counts}"
        if true.kind == "misplaced":
            return "not recognised", counts
        if before != truly_before:
            return "count wrong before", counts
        return "change not seen", counts

    def _why_false(self, told: FoundEvent) -> tuple[str, str]:
        own = [missed for missed in self._judged.misses if missed.slot == told.slot]
        for missed in own:
            if missed.kind == told.kind and missed.clear_s + LATE_S < told.at_s <= missed.clear_s + LATE_S + NEAR_S:
                return "too late", f"for the {missed.kind} at {missed.done_s:.1f} s"
            if missed.kind == told.kind and missed.begin_s - EARLY_S - LATE_S <= told.at_s < missed.begin_s:
                return "too early", f"for the {missed.kind} at {missed.done_s:.1f} s"
            if {missed.kind, told.kind}.isdisjoint({"reach"}) and _in_window(missed, told):
                return f"a {missed.kind} in truth", f"x{missed.quantity}"
        for missed in self._judged.misses:
            if missed.kind == told.kind and missed.slot != told.slot and _in_window(missed, told):
                return "wrong slot", f"it was at {missed.slot}"
        if told.kind == "reach":
            return self._why_false_reach(told)
        touches = [match.truth for match in self._judged.hits] + list(self._judged.misses)
        for hit in self._judged.hits:
            if (
                hit.truth.slot == told.slot
                and hit.truth.kind == told.kind
                and abs(hit.found.at_s - told.at_s) < _SAME_VISIT_S
            ):
                return "told twice", f"true x{hit.truth.quantity}, told x{hit.found.quantity} and x{told.quantity}"
        for true in touches:
            if true.slot == told.slot and true.begin_s - EARLY_S <= told.at_s <= true.clear_s + _SAME_VISIT_S:
                return f"after a true {true.kind}", self._counts_at(told)
        if self._covered_share(told.slot, told.at_s - _JUST_NOW_S, told.at_s) > 0:
            return "people before the slot", self._counts_at(told)
        return "out of nothing", self._counts_at(told)

    def _why_false_reach(self, told: FoundEvent) -> tuple[str, str]:
        touches = [match.truth for match in self._judged.hits] + list(self._judged.misses)
        here = [t for t in touches if t.slot == told.slot and t.begin_s - 1.0 <= told.at_s <= t.clear_s + LATE_S]
        if here:
            return "told twice", ""
        passing = [t for t in touches if t.begin_s - 1.0 <= told.at_s <= t.clear_s + 1.0]
        if passing:
            nearest = min(passing, key=lambda true: abs(told.at_s - true.done_s))
            ahead_s = nearest.begin_s - told.at_s
            when = f"{ahead_s:.1f} s before it was in it" if ahead_s > 0 else "while it was in it or went back"
            return "hand on its way elsewhere", f"to {nearest.slot}, {when}"
        if self._covered_share(told.slot, told.at_s - 0.5, told.at_s) > 0:
            return "body taken for a hand", ""
        return "out of nothing", ""

    def _covered_share(self, slot: str, from_s: float, to_s: float) -> float:
        hidden = self._hidden.get(slot)
        if hidden is None or to_s <= from_s:
            return 0.0
        steps = 40
        moments = [from_s + (to_s - from_s) * (i + 0.5) / steps for i in range(steps)]
        return sum(bool(hidden.at(moment)) for moment in moments) / steps

    def _counts_at(self, told: FoundEvent) -> str:
        if told.slot not in self._true:
            return ""
        said = self._said[told.slot]
        return f"true {self._true[told.slot].at(told.at_s)}, node {said.at(told.at_s - 0.05)} to {said.at(told.at_s)}"


def _in_window(true: TruthEvent, told: FoundEvent) -> bool:
    return true.begin_s - EARLY_S <= told.at_s <= true.clear_s + LATE_S

"""The whole rule book at once: messages and the passing of time in, facts for storage, displays and staff out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shelf_collector.core import alerts, kpis
from shelf_collector.core.alerts import AlertRules, Gate
from shelf_collector.core.displays import DisplayState, Touch
from shelf_collector.core.inbox import (
    CameraGone,
    CameraPresence,
    Happening,
    HeldSeen,
    Inbound,
    NodeBeat,
    NodeOccurrence,
    NodePresence,
    Numbered,
    StockReport,
)
from shelf_collector.core.plan import StorePlan
from shelf_collector.core.state import Outcome, SlotKey, SlotReading, SourceKey, StoreState
from shelf_contracts.messages import Alert, BayState, DisplayContent, HeldProduct

LATE_S = 30.0
HELD_LATE_S = 5.0
"""What was in a hand so long ago is no longer."""
HELD_SURE, HELD_LOOKS = 0.95, 3
"""From these on, what is in the hand casts doubt on what the display shows."""
"""A reach captured longer ago than this (kept by a broker while we were away) opens no panel any more."""

CERTAIN_FROM = 0.5
"""A hand at a slot that is less certain than this opens no panel."""

_HANDS = {"reach", "pick", "put"}


@dataclass(frozen=True, slots=True)
class AlertChange:
    """An alert was opened, changed, or solved (``alert`` None)."""

    id: str
    bay: str
    slot: str
    at: datetime
    alert: Alert | None


@dataclass(frozen=True, slots=True)
class FreshMessage:
    """A message met for the first time, and what became of it: the history keeps these."""

    message: Numbered
    outcome: Outcome
    received_at: datetime


@dataclass
class Facts:
    """What came of a batch: everything that must be stored, published and shown."""

    fresh: list[FreshMessage] = field(default_factory=list)
    slots: set[SlotKey] = field(default_factory=set)
    nodes: set[str] = field(default_factory=set)
    cameras: set[SlotKey] = field(default_factory=set)
    sources: set[SourceKey] = field(default_factory=set)
    alerts: list[AlertChange] = field(default_factory=list)
    displays: list[DisplayContent] = field(default_factory=list)
    bays: dict[str, BayState] = field(default_factory=dict)
    beats: set[str] = field(default_factory=set)

    @property
    def must_be_stored(self) -> bool:
        return any((self.fresh, self.slots, self.nodes, self.cameras, self.sources, self.alerts))


@dataclass(frozen=True, slots=True)
class DisplayPlan:
    """A display and the bay it hangs over."""

    id: str
    bay: str


class StoreMemory:
    """The state of the store with its rules. One thread owns it; time is an argument."""

    def __init__(
        self, plan: StorePlan, display_plans: Sequence[DisplayPlan], rules: AlertRules, panel_s: float,
        state: StoreState, open_alerts: Iterable[Alert], first_revision: int,
    ) -> None:  # fmt: skip
        """``first_revision`` must exceed every revision given out before (the time in ms does)."""
        self.plan = plan
        self.state = state
        self._rules = rules
        self._gates: dict[SlotKey, Gate] = {}
        self._open: dict[SlotKey, Alert] = {}
        for alert in open_alerts:
            self._gates[alert.bay, alert.slot] = Gate(open=alert.kind, opened_at=alert.opened_at)
            self._open[alert.bay, alert.slot] = alert
        self._displays = {
            display.id: DisplayState(display.id, display.bay, first_revision, panel_s) for display in display_plans
        }
        self.replanned: dict[SlotKey, datetime] = {}
        """When the plan that a slot is counted by changed last, since the start."""
        self._absent: set[str] = set()
        self._bay_states: dict[str, BayState] = {}

    def take(self, message: Inbound, now: datetime, facts: Facts, *, known: bool = False) -> Outcome:
        """Fold one message in and add what comes of it to ``facts``."""
        plan_before = self._plan_of(message) if isinstance(message, StockReport) else ""
        outcome = self.state.apply(message, now, known=known)
        if isinstance(message, StockReport | Happening | NodeOccurrence):
            facts.sources.add((message.message.source, message.message.numbering))
            if isinstance(message, NodeOccurrence):
                facts.sources.add((message.message.source, message.message.data.numbering))
            if outcome != "duplicate":
                facts.fresh.append(FreshMessage(message, outcome, now))
        if outcome != "applied":
            return outcome
        match message:
            case StockReport(bay, slot):
                facts.slots.add((bay, slot))
                if plan_before and self._plan_of(message) not in ("", plan_before):
                    # What was counted by the plan before says nothing of this one: it is judged anew.
                    self._gates.pop((bay, slot), None)
                    self.replanned[bay, slot] = now
                self._look(bay, slot, now, facts)
                self._update_bay(bay, now, facts)
            case Happening():
                self._happening(message, now, facts)
            case HeldSeen(bay, _, held):
                self._held(bay, held, now, facts)
            case NodeOccurrence():
                pass  # it concerns the audit only
            case NodeBeat(node):
                facts.beats.add(node)
                self._update_presence(now, facts)
            case CameraPresence(node, camera) | CameraGone(node, camera):
                facts.cameras.add((node, camera))
            case NodePresence(node):
                facts.nodes.add(node)
                self._update_presence(now, facts)
            case _:
                facts.nodes.add(message.node)
        return outcome

    def tick(self, now: datetime, facts: Facts) -> None:
        """Let time pass: dwells end, panels close, silent nodes go stale."""
        self._update_presence(now, facts)
        for (bay, slot), gate in list(self._gates.items()):
            if gate.is_waiting or (gate.open and not self.plan.has(bay, slot)):
                self._look(bay, slot, now, facts)
        for display in self._displays.values():
            content = display.tick(now)
            if content:
                facts.displays.append(content)

    def everything(self, now: datetime, wants: Callable[[str], bool] = lambda topic: True) -> Facts:
        """All current state as if it had just changed: for the start, for a broker that forgot, for a page that opens.

        Args:
            wants: whether a topic such as ``bay/a01`` is asked for; what is not asked for is not worked out.
        """
        facts = Facts()
        for bay in self.plan.planograms:
            if wants(f"bay/{bay}"):
                facts.bays[bay] = self.bay_state(bay, now)
        facts.displays = [one.content() for one in self._displays.values() if wants(f"display/{one.display}")]
        facts.alerts = [
            AlertChange(alert.alert, bay, slot, alert.opened_at, alert)
            for (bay, slot), alert in self._open.items()
            if wants(f"alert/{alert.alert}")
        ]
        return facts

    def open_alerts(self) -> list[Alert]:
        """Most urgent first, then oldest."""
        return sorted(self._open.values(), key=lambda alert: (alert.severity != "critical", alert.opened_at))

    def display(self, display: str) -> DisplayContent | None:
        held = self._displays.get(display)
        return held.content() if held else None

    def bay_state(self, bay: str, now: datetime) -> BayState:
        """The bay's figures now."""
        return kpis.bay_state(
            kpis.PlannedReading(slot.capacity, self.state.reading(bay, slot.slot, now))
            for slot in self.plan.of_bay(bay)
        )

    def reading(self, bay: str, slot: str, now: datetime) -> SlotReading | None:
        return self.state.reading(bay, slot, now)

    def _plan_of(self, message: StockReport) -> str:
        """The plan that the slot's held stock level was counted by."""
        held = self.state.slots.get((message.bay, message.slot))
        return held.stock.plan if held is not None else ""

    def _happening(self, message: Happening, now: datetime, facts: Facts) -> None:
        event = message.message.data
        key = message.bay, message.slot
        if event.action == "restock" and key in self._gates:
            self._gates[key] = alerts.saw_restock(self._gates[key])
            self._look(message.bay, message.slot, now, facts)
        if event.action not in _HANDS or now - event.captured_at > timedelta(seconds=LATE_S):
            return
        planned = self.plan.slots.get(key)
        expected = planned.gtin if planned else None
        gtin = expected or event.gtin
        if gtin is None:
            return
        candidates: tuple[str, ...] = ()
        if expected and event.gtin and event.gtin != expected:
            # The plan says one product, the camera saw another: which one it is, only the shopper can tell.
            candidates = (expected, event.gtin)
        elif event.confidence < CERTAIN_FROM:
            return  # the calm page: rather nothing than another product's allergens
        side = planned.side if planned else 0.5
        for display in self._displays.values():
            if display.bay == message.bay:
                content = display.touch(Touch(message.slot, gtin, side, now, event.captured_at, candidates))
                if content:
                    facts.displays.append(content)

    def _held(self, bay: str, held: HeldProduct, now: datetime, facts: Facts) -> None:
        """What a hand holds: displays confirm the panel it belongs to, or ask when the camera saw something else."""
        seen = held.seen
        if seen.verdict != "known" or seen.gtin is None or now - held.captured_at > timedelta(seconds=HELD_LATE_S):
            return
        for display in self._displays.values():
            if display.bay == bay:
                is_sure = seen.confidence >= HELD_SURE and seen.looks >= HELD_LOOKS
                content = display.hold(seen.gtin, held.slot, is_sure, now, held.captured_at)
                if content:
                    facts.displays.append(content)

    def _look(self, bay: str, slot: str, now: datetime, facts: Facts) -> None:
        """Let the slot's alert gate see what is known now."""
        key = bay, slot
        gate = self._gates.get(key, Gate())
        held = self._open.get(key)
        reading = self.state.reading(bay, slot, now)
        planned = self.plan.slots.get(key)
        if not self.plan.has(bay, slot):
            # The planogram changed and the slot is gone: nobody can fill it.
            gate = Gate()
        elif reading is not None:
            mark = planned.min_presentation if planned else reading.min_presentation
            gate = alerts.step(gate, reading, mark, now, self._rules)
        self._gates[key] = gate
        if gate == Gate():
            del self._gates[key]
        alert = held if gate.open else None
        if gate.open and reading is not None and (reading.is_known or held is None):
            alert = alerts.describe(
                gate,
                reading,
                gtin=planned.gtin if planned else reading.gtin,
                capacity=planned.capacity if planned else reading.capacity,
                case_pack=planned.case_pack if planned else 1,
            )
        if alert == held:
            return
        if alert is None:
            del self._open[key]
        else:
            self._open[key] = alert
        facts.alerts.append(AlertChange(alerts.alert_id(bay, slot), bay, slot, now, alert))

    def _update_presence(self, now: datetime, facts: Facts) -> None:
        absent = {node.node for node in self.state.nodes.values() if not node.is_present(now)}
        for node in absent ^ self._absent:
            facts.nodes.add(node)
            facts.cameras.update(key for key in self.state.cameras if key[0] == node)
            changed = self.state.slots_of_node(node)
            facts.slots.update(changed)
            for bay, slot in changed:
                self._look(bay, slot, now, facts)
            for bay in {bay for bay, _ in changed}:
                self._update_bay(bay, now, facts)
        self._absent = absent

    def _update_bay(self, bay: str, now: datetime, facts: Facts) -> None:
        if bay not in self.plan.planograms:
            return
        state = self.bay_state(bay, now)
        if self._bay_states.get(bay) != state:
            self._bay_states[bay] = state
            facts.bays[bay] = state

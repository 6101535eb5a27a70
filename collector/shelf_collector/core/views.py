"""What the API, the pages and the event stream say: one model each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from shelf_collector.core.alerts import alert_id
from shelf_collector.core.catalogue import Catalogue
from shelf_collector.core.inbox import Happening
from shelf_collector.core.memory import AlertChange, Facts, StoreMemory
from shelf_collector.core.plan import PlannedSlot, StorePlan, place_of
from shelf_collector.core.state import CameraState, NodeState, SlotReading
from shelf_collector.core.tasks import TaskKind, TaskState
from shelf_contracts.messages import (
    Action,
    Alert,
    AnomalyCause,
    BayState,
    CameraHealth,
    DisplayContent,
    DisplayPanel,
    GalleryHealth,
    Level,
    ModelHealth,
    ModelInfo,
    PlanogramHealth,
    Reason,
    SeenProduct,
    StrangeItem,
    UtcTime,
)  # fmt: skip
from shelf_contracts.products import Text


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class PlaceView(View):
    """Where a slot is, in the words staff use; ``shelf`` is null when the slot's id does not say."""

    bay: str
    shelf: str | None
    slot: str


class SlotView(View):
    """A slot now. Counts are null when the level is unknown; ``reason`` says why it is."""

    bay: str
    slot: str
    place: PlaceView
    gtin: str | None
    name: Text
    level: Level
    reason: Reason
    count: int | None
    count_low: int | None
    count_high: int | None
    capacity: int
    min_presentation: int
    confidence: float
    observed_at: UtcTime | None
    seen: SeenProduct | None = None
    strange: list[StrangeItem] = []
    """Single items that do not belong among the others."""


class BayView(View):
    """A bay's figures, each 0 to 1, null when nothing is known."""

    bay: str
    name: str
    osa: float | None
    fill: float | None
    coverage: float


class AlertView(View):
    """An alert; ``alert`` is null when it is solved."""

    id: str
    bay: str
    slot: str
    place: PlaceView
    name: Text
    alert: Alert | None


class EventView(View):
    """Something that happened at a slot. ``row`` pages through the history; null in the stream."""

    row: int | None = None
    bay: str
    slot: str
    name: Text
    action: Action
    quantity: int
    gtin: str | None
    count_before: int | None
    count_after: int | None
    confidence: float
    started_at: UtcTime
    ended_at: UtcTime
    captured_at: UtcTime
    received_at: UtcTime
    text: str = ""
    seen: SeenProduct | None = None
    cause: AnomalyCause | None = None


class NodeView(View):
    """A node; ``is_present`` is false when it said offline or missed three heartbeats."""

    node: str
    state: str
    is_present: bool
    since: UtcTime
    heard_at: UtcTime
    software: str = ""
    hardware: str = ""
    models: list[ModelInfo] = []
    rss_mb: float | None = None
    uptime_s: float | None = None
    outbox_messages: int | None = None
    outbox_lost: int | None = None
    cameras: list[CameraHealth] = []
    model: ModelHealth | None = None
    gallery: GalleryHealth | None = None
    planograms: list[PlanogramHealth] = []
    text: str = ""


class CameraView(View):
    node: str
    camera: str
    bay: str
    state: str
    since: UtcTime
    text: str


class DisplayView(View):
    """What a display shows. ``captured_at``: capture time of the frame that caused it, null when a panel just ended."""

    display: str
    bay: str
    revision: int
    panels: list[DisplayPanelView] = []
    captured_at: UtcTime | None = None
    at: UtcTime = Field(description="our time at which it was decided")


class DisplayPanelView(View):
    """One product panel; ``side`` is 0 left to 1 right in the bay.

    ``candidates``: it is one of these and nobody can say which; then no fact of either is shown as its own.
    ``names``: of those of them that are not planned in this bay, so that its page knows nothing of them.
    ``is_held``: the camera recognised it in a hand.
    ``is_out``: the slot is empty; then ``in_stock`` names what other slots of the store still hold.
    """

    slot: str
    gtin: str
    side: float
    candidates: list[str] = []
    names: dict[str, Text] = {}
    is_held: bool = False
    is_out: bool = False
    in_stock: list[str] = []


class HelpView(View):
    """What became of the call for help at a display."""

    display: str
    state: TaskState


class ProductsView(View):
    """The product files changed and were read anew: whoever shows products fetches them again."""

    read_at: UtcTime


class TaskView(View):
    """A task for staff; who has it is not told to machines. ``is_quiet``: nobody can see it at present."""

    id: int
    kind: TaskKind
    display: str
    bay: str
    slot: str | None
    gtin: str | None
    state: TaskState
    created_at: UtcTime
    is_escalated: bool = False
    is_quiet: bool = False


@dataclass(frozen=True, slots=True)
class Screen:
    """One message of the event stream: a topic such as ``display/a01`` or ``slot/a01/s1-02``, and its content."""

    topic: str
    content: View
    is_state: bool = True


class Viewer:
    """Makes views from the memory's facts; only the catalogue in it changes while the collector runs."""

    def __init__(self, plan: StorePlan, catalogue: Catalogue) -> None:
        self._plan = plan
        self._catalogue = catalogue
        self._planned_in = {
            bay: frozenset(slot.gtin for slot in plan.of_bay(bay) if slot.gtin) for bay in plan.planograms
        }

    def slot(self, bay: str, slot: str, reading: SlotReading | None) -> SlotView:
        planned = self._plan.slots.get((bay, slot))
        return SlotView(
            bay=bay,
            slot=slot,
            place=_place(bay, slot),
            gtin=planned.gtin if planned else reading.gtin if reading else None,
            name=self._name(planned, reading.gtin if reading else None),
            level=reading.level if reading else "unknown",
            reason=reading.reason if reading else "starting",
            count=reading.count if reading else None,
            count_low=reading.count_low if reading else None,
            count_high=reading.count_high if reading else None,
            capacity=planned.capacity if planned else reading.capacity if reading else 0,
            min_presentation=planned.min_presentation if planned else reading.min_presentation if reading else 0,
            confidence=reading.confidence if reading else 0.0,
            observed_at=reading.observed_at if reading else None,
            seen=reading.seen if reading else None,
            strange=list(reading.strange) if reading else [],
        )

    def slots_of_bay(self, bay: str, memory: StoreMemory, now: datetime) -> list[SlotView]:
        """The planned slots in reading order."""
        return [self.slot(bay, slot.slot, memory.reading(bay, slot.slot, now)) for slot in self._plan.of_bay(bay)]

    def bay(self, bay: str, state: BayState) -> BayView:
        name = self._plan.planograms[bay].name
        return BayView(bay=bay, name=name, osa=state.osa, fill=state.fill, coverage=state.coverage)

    def alert(self, change: AlertChange) -> AlertView:
        planned = self._plan.slots.get((change.bay, change.slot))
        gtin = change.alert.gtin if change.alert else None
        return AlertView(
            id=change.id,
            bay=change.bay,
            slot=change.slot,
            place=_place(change.bay, change.slot),
            name=self._name(planned, gtin),
            alert=change.alert,
        )

    def open_alert(self, alert: Alert) -> AlertView:
        return self.alert(AlertChange(alert_id(alert.bay, alert.slot), alert.bay, alert.slot, alert.opened_at, alert))

    def event(self, happening: Happening, received_at: datetime) -> EventView:
        event = happening.message.data
        return EventView(
            bay=happening.bay,
            slot=happening.slot,
            name=self.event_name(happening.bay, happening.slot, event.gtin, event.action),
            received_at=received_at,
            **event.model_dump(exclude={"at_s"}),
        )

    def event_name(self, bay: str, slot: str, gtin: str | None, action: Action | None = None) -> Text:
        """What an event is about: the slot's product, or what stands there and does not belong."""
        planned = None if action == "misplaced" else self._plan.slots.get((bay, slot))
        return self._name(planned, gtin)

    def place(self, bay: str, slot: str) -> PlaceView:
        """Where a slot is, in words."""
        return _place(bay, slot)

    def node(self, node: NodeState, now: datetime) -> NodeView:
        info, health = node.info, node.health
        return NodeView(
            node=node.node,
            state=node.state,
            is_present=node.is_present(now),
            since=node.since,
            heard_at=node.heard_at,
            software=info.software if info else "",
            hardware=info.hardware if info else "",
            models=info.models if info else [],
            rss_mb=health.rss_mb if health else None,
            uptime_s=health.uptime_s if health else None,
            outbox_messages=health.outbox_messages if health else None,
            outbox_lost=health.outbox_lost if health else None,
            cameras=health.cameras if health else [],
            model=health.model if health else None,
            gallery=health.gallery if health else None,
            planograms=health.planograms if health else [],
            text=node.text,
        )

    def camera(self, camera: CameraState, memory: StoreMemory, now: datetime) -> CameraView:
        """What its node said of it last; while the node is away it is offline, whatever that was."""
        status = camera.status
        is_away = memory.state.is_node_away(camera.node, now)
        return CameraView(
            node=camera.node,
            camera=camera.camera,
            bay=status.bay,
            state="offline" if is_away else status.state,
            since=status.since,
            text="its node is away" if is_away else status.text,
        )

    def display(self, content: DisplayContent, memory: StoreMemory, now: datetime) -> DisplayView:
        return self._display(content, self._panels(content, memory, now), now)

    def _display(self, content: DisplayContent, panels: list[DisplayPanelView], now: datetime) -> DisplayView:
        return DisplayView(
            display=content.display,
            bay=content.bay,
            revision=content.revision,
            panels=panels,
            captured_at=content.captured_at,
            at=now,
        )

    def _panels(self, content: DisplayContent, memory: StoreMemory, now: datetime) -> list[DisplayPanelView]:
        return [self._panel(content.bay, panel, memory, now) for panel in content.panels]

    def _panel(self, bay: str, panel: DisplayPanel, memory: StoreMemory, now: datetime) -> DisplayPanelView:
        reading = memory.reading(bay, panel.slot, now)
        is_out = reading is not None and reading.level == "out"
        return DisplayPanelView(
            slot=panel.slot,
            gtin=panel.gtin,
            side=panel.side,
            candidates=panel.candidates,
            names={gtin: self._catalogue.name(gtin) for gtin in self._strange(bay, panel)},
            is_held=panel.is_held,
            is_out=is_out,
            in_stock=self._in_stock(memory, now) if is_out else [],
        )

    def _strange(self, bay: str, panel: DisplayPanel) -> list[str]:
        """Known products on a panel that have no slot in this bay."""
        here = self._planned_in.get(bay, frozenset())
        shown = dict.fromkeys((panel.gtin, *panel.candidates))
        return [gtin for gtin in shown if gtin not in here and self._catalogue.get(gtin) is not None]

    def _in_stock(self, memory: StoreMemory, now: datetime) -> list[str]:
        """Products that some slot holds, as far as is known."""
        found = set()
        for (bay, slot), planned in self._plan.slots.items():
            reading = memory.reading(bay, slot, now)
            if planned.gtin and reading is not None and reading.is_known and reading.level != "out":
                found.add(planned.gtin)
        return sorted(found)

    def screens(self, facts: Facts, memory: StoreMemory, now: datetime) -> list[Screen]:
        """What open pages are told of a batch's facts, displays first."""
        return self.display_screens(facts, memory, now) + self.other_screens(facts, memory, now)

    def other_screens(self, facts: Facts, memory: StoreMemory, now: datetime) -> list[Screen]:
        """All but what displays show: told when it is stored."""
        found: list[Screen] = []
        for fresh in facts.fresh:
            message = fresh.message
            if isinstance(message, Happening) and fresh.outcome == "applied":
                view = self.event(message, fresh.received_at)
                found.append(Screen(f"event/{message.bay}/{message.slot}", view, is_state=False))
        for bay, slot in sorted(facts.slots):
            found.append(Screen(f"slot/{bay}/{slot}", self.slot(bay, slot, memory.reading(bay, slot, now))))
        found += [Screen(f"alert/{change.id}", self.alert(change)) for change in facts.alerts]
        found += [Screen(f"bay/{bay}", self.bay(bay, state)) for bay, state in facts.bays.items()]
        for node in sorted(facts.nodes | facts.beats):
            found.append(Screen(f"node/{node}", self.node(memory.state.nodes[node], now)))
        for node, camera in sorted(facts.cameras & memory.state.cameras.keys()):
            shown = self.camera(memory.state.cameras[node, camera], memory, now)
            found.append(Screen(f"camera/{node}/{camera}", shown))
        return found

    def display_screens(self, facts: Facts, memory: StoreMemory, now: datetime) -> list[Screen]:
        """Only what displays show: they are told before anything is stored.

        Displays over one bay show the same: their panels are made once, however many hang there.
        """
        made: dict[tuple[str, tuple[int, ...]], list[DisplayPanelView]] = {}
        screens = []
        for content in facts.displays:
            key = content.bay, tuple(map(id, content.panels))  # the same messages: DisplayState makes each once
            if key not in made:
                made[key] = self._panels(content, memory, now)
            screens.append(Screen(f"display/{content.display}", self._display(content, made[key], now)))
        return screens

    def snapshot(self, topics: Iterable[str], memory: StoreMemory, now: datetime) -> list[Screen]:
        """All present state under these topics: what a page gets first.

        Nothing else is worked out: 200 displays come back at once when the collector was away.
        """
        wanted = frozenset(topics)
        kinds = {topic.partition("/")[0] for topic in wanted}
        facts = memory.everything(now, lambda topic: covers(wanted, topic))
        if "slot" in kinds:
            facts.slots = set(self._plan.slots) | set(memory.state.slots)
        if "node" in kinds:
            facts.nodes = set(memory.state.nodes)
        if "camera" in kinds:
            facts.cameras = set(memory.state.cameras)
        return [screen for screen in self.screens(facts, memory, now) if covers(wanted, screen.topic)]

    def _name(self, planned: PlannedSlot | None, gtin: str | None) -> Text:
        if planned is not None:
            return self._catalogue.name(planned.gtin, planned.name)
        return self._catalogue.name(gtin)


def covers(wanted: Iterable[str], topic: str) -> bool:
    """Whether one of the wanted topics is the topic or a level above it.

    >>> covers(["slot/a01"], "slot/a01/s1-02"), covers(["slot/a0"], "slot/a01/s1-02")
    (True, False)
    """
    return any(topic == one or topic.startswith(one + "/") for one in wanted)


def _place(bay: str, slot: str) -> PlaceView:
    place = place_of(bay, slot)
    return PlaceView(bay=place.bay, shelf=place.shelf, slot=place.slot)


DisplayView.model_rebuild()

"""The pipeline without threads: what it says of cameras that never come, go, are in the dark, or whose clock jumps."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from shelf_contracts.messages import SlotEvent, StockLevel
from shelf_contracts.planogram import Planogram
from shelf_edge.core.bay import Bay
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.facts import SlotFact
from shelf_edge.core.frame import Frame
from shelf_edge.node import CameraWork, Pipeline, camera_health, camera_status
from shelf_edge.stages import CameraState, LatestFrame
from shelf_testing.planograms import one_slot_planogram


@dataclass
class Clock:
    at_s: float = 1_000_000.0

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s


@dataclass
class Said:
    messages: list[SlotEvent | StockLevel] = field(default_factory=list)
    slots: list[str] = field(default_factory=list)
    bays: list[str] = field(default_factory=list)

    def say(self, bay: str, slot: str, data: SlotEvent | StockLevel) -> None:
        self.bays.append(bay)
        self.messages.append(data)
        self.slots.append(slot)

    def retry(self) -> None: ...


@dataclass
class Shelf:
    """What the camera shows: a textured wall; the detector tells how many items stand in the slot, and a hand."""

    items: int = 1
    hand: bool = False

    def drawn_on(self, picture: np.ndarray) -> np.ndarray:
        drawn = picture.copy()
        for x1, y1, x2, y2 in self.boxes:
            drawn[y1:y2, x1:x2] = 255 - drawn[y1:y2, x1:x2]
        return drawn

    @property
    def boxes(self) -> list[list[int]]:
        return [[140 + 60 * i, 200, 190 + 60 * i, 310] for i in range(self.items)] + [[300, 200, 360, 300]] * self.hand

    def detect(self, image: np.ndarray) -> Detections:
        boxes = self.boxes
        kinds = [Kind.PRODUCT] * self.items + [Kind.HAND] * self.hand
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32), np.array(kinds, np.uint8)
        )


WALL = np.random.default_rng(3).integers(60, 200, (18, 32, 3), np.uint8).repeat(20, 0).repeat(20, 1)


@dataclass
class Node:
    clock: Clock = field(default_factory=Clock)
    said: Said = field(default_factory=Said)
    shelf: Shelf = field(default_factory=Shelf)

    def __post_init__(self) -> None:
        arrived = threading.Condition()
        plan = one_slot_planogram(with_floor=False)
        self.camera = CameraWork("c1", "c1", plan, LatestFrame(arrived), Bay(plan, "c1"))
        self.camera.state = CameraState(True, self.clock.at_s)
        self.statuses: list[tuple[str, str]] = []
        self.pipeline = Pipeline(
            [self.camera], arrived, self.shelf, self.said, self.clock, lambda: None, on_sight=self.on_sight  # type: ignore[arg-type]
        )  # fmt: skip
        self.number = 0

    def on_sight(self, camera: CameraWork) -> None:
        status = camera_status(camera)
        assert status is not None
        self.statuses.append((status.state, status.text))

    def show(self, seconds: float, picture: np.ndarray = WALL, camera_clock_s: float = 0.0) -> None:
        for _ in range(round(seconds * 10)):
            self.number += 1
            self.clock.at_s += 0.1
            drawn = self.shelf.drawn_on(picture)
            noise = np.roll(np.arange(picture.size) % 3, 17 * self.number).reshape(picture.shape)
            frame = Frame((drawn // 2 + noise).astype(np.uint8), self.clock.at_s + camera_clock_s, self.number)
            self.camera.hand_off.put(frame)
            self.pipeline._serve(self.camera)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.clock.at_s += 0.25
            self.pipeline._serve(self.camera)

    @property
    def levels(self) -> list[tuple[int | None, str]]:
        told = [(one.count, one.reason) for one in self.said.messages if isinstance(one, StockLevel)]
        return [level for level in told if level[1] != "starting"]

    @property
    def events(self) -> list[str]:
        return [one.action for one in self.said.messages if isinstance(one, SlotEvent)]


def test_a_node_that_starts_with_a_dead_camera_does_not_know_its_slots() -> None:
    """What it said before it was restarted may be long untrue."""
    node = Node()
    node.wait(9)
    assert node.said.messages == []
    node.wait(60)
    assert node.levels == [(None, "camera-lost")]
    node.show(3)
    assert node.levels[-1] == (1, "clear")


def test_a_camera_that_goes_silent_later() -> None:
    node = Node()
    node.show(3)
    node.wait(30)
    assert node.levels == [(1, "clear"), (None, "camera-lost")]


def test_in_the_dark_counts_are_unknown_never_wrong_and_come_back_with_the_light() -> None:
    node = Node()
    node.show(6)
    node.shelf.items = 0  # what a detector makes of a black picture
    node.show(4, np.zeros_like(WALL))
    assert node.levels == [(1, "clear"), (None, "dark")], "before anything could be concluded from the dark"
    node.show(26, np.zeros_like(WALL))
    node.shelf.items = 1
    node.show(5)
    assert node.levels == [(1, "clear"), (None, "dark"), (1, "clear")]
    assert node.events == []
    assert node.statuses == [("obstructed", "too dark to see anything: are the lights off?"), ("online", "")]


def test_a_picture_that_stands_still_is_said_on_the_cameras_status() -> None:
    node = Node()
    node.show(5)
    frozen = Frame(WALL.copy(), 0.0, 1)
    for _ in range(400):
        node.clock.at_s += 0.1
        node.camera.hand_off.put(Frame(frozen.image, node.clock.at_s, 1))
        node.pipeline._serve(node.camera)
    assert node.statuses == [("offline", "the picture has not changed at all for 30 s")]
    assert node.levels[-1] == (None, "stale")


def test_a_clock_that_is_set_back_an_hour_stops_nothing() -> None:
    """NTP, or somebody who sets the time: the put after it is told, with the new clock's time."""
    node = Node()
    node.shelf.items = 0
    node.show(4)
    node.shelf.hand = True
    node.show(1)
    node.shelf.hand, node.shelf.items = False, 1
    node.show(5, camera_clock_s=-3600.0)
    assert node.events == ["reach", "put"]
    put = next(one for one in node.said.messages if isinstance(one, SlotEvent) and one.action == "put")
    late_s = node.clock.at_s - 3600.0 - put.ended_at.timestamp()
    assert 0 <= late_s <= 5
    assert put.started_at <= put.ended_at


def test_a_clock_set_forward_is_no_event() -> None:
    node = Node()
    node.show(4)
    node.show(4, camera_clock_s=7200.0)
    assert node.events == []
    assert {count for count, _ in node.levels} == {1}


def test_facts_of_the_core_carry_the_cameras_time() -> None:
    plan = one_slot_planogram(with_floor=False)
    bay, shelf = Bay(plan, "c1"), Shelf(items=1, hand=False)
    told: list[SlotFact] = []
    for number in range(60):
        at_s = 100.0 + number / 10 - (50.0 if number >= 30 else 0.0)
        shelf.hand = number >= 40
        frame = Frame(np.roll(WALL, number, 0), at_s, number)
        detections = shelf.detect(frame.image) if bay.wants_look(frame) else None
        told += [fact for fact in bay.advance(frame, detections) if isinstance(fact, SlotFact)]
    assert [fact.action for fact in told] == ["reach"]
    assert 53.9 <= told[0].started_s <= told[0].captured_s <= 55


class Broken:
    """A bay whose frames break something."""

    def __init__(self, bay: Bay) -> None:
        self._bay = bay
        self.is_broken = True

    def __getattr__(self, name: str) -> object:
        return getattr(self._bay, name)

    def wants_look(self, frame: Frame) -> bool:
        if self.is_broken:
            raise RuntimeError("cannot be")
        return self._bay.wants_look(frame)


def two_cameras() -> tuple[Node, CameraWork, Broken]:
    """A node whose second camera breaks at every frame."""
    node = Node()
    plan = one_slot_planogram(with_floor=False).model_copy(update={"bay": "b2"})
    broken = Broken(Bay(plan, "c1"))
    other = CameraWork("c2", "c1", plan, LatestFrame(threading.Condition()), broken)  # type: ignore[arg-type]
    other.state = CameraState(True, node.clock.at_s)
    node.pipeline._cameras.append(other)
    return node, other, broken


def show_both(node: Node, other: CameraWork, seconds: float) -> None:
    for _ in range(round(seconds * 10)):
        node.show(0.1)
        other.hand_off.put(Frame(WALL, node.clock.at_s, node.number))
        node.pipeline._serve_safely(other)


def test_a_camera_whose_frames_fail_changes_nothing_for_the_others() -> None:
    node, other, broken = two_cameras()
    show_both(node, other, 4)
    assert node.pipeline.failed == ""
    assert set(node.levels) == {(1, "clear"), (None, "camera-lost")}, "the second bay's slot is unknown"
    said = camera_status(other)
    assert said is not None
    assert (said.state, said.text) == ("offline", "its frames cannot be processed: RuntimeError: cannot be")
    assert node.statuses.count(("offline", said.text)) == 1, "said once"
    broken.is_broken = False
    show_both(node, other, 58)
    assert camera_status(other) != said
    assert node.statuses[-1] == ("online", "")
    assert node.pipeline.failed == ""


def test_when_no_cameras_frames_can_be_processed_the_pipeline_stays_down() -> None:
    node, other, _ = two_cameras()
    node.camera.bay = Broken(node.camera.bay)  # type: ignore[assignment]
    for _ in range(10):
        for camera in (node.camera, other):
            camera.hand_off.put(Frame(WALL, node.clock.at_s, 0))
            node.pipeline._serve_safely(camera)
    assert node.pipeline.failed == "RuntimeError: cannot be"


def test_four_accidents_a_minute_are_none() -> None:
    node, other, broken = two_cameras()
    for _ in range(4):
        broken.is_broken = True
        show_both(node, other, 0.1)
        broken.is_broken = False
        show_both(node, other, 2)
    assert (len(other.failures), other.trouble) == (4, "")


def test_pictures_of_another_size_and_a_clock_that_goes_back_are_said_on_the_status_and_cleared() -> None:
    node = Node()
    small = np.ascontiguousarray(WALL[::2, ::2])
    node.show(2)
    node.show(10, picture=small)
    node.show(10, picture=small, camera_clock_s=-3600.0)
    changed = "its pictures are 320x180 now, they were 640x360: see that it shows the bay"
    assert node.statuses == [
        ("online", changed),
        ("online", f"{changed}; its clock went back by 3600 s: durations are counted on"),
    ]
    node.clock.at_s += 60
    node.show(1, picture=small, camera_clock_s=-3600.0)
    assert node.statuses[2:] == [("online", "")]


@dataclass
class Wild:
    """A camera that changes size, sends what is no picture and turns its clock back, all the time."""

    work: CameraWork
    number: int = 0

    @staticmethod
    def of(node: Node) -> Wild:
        plan = one_slot_planogram(with_floor=False).model_copy(update={"bay": "b2"})
        work = CameraWork("c2", "c1", plan, LatestFrame(threading.Condition()), Bay(plan, "c1"))
        work.state = CameraState(True, node.clock.at_s)
        node.pipeline._cameras.append(work)
        return Wild(work)

    def act(self, node: Node) -> None:
        self.number += 1
        kind = self.number % 5
        whole = np.roll(WALL, self.number, 1)
        picture = whole if kind < 2 else np.ascontiguousarray(whole[:: kind - 1, ::2])
        if kind == 4:
            self.work.hand_off.spoil("sent 9 bytes that are no picture")
        else:
            captured_s = node.clock.at_s + (4.0 if kind % 2 else -4.0)
            self.work.hand_off.put(Frame(picture, captured_s, self.number))
        node.pipeline._serve_safely(self.work)


def some_busy_seconds(*, with_wild: bool) -> tuple[list[str], list[tuple[str, str]], Wild | None]:
    """Everything said of the healthy camera's bay, and the statuses of both."""
    node = Node()
    wild = Wild.of(node) if with_wild else None
    for second in range(20):
        node.shelf.hand = second % 8 == 4
        node.shelf.items = 1 + (second // 8) % 2
        for _ in range(10):
            node.show(0.1)
            if wild is not None:
                wild.act(node)
    told = zip(node.said.bays, node.said.messages, strict=True)
    return [message.model_dump_json() for bay, message in told if bay == "b1"], node.statuses, wild


def test_a_wild_camera_is_said_seldom_and_changes_nothing_for_its_neighbour() -> None:
    alone, statuses, _ = some_busy_seconds(with_wild=False)
    assert len(alone) > 4
    assert statuses == []
    beside, statuses, wild = some_busy_seconds(with_wild=True)
    assert beside == alone
    assert [state for state, _ in statuses] == ["unsteady"], statuses
    for words in ("the size of its pictures changes", "could not be read", "its clock went back"):
        assert words in statuses[0][1]
    assert wild is not None
    health = camera_health(wild.work, 0.0)
    assert health.frames_unusable == 120, "every fifth no picture, two of five of another size"
    assert wild.work.is_given_up is False, "what is good of it is used"


def test_a_camera_of_which_no_picture_can_be_used_knows_nothing_of_its_slots() -> None:
    node = Node()
    node.show(5)
    for number in range(130):
        node.show(0.1, picture=np.ascontiguousarray(WALL[: 100 + number]))
    assert node.levels[-1] == (None, "camera-lost")
    assert [state for state, _ in node.statuses] == ["unsteady"]
    node.show(5)
    assert node.levels[-1][0] == 1


def test_a_slots_plan_is_reckoned_once_a_planogram(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Node().camera
    slot = camera.planogram.positions[0].id
    first = camera.planogram.slot_plan(camera.view, slot)
    asked: list[str] = []
    plain = Planogram.slot_plan

    def counted(plan: Planogram, view: str, of: str) -> str:
        asked.append(of)
        return plain(plan, view, of)

    monkeypatch.setattr(Planogram, "slot_plan", counted)
    assert [camera.slot_plan(slot) for _ in range(3)] == [first] * 3
    assert asked == [slot]
    product = camera.planogram.products[0].model_copy(update={"w": 77.0})
    camera.planogram = camera.planogram.model_copy(update={"products": [product]})
    assert camera.slot_plan(slot) == plain(camera.planogram, camera.view, slot) != first

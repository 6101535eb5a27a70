"""A camera that is knocked far: what it still shows goes on, what it does not is unknown, and somebody is asked."""

from __future__ import annotations

import base64
import json
import math
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelf_edge.adapters.view_files import ViewFiles
from shelf_edge.bench import bench_planogram, still_shelf
from shelf_edge.core.arms import ArmFinder, ArmRules
from shelf_edge.core.bay import Bay
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.facts import Fact, SlotFact, StockFact
from shelf_edge.core.frame import Frame, Picture
from shelf_edge.core.geometry import Matrix, project
from shelf_edge.core.registration import Features, Landmarks, RegistrationRules, RememberedView, features, find_again
from shelf_edge.core.sight import Sight, SightRules, SightWatch
from shelf_edge.node import CameraWork, camera_status
from shelf_edge.stages import CameraState, LatestFrame

WIDTH_PX, HEIGHT_PX, FPS = 640, 360, 5
AS_BUILT = np.eye(3)
NOBODY = np.zeros((0, 4), np.float32)


def turned(pan_deg: float, tilt_deg: float, roll_deg: float) -> Matrix:
    """Where the pixels of a camera go that turns about itself: K R K^-1."""
    lens = np.array([[1.2 * WIDTH_PX, 0, WIDTH_PX / 2], [0, 1.2 * WIDTH_PX, HEIGHT_PX / 2], [0, 0, 1]])
    pan, tilt, roll = (math.radians(angle) for angle in (pan_deg, tilt_deg, roll_deg))
    rotation, _ = cv2.Rodrigues(np.array([tilt, -pan, roll]))
    return np.asarray(lens @ rotation @ np.linalg.inv(lens))


FAR = turned(9, -3, 2.5)


def printed_shelf() -> Picture:
    """Packs with something printed on them, 640 x 360."""
    plan, rng = bench_planogram(), np.random.default_rng(4)
    shelf = still_shelf(plan)
    for view in plan.view_of("c1").slots.values():
        corners = (np.array(view.front) * (1280, 720)).round().astype(int)
        (left, top), (right, bottom) = corners.min(axis=0) + 8, corners.max(axis=0) - 4
        for _ in range(14):
            x, y = int(rng.integers(left, right - 8)), int(rng.integers(top, bottom - 8))
            wide, high = (int(rng.integers(6, 50)), int(rng.integers(6, 40)))
            colour = tuple(int(value) for value in rng.integers(0, 255, 3))
            cv2.rectangle(shelf, (x, y), (min(x + wide, right), min(y + high, bottom)), colour, -1)
    return np.asarray(cv2.resize(shelf, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA), np.uint8)


class KnockedCamera:
    """A full shelf before a camera that somebody turns; the detector finds every item that is in the picture."""

    def __init__(self, seen_before: RememberedView | None = None, turn: Matrix = AS_BUILT) -> None:
        self.plan = bench_planogram()
        self.shelf = printed_shelf()
        self.bay = Bay(self.plan, "c1")
        if seen_before is not None:
            assert self.bay.recall_view(seen_before)
        self.at_s, self.number = 0.0, 0
        self.turn = turn
        self.stock: dict[str, StockFact] = {}
        rng = np.random.default_rng(11)
        self.noise = [rng.integers(-3, 4, self.shelf.shape, np.int16) for _ in range(8)]

    def see(self, seconds: float, hand_px: tuple[float, float] | None = None) -> list[SlotFact]:
        """What is told in so many seconds, with a hand at a place of the picture as it was calibrated."""
        told: list[SlotFact] = []
        for _ in range(round(seconds * FPS)):
            self.number += 1
            self.at_s += 1 / FPS
            frame = Frame(self._picture(hand_px), self.at_s, self.number)
            seen = self._seen(hand_px) if self.bay.wants_look(frame) else None
            for fact in self.bay.advance(frame, seen):
                self._note(fact, told)
        return told

    def _note(self, fact: Fact, told: list[SlotFact]) -> None:
        if isinstance(fact, StockFact):
            self.stock[fact.slot] = fact
        else:
            told.append(fact)

    def _picture(self, hand_px: tuple[float, float] | None) -> Picture:
        shelf = self.shelf.copy()
        if hand_px is not None:
            x, y = (round(value) for value in hand_px)
            cv2.rectangle(shelf, (x - 12, y - 12), (x + 12, y + 12), (120, 150, 215), -1)
        seen = cv2.warpPerspective(shelf, self.turn, (WIDTH_PX, HEIGHT_PX), borderValue=(90, 90, 90))
        noisy: Picture = np.clip(seen + self.noise[self.number % 8], 0, 255).astype(np.uint8)
        return noisy

    def _seen(self, hand_px: tuple[float, float] | None) -> Detections:
        boxes, kinds = [], []
        for view in self.plan.view_of("c1").slots.values():
            assert view.floor is not None
            left, right = view.floor[0][0] * WIDTH_PX, view.floor[1][0] * WIDTH_PX
            base, wide = view.floor[0][1] * HEIGHT_PX - 1, (right - left) * 0.8
            boxes.append(((left + right - wide) / 2, base - 1.3 * wide, (left + right + wide) / 2, base))
            kinds.append(Kind.PRODUCT)
        if hand_px is not None:
            boxes.append((hand_px[0] - 12, hand_px[1] - 12, hand_px[0] + 12, hand_px[1] + 12))
            kinds.append(Kind.HAND)
        seen = np.array([self._now_at(box) for box in boxes], np.float32)
        inside = (seen[:, 2] > 4) & (seen[:, 0] < WIDTH_PX - 4) & (seen[:, 3] > 4) & (seen[:, 1] < HEIGHT_PX - 4)
        found = np.clip(seen[inside], 0, (WIDTH_PX, HEIGHT_PX) * 2).astype(np.float32)
        return Detections(found, np.full(len(found), 0.8, np.float32), np.array(kinds, np.uint8)[inside])

    def _now_at(self, box: tuple[float, float, float, float]) -> tuple[float, ...]:
        """The box of what the picture at calibration has in a box: its base and its size go on."""
        x1, y1, x2, y2 = box
        ends = project(self.turn, np.array([[x1, y2], [x2, y2]]))
        (middle, base), wide = ends.mean(axis=0), float(np.hypot(*(ends[1] - ends[0])))
        high = wide * (y2 - y1) / (x2 - x1)
        return middle - wide / 2, base - high, middle + wide / 2, base

    def reason_of(self, slot: str) -> str:
        return self.stock[slot].observation.reason

    def middle_of(self, slot: str) -> tuple[float, float]:
        x, y = (np.array(self.plan.view_of("c1").slots[slot].front) * (WIDTH_PX, HEIGHT_PX)).mean(axis=0)
        return float(x), float(y)


def _warped(picture: Picture, shift: Matrix) -> Picture:
    size = picture.shape[1], picture.shape[0]
    return np.asarray(cv2.warpPerspective(picture, shift, size, borderValue=(90, 90, 90)), np.uint8)


def _sized(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, (WIDTH_PX // 2, HEIGHT_PX // 2), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture
def knocked() -> KnockedCamera:
    camera = KnockedCamera()
    assert camera.see(5) == []
    camera.turn = FAR
    assert camera.see(8) == [], "what seems to have come and gone did not"
    return camera


def test_somebody_is_asked_to_turn_it_back(knocked: KnockedCamera) -> None:
    sight = knocked.bay.sight
    assert (sight.state, sight.is_far) == ("clear", True)
    assert "turn it back, or calibrate it again" in sight.text
    assert sight.warp is not None
    places = np.array([[x, y] for x in (250.0, 400.0, 550.0) for y in (60.0, 150.0, 240.0)])
    off_px = np.hypot(*(project(sight.warp, places) - project(FAR, places)).T)
    assert off_px.max() < 2.0


def test_its_status_says_so_while_the_counting_goes_on(knocked: KnockedCamera) -> None:
    camera = CameraWork("c1", "c1", knocked.plan, LatestFrame(threading.Condition()), knocked.bay)
    camera.state, camera.sight = CameraState(True, 0.0), knocked.bay.sight
    status = camera_status(camera)
    assert status is not None
    assert (status.state, status.text) == ("moved", knocked.bay.sight.text)


def test_slots_it_still_shows_go_on_and_the_others_are_unknown(knocked: KnockedCamera) -> None:
    unknown = {slot for slot, fact in knocked.stock.items() if fact.level == "unknown"}
    assert unknown >= {"s1-01", "s4-01", "s4-05"}, "the left and the lowest are beyond the picture's edge"
    assert not unknown & {"s1-03", "s2-04", "s3-05"}
    assert {knocked.reason_of(slot) for slot in unknown} == {"moved-camera"}
    assert len(unknown) <= len(knocked.stock) / 2


def test_a_hand_is_told_at_the_slot_that_is_there_now(knocked: KnockedCamera) -> None:
    told = knocked.see(2, hand_px=knocked.middle_of("s2-04"))
    assert [(fact.action, fact.slot) for fact in told] == [("reach", "s2-04")]


def test_a_hand_at_a_slot_half_in_the_picture_is_told_without_a_count(knocked: KnockedCamera) -> None:
    x, y = knocked.middle_of("s2-01")
    assert knocked.reason_of("s2-01") == "moved-camera"
    told = knocked.see(2, hand_px=(x + 15, y))
    assert [(fact.action, fact.slot, fact.before, fact.after) for fact in told] == [("reach", "s2-01", None, None)]
    knocked.turn = AS_BUILT
    assert knocked.see(10) == [], "nobody knows what was taken meanwhile, and nothing was"


def test_turned_back_all_is_known_again_and_nothing_happened(knocked: KnockedCamera) -> None:
    counts = {slot: fact.observation.count for slot, fact in knocked.stock.items() if fact.level != "unknown"}
    knocked.turn = AS_BUILT
    assert knocked.see(10) == []
    assert (knocked.bay.sight.state, knocked.bay.sight.text, knocked.bay.sight.warp) == ("clear", "", None)
    assert "unknown" not in {fact.level for fact in knocked.stock.values()}
    assert {slot: knocked.stock[slot].observation.count for slot in counts} == counts


def remembered(camera: KnockedCamera, folder: Path) -> RememberedView:
    """What the next run of a node reads."""
    view = camera.bay.remembered_view()
    assert view is not None
    files = ViewFiles(folder)
    assert files.keep("c1", view)
    read = files.load("c1")
    assert read is not None
    return read


def farthest_off_px(sight: Sight, true: Matrix) -> float:
    assert sight.warp is not None
    places = np.array([[x, y] for x in (250.0, 400.0, 550.0) for y in (60.0, 150.0, 240.0)])
    return float(np.hypot(*(project(sight.warp, places) - project(true, places)).T).max())


def test_a_camera_that_is_knocked_while_the_node_is_down_is_found_at_its_start(tmp_path: Path) -> None:
    before = KnockedCamera()
    before.see(5)
    after = KnockedCamera(remembered(before, tmp_path), FAR)
    assert after.see(4) == []
    assert after.bay.sight.is_far
    assert farthest_off_px(after.bay.sight, FAR) < 2.0
    assert [(fact.action, fact.slot) for fact in after.see(2, hand_px=after.middle_of("s2-04"))] == [("reach", "s2-04")]
    after.turn = AS_BUILT
    assert after.see(8) == []
    assert (after.bay.sight.text, after.bay.sight.warp) == ("", None)


def test_restarts_while_it_hangs_elsewhere_forget_nothing(knocked: KnockedCamera, tmp_path: Path) -> None:
    again = KnockedCamera(remembered(knocked, tmp_path), FAR)
    again.see(5)
    third = KnockedCamera(remembered(again, tmp_path), FAR)
    third.see(5)
    assert farthest_off_px(third.bay.sight, FAR) < 2.0
    fourth = KnockedCamera(remembered(third, tmp_path))
    fourth.see(5)
    assert (fourth.bay.sight.state, fourth.bay.sight.text) == ("clear", "")


def test_a_camera_that_was_away_and_hangs_elsewhere_now_is_followed() -> None:
    camera = KnockedCamera()
    camera.see(5)
    camera.bay.lose_sight(camera.at_s)
    camera.turn = FAR
    assert camera.see(5) == []
    assert camera.bay.sight.is_far
    assert farthest_off_px(camera.bay.sight, FAR) < 2.0


def test_nothing_is_concluded_while_it_is_sought_but_not_for_ever(tmp_path: Path) -> None:
    before = KnockedCamera()
    before.see(5)
    after = KnockedCamera(remembered(before, tmp_path), FAR)
    after.see(0.6)
    assert not after.stock, "not one count with the slots where they were"
    elsewhere = KnockedCamera(remembered(before, tmp_path))
    elsewhere.shelf = elsewhere.shelf[::-1, ::-1].copy()
    elsewhere.see(20)
    assert elsewhere.stock, "a shelf that was filled with other goods is counted as it is"


def test_landmarks_of_another_calibration_are_not_used() -> None:
    camera = KnockedCamera()
    camera.see(5)
    view = camera.bay.remembered_view()
    assert view is not None
    assert not Bay(camera.plan, "c1").recall_view(replace(view, view="0" * 64))


GOOD = {"schema": "smartshelf.node-view.v1", "view": "", "width_px": 320, "height_px": 180, "at_px": [[1, 2]]}
ONE_LOOK = base64.b64encode(bytes(128)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        json.dumps(GOOD | {"looks": ONE_LOOK, "at_px": [[1, 2], [3, 4]]}),
        json.dumps(GOOD | {"looks": ONE_LOOK, "at_px": [[1, 1e9]]}),
        json.dumps(GOOD | {"looks": ONE_LOOK, "width_px": 0}),
        json.dumps(GOOD | {"looks": "no base 64"}),
        json.dumps(GOOD | {"looks": ONE_LOOK, "at_px": [[1, 2]] * 2_001}),
    ],
    ids=["empty", "nothing", "too few looks", "far away", "no width", "no looks", "too many"],
)
def test_a_damaged_file_is_said_and_written_anew(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "c1.json").write_text(text)
    assert ViewFiles(tmp_path).load("c1") is None
    assert "not known" in caplog.text
    camera = KnockedCamera()
    camera.see(5)
    assert len(remembered(camera, tmp_path).landmarks.at_px) > 100


def test_landmarks_come_back_as_they_were(tmp_path: Path) -> None:
    camera = KnockedCamera()
    camera.see(5)
    view = camera.bay.remembered_view()
    assert view is not None
    read = remembered(camera, tmp_path)
    assert (read.view, read.width_px, read.height_px) == (view.view, view.width_px, view.height_px)
    assert np.abs(read.landmarks.at_px - view.landmarks.at_px).max() <= 0.005 + 1e-9
    assert np.array_equal(read.landmarks.looks, view.landmarks.looks)


def test_a_disk_that_takes_nothing_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "views").write_text("a file where the folder should be")
    camera = KnockedCamera()
    camera.see(5)
    view = camera.bay.remembered_view()
    assert view is not None
    files = ViewFiles(tmp_path / "views")
    assert [files.keep("c1", view) for _ in range(3)] == [False] * 3
    assert len(caplog.records) == 1


def test_landmarks_are_believed_only_where_the_pictures_agree() -> None:
    shelf = _sized(printed_shelf())
    rules = RegistrationRules()

    def seen(picture: Picture) -> Features:
        return features(np.ascontiguousarray(picture[:, :, 1]), NOBODY)

    reference = seen(shelf)
    landmarks = Landmarks.of(reference)
    half = np.diag([0.5, 0.5, 1.0])
    small = half @ FAR @ np.linalg.inv(half)
    moved = _warped(shelf, small)
    assert find_again(rules, reference, landmarks, seen(moved)) is not None
    mirrored = moved[:, ::-1].copy()
    assert find_again(rules, reference, landmarks, seen(mirrored)) is None
    nothing = np.full_like(shelf, 90)
    assert find_again(rules, reference, landmarks, seen(nothing)) is None
    nearer = _warped(shelf, np.diag([2.0, 2.0, 1.0]))
    assert find_again(rules, reference, landmarks, seen(nearer)) is None, "another distance is another view"


def test_a_lamp_that_flickers_brings_no_doubt_for_long_and_a_jolt_does_at_once() -> None:
    watch = SightWatch(SightRules(), WIDTH_PX, HEIGHT_PX)
    shelf = printed_shelf()
    rng, at_s = np.random.default_rng(3), 0.0
    doubts: list[bool] = []

    def see(picture: Picture, seconds: float, changed: float) -> None:
        nonlocal at_s
        doubts.clear()
        for _ in range(round(seconds * FPS)):
            at_s += 1 / FPS
            noisy = np.clip(picture + rng.integers(-3, 4, picture.shape, np.int16), 0, 255).astype(np.uint8)
            watch.step(noisy, at_s, is_same=False, changed=changed, people_px=NOBODY)
            doubts.append(watch.is_in_doubt)

    see(shelf, 5, 0.1)
    see((shelf * 0.7).astype(np.uint8), 60, 0.8)
    assert sum(doubts) <= 0.1 * len(doubts)
    see(shelf, 11, 0.1)
    somebody = np.array([[0, 0, WIDTH_PX, HEIGHT_PX]], np.float32)
    watch.step(shelf, at_s + 0.1, is_same=False, changed=0.8, people_px=somebody)
    assert watch.is_in_doubt, "also while people hide how far it went"


def test_the_picture_without_people_goes_along() -> None:
    finder = ArmFinder(ArmRules(), WIDTH_PX)
    shelf = printed_shelf()
    finder.find(shelf, NOBODY, 0.0)
    finder.find(shelf, NOBODY, 1.0)
    there = _warped(shelf, FAR)
    assert finder.find(there, NOBODY, 2.0).foreground.mean() > 0.3
    finder.follow(FAR)
    assert finder.find(there, NOBODY, 2.2).foreground.mean() < 0.1

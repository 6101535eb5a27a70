"""Pictures of unknown things: kept only where allowed, without people, on the node, and not for long."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from shelf_contracts.errors import FileProblems
from shelf_contracts.gallery import Embedder, Gallery
from shelf_contracts.messages import ModelInfo
from shelf_edge import app as node_app
from shelf_edge.adapters.unknown_store import KeepingLimits, UnknownStore
from shelf_edge.cli import app
from shelf_edge.config import EdgeConfig, check_config
from shelf_edge.core.bay import Bay
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.frame import Frame
from shelf_edge.core.masking import cut_out
from shelf_edge.core.recognition import Calibration
from shelf_edge.recognising import CropBudget, Recognising
from shelf_edge.unknown_pictures import LARGEST_SIDE_PX, UnknownPictures
from shelf_testing.planograms import one_slot_planogram

PEOPLE = frozenset({int(Kind.PERSON)})
LEFT, RIGHT = (100, 110, 140, 165), (180, 110, 220, 165)
LIMITS = KeepingLimits(3600.0, 3, 100_000)
NOBODYS, KNOWN = 30, 10
"""Colours of what nobody enrolled, and of what is known from ``learn`` on."""


class FakeClock:
    def __init__(self) -> None:
        self.at_s = 1_800_000_000.0

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s


class FakeEmbedder:
    info = ModelInfo(role="recogniser", name="fake", version="1", sha256="a" * 64, licence="x")
    dimension = 4

    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        axes = [0 if crop[crop.shape[0] // 2, crop.shape[1] // 2, 0] == KNOWN else 1 for crop in crops]
        return np.eye(4, dtype=np.float32)[axes]


class Node:
    """One bay of one slot; each look is half a second after the one before."""

    def __init__(self, folder: Path, people: frozenset[int] = PEOPLE, limits: KeepingLimits = LIMITS) -> None:
        self.clock = FakeClock()
        self.store = UnknownStore(folder, limits)
        self.pictures = UnknownPictures(self.store, lambda: people, self.clock)
        self.recognising = Recognising(FakeEmbedder(), Calibration(0.05, 0.6), budget=CropBudget(8, 2))
        self.recognising.use(Gallery(Embedder(name="fake", version="1", sha256="a" * 64), 4))
        self.planogram = one_slot_planogram()
        self.bay = Bay(self.planogram, "c1")
        self.pictures.start()

    def learn(self) -> None:
        """Enrol what has the colour KNOWN."""
        from datetime import UTC, datetime

        from shelf_contracts.gallery import GalleryEntry, Reference, added

        at = datetime(2026, 11, 22, tzinfo=UTC)
        entry = GalleryEntry(gtin="04006381333931", photo_sha256="0" * 64, enrolment="e1", at=at)
        vector = np.eye(4, dtype="<f2")[0].tobytes()
        empty = Gallery(Embedder(name="fake", version="1", sha256="a" * 64), 4)
        self.recognising.use(added(empty, [Reference(entry, vector)]))

    def look(
        self,
        colour: int = NOBODYS,
        *,
        person: tuple[int, ...] = (),
        hand: tuple[int, ...] = (),
        is_detected: bool = True,
    ) -> None:
        self.clock.at_s += 0.5
        scene = np.random.default_rng(1).integers(90, 200, (192, 320, 3))
        image = (scene + np.random.default_rng(int(self.clock.at_s * 2)).integers(0, 6, scene.shape)).astype(np.uint8)
        for x1, y1, x2, y2 in (LEFT, RIGHT):
            image[y1:y2, x1:x2, 0] = colour
        rows = [LEFT, RIGHT, *([person] if person else []), *([hand] if hand else [])]
        kinds = [Kind.PRODUCT] * 2 + [Kind.PERSON] * bool(person) + [Kind.HAND] * bool(hand)
        found = Detections(np.array(rows, np.float32), np.full(len(rows), 0.9, np.float32), np.array(kinds, np.uint8))
        frame = Frame(image, self.clock.at_s, 1)
        self.bay.wants_look(frame)
        facts = self.bay.advance(frame, found)
        self.recognising.follow(self.bay, self.planogram, frame, facts)
        things = self.recognising.unknown(self.bay, self.planogram)
        self.pictures.follow("b1", self.bay, frame, found if is_detected else None, things)

    def places(self) -> list[str]:
        """What is on the disk, when everything that waited is written."""
        self.pictures.stop(10)
        people = self.pictures._people
        before = self.pictures
        found = [kept.place for kept in self.store.pictures()]
        self.pictures = UnknownPictures(self.store, people, self.clock)
        self.pictures._had, self.pictures._of_before = before._had, before._of_before
        self.pictures._masks = before._masks
        self.pictures._tidy()
        self.pictures._thread.start()
        return found


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "unknown")
    yield made
    made.pictures.stop(10)


def looks(node: Node, times: int, colour: int = NOBODYS) -> None:
    for _ in range(times):
        node.look(colour)


def test_one_small_picture_is_kept_for_its_owner_only(node: Node) -> None:
    looks(node, 6)
    assert node.places() == ["b1/s1"]
    kept = node.store.pictures()[0]
    file = node.store.file(kept)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.with_suffix(".json").stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in file.parent.iterdir()) == ["b1.s1.jpg", "b1.s1.json"]
    picture = cv2.imread(str(file))
    height, width = picture.shape[:2]
    assert (width, height) == (44, 61), "the box of one thing, a twentieth around it"
    assert max(width, height) <= LARGEST_SIDE_PX
    assert abs(int(picture[height // 2, width // 2, 0]) - NOBODYS) < 25
    assert kept.looks >= 3
    assert node.pictures.health().places == ["b1/s1"]


def test_without_a_detector_that_knows_people_or_a_look_nothing_is_kept(tmp_path: Path) -> None:
    blind = Node(tmp_path / "blind", people=frozenset())
    looks(blind, 6)
    assert blind.places() == []
    blind.pictures.stop(10)
    unlooked = Node(tmp_path / "unlooked")
    for _ in range(6):
        unlooked.look(is_detected=False)
    assert unlooked.places() == []
    unlooked.pictures.stop(10)


def test_people_and_hands_are_covered_or_there_is_no_picture(tmp_path: Path) -> None:
    # A body before both things, then a hand: nothing is kept, and for 1.5 s after the body was last seen neither.
    node = Node(tmp_path / "unknown")
    try:
        looks(node, 4)  # known to be unknown, and a picture is there
        assert node.places() == ["b1/s1"]
        node.store.purge()
        node.pictures._had.clear()
        for _ in range(3):
            node.look(person=(80, 40, 240, 192))
        for _ in range(2):
            node.look()
        assert node.places() == []
        for _ in range(4):
            node.look(hand=(90, 100, 230, 170))
        assert node.places() == []
        looks(node, 8)
        assert node.places() == ["b1/s1"]
    finally:
        node.pictures.stop(10)


boxes = st.tuples(st.integers(-20, 70), st.integers(-20, 70), st.integers(1, 60), st.integers(1, 60)).map(
    lambda box: (max(0, box[0]), max(0, box[1]), max(0, box[0]) + box[2], max(0, box[1]) + box[3])
)


@given(boxes, st.lists(boxes, max_size=4), st.floats(0, 1))
def test_nothing_under_a_cover_is_in_a_crop(
    box: tuple[int, int, int, int], covers: list[tuple[int, int, int, int]], most: float
) -> None:
    image = np.zeros((64, 80, 3), np.uint8)
    for x1, y1, x2, y2 in covers:
        image[y1:y2, x1:x2] = 255  # somebody
    floats = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    cut = cut_out(image, floats, covers, most)
    inside = image[box[1] : box[3], box[0] : box[2], 0] == 255
    if cut is None:
        assert not inside.size or inside.mean() > most
    else:
        assert not (cut == 255).any()
        assert inside.mean() <= most


def test_it_is_deleted_when_it_is_known(node: Node) -> None:
    looks(node, 6, KNOWN)
    assert node.places() == ["b1/s1"]
    node.learn()
    looks(node, 2, KNOWN)
    assert node.places() == []
    assert node.pictures.health().places == []
    assert list(node.store._folder.iterdir()) == []


def test_a_picture_is_deleted_in_time_and_no_other_one_is_taken(node: Node) -> None:
    looks(node, 6)
    assert node.places() == ["b1/s1"]
    node.clock.at_s += LIMITS.retention_s
    looks(node, 6)
    assert node.places() == []
    looks(node, 6)
    assert node.places() == [], "it had its time"
    # Purged by hand is the same.


def test_after_a_restart_old_ones_go_and_young_ones_stay(tmp_path: Path) -> None:
    node = Node(tmp_path / "unknown")
    looks(node, 6)
    assert node.places() == ["b1/s1"]
    (tmp_path / "unknown" / "b1.s2.jpg").write_bytes(b"half of a pair")
    (tmp_path / "unknown" / "b1.s3.json.part").write_bytes(b"{")
    node.pictures.stop(10)
    young = UnknownPictures(node.store, lambda: PEOPLE, node.clock)
    young.start()
    young.stop(10)
    assert sorted(path.name for path in (tmp_path / "unknown").iterdir()) == ["b1.s1.jpg", "b1.s1.json"]
    node.clock.at_s += LIMITS.retention_s
    old = UnknownPictures(node.store, lambda: PEOPLE, node.clock)
    old.start()
    old.stop(10)
    assert list((tmp_path / "unknown").iterdir()) == []


def test_at_a_limit_the_oldest_goes_and_is_counted(tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta

    from shelf_edge.adapters.unknown_store import KeptPicture

    store = UnknownStore(tmp_path / "unknown", KeepingLimits(3600, 3, 1000))
    began = datetime(2026, 11, 22, tzinfo=UTC)

    def keep(slot: str, minute: int, size: int = 100) -> None:
        at = began + timedelta(minutes=minute)
        store.keep(KeptPicture(bay="b1", slot=slot, since=at, seen=at, looks=3, taken=at), b"x" * size)

    for number in range(4):
        keep(f"s{number}", number)
    assert [kept.slot for kept in store.pictures()] == ["s1", "s2", "s3"]
    assert store.deleted_at_limit == 1
    keep("s1", 5)
    assert [kept.slot for kept in store.pictures()] == ["s2", "s3", "s1"], "a newer one of the same place replaces"
    assert store.deleted_at_limit == 1
    keep("s9", 6, size=850)
    assert [kept.slot for kept in store.pictures()] == ["s1", "s9"], "by bytes too"
    keep("s8", 7, size=1001)
    assert [kept.slot for kept in store.pictures()] == ["s1", "s9"], "larger than all may be: not kept"
    # A picture from far in the future was taken by a wrong clock, and would stay too long.
    assert store.expire(began - timedelta(hours=2)) == 2


CONFIG = """
store = "test"
node = "n01"
[recogniser]
[[cameras]]
id = "c1"
source = "usb:0"
planogram = "b1.json"
purpose = "a test"
"""


def write_config(folder: Path, extra: str = "") -> Path:
    (folder / "b1.json").write_text(one_slot_planogram().model_dump_json(by_alias=True))
    (folder / "edge.toml").write_text(CONFIG + extra)
    return folder / "edge.toml"


def test_nothing_is_kept_unless_the_shop_says_so(tmp_path: Path) -> None:
    assert not EdgeConfig.model_fields["unknown_pictures"].default.keep
    node = Node(tmp_path / "state" / "unknown")
    looks(node, 6)
    assert node.places() == ["b1/s1"]
    node.pictures.stop(10)
    allowed = check_config(write_config(tmp_path, "[unknown_pictures]\nkeep = true\n"))
    assert node_app._open_unknown_pictures(allowed, lambda: PEOPLE, node.clock) is not None
    assert node.store.pictures()
    forbidden = check_config(write_config(tmp_path))
    assert node_app._open_unknown_pictures(forbidden, lambda: PEOPLE, node.clock) is None
    assert list((tmp_path / "state" / "unknown").iterdir()) == [], "switched off: deleted at the next start"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("[unknown_pictures]\nkeep = true\nretention_h = 169\n", "unknown_pictures.retention_h = 169"),
        ("[unknown_pictures]\nkeep = true\nmost = 101\n", "unknown_pictures.most = 101"),
        ("[unknown_pictures]\nkeep = true\nretention_h = 0\n", "unknown_pictures.retention_h = 0"),
    ],
)
def test_limits_have_limits(tmp_path: Path, extra: str, said: str) -> None:
    with pytest.raises(FileProblems, match=said):
        check_config(write_config(tmp_path, extra))


def test_without_a_recogniser_nothing_is_unknown(tmp_path: Path) -> None:
    file = write_config(tmp_path, "[unknown_pictures]\nkeep = true\n")
    file.write_text(file.read_text().replace("[recogniser]\n", ""))
    with pytest.raises(FileProblems, match=r"needs \[recogniser\]"):
        check_config(file)


def test_somebody_at_the_node_looks_copies_and_deletes(tmp_path: Path) -> None:
    node = Node(tmp_path / "state" / "unknown")
    looks(node, 6)
    assert node.places() == ["b1/s1"]
    config = str(write_config(tmp_path, "[unknown_pictures]\nkeep = true\n"))
    run = CliRunner().invoke
    listed = run(app, ["unknown", "list", "--config", config, "--json"])
    told = json.loads(listed.output.strip().splitlines()[-1])
    assert told["keep"] is True
    assert [(one["place"], Path(one["file"]).is_file()) for one in told["pictures"]] == [("b1/s1", True)]
    assert "b1/s1" in run(app, ["unknown", "list", "--config", config]).output
    assert told["pictures"][0]["file"] in run(app, ["unknown", "show", "b1/s1", "--config", config]).output
    out = tmp_path / "copy.jpg"
    assert run(app, ["unknown", "export", "b1/s1", "--config", config, "--out", str(out)]).exit_code == 0
    assert cv2.imread(str(out)) is not None
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    wrong = run(app, ["unknown", "show", "b1/s7", "--config", config])
    assert (wrong.exit_code, "must be one of b1/s1" in wrong.output) == (2, True)
    assert "1 deleted" in run(app, ["unknown", "purge", "b1/s1", "--config", config]).output
    assert "none is kept now" in run(app, ["unknown", "list", "--config", config]).output
    looks(node, 4)
    assert node.places() == [], "purged while the node runs: it takes no other one of the same thing"
    node.pictures.stop(10)


def test_a_disk_that_takes_nothing_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "unknown").write_text("a file where the folder should be")
    node = Node(tmp_path / "unknown")
    looks(node, 6)
    node.pictures.stop(10)
    assert "cannot be written" in caplog.text
    assert threading.active_count() < 50
    looks(node, 2)

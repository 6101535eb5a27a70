"""What stands in the slots, by looks that a test hands out."""

from __future__ import annotations

import base64
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest

from shelf_contracts.gallery import Embedder, Gallery, GalleryEntry, Reference, added
from shelf_contracts.messages import ModelInfo, SeenProduct
from shelf_edge.core.bay import Bay
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.facts import Fact, Observation, SlotFact, StockFact
from shelf_edge.core.frame import Frame
from shelf_edge.core.recognition import Calibration
from shelf_edge.recognising import CropBudget, Recognising, SightChange
from shelf_testing.planograms import one_slot_planogram

WANTED, OTHER = "04006381333931", "08712345678906"
DIMENSION = 8
CALIBRATION = Calibration(temperature=0.05, none_cosine=0.6)
SIZE = (320, 192)
LEFT, RIGHT = (100, 110, 140, 165), (180, 110, 220, 165)


def direction(axis: int) -> np.ndarray:
    vector = np.zeros(DIMENSION, np.float32)
    vector[axis] = 1.0
    return vector


LOOKS = {10: direction(0), 20: direction(1), 30: direction(5)}
"""The colour of a crop's middle to what it looks like; 30 is enrolled by nobody."""


@dataclass
class FakeEmbedder:
    batches: list[int] = field(default_factory=list)
    fails: bool = False
    gate: threading.Event | None = None

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(role="recogniser", name="fake", version="1", sha256="a" * 64, licence="x")

    @property
    def dimension(self) -> int:
        return DIMENSION

    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        if self.fails:
            raise RuntimeError("no memory")
        if self.gate is not None:
            assert self.gate.wait(20)
        self.batches.append(len(crops))
        return np.stack([LOOKS[int(crop[crop.shape[0] // 2, crop.shape[1] // 2, 0])] for crop in crops])


def gallery(*pairs: tuple[str, int]) -> Gallery:
    model = Embedder(name="fake", version="1", sha256="a" * 64)
    at = datetime(2026, 11, 22, tzinfo=UTC)
    return added(
        Gallery(model, DIMENSION),
        [
            Reference(
                GalleryEntry(gtin=gtin, photo_sha256=f"{axis:064x}", enrolment="e1", at=at),
                struct.pack(f"<{DIMENSION}e", *direction(axis)),
            )
            for gtin, axis in pairs
        ],
    )


BOTH = gallery((WANTED, 0), (OTHER, 1))


@dataclass
class Shelf:
    """One bay; each look is half a second after the one before."""

    recognising: Recognising
    embedder: FakeEmbedder
    now_s: float = 100.0

    def __post_init__(self) -> None:
        self.planogram = one_slot_planogram()
        self.bay = Bay(self.planogram, "c1")

    def look(
        self,
        colour: int,
        facts: Sequence[Fact] = (),
        *,
        hand: bool = False,
        boxes: Sequence[tuple[int, ...]] = (LEFT, RIGHT),
        hand_px: tuple[int, ...] = (),
    ) -> list[SightChange]:  # fmt: skip
        # A view in good light that never stands quite still, else the camera would be found dark or frozen.
        scene = np.random.default_rng(1).integers(90, 200, (SIZE[1], SIZE[0], 3))
        image = (scene + np.random.default_rng(int(self.now_s * 2)).integers(0, 6, scene.shape)).astype(np.uint8)
        for x1, y1, x2, y2 in boxes:
            image[y1:y2, x1:x2, 0] = colour
        if hand_px:
            x1, y1, x2, y2 = boxes[0]
            image[y1:y2, x1:x2, 1] = 255  # the first box is in the hand, and hides what is behind
        self.now_s += 0.5
        frame = Frame(image, self.now_s, 1)
        rows = [*boxes, *([(90, 60, 230, 190)] if hand else []), *([hand_px] if hand_px else [])]
        kinds = [Kind.PRODUCT] * len(boxes) + [Kind.PERSON] * hand + [Kind.HAND] * bool(hand_px)
        found = Detections(
            np.array(rows, np.float32).reshape(-1, 4), np.full(len(rows), 0.9, np.float32), np.array(kinds, np.uint8)
        )
        self.bay.wants_look(frame)
        self.bay.advance(frame, found)
        return self.recognising.follow(self.bay, self.planogram, frame, list(facts))

    def looks(self, colour: int, times: int) -> list[SightChange]:
        return [change for _ in range(times) for change in self.look(colour)]


@pytest.fixture
def shelf() -> Shelf:
    embedder = FakeEmbedder()
    recognising = Recognising(embedder, CALIBRATION, budget=CropBudget(8, 2))
    recognising.use(BOTH)
    return Shelf(recognising, embedder)


def verdicts(changes: list[SightChange]) -> list[tuple[str, str | None]]:
    return [(one.seen.verdict, one.seen.gtin) for one in changes if one.seen is not None]


def misplaced(changes: list[SightChange]) -> list[SeenProduct]:
    return [seen for one in changes for seen in one.misplaced]


def test_the_planned_product_is_known_after_a_few_looks_and_then_left_alone(shelf: Shelf) -> None:
    assert verdicts(shelf.looks(10, 12)) == [("known", WANTED)]
    seen = shelf.recognising.seen(shelf.planogram, "s1")
    assert seen is not None
    assert (seen.gallery, seen.confidence > 0.9) == (BOTH.revision[:12], True)
    assert sum(shelf.embedder.batches) < 12, "a slot at rest costs next to nothing"


def put_there(shelf: Shelf) -> SlotFact:
    return SlotFact("put", "s1", 1, 2, 3, 0.9, shelf.now_s, shelf.now_s)


def test_another_product_is_misplaced_once_and_not_at_the_first_look(shelf: Shelf) -> None:
    assert not misplaced(shelf.look(20, [put_there(shelf)]))
    changes = shelf.looks(20, 30)
    assert [seen.gtin for seen in misplaced(changes)] == [OTHER]
    put = put_there(shelf)
    shelf.look(10, [put])
    assert verdicts(shelf.looks(10, 8))[-1] == ("known", WANTED)
    shelf.look(20, [put])
    assert len(misplaced(shelf.looks(20, 30))) == 1, "again there: again told"


@pytest.mark.parametrize("passes_by", [False, True])
def test_what_is_misplaced_is_not_told_again_because_the_gallery_changed(shelf: Shelf, passes_by: bool) -> None:
    shelf.look(20, [put_there(shelf)])
    assert [seen.gtin for seen in misplaced(shelf.looks(20, 12))] == [OTHER]
    for newer in (gallery((WANTED, 0)), BOTH, gallery((WANTED, 0), ("00000096385074", 5)), BOTH):
        shelf.recognising.use(newer)
        if passes_by:
            shelf.look(20, hand=True)
        assert misplaced(shelf.looks(20, 10)) == [], "it has stood there all the time"
    put = put_there(shelf)
    shelf.look(10, [put])
    shelf.looks(10, 8)
    shelf.look(20, [put])
    assert len(misplaced(shelf.looks(20, 30))) == 1, "it was gone, and is there again"


def test_what_stood_there_since_the_start_was_misplaced_by_nobody(shelf: Shelf) -> None:
    assert misplaced(shelf.looks(20, 30)) == []
    seen = shelf.recognising.seen(shelf.planogram, "s1")
    assert seen is not None
    assert seen.gtin == OTHER, "the slot says what it seems to hold all the same"


def test_what_nobody_enrolled_is_unknown_until_it_is_enrolled(shelf: Shelf) -> None:
    assert verdicts(shelf.looks(30, 6)) == [("unknown", None)]
    seen = shelf.recognising.seen(shelf.planogram, "s1")
    assert seen is not None
    assert np.array_equal(np.frombuffer(base64.b64decode(seen.embedding), "<f2"), direction(5)), "what it looks like"
    newer = gallery((WANTED, 0), (OTHER, 1), ("00000096385074", 5))
    shelf.recognising.use(newer)
    changes = shelf.look(30)
    assert verdicts(changes) == [("known", "00000096385074")], "by what was seen before, at once"
    assert changes[0].seen is not None
    assert changes[0].seen.gallery == newer.revision[:12]
    shelf.recognising.use(BOTH)
    assert verdicts(shelf.look(30)) == [("unknown", None)]


def test_an_empty_slot_holds_nothing(shelf: Shelf) -> None:
    shelf.looks(10, 4)
    gone = StockFact("s1", Observation(0, 0, 0, 0.9, "clear"), "out", shelf.now_s)
    assert [one.seen for one in shelf.look(10, [gone], boxes=())] == [None]
    assert shelf.recognising.seen(shelf.planogram, "s1") is None


def test_nobody_is_cropped_and_company_costs_less(shelf: Shelf) -> None:
    shelf.look(10, hand=True)
    assert shelf.embedder.batches == [], "what somebody covers is not looked at"
    shelf.looks(10, 3)  # a body is remembered for a moment
    assert shelf.embedder.batches[0] == 2


def test_without_a_gallery_everything_is_unknown_and_failures_stay_here(shelf: Shelf) -> None:
    shelf.recognising.use(gallery())
    assert verdicts(shelf.looks(10, 4)) == [("unknown", None)]
    shelf.embedder.fails = True
    put = SlotFact("put", "s1", 1, 2, 3, 0.9, shelf.now_s, shelf.now_s)
    assert shelf.look(10, [put]) == []
    shelf.looks(10, 20)
    assert shelf.recognising.counters.failures == 1, "it is left alone for a while"


def test_beside_the_pipeline_nothing_is_waited_for_and_what_was_taken_away_says_nothing(shelf: Shelf) -> None:
    shelf.embedder.gate = threading.Event()
    shelf.recognising.start()
    try:
        assert verdicts(shelf.looks(20, 3)) == [], "the embedder is busy, the pipeline goes on"
        put = SlotFact("put", "s1", 1, 2, 3, 0.9, shelf.now_s, shelf.now_s)
        shelf.look(10, [put])
        shelf.embedder.gate.set()
        found: list[tuple[str, str | None]] = []
        deadline_s = time.monotonic() + 20
        while not found and time.monotonic() < deadline_s:
            found = verdicts(shelf.look(10))
            time.sleep(0.005)
        assert found == [("known", WANTED)]
    finally:
        shelf.recognising.stop(5)


@pytest.mark.parametrize(
    ("colour", "product", "step_told"),
    [(10, WANTED, 1), (20, OTHER, 3)],  # the slot's own product is confirmed sooner than another one is named
)
def test_what_a_hand_carries_is_told_with_the_slot_it_was_at(
    shelf: Shelf, colour: int, product: str, step_told: int
) -> None:
    reach = SlotFact("reach", "s1", 0, None, None, 0.9, shelf.now_s, shelf.now_s)
    told = []
    shelf.look(colour, boxes=[RIGHT])
    for step in range(8):
        box = (100 + 18 * step, 20, 140 + 18 * step, 75)
        shelf.now_s -= 0.4  # ten looks a second
        hand = (box[0] + 20, 40, box[0] + 60, 90)
        shelf.look(colour, [reach] if step == 0 else [], boxes=[box, RIGHT], hand_px=hand)
        told += [(one, step) for one in shelf.recognising.take_held()]
    assert [(one.slot, one.seen.verdict, one.seen.gtin) for one, _ in told] == [("s1", "known", product)]
    assert 0.3 < told[0][0].side < 0.7
    assert told[0][1] == step_told

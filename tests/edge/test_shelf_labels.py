"""Barcodes on shelf edges: read from a picture, and laid to the slots above them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp
from typer.testing import CliRunner

from shelf_contracts.files import read_model
from shelf_contracts.planogram import Fixture, PlannedProduct, Planogram, Position
from shelf_edge.adapters.barcodes import Barcode, BarcodeReader, most_read
from shelf_edge.cli import app
from shelf_edge.core.shelf_labels import HungLabel, ReadLabel, SlotLabel, agreed, propose, under_slots, with_labels
from shelf_edge.proposals import name_by_labels
from shelf_testing.planograms import one_slot_planogram

PLANNED, OTHER = "04006381333931", "08712345678906"


def barcode(digits: str, kind: str = "EAN13", scale: int = 2) -> np.ndarray:
    made = zxingcpp.create_barcode(digits, zxingcpp.barcode_format_from_str(kind))
    bars = np.array(zxingcpp.write_barcode_to_image(made, scale=scale))
    return cv2.copyMakeBorder(bars[: 30 * scale], 8, 8, 12, 12, cv2.BORDER_CONSTANT, value=255)


def shelf(tmp_path: Path, *labels: tuple[str, int, int]) -> Path:
    """A picture 1280 x 960 of the one-slot bay, labels at these places; its front edge lies at y = 864."""
    image = np.full((960, 1280, 3), 120, np.uint8)
    for digits, x, y in labels:
        bars = barcode(digits)
        image[y : y + bars.shape[0], x : x + bars.shape[1]] = bars[..., None]
    cv2.imwrite(str(tmp_path / "shelf.png"), image)
    (tmp_path / "bay.json").write_text(one_slot_planogram().model_dump_json(by_alias=True))
    return tmp_path / "shelf.png"


@pytest.mark.parametrize(
    ("digits", "kind", "gtin"),
    [
        ("4006381333931", "EAN13", "04006381333931"),
        ("96385074", "EAN8", "00000096385074"),
        ("036000291452", "UPCA", "00036000291452"),
        ("01234565", "UPCE", "00012345000065"),
    ],
)
def test_all_kinds_of_product_numbers_are_read(digits: str, kind: str, gtin: str) -> None:
    assert [one.gtin for one in BarcodeReader().read(barcode(digits, kind))] == [gtin]


def test_a_turned_faint_print_is_read_when_it_insists_and_its_place_is_right() -> None:
    image = np.full((500, 700), 255, np.uint8)
    bars = barcode("4006381333931")
    image[200 : 200 + bars.shape[0], 180 : 180 + bars.shape[1]] = bars
    turn = cv2.getRotationMatrix2D((350, 250), 28.0, 1.0)
    turned = cv2.warpAffine(image, turn, (700, 500), borderValue=255)
    faint = (cv2.GaussianBlur(turned, (0, 0), 0.9) * 0.25 + 120).astype(np.uint8)
    assert BarcodeReader(insists=False).read(faint) == []
    found = BarcodeReader().read(faint)
    assert [one.gtin for one in found] == [PLANNED]
    middle = turn @ np.array([180 + bars.shape[1] / 2, 200 + bars.shape[0] / 2, 1.0])
    assert np.hypot(*(np.array(found[0].middle_px) - middle)) < 60


def read(digits: str, left: float, top: float = 50) -> Barcode:
    gtin = digits.zfill(14)
    return Barcode(gtin, digits, ((left, top), (left + 100, top), (left + 100, top + 2), (left, top + 2)))


GOOD, BAD, ALSO = "4006381333931", "4006381333900", "8712345678906"


@pytest.mark.parametrize(
    ("readings", "found"),
    [
        ([[read(GOOD, 0)]], {GOOD}),
        ([[read(GOOD, 0)], [read(BAD, 0)]], set()),  # one of them is misread, and nobody knows which
        ([[read(GOOD, 0)], [read(BAD, 0, 80)]], set()),  # another line of the same bars
        ([[read(GOOD, 0)], [read(BAD, 0)], [read(GOOD, 0)]], {GOOD}),
        ([[read(BAD, 0), read(GOOD, 0, 60)], [read(GOOD, 0)]], {GOOD}),
        ([[read(GOOD, 0), read(ALSO, 300)], [read(GOOD, 0)]], {GOOD, ALSO}),  # another label beside it
        ([[], []], set()),
    ],
)
def test_a_number_must_be_read_more_often_than_any_other_at_its_place(
    readings: list[list[Barcode]], found: set[str]
) -> None:
    assert {one.lstrip("0") for one in most_read(readings)} == found


def test_a_label_belongs_to_the_slot_above_it() -> None:
    plan = one_slot_planogram()
    labels = [ReadLabel(OTHER, (640, 890)), ReadLabel(PLANNED, (640, 870)), ReadLabel(OTHER, (20, 870))]
    proposals, lost = propose(labels, plan, "c1", 1280, 960)
    assert [(one.slot, one.gtin, one.is_as_planned) for one in proposals] == [("s1", PLANNED, True)]
    assert [one.middle_px for one in lost] == [(640, 890), (20, 870)]
    changed = with_labels(plan, propose([ReadLabel(OTHER, (640, 890))], plan, "c1", 1280, 960)[0])
    assert changed.product_of("s1").gtin == OTHER
    assert (changed.product_of("s1").w, with_labels(plan, proposals)) == (plan.product_of("s1").w, plan)


def test_the_command_proposes_and_writes_a_planogram(tmp_path: Path) -> None:
    picture = shelf(tmp_path, ("8712345678906", 500, 866), ("96385074", 10, 20))
    arguments = ["planogram", "labels", str(picture), "--planogram", str(tmp_path / "bay.json"), "--json"]
    answer = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "new.json")])
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.output.splitlines()[-1])
    assert told["slots"] == [{"slot": "s1", "gtin": OTHER, "planned_gtin": PLANNED}]
    assert read_model(tmp_path / "new.json", Planogram).product_of("s1").gtin == OTHER
    assert CliRunner().invoke(app, [*arguments[:2], str(tmp_path / "bay.json"), *arguments[3:]]).exit_code == 2


def two_boards(size: float = 1000) -> Planogram:
    """Two boards of two slots; items stand at four and nine tenths of its height."""
    slots = [(board, place) for board in (1, 2) for place in (1, 2)]
    return Planogram(
        schema_name="smartshelf.planogram.v1", id="pg", store="shop", bay="a01", width=size, height=size,
        products=[PlannedProduct(id=f"p-{a}{b}", gtin=PLANNED, w=90, h=200) for a, b in slots],
        fixtures=[Fixture(id=f"t{a}", x=0, y=(a - 1) * size / 2, w=size, h=size * 0.4, d=300) for a in (1, 2)],
        positions=[
            Position(id=f"s{a}-0{b}", product_id=f"p-{a}{b}", fixture_id=f"t{a}", x=(b - 1) * size / 2,
                     y=size * (0.5 * a - 0.3), w=size / 2, h=size * 0.2, capacity=1)
            for a, b in slots
        ],
    )  # fmt: skip


def test_labels_go_to_the_slot_above_them_and_the_one_nearest_its_middle_counts() -> None:
    hung = [
        HungLabel(OTHER, 30, 430), HungLabel(PLANNED, 240, 425), HungLabel(OTHER, 700, 390), HungLabel(OTHER, 990, 979),
        HungLabel(PLANNED, 100, 600), HungLabel(PLANNED, 1200, 430), HungLabel(OTHER, 100, 990),
    ]  # fmt: skip
    assert under_slots(hung, two_boards()) == [
        SlotLabel("s1-01", PLANNED, (OTHER,)),
        SlotLabel("s1-02", OTHER),
        SlotLabel("s2-02", OTHER),
    ]


def test_what_two_readings_agree_on_counts() -> None:
    reads = [
        HungLabel(PLANNED, 100, 420), HungLabel(OTHER, 104, 421), HungLabel(PLANNED, 106, 424),
        HungLabel(OTHER, 300, 420), HungLabel(PLANNED, 302, 900), HungLabel(OTHER, 500, 420),
        HungLabel(PLANNED, 500, 420),
    ]  # fmt: skip
    assert agreed(reads) == [HungLabel(PLANNED, 103, 422)]


def test_labels_of_a_bay_seen_from_the_side_name_its_slots() -> None:
    """Barcodes of the usual size (a bar 0.33 mm) in perspective, a bar two pixels wide; the camera blurs a little."""
    plan, step = two_boards(400), 9.0
    front = np.full((int(400 * step), int(400 * step)), 130, np.uint8)
    told = {"s1-02": "4006381333931", "s2-01": "8712345678906"}
    for slot, digits in told.items():
        at, narrow = plan.position(slot), 0.33 * step / 4
        label = cv2.copyMakeBorder(barcode(digits, scale=4), 20, 20, 40, 40, cv2.BORDER_CONSTANT, value=255)
        bars = cv2.resize(label, None, fx=narrow, fy=narrow, interpolation=cv2.INTER_AREA)
        x, y = int((at.x + 10) * step), int((at.y + at.h + 5) * step)
        front[y : y + bars.shape[0], x : x + bars.shape[1]] = bars
    soft = cv2.GaussianBlur(front, (0, 0), 0.7)
    corners = np.array([[48, 32], [2480, 88], [2440, 2400], [76, 2456]], np.float32)
    side = 400 * step
    to_photo = cv2.getPerspectiveTransform(np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32), corners)
    photo = cv2.cvtColor(cv2.warpPerspective(soft, to_photo, (2520, 2480)), cv2.COLOR_GRAY2BGR)
    named_plan, named = name_by_labels(photo, corners.astype(float), plan, BarcodeReader(insists=False))
    assert {one.label.slot: one.label.gtin for one in named} == {slot: f"0{digits}" for slot, digits in told.items()}
    assert {named_plan.product_of(slot).gtin for slot in ("s1-01", "s1-02", "s2-02")} == {PLANNED}
    assert named_plan.product_of("s2-01").gtin == OTHER
    assert [one.seen_gtin for one in named] == [PLANNED, PLANNED], "what it looked like is told too"

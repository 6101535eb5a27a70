from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelf_contracts.errors import ContractError, FileProblems
from shelf_models.labelled import Format, LabelProblems, normal_label, overhang_px, read_labelled

BOXES = [[10.0, 20.0, 60.0, 80.0], [70.0, 20.0, 120.0, 80.0]]


def picture(path: Path, width: int = 200, height: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))
    return path


def tsv(folder: Path) -> None:
    picture(folder / "1.jpg")
    (folder / "1.bboxes.tsv").write_text("10\t20\t60\t80\n70\t20\t120\t80\n")
    (folder / "1.bboxes.labels.tsv").write_text("milk\nperson\n")


def coco(folder: Path) -> None:
    picture(folder / "images" / "1.jpg")
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 200, "height": 100}],
        "categories": [{"id": 7, "name": "milk"}, {"id": 8, "name": "Person"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 20, 50, 60]},
            {"id": 2, "image_id": 1, "category_id": 8, "bbox": [70, 20, 50, 60]},
        ],
    }
    (folder / "boxes.json").write_text(json.dumps(content))


def yolo(folder: Path) -> None:
    picture(folder / "images" / "val" / "1.jpg")
    (folder / "labels" / "val").mkdir(parents=True)
    (folder / "labels" / "val" / "1.txt").write_text("0 0.175 0.5 0.25 0.6\n1 0.475 0.5 0.25 0.6\n")
    (folder / "data.yaml").write_text("path: x\nnames:\n  0: milk\n  1: person\n")


def voc(folder: Path) -> None:
    picture(folder / "JPEGImages" / "1.jpg")
    (folder / "Annotations").mkdir()
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        "</bndbox></object>"
        for name, (x1, y1, x2, y2) in zip(("milk", "person"), BOXES, strict=True)
    )
    size = "<size><width>200</width><height>100</height></size>"
    (folder / "Annotations" / "1.xml").write_text(f"<annotation>{size}{objects}</annotation>")


WRITERS = {"tsv": tsv, "coco": coco, "yolo": yolo, "voc": voc}


@pytest.mark.parametrize("form", WRITERS)
def test_every_format_tells_the_same_boxes(form: str, tmp_path: Path) -> None:
    WRITERS[form](tmp_path)
    [found] = read_labelled(tmp_path, form)  # type: ignore[arg-type]
    assert found.labels == ("milk", "person")
    np.testing.assert_allclose(found.boxes, BOXES, atol=0.01)
    assert found.of(None)[0].tolist() == pytest.approx(np.array(BOXES[:1]), abs=0.01)
    assert found.of("person")[0].tolist() == pytest.approx(np.array(BOXES[1:]), abs=0.01)


@pytest.mark.parametrize("form", WRITERS)
def test_a_folder_without_pictures_is_an_error(form: str, tmp_path: Path) -> None:
    with pytest.raises(FileProblems):
        read_labelled(tmp_path, form)  # type: ignore[arg-type]


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    tsv(tmp_path)
    (tmp_path / "1.bboxes.tsv").write_text("10 20 60\n60 20 10 80\n1 2 x 4\n500 500 600 600\n")
    (tmp_path / "1.bboxes.labels.tsv").unlink()
    picture(tmp_path / "2.png")
    (tmp_path / "3.jpg").write_bytes(b"no picture")
    (tmp_path / "3.bboxes.tsv").write_text("")
    with pytest.raises(LabelProblems) as caught:
        read_labelled(tmp_path, "tsv")
    text = str(caught.value)
    for told in ("line 1", "line 2", "line 3", "line 4", "2.bboxes.tsv", "missing", "3.jpg", "sound header"):
        assert told in text, told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"annotations": 5}, "annotations = 5"),
        ({"images": None}, "images"),
        ({"annotations": [{"image_id": 1, "category_id": 7, "bbox": [1, 2, -5, 4]}]}, "x1 < x2"),
        ({"annotations": [{"image_id": 1, "category_id": 99, "bbox": [1, 2, 5, 4]}]}, "category_id"),
        ({"annotations": [{"image_id": 9, "category_id": 7, "bbox": [1, 2, 5, 4]}]}, "image_id 9"),
        ({"annotations": [{"image_id": 1, "category_id": 7, "bbox": [1, "a", 5]}]}, "bbox"),
        ({"annotations": [{"image_id": [1], "category_id": 7, "bbox": [1, 2, 5, 4]}]}, "image_id"),
        ({"images": [{"id": 1, "file_name": "1.jpg", "width": 300, "height": 100}]}, "300x100"),
        ({"images": [{"id": 1, "file_name": "../../etc/passwd"}]}, "file_name"),
        ({"images": [{"id": {}, "file_name": "1.jpg"}]}, "id"),
        ({"annotations": [{"image_id": 1, "category_id": [1], "bbox": [1, 2, 5, 4]}]}, "annotations[0].category_id"),
        ({"annotations": [{"image_id": True, "category_id": 7, "bbox": [1, 2, 5, 4]}]}, "image_id"),
        ({"images": [{"id": 1, "file_name": "1.jpg"}, {"id": 1, "file_name": "2.jpg"}]}, "images[1].id"),
        ({"images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "1.jpg"}]}, "images[1].file_name"),
        ({"images": [{"id": 1, "file_name": "1.jpg", "width": 100, "height": 200}]}, "100x200"),
        ({"images": [{"id": 1, "file_name": "\0"}]}, "file_name"),
        ({"images": [{"id": 1, "file_name": "x" * 5000}]}, "file_name"),
        ({"categories": 5}, "categories"),
        ({"categories": [{"id": 7, "name": "milk"}, {"id": 7, "name": "person"}]}, "categories[1].id"),
    ],
)
def test_broken_coco_files_name_the_key(change: dict[str, object], told: str, tmp_path: Path) -> None:
    coco(tmp_path)
    content = json.loads((tmp_path / "boxes.json").read_text()) | change
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    with pytest.raises((LabelProblems, FileProblems)) as caught:
        read_labelled(tmp_path, "coco")
    assert told in str(caught.value)
    assert "boxes.json" in str(caught.value)


def one_box(form: str, folder: Path, box: tuple[float, float, float, float], size: tuple[int, int] = (200, 100)) -> str:
    """A data set of one picture with one box (xyxy pixels); the name of the file that states the box."""
    x1, y1, x2, y2 = box
    width, height = size
    if form == "tsv":
        picture(folder / "1.jpg", *size)
        (folder / "1.bboxes.tsv").write_text("\t".join(map(str, box)))
        return "1.bboxes.tsv: line 1"
    if form == "coco":
        picture(folder / "1.jpg", *size)
        content = {
            "images": [{"id": 1, "file_name": "1.jpg"}],
            "annotations": [{"image_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}],
        }
        (folder / "boxes.json").write_text(json.dumps(content))
        return "boxes.json: annotations[0].bbox"
    picture(folder / "1.jpg", *size)
    if form == "yolo":
        shares = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        (folder / "1.txt").write_text("0 " + " ".join(map(str, shares)))
        return "1.txt: line 1"
    sides = "".join(
        f"<{name}>{value}</{name}>" for name, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    (folder / "1.xml").write_text(f"<annotation><object><bndbox>{sides}</bndbox></object></annotation>")
    return "1.xml: object[0].bndbox"


# A picture of 200 x 100 px: what sticks out by up to 5 px is cut. The longer side is no measure for the shorter one.
@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ((150, 10, 204, 50), [150, 10, 200, 50]),
        ((-4, -4, 50, 104), [0, 0, 50, 100]),
        ((0, 0, 200, 100), [0, 0, 200, 100]),
        ((210, 10, 260, 50), None),
        ((10, 110, 60, 160), None),  # within 200 x 200
        ((10, 50, 60, 120), None),
        ((150, 10, 215, 50), None),
        ((-20, 10, 50, 50), None),
    ],
)
def test_boxes_end_where_their_picture_ends(
    form: str, box: tuple[float, float, float, float], kept: list[float] | None, tmp_path: Path
) -> None:
    where = one_box(form, tmp_path, box)
    if kept is not None:
        [found] = read_labelled(tmp_path, form)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.boxes, [kept], atol=0.01)
        return
    with pytest.raises(LabelProblems) as caught:
        read_labelled(tmp_path, form)  # type: ignore[arg-type]
    assert where in str(caught.value)


@given(
    st.sampled_from(get_args(Format)),
    st.tuples(st.integers(20, 400), st.integers(20, 400)),
    st.tuples(*[st.integers(-500, 900)] * 2, *[st.integers(1, 300)] * 2),
)
@settings(max_examples=60)
def test_no_box_that_is_taken_lies_outside(
    box_folder: Path, form: Format, size: tuple[int, int], made: tuple[int, int, int, int]
) -> None:
    x, y, width, height = made
    one_box(form, box_folder, (x, y, x + width, y + height), size)
    beyond = [max(-x, x + width - size[0]) - overhang_px(size[0]), max(-y, y + height - size[1]) - overhang_px(size[1])]
    try:
        [found] = read_labelled(box_folder, form)
    except ContractError:
        outside = x + width <= 0 or y + height <= 0 or x >= size[0] or y >= size[1]
        assert outside or max(beyond) > -1e-6
        return
    assert max(beyond) < 1e-6
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2:] <= np.array(size)).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()


@pytest.fixture(scope="module")
def box_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("boxes")


def turned(path: Path, width: int = 200, height: int = 100) -> Path:
    """A JPEG stored as width x height, which its EXIF data turns by a quarter."""
    raw = picture(path, width, height).read_bytes()
    entry = bytes.fromhex("0112 0003 00000001 0006 0000")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + entry + bytes(4)
    path.write_bytes(raw[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + raw[2:])
    return path


@pytest.mark.parametrize("form", WRITERS)
def test_boxes_belong_to_the_picture_as_it_is_turned(form: str, tmp_path: Path) -> None:
    upright = (10, 120, 60, 180)  # of 100 x 200 px
    one_box(form, tmp_path, upright, (100, 200))
    turned(tmp_path / "1.jpg")
    [found] = read_labelled(tmp_path, form)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.boxes, [upright], atol=0.01)
    assert found.read().shape[:2] == (200, 100)


@pytest.mark.parametrize("form", ["coco", "voc"])
def test_the_stated_size_tells_that_boxes_belong_to_the_picture_as_stored(form: str, tmp_path: Path) -> None:
    stored = (120, 10, 180, 60)  # of 200 x 100 px
    one_box(form, tmp_path, stored)
    turned(tmp_path / "1.jpg")
    with pytest.raises(LabelProblems):
        read_labelled(tmp_path, form)  # type: ignore[arg-type]
    if form == "coco":
        content = json.loads((tmp_path / "boxes.json").read_text())
        content["images"][0] |= {"width": 200, "height": 100}
        (tmp_path / "boxes.json").write_text(json.dumps(content))
    else:
        text = (tmp_path / "1.xml").read_text()
        size = "<size><width>200</width><height>100</height></size></annotation>"
        (tmp_path / "1.xml").write_text(text.replace("</annotation>", size))
    [found] = read_labelled(tmp_path, form)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.boxes, [stored], atol=0.01)
    assert found.read().shape[:2] == (100, 200)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
IMAGE = st.fixed_dictionaries(
    {"id": st.just(1) | ODD, "file_name": st.just("1.jpg") | ODD},
    optional={"width": st.sampled_from([100, 200]) | ODD, "height": st.just(100) | ODD},
)
CATEGORY = st.fixed_dictionaries({"id": st.just(7) | ODD, "name": st.just("milk") | ODD})
BBOX = st.lists(st.integers(0, 90) | ODD, min_size=4, max_size=4) | ODD
ANNOTATION = st.fixed_dictionaries(
    {"image_id": st.just(1) | ODD, "category_id": st.just(7) | ODD, "bbox": BBOX}, optional={"iscrowd": ODD}
)
COCO = ODD | st.fixed_dictionaries(
    {"images": st.lists(IMAGE | ODD, max_size=2) | ODD},
    optional={
        "annotations": st.lists(ANNOTATION | ODD, max_size=2) | ODD,
        "categories": st.lists(CATEGORY | ODD, max_size=2) | ODD,
    },
)


@pytest.fixture(scope="module")
def coco_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coco")
    picture(folder / "1.jpg")
    return folder


def told_by(folder: Path, form: Format) -> bool:
    """Whether the folder was read, or refused with a name in it."""
    try:
        return bool(read_labelled(folder, form))
    except ContractError as error:
        return str(folder) in str(error)


@given(COCO)
@settings(max_examples=80)
def test_any_json_gives_pictures_or_told_problems(coco_folder: Path, content: Any) -> None:
    (coco_folder / "boxes.json").write_text(json.dumps(content))
    assert told_by(coco_folder, "coco")


WORDS = st.lists(
    st.sampled_from(["0", "0.5", "1", "²", "٣", "1e999", "-1", "nan", "9" * 5000, "x", "{", ":"]) | st.text()
)
TEXT = st.text() | WORDS.map(" ".join)
XML = TEXT | st.tuples(TEXT, TEXT, TEXT).map(
    lambda words: (
        f"<annotation><size><width>{words[0]}</width><height>{words[0]}</height></size><object><name>{words[1]}</name>"
        f"<bndbox><xmin>{words[2]}</xmin><ymin>0</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
    )
)


@given(st.sampled_from(["tsv", "yolo", "voc"]), TEXT, XML, TEXT)
@settings(max_examples=60)
def test_any_text_gives_pictures_or_told_problems(
    text_folder: Path, form: Format, text: str, xml: str, names: str
) -> None:
    for name, content in (
        ("1.bboxes.tsv", text), ("1.bboxes.labels.tsv", names), ("1.txt", text), ("1.xml", xml),
        ("data.yaml", f"names: {names}"),
    ):  # fmt: skip
        (text_folder / name).write_text(content, encoding="utf-8", errors="replace")
    assert told_by(text_folder, form)


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    picture(folder / "1.jpg")
    return folder


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0 0.5 0.5 0.2", "line 1"),
        ("0 100 50 20 20", "divide pixels"),
        ("x 0.5 0.5 0.2 0.2", "finite number"),
        ("0.5 0.5 0.5 0.2 0.2", "whole class number"),
        ("0 0.5 0.5 0 0.2", "above 0"),
        ("7 0.5 0.5 0.2 0.2", "0 to 1"),
        ("0 nan 0.5 0.2 0.2", "finite"),
    ],
)
def test_broken_yolo_lines(line: str, told: str, tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "labels" / "val" / "1.txt").write_text(line)
    with pytest.raises(LabelProblems, match=told):
        read_labelled(tmp_path, "yolo")


def test_yolo_polygons_become_boxes(tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "labels" / "val" / "1.txt").write_text("0 0.1 0.2 0.3 0.2 0.2 0.8")
    [found] = read_labelled(tmp_path, "yolo")
    np.testing.assert_allclose(found.boxes, [[20, 20, 60, 80]], atol=0.01)


@pytest.mark.parametrize("text", ["", "<annotation>", "<a/>", '<!DOCTYPE a [<!ENTITY b "c">]><annotation/>'])
def test_broken_voc_files(text: str, tmp_path: Path) -> None:
    voc(tmp_path)
    (tmp_path / "Annotations" / "1.xml").write_text(text)
    with pytest.raises(LabelProblems, match=r"1\.xml"):
        read_labelled(tmp_path, "voc")


def test_difficult_boxes_are_neither_right_nor_wrong(tmp_path: Path) -> None:
    voc(tmp_path)
    file = tmp_path / "Annotations" / "1.xml"
    file.write_text(file.read_text().replace("</name>", "</name><difficult>1</difficult>", 1))
    [found] = read_labelled(tmp_path, "voc")
    assert [len(part) for part in found.of(None)] == [0, 1]


def test_labels_that_are_no_products_have_many_spellings() -> None:
    assert [normal_label(text) for text in ("Price tag", "HAND", "empty", "gap")] == [
        "price-label", "arm-or-hand", "gap", "gap"
    ]  # fmt: skip

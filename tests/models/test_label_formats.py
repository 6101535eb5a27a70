from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelf_contracts.errors import FileProblems
from shelf_models.labelled import LabelProblems, normal_label, read_labelled

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

"""``smartshelf models evaluate detector`` as people call it, on pictures whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import onnx
import pytest
from typer.testing import CliRunner, Result

from shelf_models.cli import app
from shelf_testing.gradient_model import Box, draw_products, grid, write_graph, write_model_folder
from shelf_testing.real_data import real_data


def write(folder: Path, name: str, size: tuple[int, int], drawn: list[Box], true: list[Box] | None = None) -> None:
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.png"), draw_products(*size, drawn))
    rows = "".join("\t".join(map(str, box)) + "\n" for box in (drawn if true is None else true))
    (folder / f"{name}.bboxes.tsv").write_text(rows)


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", "detector", *map(str, arguments)])


def report(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    figures: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    return figures


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "gradient"
    write_model_folder(folder, labels=["product", "arm-or-hand", "person", "price-label", "gap"])
    return folder


def test_known_pictures_give_known_figures(model: Path, tmp_path: Path) -> None:
    boxes = grid(4, 2, (40, 60), (70, 90), (10, 10))
    write(tmp_path / "d", "whole", (320, 192), boxes)
    write(tmp_path / "d", "one-missing", (320, 192), boxes[:7], boxes)
    write(tmp_path / "d", "one-too-many", (320, 192), boxes, boxes[:7])
    figures = report(evaluate("--data", tmp_path / "d", "--format", "tsv", "--model", model, "--json"))
    assert {"images", "ap", "ap50", "recall_50", "precision_50", "count_mae", "ms_per_image"} <= set(figures)
    assert (figures["images"], figures["boxes"], figures["max_dets"]) == (3, 23, 300)
    assert (figures["ap_at_300"], figures["ap50_at_300"]) == (figures["ap"], figures["ap50"])
    assert figures["recall_50"] == pytest.approx(22 / 23, abs=1e-3)
    assert figures["precision_50"] == pytest.approx(22 / 23, abs=1e-3)
    assert figures["count_mae"] == pytest.approx(2 / 3, abs=1e-3)
    assert figures["recall_at_precision_80"] == pytest.approx(22 / 23, abs=1e-3)


def test_a_dense_picture_with_700_products_loses_none(model: Path, tmp_path: Path) -> None:
    """5200 x 4000 px: in one look a product would measure three pixels, and COCO's cap would take 600 of them."""
    boxes = grid(35, 20, (50, 70), (140, 190), (30, 40))
    write(tmp_path / "d", "dense", (5200, 4000), boxes)
    told = evaluate("--data", tmp_path / "d", "--model", model, "--json")
    figures = report(told)
    assert (figures["boxes"], figures["recall_50"], figures["precision_50"]) == (700, 1.0, 1.0)
    assert figures["ap50"] == pytest.approx(1.0)
    assert (figures["max_dets"], figures["most_boxes_an_image"]) == (1400, 700)
    assert figures["ap50_at_300"] == pytest.approx(300 / 700, abs=0.01)
    assert "holds 700 boxes" in told.stderr
    assert figures["tiles_per_image"] > 20
    one_look = report(evaluate("--data", tmp_path / "d", "--model", model, "--tiles", "never", "--json"))
    assert one_look["recall_50"] < 0.1


def test_a_folder_of_figures(model: Path, tmp_path: Path) -> None:
    write(tmp_path / "d", "a", (320, 192), grid(4, 2, (40, 60), (70, 90), (10, 10)))
    report(evaluate("--data", tmp_path / "d", "--model", model, "--json", "--out", tmp_path / "figures"))
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {"curve.svg", "best-1.jpg", "worst-1.jpg"}


def png(width: int, height: int, extra: bytes = b"", end: bytes = b"IEND") -> bytes:
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + size + bytes(9) + extra + b"IDAT" + end


@pytest.mark.parametrize(
    ("name", "raw", "told"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.png", b"hello", "sound header"),
        ("gif.jpg", b"GIF89a" + bytes(20), "JPEG, PNG, WebP or BMP"),
        ("huge.png", png(60_000, 60_000), "million pixels"),
        ("moving.png", png(100, 100, b"acTL"), "animated PNG"),
        ("torn.png", png(100, 100, end=b""), "torn PNG"),
        ("moving.webp", b"RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00" + bytes(6), "animated WebP"),
        ("nothing.png", png(100, 100), "OpenCV can decode"),
    ],
)
def test_bad_pictures_are_named(name: str, raw: bytes, told: str, model: Path, tmp_path: Path) -> None:
    write(tmp_path / "d", "good", (320, 192), grid(4, 2, (40, 60), (70, 90), (10, 10)))
    (tmp_path / "d" / name).write_bytes(raw)
    (tmp_path / "d" / f"{Path(name).stem}.bboxes.tsv").write_text("")
    result = evaluate("--data", tmp_path / "d", "--model", model, "--json")
    assert result.exit_code == 2
    assert name in result.output
    assert told in result.output


def test_half_a_jpeg_is_no_picture(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    write(folder, "good", (320, 192), grid(4, 2, (40, 60), (70, 90), (10, 10)))
    raw = cv2.imencode(".jpg", cv2.imread(str(folder / "good.png")))[1].tobytes()
    (folder / "half.jpg").write_bytes(raw[: len(raw) // 2])
    (folder / "half.bboxes.tsv").write_text("")
    result = evaluate("--data", folder, "--model", model)
    assert (result.exit_code, "torn JPEG" in result.output) == (2, True)


def test_bad_models_are_named(tmp_path: Path) -> None:
    write(tmp_path / "d", "good", (320, 192), grid(4, 2, (40, 60), (70, 90), (10, 10)))
    other = tmp_path / "other.onnx"
    write_graph(other, 320, 192)
    wrong = onnx.load(other)
    wrong.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4
    (tmp_path / "wrong.onnx").write_bytes(wrong.SerializeToString())
    apart = tmp_path / "apart.onnx"
    onnx.save(
        onnx.load(other),
        apart,
        save_as_external_data=True,
        location="apart.data",
        size_threshold=0,
        convert_attribute=True,
    )
    (tmp_path / "apart.data").unlink()
    (tmp_path / "no.onnx").write_bytes(b"nothing")
    told = {
        "wrong.onnx": "wrong.onnx",
        "apart.onnx": "external data",
        "no.onnx": "ONNX model",
        "absent.onnx": "missing",
    }
    for name, text in told.items():
        result = evaluate("--data", tmp_path / "d", "--model", tmp_path / name)
        assert result.exit_code == 2, name
        assert name in result.output
        assert text in result.output


def test_arguments_are_checked(model: Path, tmp_path: Path) -> None:
    for arguments, told in (
        (("--format", "json"), "--format"),
        (("--provider", "gpu"), "--provider"),
        (("--tiles", "some"), "--tiles"),
        (("--as-product", "milk", "--model", model), "--as-product"),
    ):
        result = evaluate("--data", tmp_path, *arguments)
        assert (result.exit_code, told in result.output) == (2, True), result.output


@pytest.mark.real
def test_yolox_class_agnostic_on_fridge_photos() -> None:
    """The stated figures are of 25 photos: AP50 0.735, recall 0.40 at precision 0.77; 15 of them are here."""
    figures = report(
        evaluate(
            "--data", real_data("fridge"), "--model", real_data("baselines", "yolox_nano.onnx"), "--confidence", 0.3,
            "--json",
        )
    )  # fmt: skip
    assert figures["products"] == "all-but:person"
    assert figures["ap50"] == pytest.approx(0.735, abs=0.02)
    assert figures["recall_50"] == pytest.approx(0.40, abs=0.08)
    assert figures["precision_50"] == pytest.approx(0.77, abs=0.08)

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from shelf_contracts.errors import FileProblems
from shelf_contracts.shipped import model_folder
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.model_folder import locate_model
from shelf_models.cli import app
from shelf_models.quantise import depthwise_parts, nodes_to_leave, quantise
from shelf_testing.gradient_model import draw_products, grid, write_model_folder


def graph(*nodes: tuple[str, str, list[str], list[str]], weights: dict[str, list[int]]) -> SimpleNamespace:
    """Nodes of (name, op, inputs, outputs); the last one's output is the graph's."""
    return SimpleNamespace(
        node=[helper.make_node(op, ins, outs, name=name) for name, op, ins, outs in nodes],
        initializer=[numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights.items()],
        output=[helper.make_tensor_value_info(nodes[-1][3][0], TensorProto.FLOAT, None)],
    )


def test_the_decode_and_the_last_convolutions_stay() -> None:
    made = graph(
        ("body", "Conv", ["x", "w"], ["a"]),
        ("/model.10/m/attn/qkv", "Conv", ["a", "w"], ["a2"]),
        ("boxes", "Conv", ["a2", "w"], ["b"]),
        ("dfl", "Conv", ["b", "dfl.w"], ["c"]),
        ("classes", "Conv", ["a2", "w"], ["d"]),
        ("sure", "Sigmoid", ["d"], ["e"]),
        ("all", "Concat", ["c", "e"], ["output0"]),
        weights={"w": [8, 8, 1, 1], "dfl.w": [1, 16, 1, 1]},
    )
    assert set(nodes_to_leave(made)) == {"all", "sure", "classes", "dfl", "boxes", "/model.10/m/attn/qkv"}


def test_depthwise_convolutions_stay_with_their_activations() -> None:
    made = graph(
        ("point", "Conv", ["x", "w"], ["a"]),
        ("depth", "Conv", ["a", "w"], ["b"]),
        ("sure", "Sigmoid", ["b"], ["c"]),
        ("act", "Mul", ["b", "c"], ["d"]),
        ("next", "Conv", ["d", "w"], ["output0"]),
        weights={"w": [8, 8, 1, 1]},
    )
    made.node[1].attribute.append(helper.make_attribute("group", 8))
    assert depthwise_parts(made) == ["depth", "sure", "act"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(8):
        picture = draw_products(512, 288, grid(5, 2, (40, 60), (80, 100), (10 + number, 20)))
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    return folder


@pytest.mark.slow
def test_an_int8_copy_of_the_shipped_model_is_smaller_and_passes_its_own_self_test(tmp_path: Path) -> None:
    golden = next(model_folder().glob("golden.*"))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(8):
        (pictures / f"{number}{golden.suffix}").write_bytes(golden.read_bytes())
    done = quantise(model_folder(), pictures, tmp_path / "int8")
    assert done.mb_after < 0.5 * done.mb_before
    assert load_detector(tmp_path / "int8").info.name.endswith("-int8")
    manifest = locate_model(tmp_path / "int8").manifest
    assert (manifest.metrics, manifest.signature) == ({}, None)
    assert "U8S8" in (tmp_path / "int8" / "CARD.md").read_text()
    kinds = {node.op_type for node in onnx.load(tmp_path / "int8" / "model.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds


def test_too_few_pictures_and_a_folder_that_exists_are_refused(tmp_path: Path, pictures: Path) -> None:
    write_model_folder(tmp_path / "model")
    with pytest.raises(FileProblems, match="at least 8"):
        quantise(tmp_path / "model", tmp_path / "model", tmp_path / "out")
    with pytest.raises(FileProblems, match="must not exist"):
        quantise(tmp_path / "model", pictures, pictures)


def test_a_failed_run_leaves_nothing(tmp_path: Path, pictures: Path) -> None:
    write_model_folder(tmp_path / "model")
    (pictures / "3.png").write_bytes(b"torn")
    with pytest.raises(FileProblems, match=r"3\.png"):
        quantise(tmp_path / "model", pictures, tmp_path / "runs" / "out")
    assert not list((tmp_path / "runs").iterdir())


def test_two_models_side_by_side(tmp_path: Path) -> None:
    for version in ("1.0", "1.1"):
        write_model_folder(tmp_path / version, version=version)
    (tmp_path / "data").mkdir()
    boxes = grid(4, 2, (40, 60), (70, 90), (10, 10))
    cv2.imwrite(str(tmp_path / "data" / "a.png"), draw_products(320, 192, boxes))
    rows = "".join("\t".join(map(str, box)) + "\n" for box in boxes)
    (tmp_path / "data" / "a.bboxes.tsv").write_text(rows)
    result = CliRunner().invoke(
        app,
        ["compare", str(tmp_path / "1.0"), str(tmp_path / "1.1"), "--data", str(tmp_path / "data"), "--json"],
    )
    assert result.exit_code == 0, result.output
    first, second = json.loads(result.output.splitlines()[-1])["models"]
    assert (first["version"], second["version"]) == ("1.0", "1.1")
    assert first["ap50"] == second["ap50"] == pytest.approx(1.0)
    assert (first["times_first"], second["times_first"] > 0) == (1.0, True)

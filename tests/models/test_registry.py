"""``smartshelf models list|check|card|keys|sign|promote|rollback`` as people call them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner, Result

import smartshelf
from shelf_contracts.errors import FileProblems
from shelf_contracts.files import read_model
from shelf_contracts.manifest import Manifest
from shelf_contracts.shipped import DEFAULT_MODEL, DEFAULT_RECOGNISER, model_folder
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.model_folder import sha256_of
from shelf_edge.adapters.signatures import read_private_key
from shelf_edge.adapters.signatures import sign as sign_manifest
from shelf_edge.cli import app as edge
from shelf_edge.config import check_config
from shelf_models.card import card_text
from shelf_models.cli import app
from shelf_testing.gradient_model import write_graph, write_model_folder
from shelf_testing.real_data import real_data
from shelf_testing.tiny_recogniser import write_recogniser_folder

BOTTLES = Path(__file__).resolve().parents[2] / "examples" / "bottles" / "planogram.json"
SHIPPED = sorted(path.parent for path in model_folder().parent.glob("*/manifest.json"))


def models(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node that trusts one key and requires its signature."""
    assert models("keys", "--out", tmp_path / "keys", "--name", "shop").exit_code == 0
    public = (tmp_path / "keys" / "shop.pub").read_text().strip()
    write_model_folder(tmp_path / "base", version="1.0")
    assert models("sign", tmp_path / "base", "--key", tmp_path / "keys" / "shop.key").exit_code == 0
    shutil.copyfile(BOTTLES, tmp_path / "planogram.json")
    (tmp_path / "edge.toml").write_text(
        f"""
store = "example"
node = "n01"
[model]
path = "base"
trusted_keys = ["{public}"]
require_signature = true
[[cameras]]
id = "c1"
source = "usb:0"
planogram = "planogram.json"
purpose = "counting bottles"
"""
    )
    return tmp_path / "edge.toml"


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_cards_of_shipped_models_are_up_to_date(folder: Path) -> None:
    text = card_text(read_model(folder / "manifest.json", Manifest))
    assert (folder / "CARD.md").read_text() == text, f"run: smartshelf models card {folder}"


def test_the_card_tells_the_zero_shot_figures_of_the_accuracy_page() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "accuracy.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith("| shelf-nano (shipped) | ") and "0.33" in line]
    _, _, _, ap50, confidence, recall, precision, *_ = (cell.strip() for cell in row.split("|"))
    card = (model_folder() / "CARD.md").read_text()
    for told in (f"AP50 {ap50}", f"threshold {confidence}", f"recall {recall}", f"precision {precision}"):
        assert told in card


def test_a_node_gets_a_signed_model_and_goes_back(config: Path, tmp_path: Path) -> None:
    write_model_folder(tmp_path / "new", version="1.1")
    unsigned = models("promote", tmp_path / "new", "--config", config)
    assert (unsigned.exit_code, "signature" in unsigned.output) == (2, True)
    assert models("sign", tmp_path / "new", "--key", tmp_path / "keys" / "shop.key").exit_code == 0
    promoted = models("promote", tmp_path / "new", "--config", config)
    assert "gradient 1.0 -> gradient 1.1" in promoted.output
    rows = json.loads(models("list", "--config", config, "--json").output.splitlines()[-1])
    states = {row["place"]: row.get("state") for row in rows["models"]}
    assert (states["a"], states["base"]) == ("active, on trial", "previous")
    assert "active now: gradient 1.0" in models("rollback", "--config", config, "--reason", "test").output
    assert "rolled back: test" in models("list", "--config", config).output
    again = models("promote", tmp_path / "new", "--config", config)
    assert (again.exit_code, "--force" in again.output) == (2, True)


def test_signing_a_model_that_fails_its_self_test_is_refused(config: Path, tmp_path: Path) -> None:
    write_model_folder(tmp_path / "new", version="1.1")
    (tmp_path / "new" / "model.onnx").write_bytes(b"x")
    result = models("sign", tmp_path / "new", "--key", tmp_path / "keys" / "shop.key")
    assert (result.exit_code, "sha256" in result.output) == (2, True)


def test_check_asks_for_a_trusted_signature(config: Path, tmp_path: Path) -> None:
    base, public = tmp_path / "base", tmp_path / "keys" / "shop.pub"
    assert "signed by ed25519:" in models("check", base, "--trusted", public).output
    assert models("check", base, "--trusted", tmp_path / "edge.toml").exit_code == 2


def test_a_recogniser_is_signed_too(config: Path, tmp_path: Path) -> None:
    write_recogniser_folder(tmp_path / "eyes")
    key = tmp_path / "keys" / "shop.key"
    signed = models("sign", tmp_path / "eyes", "--key", key)
    assert signed.exit_code == 0, signed.output
    assert "signed by ed25519:" in models("check", tmp_path / "eyes", "--trusted", key.with_suffix(".pub")).output


@pytest.mark.parametrize("part", ["[model] path", "[recogniser] model"])
def test_a_node_that_requires_signatures_says_how_to_sign_what_ships(part: str, config: Path, tmp_path: Path) -> None:
    """And its words are followed to the letter."""
    if part == "[model] path":
        config.write_text(config.read_text().replace('path = "base"\n', ""))
        name, setting = DEFAULT_MODEL, f'[model]\npath = "{DEFAULT_MODEL}"'
    else:
        config.write_text(config.read_text() + "[recogniser]\n")
        name, setting = DEFAULT_RECOGNISER, f'[recogniser]\nmodel = "{DEFAULT_RECOGNISER}"'
    with pytest.raises(FileProblems) as refused:
        check_config(config)  # before anything else is done: also when another model is the active one
    told = str(refused.value)
    assert f'{part} = "{name}"' in told
    assert f"cp -r {model_folder(name)} {name} && smartshelf models sign {name} --key SHOP.key" in told
    shutil.copytree(model_folder(name), tmp_path / name)
    assert models("sign", tmp_path / name, "--key", tmp_path / "keys" / "shop.key").exit_code == 0
    config.write_text(config.read_text().replace(setting.split("\n")[0], setting))
    result = CliRunner().invoke(edge, ["check", "--config", str(config)])
    assert result.exit_code == 0, result.output


def test_list_says_whose_signature_was_checked(config: Path, tmp_path: Path) -> None:
    def rows() -> dict[str, str]:
        listed = json.loads(models("list", "--config", config, "--json").output.splitlines()[-1])
        return {row["place"]: row.get("signature") or row["state"] for row in listed["models"]}

    assert rows()["base"].endswith(", trusted")
    config.write_text(config.read_text().replace("require_signature = true", ""))
    assert models("keys", "--out", tmp_path / "keys", "--name", "stranger").exit_code == 0
    write_model_folder(tmp_path / "new", version="1.1")
    assert models("sign", tmp_path / "new", "--key", tmp_path / "keys" / "stranger.key").exit_code == 0
    promoted = models("promote", tmp_path / "new", "--config", config)
    assert (promoted.exit_code, "none of the trusted_keys" in " ".join(promoted.output.split())) == (0, True)
    assert rows()["a"].endswith(", not one of trusted_keys")
    manifest = tmp_path / "state" / "models" / "a" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"licence": "Apache-2.0"', '"licence": "MIT"'))
    assert "not usable" in rows()["a"]
    assert "does not fit" in rows()["a"]


def test_a_card_does_not_vouch_for_a_signature(config: Path, tmp_path: Path) -> None:
    text = card_text(read_model(tmp_path / "base" / "manifest.json", Manifest))
    assert ", says the manifest; ask `smartshelf models check FOLDER --trusted KEY.pub`" in text


def test_weights_in_a_file_beside_are_neither_signed_nor_trusted(config: Path, tmp_path: Path) -> None:
    """What lies beside the graph is in no hash: it could be exchanged under a good signature."""
    manifest = write_model_folder(tmp_path / "new", version="1.1")
    file = tmp_path / "new" / "model.onnx"
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="w.data", size_threshold=1024)
    text = (tmp_path / "new" / "manifest.json").read_text().replace(manifest.sha256, sha256_of(file))
    (tmp_path / "new" / "manifest.json").write_text(text)
    key = tmp_path / "keys" / "shop.key"
    result = models("sign", tmp_path / "new", "--key", key)
    assert (result.exit_code, "external data" in result.output, "as one file" in result.output) == (2, True, True)
    # Signed with another tool it is trusted as little.
    content = json.loads(text)
    content["signature"] = sign_manifest(content, read_private_key(key)).model_dump()
    (tmp_path / "new" / "manifest.json").write_text(json.dumps(content))
    for command in (["check", "--trusted", key.with_suffix(".pub")], ["promote", "--config", config]):
        result = models(command[0], tmp_path / "new", *command[1:])
        assert (result.exit_code, "external data" in result.output) == (2, True), result.output


def test_a_brought_file_is_described_and_judged(tmp_path: Path) -> None:
    write_graph(tmp_path / "one.onnx", 320, 192)
    result = models("check", tmp_path / "one.onnx")
    assert result.exit_code == 2
    for told in ("input: images tensor(float) [1, 3, 192, 320]", "output: output0", "not usable", "must be (1, 4"):
        assert told in result.output, result.output
    model = onnx.load(tmp_path / "one.onnx")
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    (tmp_path / "bytes.onnx").write_bytes(model.SerializeToString())
    assert models("check", tmp_path / "bytes.onnx").exit_code == 2
    (tmp_path / "nothing.onnx").write_bytes(b"")
    assert "nothing.onnx" in models("check", tmp_path / "nothing.onnx").output


def flat_graph(file: Path, shape: list[int | str], kind: int = onnx.TensorProto.FLOAT, **metadata: str) -> None:
    """A graph that gives zeros of (1, 6, 21) for an input of this shape."""
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        node("Cast", ["images"], ["numbers"], to=onnx.TensorProto.FLOAT),
        node("ReduceMean", ["numbers"], ["mean"], keepdims=0),
        node("Mul", ["mean", "nothing"], ["zero"]),
        node("Add", ["zeros", "zero"], ["output"]),
    ]
    constants = [
        onnx.numpy_helper.from_array(np.zeros((1, 6, 21), np.float32), "zeros"),
        onnx.numpy_helper.from_array(np.array(0, np.float32), "nothing"),
    ]
    output = value("output", onnx.TensorProto.FLOAT, [1, 6, 21])
    graph = onnx.helper.make_graph(nodes, "flat", [value("images", kind, shape)], [output], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, {"names": "{0: 'product', 1: 'gap'}"} | metadata)
    onnx.save(model, file)


@pytest.mark.parametrize(
    ("shape", "kind", "told"),
    [
        ([1, 3, 333, 77], "FLOAT", "multiples of 32, from 32 to 4096"),
        ([1, 3, 100_000, 100_000], "FLOAT", "multiples of 32, from 32 to 4096"),
        ([1, 3, 32, 4128], "FLOAT", "multiples of 32, from 32 to 4096"),
        ([1, 3, 32, 32], "FLOAT16", "float32 tensor (1, 3, height, width)"),
        ([1, 3, 32, 32], "UINT8", "float32 tensor (1, 3, height, width)"),
        ([1, 32, 32, 3], "FLOAT", "NCHW"),
        ([1, 1, 32, 32], "FLOAT", "three colours"),
        ([4, 3, 32, 32], "FLOAT", "one picture at a time"),
        ([1, 3, "height", "width"], "FLOAT", "write a manifest.json"),
    ],
)
def test_an_input_that_will_not_do_is_told_with_what_would(
    shape: list[int | str], kind: str, told: str, tmp_path: Path
) -> None:
    flat_graph(tmp_path / "one.onnx", shape, onnx.TensorProto.DataType.Value(kind))
    result = models("check", tmp_path / "one.onnx")
    assert (result.exit_code, told in result.output) == (2, True), result.output
    assert ("write a manifest" in result.output) == (told == "write a manifest.json")


def test_a_brought_file_with_an_odd_name_or_licence_is_no_traceback(tmp_path: Path) -> None:
    flat_graph(tmp_path / "one.onnx", [1, 3, 32, 32], license="")
    assert models("check", tmp_path / "one.onnx").exit_code == 0
    (tmp_path / "one.onnx").rename(tmp_path / "größe.onnx")
    result = models("check", tmp_path / "größe.onnx")
    assert (result.exit_code, "größe.onnx" in result.output) == (2, True), result.output


@pytest.mark.parametrize("threshold", [0.05, 0.99])
def test_a_threshold_of_ones_own_is_no_other_model(threshold: float) -> None:
    detector = load_detector(model_folder(), score_threshold=threshold)
    assert detector.score_threshold == threshold


def test_missed_golden_boxes_are_told_in_one_line(tmp_path: Path) -> None:
    shutil.copytree(model_folder(), tmp_path / "model")
    content = json.loads((tmp_path / "model" / "manifest.json").read_text())
    for box in content["golden"]["boxes"]:
        box["score"] = 0.0
    content["golden"]["score_tolerance"] = 0.01
    (tmp_path / "model" / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(FileProblems) as caught:
        load_detector(tmp_path / "model")
    count = len(content["golden"]["boxes"])
    assert count > 3
    assert len(caught.value.problems) == 1
    assert f"missed {count} of {count} boxes" in str(caught.value)
    assert str(caught.value).count(" at (") == 3


def test_ctrl_c_while_a_component_is_loaded_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", stopped)
    assert smartshelf.main(["models", "list"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_a_model_with_five_labels_loads_and_runs(tmp_path: Path) -> None:
    labels = ["product", "arm-or-hand", "person", "price-label", "gap"]
    write_model_folder(tmp_path / "five", labels=labels)
    result = models("check", tmp_path / "five")
    assert result.exit_code == 0, result.output
    assert "price-label = price-label, gap = gap" in result.output


@pytest.mark.real
def test_yolox_nano_is_usable_as_it_is() -> None:
    result = models("check", real_data("baselines", "yolox_nano.onnx"))
    assert result.exit_code == 0, result.output
    assert "head yolox" in result.output
    assert "verdict: usable" in result.output

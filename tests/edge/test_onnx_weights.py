"""Where the numbers of an ONNX file lie."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from shelf_contracts.errors import FileProblems
from shelf_contracts.shipped import model_folder
from shelf_edge.adapters.model_folder import locate_model, sha256_of
from shelf_edge.core.onnx_weights import PARTS, TENSOR, NotOnnx, outside_weights
from shelf_testing.gradient_model import write_model_folder

SHIPPED = sorted(path.parent for path in model_folder().parent.glob("*/manifest.json"))


def outside(name: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.data")
    return tensor


def model_with(nodes: list[onnx.NodeProto], **graph: object) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(nodes, "g", [], [], **graph))  # type: ignore[arg-type]


def constant(tensor: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["c"], value=tensor)


def deep(levels: int) -> onnx.ModelProto:
    node = constant(outside("deep"))
    for _ in range(levels):
        node = helper.make_node("If", ["x"], ["y"], then_branch=helper.make_graph([node], "in", [], []))
    return model_with([node])


def function() -> onnx.ModelProto:
    model = model_with([])
    model.functions.append(
        helper.make_function("own", "f", [], ["c"], [constant(outside("inner"))], [helper.make_opsetid("", 17)])
    )
    return model


def sparse() -> onnx.ModelProto:
    model = model_with([])
    model.graph.sparse_initializer.add().values.CopyFrom(outside("thin"))
    return model


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (model_with([], initializer=[outside("w")]), "w"),
        (model_with([constant(outside("c"))]), "c"),
        (deep(20), "deep"),
        (function(), "inner"),
        (sparse(), "thin"),
        (model_with([helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")]), "EPContext"),
    ],
)
def test_weights_in_other_files_are_found_wherever_they_hang(model: onnx.ModelProto, name: str) -> None:
    assert outside_weights(model.SerializeToString()) == [name]


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_shipped_models_hold_their_weights(folder: Path) -> None:
    assert locate_model(folder).onnx.is_file()


def test_every_message_of_the_standard_that_can_hold_a_tensor_is_visited() -> None:
    """Of the package onnx's own description: a new way to a tensor makes this fail."""
    messages = dict(onnx.onnx_ml_pb2.DESCRIPTOR.message_types_by_name)
    leads = {TENSOR}
    while True:
        more = {
            name
            for name, kind in messages.items()
            if any(field.message_type is not None and field.message_type.name in leads for field in kind.fields)
        }
        if more <= leads:
            break
        leads |= more
    wanted = {
        name: {
            field.number: field.message_type.name
            for field in messages[name].fields
            if field.message_type is not None and field.message_type.name in leads
        }
        for name in leads - {TENSOR}
    }
    assert wanted == PARTS


@given(st.binary(max_size=200))
def test_any_bytes_are_judged(raw: bytes) -> None:
    with contextlib.suppress(NotOnnx):
        outside_weights(raw)


@given(st.data())
def test_a_torn_model_never_hides_its_outside_weights(data: st.DataObject) -> None:
    """Bytes that the package onnx reads as outside weights are never judged to be whole."""
    raw = bytearray(model_with([constant(outside("c"))], initializer=[outside("w")]).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        model = onnx.ModelProto.FromString(bytes(raw))
    except DecodeError:
        return
    tensors = [*model.graph.initializer, *(a.t for n in model.graph.node for a in n.attribute if a.HasField("t"))]
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors):
        with contextlib.suppress(NotOnnx):
            assert outside_weights(bytes(raw))


def test_a_model_folder_with_weights_beside_is_refused(tmp_path: Path) -> None:
    manifest = write_model_folder(tmp_path)
    file = tmp_path / "model.onnx"
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="w.data", size_threshold=1024)
    text = (tmp_path / "manifest.json").read_text().replace(manifest.sha256, sha256_of(file))
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(FileProblems, match=r"external data.*export it as one file"):
        locate_model(tmp_path)

"""An embedding model whose answer is known: the mean colours of a crop's 6 x 6 parts, a few hundred bytes of ONNX.

Crops of another shape are padded elsewhere, so that tall, square and wide things are told apart.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shelf_contracts.files import write_json
from shelf_contracts.gallery import Embedder
from shelf_contracts.manifest import EmbeddingSpec, Manifest, Preprocessing
from shelf_edge.adapters.model_folder import sha256_of

SIDE_PX, PARTS = 96, 6
DIMENSION = 3 * PARTS * PARTS


def write_recogniser_folder(folder: Path, *, name: str = "mean-colours", version: str = "1") -> Manifest:
    """A whole model folder; its hash differs from version to version."""
    folder.mkdir(parents=True, exist_ok=True)
    pool = SIDE_PX // PARTS
    nodes = [
        helper.make_node("AveragePool", ["crops", ], ["means"], kernel_shape=[pool, pool], strides=[pool, pool]),
        helper.make_node("Sub", ["means", "middle"], ["centred"]),
        helper.make_node("Reshape", ["centred", "flat"], ["embeddings"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "mean-colours",
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["n", 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", DIMENSION])],
        [
            numpy_helper.from_array(np.array(0.42, np.float32), "middle"),
            numpy_helper.from_array(np.array([-1, DIMENSION], np.int64), "flat"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, doc_string=version)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    manifest = Manifest.model_validate(
        {
            "schema": "smartshelf.model.v1",
            "name": name,
            "version": version,
            "role": "recogniser",
            "file": "model.onnx",
            "sha256": sha256_of(folder / "model.onnx"),
            "licence": "Apache-2.0",
            "head": "embedding",
            "preprocessing": Preprocessing(width=SIDE_PX, height=SIDE_PX),
            "embedding": EmbeddingSpec(dimension=DIMENSION, temperature=0.03, none_cosine=0.9),
            "made_on": date(2026, 11, 22),
        }
    )
    write_json(folder / "manifest.json", manifest)
    return manifest


def embedder_of(manifest: Manifest) -> Embedder:
    """The model as galleries name it."""
    return Embedder(name=manifest.name, version=manifest.version, sha256=manifest.sha256)

"""A recogniser whose answer is known: the mean colours of a picture's sixteen fields, brought to length 1.

A few hundred bytes of ONNX; pictures of other colours lie elsewhere, and a little light changes little.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper

from shelf_contracts.files import write_json
from shelf_contracts.manifest import EmbeddingSpec, GoldenEmbedding, Manifest, Preprocessing
from shelf_edge.adapters.model_folder import sha256_of

SIDE_PX = 64
DIMENSION = 48


def write_grid_graph(file: Path) -> None:
    """The graph alone."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIDE_PX, SIDE_PX])
    embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", DIMENSION])
    middle = helper.make_tensor("middle", TensorProto.FLOAT, [1], [127.5])
    field = SIDE_PX // 4
    nodes = [
        helper.make_node("Sub", ["images", "middle"], ["centred"]),
        helper.make_node("AveragePool", ["centred"], ["fields"], kernel_shape=[field, field], strides=[field, field]),
        helper.make_node("Flatten", ["fields"], ["flat"]),
        helper.make_node("LpNormalization", ["flat"], ["embeddings"], axis=1, p=2),
    ]
    graph = helper.make_graph(nodes, "grid", [images], [embeddings], [middle])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(file))


def expected_embedding(picture: np.ndarray) -> np.ndarray:
    """Of a square BGR picture of the input's size, by hand."""
    fields = picture[..., ::-1].astype(np.float64).reshape(4, SIDE_PX // 4, 4, SIDE_PX // 4, 3).mean(axis=(1, 3))
    vector = (fields - 127.5).transpose(2, 0, 1).ravel()
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def golden_picture() -> np.ndarray:
    picture = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    picture[: SIDE_PX // 2] = (40, 90, 220)
    picture[SIDE_PX // 2 :, : SIDE_PX // 2] = (200, 60, 20)
    return picture


def write_grid_recogniser(folder: Path, *, name: str = "grid", version: str = "1") -> Path:
    """A whole model folder with its golden picture; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_grid_graph(folder / "model.onnx")
    picture = golden_picture()
    cv2.imwrite(str(folder / "golden.png"), picture)
    vector = [round(float(value), 4) for value in expected_embedding(picture)]
    golden = GoldenEmbedding(picture="golden.png", sha256=sha256_of(folder / "golden.png"), vector=vector)
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
            "preprocessing": Preprocessing(width=SIDE_PX, height=SIDE_PX, scale=1.0, padding=255),
            "embedding": EmbeddingSpec(dimension=DIMENSION, temperature=0.05, none_cosine=0.8, golden=golden),
            "made_on": date(2026, 11, 22),
        }
    )
    write_json(folder / "manifest.json", manifest)
    return folder

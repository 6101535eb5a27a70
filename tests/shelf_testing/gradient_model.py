"""A detector whose answer is known: it finds rectangles that carry their own measures as a gradient of colour.

Green rises from 0 to 1 across a product, blue from its top to its foot, red marks it. So at any scale each pixel tells
the box it belongs to: the width is one over the slope of green, the left edge lies green times the width away. The
graph is a few convolutions in ONNX with a YOLO head, a few kilobytes, exact to a pixel, and slow for nothing.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shelf_contracts.files import write_json
from shelf_contracts.manifest import Golden, GoldenBox, Manifest, Preprocessing
from shelf_edge.adapters.model_folder import sha256_of

Box = tuple[int, int, int, int]


def draw_products(width: int, height: int, boxes: list[Box]) -> np.ndarray:
    """A black picture with products (x1 y1 x2 y2) in it; BGR uint8."""
    picture = np.zeros((height, width, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        across = (np.arange(x2 - x1) + 0.5) / (x2 - x1) * 255
        down = (np.arange(y2 - y1) + 0.5) / (y2 - y1) * 255
        picture[y1:y2, x1:x2, 1] = across.round()[None, :]
        picture[y1:y2, x1:x2, 0] = down.round()[:, None]
        picture[y1:y2, x1:x2, 2] = 255
    return picture


def grid(columns: int, rows: int, size: tuple[int, int], pitch: tuple[int, int], start: tuple[int, int]) -> list[Box]:
    """Boxes in rows and columns; a pitch is from one left or upper edge to the next."""
    return [
        (x, y, x + size[0], y + size[1])
        for y in range(start[1], start[1] + rows * pitch[1], pitch[1])
        for x in range(start[0], start[0] + columns * pitch[0], pitch[0])
    ]


def write_graph(file: Path, width: int, height: int, classes: int = 1) -> None:
    """The graph alone, for an input of this size; classes after the first are never found."""
    xs, ys = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    # The difference over six pixels: 8-bit colours are too coarse for less.
    rise = np.array((-1, 0, 0, 0, 0, 0, 1), np.float32) / 6
    slope_x, slope_y = np.zeros((1, 3, 7, 7), np.float32), np.zeros((1, 3, 7, 7), np.float32)
    slope_x[0, 1, 3] = rise
    slope_y[0, 2, :, 3] = rise
    near = np.array((-1, 0, 1), np.float32) / 2
    near_x, near_y = np.zeros((1, 3, 3, 3), np.float32), np.zeros((1, 3, 3, 3), np.float32)
    near_x[0, 1, 1] = near
    near_y[0, 2, :, 1] = near
    constants = {
        "near_x": near_x,
        "near_y": near_y,
        "apart": np.array(0.3, np.float32),
        "slack": np.array(0.006, np.float32),
        "slope_x": slope_x,
        "slope_y": slope_y,
        "xs": xs[None, None].astype(np.float32),
        "ys": ys[None, None].astype(np.float32),
        "half": np.array(0.5, np.float32),
        "one": np.array(1.0, np.float32),
        "least": np.array(0.002, np.float32),
        "nearly": np.array(0.97, np.float32),
        "steep": np.array(3.0, np.float32),
        "nothing": np.array(0.0, np.float32),
        "flat": np.array([1, 4 + classes, height * width], np.int64),
        "parts": np.array([1, 1, 1], np.int64),
        "none": np.zeros((1, max(0, classes - 1), height, width), np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Split", ["images", "parts"], ["red", "green", "blue"], axis=1),
        node("Conv", ["images", "slope_x"], ["gx0"], pads=[3, 3, 3, 3]),
        node("Conv", ["images", "slope_y"], ["gy0"], pads=[3, 3, 3, 3]),
        node("Max", ["gx0", "least"], ["gx"]),
        node("Max", ["gy0", "least"], ["gy"]),
        node("Reciprocal", ["gx"], ["w"]),
        node("Reciprocal", ["gy"], ["h"]),
        node("Sub", ["half", "green"], ["dx"]),
        node("Sub", ["half", "blue"], ["dy"]),
        node("Mul", ["dx", "w"], ["mx"]),
        node("Mul", ["dy", "h"], ["my"]),
        node("Add", ["xs", "mx"], ["cx"]),
        node("Add", ["ys", "my"], ["cy"]),
        # Surest in the middle: score = red * (1 - 3 * max(|dx|, |dy|)), nothing below 0.
        node("Abs", ["dx"], ["ax"]),
        node("Abs", ["dy"], ["ay"]),
        node("Max", ["ax", "ay"], ["away"]),
        node("Mul", ["away", "steep"], ["less"]),
        node("Sub", ["one", "less"], ["sure"]),
        # The slope near by must be that farther away, else the pixels belong to two products.
        node("Conv", ["images", "near_x"], ["nx"], pads=[1, 1, 1, 1]),
        node("Conv", ["images", "near_y"], ["ny"], pads=[1, 1, 1, 1]),
        node("Sub", ["nx", "gx"], ["ux0"]),
        node("Sub", ["ny", "gy"], ["uy0"]),
        node("Abs", ["ux0"], ["ux"]),
        node("Abs", ["uy0"], ["uy"]),
        node("Mul", ["gx", "apart"], ["tx0"]),
        node("Mul", ["gy", "apart"], ["ty0"]),
        node("Add", ["tx0", "slack"], ["tx"]),
        node("Add", ["ty0", "slack"], ["ty"]),
        node("Less", ["ux", "tx"], ["even_x"]),
        node("Less", ["uy", "ty"], ["even_y"]),
        node("And", ["even_x", "even_y"], ["even"]),
        # Pixels mixed at a border have less red, or a slope that falls: they tell nothing.
        node("Greater", ["red", "nearly"], ["is_red"]),
        node("Greater", ["gx0", "least"], ["rises_x"]),
        node("Greater", ["gy0", "least"], ["rises_y"]),
        node("And", ["rises_x", "rises_y"], ["rises"]),
        node("And", ["rises", "is_red"], ["is_full"]),
        node("And", ["is_full", "even"], ["is_inside"]),
        node("Where", ["is_inside", "sure", "nothing"], ["score0"]),
        node("Clip", ["score0", "nothing", "one"], ["score"]),
        node("Concat", ["cx", "cy", "w", "h", "score", *(["none"] if classes > 1 else [])], ["stacked"], axis=1),
        node("Reshape", ["stacked", "flat"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "gradient",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 4 + classes, height * width])],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name != "none" or classes > 1],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, file)


def write_model_folder(
    folder: Path,
    *,
    name: str = "gradient",
    version: str = "1.0.0",
    size: tuple[int, int] = (320, 192),
    labels: list[str] | None = None,
) -> Manifest:
    """A whole model folder: graph, golden picture, manifest; its hash differs from version to version."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = labels or ["product"]
    write_graph(folder / "model.onnx", *size, classes=len(labels))
    model = onnx.load(folder / "model.onnx")
    model.doc_string = version
    onnx.save(model, folder / "model.onnx")
    box = (60, 50, 110, 110)
    cv2.imwrite(str(folder / "golden.png"), draw_products(*size, [box]))
    kinds = {
        "product": "product",
        "arm-or-hand": "hand",
        "person": "person",
        "price-label": "price-label",
        "gap": "gap",
    }
    shares = (box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1])
    manifest = Manifest.model_validate(
        {
            "schema": "smartshelf.model.v1",
            "name": name,
            "version": version,
            "file": "model.onnx",
            "sha256": sha256_of(folder / "model.onnx"),
            "licence": "Apache-2.0",
            "head": "yolo",
            "preprocessing": Preprocessing(width=size[0], height=size[1]),
            "labels": labels,
            "kinds": {label: kinds[label] for label in labels if label in kinds},
            "iou_threshold": 0.3,
            "golden": Golden(
                picture="golden.png",
                sha256=sha256_of(folder / "golden.png"),
                boxes=[GoldenBox(label="product", box=shares, score=0.97)],
                least_iou=0.8,
            ),
            "made_on": date(2026, 11, 22),
        }
    )
    write_json(folder / "manifest.json", manifest)
    return manifest

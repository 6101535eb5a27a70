"""A trained YOLOX network as an ONNX file with its manifest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import torch

from shelf_contracts.manifest import Manifest, Preprocessing, Training
from shelf_edge.adapters.model_folder import sha256_of
from shelf_models.describe import KINDS, LABELS
from shelf_models.presets import ShelfPreset
from shelf_models.versions import version_of
from shelf_models.yolox_network import YoloxNano

LICENCE = "Apache-2.0"
"""Of YOLOX's published weights, and so of what is made from them."""


def export(network: YoloxNano, file: Path, width_px: int, height_px: int) -> Path:
    """Write the network as ONNX for inputs of any size in multiples of 32; the file."""
    network = network.cpu().eval()
    network.exported = True
    example = torch.zeros(1, 3, height_px, width_px)
    torch.onnx.export(
        network, (example,), str(file), input_names=["images"], output_names=["output"], opset_version=17,
        dynamic_axes={"images": {2: "height", 3: "width"}, "output": {1: "cells"}}, dynamo=False,
    )  # fmt: skip
    network.exported = False
    return file


def manifest_of(preset: ShelfPreset, onnx: Path, training: Training) -> Manifest:
    """The manifest without figures."""
    return Manifest.model_validate(
        {
            "schema": "smartshelf.model.v1",
            "name": preset.name,
            "version": version_of(datetime.now(UTC)),
            "file": onnx.name,
            "sha256": sha256_of(onnx),
            "licence": LICENCE,
            "head": "yolox",
            "preprocessing": Preprocessing(
                width=preset.width_px, height=preset.height_px, colour_order="BGR", scale=1.0, anchor="top-left",
                fit="picture",
            ),
            "labels": LABELS,
            "kinds": KINDS,
            "score_threshold": preset.score_threshold,
            "iou_threshold": preset.iou_threshold,
            "part_weight": preset.part_weight,
            "trained_on": training,
            "made_on": datetime.now(UTC).date(),
        }
    )  # fmt: skip

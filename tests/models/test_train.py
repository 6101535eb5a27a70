"""The whole tool chain in about a minute: pictures, training, export, figures, self-test. Needs ``make test-train``."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from shelf_contracts.files import read_model
from shelf_contracts.manifest import Manifest
from shelf_edge.adapters.detector_onnx import load_detector

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(find_spec("ultralytics") is None, reason="needs the training environment: make test-train"),
]


def test_the_minute_preset_makes_a_model_that_a_node_accepts(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "smartshelf.py"), "models", "train", "--preset", "minute"]
    subprocess.run([*command, "--work", str(tmp_path), "--out", str(tmp_path / "model")], check=True, timeout=900)
    manifest = read_model(tmp_path / "model" / "manifest.json", Manifest)
    assert manifest.labels == ["product", "arm-or-hand", "person", "price-label", "gap"]
    assert manifest.golden is not None
    assert (tmp_path / "model" / "model.onnx").stat().st_size < 12_000_000
    assert load_detector(tmp_path / "model").info.sha256 == manifest.sha256

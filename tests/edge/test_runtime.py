from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from shelf_contracts.errors import FileProblems
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.runtime import Execution
from shelf_testing.gradient_model import draw_products, write_model_folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "m"
    write_model_folder(folder)
    return folder


def test_a_required_provider_that_is_missing_is_an_error_that_says_what_to_do(model: Path) -> None:
    with pytest.raises(FileProblems, match=r'directml: is required.*policy = "prefer"'):
        load_detector(model, execution=Execution("directml", "require"))


def test_a_preferred_provider_that_is_missing_is_replaced_and_said(model: Path) -> None:
    info = load_detector(model, execution=Execution("directml", "prefer")).info
    assert info.provider == "CPUExecutionProvider"
    assert info.fallback.startswith("directml preferred: this onnxruntime has")


@pytest.mark.skipif(find_spec("openvino") is None, reason="needs the extra openvino")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_openvino_finds_the_same(model: Path) -> None:
    picture = draw_products(320, 192, [(20, 20, 70, 90), (150, 40, 200, 120)])
    plain = load_detector(model).detect(picture)
    detector = load_detector(model, execution=Execution("openvino", "require"))
    assert detector.info.provider == "OpenVINO CPU"
    np.testing.assert_allclose(detector.detect(picture).boxes_px, plain.boxes_px, atol=3)

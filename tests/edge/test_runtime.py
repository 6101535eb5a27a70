from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from shelf_contracts.errors import FileProblems
from shelf_contracts.shipped import model_folder
from shelf_edge.adapters import runtime
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.model_folder import locate_model
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


def test_a_c_library_without_malloc_trim_is_none_the_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.ctypes, "CDLL", lambda name: object())
    path = locate_model(model_folder()).onnx
    assert runtime.open_session(path, threads=1).get_inputs()


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="asks Linux")
def test_what_loading_freed_is_given_back() -> None:
    """In a process of its own: nothing worth a megabyte is left to give back after a graph was loaded."""
    asked = (
        "import ctypes, sys\n"
        "from pathlib import Path\n"
        "from shelf_edge.adapters.runtime import open_session\n"
        "def held_kb():\n"
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    return next(int(line.split()[1]) for line in lines if line.startswith('RssAnon:'))\n"
        "session = open_session(Path(sys.argv[1]), threads=1)\n"
        "before_kb = held_kb()\n"
        "getattr(ctypes.CDLL(None), 'malloc_trim', lambda pad: 0)(0)\n"
        "print(before_kb - held_kb())\n"
    )
    path = locate_model(model_folder()).onnx
    told = subprocess.run(
        [sys.executable, "-c", asked, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(told.stdout) < 1024

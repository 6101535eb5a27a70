"""Where a graph is computed: onnxruntime with one of its execution providers, or OpenVINO when it is installed.

What is asked for is either required (an error when it can't be had) or preferred (the CPU takes over, and it is said);
never replaced in silence.
"""

from __future__ import annotations

import ctypes
import logging
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from shelf_contracts.errors import FileProblems, Problem

log = logging.getLogger(__name__)

ProviderName = Literal["cpu", "cuda", "tensorrt", "coreml", "directml", "openvino"]
Policy = Literal["require", "prefer"]
Tensor = npt.NDArray[np.float32]

_ORT_PROVIDERS: dict[ProviderName, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
_CPU = _ORT_PROVIDERS["cpu"]


@dataclass(frozen=True)
class Execution:
    """What to compute on, and whether something else will do."""

    provider: ProviderName = "cpu"
    policy: Policy = "prefer"


class Runtime(Protocol):
    """A loaded graph; used by one thread."""

    @property
    def provider(self) -> str:
        """What it really runs on."""

    @property
    def fallback(self) -> str:
        """Why it does not run on what was preferred; empty when it does."""

    def run(self, tensor: Tensor) -> Tensor:
        """The graph's first output for its one input."""


class OnnxRuntime:
    """onnxruntime. Raises: FileProblems when it can't load the file, or can't have a required provider."""

    def __init__(self, path: Path, threads: int, execution: Execution, fallback: str = "") -> None:
        wanted = _ORT_PROVIDERS[execution.provider]
        self._fallback = fallback
        if wanted not in ort.get_available_providers():
            have = ", ".join(ort.get_available_providers())
            self._fallback = _fallback(path, execution, f"this onnxruntime has {have}, not {wanted}")
            wanted = _CPU
        self._session = open_session(path, threads, wanted)
        if self.provider != wanted:
            self._fallback = _fallback(path, execution, f"{wanted} could not be started on this machine")
        self._input = self._session.get_inputs()[0].name

    @property
    def provider(self) -> str:
        return str(self._session.get_providers()[0])

    @property
    def fallback(self) -> str:
        return self._fallback

    def run(self, tensor: Tensor) -> Tensor:
        return np.asarray(self._session.run(None, {self._input: tensor})[0], np.float32)


class OpenVinoRuntime:
    """OpenVINO on the CPU (extra ``openvino``), in float32.

    Its own default is BF16 where the CPU has it: scores then move by up to 0.03, and golden boxes are lost.
    """

    def __init__(self, path: Path, threads: int) -> None:
        import openvino

        core = openvino.Core()
        try:
            model = core.read_model(str(path))
            settings = {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": "f32",
            }
            self._compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            text = str(error).strip().splitlines()[-1]
            raise FileProblems(path, [Problem("", text, "must be an ONNX model that OpenVINO can load")]) from error
        self._request = self._compiled.create_infer_request()

    @property
    def provider(self) -> str:
        return "OpenVINO CPU"

    @property
    def fallback(self) -> str:
        return ""

    def run(self, tensor: Tensor) -> Tensor:
        self._request.infer([tensor], share_inputs=True)
        return np.array(self._request.get_output_tensor(0).data, np.float32)


def open_runtime(path: Path, threads: int, execution: Execution) -> Runtime:
    """The graph, loaded where it was asked for. Raises: FileProblems."""
    if execution.provider != "openvino":
        return OnnxRuntime(path, threads, execution)
    if find_spec("openvino") is not None:
        return OpenVinoRuntime(path, threads)
    why = "the package openvino is missing: pip install 'smartshelf[openvino]'"
    return OnnxRuntime(path, threads, Execution(), _fallback(path, execution, why))


def _fallback(path: Path, execution: Execution, why: str) -> str:
    """Raises: FileProblems when the provider is required."""
    if execution.policy == "require":
        remedy = 'install it, or set policy = "prefer" to run on the CPU'
        raise FileProblems(path, [Problem("model.provider", execution.provider, f"is required, but {why}", remedy)])
    log.warning("%s: runs on the CPU, not on %s: %s", path, execution.provider, why)
    return f"{execution.provider} preferred: {why}"


def open_session(path: Path, threads: int, provider: str = _CPU) -> ort.InferenceSession:
    """A session. Raises: FileProblems when onnxruntime cannot load the file."""
    options = session_options(threads)
    providers = [provider] if provider == _CPU else [provider, _CPU]
    try:
        session = ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise FileProblems(path, [_load_problem(path, str(error))]) from error
    _give_back_freed_memory()
    return session


def session_options(threads: int) -> ort.SessionOptions:
    """As every session of this node has them; one thread each when a worker has a core."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A plan of all activations for each input size: 3 MB more, and no faster.
    options.enable_mem_pattern = False
    return options


def _give_back_freed_memory() -> None:
    """What loading a graph took and freed, 4 MB, stays with glibc unless asked for; other C libraries are not asked."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _load_problem(path: Path, text: str) -> Problem:
    """What onnxruntime says, in words that help."""
    first = text.strip().splitlines()[0] if text.strip() else "unknown error"
    if "external data" in text.lower() or "external_data" in text.lower():
        remedy = f"put the .data file that was written with it beside {path.name}, or export it as one file"
        return Problem("external data", first, "must lie beside the model", remedy)
    return Problem("", first, "must be an ONNX model that onnxruntime can load")

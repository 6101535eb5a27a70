"""Non-maximum suppression by onnxruntime's own operator: a sixth of the time of OpenCV's, which reads box by box.

The graph of that one operator is written here, byte by byte, so that neither a file nor the package onnx is needed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from shelf_edge.adapters.runtime import session_options
from shelf_edge.core.detections import Boxes, Kind, Kinds, Scores

_IR_VERSION, _OPSET = 8, 11
_FLOAT, _INT64 = 1, 7
_MOST = np.array(np.iinfo(np.int32).max, "<i8").tobytes()
_TOLD = ["kept"]
_KINDS = np.arange(len(Kind), dtype=np.uint8)[:, None]
_LEAST = np.array(0, "<f4").tobytes()


class GraphSuppression:
    """``core.postprocess.suppress`` by a graph; used by one thread.

    The two differ only where the IoU of two boxes is the threshold but for the rounding of float32.
    """

    def __init__(self) -> None:
        options = session_options(1)
        options.enable_cpu_mem_arena = False
        self._session = ort.InferenceSession(_graph(), options, providers=["CPUExecutionProvider"])

    def __call__(self, boxes: Boxes, scores: Scores, kinds: Kinds, iou_threshold: float) -> npt.NDArray[np.intp]:
        """Indices kept by greedy suppression within each kind, in the order of the boxes."""
        count = len(boxes)
        if not count:
            return np.zeros(0, np.intp)
        # A row of scores a kind; the operator leaves out what is 0. Indices would take four times as long.
        of_kinds = np.multiply(kinds == _KINDS, scores, dtype=np.float32)
        given = {
            "boxes": boxes[None],
            "scores": of_kinds[None],
            "iou": np.array([iou_threshold], np.float32),
        }
        (kept,) = self._session.run(_TOLD, given)
        chosen: npt.NDArray[np.intp] = kept[:, 2].astype(np.intp)
        chosen.sort()
        return chosen


def _graph() -> bytes:
    """A model of NonMaxSuppression alone, as ONNX's protobuf."""
    names = ("boxes", "scores", "most", "iou", "least")
    node = b"".join(_field(1, name.encode()) for name in names) + _field(2, b"kept") + _field(4, b"NonMaxSuppression")
    graph = _field(1, node) + _field(2, b"suppression")
    graph += _field(5, _constant("most", _INT64, _MOST)) + _field(5, _constant("least", _FLOAT, _LEAST))
    graph += _field(11, _value("boxes", _FLOAT, 3)) + _field(11, _value("scores", _FLOAT, 3))
    graph += _field(11, _value("iou", _FLOAT, 1)) + _field(12, _value("kept", _INT64, 2))
    return _field(1, _IR_VERSION) + _field(7, graph) + _field(8, _field(2, _OPSET))


def _constant(name: str, element: int, content: bytes) -> bytes:
    """A TensorProto of one number."""
    return _field(1, 1) + _field(2, element) + _field(8, name.encode()) + _field(9, content)


def _value(name: str, element: int, dimensions: int) -> bytes:
    """A ValueInfoProto: a tensor whose dimensions are all unknown."""
    shape = b"".join(_field(1, b"") for _ in range(dimensions))
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, element) + _field(2, shape)))


def _field(number: int, content: int | bytes) -> bytes:
    """A protobuf field with a number below 16, and an integer below 128 or so many bytes."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    length, size = len(content), b""
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content

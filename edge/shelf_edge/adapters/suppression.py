"""Non-maximum suppression by onnxruntime's own operator: a sixth of the time of OpenCV's, which reads box by box.

The graph of that one operator is written here, byte by byte, so that neither a file nor the package onnx is needed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from shelf_edge.core.detections import Boxes, Kind, Kinds, Scores

_IR_VERSION, _OPSET = 8, 11
_FLOAT, _INT64 = 1, 7
_INPUTS = {"boxes": (_FLOAT, 3), "scores": (_FLOAT, 3), "most": (_INT64, 1), "iou": (_FLOAT, 1), "least": (_FLOAT, 1)}
"""Type and number of dimensions of each."""
_MOST = np.array([np.iinfo(np.int32).max], np.int64)
_LEAST = np.zeros(1, np.float32)


class GraphSuppression:
    """``core.postprocess.suppress`` by a graph; used by one thread.

    The two differ only where the IoU of two boxes is the threshold but for the rounding of float32.
    """

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        self._session = ort.InferenceSession(_graph(), options, providers=["CPUExecutionProvider"])
        self._kinds = len(Kind)

    def __call__(self, boxes: Boxes, scores: Scores, kinds: Kinds, iou_threshold: float) -> npt.NDArray[np.intp]:
        """Indices kept by greedy suppression within each kind, in the order of the boxes."""
        count = len(boxes)
        if not count:
            return np.zeros(0, np.intp)
        # A row of scores a kind; the operator leaves out what is 0.
        of_kinds = np.zeros((self._kinds, count), np.float32)
        of_kinds[kinds, np.arange(count)] = scores
        given = {
            "boxes": boxes[None],
            "scores": of_kinds[None],
            "most": _MOST,
            "iou": np.array([iou_threshold], np.float32),
            "least": _LEAST,
        }
        (kept,) = self._session.run(None, given)
        chosen: npt.NDArray[np.intp] = kept[:, 2].astype(np.intp)
        chosen.sort()
        return chosen


def _graph() -> bytes:
    """A model of NonMaxSuppression alone, as ONNX's protobuf."""
    node = b"".join(_field(1, name.encode()) for name in _INPUTS)
    node += _field(2, b"kept") + _field(4, b"NonMaxSuppression")
    graph = _field(1, node) + _field(2, b"suppression")
    graph += b"".join(_field(11, _value(name, *kind)) for name, kind in _INPUTS.items())
    graph += _field(12, _value("kept", _INT64, 2))
    return _field(1, _IR_VERSION) + _field(7, graph) + _field(8, _field(2, _OPSET))


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

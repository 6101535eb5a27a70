"""Make ``import torchvision`` work beside a CPU-only torch.

PyPI's Linux torchvision is linked against CUDA; next to a CPU torch its compiled part does not load and the import dies
with "operator torchvision::nms does not exist". Two operators declared beforehand, one with a kernel on OpenCV, are all
that ultralytics needs. With a torchvision that loads, nothing is changed.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

_kept: list[Any] = []


def ensure_torchvision() -> Literal["native", "shim", "already"]:
    """Call before anything imports torchvision; says what was needed.

    Raises: ModuleNotFoundError without torchvision.
    """
    if "torchvision" in sys.modules or _kept:
        return "already"
    import torch

    spec = find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("torchvision is missing; install smartshelf[train]", name="torchvision")
    for library in Path(spec.submodule_search_locations[0]).glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return "native"
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.impl("nms", _nms_on_opencv, "CPU")
    _kept.append(operators)  # the registration lives as long as this object
    import torchvision

    torchvision.extension._has_ops = lambda: True
    return "shim"


def _nms_on_opencv(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    import cv2
    import torch

    if not len(scores):
        return torch.empty(0, dtype=torch.long)
    sides = boxes.detach().float().clone()
    sides[:, 2:] -= sides[:, :2]
    kept = cv2.dnn.NMSBoxes(sides.numpy(), scores.detach().float().numpy(), 0.0, float(iou_threshold))
    return torch.as_tensor(kept, dtype=torch.long).flatten()

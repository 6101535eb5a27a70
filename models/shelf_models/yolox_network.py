"""YOLOX-nano as a trainable torch network, able to start from the published ONNX file.

The architecture is the one of Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (arXiv:2107.08430), nano size:
depthwise CSPDarknet of depth 0.33 and width 0.25, a path-aggregation neck, a decoupled head on strides 8, 16 and 32.
The published file has its batch normalisation folded into the convolutions, and so has this network: it is fine-tuned
without normalisation, which also makes it indifferent to the batch size.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)
_WIDTHS = (16, 32, 64, 128, 256)
_HEAD_WIDTH = 64


class _Conv(nn.Module):
    """A convolution with bias and SiLU; ``depthwise`` adds a 3 x 3 depthwise one before a 1 x 1."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, *, depthwise: bool = False) -> None:
        super().__init__()
        steps = [(inputs, inputs, size, stride, inputs), (inputs, outputs, 1, 1, 1)]
        chosen = steps if depthwise else [(inputs, outputs, size, stride, 1)]
        self.steps = nn.ModuleList(nn.Conv2d(i, o, s, st, s // 2, groups=g) for i, o, s, st, g in chosen)

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = functional.silu(step(x), inplace=True)
        return x


class _Bottleneck(nn.Module):
    def __init__(self, width: int, *, shortcut: bool) -> None:
        super().__init__()
        self.narrow = _Conv(width, width, 1)
        self.look = _Conv(width, width, 3, depthwise=True)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.look(self.narrow(x))
        return x + y if self.shortcut else y


class _CrossStage(nn.Module):
    """Cross stage partial block: half the channels go through bottlenecks, half pass by."""

    def __init__(self, inputs: int, outputs: int, blocks: int, *, shortcut: bool = True) -> None:
        super().__init__()
        half = outputs // 2
        self.through = _Conv(inputs, half, 1)
        self.past = _Conv(inputs, half, 1)
        self.blocks = nn.Sequential(*(_Bottleneck(half, shortcut=shortcut) for _ in range(blocks)))
        self.join = _Conv(2 * half, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        through, past = self.through(x), self.past(x)
        joined: Tensor = self.join(torch.cat([self.blocks(through), past], dim=1))
        return joined


class _Pyramid(nn.Module):
    """Spatial pyramid pooling: the same map seen through windows of 5, 9 and 13 cells."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = _Conv(width, width // 2, 1)
        self.join = _Conv(width * 2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(x)
        seen = [x, *(functional.max_pool2d(x, size, 1, size // 2) for size in (5, 9, 13))]
        joined: Tensor = self.join(torch.cat(seen, dim=1))
        return joined


class _Head(nn.Module):
    """The decoupled head of one stride: box and objectness on one branch, classes on the other."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        width = _HEAD_WIDTH
        self.stem = _Conv(inputs, width, 1)
        self.class_look = nn.Sequential(*(_Conv(width, width, 3, depthwise=True) for _ in range(2)))
        self.classes = nn.Conv2d(width, classes, 1)
        self.box_look = nn.Sequential(*(_Conv(width, width, 3, depthwise=True) for _ in range(2)))
        self.box = nn.Conv2d(width, 4, 1)
        self.objectness = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        classes = self.classes(self.class_look(x))
        look = self.box_look(x)
        return torch.cat([self.box(look), self.objectness(look), classes], dim=1)


class YoloxNano(nn.Module):
    """Pictures (b, 3, h, w), BGR 0..255, sides in multiples of 32, to raw rows (b, n, 5 + classes).

    A row holds the box relative to its grid cell (as the file published for YOLOX does), then the logits of objectness
    and classes. ``exported`` says that the logits become probabilities, which is what the ONNX file holds.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        w0, w1, w2, w3, w4 = _WIDTHS
        self.stem = _Conv(12, w0, 3)
        self.dark2 = nn.Sequential(_Conv(w0, w1, 3, 2, depthwise=True), _CrossStage(w1, w1, 1))
        self.dark3 = nn.Sequential(_Conv(w1, w2, 3, 2, depthwise=True), _CrossStage(w2, w2, 3))
        self.dark4 = nn.Sequential(_Conv(w2, w3, 3, 2, depthwise=True), _CrossStage(w3, w3, 3))
        self.dark5 = nn.Sequential(
            _Conv(w3, w4, 3, 2, depthwise=True), _Pyramid(w4), _CrossStage(w4, w4, 1, shortcut=False)
        )
        self.lateral = _Conv(w4, w3, 1)
        self.up4 = _CrossStage(w4, w3, 1, shortcut=False)
        self.reduce = _Conv(w3, w2, 1)
        self.up3 = _CrossStage(w3, w2, 1, shortcut=False)
        self.down3 = _Conv(w2, w2, 3, 2, depthwise=True)
        self.out4 = _CrossStage(w3, w3, 1, shortcut=False)
        self.down4 = _Conv(w3, w3, 3, 2, depthwise=True)
        self.out5 = _CrossStage(w4, w4, 1, shortcut=False)
        self.heads = nn.ModuleList(_Head(width, classes) for width in (w2, w3, w4))
        self.exported = False

    def forward(self, pictures: Tensor) -> Tensor:
        # The four pixels of every 2 x 2 square become channels ("focus"): half the size, nothing thrown away.
        squares = [pictures[..., y::2, x::2] for x in (0, 1) for y in (0, 1)]
        c3 = self.dark3(self.dark2(self.stem(torch.cat(squares, dim=1))))
        c4 = self.dark4(c3)
        c5 = self.dark5(c4)
        lateral = self.lateral(c5)
        p4 = self.up4(torch.cat([functional.interpolate(lateral, scale_factor=2.0), c4], dim=1))
        reduced = self.reduce(p4)
        p3 = self.up3(torch.cat([functional.interpolate(reduced, scale_factor=2.0), c3], dim=1))
        n4 = self.out4(torch.cat([self.down3(p3), reduced], dim=1))
        n5 = self.out5(torch.cat([self.down4(n4), lateral], dim=1))
        maps = [head(level) for head, level in zip(self.heads, (p3, n4, n5), strict=True)]
        rows = torch.cat([found.flatten(2) for found in maps], dim=2).transpose(1, 2)
        if self.exported:
            return torch.cat([rows[..., :4], rows[..., 4:].sigmoid()], dim=2)
        return rows


def grid_of(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Cell corners (n, 2) as x, y in cells, and strides (n, 1), in the order of the rows."""
    cells, strides = [], []
    for stride in STRIDES:
        ys, xs = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        cells.append(torch.stack([xs, ys], dim=-1).reshape(-1, 2))
        strides.append(torch.full((xs.numel(), 1), stride))
    return torch.cat(cells).float(), torch.cat(strides).float()


def start_from_onnx(network: YoloxNano, file: Path, class_from: list[list[int]]) -> None:
    """Load the published weights; each new class starts as the mean of the given published ones.

    Args:
        file: an ONNX export of YOLOX-nano (80 COCO classes or fewer).
        class_from: for each class of ``network`` the labels of the file it starts from; may be empty (starts at zero
            weights and the mean bias).
    Raises: ValueError when the file's convolutions are not those of YOLOX-nano.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(file)).graph
    tensors = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    published = [(tensors[n.input[1]], tensors[n.input[2]]) for n in graph.node if n.op_type == "Conv"]
    ours = list(_in_graph_order(network))
    if len(published) != len(ours):
        raise ValueError(f"{file} has {len(published)} convolutions; YOLOX-nano has {len(ours)}")
    heads = {id(head.classes) for head in network.heads}
    with torch.no_grad():
        for (weight, bias), conv in zip(published, ours, strict=True):
            if id(conv) in heads:
                for row, sources in enumerate(class_from):
                    conv.weight[row] = weight[sources].mean(dim=0) if sources else 0.0
                    conv.bias[row] = bias[sources].mean() if sources else bias.mean()
            elif weight.shape != conv.weight.shape:
                raise ValueError(f"{file} has a convolution of {tuple(weight.shape)}, not {tuple(conv.weight.shape)}")
            else:
                conv.weight.copy_(weight)
                conv.bias.copy_(bias)


def _in_graph_order(network: YoloxNano) -> Iterator[nn.Conv2d]:
    """The convolutions as the exported graph lists them: depth first, but each pair of CSP inputs side by side."""
    parts: list[nn.Module] = [
        network.stem, network.dark2, network.dark3, network.dark4, network.dark5, network.lateral, network.up4,
        network.reduce, network.up3, network.down3, network.out4, network.down4, network.out5, *network.heads,
    ]  # fmt: skip
    for part in parts:
        yield from (module for module in part.modules() if isinstance(module, nn.Conv2d))

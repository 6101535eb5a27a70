"""The training loop of the embedding network: products are told apart by angle, with a margin.

The first blocks of the body stay as published and run in onnxruntime, in the thread that makes the pictures: on two
cores that is four times as many steps an hour as training them too, and edges and textures need no new lesson.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from shelf_edge.adapters.runtime import open_session
from shelf_models.batches_ahead import batches_ahead
from shelf_models.recogniser_network import EmbeddingNetwork
from shelf_models.recogniser_views import Picture

log = logging.getLogger(__name__)

_BATCHES_AHEAD = 4
_WAIT_S = 600.0
_WARM_UP_STEPS = 40
_GRADIENT_LIMIT = 5.0
_LAST_RATE_SHARE = 0.02
_NO_KIND = -1
_TELL_EVERY = 50

Draw = Callable[[np.random.Generator], tuple[Picture, int]]
"""A picture (size, size, 3) uint8 RGB and its product's number."""


@dataclass(frozen=True)
class RecogniserPlan:
    """How to train.

    Attributes:
        steps, batch: pictures seen in all are their product.
        frozen_blocks: of the body, from the front; they stay as published.
        learning_rate: of the new layers, at its highest; the body learns ``body_share`` of it.
        margin, scale: of the cosine softmax.
        smoothing: of the labels.
        kind_weight: how much it counts to know at least the kind.
        mixed: how many batches have a part of each picture replaced by another's (CutMix, Yun et al. 2019, done on
            what the frozen blocks tell); both products then count, by the area they show.
        average: the running average of the weights keeps this much a step.
        blend_from: at the end it is averaged once more with what it was at this share of the steps, while the rate was
            still high: the two err on different pictures. 1: it is not.
        stop_after_s: the rate falls along the steps or along this time, whichever runs out first.
    """

    steps: int
    batch: int = 32
    frozen_blocks: int = 5
    learning_rate: float = 1e-3
    body_share: float = 0.3
    weight_decay: float = 1e-4
    margin: float = 0.2
    scale: float = 24.0
    smoothing: float = 0.05
    kind_weight: float = 0.3
    mixed: float = 0.0
    average: float = 0.995
    blend_from: float = 0.71
    seed: int = 0
    stop_after_s: float = math.inf


class CosineMargin(nn.Module):
    """One direction a product; a picture's own product must win by a margin. Kinds share their products' chances."""

    def __init__(self, products: int, dimension: int, kinds: npt.NDArray[np.int64], plan: RecogniserPlan) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(products, dimension) * dimension**-0.5)
        count = int(kinds.max()) + 1 if len(kinds) else 0
        of_kind = torch.zeros(products, max(1, count))
        for product, kind in enumerate(kinds):
            if kind != _NO_KIND:
                of_kind[product, int(kind)] = 1.0
        self.register_buffer("of_kind", of_kind)
        self.register_buffer("kinds", torch.from_numpy(kinds))
        self.plan = plan

    def forward(self, vectors: torch.Tensor, products: torch.Tensor) -> torch.Tensor:
        plan = self.plan
        cosine = vectors @ functional.normalize(self.directions, dim=1).T
        own = functional.one_hot(products, cosine.shape[1])
        logits = plan.scale * (cosine - plan.margin * own)
        loss = functional.cross_entropy(logits, products, label_smoothing=plan.smoothing)
        kinds = self.kinds[products]
        known = kinds != _NO_KIND
        if plan.kind_weight and bool(known.any()):
            chances = functional.softmax(plan.scale * cosine[known], dim=1) @ self.of_kind
            right = chances.gather(1, kinds[known][:, None]).clamp(min=1e-6)
            loss = loss - plan.kind_weight * right.log().mean()
        return loss


def fit_recogniser(
    network: EmbeddingNetwork,
    draw: Draw,
    kinds: Sequence[int],
    plan: RecogniserPlan,
    work: Path,
    on_step: Callable[[], None] = lambda: None,
) -> EmbeddingNetwork:
    """Train the network in place; gives back the running average of its weights.

    Args:
        kinds: of each product by its number; -1 where it has none.
        work: for the frozen part as ONNX.
    Raises: RuntimeError when the pictures fail.
    """
    torch.manual_seed(plan.seed)
    network.body.fold()
    front = _front_as_onnx(network, plan.frozen_blocks, work)
    network = network.to(memory_format=torch.channels_last).train()
    average = copy.deepcopy(network)
    margin = CosineMargin(len(kinds), network.project.out_features, np.asarray(kinds, np.int64), plan)
    optimiser = torch.optim.AdamW(_groups(network, margin, plan), lr=plan.learning_rate)
    started, told, counted = time.monotonic(), 0.0, 0
    earlier: EmbeddingNetwork | None = None
    rng = np.random.default_rng([plan.seed, 2])
    for step, (features, products) in enumerate(_batches(draw, front, plan)):
        spent_s = time.monotonic() - started
        done = max(step / plan.steps, spent_s / plan.stop_after_s)
        if done >= 1.0:
            break
        if earlier is None and done >= plan.blend_from:
            earlier = copy.deepcopy(average)
        for group in optimiser.param_groups:
            fall = _LAST_RATE_SHARE + (1 - _LAST_RATE_SHARE) * (0.5 + 0.5 * math.cos(math.pi * done))
            group["lr"] = plan.learning_rate * group["share"] * min(1.0, (step + 1) / _WARM_UP_STEPS) * fall
        if rng.random() < plan.mixed:
            features, others, share = _mixed(features, products, rng)
            vectors = network.upper(features, plan.frozen_blocks)
            loss = (1 - share) * margin(vectors, products) + share * margin(vectors, others)
        else:
            loss = margin(network.upper(features, plan.frozen_blocks), products)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), _GRADIENT_LIMIT)
        optimiser.step()
        decay = min(plan.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), network.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
            for kept, new in zip(average.buffers(), network.buffers(), strict=True):
                kept.copy_(new)
        told, counted = told + float(loss.detach()), counted + 1
        if counted == _TELL_EVERY:
            log.info("step %d: loss %.3f, %.0f s, %.0f %%", step + 1, told / counted, spent_s, 100 * done)
            told, counted = 0.0, 0
            torch.save(average.state_dict(), work / "network.pt")
        on_step()
    average.eval()
    if earlier is not None:
        with torch.no_grad():
            for kept, before in zip(average.state_dict().values(), earlier.state_dict().values(), strict=True):
                if kept.is_floating_point():
                    kept.lerp_(before, 0.5)
    return average


def _mixed(
    features: torch.Tensor, products: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """A box of each map comes from another picture: the maps, the other products, the box's share of the area."""
    order = torch.from_numpy(rng.permutation(len(products)))
    height, width = features.shape[2:]
    side = float(rng.uniform(0.2, 0.7))
    box_height, box_width = max(1, round(height * side)), max(1, round(width * side))
    top, left = int(rng.integers(height - box_height + 1)), int(rng.integers(width - box_width + 1))
    mixed = features.clone()
    rows, columns = slice(top, top + box_height), slice(left, left + box_width)
    mixed[:, :, rows, columns] = features[order][:, :, rows, columns]
    return mixed, products[order], box_height * box_width / (height * width)


def _groups(network: EmbeddingNetwork, margin: CosineMargin, plan: RecogniserPlan) -> list[dict[str, object]]:
    learning = [
        parameter
        for index, block in enumerate([*network.body.blocks, network.body.head])
        if index >= plan.frozen_blocks
        for parameter in block.parameters()
    ]
    for parameter in network.body.parameters():
        parameter.requires_grad_(False)
    for parameter in learning:
        parameter.requires_grad_(True)
    fresh = [parameter for name, parameter in network.named_parameters() if not name.startswith("body.")]
    return [
        {"params": learning, "weight_decay": plan.weight_decay, "share": plan.body_share},
        {"params": fresh, "weight_decay": plan.weight_decay, "share": 1.0},
        {"params": list(margin.parameters()), "weight_decay": 0.0, "share": 3.0},
    ]


class _Front(nn.Module):
    def __init__(self, network: EmbeddingNetwork, blocks: int) -> None:
        super().__init__()
        self.network, self.blocks = network, blocks

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.network.lower(pictures, self.blocks)


def _front_as_onnx(network: EmbeddingNetwork, blocks: int, work: Path) -> Path:
    file = work / "front.onnx"
    axes = {"pictures": {0: "n", 2: "height", 3: "width"}, "features": {0: "n", 2: "height", 3: "width"}}
    front = _Front(network, blocks).eval()
    torch.onnx.export(
        front, (torch.zeros(2, 3, 64, 64),), str(file), input_names=["pictures"], output_names=["features"],
        opset_version=17, dynamic_axes=axes, dynamo=False,
    )  # fmt: skip
    return file


_Batch = tuple[torch.Tensor, torch.Tensor]


def _batches(draw: Draw, front: Path, plan: RecogniserPlan) -> Iterator[_Batch]:
    """``plan.steps`` batches of what the frozen blocks tell."""
    session = open_session(front, threads=1)
    rng = np.random.default_rng([plan.seed, 1])

    def make() -> _Batch:
        drawn = [draw(rng) for _ in range(plan.batch)]
        pictures = np.stack([picture for picture, _ in drawn]).transpose(0, 3, 1, 2).astype(np.float32)
        features = np.asarray(session.run(None, {"pictures": pictures})[0])
        tensor = torch.from_numpy(features).contiguous(memory_format=torch.channels_last)
        return tensor, torch.tensor([product for _, product in drawn])

    return batches_ahead(make, plan.steps, most=_BATCHES_AHEAD, wait_s=_WAIT_S)

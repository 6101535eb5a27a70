"""The training loop of the YOLOX network: batches by chance from several sources, weights averaged over the run."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from shelf_models.augment import Labelled, mosaic, placed, relit
from shelf_models.batches_ahead import batches_ahead
from shelf_models.sources import PictureSource
from shelf_models.yolox_loss import TrueBoxes, forgetting, yolox_loss
from shelf_models.yolox_network import YoloxNano

log = logging.getLogger(__name__)

SIZES_PX = ((288, 512), (288, 512), (384, 384), (448, 320))
"""Height and width of the batches: wide as cameras are, square, and upright as phones are held."""

_BATCHES_AHEAD = 6
_WAIT_S = 60.0
_WARM_UP_STEPS = 100
_GRADIENT_LIMIT = 10.0
_LAST_RATE_SHARE = 0.03
_AVERAGE = 0.9993


@dataclass(frozen=True)
class Share:
    """A source and how often (relative to the others) a picture is drawn from it."""

    source: PictureSource
    weight: float


@dataclass(frozen=True)
class FitPlan:
    """How to train.

    Attributes:
        steps: batches; the same seed and steps give the same weights on the same machine.
        batch: pictures a step.
        learning_rate: of the neck and the heads, at its highest; it falls along a cosine.
        backbone_share: the backbone learns this much slower, so that it keeps what it knows of real pictures.
        mosaic_share: how often a picture is made of four.
        class_weights: how much a cell of each class counts; rare ones more.
        late_from: share of the steps after which boxes are told their distance as well.
        seed: of pictures and their order.
    """

    steps: int
    batch: int = 16
    learning_rate: float = 1e-3
    backbone_share: float = 0.25
    mosaic_share: float = 0.4
    class_weights: tuple[float, ...] = (1.0, 2.0, 1.5, 0.5, 0.5)
    late_from: float = 0.8
    seed: int = 0


def fit(
    network: YoloxNano,
    shares: Sequence[Share],
    plan: FitPlan,
    on_step: Callable[[], None] = lambda: None,
    *,
    keeps: YoloxNano | None = None,
) -> YoloxNano:
    """Train, and give back the running average of the weights, which is steadier than the last ones.

    Uses a GPU when torch finds one. Raises: RuntimeError when the sources fail.

    Args:
        keeps: what this network makes of every class but the first is to be kept on all pictures ("learning without
            forgetting", Li and Hoiem 2016): the pictures of a shop show products only.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(plan.seed)
    network = network.to(device, memory_format=torch.channels_last).train()
    average = copy.deepcopy(network)
    former = keeps.to(device, memory_format=torch.channels_last).eval() if keeps is not None else None
    optimiser = torch.optim.AdamW(_groups(network, plan), lr=plan.learning_rate)
    weights = torch.tensor(plan.class_weights, device=device)
    started, told = time.monotonic(), 0.0
    for step, (pictures, truth) in enumerate(_batches(shares, plan)):
        done = step / plan.steps
        for group in optimiser.param_groups:
            fall = _LAST_RATE_SHARE + (1 - _LAST_RATE_SHARE) * (0.5 + 0.5 * math.cos(math.pi * done))
            group["lr"] = plan.learning_rate * group["share"] * min(1.0, (step + 1) / _WARM_UP_STEPS) * fall
        shown = pictures.to(device, memory_format=torch.channels_last)
        rows = network(shown)
        size_px = (pictures.shape[2], pictures.shape[3])
        losses = yolox_loss(rows, [one.to(device) for one in truth], size_px, weights, late=done > plan.late_from)
        total = losses.total
        if former is not None:
            with torch.no_grad():
                known = former(shown)
            total = total + forgetting(rows, known)
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), _GRADIENT_LIMIT)
        optimiser.step()
        decay = min(_AVERAGE, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), network.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        told += float(total.detach())
        if (step + 1) % 100 == 0:
            log.info("step %d: loss %.3f, %.0f s", step + 1, told / 100, time.monotonic() - started)
            told = 0.0
        on_step()
    average.cpu().eval()
    return average


def _groups(network: YoloxNano, plan: FitPlan) -> list[dict[str, object]]:
    """Weights decay and biases do not; the backbone learns slower."""
    groups: list[dict[str, object]] = []
    for is_backbone in (True, False):
        for is_weight in (True, False):
            chosen = [
                parameter
                for name, parameter in network.named_parameters()
                if name.startswith(("stem", "dark")) == is_backbone and (parameter.ndim > 1) == is_weight
            ]
            share = plan.backbone_share if is_backbone else 1.0
            groups.append({"params": chosen, "weight_decay": 5e-4 if is_weight else 0.0, "share": share})
    return groups


_Batch = tuple[torch.Tensor, list[TrueBoxes]]


def _batches(shares: Sequence[Share], plan: FitPlan) -> Iterator[_Batch]:
    """``plan.steps`` batches."""
    rng = np.random.default_rng([plan.seed, 1])
    return batches_ahead(lambda: _batch(shares, plan, rng), plan.steps, most=_BATCHES_AHEAD, wait_s=_WAIT_S)


def _batch(shares: Sequence[Share], plan: FitPlan, rng: np.random.Generator) -> _Batch:
    height, width = SIZES_PX[int(rng.integers(len(SIZES_PX)))]
    chances = np.array([share.weight for share in shares], float)
    chances /= chances.sum()
    pictures, truth = [], []
    for _ in range(plan.batch):
        source = shares[int(rng.choice(len(shares), p=chances))].source
        if rng.random() < plan.mosaic_share:
            made = mosaic(lambda chosen=source: chosen.draw(rng), height, width, rng)  # type: ignore[misc]
        else:
            made = placed(source.draw(rng), height, width, rng)
        pictures.append(relit(made.picture, rng) if rng.random() < 0.8 else made.picture)
        truth.append(_truth(made))
    stacked = np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
    return torch.from_numpy(stacked).float(), truth


def _truth(made: Labelled) -> TrueBoxes:
    corners, classes = torch.from_numpy(made.boxes), torch.from_numpy(made.classes)
    boxes = torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], dim=1)
    known = classes >= 0
    return TrueBoxes(boxes[known], classes[known], boxes[~known])

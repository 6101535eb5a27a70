"""What a YOLOX network is told about its mistakes: dynamic assignment of cells to boxes, then three losses.

The assignment is SimOTA of the YOLOX paper (arXiv:2107.08430, section 2.3): each true box takes the cells that cost it
least, as many as the sum of its best overlaps says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from shelf_models.yolox_network import grid_of

_CENTRE_RADIUS_CELLS = 2.5
_OVERLAPS_COUNTED = 10
_BOX_WEIGHT = 5.0
_OVERLAP_COST = 3.0
_OUTSIDE_COST = 1e5
_SAW = 0.1
_KEEP_WEIGHT = 8.0
_KEEP_BOX_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class TrueBoxes:
    """What one picture shows.

    Attributes:
        boxes: (n, 4) float32, centre x, centre y, width, height in input pixels.
        classes: (n,) int64.
        unsure: (m, 4) float32 in the same form: cells whose centre lies in one of these are not told anything, since
            nobody knows what is there (products that were not labelled, teachers in doubt).
    """

    boxes: Tensor
    classes: Tensor
    unsure: Tensor

    def to(self, device: torch.device) -> TrueBoxes:
        """The same on another device."""
        return TrueBoxes(self.boxes.to(device), self.classes.to(device), self.unsure.to(device))


@dataclass(frozen=True, eq=False)
class Losses:
    """Parts of the loss, each already weighed; ``total`` is their sum."""

    box: Tensor
    objectness: Tensor
    classes: Tensor

    @property
    def total(self) -> Tensor:
        return self.box + self.objectness + self.classes


def yolox_loss(
    rows: Tensor, truth: Sequence[TrueBoxes], size_px: tuple[int, int], class_weight: Tensor, *, late: bool
) -> Losses:
    """The loss of one batch.

    Args:
        rows: (b, n, 5 + classes) raw output of YoloxNano.
        truth: one for each picture.
        size_px: (height, width) of the input.
        class_weight: (classes,) how much a cell of each class counts; rare classes more than 1.
        late: adds the plain distance of box parameters, which sharpens boxes in the last epochs.
    """
    cells, strides = (part.to(rows.device) for part in grid_of(*size_px))
    centres = (cells + 0.5) * strides
    box_sum = rows.new_zeros(())
    class_sum = rows.new_zeros(())
    wanted, counted = torch.zeros_like(rows[..., 4]), torch.ones_like(rows[..., 4])
    positives = 0
    boxes = torch.cat([(rows[..., :2] + cells) * strides, rows[..., 2:4].clamp(max=8).exp() * strides], dim=2)
    for index, picture in enumerate(truth):
        if len(picture.unsure):
            counted[index][_inside(centres, picture.unsure).any(dim=0)] = 0.0
        if not len(picture.boxes):
            continue
        chosen, matched, overlap = _assign(rows[index].detach(), boxes[index].detach(), centres, strides, picture)
        if not len(chosen):
            continue
        goal, kinds = picture.boxes[matched], picture.classes[matched]
        weight = class_weight[kinds]
        iou = _overlap_pairs(boxes[index][chosen], goal)
        box_sum = box_sum + _BOX_WEIGHT * (weight * (1 - iou * iou)).sum()
        if late:
            raw = torch.cat([goal[:, :2] / strides[chosen] - cells[chosen], (goal[:, 2:] / strides[chosen]).log()], 1)
            box_sum = box_sum + (weight[:, None] * (rows[index, chosen, :4] - raw).abs()).sum()
        hot = functional.one_hot(kinds, rows.shape[2] - 5).float() * overlap[:, None]
        told = functional.binary_cross_entropy_with_logits(rows[index, chosen, 5:], hot, reduction="none")
        class_sum = class_sum + (weight[:, None] * told).sum()
        wanted[index, chosen] = 1.0
        counted[index, chosen] = weight
        positives += len(chosen)
    told = functional.binary_cross_entropy_with_logits(rows[..., 4], wanted, reduction="none")
    share = 1.0 / max(positives, 1)
    return Losses(box_sum * share, (told * counted).sum() * share, class_sum * share)


def forgetting(rows: Tensor, known: Tensor) -> Tensor:
    """How far what is made of every class but the first has moved from what a former network made of it.

    Args:
        rows, known: raw rows (b, n, 5 + classes) of both on the same pictures.
    Returns: a scalar: squared differences of the probabilities, and of the boxes where the former saw something.
    """
    now = rows[..., 4:5].sigmoid() * rows[..., 6:].sigmoid()
    then = known[..., 4:5].sigmoid() * known[..., 6:].sigmoid()
    saw = then.amax(dim=2) > _SAW
    cells = saw.sum().clamp(min=1)
    probabilities = ((now - then) ** 2).sum() / cells
    boxes = ((rows[..., :4] - known[..., :4]).abs().sum(dim=2) * saw).sum() / cells
    return _KEEP_WEIGHT * (probabilities + _KEEP_BOX_SHARE * boxes)


def _assign(
    rows: Tensor, boxes: Tensor, centres: Tensor, strides: Tensor, picture: TrueBoxes
) -> tuple[Tensor, Tensor, Tensor]:
    """Cells that learn a true box (k,), the box each learns (k,), and their present overlap with it (k,)."""
    truth = picture.boxes
    inside = _inside(centres, truth)
    distance = (centres[None] - truth[:, None, :2]).abs().amax(dim=2)
    near = distance < _CENTRE_RADIUS_CELLS * strides[None, :, 0]
    candidates = torch.nonzero((inside | near).any(dim=0)).squeeze(1)
    if not len(candidates):
        return candidates, candidates, rows.new_zeros(0)
    overlap = _overlap_table(truth, boxes[candidates])
    belief = (rows[candidates, 5:].sigmoid() * rows[candidates, 4:5].sigmoid()).sqrt().clamp(1e-6, 1 - 1e-6)
    # The binary cross-entropy of the box's own class as 1 and all others as 0, written so that it is one table.
    nothing = -(1 - belief).log()
    ours = belief[:, picture.classes].T
    class_cost = nothing.sum(dim=1)[None] + (1 - ours).log() - ours.log()
    cost = class_cost - _OVERLAP_COST * (overlap + 1e-8).log()
    cost = cost + _OUTSIDE_COST * (~(inside & near)[:, candidates]).float()
    takes = overlap.topk(min(_OVERLAPS_COUNTED, overlap.shape[1]), dim=1).values.sum(dim=1).int().clamp(min=1)
    most = int(takes.max())
    cheapest = cost.topk(min(most, cost.shape[1]), dim=1, largest=False).indices
    taken = torch.zeros_like(cost, dtype=torch.bool)
    within = torch.arange(cheapest.shape[1], device=rows.device)[None] < takes[:, None]
    taken.scatter_(1, cheapest, within)
    owner = torch.where(taken, cost, torch.inf).argmin(dim=0)
    column = torch.nonzero(taken.any(dim=0)).squeeze(1)
    matched = owner[column]
    return candidates[column], matched, overlap[matched, column]


def _inside(centres: Tensor, boxes: Tensor) -> Tensor:
    """(boxes, cells) bool: whose middle lies in which box."""
    distance = (centres[None] - boxes[:, None, :2]).abs()
    return (distance < boxes[:, None, 2:] / 2).all(dim=2)


def _corners(boxes: Tensor) -> tuple[Tensor, Tensor]:
    half = boxes[..., 2:] / 2
    return boxes[..., :2] - half, boxes[..., :2] + half


def _overlap_pairs(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes pair by pair, (n,)."""
    (low1, high1), (low2, high2) = _corners(one), _corners(other)
    shared = (torch.minimum(high1, high2) - torch.maximum(low1, low2)).clamp(min=0).prod(dim=-1)
    together = one[..., 2:].prod(dim=-1) + other[..., 2:].prod(dim=-1) - shared
    return shared / together.clamp(min=1e-9)


def _overlap_table(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of every box with every other, (n, m)."""
    return _overlap_pairs(one[:, None], other[None])

"""Barcodes on shelf edges: which product a label says belongs to which slot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shelf_contracts.planogram import Planogram

Point = tuple[float, float]

_FARTHEST_SHARE = 0.12
"""A label hangs at most this far (share of the picture's height) under the front edge of its slot."""
_ABOVE_SHARE = 0.02


@dataclass(frozen=True)
class ReadLabel:
    """A barcode's number and the middle of it in picture pixels."""

    gtin: str
    middle_px: Point


@dataclass(frozen=True)
class LabelProposal:
    """What a label says of a slot. ``planned_gtin``: what the planogram says; empty where it says nothing."""

    slot: str
    gtin: str
    planned_gtin: str

    @property
    def is_as_planned(self) -> bool:
        return self.gtin == self.planned_gtin


def propose(
    labels: Iterable[ReadLabel], planogram: Planogram, camera: str, width_px: int, height_px: int
) -> tuple[list[LabelProposal], list[ReadLabel]]:
    """Labels to slots: the slot whose front edge is the nearest above the label. Then the labels that hang nowhere.

    Of two labels under one slot the nearer one counts; the other hangs nowhere.
    Raises: KeyError when the planogram has no view of the camera.
    """
    edges = []
    for slot, view in planogram.view_of(camera).slots.items():
        bottom = sorted(view.floor[:2] if view.floor is not None else sorted(view.front, key=lambda p: p[1])[-2:])
        (left, left_y), (right, right_y) = bottom
        edges.append((slot, left * width_px, left_y * height_px, right * width_px, right_y * height_px))
    nearest: dict[str, tuple[float, ReadLabel]] = {}
    lost: list[ReadLabel] = []
    for label in labels:
        x, y = label.middle_px
        best: tuple[float, str] | None = None
        for slot, left, left_y, right, right_y in edges:
            if not left <= x <= right or right <= left:
                continue
            below = y - (left_y + (right_y - left_y) * (x - left) / (right - left))
            if -_ABOVE_SHARE * height_px <= below <= _FARTHEST_SHARE * height_px and (best is None or below < best[0]):
                best = below, slot
        if best is None:
            lost.append(label)
            continue
        held = nearest.get(best[1])
        if held is None or best[0] < held[0]:
            lost += [held[1]] if held is not None else []
            nearest[best[1]] = best[0], label
        else:
            lost.append(label)
    proposals = [
        LabelProposal(slot, label.gtin, planogram.product_of(slot).gtin or "") for slot, (_, label) in nearest.items()
    ]
    return sorted(proposals, key=lambda one: one.slot), lost


def with_labels(planogram: Planogram, proposals: Iterable[LabelProposal]) -> Planogram:
    """The planogram as labels say. A product that it did not know is taken to be as large as the one it stands for.

    Raises: pydantic's ValidationError when no planogram comes of it.
    """
    content = planogram.model_dump(mode="json", by_alias=True)
    known = {product["gtin"]: product["id"] for product in content["products"] if product.get("gtin")}
    sizes = {product["id"]: product for product in content["products"]}
    for proposal in proposals:
        if proposal.is_as_planned:
            continue
        position = next(one for one in content["positions"] if one["id"] == proposal.slot)
        if proposal.gtin not in known:
            fresh = {**sizes[position["productId"]], "id": proposal.gtin, "gtin": proposal.gtin, "name": proposal.gtin}
            content["products"].append(fresh)
            known[proposal.gtin] = proposal.gtin
        position["productId"] = known[proposal.gtin]
    return Planogram.model_validate(content)

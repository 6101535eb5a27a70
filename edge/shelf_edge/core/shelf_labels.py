"""Barcodes on shelf edges: which product a label says belongs to which slot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from shelf_contracts.planogram import Planogram

Point = tuple[float, float]

_FARTHEST_SHARE = 0.12
"""A label hangs at most this far (share of the picture's height) under the front edge of its slot."""
_ABOVE_SHARE = 0.02
HANGS_ABOVE_MM, HANGS_BELOW_MM = 15.0, 80.0
"""A label's middle lies between so far above and so far below the edge that items stand on."""
_ONE_PLACE_MM = 20.0
_LEAST_READS = 2


@dataclass(frozen=True)
class ReadLabel:
    """A barcode's number and the middle of it in picture pixels."""

    gtin: str
    middle_px: Point


@dataclass(frozen=True)
class HungLabel:
    """A barcode's number and the middle of it on the bay's front, in mm from its top left."""

    gtin: str
    x_mm: float
    y_mm: float


@dataclass(frozen=True)
class SlotLabel:
    """What hangs under a slot. ``others``: further numbers there, which were not taken."""

    slot: str
    gtin: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelProposal:
    """What a label says of a slot. ``planned_gtin``: what the planogram says; empty where it says nothing."""

    slot: str
    gtin: str
    planned_gtin: str

    @property
    def is_as_planned(self) -> bool:
        return self.gtin == self.planned_gtin


def agreed(reads: Iterable[HungLabel]) -> list[HungLabel]:
    """Of several readings of the same labels: the number that was read most at a place, when it was read twice."""
    places: list[list[HungLabel]] = []
    for read in sorted(reads, key=lambda one: one.x_mm):
        near = (place for place in places if read.x_mm - place[-1].x_mm <= _ONE_PLACE_MM)
        place = next((place for place in near if abs(read.y_mm - place[-1].y_mm) <= _ONE_PLACE_MM), None)
        if place is None:
            places.append([read])
        else:
            place.append(read)
    found = []
    for place in places:
        (gtin, count), *rest = Counter(one.gtin for one in place).most_common()
        if count >= _LEAST_READS and all(other < count for _, other in rest):
            of_it = [one for one in place if one.gtin == gtin]
            x, y = (sum(values) / count for values in zip(*((one.x_mm, one.y_mm) for one in of_it), strict=True))
            found.append(HungLabel(gtin, x, y))
    return found


def under_slots(labels: Iterable[HungLabel], planogram: Planogram) -> list[SlotLabel]:
    """Labels to the slots above them, in the order of the slots; a label under no slot is left out.

    Of several under one slot the one nearest to its middle counts.
    """
    hung: dict[str, list[tuple[float, str]]] = {}
    for label in labels:
        below = [(label.y_mm - one.y - one.h, one.id) for one in planogram.fixtures]
        near = [(abs(gap), board) for gap, board in below if -HANGS_ABOVE_MM <= gap <= HANGS_BELOW_MM]
        if not near:
            continue
        board = min(near)[1]
        for slot in planogram.positions:
            if slot.fixture_id == board and slot.x <= label.x_mm < slot.x + slot.w:
                hung.setdefault(slot.id, []).append((abs(label.x_mm - slot.x - slot.w / 2), label.gtin))
    found = []
    for slot in planogram.positions:
        if slot.id in hung:
            first, *others = dict.fromkeys(gtin for _, gtin in sorted(hung[slot.id]))
            found.append(SlotLabel(slot.id, first, tuple(others)))
    return found


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

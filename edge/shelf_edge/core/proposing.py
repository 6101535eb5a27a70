"""From products seen on a full shelf to a planogram: boxes into rows, rows into facings, facings into slots.

What is proposed is for a person to correct. Rows are found by where items stand on the bay's front (in mm, by the
homography of four corners); items that stand behind others are left out. Neighbours of one size that look alike are
facings of one slot; how many stand behind them cannot be seen and follows from the shelf's depth.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelf_contracts.planogram import Facings, Fixture, PlannedProduct, Planogram, Position
from shelf_edge.core.calibration import Rectangle, to_front
from shelf_edge.core.detections import Boxes

Colours = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ProposalRules:
    """Attributes:
    row_share: a row ends where the next item stands this share of an item's height lower.
    hidden_share: a box is behind another that covers this share of its width and stands lower.
    size_share: facings of one slot differ by no more than this share in width and height.
    colour: and by no more than this in the mean colour of each third (CIELAB units).
    gap_share: and stand no further apart than this share of their width.
    least_mm: smaller things are no products.
    """

    row_share: float = 0.45
    hidden_share: float = 0.5
    size_share: float = 0.22
    colour: float = 16.0
    gap_share: float = 0.6
    least_mm: float = 15.0


@dataclass(frozen=True)
class SeenItem:
    """A product on the bay's front, in mm; ``gtin`` when it was recognised; ``colours`` of its thirds, CIELAB (9,)."""

    x: float
    base: float
    w: float
    h: float
    gtin: str | None
    colours: tuple[float, ...]


@dataclass(frozen=True)
class BaySpec:
    """What a photo cannot tell: whose bay it is, and its size in mm."""

    store: str
    bay: str
    width_mm: float
    height_mm: float
    depth_mm: float = 400.0


def items_on_front(
    boxes_px: Boxes,
    gtins: Sequence[str | None],
    colours: Colours,
    corners_px: npt.NDArray[np.float64],
    spec: BaySpec,
    rules: ProposalRules = ProposalRules(),
) -> list[SeenItem]:
    """The boxes (n, 4) as things on the bay's front; what lies outside it, or behind another, is left out.

    Args:
        colours: (n, 9). corners_px: (4, 2) of the bay's front: top left, top right, bottom right, bottom left.
    Raises: ValueError when the corners span nothing.
    """
    if not len(boxes_px):
        return []
    boxes = np.asarray(boxes_px, float)
    at = Rectangle(0, 0, spec.width_mm, spec.height_mm)
    left = to_front(corners_px, at, boxes[:, [0, 3]])
    right = to_front(corners_px, at, boxes[:, [2, 3]])
    top = to_front(corners_px, at, np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 1]]))
    found = []
    for row in range(len(boxes)):
        w, base = float(right[row, 0] - left[row, 0]), float((left[row, 1] + right[row, 1]) / 2)
        h, x = base - float(top[row, 1]), float(left[row, 0])
        middle = x + w / 2
        is_inside = 0 <= middle <= spec.width_mm and 0 < base <= spec.height_mm * 1.03
        if is_inside and w >= rules.least_mm and h >= rules.least_mm and not _is_behind(boxes, row, rules):
            found.append(SeenItem(x, min(base, spec.height_mm), w, h, gtins[row], tuple(map(float, colours[row]))))
    return found


def _is_behind(boxes: npt.NDArray[np.float64], row: int, rules: ProposalRules) -> bool:
    """Another box overlaps it, and stands lower in the picture."""
    x1, y1, x2, y2 = boxes[row]
    across = np.minimum(boxes[:, 2], x2) - np.maximum(boxes[:, 0], x1)
    down = np.minimum(boxes[:, 3], y2) - np.maximum(boxes[:, 1], y1)
    is_lower = boxes[:, 3] > y2 + 0.03 * (y2 - y1)
    return bool(((across > rules.hidden_share * (x2 - x1)) & (down > 0.1 * (y2 - y1)) & is_lower).any())


def rows_of(items: Sequence[SeenItem], rules: ProposalRules = ProposalRules()) -> list[list[SeenItem]]:
    """Items by the board they stand on, the highest board first, each from left to right."""
    if not items:
        return []
    step = rules.row_share * float(np.median([item.h for item in items]))
    rows: list[list[SeenItem]] = []
    for item in sorted(items, key=lambda one: one.base):
        if not rows or item.base - float(np.median([one.base for one in rows[-1]])) > step:
            rows.append([])
        rows[-1].append(item)
    return [sorted(row, key=lambda one: one.x) for row in rows]


def facings_of(
    row: Sequence[SeenItem],
    rules: ProposalRules = ProposalRules(),
) -> list[list[SeenItem]]:
    """Neighbours that are one product, from left to right."""
    groups: list[list[SeenItem]] = []
    for item in row:
        if groups and _are_alike(groups[-1][-1], item, rules):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def _are_alike(one: SeenItem, other: SeenItem, rules: ProposalRules) -> bool:
    if one.gtin != other.gtin and one.gtin is not None and other.gtin is not None:
        return False
    width, height = max(one.w, other.w), max(one.h, other.h)
    is_near = other.x - (one.x + one.w) <= rules.gap_share * width
    is_one_size = abs(one.w - other.w) <= rules.size_share * width and abs(one.h - other.h) <= rules.size_share * height
    if not (is_near and is_one_size):
        return False
    if one.gtin is not None and one.gtin == other.gtin:
        return True
    apart = np.abs(np.array(one.colours) - np.array(other.colours)).reshape(-1, 3)
    return bool(np.sqrt((apart**2).sum(axis=1)).max() <= rules.colour)


def propose(
    items: Sequence[SeenItem],
    spec: BaySpec,
    rules: ProposalRules = ProposalRules(),
) -> Planogram:
    """A planogram of what is seen, without a view.

    Raises: ValueError when nothing is seen; pydantic's ValidationError when the bay's size makes no sense.
    """
    rows = rows_of(items, rules)
    if not rows:
        raise ValueError("no product was found within the four corners")
    bases = [min(float(np.median([one.base for one in row])), spec.height_mm) for row in rows]
    fixtures, positions, products = [], [], []
    top = 0.0
    for number, (row, base) in enumerate(zip(rows, bases, strict=True), start=1):
        name = f"t{number}"
        fixtures.append(
            Fixture(id=name, x=0, y=round(top, 1), w=spec.width_mm, h=round(base - top, 1), d=spec.depth_mm)
        )
        groups = facings_of(row, rules)
        edges = _edges(groups, spec.width_mm)
        for place, group in enumerate(groups, start=1):
            slot = f"s{number}-{place:02d}"
            wide = float(np.median([one.w for one in group]))
            high = min(float(np.median([one.h for one in group])), base - top)
            deep = min(wide, spec.depth_mm)
            gtin = next((one.gtin for one in group if one.gtin is not None), None)
            products.append(
                PlannedProduct(
                    id=f"p-{slot}", gtin=gtin, name="" if gtin else f"unknown {number}.{place}", w=round(wide, 1),
                    h=round(high, 1), d=round(deep, 1),
                )
            )  # fmt: skip
            behind = max(1, min(100, int(spec.depth_mm // max(deep, 1.0))))
            facings = Facings(h=min(len(group), 100), v=1, d=behind)
            left, right = edges[place - 1], edges[place]
            positions.append(
                Position(
                    id=slot, product_id=f"p-{slot}", fixture_id=name, x=round(left, 1), y=round(base - high, 1),
                    w=round(right - left, 1), h=round(high, 1), facings=facings, capacity=facings.items,
                    min_presentation=min(facings.h, facings.items),
                )
            )  # fmt: skip
        top = base
    return Planogram(
        schema_name="smartshelf.planogram.v1",
        id=f"pg-{spec.bay}"[:32],
        store=spec.store,
        bay=spec.bay,
        name="proposed from a photo",
        width=spec.width_mm,
        height=spec.height_mm,
        products=products,
        fixtures=fixtures,
        positions=positions,
    )


def _edges(groups: Sequence[Sequence[SeenItem]], width_mm: float) -> list[float]:
    """Where slots end: halfway between neighbours, at the bay's sides for the first and the last."""
    inner: list[float] = []
    for one, other in itertools.pairwise(groups):
        middle = (max(item.x + item.w for item in one) + other[0].x) / 2
        floor = (inner[-1] if inner else 0.0) + 5.0
        inner.append(min(max(middle, floor), width_mm - 5.0))
    return [0.0, *inner, width_mm]

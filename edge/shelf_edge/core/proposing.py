"""From products seen on a full shelf to a planogram: boxes into rows, rows into facings, facings into slots.

What is proposed is for a person to correct. Items are laid on the bay's front (in mm, by the homography of four
corners); those that stand behind others are left out. A board reaches back into the shelf, so what stands further back
seems to stand higher: with the camera's place that is undone, board by board from the lowest. Neighbours of one size
that look alike are facings of one slot; how many stand behind them cannot be seen and follows from the shelf's depth.

Where the shelf is not full, slots are guesses, and an empty one is not seen at all: ``Proposal.gaps`` says where.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    gap_share: and stand no further apart than this share of their width; when they are alike, up to
        ``missing_facings`` may be missing between them.
    least_mm: smaller things are no products.
    behind_mm: what stands further back than this has an empty place before it.
    empty_mm: so much of a shelf without anything is told.
    high_share: a shelf so much higher than is usual may hide one on which nothing stands.
    """

    row_share: float = 0.45
    hidden_share: float = 0.5
    size_share: float = 0.3
    colour: float = 16.0
    gap_share: float = 0.6
    least_mm: float = 15.0
    missing_facings: int = 2
    behind_mm: float = 90.0
    empty_mm: float = 150.0
    high_share: float = 1.7


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
class Viewpoint:
    """Where the camera is: x right and y down from the bay's top left, in mm, and how far before the front."""

    x: float
    y: float
    distance: float

    def depth_of(self, base: float, edge: float) -> float:
        """How far behind the front something stands on a board, in mm.

        Args:
            base: where it seems to stand on the front; edge: where the board's front edge is, lower or the same.
        """
        if base <= self.y or edge <= base:
            return 0.0  # the board is seen from below, or it stands at the front
        return self.distance * ((edge - self.y) / (base - self.y) - 1)

    def base_at(self, edge: float, depth: float) -> float:
        """Where something that far behind the front of a board seems to stand on the front."""
        return edge if edge <= self.y else self.y + (edge - self.y) / (1 + depth / self.distance)


@dataclass(frozen=True)
class Board:
    """What stands on one board: foremost items from left to right, in true mm; ``edge``: its front edge.

    ``behind``: how many of them stand behind an empty place.
    """

    edge: float
    items: tuple[SeenItem, ...]
    behind: int = 0


@dataclass(frozen=True)
class ShelfGap:
    """Where a shelf of a proposal was not full.

    Attributes:
        behind, of: so many of its foremost items stand behind an empty place.
        empty_mm: so much of its width shows nothing.
        is_high: it is so high that another shelf without anything on it may be in it.
    """

    shelf: str
    behind: int
    of: int
    empty_mm: float
    is_high: bool = False

    def __str__(self) -> str:
        told = []
        if self.behind:
            told.append(f"{self.behind} of {self.of} items stand behind empty places")
        if self.empty_mm:
            told.append(f"{self.empty_mm:.0f} mm show nothing")
        if self.is_high:
            told.append("it is so high that an empty shelf may be in it")
        return f"{self.shelf}: {', '.join(told)}"


@dataclass(frozen=True)
class Proposal:
    """A planogram, and what of the shelf could not be seen because it was not full."""

    planogram: Planogram
    gaps: tuple[ShelfGap, ...] = ()


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
    return bool(((across > rules.hidden_share * (x2 - x1)) & (down > 0.03 * (y2 - y1)) & is_lower).any())


def boards_of(
    items: Sequence[SeenItem], spec: BaySpec, seen_from: Viewpoint | None, rules: ProposalRules = ProposalRules()
) -> list[Board]:
    """Items by the board they stand on, the highest board first; without a viewpoint all are at the front."""
    boards: list[Board] = []
    left = sorted(items, key=lambda one: one.base, reverse=True)
    step = rules.row_share * float(np.median([item.h for item in left])) if left else 0.0
    while left:
        nearest = [item.base for item in left if left[0].base - item.base <= step]
        edge = min(float(np.percentile(nearest, 75)), spec.height_mm)
        reaches = edge - step
        if seen_from is not None:
            reaches = min(reaches, seen_from.base_at(edge, spec.depth_mm) - step / 2)
        on = [item for item in left if item.base >= reaches]
        left = left[len(on) :]
        depths = [seen_from.depth_of(item.base, edge) if seen_from is not None else 0.0 for item in on]
        # Within the imprecision of a base nothing says that an item stands further back than the others.
        placed = sorted(
            ((depth if edge - item.base > step / 2 else 0.0, item) for depth, item in zip(depths, on, strict=True)),
            key=lambda one: (one[0], one[1].x),
        )
        foremost: list[tuple[float, SeenItem]] = []
        for depth, item in placed:
            true = _brought_to_front(item, edge, depth, seen_from)
            if not any(_share_across(true, other) > rules.hidden_share for _, other in foremost):
                foremost.append((depth, true))
        behind = sum(depth > rules.behind_mm for depth, _ in foremost)
        boards.append(Board(edge, tuple(sorted((item for _, item in foremost), key=lambda one: one.x)), behind))
    return boards[::-1]


def _brought_to_front(item: SeenItem, edge: float, depth: float, seen_from: Viewpoint | None) -> SeenItem:
    """What stands further back, where it would be and as large as it would be at the front."""
    if seen_from is None or depth <= 0:
        return item
    grown = 1 + depth / seen_from.distance
    return replace(item, x=seen_from.x + (item.x - seen_from.x) * grown, base=edge, w=item.w * grown, h=item.h * grown)


def _share_across(one: SeenItem, other: SeenItem) -> float:
    """How much of the narrower one's width both take; 0 to 1."""
    both = min(one.x + one.w, other.x + other.w) - max(one.x, other.x)
    return max(0.0, both) / min(one.w, other.w)


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
    gap = other.x - (one.x + one.w)
    is_one_size = abs(one.w - other.w) <= rules.size_share * width and abs(one.h - other.h) <= rules.size_share * height
    if gap > (rules.missing_facings + rules.gap_share) * width or not is_one_size:
        return False
    if one.gtin is not None and one.gtin == other.gtin:
        return True
    apart = np.abs(np.array(one.colours) - np.array(other.colours)).reshape(-1, 3)
    return bool(np.sqrt((apart**2).sum(axis=1)).max() <= rules.colour)


def propose(
    items: Sequence[SeenItem],
    spec: BaySpec,
    rules: ProposalRules = ProposalRules(),
    seen_from: Viewpoint | None = None,
) -> Proposal:
    """A planogram of what is seen, without a view, and where the shelf was not full.

    Raises: ValueError when nothing is seen; pydantic's ValidationError when the bay's size makes no sense.
    """
    boards = boards_of(items, spec, seen_from, rules)
    if not boards:
        raise ValueError("no product was found within the four corners")
    fixtures, positions, products, gaps = [], [], [], []
    heights = [board.edge - top for top, board in zip([0.0, *(board.edge for board in boards)], boards, strict=False)]
    usual_mm = float(np.median(heights))
    top = 0.0
    for number, board in enumerate(boards, start=1):
        name, row, base = f"t{number}", board.items, board.edge
        fixtures.append(
            Fixture(id=name, x=0, y=round(top, 1), w=spec.width_mm, h=round(base - top, 1), d=spec.depth_mm)
        )
        groups = facings_of(row, rules)
        edges = _edges(groups, spec.width_mm)
        empty_mm = 0.0
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
            across = _facings_across(group, wide, rules)
            facings = Facings(h=min(across, 100), v=1, d=behind)
            left, right = edges[place - 1], edges[place]
            empty_mm += max(0.0, right - left - across * wide) + (across - len(group)) * wide
            positions.append(
                Position(
                    id=slot, product_id=f"p-{slot}", fixture_id=name, x=round(left, 1), y=round(base - high, 1),
                    w=round(right - left, 1), h=round(high, 1), facings=facings, capacity=facings.items,
                    min_presentation=min(facings.h, facings.items),
                )
            )  # fmt: skip
        largest_mm = _largest_gap(row, spec.width_mm)
        is_high = base - top > rules.high_share * usual_mm
        if board.behind or largest_mm > rules.empty_mm or is_high:
            told_mm = empty_mm if largest_mm > rules.empty_mm else 0.0
            gaps.append(ShelfGap(name, board.behind, len(row), told_mm, is_high))
        top = base
    plan = Planogram(
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
    return Proposal(plan, tuple(gaps))


def _facings_across(group: Sequence[SeenItem], wide: float, rules: ProposalRules) -> int:
    """How many stand side by side when none is missing."""
    missing = [
        round((other.x - one.x - one.w) / wide)
        for one, other in itertools.pairwise(group)
        if other.x - one.x - one.w > rules.gap_share * wide
    ]
    return len(group) + sum(missing)


def _largest_gap(row: Sequence[SeenItem], width_mm: float) -> float:
    """The widest place on a shelf at which nothing stands."""
    ends = [0.0, *(one.x + one.w for one in row)]
    begins = [*(one.x for one in row), width_mm]
    return max(begin - end for end, begin in zip(ends, begins, strict=True))


def _edges(groups: Sequence[Sequence[SeenItem]], width_mm: float) -> list[float]:
    """Where slots end: halfway between neighbours, at the bay's sides for the first and the last."""
    inner: list[float] = []
    for one, other in itertools.pairwise(groups):
        middle = (max(item.x + item.w for item in one) + other[0].x) / 2
        floor = (inner[-1] if inner else 0.0) + 5.0
        inner.append(min(max(middle, floor), width_mm - 5.0))
    return [0.0, *inner, width_mm]

"""Designs of bays: shelves, slots, products and the planogram that tells the others where everything is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from shelf_contracts.planogram import (
    Facings,
    PlannedProduct,
    Planogram,
    Point,
    Position,
    SlotView,
    View,
)
from shelf_contracts.planogram import Fixture as PlannedFixture
from shelf_simulator.core.geometry import Camera, camera_over

PackShape = Literal["box", "can", "bottle", "bag"]

STORE = "demo"
CAMERA = "c1"
BOARD_THICKNESS_MM = 32.0
_ABOVE_PRODUCT_MM = 40.0
_UNDER_NEXT_BOARD_MM = 55.0


@dataclass(frozen=True)
class Pack:
    """A product as it stands on the shelf: its GTIN, what is printed on it, its shape and its size in mm.

    ``print_of`` names a family whose packs are printed alike but for their words; ``clear``: a bottle to see through.
    """

    gtin: str
    name: str
    brand: str
    shape: PackShape
    width_mm: float
    height_mm: float
    depth_mm: float
    net_content: str = ""
    print_of: str = ""
    clear: bool = False


@dataclass(frozen=True)
class Shelf:
    """One tier: the y of its board's top surface, and the free height above it."""

    id: str
    board_y_mm: float
    space_mm: float


@dataclass(frozen=True)
class SlotDesign:
    """The place of one product: ``columns`` facings side by side, each ``rows`` deep, on one shelf."""

    id: str
    shelf: Shelf
    x_mm: float
    width_mm: float
    pack: Pack
    columns: int
    rows: int
    price_cents: int = 199
    case_pack: int = 6

    @property
    def capacity(self) -> int:
        return self.columns * self.rows

    @property
    def min_presentation(self) -> int:
        return min(self.capacity, max(self.columns, round(0.25 * self.capacity)))

    @property
    def column_pitch_mm(self) -> float:
        return self.width_mm / self.columns

    def column_x_mm(self, column: int) -> float:
        """The middle of a column, 0 being the leftmost."""
        return self.x_mm + (column + 0.5) * self.column_pitch_mm

    def row_z_mm(self, row: int, depth_mm: float) -> float:
        """The middle of an item in a row, 0 being the rearmost."""
        pitch = depth_mm / self.rows
        return depth_mm - (row + 0.5) * pitch


@dataclass(frozen=True)
class BayDesign:
    """A bay as it was built. The floor of the room is at ``height_mm``; the shelves are in order from the top."""

    bay: str
    width_mm: float
    height_mm: float
    depth_mm: float
    shelves: tuple[Shelf, ...]
    slots: tuple[SlotDesign, ...]
    camera: Camera
    look_seed: int = 0
    packs: tuple[Pack, ...] = field(default=())

    def slot(self, slot_id: str) -> SlotDesign:
        """Raises: KeyError when the bay has no such slot."""
        for slot in self.slots:
            if slot.id == slot_id:
                return slot
        raise KeyError(f"bay {self.bay} has no slot {slot_id!r}")


def rows_deep(pack: Pack, depth_mm: float) -> int:
    """How many of a pack stand behind one another: 2 to 4."""
    return max(2, min(4, int(depth_mm // (pack.depth_mm + 14))))


@dataclass(frozen=True)
class Fixture:
    """How a bay is built and where its camera hangs: aside of its middle, above the floor, away from its front.

    ``spaces_mm`` are the tiers' heights from the top, boards included.
    """

    width_mm: float = 1640.0
    depth_mm: float = 380.0
    spaces_mm: tuple[float, ...] = (235.0, 258.0, 295.0, 350.0)
    camera_aside_mm: float = 0.0
    camera_above_floor_mm: float = 2120.0
    camera_away_mm: float = 2200.0


def default_camera(
    width_mm: float, height_mm: float, shelves: Sequence[Shelf], first_space_mm: float, fixture: Fixture
) -> Camera:
    """Across the aisle, turned to the middle of the bay, which fills the picture."""
    lowest = max(shelf.board_y_mm for shelf in shelves) + BOARD_THICKNESS_MM + 14
    highest = min(shelf.board_y_mm for shelf in shelves) - first_space_mm
    corners = [(x, y, 0.0) for x in (0.0, width_mm) for y in (highest, lowest)]
    corners += [(x, highest + 10.0, 200.0) for x in (0.0, width_mm)]
    place = (
        width_mm / 2 + fixture.camera_aside_mm,
        height_mm - fixture.camera_above_floor_mm,
        -fixture.camera_away_mm,
    )
    return camera_over(
        corners, place_mm=place, margin=0.008, yaw_rad=-math.atan2(fixture.camera_aside_mm, fixture.camera_away_mm)
    )


def design_bay(
    bay: str, packs: Sequence[Pack], seed: int, fixture: Fixture | None = None, *, families: bool = False
) -> BayDesign:
    """A bay of 5 or 6 slots a shelf, every slot another product; by default the demo's, with 4 shelves.

    Args:
        bay: id such as "a01"; together with ``seed`` it decides which products stand where.
        packs: what the shop sells, of all four shapes; at least 20.
        families: a shelf holds packs of one family (``print_of``), beside one another.
    Raises: ValueError when the packs do not fill the shelves.
    """
    rng = np.random.default_rng([seed, *bay.encode()])
    fixture = fixture or Fixture()
    width, depth, spaces = fixture.width_mm, fixture.depth_mm, fixture.spaces_mm
    shelves = []
    y = 0.0
    for index, space in enumerate(spaces):
        y += space
        shelves.append(Shelf(f"s{index + 1}", y, space - BOARD_THICKNESS_MM))
    height = y + 250.0
    chosen = _families_by_shelf(shelves, packs, rng) if families else _packs_by_shelf(shelves, packs, rng)
    slots: list[SlotDesign] = []
    for index, (shelf, on_shelf) in enumerate(zip(shelves, chosen, strict=True)):
        slots += slots_of_shelf(index, shelf, on_shelf, width, depth, rng)
    camera = default_camera(width, height, shelves, spaces[0] - 10, fixture)
    return BayDesign(bay, width, height, depth, tuple(shelves), tuple(slots), camera, int(rng.integers(1 << 31)))


def _packs_by_shelf(shelves: Sequence[Shelf], packs: Sequence[Pack], rng: np.random.Generator) -> list[list[Pack]]:
    """Wide and high packs low, small ones high; the four shapes mixed."""
    left = [packs[i] for i in rng.permutation(len(packs))]
    chosen: list[list[Pack]] = [[] for _ in shelves]
    for index in reversed(range(len(shelves))):
        wanted = 5 if index == len(shelves) - 1 else 6 if index % 2 else 5
        highest = shelves[index].space_mm - (0.0 if index == 0 else _UNDER_NEXT_BOARD_MM - BOARD_THICKNESS_MM)
        fitting = [pack for pack in left if pack.height_mm <= highest]
        # The highest that still fit go first, else the roomy bottom shelf takes the small ones and nothing is left.
        fitting.sort(key=lambda pack: (pack.height_mm < 0.55 * highest, pack.shape in {"box"} and rng.random() < 0.5))
        picked: list[Pack] = []
        for shape_turn in range(wanted):
            used = {pack.shape for pack in picked}
            fresh = [pack for pack in fitting if pack not in picked and pack.shape not in used]
            rest = fresh if fresh and shape_turn < 4 else [pack for pack in fitting if pack not in picked]
            if not rest:
                raise ValueError(f"shelf {shelves[index].id}: too few products of at most {highest:g} mm high")
            picked.append(rest[0])
        left = [pack for pack in left if pack not in picked]
        chosen[index] = [picked[i] for i in rng.permutation(len(picked))]
    return chosen


def _families_by_shelf(shelves: Sequence[Shelf], packs: Sequence[Pack], rng: np.random.Generator) -> list[list[Pack]]:
    names = [str(name) for name in rng.permutation(sorted({pack.print_of for pack in packs}))]
    by_name = {name: [pack for pack in packs if pack.print_of == name] for name in names}
    chosen = []
    for index, shelf in enumerate(shelves):
        highest = shelf.space_mm - (0.0 if index == 0 else _UNDER_NEXT_BOARD_MM - BOARD_THICKNESS_MM)
        name = next((n for n in names if max(pack.height_mm for pack in by_name[n]) <= highest), None)
        if name is None:
            raise ValueError(f"shelf {shelf.id}: no family of products of at most {highest:g} mm high is left")
        names.remove(name)
        chosen.append(by_name[name])
    return chosen


def slots_of_shelf(
    index: int, shelf: Shelf, packs: Sequence[Pack], width_mm: float, depth_mm: float, rng: np.random.Generator,
    *, side_mm: float = 12.0, gap_mm: float = 14.0,
) -> list[SlotDesign]:  # fmt: skip
    """Share a shelf's width between packs: columns are added where there is most room, then all is spread evenly."""
    usable = width_mm - 2 * side_mm
    least = [max(pack.width_mm + gap_mm, 88.0 + 4 * index) for pack in packs]
    columns = [1] * len(packs)
    while True:
        room = usable - sum(c * w for c, w in zip(columns, least, strict=True))
        can_grow = [i for i, w in enumerate(least) if w <= room and columns[i] < 4]
        if not can_grow:
            break
        grown = min(can_grow, key=lambda i: (columns[i] * least[i], i))
        columns[grown] += 1
    spare = max(0.0, usable - sum(c * w for c, w in zip(columns, least, strict=True))) / sum(columns)
    slots = []
    x = side_mm
    for place, (pack, count, pitch) in enumerate(zip(packs, columns, least, strict=True)):
        slot_width = count * (pitch + spare)
        slots.append(
            SlotDesign(
                id=f"s{index + 1}-{place + 1:02d}",
                shelf=shelf,
                x_mm=x,
                width_mm=slot_width,
                pack=pack,
                columns=count,
                rows=rows_deep(pack, depth_mm),
                price_cents=int(rng.integers(7, 90)) * 10 + 9,
                case_pack=int(rng.choice([6, 8, 10, 12])),
            )
        )
        x += slot_width
    return slots


def front_corners_mm(slot: SlotDesign) -> list[tuple[float, float, float]]:
    """The slot's front rectangle at z = 0: from its board up to 40 mm above the product, clockwise from top left."""
    top = slot.shelf.board_y_mm - slot.pack.height_mm - _ABOVE_PRODUCT_MM
    left, right, bottom = slot.x_mm, slot.x_mm + slot.width_mm, slot.shelf.board_y_mm
    return [(left, top, 0.0), (right, top, 0.0), (right, bottom, 0.0), (left, bottom, 0.0)]


def floor_corners_mm(slot: SlotDesign, depth_mm: float) -> list[tuple[float, float, float]]:
    """The slot's part of the board: front-left, front-right, back-right, back-left."""
    left, right, y = slot.x_mm, slot.x_mm + slot.width_mm, slot.shelf.board_y_mm
    return [(left, y, 0.0), (right, y, 0.0), (right, y, depth_mm), (left, y, depth_mm)]


def build_planogram(design: BayDesign) -> Planogram:
    """The planogram of a bay as a shop would write it down, with the view of camera "c1"."""
    packs = {slot.pack.gtin: slot.pack for slot in design.slots}
    return Planogram(
        schema_name="smartshelf.planogram.v1",
        id=f"pg-{design.bay}",
        revision=1,
        store=STORE,
        bay=design.bay,
        name=f"Demo bay {design.bay}",
        width=design.width_mm,
        height=design.height_mm,
        products=[
            PlannedProduct(
                id=p.gtin, gtin=p.gtin, name=f"{p.brand} {p.name}", w=p.width_mm, h=p.height_mm, d=p.depth_mm
            )
            for p in packs.values()
        ],
        fixtures=[
            PlannedFixture(
                id=shelf.id,
                x=0.0,
                y=shelf.board_y_mm - shelf.space_mm,
                w=design.width_mm,
                h=shelf.space_mm,
                d=design.depth_mm,
            )
            for shelf in design.shelves
        ],
        positions=[
            Position(
                id=slot.id,
                product_id=slot.pack.gtin,
                fixture_id=slot.shelf.id,
                x=round(slot.x_mm, 1),
                y=round(slot.shelf.board_y_mm - slot.pack.height_mm, 1),
                w=round(slot.width_mm, 1),
                h=slot.pack.height_mm,
                facings=Facings(h=slot.columns, v=1, d=slot.rows),
                capacity=slot.capacity,
                min_presentation=slot.min_presentation,
                case_pack=slot.case_pack,
            )
            for slot in design.slots
        ],
        views=[View(camera=CAMERA, slots={slot.id: slot_view(design, slot) for slot in design.slots})],
    )


def slot_view(design: BayDesign, slot: SlotDesign) -> SlotView:
    """Where the bay's camera sees a slot, in shares of the picture, clipped to it."""
    return SlotView(
        front=shares(design.camera, front_corners_mm(slot)),
        floor=shares(design.camera, floor_corners_mm(slot, design.depth_mm)),
    )


def shares(camera: Camera, points_mm: Sequence[tuple[float, float, float]]) -> list[Point]:
    """Points of the bay's frame as shares of the picture, clipped to 0..1 and rounded to 5 digits."""
    size = (camera.width_px, camera.height_px)
    return [
        (round(min(1.0, max(0.0, float(x) / size[0])), 5), round(min(1.0, max(0.0, float(y) / size[1])), 5))
        for x, y in camera.project(points_mm)
    ]

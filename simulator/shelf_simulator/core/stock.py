"""What stands in the slots: columns that are filled from the rear."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from shelf_simulator.core.design import BayDesign, Pack, SlotDesign
from shelf_simulator.core.items import PlacedItem, on_its_side, placed

_NUMBERS_PER_SLOT = 64
_LEAST_ASPECT = 1.6
_BESIDE_MM = 4.0
_PUSHED_ROWS = (0.32, 0.46)
"""So far back an item is pushed, in rows: from where it is plain to see to where it would be the next row's."""


@dataclass
class SlotStock:
    """One slot's items: for each column those that stand there, the rearmost first."""

    design: BayDesign
    slot: SlotDesign
    index: int
    columns: list[list[PlacedItem]] = field(default_factory=list)
    version: int = 0

    @property
    def count(self) -> int:
        """Items in the slot, misplaced ones too."""
        return sum(len(column) for column in self.columns)

    @property
    def free(self) -> int:
        return self.slot.capacity - self.count

    def can_give(self, quantity: int) -> list[int]:
        """Columns that hold at least ``quantity``."""
        return [i for i, column in enumerate(self.columns) if len(column) >= quantity]

    def can_take(self, quantity: int) -> list[int]:
        """Columns with at least ``quantity`` free rows."""
        return [i for i, column in enumerate(self.columns) if self.slot.rows - len(column) >= quantity]

    def front_z_mm(self, column: int) -> float:
        """Where the front-most item of a column begins; the shelf's depth when the column is empty."""
        return self.columns[column][-1].front_z_mm if self.columns[column] else self.design.depth_mm

    def free_row_z_mm(self, column: int) -> float:
        """The middle of the first free row in front of a column's items. Raises: ValueError when it is full."""
        row = len(self.columns[column])
        if row >= self.slot.rows:
            raise ValueError(f"slot {self.slot.id} column {column} is full")
        return self.slot.row_z_mm(row, self.design.depth_mm)

    def take(self, column: int) -> PlacedItem:
        """Remove a column's front-most item. Raises: IndexError when the column is empty."""
        self.version += 1
        return self.columns[column].pop()

    def put(self, column: int, rng: np.random.Generator, pack: Pack | None = None) -> PlacedItem:
        """Add an item in front of a column's items. Raises: ValueError when the column is full."""
        row = len(self.columns[column])
        if row >= self.slot.rows:
            raise ValueError(f"slot {self.slot.id} column {column} is full")
        number = 1 + self.index * _NUMBERS_PER_SLOT + column * self.slot.rows + row
        item = placed(self.slot, self.design, column, row, number, rng, pack=pack)
        self.columns[column].append(item)
        self.version += 1
        return item


def columns_to_topple(stock: SlotStock) -> list[int]:
    """Columns whose front item, a box, has room to fall to its side within the slot."""
    return [column for column in range(len(stock.columns)) if _lying(stock, column) is not None]


def topple(stock: SlotStock, column: int) -> None:
    """Let the front item of a column fall to its side. Raises: ValueError when it has no room."""
    lying = _lying(stock, column)
    if lying is None:
        raise ValueError(f"slot {stock.slot.id} column {column}: nothing can fall there")
    stock.columns[column][-1] = lying
    stock.version += 1


def _lying(stock: SlotStock, column: int) -> PlacedItem | None:
    """The front item of a column as it would lie; None where it cannot: what is beside it stands as far in front."""
    if not stock.columns[column]:
        return None
    item, slot = stock.columns[column][-1], stock.slot
    pack = item.pack
    if pack.shape != "box" or item.is_lying or pack.height_mm < _LEAST_ASPECT * pack.width_mm:
        return None
    left, right = slot.x_mm + _BESIDE_MM, slot.x_mm + slot.width_mm - _BESIDE_MM
    if pack.height_mm > right - left:
        return None
    half = pack.height_mm / 2
    x = min(max(item.x_mm, left + half), right - half)
    behind = item.z_mm + pack.depth_mm / 2
    under = [i for i in range(len(stock.columns)) if abs(slot.column_x_mm(i) - x) < half + slot.column_pitch_mm / 2]
    others = [other for i in under for other in stock.columns[i] if other is not item]
    if any(other.z_mm - other.pack.depth_mm / 2 < behind for other in others):
        return None
    # Painted after everything behind it: with the column nearest to the camera of those it lies before.
    nearest = min((slot.column_x_mm(i) for i in under), key=lambda column_x: abs(column_x - stock.design.camera.x_mm))
    return replace(item, pack=on_its_side(pack), x_mm=x, column_x_mm=nearest, yaw_rad=0.0, is_lying=True)


def columns_to_push(stock: SlotStock) -> list[int]:
    """Columns whose front item can be pushed back far enough to be seen, those behind it closing up."""
    least = _PUSHED_ROWS[0] * stock.design.depth_mm / stock.slot.rows
    return [column for column in range(len(stock.columns)) if _room_behind_mm(stock, column) >= least]


def push_back(stock: SlotStock, column: int, rng: np.random.Generator) -> None:
    """Push the front item of a column back. Raises: ValueError when it has no room."""
    row_mm = stock.design.depth_mm / stock.slot.rows
    least, most = _PUSHED_ROWS[0] * row_mm, min(_PUSHED_ROWS[1] * row_mm, _room_behind_mm(stock, column))
    if most < least:
        raise ValueError(f"slot {stock.slot.id} column {column}: nothing can be pushed back there")
    items = stock.columns[column]
    z = items[-1].z_mm + float(rng.uniform(least, most))
    for place in range(len(items) - 1, -1, -1):
        if place < len(items) - 1:
            before = items[place + 1]
            z = max(items[place].z_mm, before.z_mm + (before.pack.depth_mm + items[place].pack.depth_mm) / 2)
        items[place] = replace(items[place], z_mm=z)
    stock.version += 1


def _room_behind_mm(stock: SlotStock, column: int) -> float:
    """How far the front item can go back until all behind it touch one another and the back."""
    items = stock.columns[column]
    if not items or any(item.is_lying for item in items):
        return 0.0
    return stock.design.depth_mm - sum(item.pack.depth_mm for item in items) - items[-1].front_z_mm


def fill(design: BayDesign, counts: dict[str, int], rng: np.random.Generator) -> dict[str, SlotStock]:
    """Stock a bay: ``counts`` items in each slot, spread over its columns by chance."""
    stocks = {}
    for index, slot in enumerate(design.slots):
        stock = SlotStock(design, slot, index, [[] for _ in range(slot.columns)])
        for _ in range(min(slot.capacity, counts[slot.id])):
            free = stock.can_take(1)
            stock.put(free[int(rng.integers(len(free)))], rng)
        stock.version = 0
        stocks[slot.id] = stock
    return stocks

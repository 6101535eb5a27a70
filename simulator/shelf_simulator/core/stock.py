"""What stands in the slots: columns that are filled from the rear."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shelf_simulator.core.design import BayDesign, Pack, SlotDesign
from shelf_simulator.core.items import PlacedItem, placed

_NUMBERS_PER_SLOT = 64


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

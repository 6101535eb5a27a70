"""Items: one pack standing somewhere, and how items stand in a slot."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from shelf_simulator.core.design import BayDesign, Pack, SlotDesign


@dataclass(frozen=True)
class PlacedItem:
    """An item that stands somewhere: the middle of its base in mm.

    Attributes:
        number: 1 to 30000, its id in the id picture; must be unique in a scene.
        shelf: index of the shelf it stands on, from the top; -1 when it is in a hand.
        column_x_mm: middle of its column; painting goes column by column.
        yaw_rad: how it is turned; variant: 0 to 2, for round packs; light: its own gain.
        is_lying: a box on its side; the sizes of ``pack`` are as it lies, its print is that of the standing one.
    """

    number: int
    pack: Pack
    x_mm: float
    y_mm: float
    z_mm: float
    shelf: int = -1
    column_x_mm: float = 0.0
    yaw_rad: float = 0.0
    variant: int = 0
    light: float = 1.0
    is_lying: bool = False

    @property
    def front_z_mm(self) -> float:
        return self.z_mm - self.pack.depth_mm / 2


def on_its_side(pack: Pack) -> Pack:
    """The same pack with width and height exchanged: as it lies, and as it stood."""
    return replace(pack, width_mm=pack.height_mm, height_mm=pack.width_mm)


@dataclass(frozen=True)
class HeldItem:
    """An item in a hand (0 left, 1 right)."""

    hand: int
    item: PlacedItem


def placed(
    slot: SlotDesign,
    design: BayDesign,
    column: int,
    row: int,
    number: int,
    rng: np.random.Generator,
    *,
    tidy: float = 1.0,
    pack: Pack | None = None,
) -> PlacedItem:
    """An item in its column and row (0 at the rear), a little out of line.

    Args:
        tidy: how far out of line, 0 not at all, 2 very.
        pack: what stands there when it is not the slot's own product.
    """
    pack = pack or slot.pack
    free_x = max(0.0, slot.column_pitch_mm - pack.width_mm) / 2
    free_z = max(0.0, design.depth_mm / slot.rows - pack.depth_mm) / 2
    x = slot.column_x_mm(column)
    turn = min(0.09, 0.035 * tidy) if pack.shape == "box" else 0.03
    return PlacedItem(
        number=number,
        pack=pack,
        x_mm=x + float(np.clip(rng.normal(0, 2.2 * tidy), -free_x, free_x)),
        y_mm=slot.shelf.board_y_mm,
        z_mm=slot.row_z_mm(row, design.depth_mm) + float(np.clip(rng.normal(0, 3.0 * tidy), -free_z, free_z)),
        shelf=design.shelves.index(slot.shelf),
        column_x_mm=x,
        yaw_rad=float(np.clip(rng.normal(0, turn), -0.14, 0.14)),
        variant=int(rng.integers(3)),
        light=float(np.clip(rng.normal(1.0, 0.02), 0.94, 1.06)),
    )

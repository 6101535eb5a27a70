"""A bay as a drawing: where shelves and slots lie, in millimetres, ready for an SVG."""

from __future__ import annotations

from dataclasses import dataclass

from shelf_contracts.planogram import Planogram

_BOARD_MM = 18.0


@dataclass(frozen=True, slots=True)
class Rectangle:
    """In mm from the bay's top left."""

    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True, slots=True)
class SlotDrawing:
    """A slot's space; ``columns`` are its facings side by side, each as high as its product."""

    slot: str
    space: Rectangle
    columns: tuple[Rectangle, ...]


@dataclass(frozen=True, slots=True)
class BayDrawing:
    width: float
    height: float
    boards: tuple[Rectangle, ...]
    slots: dict[str, SlotDrawing]


def bay_drawing(plan: Planogram) -> BayDrawing:
    """Lay a planogram out: a board under each shelf, the facings of each slot standing on it."""
    products = {product.id: product for product in plan.products}
    fixtures = {fixture.id: fixture for fixture in plan.fixtures}
    boards = tuple(Rectangle(f.x, f.y + f.h, f.w, _BOARD_MM) for f in plan.fixtures)
    slots = {}
    for position in plan.positions:
        fixture, product = fixtures[position.fixture_id], products[position.product_id]
        floor_y = fixture.y + fixture.h
        pitch = position.w / position.facings.h
        width = min(product.w, pitch * 0.94)
        height = min(product.h * position.facings.v, fixture.h * 0.96)
        columns = tuple(
            Rectangle(position.x + pitch * column + (pitch - width) / 2, floor_y - height, width, height)
            for column in range(position.facings.h)
        )
        space = Rectangle(position.x, fixture.y, position.w, fixture.h)
        slots[position.id] = SlotDrawing(position.id, space, columns)
    return BayDrawing(plan.width, plan.height + _BOARD_MM, boards, slots)

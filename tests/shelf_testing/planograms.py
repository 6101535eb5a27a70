"""Small planograms for the edge's tests."""

from __future__ import annotations

from shelf_contracts.planogram import Planogram


def one_slot_planogram(*, columns: int = 2, rows: int = 3, with_floor: bool = True) -> Planogram:
    """A bay with one slot ``s1`` whose board is the square (0.2..0.8) x (0.6..0.9) of the picture, front edge below."""
    view: dict[str, object] = {"front": [[0.2, 0.3], [0.8, 0.3], [0.8, 0.9], [0.2, 0.9]]}
    if with_floor:
        view["floor"] = [[0.2, 0.9], [0.8, 0.9], [0.8, 0.6], [0.2, 0.6]]
    return Planogram.model_validate(
        {
            "schema": "smartshelf.planogram.v1",
            "id": "pg-t",
            "store": "test",
            "bay": "b1",
            "width": 1000,
            "height": 500,
            "products": [{"id": "p", "gtin": "4006381333931", "w": 80, "h": 100, "d": 100}],
            "fixtures": [{"id": "t1", "x": 0, "y": 0, "w": 1000, "h": 500, "d": 100 * rows}],
            "positions": [
                {
                    "id": "s1",
                    "productId": "p",
                    "fixtureId": "t1",
                    "x": 0,
                    "y": 0,
                    "w": 1000,
                    "h": 500,
                    "facings": {"h": columns, "v": 1, "d": rows},
                    "capacity": columns * rows,
                    "min_presentation": columns,
                }
            ],
            "views": [{"camera": "c1", "slots": {"s1": view}}],
        }
    )

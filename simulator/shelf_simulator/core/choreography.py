"""How a hand goes to a slot and back: where it grips, and the strokes that take it there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelf_simulator.core.design import BayDesign, Pack
from shelf_simulator.core.geometry import FloatArray
from shelf_simulator.core.motion import Stroke
from shelf_simulator.core.person import GRIP_GAP_MM, GRIP_HEIGHT
from shelf_simulator.core.stock import SlotStock

_BEFORE_SHELF_Z_MM = -230.0
_UNDER_BOARD_MM = 85.0


@dataclass(frozen=True, eq=False)
class Errand:
    """One way of a hand to a slot and back.

    Attributes:
        grip_mm: where it changes the slot; start_mm: where it is now; rest_mm: where it goes afterwards.
        putting: it brings something; looking: it touches nothing; brisk: staff at work.
        first, last: of a row of errands in one visit, in between which the body stays bent.
        delay_s: how long it waits before it starts.
    """

    grip_mm: FloatArray
    start_mm: FloatArray
    rest_mm: FloatArray
    putting: bool = False
    looking: bool = False
    brisk: bool = False
    first: bool = True
    last: bool = True
    delay_s: float = 0.0


def grip_to_take(stock: SlotStock, column: int) -> FloatArray:
    """Just before the front-most item; about the middle of the shelf when the column is empty."""
    empty = not stock.columns[column]
    front = stock.design.depth_mm * 0.55 if empty else stock.front_z_mm(column)
    slot = stock.slot
    height = GRIP_HEIGHT * slot.pack.height_mm
    return np.array([slot.column_x_mm(column), slot.shelf.board_y_mm - height, front - GRIP_GAP_MM])


def grip_to_put(stock: SlotStock, column: int, packs: list[Pack]) -> FloatArray:
    """Just before where the front-most of ``packs`` will stand."""
    slot = stock.slot
    row = min(slot.rows - 1, len(stock.columns[column]) + len(packs) - 1)
    front = slot.row_z_mm(row, stock.design.depth_mm) - packs[0].depth_mm / 2
    height = GRIP_HEIGHT * packs[0].height_mm
    return np.array([slot.column_x_mm(column), slot.shelf.board_y_mm - height, front - GRIP_GAP_MM])


def strokes_of(errand: Errand, stock: SlotStock, design: BayDesign, rng: np.random.Generator) -> list[Stroke]:
    """The strokes of an errand; the one that ends in "touch" is the moment the slot changes.

    The hand comes along the camera's line of sight to the slot: what the camera sees in the slot's polygon is the hand
    that is about to touch it, and other slots are crossed quickly.
    """
    shelf = stock.slot.shelf
    grip = errand.grip_mm
    under_board = shelf.board_y_mm - shelf.space_mm + _UNDER_BOARD_MM
    mouth = np.array([grip[0], max(under_board, grip[1] - 25.0), -30.0])
    eye = design.camera.place_mm
    before = mouth + (eye - mouth) * ((mouth[2] - _BEFORE_SHELF_Z_MM) / (mouth[2] - eye[2]))
    rest = errand.rest_mm
    if not errand.last:  # bent: the hand fetches the next load further down
        rest = np.array([rest[0], max(rest[1], grip[1] - 60.0), rest[2]])
    pace = 0.9 if errand.brisk else 1.0
    bent_before, bent_after = (0.0 if errand.first else 0.8), (0.0 if errand.last else 0.8)
    coming, gripping = (0.35, 0.35) if errand.putting else (0.85, 0.4)
    leaving = 0.85 if errand.putting or errand.looking else 0.3

    def lasting(least_s: float, most_s: float) -> float:
        return float(rng.uniform(least_s, most_s)) * pace

    linger_s = lasting(0.25, 0.6) if errand.looking else lasting(0.1, 0.22)
    strokes = [
        Stroke(errand.start_mm, before, lasting(0.42, 0.6), (bent_before, 1.0), (0.5, coming)),
        Stroke(before, grip, lasting(0.32, 0.46), (1.0, 1.0), (coming, gripping), via=mouth),
        Stroke(grip, grip, linger_s, openness=(gripping, leaving), happens="touch"),
        Stroke(grip, before, lasting(0.3, 0.42), (1.0, 1.0), (leaving, leaving), via=mouth),
        Stroke(before, rest, lasting(0.42, 0.6), (1.0, bent_after), (leaving, 0.5)),
    ]
    if errand.delay_s > 0:
        strokes.insert(0, Stroke(errand.start_mm, errand.start_mm, errand.delay_s, (bent_before, bent_before)))
    return strokes


def handfuls(stock: SlotStock, largest: int) -> list[tuple[int, int]]:
    """(column, quantity) of the handfuls that fill a slot: three or more where possible, as it takes a while."""
    loads: list[tuple[int, int]] = []
    for handful in range(largest, 0, -1):
        loads = []
        for column, items in enumerate(stock.columns):
            room = stock.slot.rows - len(items)
            while room > 0:
                loads.append((column, min(handful, room)))
                room -= loads[-1][1]
        if len(loads) >= 3:
            break
    return loads

"""The planogram: what should stand where in one bay, and where each camera sees it.

Millimetres, origin at the top left of the bay, x to the right, y down; a superset of the Azure planogram shape
(``shelf_contracts.azure`` converts both ways). Pictures are addressed in shares of their width and height (0 to 1),
so that a planogram survives a change of the camera's resolution.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shelf_contracts.errors import Problem, ProblemsInside, and_more
from shelf_contracts.ids import BayId, CameraId, Gtin, LevelId, SlotId, StoreId

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Point = tuple[Share, Share]
Millimetres = Annotated[float, Field(ge=0.0, le=100_000.0)]
Size = Annotated[float, Field(gt=0.0, le=100_000.0)]

_OVERLAP_TOLERANCE_MM = 1.0


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class PlannedProduct(_Part):
    """A product as it stands on the shelf: its size in mm, and its GTIN when it has one."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    gtin: Gtin | None = None
    name: Annotated[str, Field(max_length=300)] = ""
    w: Size
    h: Size
    d: Size = 1.0


class Fixture(_Part):
    """One shelf (tier) of the bay: the rectangle of its space, front view, and its depth."""

    id: LevelId
    kind: Literal["shelf", "hook", "basket"] = "shelf"
    x: Millimetres
    y: Millimetres
    w: Size
    h: Size
    d: Size = 1.0


class Facings(_Part):
    """How a slot is filled: ``h`` columns side by side, ``v`` items on top of one another, ``d`` items deep."""

    h: Annotated[int, Field(ge=1, le=100)] = 1
    v: Annotated[int, Field(ge=1, le=20)] = 1
    d: Annotated[int, Field(ge=1, le=100)] = 1

    @property
    def items(self) -> int:
        return self.h * self.v * self.d


class Position(_Part):
    """One slot: which product, on which shelf, where, how many."""

    id: SlotId
    product_id: Annotated[str, Field(alias="productId", min_length=1)]
    fixture_id: Annotated[LevelId, Field(alias="fixtureId")]
    x: Millimetres
    y: Millimetres
    w: Size
    h: Size
    facings: Facings = Facings()
    capacity: Annotated[int, Field(ge=1, le=10_000)]
    min_presentation: Annotated[int, Field(ge=0, le=10_000)] = 0
    case_pack: Annotated[int, Field(ge=1, le=10_000)] = 1


class SlotView(_Part):
    """Where a camera sees a slot, in shares of the picture.

    Attributes:
        front: the slot's space from its front plane, a polygon of at least 3 points; a hand in it is a reach.
        floor: the board under the slot as 4 points front-left, front-right, back-right, back-left. With it, items
            that stand further back are told from items in front. Without it the slot counts what stands in ``front``.
    """

    front: Annotated[list[Point], Field(min_length=3, max_length=64)]
    floor: Annotated[list[Point], Field(min_length=4, max_length=4)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _must_lie_in_the_picture(cls, value: Any) -> Any:
        """Told once for a slot, not for each coordinate. What is no polygon is left to the fields."""
        value = {"front": value} if isinstance(value, list) else value  # a bare polygon is a front
        told = [
            f"{name} with {axis} of {min(ends):.2f} to {max(ends):.2f}"
            for name in ("front", "floor")
            for axis, ends in _ends_of(value.get(name) if isinstance(value, dict) else None)
            if min(ends) < 0 or max(ends) > 1
        ]
        if told:
            allowed = "must lie in the picture: x and y are shares of its width and height, 0 to 1"
            raise ProblemsInside([Problem("", ", ".join(told), allowed, "smartshelf edge calibrate draws it anew")])
        return value

    @model_validator(mode="after")
    def _must_enclose_something(self) -> SlotView:
        for name, polygon in (("front", self.front), ("floor", self.floor)):
            if polygon is not None and abs(polygon_area(polygon)) < 1e-6:
                raise ValueError(f"{name} encloses no area; give its corners in order around the slot")
        return self


class View(_Part):
    """One camera's view of the bay."""

    camera: CameraId
    slots: Annotated[dict[SlotId, SlotView], Field(min_length=1, max_length=1000)]


class Planogram(_Part):
    """What should stand where in one bay."""

    schema_name: Annotated[Literal["smartshelf.planogram.v1"], Field(alias="schema")]
    id: LevelId
    revision: Annotated[int, Field(ge=0)] = 0
    store: StoreId
    bay: BayId
    name: Annotated[str, Field(max_length=120)] = ""
    valid_from: date | None = None
    unit: Literal["mm"] = "mm"
    width: Size
    height: Size
    products: Annotated[list[PlannedProduct], Field(min_length=1, max_length=1000)]
    fixtures: Annotated[list[Fixture], Field(min_length=1, max_length=100)]
    positions: Annotated[list[Position], Field(min_length=1, max_length=1000)]
    views: Annotated[list[View], Field(max_length=32)] = []

    @model_validator(mode="after")
    def _check_whole(self) -> Planogram:
        wrong = [*_repeated_ids(self), *_dangling_references(self), *_impossible_slots(self), *_overlaps(self)]
        if wrong:
            raise ProblemsInside(wrong)
        return self

    def product_of(self, slot: str) -> PlannedProduct:
        """The product planned for a slot. Raises: KeyError when the planogram has no such slot."""
        product_id = self.position(slot).product_id
        return next(product for product in self.products if product.id == product_id)

    def position(self, slot: str) -> Position:
        """The slot's position. Raises: KeyError when the planogram has no such slot."""
        for position in self.positions:
            if position.id == slot:
                return position
        raise KeyError(f"planogram {self.id} has no slot {slot!r}")

    def slot_plan(self, camera: str, slot: str) -> str:
        """Names what is planned for a slot and where the camera sees it: 12 hex digits, others when any of it differs.

        Raises: KeyError when the planogram or the camera's view of it has no such slot.
        """
        parts = (self.position(slot), self.product_of(slot), self.view_of(camera).slots[slot])
        return hashlib.sha256("".join(part.model_dump_json() for part in parts).encode()).hexdigest()[:12]

    def view_of(self, camera: str) -> View:
        """The camera's view. Raises: KeyError naming the cameras the planogram knows."""
        for view in self.views:
            if view.camera == camera:
                return view
        known = ", ".join(view.camera for view in self.views) or "none"
        raise KeyError(f"planogram {self.id} has no view of camera {camera!r} (it has: {known})")


def _ends_of(polygon: Any) -> list[tuple[str, list[float]]]:
    """The x and the y of a polygon's points; empty when it is none."""
    try:
        points = [(float(x), float(y)) for x, y in polygon]
    except (TypeError, ValueError, OverflowError):
        return []
    if not points or not all(map(math.isfinite, itertools.chain(*points))):
        return []
    return [("x", [x for x, _ in points]), ("y", [y for _, y in points])]


def polygon_area(polygon: list[Point]) -> float:
    """Signed area by the shoelace formula.

    >>> polygon_area([(0, 0), (1, 0), (1, 1), (0, 1)])
    1.0
    """
    following = [*polygon[1:], polygon[0]]
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(polygon, following, strict=True)) / 2


def _repeated_ids(plan: Planogram) -> list[Problem]:
    wrong = []
    for key, field, ids in (
        ("products", "id", [product.id for product in plan.products]),
        ("fixtures", "id", [fixture.id for fixture in plan.fixtures]),
        ("positions", "id", [position.id for position in plan.positions]),
        ("views", "camera", [view.camera for view in plan.views]),
    ):
        first: dict[str, int] = {}
        for i, one in enumerate(ids):
            if one in first:
                allowed = f"must be used once, but {key}[{first[one]}] has it too"
                wrong.append(Problem(f"{key}[{i}].{field}", repr(one), allowed, "give it another"))
            first.setdefault(one, i)
    return wrong


def _dangling_references(plan: Planogram) -> list[Problem]:
    products = {product.id for product in plan.products}
    fixtures = {fixture.id for fixture in plan.fixtures}
    slots = {position.id for position in plan.positions}
    wrong = []
    for i, position in enumerate(plan.positions):
        if position.product_id not in products:
            key = f"positions[{i}].productId"
            wrong.append(Problem(key, repr(position.product_id), "must be the id of one of products"))
        if position.fixture_id not in fixtures:
            key = f"positions[{i}].fixtureId"
            wrong.append(Problem(key, repr(position.fixture_id), "must be the id of one of fixtures"))
    for i, view in enumerate(plan.views):
        unknown = [slot for slot in view.slots if slot not in slots]
        wrong += [Problem(f"views[{i}].slots", repr(slot), "must be the id of one of positions") for slot in unknown]
    return wrong


def _impossible_slots(plan: Planogram) -> list[Problem]:
    wrong = []
    for i, position in enumerate(plan.positions):
        key = f"positions[{i}]"
        if position.min_presentation > position.capacity:
            allowed = f"must not exceed the capacity of {position.capacity}"
            wrong.append(Problem(f"{key}.min_presentation", str(position.min_presentation), allowed))
        if position.capacity > position.facings.items:
            allowed = f"must not exceed facings h x v x d = {position.facings.items}"
            wrong.append(Problem(f"{key}.capacity", str(position.capacity), allowed))
        for axis, begin, size, limit in (
            ("x", position.x, position.w, plan.width), ("y", position.y, position.h, plan.height),
        ):  # fmt: skip
            if begin + size > limit + _OVERLAP_TOLERANCE_MM:
                side = "w" if axis == "x" else "h"
                found = f"{begin:g} + {size:g} mm"
                wrong.append(Problem(f"{key}.{axis} + {side}", found, f"must lie within the bay's {limit:g} mm"))
    return wrong


def _overlaps(plan: Planogram) -> list[Problem]:
    """Each slot that lies over one before it, once."""
    wrong = []
    for j, other in enumerate(plan.positions):
        over = []
        for i, one in enumerate(plan.positions[:j]):
            across = min(one.x + one.w, other.x + other.w) - max(one.x, other.x)
            down = min(one.y + one.h, other.y + other.h) - max(one.y, other.y)
            if across > _OVERLAP_TOLERANCE_MM and down > _OVERLAP_TOLERANCE_MM:
                over.append(f"positions[{i}] {one.id!r} by {across:g} x {down:g} mm")
        if over:
            wrong.append(
                Problem(f"positions[{j}]", f"{other.id!r}, over {and_more(over)}", "must not overlap another slot")
            )
    return wrong

"""Azure AI Vision's planogram JSON, in and out: the simplest public shape, and retailers still have files of it.

The service was retired on 2025-03-31; its shape lacks facings, depth, capacity and minimum presentation. On the way in
they are given defaults that the shop then corrects; on the way out they are left off.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shelf_contracts.ids import parse_gtin
from shelf_contracts.planogram import Facings, Fixture, PlannedProduct, Planogram, Position

_Coordinate = Annotated[float, Field(ge=0)]
_Length = Annotated[float, Field(gt=0)]


class _AzurePart(BaseModel):
    model_config = ConfigDict(extra="ignore")


class AzureProduct(_AzurePart):
    id: str
    name: str = ""
    w: _Length
    h: _Length


class AzureFixture(_AzurePart):
    id: str
    w: _Length
    h: _Length
    x: _Coordinate
    y: _Coordinate


class AzurePosition(_AzurePart):
    id: str
    productId: str  # noqa: N815 - Azure's own key
    fixtureId: str  # noqa: N815 - Azure's own key
    x: _Coordinate
    y: _Coordinate


class AzurePlanogram(_AzurePart):
    width: _Length
    height: _Length
    products: list[AzureProduct]
    fixtures: list[AzureFixture]
    positions: list[AzurePosition]


class AzureFile(_AzurePart):
    """The request body of ``planogramcompliance:match``, of which only ``planogram`` is read."""

    planogram: AzurePlanogram


_NO_DEPTH_MM = 1.0
"""As a planogram says that a depth is not known."""


def from_azure(
    source: AzureFile, *, store: str, bay: str, mm_per_unit: float = 1.0, shelf_depth_mm: float | None = None
) -> Planogram:
    """An Azure planogram as ours: each position becomes a slot of one facing.

    Args:
        source: the file as read.
        store: store id; bay: bay id of the new planogram.
        mm_per_unit: Azure leaves the unit free; 25.4 for inches, 10 for centimetres.
        shelf_depth_mm: front to back; then items, as deep as they are wide, stand one behind another. None: slots are
            one deep, for Azure's shape does not tell, and nothing behind the first is counted.
    Raises: ValueError when the result does not keep our rules (overlaps, dangling references).
    """
    plan = source.planogram
    sizes = {product.id: product for product in plan.products}
    positions = []
    for index, position in enumerate(plan.positions):
        product = sizes.get(position.productId)
        if product is None:
            raise ValueError(
                f"planogram.positions[{index}].productId = {position.productId!r}: must be the id of one of products"
            )
        deep = 1
        if shelf_depth_mm is not None:
            deep = max(1, min(100, int(shelf_depth_mm // (product.w * mm_per_unit))))
        positions.append(
            Position(
                id=as_level_id(position.id),
                product_id=position.productId,
                fixture_id=as_level_id(position.fixtureId),
                x=position.x * mm_per_unit,
                y=position.y * mm_per_unit,
                w=product.w * mm_per_unit,
                h=product.h * mm_per_unit,
                facings=Facings(d=deep),
                capacity=deep,
                min_presentation=1 if deep > 1 else 0,
            )
        )
    return Planogram(
        schema_name="smartshelf.planogram.v1",
        id=f"pg-{bay}",
        store=store,
        bay=bay,
        width=plan.width * mm_per_unit,
        height=plan.height * mm_per_unit,
        products=[
            PlannedProduct(
                id=product.id,
                gtin=_gtin_or_none(product.id),
                name=product.name,
                w=product.w * mm_per_unit,
                h=product.h * mm_per_unit,
                d=_NO_DEPTH_MM if shelf_depth_mm is None else product.w * mm_per_unit,
            )
            for product in plan.products
        ],
        fixtures=[
            Fixture(
                id=as_level_id(fixture.id),
                x=fixture.x * mm_per_unit,
                y=fixture.y * mm_per_unit,
                w=fixture.w * mm_per_unit,
                h=fixture.h * mm_per_unit,
                d=_NO_DEPTH_MM if shelf_depth_mm is None else shelf_depth_mm,
            )
            for fixture in plan.fixtures
        ],
        positions=positions,
    )


def to_azure(plan: Planogram) -> AzureFile:
    """Our planogram in Azure's shape; a slot of several facings becomes that many positions side by side."""
    positions = []
    for position in plan.positions:
        pitch = position.w / position.facings.h
        for column in range(position.facings.h):
            suffix = f"-{column + 1}" if position.facings.h > 1 else ""
            positions.append(
                AzurePosition(
                    id=position.id + suffix,
                    productId=position.product_id,
                    fixtureId=position.fixture_id,
                    x=position.x + column * pitch,
                    y=position.y,
                )
            )
    return AzureFile(
        planogram=AzurePlanogram(
            width=plan.width,
            height=plan.height,
            products=[AzureProduct(id=p.id, name=p.name, w=p.w, h=p.h) for p in plan.products],
            fixtures=[AzureFixture(id=f.id, w=f.w, h=f.h, x=f.x, y=f.y) for f in plan.fixtures],
            positions=positions,
        )
    )


def as_level_id(text: str) -> str:
    """A free text as a topic level: lower case, everything else a hyphen, at most 32 characters.

    >>> as_level_id("Position 4.A")
    'position-4-a'
    """
    level = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower()).strip("-")
    return level[:32].rstrip("-") or f"x{math.trunc(sum(map(ord, text)))}"


def _gtin_or_none(text: str) -> str | None:
    try:
        return parse_gtin(text)
    except ValueError:
        return None

"""Azure's planogram shape, in and out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_contracts.azure import AzureFile, as_level_id, from_azure, to_azure
from shelf_contracts.ids import LEVEL_PATTERN
from shelf_contracts.planogram import Planogram

# The request body of planogramcompliance:match, with the part about detected products that we do not read.
REQUEST: dict[str, Any] = {
    "planogram": {
        "width": 100.0,
        "height": 50.0,
        "products": [{"id": "4006381333931", "name": "Beans", "w": 10.0, "h": 12.0}, {"id": "sku 2", "w": 5, "h": 5}],
        "fixtures": [{"id": "Shelf 1", "w": 100.0, "h": 25.0, "x": 0.0, "y": 25.0}],
        "positions": [
            {"id": "Position 1", "productId": "4006381333931", "fixtureId": "Shelf 1", "x": 0.0, "y": 13.0},
            {"id": "Position 2", "productId": "sku 2", "fixtureId": "Shelf 1", "x": 12.0, "y": 20.0},
        ],
    },
    "detectedProducts": {
        "imageMetadata": {"width": 1024, "height": 768},
        "products": [
            {"id": "1", "boundingBox": {"x": 1, "y": 2, "w": 3, "h": 4},
             "classifications": [{"confidence": 0.9, "label": "product"}]}
        ],
        "gaps": [],
    },
}  # fmt: skip


def test_the_sample_shape_becomes_a_planogram_in_millimetres() -> None:
    plan = from_azure(AzureFile.model_validate(REQUEST), store="s1", bay="a03", mm_per_unit=25.4)
    assert (plan.id, plan.store, plan.bay) == ("pg-a03", "s1", "a03")
    assert plan.width == pytest.approx(2540)
    first, second = plan.positions
    assert (first.id, first.fixture_id, first.product_id) == ("position-1", "shelf-1", "4006381333931")
    assert (first.x, first.y, first.w, first.h) == pytest.approx((0, 330.2, 254, 304.8))
    assert (first.facings.items, first.capacity, first.min_presentation) == (1, 1, 0)
    assert second.x == pytest.approx(304.8)
    assert plan.products[0].gtin == "04006381333931"
    assert plan.products[1].gtin is None


def test_with_a_depth_items_stand_one_behind_another() -> None:
    read = AzureFile.model_validate(REQUEST)
    plan = from_azure(read, store="s1", bay="a03", mm_per_unit=10, shelf_depth_mm=400)
    assert [fixture.d for fixture in plan.fixtures] == [400]
    assert [product.d for product in plan.products] == [100, 50]
    assert [(one.facings.d, one.capacity, one.min_presentation) for one in plan.positions] == [(4, 4, 1), (8, 8, 1)]


def test_a_position_of_an_unknown_product_is_named() -> None:
    wrong = AzureFile.model_validate(REQUEST)
    wrong.planogram.positions[1].productId = "sku 3"
    with pytest.raises(ValueError, match=r"positions\[1\].productId = 'sku 3': must be the id of one of products"):
        from_azure(wrong, store="s1", bay="a03")


def test_ids_that_become_the_same_level_are_named() -> None:
    wrong = AzureFile.model_validate(REQUEST)
    wrong.planogram.positions[1].id = "position-1"
    with pytest.raises(ValueError, match="'position-1': must be used once"):
        from_azure(wrong, store="s1", bay="a03")


def test_a_slot_of_several_facings_goes_out_as_that_many_positions(planogram_content: dict[str, Any]) -> None:
    out = to_azure(Planogram.model_validate(planogram_content)).planogram
    assert [(p.id, p.x) for p in out.positions] == [("s1-1", 0.0), ("s1-2", 80.0), ("s2", 200.0)]
    assert set(AzureFile(planogram=out).model_dump()["planogram"]) == {
        "width", "height", "products", "fixtures", "positions",
    }  # fmt: skip


SIZES = st.integers(1, 1000).map(float)


@given(st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=6), st.sampled_from([1.0, 2.0, 10.0]))
def test_what_came_from_azure_goes_back_the_same(sizes: list[tuple[float, float]], mm_per_unit: float) -> None:
    width = sum(w for w, _ in sizes)
    height = max(h for _, h in sizes)
    places = [sum(w for w, _ in sizes[:n]) for n in range(len(sizes))]
    source = AzureFile.model_validate(
        {
            "planogram": {
                "width": width,
                "height": height,
                "products": [{"id": f"p{n}", "name": f"n{n}", "w": w, "h": h} for n, (w, h) in enumerate(sizes)],
                "fixtures": [{"id": "f", "w": width, "h": height, "x": 0, "y": 0}],
                "positions": [
                    {"id": f"s{n}", "productId": f"p{n}", "fixtureId": "f", "x": x, "y": 0}
                    for n, x in enumerate(places)
                ],
            }
        }
    )
    ours = from_azure(source, store="s1", bay="b1", mm_per_unit=mm_per_unit)
    back = to_azure(ours).planogram
    if mm_per_unit == 1.0:
        assert back == source.planogram
    assert [p.x for p in back.positions] == [x * mm_per_unit for x in places]
    assert from_azure(AzureFile(planogram=back), store="s1", bay="b1") == ours


@given(st.text(max_size=60))
def test_any_text_becomes_a_level(text: str) -> None:
    level = as_level_id(text)
    assert re.fullmatch(LEVEL_PATTERN, level)
    assert as_level_id(level) == level


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Shelf 1", "shelf-1"), ("a03", "a03"), ("", "x0"), ("é", "x233"), ("-a-", "a"), ("A" * 40, "a" * 32)],
)
def test_texts_as_levels(text: str, expected: str) -> None:
    assert as_level_id(text) == expected

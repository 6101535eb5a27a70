"""Barcodes on photos: more are read than zxing-cpp reads alone, and no more are read wrongly."""

from __future__ import annotations

import pytest

from shelf_models.evaluate_barcodes import evaluate_barcodes, pictures_with_numbers
from shelf_testing.real_data import real_data

pytestmark = pytest.mark.real


def test_more_is_read_than_by_zxing_alone_and_nothing_more_wrongly() -> None:
    found = evaluate_barcodes(pictures_with_numbers(real_data("barcodes")))
    assert found["read"] > 1.2 * found["zxing_read"]
    assert found["wrong"] <= found["zxing_wrong"]
    assert found["lost_to_zxing"] == 0

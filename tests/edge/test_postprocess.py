from __future__ import annotations

import numpy as np
import pytest

from shelf_edge.core.detections import Kind
from shelf_edge.core.postprocess import Decoder
from shelf_edge.core.preprocess import Placement

PLACEMENT = Placement(0.5, 0, 16, width_px=128, height_px=64, input_width_px=64, input_height_px=64)
KINDS = [Kind.PRODUCT, Kind.HAND, Kind.IGNORE]


def yolo_output(*rows: tuple[float, ...]) -> np.ndarray:
    """Rows of centre x, centre y, width, height and three class scores, as a YOLO head gives them."""
    return np.array(rows, np.float32).T[None]


def decoder(head: str = "yolo") -> Decoder:
    return Decoder(head, KINDS, 0.3, 0.5)  # type: ignore[arg-type]


def test_yolo_boxes_are_mapped_back_to_the_picture() -> None:
    found = decoder()(yolo_output((32, 32, 20, 10, 0.9, 0.1, 0.0)), PLACEMENT)
    assert found.boxes_px.tolist() == [[44.0, 22.0, 84.0, 42.0]]
    assert found.kinds.tolist() == [Kind.PRODUCT]


def test_weak_and_ignored_boxes_are_dropped() -> None:
    output = yolo_output((32, 32, 20, 10, 0.2, 0.1, 0.0), (32, 32, 20, 10, 0.1, 0.1, 0.9))
    assert len(decoder()(output, PLACEMENT)) == 0


def test_products_that_are_not_sure_are_faint_and_nothing_else_is() -> None:
    rows = ((10, 32, 8, 8, 0.2, 0.0, 0.0), (30, 32, 8, 8, 0.05, 0.2, 0.0), (50, 32, 8, 8, 0.04, 0.0, 0.0))
    found = Decoder("yolo", KINDS, 0.3, 0.5, faint_threshold=0.1)(yolo_output(*rows), PLACEMENT)
    assert found.kinds.tolist() == [Kind.FAINT_PRODUCT]
    assert found.scores.tolist() == pytest.approx([0.2])


def test_a_sure_product_hides_a_faint_one_at_the_same_place() -> None:
    rows = ((32, 32, 20, 10, 0.8, 0.0, 0.0), (33, 32, 20, 10, 0.2, 0.0, 0.0))
    found = Decoder("yolo", KINDS, 0.3, 0.5, faint_threshold=0.1)(yolo_output(*rows), PLACEMENT)
    assert found.kinds.tolist() == [Kind.PRODUCT]


def test_nms_keeps_the_better_of_two_and_never_mixes_kinds() -> None:
    output = yolo_output(
        (32, 32, 20, 10, 0.8, 0.0, 0.0), (33, 32, 20, 10, 0.9, 0.0, 0.0), (32, 32, 20, 10, 0.0, 0.7, 0.0)
    )
    found = decoder()(output, PLACEMENT)
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])
    assert found.kinds.tolist() == [Kind.PRODUCT, Kind.HAND]


def test_a_dense_shelf_of_700_products_loses_none() -> None:
    rows = [(4 + 8 * (i % 30), 4 + 8 * (i // 30), 6.0, 6.0, 0.9, 0.0, 0.0) for i in range(700)]
    wide = Placement(1.0, 0, 0, width_px=400, height_px=400, input_width_px=400, input_height_px=400)
    assert len(decoder()(yolo_output(*rows), wide)) == 700


def test_end_to_end_heads_need_no_suppression() -> None:
    output = np.zeros((1, 300, 6), np.float32)
    output[0, 0] = (10, 20, 30, 40, 0.6, 1)
    output[0, 1] = (10, 20, 30, 40, 0.9, 0)
    found = decoder("yolo-end2end")(output, PLACEMENT)
    assert found.kinds.tolist() == [Kind.PRODUCT, Kind.HAND]
    assert found.boxes_px[0].tolist() == [20, 8, 60, 48]


def test_yolox_grid_and_strides_are_decoded() -> None:
    cells = 8 * 8 + 4 * 4 + 2 * 2
    output = np.zeros((1, cells, 8), np.float32)
    second_map = 64 + 1 * 4 + 2  # row 1, column 2 of the stride 16 map
    output[0, second_map] = (0.5, 0.5, np.log(2), np.log(1), 0.9, 1.0, 0.0, 0.0)
    found = decoder("yolox")(output, Placement(1.0, 0, 0, 64, 64, 64, 64))
    assert found.boxes_px == pytest.approx(np.array([[24, 16, 56, 32]]))
    assert found.scores == pytest.approx([0.9])


def test_numbers_that_are_no_numbers_are_dropped() -> None:
    assert len(decoder()(yolo_output((np.nan, 32, 20, 10, 0.9, 0.0, 0.0)), PLACEMENT)) == 0


@pytest.mark.parametrize(
    ("head", "shape"), [("yolo", (1, 9, 100)), ("yolo-end2end", (1, 300, 7)), ("yolox", (1, 7, 8))]
)
def test_an_output_that_does_not_fit_says_which_would(head: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="need"):
        decoder(head)(np.zeros(shape, np.float32), PLACEMENT)


def test_a_product_inside_a_larger_one_is_rather_a_part_of_it() -> None:
    """The bag (0.7) and the crisps printed on it (0.8); beside them one of the same size as the crisps."""
    weighing = Decoder("yolo", KINDS, 0.3, 0.5, part_weight=0.4)
    bag, crisps, beside = (20, 32, 20, 20, 0.7, 0, 0), (20, 34, 12, 12, 0.8, 0, 0), (50, 34, 12, 12, 0.75, 0, 0)
    found = weighing(yolo_output(bag, crisps, beside), PLACEMENT)
    assert found.scores.tolist() == pytest.approx([0.75, 0.7, 0.32])
    assert len(decoder()(yolo_output(bag, crisps, beside), PLACEMENT)) == 3


@pytest.mark.parametrize(
    ("larger", "smaller"),
    [
        ((20, 32, 20, 20, 0.4, 0, 0), (20, 34, 12, 12, 0.8, 0, 0)),  # the larger is much less sure
        ((20, 32, 20, 20, 0.7, 0, 0), (28, 34, 12, 12, 0.8, 0, 0)),  # a third of it sticks out
        ((20, 32, 20, 20, 0, 0.7, 0), (20, 34, 12, 12, 0.8, 0, 0)),  # a product in a hand
        ((20, 32, 20, 20, 0.7, 0, 0), (20, 32, 20, 20, 0, 0.8, 0)),  # a hand before a product
    ],
)
def test_what_is_no_part_keeps_its_score(larger: tuple[float, ...], smaller: tuple[float, ...]) -> None:
    output = yolo_output(larger, smaller)
    weighed = Decoder("yolo", KINDS, 0.3, 0.5, part_weight=0.1)(output, PLACEMENT)
    assert weighed.scores.tolist() == decoder()(output, PLACEMENT).scores.tolist()


def test_a_part_of_a_part_never_takes_its_whole_down() -> None:
    """Only what itself counts as whole lowers others: the middle box is a part, but the bag has the inner one too."""
    bag, picture, detail = (32, 32, 40, 40, 0.7, 0, 0), (32, 32, 20, 20, 0.7, 0, 0), (32, 32, 10, 10, 0.7, 0, 0)
    found = Decoder("yolo", KINDS, 0.1, 0.5, part_weight=0.5)(yolo_output(bag, picture, detail), PLACEMENT)
    assert found.scores.tolist() == pytest.approx([0.7, 0.35, 0.35])

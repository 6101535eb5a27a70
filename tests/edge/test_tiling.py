from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelf_contracts.messages import ModelInfo
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.frame import Picture
from shelf_edge.core.tiling import MOST_TILES, Tile, merge_tiles, plan_tiles, small_product_px, whole_scale
from shelf_edge.tiled import Tiling, TilingDetector, detect_tiled


def found(*rows: tuple[float, ...], kind: Kind = Kind.PRODUCT) -> Detections:
    """Rows of x1 y1 x2 y2 score."""
    values = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(values[:, :4], values[:, 4], np.full(len(rows), kind, np.uint8))


def test_one_look_is_enough_for_products_of_12_px() -> None:
    assert plan_tiles((1280, 720), (640, 360), 24.0).tiles == ()


def test_smaller_ones_are_looked_at_in_tiles() -> None:
    plan = plan_tiles((5120, 2880), (640, 360), 48.0)
    assert plan.scale == 0.5
    assert {(tile.width, tile.height) for tile in plan.tiles} == {(1280, 720)}
    assert "6.0 px" in plan.reason


def test_a_small_picture_has_no_more_pixels_to_give() -> None:
    assert plan_tiles((640, 360), (640, 360), 8.0).tiles == ()


def test_an_empty_look_at_a_much_shrunk_picture_is_not_believed() -> None:
    assert plan_tiles((5120, 2880), (640, 360), None).scale == 0.5
    assert plan_tiles((1000, 600), (640, 360), None).tiles == ()


@given(st.integers(32, 20_000), st.integers(32, 20_000), st.sampled_from([(640, 640), (512, 288), (416, 352)]))
def test_a_bare_picture_costs_few_looks_however_large(width: int, height: int, input_px: tuple[int, int]) -> None:
    first = plan_tiles((width, height), input_px, None)
    assert len(first.tiles) <= 36
    if first.tiles:
        assert plan_tiles((width, height), input_px, None, looked_scale=first.scale).tiles == ()


def test_a_black_picture_of_72_million_pixels_is_believed_after_one_round_of_tiles() -> None:
    blind = Blind()
    look = detect_tiled(blind, np.zeros((8000, 9000, 3), np.uint8))
    assert look.looks == blind.looks < 30
    assert look.reason


class Blind:
    """Finds nothing, and counts how often it looked."""

    score_threshold = 0.3
    info = ModelInfo(role="detector", name="blind", version="1", sha256="0" * 64, licence="Apache-2.0", provider="none")

    def __init__(self) -> None:
        self.looks = 0

    def input_size_px(self, width_px: int, height_px: int) -> tuple[int, int]:
        return 416, 352

    def detect(self, image: Picture) -> Detections:
        return self.detect_from(image, self.score_threshold)

    def detect_from(self, image: Picture, score_threshold: float) -> Detections:
        self.looks += 1
        return found()


def test_small_products_are_the_lower_quarter_by_their_shorter_side() -> None:
    assert small_product_px(found()) is None
    assert small_product_px(found(*[(0, 0, 10 * n, 100, 0.9) for n in range(1, 6)])) == 20.0


@given(
    st.integers(32, 9000), st.integers(32, 9000), st.sampled_from([(640, 640), (512, 288), (320, 192)]),
    st.floats(2, 400),
)  # fmt: skip
def test_tiles_cover_the_picture_and_every_product_lies_whole_in_one(
    width: int, height: int, input_px: tuple[int, int], product_px: float
) -> None:
    plan = plan_tiles((width, height), input_px, product_px)
    assert len(plan.tiles) <= MOST_TILES
    if not plan.tiles:
        return
    assert plan.scale > whole_scale((width, height), input_px)
    for axis, side in ((0, width), (1, height)):
        starts = sorted({(tile.x, tile.y)[axis] for tile in plan.tiles})
        span = (plan.tiles[0].width, plan.tiles[0].height)[axis]
        assert starts[0] == 0
        assert starts[-1] + span == side
        for one, other in pairwise(starts):
            assert one + span - other >= min(product_px, span / 2 - 2)


PICTURE = (200, 100)
LEFT, RIGHT = Tile(0, 0, 120, 100), Tile(80, 0, 120, 100)


def test_a_product_on_a_seam_is_told_once_and_whole() -> None:
    parts = [(LEFT, found((90, 10, 120, 60, 0.95))), (RIGHT, found((10, 10, 50, 60, 0.7)))]
    merged = merge_tiles(PICTURE, found(), parts, 50)
    assert merged.boxes_px.tolist() == [[90.0, 10.0, 130.0, 60.0]]


def test_neighbours_on_a_seam_are_two() -> None:
    parts = [(LEFT, found((60, 10, 90, 60, 0.9), (92, 10, 118, 60, 0.9))), (RIGHT, found((12, 10, 38, 60, 0.8)))]
    assert len(merge_tiles(PICTURE, found(), parts, 50)) == 2


def test_a_box_cut_by_the_border_of_the_picture_is_whole() -> None:
    parts = [(LEFT, found((0, 10, 30, 60, 0.9))), (RIGHT, found())]
    assert len(merge_tiles(PICTURE, found(), parts, 50)) == 1


def test_hands_and_large_products_come_from_the_look_at_the_whole() -> None:
    whole = Detections(
        np.array([[70, 0, 130, 90], [20, 0, 110, 90], [5, 5, 20, 20]], np.float32),
        np.array([0.9, 0.8, 0.7], np.float32),
        np.array([Kind.HAND, Kind.PRODUCT, Kind.PRODUCT], np.uint8),
    )
    merged = merge_tiles(PICTURE, whole, [(LEFT, found()), (RIGHT, found())], 50)
    assert merged.kinds.tolist() == [Kind.HAND, Kind.PRODUCT]


def test_seven_hundred_products_over_tiles_stay_seven_hundred() -> None:
    boxes = [(4 + 14 * (n % 35), 4 + 24 * (n // 35)) for n in range(700)]
    tiles = [Tile(x, y, 260, 260) for x in (0, 120, 240) for y in (0, 120, 240)]
    parts = []
    for tile in tiles:
        rows = []
        for x, y in boxes:
            x1, y1 = max(x - tile.x, 0), max(y - tile.y, 0)
            x2, y2 = min(x + 10 - tile.x, 260), min(y + 20 - tile.y, 260)
            if x2 > x1 and y2 > y1:
                rows.append((x1, y1, x2, y2, 0.9))
        parts.append((tile, found(*rows)))
    assert len(merge_tiles((500, 500), found(), parts, 100)) == 700


class ShortSighted:
    """Finds white squares of at least 8 px at its input of 512 x 288, and of smaller ones the first ten."""

    info = ModelInfo(
        role="detector", name="short-sighted", version="1", sha256="0" * 64, licence="none", provider="none"
    )
    score_threshold = 0.3

    def input_size_px(self, width_px: int, height_px: int) -> tuple[int, int]:
        return 512, 288

    def detect(self, image: Picture) -> Detections:
        return self.detect_from(image, self.score_threshold)

    def detect_from(self, image: Picture, score_threshold: float) -> Detections:
        stats = cv2.connectedComponentsWithStats((image[:, :, 0] > 128).astype(np.uint8))[2][1:]
        scale = min(512 / image.shape[1], 288 / image.shape[0])
        seen = [row for n, row in enumerate(stats) if n < 10 or min(row[2:4]) * scale >= 8]
        return found(*[(x, y, x + w, y + h, 0.9) for x, y, w, h, _ in seen])


def test_a_node_that_may_tile_finds_what_one_look_cannot() -> None:
    shelf = np.zeros((1152, 2048, 3), np.uint8)
    for y in range(20, 1100, 60):
        for x in range(20, 2000, 60):
            shelf[y : y + 18, x : x + 18] = 255
    there = 18 * 33
    ways: tuple[Tiling, Tiling] = ("never", "auto")
    once, tiled = (TilingDetector(ShortSighted(), way).detect(shelf) for way in ways)
    assert len(once) == 10
    assert len(tiled) == there

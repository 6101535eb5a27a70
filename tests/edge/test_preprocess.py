from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelf_contracts.manifest import Preprocessing
from shelf_edge.core.preprocess import Letterbox, input_size


@settings(max_examples=40, deadline=None)
@given(st.integers(64, 900), st.integers(64, 900), st.sampled_from(["centre", "top-left"]))
def test_boxes_come_back_to_where_they_were(width: int, height: int, anchor: str) -> None:
    spec = Preprocessing(width=512, height=288, anchor=anchor)
    _, placement = Letterbox(spec)(np.zeros((height, width, 3), np.uint8))
    box = np.array([[0.1 * width, 0.2 * height, 0.7 * width, 0.9 * height]], np.float32)
    pad = np.array([placement.pad_x_px, placement.pad_y_px] * 2, np.float32)
    scale = np.array([placement.scale, placement.scale * placement.rows_kept] * 2, np.float32)
    assert placement.undo(box * scale + pad) == pytest.approx(box, abs=1.0)


def test_colours_scale_and_padding_are_the_manifests() -> None:
    picture = np.zeros((288, 256, 3), np.uint8)
    picture[:] = (10, 20, 30)  # B, G, R
    rgb, _ = Letterbox(Preprocessing(width=512, height=288))(picture)
    assert rgb[0, :, 100, 256] == pytest.approx(np.array([30, 20, 10]) / 255)
    assert rgb[0, :, 100, 0] == pytest.approx(114 / 255)
    raw = Preprocessing(width=512, height=288, colour_order="BGR", scale=1.0, anchor="top-left")
    bgr, placement = Letterbox(raw)(picture)
    assert bgr[0, :, 100, 0].tolist() == [10, 20, 30]
    assert bgr[0, :, 100, 400].tolist() == [114, 114, 114]
    assert (placement.pad_x_px, placement.pad_y_px) == (0, 0)


def test_a_camera_that_changes_its_size_leaves_no_trace_of_the_old_one() -> None:
    letterbox = Letterbox(Preprocessing(width=512, height=288))
    letterbox(np.full((288, 512, 3), 255, np.uint8))
    tensor, _ = letterbox(np.zeros((288, 100, 3), np.uint8))
    assert tensor[0, :, :, :150] == pytest.approx(114 / 255)


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (8, 100, 3), (100, 20_000, 3)])
def test_what_is_no_picture_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a picture must"):
        Letterbox(Preprocessing(width=512, height=288))(np.zeros(shape, np.uint8))


@settings(max_examples=60, deadline=None)
@given(st.integers(16, 4000), st.integers(16, 4000))
def test_an_input_of_the_pictures_own_shape_costs_about_the_same_and_wastes_little(width: int, height: int) -> None:
    spec = Preprocessing(width=512, height=288, fit="picture")
    input_width, input_height = input_size(spec, width, height)
    assert input_width % 32 == input_height % 32 == 0
    if 1 / 3 < width / height < 3:
        assert 0.75 < input_width * input_height / (512 * 288) < 1.3
        used = min(input_width / width, input_height / height) ** 2 * width * height
        assert used > 0.8 * input_width * input_height


@pytest.mark.parametrize(("picture", "wanted"), [((1280, 720), (512, 288)), ((1000, 1333), (320, 448))])
def test_wide_and_upright_pictures_get_their_own_inputs(picture: tuple[int, int], wanted: tuple[int, int]) -> None:
    spec = Preprocessing(width=512, height=288, fit="picture")
    tensor, placement = Letterbox(spec)(np.zeros((picture[1], picture[0], 3), np.uint8))
    assert tensor.shape[:1:-1] == wanted
    assert (placement.input_width_px, placement.input_height_px) == wanted


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([(1280, 720), (1920, 1080), (1280, 704), (960, 540), (640, 360)]), st.data())
def test_what_is_drawn_lies_where_the_input_shows_it(size: tuple[int, int], data: st.DataObject) -> None:
    """Also where rows are left out to make a picture fit: never further off than about a pixel of the input."""
    width, height = size
    left, top = data.draw(st.integers(0, width - 80)), data.draw(st.integers(0, height - 80))
    right, bottom = data.draw(st.integers(left + 40, width)), data.draw(st.integers(top + 40, height))
    picture = np.zeros((height, width, 3), np.uint8)
    picture[top:bottom, left:right] = 255
    spec = Preprocessing(width=640, height=352, fit="picture", scale=1.0, padding=0, anchor="top-left")
    tensor, placement = Letterbox(spec)(picture)
    rows, columns = (np.flatnonzero((tensor[0, 0] > 127).any(axis=axis)) for axis in (1, 0))
    seen = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float32)
    assert placement.undo(seen) == pytest.approx(np.array([[left, top, right, bottom]]), abs=1.2 / placement.scale)


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
def test_a_picture_that_nearly_fits_fills_the_input_and_is_as_bright_as_before(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    spec = Preprocessing(width=640, height=352, fit="picture", colour_order="BGR", scale=1.0, anchor="top-left")
    tensor, placement = Letterbox(spec)(picture)
    assert tensor.shape == (1, 3, 352, 640)
    assert placement.rows_kept == pytest.approx(352 / 360)
    times = size[0] // 640
    above = picture[:times, :times].reshape(-1, 3).mean(axis=0)
    below = picture[-times:, -times:].reshape(-1, 3).mean(axis=0)
    assert tensor[0, :, 0, 0] == pytest.approx(above, abs=0.51)
    assert tensor[0, :, -1, -1] == pytest.approx(below, abs=0.51)
    assert tensor.mean() == pytest.approx(picture.mean(), abs=0.5)

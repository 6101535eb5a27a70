"""What training pictures are made of: boxes stay on their things, whatever is done to the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelf_models.augment import Labelled, mosaic, placed, relit
from shelf_models.collage import collage
from shelf_models.invented_objects import invent_object
from shelf_models.sources import CollageSource, MemorySource, PosterSource, StoredSource, read_pair, turned

MARK = (20, 40, 250)


def marked(width: int, height: int, box: tuple[int, int, int, int]) -> Labelled:
    """A grey picture whose one thing is red."""
    picture = np.full((height, width, 3), 90, np.uint8)
    x1, y1, x2, y2 = box
    picture[y1:y2, x1:x2] = MARK
    return Labelled(picture, np.array([box], np.float32), np.zeros(1, np.int64))


def red_box(picture: np.ndarray) -> np.ndarray:
    reddish = (picture[..., 2].astype(int) - picture[..., 0]) > 115
    ys, xs = np.nonzero(reddish)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(80, 500), st.integers(80, 500))
def test_a_placed_picture_keeps_its_box_on_its_thing(seed: int, width: int, height: int) -> None:
    source = marked(width, height, (width // 4, height // 4, width // 2, height // 2))
    made = placed(source, 288, 512, np.random.default_rng(seed))
    assert made.picture.shape == (288, 512, 3)
    sure = made.classes == 0
    if sure.any():
        assert made.boxes[sure][0] == pytest.approx(red_box(made.picture), abs=3.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_mosaic_holds_the_boxes_of_its_four(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = mosaic(lambda: marked(300, 200, (60, 50, 150, 120)), 288, 512, rng)
    assert made.picture.shape == (288, 512, 3)
    assert len(made.boxes) == len(made.classes) <= 4
    assert (made.boxes[:, :2] >= 0).all()
    assert (made.boxes[:, 2:] <= (512, 288)).all()


def test_what_is_cut_off_too_far_is_neither_a_thing_nor_nothing() -> None:
    source = marked(200, 200, (0, 80, 40, 120))
    kinds = {
        int(kind)
        for seed in range(40)
        for kind in placed(source, 96, 96, np.random.default_rng(seed), zoom=(2.5, 4.0)).classes
    }
    assert kinds == {0, -1}


@pytest.mark.parametrize("quarters", [0, 1, 2, 3, 4])
def test_turned_pictures_turn_their_boxes(quarters: int) -> None:
    made = turned(marked(120, 80, (10, 20, 40, 70)), quarters)
    assert made.boxes[0].tolist() == red_box(made.picture).tolist()


def test_other_light_leaves_the_source_as_it_was() -> None:
    source = marked(64, 48, (8, 8, 30, 30)).picture
    before = source.copy()
    made = relit(source, np.random.default_rng(3))
    assert np.array_equal(source, before)
    assert made.shape == source.shape


def test_invented_objects_fill_their_cut_out_and_differ() -> None:
    rng = np.random.default_rng(4)
    things = [invent_object(rng) for _ in range(60)]
    for thing in things:
        assert thing.dtype == np.uint8
        assert thing.shape[2] == 4
        assert 100 < max(thing.shape[:2]) < 420
        assert (thing[..., 3] > 10).mean() > 0.25
    assert len({thing.tobytes() for thing in things}) == 60
    assert sum((thing[..., 3].max() < 255) or (np.median(thing[..., 3]) < 200) for thing in things) >= 5


def test_a_collage_has_a_box_around_each_thing_that_is_seen() -> None:
    square = np.dstack([np.full((50, 50, 3), MARK, np.uint8), np.full((50, 50), 255, np.uint8)])
    boxes = 0
    for seed in range(12):
        made = collage(lambda: square, [], np.random.default_rng(seed))
        boxes += len(made.boxes)
        height, width = made.picture.shape[:2]
        assert (made.boxes[:, :2] >= 0).all()
        assert (made.boxes[:, 2:] <= (width, height)).all()
    assert boxes > 20


def test_the_same_seed_makes_the_same_collage() -> None:
    one, other = (CollageSource([], []).draw(np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(one.picture, other.picture)
    assert np.array_equal(one.boxes, other.boxes)


def test_stored_pictures_come_back_with_their_boxes() -> None:
    source = marked(200, 120, (30, 20, 90, 100))
    made = StoredSource([source], np.random.default_rng(1)).draw(np.random.default_rng(2))
    assert made.boxes.tolist() == source.boxes.tolist()
    assert np.abs(made.picture.astype(int) - source.picture).mean() < 3
    assert MemorySource([source]).draw(np.random.default_rng(0)) is source


def test_a_pair_is_read_and_an_unsure_region_stays_one(tmp_path) -> None:
    import cv2

    for part in ("images", "labels"):
        (tmp_path / part / "train").mkdir(parents=True)
    picture = tmp_path / "images" / "train" / "a.png"
    cv2.imwrite(str(picture), np.zeros((100, 200, 3), np.uint8))
    (tmp_path / "labels" / "train" / "a.txt").write_text("1 0.5 0.5 0.2 0.4\n-1 0.5 0.5 1 1\n")
    pair = read_pair(picture)
    assert pair.boxes.tolist() == [[80, 30, 120, 70], [0, 0, 200, 100]]
    assert pair.classes.tolist() == [1, -1]


def test_a_hand_on_another_picture_keeps_its_box_and_hides_what_is_behind() -> None:
    photo = marked(300, 300, (100, 120, 200, 220))
    hand = Labelled(
        photo.picture, np.concatenate([photo.boxes, [[0, 0, 300, 300]]]).astype(np.float32), np.array([1, -1])
    )
    ground = Labelled(
        np.full((360, 480, 3), 140, np.uint8),
        np.array([[0, 0, 480, 360], [5, 5, 25, 25]], np.float32),
        np.zeros(2, np.int64),
    )
    source = PosterSource([hand], MemorySource([ground]))
    for seed in range(12):
        made = source.draw(np.random.default_rng(seed))
        assert made.picture.shape == ground.picture.shape
        box = made.boxes[made.classes == 1]
        assert len(box) == 1
        assert box[0] == pytest.approx(red_box(made.picture), abs=2.5)
        around = made.boxes[made.classes == -1][0]
        assert (around[:2] <= box[0, :2] + 1e-3).all()
        assert (around[2:] >= box[0, 2:] - 1e-3).all()
        assert (around[2:] - around[:2] < (480, 360)).all(), "around the photo everything is known"

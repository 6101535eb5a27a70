"""What is painted: exact ids, exact labels, and the same picture for the same seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelf_simulator.adapters.dataset import (
    CLASSES,
    LEAST_VISIBLE,
    PictureStyle,
    fixture_labels_of,
    labels_of,
    render,
    sample,
    write_dataset,
)
from shelf_simulator.adapters.fixture_art import Look
from shelf_simulator.adapters.live_view import LiveView
from shelf_simulator.adapters.pack_pictures import write_pack_pictures
from shelf_simulator.adapters.scenes import invent_packs, invent_scene, stock
from shelf_simulator.adapters.shelf_painter import Canvas, ShelfPainter, paint_item
from shelf_simulator.app import demo_bay, demo_packs, make_world
from shelf_simulator.core.items import placed


def test_front_items_hide_rear_items() -> None:
    design = demo_bay("a01", 7)
    rng = np.random.default_rng(1)
    slot = next(slot for slot in design.slots if slot.rows >= 3 and slot.pack.height_mm > 150)
    items = [placed(slot, design, 0, row, row + 1, rng, tidy=0.0) for row in range(3)]
    painter = ShelfPainter(design, Look())
    alone = [int((painter.paint([item]).ids == item.number).sum()) for item in items]
    together = painter.paint(items).ids
    seen = [int((together == item.number).sum()) for item in items]
    assert seen[2] == alone[2]
    assert seen[0] < alone[0]
    assert seen[1] < alone[1]


@pytest.mark.parametrize("shape", ["box", "can", "bottle", "bag"])
def test_the_whole_area_is_what_a_lone_item_covers(shape: str) -> None:
    design = demo_bay("a01", 7)
    slot = next(slot for slot in design.slots if slot.pack.shape == shape)
    item = placed(slot, design, 0, slot.rows - 1, 1, np.random.default_rng(2), tidy=0.0)
    h, w = design.camera.height_px, design.camera.width_px
    canvas = Canvas(np.zeros((h, w, 3), np.uint8), np.zeros((h, w), np.int16), np.zeros((h, w), np.int16))
    area = paint_item(canvas, item, design.camera)
    if item.y_mm - item.pack.height_mm > 0:
        assert int((canvas.ids == 1).sum()) == pytest.approx(area, rel=0.08)


def test_an_item_is_painted_where_the_planogram_says_it_stands() -> None:
    design = demo_bay("a01", 7)
    painter = ShelfPainter(design, Look())
    for slot in design.slots:
        item = placed(slot, design, 0, slot.rows - 1, 1, np.random.default_rng(2), tidy=0.0)
        ys, xs = np.nonzero(painter.paint([item]).ids == 1)
        base = design.camera.project([(item.x_mm, item.y_mm, item.front_z_mm)])[0]
        assert abs((xs.min() + xs.max()) / 2 - base[0]) < 12
        assert abs(ys.max() - base[1]) < 6, slot.pack.name


def test_painting_a_window_again_gives_the_whole_picture() -> None:
    design = demo_bay("a02", 7)
    items = stock(np.random.default_rng(4), design)
    painter = ShelfPainter(design, Look())
    canvas = painter.paint(items)
    fewer = items[::2]
    painter.repaint(canvas, fewer, (0, 0, 960, 540))
    assert np.array_equal(canvas.picture, painter.paint(fewer).picture)
    painter.repaint(canvas, items, (200, 100, 500, 300))
    whole = painter.paint(items)
    apart = (canvas.ids != whole.ids)[100:300, 200:500]
    assert apart.mean() < 0.005


def test_labels_are_the_boxes_of_what_is_visible() -> None:
    shop, others = demo_packs(), invent_packs(30, 3)
    kinds = set()
    for index in range(6):
        scene = invent_scene(np.random.default_rng([8, index]), shop, others)
        rendered = render(scene)
        ids = rendered.canvas.ids
        labels = labels_of(rendered, scene.camera, 512)
        kinds |= {label.kind for label in labels}
        middles = np.array([(label.x, label.y) for label in labels if label.kind == 0]).reshape(-1, 2)
        h, w = ids.shape
        for number in np.unique(ids[ids > 0]):
            ys, xs = np.nonzero(ids == number)
            share = len(xs) / rendered.whole_areas[int(number)]
            middle = ((xs.min() + xs.max() + 1) / 2 / w, (ys.min() + ys.max() + 1) / 2 / h)
            big = min(xs.max() - xs.min(), ys.max() - ys.min()) + 1 >= 12
            labelled = bool((np.abs(middles - middle) < 1e-6).all(axis=1).any())
            if share >= LEAST_VISIBLE and big:
                assert labelled
            elif share < LEAST_VISIBLE:
                assert not labelled
        for label in labels:
            assert label.x - label.w / 2 >= 0
            assert label.x + label.w / 2 <= 1 + 1e-9
            assert label.y - label.h / 2 >= 0
            assert label.y + label.h / 2 <= 1 + 1e-9
    assert kinds == {0, 1, 2}


def test_a_sample_is_the_same_again_and_another_seed_is_not() -> None:
    shop, others = demo_packs(), invent_packs(20, 3)
    picture, labels = sample(4, 1, shop, others)
    again, same = sample(4, 1, shop, others)
    assert picture.shape == (288, 512, 3)
    assert np.array_equal(picture, again)
    assert labels == same
    assert not np.array_equal(picture, sample(4, 2, shop, others)[0])


def test_a_wider_sample_shows_the_same_scene_and_labels_what_is_smaller() -> None:
    shop, others = demo_packs(), invent_packs(20, 3)
    picture, labels = sample(4, 1, shop, others)
    wide, more = sample(4, 1, shop, others, PictureStyle(width_px=768))
    assert wide.shape == (432, 768, 3)
    assert set(labels) <= set(more)
    shrunk = cv2.resize(wide, (512, 288), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - picture).mean() < 6


def test_the_dataset_is_laid_out_for_ultralytics(tmp_path: Path) -> None:
    done = list(write_dataset(tmp_path, pictures=5, seed=3, shop=demo_packs(), workers=1, val_share=0.2))
    assert done[-1] == 5
    text = (tmp_path / "data.yaml").read_text()
    assert [f"{i}: {name}" in text for i, name in enumerate(CLASSES)] == [True] * 5
    images = sorted(path.stem for path in (tmp_path / "images").rglob("*.jpg"))
    labels = sorted(path.stem for path in (tmp_path / "labels").rglob("*.txt"))
    assert images == labels
    assert len(list((tmp_path / "images" / "val").iterdir())) == 1
    for path in (tmp_path / "labels").rglob("*.txt"):
        for line in path.read_text().splitlines():
            kind, *numbers = line.split()
            assert int(kind) in range(len(CLASSES))
            assert all(0 <= float(number) <= 1 for number in numbers)
    picture = cv2.imread(str(next((tmp_path / "images" / "train").iterdir())))
    assert picture is not None
    assert picture.shape == (288, 512, 3)


def test_two_views_of_equal_worlds_are_equal() -> None:
    worlds = [make_world("a01", 9, "demo") for _ in range(2)]
    views = [LiveView(world, 9) for world in worlds]
    for step in range(120):
        for world in worlds:
            world.step(1 / 12)
        if step % 10 == 0:
            one, other = (view.capture() for view in views)
            assert np.array_equal(one, other)


def test_a_person_changes_the_picture_and_the_shelf_stays() -> None:
    world = make_world("a01", 9, "demo")
    view = LiveView(world, 9)
    empty = view.capture()
    while not world.figures or not any(world.occluded(slot.id) for slot in world.design.slots):
        world.step(1 / 12)
    busy = view.capture()
    assert np.abs(busy.astype(int) - empty).max() > 60


def test_gaps_are_where_a_column_is_empty_and_labels_where_the_strip_has_them() -> None:
    rng = np.random.default_rng(5)
    scene = invent_scene(rng, demo_packs(), [], close_share=0.0)
    bare = replace(scene, figures=[])
    labels = fixture_labels_of(render(bare), bare, 512)
    columns = sum(slot.columns for slot in scene.design.slots)
    filled = len({(item.shelf, round(item.column_x_mm)) for item in scene.items})
    assert 0 < sum(label.kind == 3 for label in labels) <= len(scene.design.slots)
    assert 0 < sum(label.kind == 4 for label in labels) <= columns - filled
    emptied = replace(bare, items=[])
    assert sum(label.kind == 4 for label in fixture_labels_of(render(emptied), emptied, 512)) > sum(
        label.kind == 4 for label in labels
    )


def test_close_looks_come_as_often_as_asked_for() -> None:
    packs = demo_packs()
    for share, wanted in ((0.0, 0), (1.0, 8)):
        scenes = [invent_scene(np.random.default_rng(seed), packs, [], share) for seed in range(8)]
        assert sum(scene.design.bay == "x02" for scene in scenes) == wanted


def test_packs_come_one_by_one_cut_out(tmp_path: Path) -> None:
    packs = invent_packs(4, 3)
    assert list(write_pack_pictures(tmp_path, packs, 2, 3)) == [1, 2, 3, 4]
    for pack in packs:
        one, other = (cv2.imread(str(tmp_path / pack.gtin / f"{view}.png"), cv2.IMREAD_UNCHANGED) for view in (0, 1))
        assert one is not None
        assert one.shape[2] == 4
        assert 250 < max(one.shape[:2]) <= 320
        assert 0.4 < (one[..., 3] > 0).mean() <= 1.0
        assert one.shape != other.shape or (one != other).any()

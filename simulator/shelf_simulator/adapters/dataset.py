"""Training pictures with their boxes, in the folder layout of ultralytics."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from shelf_simulator.adapters.fixture_art import LIP_MM, price_label_mm
from shelf_simulator.adapters.optics import decoded, encoded, lit, noisy
from shelf_simulator.adapters.people_painter import paint_people
from shelf_simulator.adapters.pictures import Picture, resized
from shelf_simulator.adapters.scenes import CLOSE_SHARE, Scene, invent_packs, invent_scene
from shelf_simulator.adapters.shelf_painter import Canvas, ShelfPainter, paint_item
from shelf_simulator.core.design import Pack
from shelf_simulator.core.geometry import Camera

CLASSES = ("product", "arm-or-hand", "person", "price-label", "gap")
LEAST_VISIBLE = 0.35
_LEAST_SIDE_PX = 5.0
_LEAST_SEEN_OF_FIXTURE = 0.6
_PACKS_KEPT = 160
_PACKS_FRESH_EVERY = 250


@dataclass(frozen=True)
class PictureStyle:
    """What pictures show, and how large they are.

    Attributes:
        close_share: how many look closely at a few packs.
        width_px: of the pictures, which are 16:9; a detector of a larger input learns from larger ones.
    """

    close_share: float = CLOSE_SHARE
    width_px: int = 512

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        return self.width_px, round(self.width_px * 9 / 16)


@dataclass(frozen=True)
class Label:
    """A box in shares of the picture: its class as an index of CLASSES, middle and size."""

    kind: int
    x: float
    y: float
    w: float
    h: float

    def line(self) -> str:
        """As ultralytics writes it."""
        return f"{self.kind} {self.x:.6f} {self.y:.6f} {self.w:.6f} {self.h:.6f}"


@dataclass(frozen=True, eq=False)
class Rendered:
    """A painted scene before the camera's optics, with the area (px) each item has when nothing hides it."""

    canvas: Canvas
    whole_areas: dict[int, float]


def render(scene: Scene) -> Rendered:
    """Paint a scene with exact ids."""
    painter = ShelfPainter(scene.design, scene.look, scene.camera)
    canvas = painter.paint(scene.items)
    light = sum(scene.look.tier_light) / len(scene.look.tier_light) if scene.look.tier_light else 1.0
    paint_people(canvas, scene.figures, scene.camera, light=light)
    areas = {item.number: _whole_area(item.number, scene) for item in scene.items}
    for figure in scene.figures:
        areas |= {held.item.number: _whole_area(held.item.number, scene) for held in figure.held}
    return Rendered(canvas, areas)


def _whole_area(number: int, scene: Scene) -> float:
    everything = [*scene.items, *(held.item for figure in scene.figures for held in figure.held)]
    item = next(item for item in everything if item.number == number)
    nowhere = Canvas(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.int16), np.zeros((1, 1), np.int16))
    return paint_item(nowhere, item, scene.camera, clip=(0, 0, 0, 0))


def labels_of(rendered: Rendered, camera: Camera, width_px: int) -> list[Label]:
    """What is visible in a picture ``width_px`` wide: products (35 % seen), hands with wrists, people without arms."""
    ids = rendered.canvas.ids
    smallest = _LEAST_SIDE_PX * camera.width_px / width_px
    labels: list[Label] = []
    present = np.unique(ids)
    for number in present[present > 0]:
        mask = (ids == number).astype(np.uint8)
        seen = int(cv2.countNonZero(mask))
        if seen >= LEAST_VISIBLE * rendered.whole_areas[int(number)]:
            _append_box(labels, 0, mask, smallest)
    for code in present[present < 0]:
        part = -int(code) % 100
        if part == 1:
            _append_box(labels, 2, (ids == code).astype(np.uint8), smallest * 2)
        elif part in {10, 11}:
            _append_box(labels, 1, (ids == code).astype(np.uint8), smallest)
    return labels


def fixture_labels_of(rendered: Rendered, scene: Scene, width_px: int) -> list[Label]:
    """Boxes of price labels, and of gaps: the front places of columns that hold nothing at all."""
    camera, canvas = scene.camera, rendered.canvas
    filled = {(item.shelf, round(item.column_x_mm)) for item in scene.items}
    labels: list[Label] = []
    smallest = _LEAST_SIDE_PX * camera.width_px / width_px
    for slot in scene.design.slots:
        left, width = price_label_mm(slot, scene.look)
        y = slot.shelf.board_y_mm
        _append_plane(labels, 3, canvas, camera, (left, left + width, y + 5, y + LIP_MM - 5), smallest)
        shelf = scene.design.shelves.index(slot.shelf)
        for column in range(slot.columns):
            x, half = slot.column_x_mm(column), slot.pack.width_mm / 2
            if (shelf, round(x)) not in filled:
                _append_plane(labels, 4, canvas, camera, (x - half, x + half, y - slot.pack.height_mm, y), smallest)
    return labels


def _append_plane(
    labels: list[Label], kind: int, canvas: Canvas, camera: Camera, sides_mm: tuple[float, float, float, float],
    smallest_px: float,
) -> None:  # fmt: skip
    """A rectangle (left, right, top, bottom) in the plane of the fixture's front, when most of it is seen."""
    left, right, top, bottom = sides_mm
    corners = camera.project([(left, top, 0.0), (right, top, 0.0), (right, bottom, 0.0), (left, bottom, 0.0)])
    low, high = corners.min(axis=0), corners.max(axis=0)
    height, width = canvas.ids.shape
    x0, y0 = np.floor(np.clip(low, 0, [width, height])).astype(int)
    x1, y1 = np.ceil(np.clip(high, 0, [width, height])).astype(int)
    seen = canvas.ids[y0:y1, x0:x1] == 0
    whole = float(np.prod(high - low))
    if min(x1 - x0, y1 - y0) < smallest_px or seen.sum() < _LEAST_SEEN_OF_FIXTURE * whole:
        return
    labels.append(Label(kind, (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height))


def _append_box(
    labels: list[Label], kind: int, mask: np.ndarray[tuple[int, int], np.dtype[np.uint8]], smallest: float
) -> None:
    x, y, w, h = cv2.boundingRect(mask)
    if min(w, h) >= smallest:
        height, width = mask.shape
        labels.append(Label(kind, (x + w / 2) / width, (y + h / 2) / height, w / width, h / height))


def photograph(rendered: Rendered, scene: Scene, rng: np.random.Generator, size_px: tuple[int, int]) -> Picture:
    """The picture as the camera would send it, of that width and height."""
    picture = noisy(lit(rendered.canvas.picture, scene.optics), scene.optics, rng)
    picture = decoded(encoded(picture, scene.optics.jpeg_quality))
    return resized(picture, *size_px)


def sample(
    index: int, seed: int, shop: Sequence[Pack], others: Sequence[Pack], style: PictureStyle = PictureStyle()
) -> tuple[Picture, list[Label]]:
    """Picture ``index`` of the set that ``seed`` stands for."""
    rng = np.random.default_rng([seed, index])
    scene = invent_scene(rng, shop, others, style.close_share)
    rendered = render(scene)
    labels = labels_of(rendered, scene.camera, style.width_px) + fixture_labels_of(rendered, scene, style.width_px)
    return photograph(rendered, scene, rng, style.size_px), labels


def write_dataset(
    out: Path, *, pictures: int, seed: int, shop: Sequence[Pack], workers: int = 2, val_share: float = 0.1,
    style: PictureStyle = PictureStyle(),
) -> Iterator[int]:  # fmt: skip
    """Write pictures and labels; yields how many are done, from 1 to ``pictures``.

    The same seed gives the same pictures whatever the number of workers.
    """
    for part in ("train", "val"):
        (out / "images" / part).mkdir(parents=True, exist_ok=True)
        (out / "labels" / part).mkdir(parents=True, exist_ok=True)
    names = "\n".join(f"  {i}: {name}" for i, name in enumerate(CLASSES))
    (out / "data.yaml").write_text(
        f"path: .\ntrain: images/train\nval: images/val\nnames:\n{names}\n", encoding="utf-8"
    )
    every = max(2, round(1 / val_share)) if val_share > 0 else 0
    block = 50
    jobs = [
        _Job(out, seed, start, min(pictures, start + block), tuple(shop), every, style)
        for start in range(0, pictures, block)
    ]
    done = 0
    if workers <= 1:
        for job in jobs:
            done += _write_block(job)
            yield done
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=_single_thread) as pool:
        for written in pool.imap_unordered(_write_block, jobs):
            done += written
            yield done


@dataclass(frozen=True)
class _Job:
    out: Path
    seed: int
    start: int
    end: int
    shop: tuple[Pack, ...]
    val_every: int
    style: PictureStyle


def _single_thread() -> None:
    cv2.setNumThreads(1)


def _write_block(job: _Job) -> int:
    for index in range(job.start, job.end):
        others = _others(job.seed, index // _PACKS_FRESH_EVERY)
        picture, labels = sample(index, job.seed, job.shop, others, job.style)
        part = "val" if job.val_every and index % job.val_every == job.val_every - 1 else "train"
        name = f"{job.seed:04d}-{index:06d}"
        (job.out / "images" / part / f"{name}.jpg").write_bytes(encoded(picture, 92))
        text = "".join(label.line() + "\n" for label in labels)
        (job.out / "labels" / part / f"{name}.txt").write_text(text, encoding="utf-8")
    return job.end - job.start


_kept: dict[tuple[int, int], list[Pack]] = {}


def _others(seed: int, era: int) -> list[Pack]:
    """Invented packs change every 250 pictures, so that the caches of art stay small and the set stays wide."""
    key = (seed, era)
    if key not in _kept:
        _kept.clear()
        _kept[key] = invent_packs(_PACKS_KEPT, seed * 1000 + era)
    return _kept[key]


def contact_sheet(samples: Sequence[tuple[Picture, list[Label]]], columns: int = 4) -> Picture:
    """Pictures side by side with boxes: products yellow, hands red, people blue, labels green, gaps pink."""
    colours = ((0, 230, 255), (40, 40, 255), (255, 120, 40), (60, 220, 60), (220, 60, 240))
    tiles = []
    for picture, labels in samples:
        tile = picture.copy()
        h, w = tile.shape[:2]
        for label in labels:
            start = (round((label.x - label.w / 2) * w), round((label.y - label.h / 2) * h))
            end = (round((label.x + label.w / 2) * w), round((label.y + label.h / 2) * h))
            cv2.rectangle(tile, start, end, colours[label.kind], 1)
        tiles.append(tile)
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    sheet: Picture = np.vstack(rows)
    return sheet

"""Training recipes by name: everything a run needs to be made again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One training run; the second starts from the weights of the first.

    Attributes:
        pictures: simulated pictures; the simulator keeps some of them apart for the figures in the manifest.
        epochs: passes over them.
        batch: pictures a step; small batches make more steps, which rare classes need.
        learning_rate: given, since ultralytics' automatic choice learns nothing in a short run.
        rare_class_power: how much rare classes weigh more (0 not at all, 1 by the inverse of their number): there are
            twenty-five products to a hand.
        seed: of pictures and weights.
    """

    pictures: int
    epochs: int
    batch: int
    learning_rate: float
    rare_class_power: float
    seed: int


@dataclass(frozen=True)
class Preset:
    """One recipe.

    Attributes:
        name: of the model that comes out.
        stages: in order; the figures are measured on what the last one keeps apart.
        width_px, height_px: the model's input. 512 x 288 holds a 16:9 frame without a padded pixel: a square
            letterbox would spend 44 % of the arithmetic on grey.
        architecture: an ultralytics model file; nothing pretrained is loaded.
    """

    name: str
    stages: tuple[Stage, ...]
    width_px: int = 512
    height_px: int = 288
    architecture: str = "yolo11n.yaml"
    score_threshold: float = 0.3
    iou_threshold: float = 0.6


@dataclass(frozen=True)
class ShelfPreset:
    """A recipe for the detector that is shipped (``train_shelf``).

    Attributes:
        name: of the model that comes out.
        shelf_pictures, close_pictures: drawn by the simulator: whole bays, and a few packs large.
        collages: put together from invented and cut-out things.
        steps, batch, learning_rate: see ``FitPlan``.
        width_px, height_px: the input of a 16:9 picture; other shapes get as many pixels in their own shape. The first
            weights were trained on batches of 512 x 288 and the like; a larger input finds more with the same weights.
        part_weight: for products inside products, see ``weigh_parts`` of the edge.
        threads: of torch, on a CPU.
    """

    name: str
    shelf_pictures: int
    close_pictures: int
    collages: int
    steps: int
    batch: int = 16
    learning_rate: float = 1e-3
    seed: int = 201
    width_px: int = 640
    height_px: int = 352
    score_threshold: float = 0.3
    iou_threshold: float = 0.6
    part_weight: float = 0.4
    threads: int = 2


SHELF_PRESETS = {
    "demo": ShelfPreset("shelf-nano", shelf_pictures=2600, close_pictures=1600, collages=4000, steps=4200),
    "gpu": ShelfPreset("shelf-nano", shelf_pictures=20_000, close_pictures=12_000, collages=30_000, steps=30_000),
    "minute": ShelfPreset("shelf-minute", shelf_pictures=30, close_pictures=12, collages=40, steps=8, batch=8),
}
"""``demo`` is what is shipped (under an hour on two idle cores); ``gpu`` the same with more of everything; ``minute``
proves the tool chain."""

PRESETS = {
    "yolo11": Preset(
        "shelf-yolo11",
        (
            Stage(pictures=1700, epochs=13, batch=16, learning_rate=0.002, rare_class_power=0.3, seed=7),
            Stage(pictures=1100, epochs=6, batch=8, learning_rate=0.001, rare_class_power=0.7, seed=8),
        ),
    ),
    "yolo11-minute": Preset(
        "shelf-yolo11-minute",
        (Stage(pictures=48, epochs=2, batch=8, learning_rate=0.002, rare_class_power=0.3, seed=7),),
    ),
}
"""Through ultralytics, from nothing but drawn pictures: what was shipped before, and the peer of what is now."""

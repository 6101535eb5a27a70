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


PRESETS = {
    "demo": Preset(
        "shelf-demo",
        (
            Stage(pictures=1700, epochs=13, batch=16, learning_rate=0.002, rare_class_power=0.3, seed=7),
            Stage(pictures=1100, epochs=6, batch=8, learning_rate=0.001, rare_class_power=0.7, seed=8),
        ),
    ),
    "minute": Preset(
        "shelf-minute",
        (Stage(pictures=48, epochs=2, batch=8, learning_rate=0.002, rare_class_power=0.3, seed=7),),
    ),
}
"""``demo`` is what is shipped (under an hour on two cores); ``minute`` proves the tool chain."""

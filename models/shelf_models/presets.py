"""Training recipes by name: everything a run needs to be made again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """One recipe.

    Attributes:
        name: of the model that comes out.
        pictures: simulated pictures; the simulator keeps some of them apart for the figures in the manifest.
        epochs: passes over them.
        width_px, height_px: the model's input. 512 x 288 holds a 16:9 frame without a padded pixel: a square
            letterbox would spend 44 % of the arithmetic on grey.
        architecture: an ultralytics model file; nothing pretrained is loaded.
        learning_rate: given, since ultralytics' automatic choice learns nothing in a short run.
        rare_class_power: how much rare classes weigh more (0 not at all, 1 by the inverse of their number): there are
            forty products to a hand.
        seed: of pictures and weights.
    """

    name: str
    pictures: int
    epochs: int
    batch: int = 16
    width_px: int = 512
    height_px: int = 288
    architecture: str = "yolo11n.yaml"
    learning_rate: float = 0.002
    rare_class_power: float = 0.3
    seed: int = 7
    score_threshold: float = 0.35
    iou_threshold: float = 0.6


PRESETS = {
    "demo": Preset("shelf-demo", pictures=1700, epochs=13),
    "minute": Preset("shelf-minute", pictures=48, epochs=2, batch=8),
}
"""``demo`` is what is shipped (under an hour on two cores); ``minute`` proves the tool chain."""

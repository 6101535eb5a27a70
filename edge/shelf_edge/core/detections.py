"""What the detector found in one frame: parallel arrays, validated once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]
Kinds = npt.NDArray[np.uint8]


class Kind(IntEnum):
    """What a label means to the shelf. Price labels and gaps are passed on; slot states do not use them yet.

    A faint product is a box the detector is not sure of: it counts only where an item may stand just so.
    """

    IGNORE = 0
    PRODUCT = 1
    HAND = 2
    PERSON = 3
    PRICE_LABEL = 4
    GAP = 5
    FAINT_PRODUCT = 6


KIND_BY_NAME = {
    "product": Kind.PRODUCT,
    "hand": Kind.HAND,
    "person": Kind.PERSON,
    "price-label": Kind.PRICE_LABEL,
    "gap": Kind.GAP,
    "ignore": Kind.IGNORE,
}


@dataclass(frozen=True)
class Detections:
    """Attributes:
    boxes_px: float32 (n, 4), x1 y1 x2 y2 in pixels of the camera's picture.
    scores: float32 (n,), 0 to 1.
    kinds: uint8 (n,), values of Kind.
    """

    boxes_px: Boxes
    scores: Scores
    kinds: Kinds

    def __post_init__(self) -> None:
        count = len(self.boxes_px)
        if self.boxes_px.shape != (count, 4) or self.scores.shape != (count,) or self.kinds.shape != (count,):
            raise ValueError(
                "boxes_px (n, 4), scores (n,) and kinds (n,) must agree, not "
                f"{self.boxes_px.shape}, {self.scores.shape}, {self.kinds.shape}"
            )

    def __len__(self) -> int:
        return len(self.boxes_px)

    def of(self, kind: Kind) -> Detections:
        """Those of one kind, in the same order."""
        chosen = self.kinds == kind
        return Detections(self.boxes_px[chosen], self.scores[chosen], self.kinds[chosen])

    @classmethod
    def none(cls) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.uint8))

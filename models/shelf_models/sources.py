"""Where training pictures come from: folders in the YOLO layout, pictures in memory, collages made on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from shelf_edge.adapters.pictures import read_picture
from shelf_models.augment import Boxes, Labelled, Picture
from shelf_models.collage import collage
from shelf_models.invented_objects import CutOut, invent_object


class FolderSource:
    """Pictures and label files in an ``images/PART``, ``labels/PART`` tree; read when they are drawn.

    Raises: FileNotFoundError when the folder holds no picture.
    """

    def __init__(self, folder: Path, part: str = "train") -> None:
        self._pictures = sorted((folder / "images" / part).iterdir())
        if not self._pictures:
            raise FileNotFoundError(f"{folder / 'images' / part} holds no picture")

    def __len__(self) -> int:
        return len(self._pictures)

    def draw(self, rng: np.random.Generator) -> Labelled:
        """One of them."""
        return read_pair(self._pictures[int(rng.integers(len(self._pictures)))])


def read_pair(picture: Path) -> Labelled:
    """A picture with its label file, which lies beside it in the tree; no file means nothing is in it."""
    image = read_picture(picture)
    height, width = image.shape[:2]
    file = picture.parents[2] / "labels" / picture.parent.name / f"{picture.stem}.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    rows = np.array([[float(word) for word in line.split()] for line in lines], np.float32).reshape(-1, 5)
    centres, sides = rows[:, 1:3] * (width, height), rows[:, 3:] * (width, height)
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1).astype(np.float32)
    return Labelled(image, boxes, rows[:, 0].astype(np.int64))


@dataclass(frozen=True, eq=False)
class MemorySource:
    """Pictures that are at hand.

    Attributes:
        turns: whether they may come in quarter turns: hands reach from anywhere.
    """

    pictures: Sequence[Labelled]
    turns: bool = False

    def draw(self, rng: np.random.Generator) -> Labelled:
        """One of them."""
        chosen = self.pictures[int(rng.integers(len(self.pictures)))]
        return turned(chosen, int(rng.integers(4))) if self.turns else chosen


def turned(one: Labelled, quarters: int) -> Labelled:
    """The picture turned counter-clockwise by quarters, with its boxes."""
    picture, boxes = one.picture, one.boxes
    for _ in range(quarters % 4):
        width = picture.shape[1]
        picture = np.ascontiguousarray(np.rot90(picture))
        boxes = np.stack([boxes[:, 1], width - boxes[:, 2], boxes[:, 3], width - boxes[:, 0]], axis=1)
    return Labelled(picture, boxes, one.classes)


class StoredSource:
    """Pictures kept as JPEG: a tenth of the memory, and the marks that cameras' pictures have.

    Args:
        quality: lowest and highest JPEG quality, by chance.
    """

    def __init__(self, pictures: Iterable[Labelled], rng: np.random.Generator, quality: tuple[int, int] = (60, 96)):
        self._stored: list[tuple[bytes, Boxes, npt.NDArray[np.int64]]] = []
        for one in pictures:
            _, jpeg = cv2.imencode(".jpg", one.picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*quality))])
            self._stored.append((jpeg.tobytes(), one.boxes, one.classes))

    def draw(self, rng: np.random.Generator) -> Labelled:
        """One of them."""
        jpeg, boxes, classes = self._stored[int(rng.integers(len(self._stored)))]
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        return Labelled(np.asarray(picture, np.uint8), boxes, classes)


@dataclass(frozen=True, eq=False)
class CollageSource:
    """A new collage every time, of invented objects and of cut-outs.

    Attributes:
        cut_outs: real things; may be empty.
        backgrounds: without products; may be empty.
        real_share: how often a thing is a real one, when there are any.
    """

    cut_outs: Sequence[CutOut]
    backgrounds: Sequence[Picture]
    real_share: float = 0.4

    def draw(self, rng: np.random.Generator) -> Labelled:
        """A new picture."""

        def thing() -> CutOut:
            if self.cut_outs and rng.random() < self.real_share:
                return self.cut_outs[int(rng.integers(len(self.cut_outs)))]
            return invent_object(rng)

        return collage(thing, self.backgrounds, rng)

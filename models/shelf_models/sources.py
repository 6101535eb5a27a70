"""Where training pictures come from: folders in the YOLO layout, pictures in memory, collages made on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from shelf_edge.adapters.pictures import read_picture
from shelf_models.augment import Boxes, Labelled, Picture
from shelf_models.collage import collage
from shelf_models.invented_objects import CutOut, invent_object


class PictureSource(Protocol):
    """Where training pictures come from."""

    def draw(self, rng: np.random.Generator) -> Labelled:
        """One picture by chance."""


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


@dataclass(frozen=True, eq=False)
class PosterSource:
    """A part of a photo around its hand, small and in quarter turns, somewhere on another picture.

    The photos show hands before the lens; a shelf camera sees them smaller. Around the pasted part the picture is
    known, so there the network is told what is no hand.

    Attributes:
        photos: each with a box of class 1.
        grounds: what they are put on.
    """

    photos: Sequence[Labelled]
    grounds: PictureSource

    def draw(self, rng: np.random.Generator) -> Labelled:
        """A new picture; the photo alone when it does not fit on the ground."""
        photo = turned(self.photos[int(rng.integers(len(self.photos)))], int(rng.integers(4)))
        ground = self.grounds.draw(rng)
        hand = photo.boxes[photo.classes == 1][0]
        margin = float(rng.uniform(0.1, 0.6)) * float((hand[2:] - hand[:2]).max())
        x1, y1 = (int(max(0.0, value - margin)) for value in hand[:2])
        x2, y2 = int(hand[2] + margin), int(hand[3] + margin)
        part = photo.picture[y1:y2, x1:x2]
        height, width = ground.picture.shape[:2]
        scale = float(rng.uniform(0.15, 0.5)) * width / max(part.shape[:2])
        small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        high, wide = small.shape[:2]
        if high >= height or wide >= width:
            return photo
        left, top = int(rng.integers(width - wide)), int(rng.integers(height - high))
        picture = ground.picture.copy()
        picture[top : top + high, left : left + wide] = small
        boxes = (photo.boxes - np.array([x1, y1, x1, y1], np.float32)) * np.float32(scale)
        boxes = np.clip(boxes, 0, np.array([wide, high, wide, high], np.float32))
        seen = ((boxes[:, 2:] - boxes[:, :2]) > _LEAST_PASTED_PX).all(axis=1)
        free = _hidden_share(ground.boxes, (left, top, left + wide, top + high)) < _MOST_HIDDEN
        placed = boxes[seen] + np.array([left, top, left, top], np.float32)
        return Labelled(
            picture,
            np.concatenate([ground.boxes[free], placed]).astype(np.float32),
            np.concatenate([ground.classes[free], photo.classes[seen]]),
        )


_LEAST_PASTED_PX = 3.0
_MOST_HIDDEN = 0.4


def _hidden_share(boxes: Boxes, part: tuple[int, int, int, int]) -> npt.NDArray[np.float32]:
    """Share of each box (n, 4) that lies in ``part``, (n,)."""
    across = np.minimum(boxes[:, 2], part[2]) - np.maximum(boxes[:, 0], part[0])
    down = np.minimum(boxes[:, 3], part[3]) - np.maximum(boxes[:, 1], part[1])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    shares: npt.NDArray[np.float32] = np.clip(across, 0, None) * np.clip(down, 0, None) / np.maximum(areas, 1e-6)
    return shares


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

"""Pictures with true boxes, from the formats people have: tsv, coco, yolo, voc.

Every file is checked before anything is measured; all problems of all files are told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from shelf_contracts.errors import ContractError, FileProblems, Problem, shown
from shelf_edge.adapters.pictures import PICTURE_SUFFIXES, read_picture, read_picture_header, upright_size
from shelf_edge.core.detections import Boxes
from shelf_edge.core.frame import Picture
from shelf_edge.core.picture_header import PictureHeader

Format = Literal["tsv", "coco", "yolo", "voc"]
LARGEST_LABEL_BYTES = 512 * 1024 * 1024
_MOST_SHOWN = 20
_LEAST_OVERHANG_PX = 5.0
_OVERHANG_SHARE = 0.02
_OUTSIDE = "is it the label file of this picture, and of its size and orientation?"

NOT_PRODUCTS = ("arm-or-hand", "person", "price-label", "gap")
"""Labels that are no product in class-agnostic figures; every other label is one."""
_SPELLINGS = {
    "hand": "arm-or-hand", "arm": "arm-or-hand", "hands": "arm-or-hand", "people": "person", "human": "person",
    "price-tag": "price-label", "pricetag": "price-label", "price": "price-label", "empty": "gap", "void": "gap",
}  # fmt: skip


class LabelProblems(ContractError):
    """Several files of a data set are wrong; each is told with all its problems."""

    def __init__(self, files: list[FileProblems]) -> None:
        self.files = files
        lines = [line for file in files[:_MOST_SHOWN] for line in str(file).splitlines()]
        if len(files) > _MOST_SHOWN:
            lines.append(f"... and {len(files) - _MOST_SHOWN} more files")
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class LabelledPicture:
    """One picture and what is in it.

    Attributes:
        boxes: float32 (n, 4) xyxy; pixels of the picture as it is read.
        labels: (n,) label of each box, normalised ("product", "arm-or-hand", ... or the file's own word).
        is_ignored: bool (n,), boxes that are neither right nor wrong.
        upright: False when the boxes belong to the picture as stored, not as its EXIF data turns it.
    """

    path: Path
    boxes: Boxes
    labels: tuple[str, ...]
    is_ignored: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    upright: bool = True

    def read(self) -> Picture:
        """The picture. Raises: FileProblems."""
        return read_picture(self.path, upright=self.upright)

    def of(self, label: str | None) -> tuple[Boxes, Boxes]:
        """True and ignored boxes of one label; of every product, whatever its class, for None."""
        wanted = np.array(
            [(name not in NOT_PRODUCTS) if label is None else name == label for name in self.labels], bool
        )
        return self.boxes[wanted & ~self.is_ignored], self.boxes[wanted & self.is_ignored]


def read_labelled(folder: Path, form: Format, labels: Path | None = None) -> list[LabelledPicture]:
    """Every labelled picture of a folder, by name.

    Args:
        labels: the label file (coco) or folder (yolo, voc) when it is not where the format has it.
    Raises: LabelProblems or FileProblems with everything that is wrong.
    """
    from shelf_models import label_formats

    if not folder.is_dir():
        raise FileProblems(folder, [Problem("--data", "no folder", "must be a folder of pictures with labels")])
    readers: dict[Format, Callable[[Path, Path | None], list[LabelledPicture]]] = {
        "tsv": label_formats.read_tsv,
        "coco": label_formats.read_coco,
        "yolo": label_formats.read_yolo,
        "voc": label_formats.read_voc,
    }
    pictures = readers[form](folder, labels)
    if not pictures:
        raise FileProblems(folder, [Problem("", "no labelled picture", f"must hold pictures with {form} labels")])
    return sorted(pictures, key=lambda picture: str(picture.path))


def pictures_under(folder: Path) -> list[Path]:
    """All picture files of a folder and its sub-folders, sorted."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    return sorted(path for path in found if not path.name.startswith("."))


def normal_label(text: str) -> str:
    """A label in our spelling.

    >>> normal_label("Price tag"), normal_label("eggBox")
    ('price-label', 'eggBox')
    """
    plain = text.strip().lower().replace("_", "-").replace(" ", "-")
    if plain in NOT_PRODUCTS or plain == "product":
        return plain
    return _SPELLINGS.get(plain, text.strip())


class Collector:
    """Gathers the problems of many files, so that one run tells them all."""

    def __init__(self) -> None:
        self.files: list[FileProblems] = []

    def add(self, path: Path, problems: list[Problem]) -> bool:
        """True when there were some."""
        if problems:
            self.files.append(FileProblems(path, problems))
        return bool(problems)

    def header(self, path: Path) -> PictureHeader | None:
        """The picture's header, or None when the picture is bad (which is noted)."""
        try:
            return read_picture_header(path)
        except FileProblems as error:
            self.files.append(error)
            return None

    def upright_size(self, path: Path, header: PictureHeader) -> tuple[int, int] | None:
        """Its width and height as it is read, or None when it is bad (which is noted)."""
        try:
            return upright_size(path, header)
        except FileProblems as error:
            self.files.append(error)
            return None

    def text(self, path: Path) -> str | None:
        """A label file's text, or None when it can't be read (which is noted)."""
        try:
            if path.stat().st_size > LARGEST_LABEL_BYTES:
                found = f"{path.stat().st_size} bytes"
                self.add(path, [Problem("", found, f"must be at most {LARGEST_LABEL_BYTES} bytes")])
                return None
            return path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            remedy = "write an empty one where there is nothing to be found"
            self.add(path, [Problem("", "missing", "must hold the picture's boxes", remedy)])
        except UnicodeDecodeError as error:
            self.add(path, [Problem("", f"not text (byte {error.start})", "must be UTF-8")])
        except OSError as error:
            self.add(path, [Problem("", error.strerror or "unreadable", "must be a readable file")])
        return None

    def finish(self) -> None:
        """Raises: LabelProblems when there was any problem."""
        if self.files:
            raise LabelProblems(self.files)


def numbers(words: Iterable[str], key: str, problems: list[Problem]) -> list[float] | None:
    """Finite numbers, or None with a problem noted."""
    values = []
    for word in words:
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            problems.append(Problem(key, shown(word), "must be a finite number"))
            return None
        values.append(value)
    return values


def overhang_px(side_px: int) -> float:
    """How far a box may stick out over a side of that length: what drawing tools and rounding do, and no more."""
    return max(_LEAST_OVERHANG_PX, _OVERHANG_SHARE * side_px)


def box_problem(box: tuple[float, float, float, float], size_px: tuple[int, int], key: str) -> Problem | None:
    """What is wrong with a box (xyxy pixels) of a picture of that width and height, turned as the labels mean it."""
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        return Problem(key, shown(box), "must have x1 < x2 and y1 < y2")
    width, height = size_px
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return Problem(key, shown(box), f"must lie in the picture of {width}x{height} px", _OUTSIDE)
    beyond = {"x": (max(-x1, x2 - width), width), "y": (max(-y1, y2 - height), height)}
    told = [f"{by:g} px in {axis}" for axis, (by, side) in beyond.items() if by > overhang_px(side)]
    if told:
        allowed = f"sticks out of the picture of {width}x{height} px by {' and '.join(told)}"
        return Problem(key, shown(box), allowed, _OUTSIDE)
    return None


def labelled(
    path: Path,
    rows: list[tuple[str, tuple[float, float, float, float]]],
    size_px: tuple[int, int],
    ignored: list[bool] | None = None,
    upright: bool = True,
) -> LabelledPicture:
    """Rows of (label, xyxy pixels) as one picture; boxes are cut at its borders (``box_problem`` says how much)."""
    boxes = np.array([box for _, box in rows], np.float32).reshape(-1, 4)
    return LabelledPicture(
        path,
        np.clip(boxes, 0, np.array([*size_px, *size_px], np.float32)),
        tuple(normal_label(label) for label, _ in rows),
        np.array(ignored if ignored is not None else [False] * len(rows), bool),
        upright,
    )

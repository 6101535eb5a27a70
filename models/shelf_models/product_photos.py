"""Photos of products with what they show, from two layouts; all that is wrong with a folder is said at once.

``grocery-store``: the data set of that name. A folder of photos (``train``, ``val``, ``test``) with a list of the same
name beside it (``train.txt``: path, product, kind), and ``classes.csv`` with the products' names and their catalogue
pictures. Without a list the names of the folders say what is in them. A whole data set stands for one of its splits.
``folders``: one folder a product; a folder between (``milk/some-product``) names the kind.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shelf_contracts.errors import FileProblems, Problem, shown
from shelf_edge.adapters.pictures import PICTURE_SUFFIXES

Layout = Literal["grocery-store", "folders"]
LAYOUTS: tuple[Layout, ...] = ("grocery-store", "folders")

PACKAGES = "Packages"
"""The folder of packed goods in the data set; what is packed elsewhere is said by a folder of this name too."""

REFERENCE_SPLITS = ("train",)
QUERY_SPLITS = ("test", "val")
"""Which split of a whole data set is enrolled, and which is asked."""

_CLASSES = "classes.csv"
_MOST_PROBLEMS = 20
_LARGEST_LIST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class ProductPhoto:
    """Attributes:
    path: of the picture.
    product, kind: names; kind is empty where nothing tells it.
    is_packed: lies under a folder ``Packages``.
    """

    path: Path
    product: str
    kind: str
    is_packed: bool


@dataclass(frozen=True)
class ProductPhotos:
    """Attributes:
    photos: in the order of the list, or of their paths.
    catalogue: one picture of each product on white, as the shop's catalogue has it; empty where there are none.
    """

    photos: tuple[ProductPhoto, ...]
    catalogue: tuple[ProductPhoto, ...] = ()


def read_product_photos(folder: Path, layout: Layout, splits: Sequence[str] = REFERENCE_SPLITS) -> ProductPhotos:
    """Which photos a folder holds and what they show; the pictures themselves are not read.

    Args:
        splits: where the folder is a whole data set, the first of these that it has.
    Raises: FileProblems naming the file and everything that is wrong with it.
    """
    if not folder.is_dir():
        raise FileProblems(folder, [Problem("", "no folder", "must be a folder of photos", "check the path")])
    return _grocery_store(_split_in(folder, splits)) if layout == "grocery-store" else _folders(folder)


def _split_in(folder: Path, splits: Sequence[str]) -> Path:
    """The folder itself, or its split when it is a whole data set. Raises: FileProblems when it has none of them."""
    whole = next((place for place in (folder, folder / "dataset") if _is_whole(place)), None)
    if whole is None:
        return folder
    for split in splits:
        if (whole / split).is_dir():
            return whole / split
    found = "holds none of " + ", ".join(splits)
    raise FileProblems(whole, [Problem("", found, "must be a split, or a data set that has one", "name the split")])


def _is_whole(folder: Path) -> bool:
    known = {*REFERENCE_SPLITS, *QUERY_SPLITS}
    return (
        (folder / _CLASSES).is_file()
        and not (folder / f"{folder.name}.txt").is_file()
        and (any((folder / f"{split}.txt").is_file() or (folder / split).is_dir() for split in known))
    )


def _folders(folder: Path) -> ProductPhotos:
    photos = []
    problems = []
    for path in _pictures_in(folder):
        parts = path.relative_to(folder).parts[:-1]
        if not parts:
            problems.append(
                Problem(path.name, "lies in the folder itself", "must lie in a folder named as its product")
            )
            continue
        kind = parts[-2] if len(parts) > 1 else ""
        photos.append(ProductPhoto(path, parts[-1], "" if kind == PACKAGES else kind, PACKAGES in parts))
    if problems or not photos:
        problems = problems or [Problem("", "no pictures", f"must hold PRODUCT/*{_suffixes()}", "check --layout")]
        raise FileProblems(folder, problems[:_MOST_PROBLEMS])
    return ProductPhotos(tuple(photos))


def _suffixes() -> str:
    return "|".join(PICTURE_SUFFIXES)


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())


@dataclass(frozen=True)
class _Class:
    name: str
    kind: str
    number: int
    kind_number: int
    catalogue: Path
    is_packed: bool


def _grocery_store(folder: Path) -> ProductPhotos:
    classes_file = next((place / _CLASSES for place in (folder, folder.parent) if (place / _CLASSES).is_file()), None)
    classes = _read_classes(classes_file) if classes_file is not None else []
    lists = [place / f"{folder.name}.txt" for place in (folder.parent, folder)]
    listed = next((path for path in lists if path.is_file()), None)
    photos = _read_list(listed, folder, classes) if listed is not None else _by_folder_names(folder, classes, lists[0])
    catalogue = tuple(
        ProductPhoto(one.catalogue, one.name, one.kind, one.is_packed) for one in classes if one.catalogue.is_file()
    )
    return ProductPhotos(tuple(photos), catalogue)


def _read_classes(path: Path) -> list[_Class]:
    """Raises: FileProblems."""
    rows = list(csv.reader(_text_of(path).splitlines()))
    problems, classes = [], []
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = [cell.strip() for cell in row]
        if len(cells) < 5 or not cells[0] or not cells[1].isdecimal() or not cells[3].isdecimal():
            allowed = "must be name, number, kind, its number, catalogue picture"
            problems.append(Problem(f"line {number}", shown(",".join(row)), allowed))
            continue
        catalogue = Path(cells[4].lstrip("/"))
        is_packed = PACKAGES in catalogue.parts
        classes.append(_Class(cells[0], cells[2], int(cells[1]), int(cells[3]), path.parent / catalogue, is_packed))
    if not classes and not problems:
        problems.append(Problem("", "no classes", "must name the products after its first line"))
    if problems:
        raise FileProblems(path, problems[:_MOST_PROBLEMS])
    return classes


def _read_list(path: Path, folder: Path, classes: Sequence[_Class]) -> list[ProductPhoto]:
    """Raises: FileProblems."""
    by_number = {one.number: one for one in classes}
    problems: list[Problem] = []
    photos = []
    for number, line in enumerate(_text_of(path).splitlines(), 1):
        if not line.strip():
            continue
        parts = [part.strip() for part in line.rsplit(",", 2)]
        if len(parts) != 3 or not parts[1].isdecimal() or not parts[2].isdecimal():
            problems.append(Problem(f"line {number}", shown(line), "must be PATH, PRODUCT NUMBER, KIND NUMBER"))
            continue
        if classes and int(parts[1]) not in by_number:
            allowed = f"must be a number of {_CLASSES} ({len(classes)} products)"
            problems.append(Problem(f"line {number}", parts[1], allowed))
            continue
        # Lists name their photos from the data set's folder; a copy of one split may have lost the first part.
        inside = Path(parts[0])
        places = [folder.parent / inside, folder / inside, folder.joinpath(*inside.parts[1:])]
        picture = next((place for place in places if place.is_file()), None)
        if picture is None:
            problems.append(Problem(f"line {number}", shown(parts[0]), "names no file", f"looked in {folder.parent}"))
            continue
        one = by_number.get(int(parts[1]))
        product = one.name if one is not None else f"product-{parts[1]}"
        kind = one.kind if one is not None else f"kind-{parts[2]}"
        is_packed = PACKAGES in inside.parts or (one is not None and one.is_packed)
        photos.append(ProductPhoto(picture, product, kind, is_packed))
    if not photos and not problems:
        problems.append(Problem("", "no photos", "must list PATH, PRODUCT NUMBER, KIND NUMBER"))
    if problems:
        raise FileProblems(path, problems[:_MOST_PROBLEMS])
    return photos


def _by_folder_names(folder: Path, classes: Sequence[_Class], missing_list: Path) -> list[ProductPhoto]:
    """Raises: FileProblems."""
    by_name = {one.name: one for one in classes}
    photos, unnamed = [], []
    for path in _pictures_in(folder):
        one = by_name.get(path.parent.name)
        if one is None:
            unnamed.append(path)
            continue
        is_packed = PACKAGES in path.relative_to(folder).parts or one.is_packed
        photos.append(ProductPhoto(path, one.name, one.kind, is_packed))
    if unnamed or not photos:
        found = f"missing, and {unnamed[0].relative_to(folder)}" if unnamed else "missing, and the folder"
        problem = f"lies in no folder named as a product of {_CLASSES}" if unnamed else "holds no pictures"
        remedy = f"put the list and {_CLASSES} there, or use --layout folders"
        raise FileProblems(missing_list, [Problem("", f"{found} {problem}", "must list the photos", remedy)])
    return photos


def _text_of(path: Path) -> str:
    """Raises: FileProblems."""
    try:
        if path.stat().st_size > _LARGEST_LIST_BYTES:
            raise FileProblems(path, [Problem("", f"{path.stat().st_size} bytes", "is too large for a list")])
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise FileProblems(path, [Problem("", reason, "must be a readable list")]) from error
    except UnicodeDecodeError as error:
        raise FileProblems(path, [Problem(f"byte {error.start}", "no UTF-8", "must be text in UTF-8")]) from error

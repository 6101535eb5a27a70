"""Readers of the label formats; each checks every file and tells all problems at once (see ``labelled``).

tsv   N.jpg with N.bboxes.tsv (x1 y1 x2 y2 in pixels, a line a box) and, if there is one, N.bboxes.labels.tsv.
coco  one JSON file; file names relative to it, to the folder or to the folder's images/.
yolo  images/… with labels/… (or .txt beside the picture): class, middle and size as shares; names in data.yaml,
      classes.txt or obj.names, if there are any.
voc   one XML file a picture, beside it or in Annotations/.

Boxes belong to the picture as its EXIF data turns it; in coco and voc, the size that the labels state says otherwise
when it is that of the picture as stored. A box that sticks out by up to 2 % of a side (5 px at least) is cut at the
border; one that sticks out by more is an error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard
from xml.etree import ElementTree

from shelf_contracts.errors import FileProblems, Problem, shown
from shelf_contracts.files import refuse_constant
from shelf_edge.core.picture_header import PictureHeader
from shelf_models.labelled import (
    Collector,
    LabelledPicture,
    box_problem,
    labelled,
    numbers,
    pictures_under,
)

Row = tuple[str, tuple[float, float, float, float]]
_CocoRow = tuple[str, tuple[float, float, float, float], bool, str]
"""Label, xyxy, whether it is a crowd, and the key path for errors."""


def read_tsv(folder: Path, labels: Path | None) -> list[LabelledPicture]:
    """Pictures in a sub-folder ``negative`` hold no product and are left out unless the folder itself is given."""
    collector, found = Collector(), []
    for picture in pictures_under(folder):
        if "negative" in picture.relative_to(folder).parts[:-1]:
            continue
        where = (labels or picture.parent) / f"{picture.stem}.bboxes.tsv"
        header = collector.header(picture)
        text = "" if folder.name == "negative" and not where.exists() else collector.text(where)
        size_px = collector.upright_size(picture, header) if header is not None else None
        if size_px is None or text is None:
            continue
        rows, problems = _tsv_rows(text, size_px)
        names_file = where.with_name(f"{picture.stem}.bboxes.labels.tsv")
        names = _lines(collector.text(names_file) or "") if names_file.is_file() else None
        if names is not None and len(names) != len(_lines(text)):
            told = Problem("", f"{len(names)} labels", f"must be one for each of {len(_lines(text))} boxes")
            collector.add(names_file, [told])
        elif not collector.add(where, problems):
            words = names or ["product"] * len(rows)
            found.append(labelled(picture, list(zip(words, rows, strict=True)), size_px))
    collector.finish()
    return found


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _tsv_rows(text: str, size_px: tuple[int, int]) -> tuple[list[tuple[float, float, float, float]], list[Problem]]:
    rows, problems = [], list[Problem]()
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        key = f"line {number}"
        if len(words) != 4:
            problems.append(Problem(key, shown(line), "must be x1, y1, x2 and y2 in pixels"))
            continue
        values = numbers(words, key, problems)
        if values is not None:
            box = (values[0], values[1], values[2], values[3])
            problem = box_problem(box, size_px, key)
            if problem is not None:
                problems.append(problem)
            rows.append(box)
    return rows, problems


def read_coco(folder: Path, labels: Path | None) -> list[LabelledPicture]:
    file = labels or _coco_file(folder)
    collector = Collector()
    text = collector.text(file)
    collector.finish()
    try:
        content = json.loads(text or "", parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise FileProblems(file, [Problem("", "not JSON", str(error) or "nested too deep")]) from error
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise FileProblems(file, [Problem("images", "missing", "must be a list, as COCO has it")])
    problems: list[Problem] = []
    names = _coco_categories(content, problems)
    rows = _coco_rows(content, names, problems)
    found, seen = [], _Seen({}, {})
    for index, image in enumerate(content["images"]):
        key = f"images[{index}]"
        path = _coco_image(folder, file, image, key, seen, problems)
        header = collector.header(path) if path is not None else None
        upright_px = collector.upright_size(path, header) if path is not None and header is not None else None
        if path is None or header is None or upright_px is None:
            continue
        stated = image.get("width"), image.get("height")
        upright, size_px = True, upright_px
        if all(isinstance(side, int) for side in stated):
            upright, size_px, problem = _orientation(path, header, upright_px, stated, key)
            problems += [problem] if problem else []
        its = rows.get(image["id"], [])
        problems += [told for name, box, _, at in its if (told := box_problem(box, size_px, at)) is not None]
        boxes = [(name, box) for name, box, _, _ in its]
        found.append(labelled(path, boxes, size_px, [crowd for *_, crowd, _ in its], upright))
    for identity, its in rows.items():
        if identity not in seen.ids:
            problems.append(Problem(its[0][3], f"image_id {shown(identity)}", "must be the id of one of images"))
    collector.add(file, problems)
    collector.finish()
    return found


@dataclass(frozen=True)
class _Seen:
    """Key paths of the images read so far, by id and by file: each may come once."""

    ids: dict[int | str, str]
    paths: dict[Path, str]


def _coco_image(folder: Path, file: Path, image: Any, key: str, seen: _Seen, problems: list[Problem]) -> Path | None:
    """The picture of one of ``images``, or None with a problem noted."""
    if not isinstance(image, dict) or not isinstance(image.get("file_name"), str) or "id" not in image:
        problems.append(Problem(key, shown(image), "must have id and file_name"))
        return None
    identity = image["id"]
    if not _is_identity(identity):
        problems.append(Problem(f"{key}.id", shown(identity), "must be a number or a text"))
        return None
    first = seen.ids.setdefault(identity, key)
    if first != key:
        problems.append(Problem(f"{key}.id", shown(identity), f"must differ from that of {first}"))
        return None
    path = _coco_picture(folder, file, image["file_name"])
    if path is None:
        problems.append(Problem(f"{key}.file_name", shown(image["file_name"]), "must be a picture in the folder"))
        return None
    first = seen.paths.setdefault(path, key)
    if first != key:
        remedy = "put all boxes of a picture under one id"
        problems.append(Problem(f"{key}.file_name", shown(path.name), f"must differ from that of {first}", remedy))
        return None
    return path


def _is_identity(value: Any) -> TypeGuard[int | str]:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _coco_file(folder: Path) -> Path:
    found = sorted([*folder.glob("*.json"), *folder.glob("annotations/*.json")])
    if len(found) == 1:
        return found[0]
    told = f"{len(found)} JSON files" if found else "no JSON file"
    raise FileProblems(folder, [Problem("", told, "must hold one COCO file", "name it with --labels")])


def _coco_picture(folder: Path, file: Path, name: str) -> Path | None:
    for base in (file.parent, folder, folder / "images", file.parent / "images", file.parent.parent / "images"):
        try:
            path = (base / name).resolve()
            if path.is_file() and path.is_relative_to(base.resolve()):
                return base / name
        except (OSError, ValueError):  # too long; a null byte or half a character in it
            return None
    return None


def _coco_categories(content: dict[str, Any], problems: list[Problem]) -> dict[int | str, str]:
    names: dict[int | str, str] = {}
    categories = content.get("categories")
    if not isinstance(categories, list):
        if categories is not None:
            problems.append(Problem("categories", shown(categories), "must be a list"))
        return names
    for index, category in enumerate(categories):
        key = f"categories[{index}]"
        identity, name = (category.get("id"), category.get("name")) if isinstance(category, dict) else (None, None)
        if not isinstance(identity, int) or isinstance(identity, bool) or not isinstance(name, str):
            problems.append(Problem(key, shown(category), "must have id and name"))
        elif names.setdefault(identity, name) != name:
            problems.append(Problem(f"{key}.id", shown(identity), f"must differ from that of {names[identity]!r}"))
    return names


def _coco_rows(
    content: dict[str, Any], names: dict[int | str, str], problems: list[Problem]
) -> dict[int | str, list[_CocoRow]]:
    """The rows of each image by its id."""
    rows: dict[int | str, list[_CocoRow]] = {}
    annotations = content.get("annotations")
    if not isinstance(annotations, list):
        problems.append(Problem("annotations", shown(annotations), "must be a list"))
        return rows
    for index, item in enumerate(annotations):
        key = f"annotations[{index}]"
        box = item.get("bbox") if isinstance(item, dict) else None
        if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
            problems.append(Problem(f"{key}.bbox", shown(box), "must be [x, y, width, height] in pixels"))
            continue
        category = item.get("category_id")
        if names and not (_is_identity(category) and category in names):
            known = ", ".join(str(name) for name in list(names)[:10])
            problems.append(Problem(f"{key}.category_id", shown(category), f"must be one of {known}"))
            continue
        image = item.get("image_id")
        if not _is_identity(image):
            problems.append(Problem(f"{key}.image_id", shown(image), "must be the id of an image"))
            continue
        x, y, width, height = (float(value) for value in box)
        name = names[category] if names else "product"
        corners = (x, y, x + width, y + height)
        rows.setdefault(image, []).append((name, corners, bool(item.get("iscrowd")), f"{key}.bbox"))
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _orientation(
    path: Path, header: PictureHeader, upright_px: tuple[int, int], stated: tuple[Any, ...], key: str
) -> tuple[bool, tuple[int, int], Problem | None]:
    """Whether boxes belong to the picture as its EXIF data turns it, by the size the labels state; and that size."""
    stored_px = header.width_px, header.height_px
    if stated == upright_px:
        return True, upright_px, None
    if stated == stored_px:
        return False, stored_px, None
    found = f"{shown(stated[0])}x{shown(stated[1])}"
    allowed = f"must be {upright_px[0]}x{upright_px[1]}, the size of {path.name}"
    remedy = "label the picture as it is, or resize the boxes"
    return True, upright_px, Problem(f"{key}.width, height", found, allowed, remedy)


def read_yolo(folder: Path, labels: Path | None) -> list[LabelledPicture]:
    collector, found = Collector(), []
    names = _yolo_names(folder, collector)
    for picture in pictures_under(folder):
        where = _yolo_file(folder, picture, labels)
        header, text = collector.header(picture), collector.text(where)
        # Shares belong to the picture as tools show it, which is upright.
        size_px = collector.upright_size(picture, header) if header is not None else None
        if size_px is None or text is None:
            continue
        problems: list[Problem] = []
        lines = enumerate(text.splitlines(), 1)
        found_rows = [row for number, line in lines for row in _yolo_row(line, number, size_px, problems)]
        unknown = sorted({label for label, _ in found_rows if names and label not in names})
        problems += [Problem("class", shown(label), f"must be one of 0 to {len(names) - 1}") for label in unknown]
        if collector.add(where, problems):
            continue
        rows: list[Row] = [(names.get(label, "product"), box) for label, box in found_rows]
        found.append(labelled(picture, rows, size_px))
    collector.finish()
    return found


def _yolo_file(folder: Path, picture: Path, labels: Path | None) -> Path:
    relative = picture.relative_to(folder)
    if labels is not None:
        return labels / relative.with_suffix(".txt").name
    parts = list(relative.parts)
    if "images" in parts[:-1]:
        place = len(parts) - 2 - parts[:-1][::-1].index("images")
        parts[place] = "labels"
        return folder.joinpath(*parts).with_suffix(".txt")
    if folder.name == "images" and (folder.parent / "labels").is_dir():
        return (folder.parent / "labels" / relative).with_suffix(".txt")
    inner = (folder / "labels" / relative).with_suffix(".txt")
    return inner if inner.is_file() else picture.with_suffix(".txt")


def _yolo_row(
    line: str, number: int, size_px: tuple[int, int], problems: list[Problem]
) -> list[tuple[int, tuple[float, float, float, float]]]:
    """One line as (class, xyxy pixels); a polygon becomes the box around it; nothing for an empty or a bad line."""
    words = line.split()
    if not words:
        return []
    key = f"line {number}"
    if len(words) != 5 and (len(words) < 7 or len(words) % 2 == 0):
        allowed = "must be a class and x, y, width, height as shares of the picture (or a polygon)"
        problems.append(Problem(key, shown(line), allowed))
        return []
    values = numbers(words, key, problems)
    if values is None:
        return []
    label, shares = values[0], values[1:]
    if label != int(label) or label < 0:
        problems.append(Problem(key, shown(words[0]), "must be a whole class number from 0"))
        return []
    if any(not -0.5 <= share <= 1.5 for share in shares):  # these are pixels; what sticks out is looked at below
        problems.append(Problem(key, shown(line), "must be shares of the picture, 0 to 1", "divide pixels by its size"))
        return []
    if len(shares) == 4:
        x, y, width, height = shares
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    else:
        box = (min(shares[::2]), min(shares[1::2]), max(shares[::2]), max(shares[1::2]))
    if box[2] <= box[0] or box[3] <= box[1]:
        problems.append(Problem(key, shown(line), "must have a width and a height above 0"))
        return []
    width, height = size_px
    in_px = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
    problem = box_problem(in_px, size_px, key)
    problems += [problem] if problem else []
    return [(int(label), in_px)]


_NAME_LINE = re.compile(r"^\s+(?:(\d+)\s*:|-)\s*(.+?)\s*$")


def _yolo_names(folder: Path, collector: Collector) -> dict[int, str]:
    """Class names, when a file has them; of YAML only what data files hold: a mapping or a list under ``names``."""
    bases = [folder, folder.parent] if folder.name == "images" else [folder]
    for base in bases:
        for plain in ("classes.txt", "obj.names"):
            if (base / plain).is_file():
                return dict(enumerate(_lines(collector.text(base / plain) or "")))
        for file in sorted(base.glob("*.yaml")):
            names = _yaml_names(collector.text(file) or "")
            if names:
                return names
    return {}


def _is_index(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def _yaml_names(text: str) -> dict[int, str]:
    lines = text.splitlines()
    start = next((index for index, line in enumerate(lines) if line.startswith("names:")), None)
    if start is None:
        return {}
    inline = lines[start].removeprefix("names:").strip()
    if inline:
        words = re.split(r",\s*", inline.strip("[]{} "))
        pairs = [word.split(":", 1) if inline.startswith("{") else [str(at), word] for at, word in enumerate(words)]
        named = [pair for pair in pairs if len(pair) == 2 and _is_index(pair[0].strip())]
        return {int(at): name.strip(" '\"") for at, name in named}
    names: dict[int, str] = {}
    for line in lines[start + 1 :]:
        found = _NAME_LINE.match(line) or re.match(r"^(-)\s*(.+?)\s*$", line)
        if not found:
            if line.strip() and not line.startswith("#"):
                break
            continue
        at = int(found[1]) if found[1] and _is_index(found[1]) else len(names)
        names[at] = found[2].strip(" '\"")
    return names


def read_voc(folder: Path, labels: Path | None) -> list[LabelledPicture]:
    collector, found = Collector(), []
    for picture in pictures_under(folder):
        where = _voc_file(folder, picture, labels)
        header, text = collector.header(picture), collector.text(where)
        upright_px = collector.upright_size(picture, header) if header is not None else None
        if header is None or upright_px is None or text is None:
            continue
        problems: list[Problem] = []
        root = _voc_root(text, problems)
        if root is None:
            collector.add(where, problems)
            continue
        upright, size_px, stated = True, upright_px, _voc_stated(root)
        if stated is not None:
            upright, size_px, problem = _orientation(picture, header, upright_px, stated, "size")
            problems += [problem] if problem else []
        rows, difficult = _voc_rows(root, size_px, problems)
        if not collector.add(where, problems):
            found.append(labelled(picture, rows, size_px, difficult, upright))
    collector.finish()
    return found


def _voc_file(folder: Path, picture: Path, labels: Path | None) -> Path:
    name = f"{picture.stem}.xml"
    places = [labels] if labels is not None else []
    places += [picture.parent, folder / "Annotations", picture.parent.parent / "Annotations", folder / "annotations"]
    return next((place / name for place in places if (place / name).is_file()), places[0] / name)


def _voc_root(text: str, problems: list[Problem]) -> ElementTree.Element | None:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        problems.append(Problem("", "declares a document type", "must be plain XML", "remove the declaration"))
        return None
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - no entities are declared, so none can be expanded
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter: an encoding that nobody knows
        problems.append(Problem("", "not XML", str(error)))
        return None
    if root.tag != "annotation":
        problems.append(Problem("", f"<{shown(root.tag)[1:-1]}>", "must be <annotation>"))
        return None
    return root


def _voc_stated(root: ElementTree.Element) -> tuple[int, int] | None:
    """Width and height that the file states; many files state none, or 0."""
    sides = [(root.findtext(f"size/{side}") or "").strip() for side in ("width", "height")]
    if not all(side.isdecimal() and len(side) < 10 for side in sides):
        return None
    width, height = (int(side) for side in sides)
    return (width, height) if width and height else None


def _voc_rows(
    root: ElementTree.Element, size_px: tuple[int, int], problems: list[Problem]
) -> tuple[list[Row], list[bool]]:
    """Rows, and which are difficult."""
    rows: list[Row] = []
    difficult = []
    for index, item in enumerate(root.iter("object")):
        key = f"object[{index}]"
        words = [item.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
        if any(word is None for word in words):
            problems.append(Problem(f"{key}.bndbox", shown(words), "must have xmin, ymin, xmax and ymax"))
            continue
        values = numbers([word or "" for word in words], f"{key}.bndbox", problems)
        if values is None:
            continue
        box = (values[0], values[1], values[2], values[3])
        problem = box_problem(box, size_px, f"{key}.bndbox")
        problems += [problem] if problem else []
        rows.append((item.findtext("name") or "product", box))
        difficult.append((item.findtext("difficult") or "0").strip() == "1")
    return rows, difficult

"""Readers of the label formats; each checks every file and tells all problems at once (see ``labelled``).

tsv   N.jpg with N.bboxes.tsv (x1 y1 x2 y2 in pixels, a line a box) and, if there is one, N.bboxes.labels.tsv.
coco  one JSON file; file names relative to it, to the folder or to the folder's images/.
yolo  images/… with labels/… (or .txt beside the picture): class, middle and size as shares; names in data.yaml,
      classes.txt or obj.names, if there are any.
voc   one XML file a picture, beside it or in Annotations/.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
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


def read_tsv(folder: Path, labels: Path | None) -> list[LabelledPicture]:
    """Pictures in a sub-folder ``negative`` hold no product and are left out unless the folder itself is given."""
    collector, found = Collector(), []
    for picture in pictures_under(folder):
        if "negative" in picture.relative_to(folder).parts[:-1]:
            continue
        where = (labels or picture.parent) / f"{picture.stem}.bboxes.tsv"
        header = collector.header(picture)
        text = "" if folder.name == "negative" and not where.exists() else collector.text(where)
        if header is None or text is None:
            continue
        rows, problems = _tsv_rows(text, header)
        names_file = where.with_name(f"{picture.stem}.bboxes.labels.tsv")
        names = _lines(collector.text(names_file) or "") if names_file.is_file() else None
        if names is not None and len(names) != len(_lines(text)):
            told = Problem("", f"{len(names)} labels", f"must be one for each of {len(_lines(text))} boxes")
            collector.add(names_file, [told])
        elif not collector.add(where, problems):
            words = names or ["product"] * len(rows)
            found.append(labelled(picture, list(zip(words, rows, strict=True))))
    collector.finish()
    return found


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _tsv_rows(text: str, header: PictureHeader) -> tuple[list[tuple[float, float, float, float]], list[Problem]]:
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
            problem = box_problem(box, header, key)
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
    found = []
    for index, image in enumerate(content["images"]):
        key = f"images[{index}]"
        if not isinstance(image, dict) or not isinstance(image.get("file_name"), str) or "id" not in image:
            problems.append(Problem(key, shown(image), "must have id and file_name"))
            continue
        if not isinstance(image["id"], (int, str)):
            problems.append(Problem(f"{key}.id", shown(image["id"]), "must be a number or a text"))
            continue
        path = _coco_picture(folder, file, image["file_name"])
        if path is None:
            problems.append(Problem(f"{key}.file_name", shown(image["file_name"]), "must be a picture in the folder"))
            continue
        header = collector.header(path)
        if header is None:
            continue
        stated = image.get("width"), image.get("height")
        upright = True
        if all(isinstance(side, int) for side in stated):
            upright, problem = _orientation(path, header, stated, key)
            problems += [problem] if problem else []
        its = rows.pop(image["id"], [])
        problems += [told for name, box, _, at in its if (told := box_problem(box, header, at)) is not None]
        found.append(labelled(path, [(name, box) for name, box, _, _ in its], [crowd for *_, crowd, _ in its], upright))
    for identity, its in rows.items():
        problems.append(Problem(its[0][3], f"image_id {identity!r}", "must be the id of one of images"))
    collector.add(file, problems)
    collector.finish()
    return found


def _coco_file(folder: Path) -> Path:
    found = sorted([*folder.glob("*.json"), *folder.glob("annotations/*.json")])
    if len(found) == 1:
        return found[0]
    told = f"{len(found)} JSON files" if found else "no JSON file"
    raise FileProblems(folder, [Problem("", told, "must hold one COCO file", "name it with --labels")])


def _coco_picture(folder: Path, file: Path, name: str) -> Path | None:
    for base in (file.parent, folder, folder / "images", file.parent / "images", file.parent.parent / "images"):
        path = base / name
        if path.is_file() and path.resolve().is_relative_to(base.resolve()):
            return path
    return None


def _coco_categories(content: dict[str, Any], problems: list[Problem]) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for index, category in enumerate(content.get("categories") or []):
        if isinstance(category, dict) and isinstance(category.get("id"), int) and isinstance(category.get("name"), str):
            names[category["id"]] = category["name"]
        else:
            problems.append(Problem(f"categories[{index}]", shown(category), "must have id and name"))
    return names


def _coco_rows(
    content: dict[str, Any], names: dict[Any, str], problems: list[Problem]
) -> dict[Any, list[tuple[str, tuple[float, float, float, float], bool, str]]]:
    """By image: label, xyxy, whether it is a crowd, and the key path for errors."""
    rows: dict[Any, list[tuple[str, tuple[float, float, float, float], bool, str]]] = {}
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
        if names and category not in names:
            known = ", ".join(str(name) for name in list(names)[:10])
            problems.append(Problem(f"{key}.category_id", shown(category), f"must be one of {known}"))
            continue
        image = item.get("image_id")
        if not isinstance(image, (int, str)):
            problems.append(Problem(f"{key}.image_id", shown(image), "must be the id of an image"))
            continue
        x, y, width, height = (float(value) for value in box)
        name = names.get(category, "product")
        corners = (x, y, x + width, y + height)
        rows.setdefault(image, []).append((name, corners, bool(item.get("iscrowd")), f"{key}.bbox"))
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _orientation(path: Path, header: PictureHeader, stated: tuple[Any, ...], key: str) -> tuple[bool, Problem | None]:
    """Whether boxes belong to the picture as its EXIF data turns it, by the size the labels state."""
    stored = header.width_px, header.height_px
    from shelf_edge.adapters.pictures import read_picture

    if stated not in (stored, stored[::-1]):
        found = f"{stated[0]}x{stated[1]}"
        allowed = f"must be {stored[0]}x{stored[1]}, the size of {path.name}"
        return True, Problem(f"{key}.width, height", found, allowed, "label the picture as it is, or resize the boxes")
    if header.kind != "JPEG":
        return True, None
    height, width = read_picture(path).shape[:2]
    return (width, height) == stated, None


def read_yolo(folder: Path, labels: Path | None) -> list[LabelledPicture]:
    collector, found = Collector(), []
    names = _yolo_names(folder, collector)
    for picture in pictures_under(folder):
        where = _yolo_file(folder, picture, labels)
        header, text = collector.header(picture), collector.text(where)
        if header is None or text is None:
            continue
        problems: list[Problem] = []
        shares = [row for number, line in enumerate(text.splitlines(), 1) for row in _yolo_row(line, number, problems)]
        unknown = sorted({label for label, _ in shares if names and label not in names})
        problems += [Problem("class", str(label), f"must be one of 0 to {len(names) - 1}") for label in unknown]
        if collector.add(where, problems):
            continue
        # Shares belong to the picture as tools show it, which is upright.
        width, height = _upright_size(picture, header)
        rows: list[Row] = [
            (names.get(label, "product"), (x1 * width, y1 * height, x2 * width, y2 * height))
            for label, (x1, y1, x2, y2) in shares
        ]
        found.append(labelled(picture, rows))
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


def _yolo_row(line: str, number: int, problems: list[Problem]) -> list[tuple[int, tuple[float, float, float, float]]]:
    """One line as (class, xyxy in shares); a polygon becomes the box around it; nothing for an empty or a bad line."""
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
    if any(not -0.001 <= share <= 1.001 for share in shares):
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
    return [(int(label), box)]


def _upright_size(path: Path, header: PictureHeader) -> tuple[int, int]:
    if header.kind != "JPEG":
        return header.width_px, header.height_px
    from shelf_edge.adapters.pictures import read_picture

    height, width = read_picture(path).shape[:2]
    return width, height


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


def _yaml_names(text: str) -> dict[int, str]:
    lines = text.splitlines()
    start = next((index for index, line in enumerate(lines) if line.startswith("names:")), None)
    if start is None:
        return {}
    inline = lines[start].removeprefix("names:").strip()
    if inline:
        words = re.split(r",\s*", inline.strip("[]{} "))
        pairs = [word.split(":", 1) if inline.startswith("{") else [str(at), word] for at, word in enumerate(words)]
        return {int(at): name.strip(" '\"") for at, name in pairs if at.strip().isdigit()}
    names: dict[int, str] = {}
    for line in lines[start + 1 :]:
        found = _NAME_LINE.match(line) or re.match(r"^(-)\s*(.+?)\s*$", line)
        if not found:
            if line.strip() and not line.startswith("#"):
                break
            continue
        at = int(found[1]) if found[1] and found[1].isdigit() else len(names)
        names[at] = found[2].strip(" '\"")
    return names


def read_voc(folder: Path, labels: Path | None) -> list[LabelledPicture]:
    collector, found = Collector(), []
    for picture in pictures_under(folder):
        where = _voc_file(folder, picture, labels)
        header, text = collector.header(picture), collector.text(where)
        if header is None or text is None:
            continue
        problems: list[Problem] = []
        rows, difficult, stated = _voc_rows(text, header, problems)
        upright = True
        if stated is not None and not problems:
            upright, problem = _orientation(picture, header, stated, "size")
            problems += [problem] if problem else []
        if not collector.add(where, problems):
            found.append(labelled(picture, rows, difficult, upright))
    collector.finish()
    return found


def _voc_file(folder: Path, picture: Path, labels: Path | None) -> Path:
    name = f"{picture.stem}.xml"
    places = [labels] if labels is not None else []
    places += [picture.parent, folder / "Annotations", picture.parent.parent / "Annotations", folder / "annotations"]
    return next((place / name for place in places if (place / name).is_file()), places[0] / name)


def _voc_rows(
    text: str, header: PictureHeader, problems: list[Problem]
) -> tuple[list[Row], list[bool], tuple[int, int] | None]:
    """Rows, which are difficult, and the size that the file states."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        problems.append(Problem("", "declares a document type", "must be plain XML", "remove the declaration"))
        return [], [], None
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - no entities are declared, so none can be expanded
    except ElementTree.ParseError as error:
        problems.append(Problem("", "not XML", str(error)))
        return [], [], None
    if root.tag != "annotation":
        problems.append(Problem("", f"<{root.tag}>", "must be <annotation>"))
        return [], [], None
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
        problem = box_problem(box, header, f"{key}.bndbox")
        problems += [problem] if problem else []
        rows.append((item.findtext("name") or "product", box))
        difficult.append((item.findtext("difficult") or "0").strip() == "1")
    sides = [root.findtext(f"size/{side}") or "" for side in ("width", "height")]
    stated = (int(sides[0]), int(sides[1])) if all(side.strip().isdigit() for side in sides) else None
    return rows, difficult, stated if stated and all(stated) else None

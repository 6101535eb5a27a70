"""How many barcodes are read, beside zxing-cpp alone on the same pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from shelf_contracts.errors import FileProblems, Problem
from shelf_edge.adapters.barcodes import BarcodeReader
from shelf_edge.adapters.pictures import PICTURE_SUFFIXES, check_header, decode_picture
from shelf_edge.core.frame import Picture


def pictures_with_numbers(folder: Path) -> list[tuple[Path, str]]:
    """Pictures anywhere in the folder with a NAME.txt beside them, and its digits. Raises: FileProblems."""
    found = []
    for path in sorted(folder.rglob("*")):
        beside = path.with_suffix(".txt")
        if path.suffix.lower() in PICTURE_SUFFIXES and beside.is_file():
            text = beside.read_text(encoding="utf-8", errors="replace")
            found.append((path, "".join(one for one in text if one.isdigit())))
    if not found:
        raise FileProblems(folder, [Problem("", "no picture", "must hold pictures, each with a NAME.txt of digits")])
    return found


def evaluate_barcodes(
    pictures: Sequence[tuple[Path, str]], on_picture: Callable[[], None] = lambda: None
) -> dict[str, int | float]:
    """``read``: pictures whose number was read; ``wrong``: those in which another one was. ``zxing_*``: it alone.

    Raises: FileProblems.
    """
    own, alone = BarcodeReader(), BarcodeReader(insists=False)
    sums: dict[str, float] = dict.fromkeys(
        ("read", "wrong", "zxing_read", "zxing_wrong", "lost_to_zxing", "ms", "zxing_ms"), 0
    )
    for path, expected in pictures:
        picture = _picture(path)
        is_read = {}
        for prefix, reader in (("", own), ("zxing_", alone)):
            began_s = time.perf_counter()
            texts = [one.text for one in reader.read(picture)]
            sums[f"{prefix}ms"] += (time.perf_counter() - began_s) * 1000 / len(pictures)
            right = [_is_same(text, expected) for text in texts]
            is_read[prefix] = any(right)
            sums[f"{prefix}read"] += any(right)
            sums[f"{prefix}wrong"] += not all(right)
        sums["lost_to_zxing"] += is_read["zxing_"] and not is_read[""]
        on_picture()
    return {"pictures": len(pictures)} | {
        name: round(value, 1) if name.endswith("ms") else int(value) for name, value in sums.items()
    }


def _picture(path: Path) -> Picture:
    """Of any size: a strip of a few lines holds a barcode too. Raises: FileProblems."""
    raw = path.read_bytes()
    check_header(path, raw)
    picture = decode_picture(raw)
    if picture is None:
        raise FileProblems(path, [Problem("", f"{len(raw)} bytes", "must be a picture that OpenCV can decode")])
    return picture


def _is_same(text: str, expected: str) -> bool:
    return text.lstrip("0") == expected.lstrip("0")

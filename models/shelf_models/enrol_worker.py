"""The collector's helper: looks at photos in a process of its own, so that the collector needs no vision packages.

A frame is the header's length (4 bytes, big-endian), the header (JSON), and as many bytes as its ``body`` says. One
request, one answer, in order; at the end of stdin it stops. Nothing is written to disk.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from shelf_contracts.errors import ContractError
from shelf_contracts.files import parse_model
from shelf_contracts.gallery import Gallery, read_gallery
from shelf_contracts.planogram import Planogram
from shelf_edge.core.proposing import BaySpec
from shelf_models.enrol import Enroller, crop_of, crop_warnings, look_alikes, thumbnail_of
from shelf_models.propose import propose_from_photo, view_from_corners

_LARGEST_HEADER_BYTES = 64 * 1024
_LARGEST_BODY_BYTES = 32 * 1024 * 1024

Header = dict[str, Any]


def serve(enroller: Enroller, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until ``requests`` ends."""
    cv2.setNumThreads(1)
    worker = _Worker(enroller)
    write_frame(answers, worker.describe())
    while True:
        request = read_frame(requests)
        if request is None:
            return
        header, body = request
        try:
            answer, raw = worker.answer(header, body)
        except (ContractError, ValueError, KeyError, TypeError) as error:
            answer, raw = {"ok": False, "problem": str(error)}, b""
        except Exception as error:  # noqa: BLE001 - one bad photo must not cost the next one its answer
            answer, raw = {"ok": False, "problem": f"{type(error).__name__}: {error}"}, b""
        write_frame(answers, answer, raw)


def tell_missing(answers: BinaryIO, package: str, problem: str = "") -> None:
    """Say why there will be no answers: a package that is not installed, or a model that cannot be used."""
    write_frame(answers, {"ok": False, "missing": package, "problem": problem})


class _Worker:
    def __init__(self, enroller: Enroller) -> None:
        self._enroller = enroller
        self._gallery: tuple[str, Gallery] | None = None

    def describe(self) -> Header:
        return {
            "ok": True,
            "embedder": self._enroller.embedder.model_dump(),
            "dimension": self._enroller.dimension,
        }

    def answer(self, header: Header, body: bytes) -> tuple[Header, bytes]:
        if header["op"] == "propose":
            return self._propose(header, body)
        if header["op"] == "view":
            plan = parse_model(Path("planogram"), body, Planogram)
            size = int(header["width_px"]), int(header["height_px"])
            seen = view_from_corners(plan, _corners(header), *size, str(header["camera"]))
            return {"ok": True}, seen.model_dump_json(by_alias=True, exclude_none=True).encode()
        photo = self._enroller.open(str(header["name"]), body)
        if header["op"] == "look":
            height, width = photo.picture.shape[:2]
            return {
                "ok": True,
                "sha256": photo.sha256,
                "width": width,
                "height": height,
                "proposals": [list(box) for box in photo.proposals],
                "warnings": [asdict(one) for one in photo.warnings],
            }, b""
        if header["op"] != "embed":
            raise ValueError(f"op = {header['op']!r}: must be look or embed")
        x1, y1, x2, y2 = (float(value) for value in header["box"])
        box = (x1, y1, x2, y2)
        vector = self._enroller.embed([crop_of(photo, box)])
        warnings = crop_warnings(photo, box)
        if header.get("gallery"):
            gallery = self._read(str(header["gallery"]), str(header["mark"]))
            warnings += look_alikes(gallery, str(header["gtin"]), vector, self._enroller.look_alike)
        raw, small = vector[0].tobytes(), thumbnail_of(photo, box)
        answer = {"ok": True, "sha256": photo.sha256, "vector": len(raw), "warnings": [asdict(one) for one in warnings]}
        return answer, raw + small

    def _propose(self, header: Header, body: bytes) -> tuple[Header, bytes]:
        spec = BaySpec(
            str(header["store"]), str(header["bay"]), *(float(header[key]) for key in ("width", "height", "depth"))
        )
        gallery = Path(header["gallery"]) if header.get("gallery") else None
        found = propose_from_photo(self._enroller, body, _corners(header), spec, str(header["camera"]), gallery)
        answer = {
            "ok": True,
            "people": [list(box) for box in found.people],
            "width": found.width_px,
            "height": found.height_px,
            "labels": [
                {"slot": one.label.slot, "gtin": one.label.gtin, "others": one.label.others, "seen": one.seen_gtin}
                for one in found.labels
            ],
            "reads_labels": found.reads_labels,
            "not_full": [gap.shelf for gap in found.gaps],
        }
        return answer, found.planogram.model_dump_json(by_alias=True, exclude_none=True).encode()

    def _read(self, path: str, mark: str) -> Gallery:
        if self._gallery is None or self._gallery[0] != mark:
            self._gallery = mark, read_gallery(Path(path), self._enroller.embedder, self._enroller.dimension)
        return self._gallery[1]


def _corners(header: Header) -> npt.NDArray[np.float64]:
    """(4, 2), in shares. Raises: ValueError."""
    return np.array([float(value) for value in header["corners"]], np.float64).reshape(4, 2)


def read_frame(stream: BinaryIO) -> tuple[Header, bytes] | None:
    """The next frame; None at the end. Raises: ValueError when it is none."""
    start = stream.read(4)
    if len(start) < 4:
        return None
    (length,) = struct.unpack(">I", start)
    if length > _LARGEST_HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes")
    header = json.loads(stream.read(length))
    size = int(header.get("body", 0))
    if not 0 <= size <= _LARGEST_BODY_BYTES:
        raise ValueError(f"a body of {size} bytes")
    return header, stream.read(size)


def write_frame(stream: BinaryIO, header: Header, body: bytes = b"") -> None:
    """One frame, sent at once."""
    text = json.dumps({**header, "body": len(body)}).encode()
    stream.write(struct.pack(">I", len(text)) + text + body)
    stream.flush()

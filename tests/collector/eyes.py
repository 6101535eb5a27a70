"""Eyes without a model: the first byte of a photo says what is in it."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from shelf_collector.adapters.vision_worker import (
    BayPhoto,
    Crop,
    EdgeLabel,
    Look,
    PhotoProblem,
    Proposal,
    VisionProblem,
    Warned,
)
from shelf_contracts.gallery import Embedder, read_gallery
from shelf_contracts.planogram import Planogram
from shelf_edge.core.proposing import BaySpec, SeenItem, propose
from shelf_models.propose import view_from_corners

MODEL = Embedder(name="fake", version="1", sha256="e" * 64)
TINY_JPEG = b"\xff\xd8\xff\xe0 a small picture"


@dataclass
class FakeEyes:
    """``b"a..."`` and ``b"b..."`` are photos of two things that look different; ``b"A..."`` looks like ``a``.

    Of true pictures, red ones are ``a``, green ones ``A``, blue ones ``b``; in grey ones and in
    ``b"g..."`` is no product.
    """

    missing: str = ""
    looks: list[bytes] = field(default_factory=list)
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    labels: list[EdgeLabel] = field(default_factory=list)
    not_full: list[str] = field(default_factory=list)

    def describe(self) -> tuple[Embedder, int]:
        if self.missing:
            raise VisionProblem(self.missing, is_missing=True)
        return MODEL, 2

    def look(self, name: str, photo: bytes) -> Look:
        self.looks.append(photo)
        if self.missing:
            raise VisionProblem(self.missing, is_missing=True)
        if not _shown(photo):
            raise PhotoProblem(f"{name}: must be a JPEG, PNG, WebP or BMP")
        boxes = [(0.2, 0.1, 0.6, 0.9), (0.65, 0.2, 0.9, 0.9), (0.0, 0.0, 1.0, 1.0)]
        if _shown(photo) == "g":
            nothing = [Warned(kind="no-product", text="no product was found")]
            return Look(sha256=_hash(photo), width=600, height=800, proposals=boxes[-1:], warnings=nothing)
        return Look(sha256=_hash(photo), width=600, height=800, proposals=boxes, warnings=[])

    def embed(self, name: str, photo: bytes, box: Sequence[float], gtin: str, gallery: Path | None, mark: str) -> Crop:
        self.boxes.append(tuple(box))
        number = {"a": (1.0, 0.0), "A": (0.98, 0.2), "b": (0.0, 1.0)}.get(_shown(photo), (0.7, 0.7))
        warnings = [Warned(kind="dark", text="too dark")] if b"dark" in photo else []
        for entry in read_gallery(gallery).entries if gallery else ():
            if entry.gtin != gtin and _shown(photo) in "aA":
                warnings.append(Warned(kind="look-alike", text="alike", gtin=entry.gtin, similarity=0.93))
        return Crop(_hash(photo), struct.pack("<2e", *number), warnings, TINY_JPEG)

    def propose(self, asked: BayPhoto, photo: bytes, gallery: Path | None) -> Proposal:
        """Two shelves of three products; somebody stands at the right."""
        if not _shown(photo):
            raise PhotoProblem("photo: must be a JPEG, PNG, WebP or BMP")
        spec = BaySpec(asked.store, asked.bay, asked.width, asked.height, asked.depth)
        step, wide = asked.width / 6, asked.width / 9
        items = [
            SeenItem(step * place + 10, asked.height * base, wide, asked.height * 0.25, None, (50.0, shade, 0.0) * 3)
            for base in (0.45, 0.95)
            for place, shade in enumerate((0.0, 0.0, 40.0, 40.0, 90.0, 90.0))
        ]
        corners = [float(one) for one in asked.corners]
        plan = self.view(propose(items, spec).planogram, asked.camera, corners, 1200, 900)
        products = [one.model_dump() for one in plan.products]
        for label in self.labels:
            next(one for one in products if one["id"] == f"p-{label.slot}").update(gtin=label.gtin, name="")
        plan = Planogram.model_validate({**plan.model_dump(by_alias=True), "products": products})
        return Proposal(plan, [(0.85, 0.4, 1.0, 1.0)], 1200, 900, list(self.labels), not_full=list(self.not_full))

    def view(self, plan: Planogram, camera: str, corners: Sequence[float], width_px: int, height_px: int) -> Planogram:
        return view_from_corners(plan, np.array(corners, float).reshape(4, 2), width_px, height_px, camera)

    def stop(self) -> None:
        pass


def _shown(photo: bytes) -> str:
    """What is in a photo; empty when it is none."""
    if photo[:1].isalpha():
        return chr(photo[0])
    picture = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return ""
    means = picture.reshape(-1, 3).mean(axis=0)
    return "g" if float(np.ptp(means)) < 3 else "bAa"[int(means.argmax())]


def _hash(photo: bytes) -> str:
    return hashlib.sha256(photo).hexdigest()

"""Photos of a product into a gallery file: all of them, or nothing."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.gallery import (
    Gallery,
    GalleryEntry,
    GalleryRefused,
    Reference,
    added,
    last_enrolment,
    read_gallery,
    thumbnail_file,
    undone,
    write_gallery,
)
from shelf_contracts.gallery_lock import held
from shelf_contracts.ids import parse_gtin
from shelf_edge.adapters.pictures import LARGEST_FILE_BYTES, PICTURE_SUFFIXES
from shelf_models.enrol import Enroller, Photo, Warned, crop_of, crop_warnings, look_alikes, thumbnail_of

MOST_PHOTOS = 40
"""At once: they are all in memory before one of them is enrolled."""


@dataclass(frozen=True)
class Enrolled:
    """What came of it. ``warnings``: file name and warning; ``boxes``: file name and what was cropped of it."""

    gallery: Gallery
    enrolment: str
    boxes: list[tuple[str, tuple[float, float, float, float]]]
    warnings: list[tuple[str, Warned]]


def enrol_files(
    file: Path, gtin: str, photos: Sequence[Path], enroller: Enroller, *, by: str, kind: str, whole: bool = False,
    from_catalogue: bool = False, keeps_thumbnails: bool = False, on_photo: Callable[[], None] = lambda: None,
) -> Enrolled:  # fmt: skip
    """Add these photos of one product to the gallery.

    Args:
        whole: where no product is found, the whole photo is it; else that is an error.
        from_catalogue: small pictures are products that were cut out.
        keeps_thumbnails: a small picture of each photo is kept beside the gallery, as a collector that keeps them does.
    Raises: FileProblems for the photos (all problems of all of them, nothing is written then) or for the gallery.
    """
    if len(photos) > MOST_PHOTOS:
        allowed, remedy = f"must be at most {MOST_PHOTOS} at once", "from this one on, enrol them in a second call"
        raise FileProblems(photos[MOST_PHOTOS], [Problem("photos", str(len(photos)), allowed, remedy)])
    opened, warnings = _open_all(photos, enroller, whole, from_catalogue, on_photo)
    with held(file):
        gallery = read_gallery(file, enroller.embedder, enroller.dimension) if file.exists() else None
        gallery = gallery if gallery is not None else Gallery(enroller.embedder, enroller.dimension)
        fresh = []
        known = {entry.photo_sha256: entry.gtin for entry in gallery.entries}
        clashes = []
        for photo in opened:
            other = known.get(photo.sha256)
            if other is not None and other != gtin:
                remedy = "one photo stands for one product: take another, or --undo the wrong one"
                clashes.append(Problem(photo.name, f"is enrolled as {other}", f"cannot be {gtin} too", remedy))
            elif other is not None:
                warnings.append((photo.name, Warned("enrolled", "was enrolled before: left out")))
            else:
                fresh.append(photo)
        if clashes:
            raise FileProblems(file, clashes)
        if not fresh:
            raise FileProblems(file, [Problem("photos", "none is new", "there is nothing to enrol", "take others")])
        vectors = enroller.embed([crop_of(photo, photo.proposals[0]) for photo in fresh])
        enrolment, now = f"e-{uuid.uuid4().hex[:12]}", datetime.now(UTC)
        references = [
            Reference(
                GalleryEntry(gtin=gtin, photo_sha256=photo.sha256, enrolment=enrolment, at=now, by=by, kind=kind),
                vector.tobytes(),
            )
            for photo, vector in zip(fresh, vectors, strict=True)
        ]
        for photo in fresh:
            warnings += [(photo.name, one) for one in crop_warnings(photo, photo.proposals[0])]
        warnings += [("", one) for one in look_alikes(gallery, gtin, vectors, enroller.look_alike)]
        after = added(gallery, references)
        write_gallery(file, after)
        if keeps_thumbnails:
            _keep_thumbnails(file.parent, fresh)
    return Enrolled(after, enrolment, [(photo.name, photo.proposals[0]) for photo in fresh], warnings)


def enrol_folders(
    file: Path,
    folder: Path,
    enroller: Enroller,
    *,
    by: str,
    keeps_thumbnails: bool = False,
    on_product: Callable[[], None] = lambda: None,
) -> list[Enrolled]:
    """Many products at once: each sub-folder is named by a GTIN and holds its photos. Known photos are left out.

    As catalogues have them: where no product is found, the whole picture is it.

    Raises: FileProblems; what was enrolled before a bad photo stays.
    """
    products, problems = [], []
    for path in sorted(path for path in folder.glob("*") if path.is_dir()):
        try:
            products.append((parse_gtin(path.name), photos_in(path)))
        except ValueError as error:
            problems.append(Problem(path.name, "the name of a folder", str(error), "name it by the product's GTIN"))
    if not products and not problems:
        problems.append(Problem("", "no folder", "must hold folders named by GTIN, with photos in them"))
    if problems:
        raise FileProblems(folder, problems)
    before = read_gallery(file, enroller.embedder, enroller.dimension) if file.exists() else None
    known = {entry.photo_sha256 for entry in before.entries} if before is not None else set()
    done = []
    for gtin, photos in products:
        fresh = [photo for photo in photos if hashlib.sha256(_read(photo)).hexdigest() not in known]
        for begin in range(0, len(fresh), MOST_PHOTOS):
            some = fresh[begin : begin + MOST_PHOTOS]
            enrolled = enrol_files(
                file,
                gtin,
                some,
                enroller,
                by=by,
                kind="",
                whole=True,
                from_catalogue=True,
                keeps_thumbnails=keeps_thumbnails,
            )
            done.append(enrolled)
        on_product()
    return done


def photos_in(folder: Path) -> list[Path]:
    """The pictures of a folder, by name. Raises: FileProblems when there is none."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise FileProblems(folder, [Problem("", "no picture", f"must hold photos ({', '.join(PICTURE_SUFFIXES)})")])
    return found


def _keep_thumbnails(folder: Path, photos: Sequence[Photo]) -> None:
    """Small pictures of the products; one that is missing after a power cut is missed by nobody."""
    for photo in photos:
        small = thumbnail_of(photo, photo.proposals[0])
        if small:
            file = thumbnail_file(folder, photo.sha256)
            file.parent.mkdir(exist_ok=True)
            part = file.with_suffix(".part")
            part.write_bytes(small)
            part.replace(file)


def undo_last(file: Path) -> tuple[Gallery, str]:
    """Take the last enrolment back; the gallery after it, and the enrolment's name. Raises: FileProblems."""
    if not file.is_file():
        remedy = "name the gallery that you enrolled into with --gallery"
        raise FileProblems(file, [Problem("", "no file", "must be a gallery: there is nothing to undo", remedy)])
    with held(file):
        gallery = read_gallery(file)
        name = last_enrolment(gallery)
        try:
            after = undone(gallery, name)
        except GalleryRefused as refused:
            raise FileProblems(file, refused.problems) from refused
        write_gallery(file, after)
    return after, name or ""


def _open_all(
    paths: Sequence[Path], enroller: Enroller, whole: bool, from_catalogue: bool, on_photo: Callable[[], None]
) -> tuple[list[Photo], list[tuple[str, Warned]]]:
    opened: dict[str, Photo] = {}
    warnings: list[tuple[str, Warned]] = []
    problems: list[FileProblems] = []
    for path in paths:
        try:
            photo = enroller.open(str(path), _read(path), from_catalogue=from_catalogue)
            if not whole and any(one.kind == "no-product" for one in photo.warnings):
                remedy = "come closer, before a plain ground; or say --whole when all of the photo is the product"
                raise FileProblems(path, [Problem("", "no product was found", "must show the product", remedy)])
        except FileProblems as error:
            problems.append(error)
        else:
            warnings += [(photo.name, one) for one in photo.warnings]
            if photo.sha256 in opened:
                warnings.append((photo.name, Warned("twice", f"is the same as {opened[photo.sha256].name}: left out")))
            opened.setdefault(photo.sha256, photo)
        on_photo()
    if problems:
        raise BadPhotos(problems)
    return list(opened.values()), warnings


class BadPhotos(FileProblems):
    """Every photo that cannot be used, with all that is wrong with it."""

    def __init__(self, photos: list[FileProblems]) -> None:
        super().__init__(photos[0].file, [problem for photo in photos for problem in photo.problems])
        self.args = ("\n".join(str(photo) for photo in photos) + "\nnothing was enrolled",)


def _read(path: Path) -> bytes:
    """Raises: FileProblems, of a huge file before it is read."""
    try:
        with path.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            raw = opened.read(LARGEST_FILE_BYTES + 1) if size <= LARGEST_FILE_BYTES else b""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise FileProblems(path, [Problem("", reason, "must be a readable picture", "check the path")]) from error
    if max(size, len(raw)) > LARGEST_FILE_BYTES:
        allowed = f"must be at most {LARGEST_FILE_BYTES} bytes"
        raise FileProblems(path, [Problem("", f"{size} bytes", allowed, "make the photo smaller")])
    return raw

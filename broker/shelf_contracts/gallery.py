"""The gallery: which products a node knows by sight, as one file (``smartshelf.gallery.v1``).

A file is the line ``smartshelf.gallery.v1``, the header's length (4 bytes, little-endian), the header (JSON), and a
matrix of float16 (little-endian, row by row): one row an embedding, in the order of the header's entries. Pictures are
not in it. What is written is canonical: the same content is the same bytes, and their SHA-256 is the revision.

The contract knows no numpy; whoever has it reads ``numpy.frombuffer(gallery.vectors, "<f2").reshape(-1,
gallery.dimension)``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shelf_contracts.errors import ContractError, DiskRefused, FileProblems, Problem, shown
from shelf_contracts.files import problems_of
from shelf_contracts.ids import Gtin
from shelf_contracts.messages import Sha256Text, UtcTime

SCHEMA: Literal["smartshelf.gallery.v1"] = "smartshelf.gallery.v1"
SUFFIX = ".gallery"
MOST_ENTRIES = 100_000
MOST_DIMENSIONS = 2048
LARGEST_GALLERY_BYTES = 256 * 1024 * 1024
LARGEST_HEADER_BYTES = 48 * 1024 * 1024

_MAGIC = f"{SCHEMA}\n".encode()
_LENGTH_BYTES = 4
_BYTES_A_NUMBER = 2
_MOST_PROBLEMS = 20
_HIGH_BYTE_NOT_FINITE = bytes(1 if (value & 0x7C) == 0x7C else 0 for value in range(256))  # all exponent bits are set


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Embedder(_Part):
    """The embedding model; embeddings of two models say nothing about one another."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    version: Annotated[str, Field(min_length=1, max_length=32)]
    sha256: Sha256Text

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.sha256[:8]})"


class GalleryEntry(_Part):
    """One reference view of a product. ``kind`` is what is known when the product is not: "milk", "apple"."""

    gtin: Gtin
    photo_sha256: Sha256Text
    enrolment: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    """What was enrolled together is undone together."""
    at: UtcTime
    by: Annotated[str, Field(max_length=64)] = ""
    kind: Annotated[str, Field(max_length=64)] = ""


class _Header(_Part):
    schema_name: Annotated[Literal["smartshelf.gallery.v1"], Field(alias="schema")]
    embedder: Embedder
    dimension: Annotated[int, Field(ge=1, le=MOST_DIMENSIONS)]
    entries: Annotated[list[GalleryEntry], Field(max_length=MOST_ENTRIES)]


class GalleryRefused(ContractError):
    """A change that would make a gallery wrong; ``problems`` is never empty."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class PhotoTaken(GalleryRefused):
    """Photos that are references already; ``gtins``: of which products."""

    def __init__(self, problems: list[Problem], gtins: list[str]) -> None:
        self.gtins = gtins
        super().__init__(problems)


@dataclass(frozen=True)
class Gallery:
    """Attributes:
    embedder: the model all embeddings are of.
    dimension: numbers in an embedding.
    entries: one a row.
    vectors: the matrix (len(entries), dimension), float16, little-endian; rows have length 1.
    """

    embedder: Embedder
    dimension: int
    entries: tuple[GalleryEntry, ...] = ()
    vectors: bytes = b""

    @cached_property
    def revision(self) -> str:
        """SHA-256 of the file, in hexadecimal: the same content has the same revision everywhere."""
        return hashlib.sha256(encode_gallery(self)).hexdigest()

    @property
    def gtins(self) -> list[str]:
        """The products, in order."""
        return sorted({entry.gtin for entry in self.entries})

    def vector(self, row: int) -> bytes:
        """One row of the matrix."""
        width = self.dimension * _BYTES_A_NUMBER
        return self.vectors[row * width : (row + 1) * width]


@dataclass(frozen=True)
class Reference:
    """A view to add: what is known of it, and its embedding (dimension,) as float16, little-endian, of length 1."""

    entry: GalleryEntry
    vector: bytes


# -- changes: pure; a gallery is never changed in place ------------------------------------------------------------


def added(gallery: Gallery, references: Sequence[Reference]) -> Gallery:
    """The gallery with these views at its end.

    A product is of one kind: the last that was said counts for all its views, and a view without one takes it.

    Raises: GalleryRefused when a vector is of another dimension or there would be too many; PhotoTaken when a photo is
        there already or stands for two products, naming it by its place among ``references``, from 1.
    """
    _refuse_taken(gallery, references)
    entries = (*gallery.entries, *(reference.entry for reference in references))
    vectors = b"".join((gallery.vectors, *(reference.vector for reference in references)))
    width = gallery.dimension * _BYTES_A_NUMBER
    problems = [
        Problem(
            f"photo {reference.entry.photo_sha256[:12]}",
            f"{len(reference.vector) // _BYTES_A_NUMBER} numbers",
            f"must be {gallery.dimension} numbers, as {gallery.embedder} gives",
            "embed it with that model",
        )
        for reference in references
        if len(reference.vector) != width
    ]
    if not problems:
        problems = _problems_in(entries, gallery.dimension, vectors)
    if problems:
        raise GalleryRefused(problems)
    said = {entry.gtin: entry.kind for entry in entries if entry.kind}
    fresh = {reference.entry.gtin for reference in references}
    return replace(
        gallery, entries=_of_kinds(entries, {gtin: said[gtin] for gtin in fresh & set(said)}), vectors=vectors
    )


def with_kind(gallery: Gallery, gtin: str, kind: str) -> Gallery:
    """The gallery with a product being of this kind. Raises: GalleryRefused when it is not in it."""
    if all(entry.gtin != gtin for entry in gallery.entries):
        raise GalleryRefused([Problem("gtin", gtin, "is not in the gallery")])
    return replace(gallery, entries=_of_kinds(gallery.entries, {gtin: kind}))


def _of_kinds(entries: Sequence[GalleryEntry], kinds: Mapping[str, str]) -> tuple[GalleryEntry, ...]:
    return tuple(
        entry.model_copy(update={"kind": kinds[entry.gtin]})
        if kinds.get(entry.gtin, entry.kind) != entry.kind
        else entry
        for entry in entries
    )


def _refuse_taken(gallery: Gallery, references: Sequence[Reference]) -> None:
    known: dict[str, GalleryEntry] = {}
    for entry in gallery.entries:
        known.setdefault(entry.photo_sha256, entry)
    problems, gtins = [], []
    for place, entry in enumerate((reference.entry for reference in references), start=1):
        first = known.setdefault(entry.photo_sha256, entry)
        if first.gtin != entry.gtin:
            what = f"this photo is already a reference of {first.gtin}"
            remedy = "one photo stands for one product: take another, or undo the wrong enrolment"
        elif first.enrolment != entry.enrolment:
            what, remedy = "this photo was enrolled before", "leave it out"
        else:
            continue
        problems.append(Problem(f"photo {place}", entry.photo_sha256[:12], what, remedy))
        gtins.append(first.gtin)
    if problems:
        raise PhotoTaken(problems[:_MOST_PROBLEMS], sorted(set(gtins)))


def removed(gallery: Gallery, gtin: str) -> Gallery:
    """The gallery without a product. Raises: GalleryRefused when it is not in it."""
    kept = [row for row, entry in enumerate(gallery.entries) if entry.gtin != gtin]
    if len(kept) == len(gallery.entries):
        raise GalleryRefused([Problem("gtin", gtin, "is not in the gallery")])
    return _rows(gallery, kept)


def undone(gallery: Gallery, enrolment: str | None = None) -> Gallery:
    """The gallery without the views of one enrolment; without a name, of the last one.

    Raises: GalleryRefused when there is none.
    """
    name = enrolment if enrolment is not None else last_enrolment(gallery)
    kept = [row for row, entry in enumerate(gallery.entries) if entry.enrolment != name]
    if name is None or len(kept) == len(gallery.entries):
        why = "nothing is enrolled" if name is None else "is not in the gallery"
        raise GalleryRefused([Problem("enrolment", shown(name), f"{why}: nothing to undo")])
    return _rows(gallery, kept)


def without_names(gallery: Gallery) -> Gallery:
    """The gallery as nodes get it: who enrolled what is nobody's business there."""
    return replace(gallery, entries=tuple(entry.model_copy(update={"by": ""}) for entry in gallery.entries))


def last_enrolment(gallery: Gallery) -> str | None:
    """The newest enrolment; of two at the same moment, the one that was added later. None in an empty gallery."""
    rows = range(len(gallery.entries))
    newest = max(rows, key=lambda row: (gallery.entries[row].at, row), default=None)
    return None if newest is None else gallery.entries[newest].enrolment


def _rows(gallery: Gallery, rows: Iterable[int]) -> Gallery:
    kept = list(rows)
    entries = tuple(gallery.entries[row] for row in kept)
    return replace(gallery, entries=entries, vectors=b"".join(gallery.vector(row) for row in kept))


# -- the file ------------------------------------------------------------------------------------------------------


def encode_gallery(gallery: Gallery) -> bytes:
    """The file's bytes; the same content gives the same bytes."""
    header = _Header.model_construct(
        schema_name=SCHEMA, embedder=gallery.embedder, dimension=gallery.dimension, entries=list(gallery.entries)
    )
    text = header.model_dump_json(by_alias=True, exclude_defaults=True).encode()
    return b"".join((_MAGIC, len(text).to_bytes(_LENGTH_BYTES, "little"), text, gallery.vectors))


def decode_gallery(raw: bytes, file: Path | str) -> Gallery:
    """A file's bytes as a gallery; ``file`` is what errors call it. Raises: FileProblems with all that is wrong."""

    def refuse(*problems: Problem) -> FileProblems:
        return FileProblems(file, list(problems[:_MOST_PROBLEMS]))

    if len(raw) > LARGEST_GALLERY_BYTES:
        raise refuse(Problem("", f"{len(raw)} bytes", f"must be at most {LARGEST_GALLERY_BYTES} bytes"))
    if not raw.startswith(_MAGIC):
        found = "empty" if not raw else shown(raw[: len(_MAGIC)])
        raise refuse(Problem("", found, f"must begin with the line {SCHEMA}", "make one with smartshelf models enrol"))
    begins = len(_MAGIC) + _LENGTH_BYTES
    length = int.from_bytes(raw[len(_MAGIC) : begins], "little")
    if len(raw) < begins or length > LARGEST_HEADER_BYTES or begins + length > len(raw):
        raise refuse(
            Problem("header", f"{length} bytes long", f"the file has {len(raw)} bytes: it is cut off or damaged")
        )
    text, vectors = raw[begins : begins + length], raw[begins + length :]
    try:
        header = _Header.model_validate_json(text)
    except ValidationError as error:
        raise refuse(*problems_of(error, _Header)) from error
    problems = _problems_in(header.entries, header.dimension, vectors)
    gallery = Gallery(header.embedder, header.dimension, tuple(header.entries), vectors)
    if not problems and encode_gallery(gallery) != raw:
        problems.append(Problem("header", "written differently", "must be as smartshelf writes it"))
    if problems:
        raise refuse(*problems)
    gallery.__dict__["revision"] = hashlib.sha256(raw).hexdigest()  # just compared; spares another encoding
    return gallery


def read_gallery(path: Path | str, embedder: Embedder | None = None, dimension: int | None = None) -> Gallery:
    """The gallery in a file; with ``embedder``, one made with that model, which gives ``dimension`` numbers.

    Raises: FileProblems naming the file, all that is wrong with it and what to do.
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            raw = opened.read(LARGEST_GALLERY_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise FileProblems(file, [Problem("", reason, "must be a readable file", "check the path")]) from error
    gallery = decode_gallery(raw, file)
    if embedder is not None:
        refuse_other_embedder(gallery, embedder, file)
    if dimension is not None and gallery.dimension != dimension:
        allowed = f"must be {dimension}, as many as the model in use gives"
        remedy = "enrol the photos again with the model in use"
        raise FileProblems(file, [Problem("dimension", str(gallery.dimension), allowed, remedy)])
    return gallery


def refuse_other_embedder(gallery: Gallery, embedder: Embedder, file: Path | str) -> None:
    """Raises: FileProblems when the gallery was made with another model than this one."""
    if gallery.embedder != embedder:
        raise FileProblems(
            file,
            [
                Problem(
                    "embedder",
                    str(gallery.embedder),
                    f"the model in use is {embedder}, whose embeddings are others",
                    "enrol the photos again with the model in use, or use the model of the gallery",
                )
            ],
        )


def refuse_empty(gallery: Gallery, file: Path | str) -> None:
    """Raises: FileProblems when nothing is enrolled: every product of the shop would be unknown at once."""
    if not gallery.entries:
        allowed = "an empty gallery recognises nothing: the one in use stays"
        remedy = "enrol a product (the page /enrol, or smartshelf models enrol), or put a copy of the file back"
        raise FileProblems(file, [Problem("entries", "none", allowed, remedy)])


def thumbnail_file(folder: Path, photo_sha256: str) -> Path:
    """Where a small picture of an enrolled photo lies, beside the gallery in ``folder``, where a shop keeps them."""
    return folder / "thumbnails" / f"{photo_sha256}.jpg"


def write_gallery(path: Path | str, gallery: Gallery, before_it_counts: Callable[[], None] = lambda: None) -> None:
    """As ``write_whole``."""
    write_whole(Path(path), encode_gallery(gallery), before_it_counts)


def write_whole(file: Path, content: bytes, before_it_counts: Callable[[], None] = lambda: None) -> None:
    """Bytes into a file, whole or not at all, and still there after a power cut.

    Args:
        before_it_counts: called when all bytes are on the disk beside the file, which only a rename then replaces: what
            must be written with it, or neither. When it raises, the file stays as it was.
    Raises: DiskRefused; the file is as it was then, and nothing lies beside it.
    """
    part = file.with_name(file.name + ".part")
    try:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise DiskRefused(file, error) from error
        before_it_counts()
        try:
            part.replace(file)
        except OSError as error:
            raise DiskRefused(file, error) from error
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a power cut may bring the old name back
    finally:
        os.close(folder)


def _problems_in(entries: Sequence[GalleryEntry], dimension: int, vectors: bytes) -> list[Problem]:
    """What no model of one entry can see."""
    problems: list[Problem] = []
    width = dimension * _BYTES_A_NUMBER
    if len(entries) > MOST_ENTRIES:
        problems.append(Problem("entries", str(len(entries)), f"must be at most {MOST_ENTRIES}"))
    if len(entries) * width > LARGEST_GALLERY_BYTES - LARGEST_HEADER_BYTES:
        problems.append(Problem("entries", str(len(entries)), f"are too many of {dimension} numbers each"))
    if len(vectors) != len(entries) * width:
        problems.append(
            Problem(
                "matrix", f"{len(vectors)} bytes", f"must be {len(entries)} x {dimension} x 2 = {len(entries) * width}"
            )
        )
    else:
        if 1 in vectors[1::2].translate(_HIGH_BYTE_NOT_FINITE):
            problems.append(Problem("matrix", "infinite or no number", "must hold finite numbers only"))
        nothing = (b"\x00" * width, b"\x00\x80" * dimension)
        problems += [
            Problem(f"entries[{row}]", "all zero", "must be an embedding of length 1")
            for row in range(len(entries))
            if vectors.startswith(nothing, row * width)
        ]
    seen: dict[str, GalleryEntry] = {}
    for row, entry in enumerate(entries):
        first = seen.setdefault(entry.photo_sha256, entry)
        key = f"entries[{row}].photo_sha256"
        if first.gtin != entry.gtin:
            what = f"is also the photo of {first.gtin}"
            problems.append(Problem(key, entry.photo_sha256[:12], what, "one photo stands for one product: leave one"))
        elif first.enrolment != entry.enrolment:
            problems.append(Problem(key, entry.photo_sha256[:12], "was enrolled before", "leave it out"))
        if len(problems) >= _MOST_PROBLEMS:
            break
    return problems

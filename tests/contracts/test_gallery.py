"""The gallery: what goes in comes out, changes are pure, and a bad file is refused in words."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_contracts.errors import DiskRefused, FileProblems
from shelf_contracts.gallery import (
    Embedder,
    Gallery,
    GalleryEntry,
    GalleryRefused,
    Reference,
    added,
    decode_gallery,
    encode_gallery,
    last_enrolment,
    read_gallery,
    refuse_other_embedder,
    removed,
    undone,
    write_gallery,
)
from shelf_contracts.ids import gtin_check_digit

MODEL = Embedder(name="tiny", version="1", sha256="a" * 64)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MILK, TEA = "08712345678906", "04006381333931"


def view(
    gtin: str, photo: int, enrolment: str = "e1", *, minute: int = 0, vector: list[float] | None = None
) -> Reference:
    numbers = vector or [1.0, 0.0, 0.0]
    entry = GalleryEntry(
        gtin=gtin, photo_sha256=f"{photo:064x}", enrolment=enrolment, at=NOON + timedelta(minutes=minute), by="Anna"
    )
    return Reference(entry, struct.pack(f"<{len(numbers)}e", *numbers))


EMPTY = Gallery(MODEL, 3)
TWO = added(EMPTY, [view(MILK, 1), view(TEA, 2, "e2", minute=5)])


@st.composite
def galleries(draw: st.DrawFn) -> Gallery:
    dimension = draw(st.integers(1, 8))
    number = st.floats(-1, 1, width=16).filter(lambda value: abs(value) > 1e-3)
    references = []
    for photo in range(draw(st.integers(0, 6))):
        body = draw(st.text("0123456789", min_size=13, max_size=13))
        references.append(
            Reference(
                GalleryEntry(
                    gtin=f"{body}{gtin_check_digit(body)}",
                    photo_sha256=f"{photo:064x}",
                    enrolment=draw(st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)),
                    at=NOON + timedelta(milliseconds=draw(st.integers(0, 10**9))),
                    by=draw(st.text(max_size=64)),
                    kind=draw(st.text(max_size=64)),
                ),
                struct.pack(f"<{dimension}e", *draw(st.lists(number, min_size=dimension, max_size=dimension))),
            )
        )
    return added(Gallery(MODEL, dimension), references)


@given(galleries())
def test_what_is_written_is_read(gallery: Gallery) -> None:
    raw = encode_gallery(gallery)
    again = decode_gallery(raw, "x.gallery")
    assert again == gallery
    assert encode_gallery(again) == raw
    assert again.revision == gallery.revision


@given(galleries(), st.data())
def test_an_enrolment_undone_leaves_what_was_there(gallery: Gallery, data: st.DataObject) -> None:
    body = data.draw(st.text("0123456789", min_size=13, max_size=13))
    entry = GalleryEntry(
        gtin=f"{body}{gtin_check_digit(body)}", photo_sha256="f" * 64, enrolment="newest-of-all-enrolments-0123456",
        at=NOON + timedelta(days=400),
    )  # fmt: skip
    more = added(gallery, [Reference(entry, struct.pack("<e", 1.0) * gallery.dimension)])
    assert more.revision != gallery.revision
    assert undone(more) == gallery
    if entry.gtin not in gallery.gtins:
        assert removed(more, entry.gtin) == gallery


def test_a_product_goes_and_the_others_stay() -> None:
    left = removed(TWO, MILK)
    assert left.gtins == [TEA]
    assert left.vector(0) == TWO.vector(1)
    with pytest.raises(GalleryRefused, match="is not in the gallery"):
        removed(left, MILK)


def test_the_last_enrolment_is_the_newest_not_the_lowest_in_the_file() -> None:
    gallery = added(TWO, [view(MILK, 3, "e0", minute=1)])
    assert last_enrolment(gallery) == "e2"
    assert undone(gallery).gtins == [MILK]
    assert undone(gallery, "e1").entries == gallery.entries[1:]
    with pytest.raises(GalleryRefused, match="nothing to undo"):
        undone(gallery, "e9")
    with pytest.raises(GalleryRefused, match="nothing to undo"):
        undone(EMPTY)


@pytest.mark.parametrize(
    ("new", "text"),
    [
        (view(TEA, 1, "e3"), "one photo stands for one product"),
        (view(MILK, 1, "e3"), "was enrolled before"),
        (view(MILK, 9, vector=[1.0, 0.0]), "2 numbers: must be 3 numbers, as tiny 1"),
        (view(MILK, 9, vector=[0.0, 0.0, 0.0]), "all zero"),
        (view(MILK, 9, vector=[float("nan"), 0.0, 0.0]), "finite numbers only"),
        (view(MILK, 9, vector=[float("-inf"), 0.0, 0.0]), "finite numbers only"),
    ],
)
def test_what_would_make_it_wrong_is_not_added(new: Reference, text: str) -> None:
    with pytest.raises(GalleryRefused, match=text):
        added(TWO, [new])


def test_several_views_may_come_from_one_photo_of_one_enrolment() -> None:
    assert len(added(EMPTY, [view(MILK, 1), view(MILK, 1)]).entries) == 2


def spoilt_header(old: bytes, new: bytes) -> bytes:
    raw = encode_gallery(TWO).replace(old, new)
    begins = raw.index(b"{")
    length = raw.rindex(b"}") + 1 - begins
    return raw[: begins - 4] + length.to_bytes(4, "little") + raw[begins:]


@pytest.mark.parametrize(
    ("raw", "keys"),
    [
        (b"", [""]),
        (b"PK\x03\x04 something else", [""]),
        (encode_gallery(TWO)[:40], ["header"]),
        (encode_gallery(TWO)[:-1], ["matrix"]),
        (encode_gallery(TWO) + b"\x00\x3c", ["matrix"]),
        (spoilt_header(b'"dimension":3', b'"dimension":0'), ["dimension"]),
        (spoilt_header(b'"dimension":3', b'"dimension": 3'), ["header"]),
        (spoilt_header(b'"by":"Anna"', b'"who":"Anna"'), ["entries[0].who", "entries[1].who"]),
        (spoilt_header(MILK.encode(), b"08712345678907"), ["entries[0].gtin"]),
        (spoilt_header(f"{2:064x}".encode(), f"{1:064x}".encode()), ["entries[1].photo_sha256"]),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_all_that_is_wrong(tmp_path: Path, raw: bytes, keys: list[str]) -> None:
    file = tmp_path / "shop.gallery"
    file.write_bytes(raw)
    with pytest.raises(FileProblems) as caught:
        read_gallery(file)
    assert caught.value.file == file
    assert [problem.key for problem in caught.value.problems] == keys


def test_a_gallery_of_another_model_is_refused_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "shop.gallery"
    write_gallery(file, TWO)
    other = MODEL.model_copy(update={"version": "2", "sha256": "b" * 64})
    with pytest.raises(FileProblems, match=r"shop\.gallery: embedder = tiny 1 .*tiny 2.*enrol the photos again"):
        read_gallery(file, other)
    assert read_gallery(file, MODEL) == TWO
    refuse_other_embedder(TWO, MODEL, file)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new" / "shop.gallery"
    write_gallery(file, TWO)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("power cut")))
    with pytest.raises(DiskRefused, match="power cut"):
        write_gallery(file, replace(TWO, entries=(), vectors=b""))
    assert read_gallery(file) == TWO


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileProblems, match=r"none\.gallery: .*No such file"):
        read_gallery(tmp_path / "none.gallery")

"""Enrolling from files: what goes in, what is refused, what is warned of; and the helper that the collector asks."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from shelf_contracts.gallery import Gallery, GalleryEntry, Reference, added, read_gallery, write_gallery
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.frame import Picture
from shelf_models.cli import app
from shelf_models.enrol import Enroller, crop_of
from shelf_models.enrol_worker import read_frame, write_frame
from shelf_testing.demo import ROOT
from shelf_testing.gradient_model import draw_products, write_model_folder
from shelf_testing.tiny_recogniser import DIMENSION, write_recogniser_folder

MILK, TEA = "8712345678906", "4006381333931"
TALL, WIDE = (110, 20, 190, 170), (60, 50, 260, 140)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_model_folder(folder / "detector")
    write_recogniser_folder(folder / "recogniser")
    return folder


def photo(path: Path, *boxes: tuple[int, int, int, int], light: float = 1.0, noise: int = 0) -> Path:
    picture = draw_products(320, 192, list(boxes)).astype(float) * light
    picture += np.random.default_rng(noise).integers(0, 3, picture.shape) if noise else 0
    cv2.imwrite(str(path), picture.clip(0, 255).astype(np.uint8))
    return path


def enrol(models: Path, gallery: Path, *arguments: str) -> tuple[int, str]:
    given = ["--gallery", str(gallery), "--detector", str(models / "detector")]
    given += ["--recogniser", str(models / "recogniser")]
    done = CliRunner().invoke(app, ["enrol", *given, *arguments])
    return done.exit_code, done.stderr + done.stdout


def test_photos_become_references_and_an_undo_takes_them_back(models: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "shop.gallery"
    first, second = photo(tmp_path / "a.png", TALL), photo(tmp_path / "b.png", TALL, noise=1)
    code, said = enrol(models, gallery, "--gtin", MILK, "--by", "Anna", "--json", str(first), str(second))
    assert code == 0, said
    report = json.loads(said.splitlines()[-1])
    assert (report["enrolled"], report["products"], report["photos"]) == (2, 1, 2)
    found = read_gallery(gallery)
    assert found.revision == report["revision"]
    assert [(entry.gtin, entry.by) for entry in found.entries] == [(MILK.zfill(14), "Anna")] * 2
    code, said = enrol(models, gallery, "--gtin", TEA, str(photo(tmp_path / "c.png", WIDE)))
    assert code == 0, said
    assert enrol(models, gallery, "--undo")[0] == 0
    assert read_gallery(gallery) == found
    assert enrol(models, gallery, "--undo")[0] == 0
    code, said = enrol(models, gallery, "--undo")
    assert (code, "nothing to undo" in said) == (2, True)


def test_a_small_picture_too_must_show_a_product(models: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "shop.gallery"
    empty, full = tmp_path / "empty.png", tmp_path / "full.png"
    cv2.imwrite(str(empty), draw_products(120, 90, []))
    cv2.imwrite(str(full), draw_products(120, 90, [(6, 6, 114, 84)]))
    code, said = enrol(models, gallery, "--gtin", MILK, str(empty))
    assert (code, "empty.png" in said, "no product was found" in said) == (2, True, True), said
    code, said = enrol(models, gallery, "--gtin", MILK, "--json", str(full))
    assert code == 0, said
    report = json.loads(said.splitlines()[-1])
    assert report["enrolled"] == 1
    catalogue = tmp_path / "catalogue" / TEA
    catalogue.mkdir(parents=True)
    empty.rename(catalogue / "1.png")
    assert enrol(models, gallery, "--from", str(catalogue.parent))[0] == 0, "in a catalogue it is a pack cut out"


class FarSighted:
    """Finds the light thing in a picture only where it fills less than half of it."""

    info = None

    def detect(self, image: Picture) -> Detections:
        ys, xs = np.nonzero(image.mean(axis=2) > 200)
        box = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], np.float32)
        kept = len(xs) < image.shape[0] * image.shape[1] / 2
        found = Detections(box, np.ones(1, np.float32), np.array([Kind.PRODUCT], np.uint8))
        return found if kept else Detections.none()


def test_a_product_that_fills_its_photo_is_looked_at_from_farther_away() -> None:
    picture = np.full((300, 200, 3), 40, np.uint8)
    picture[15:285, 10:190] = 230
    enroller = Enroller(FarSighted(), None, 0.8)  # type: ignore[arg-type]
    photo = enroller.open("close.png", cv2.imencode(".png", picture)[1].tobytes())
    assert photo.proposals[0] == pytest.approx((0.05, 0.05, 0.95, 0.95))
    assert photo.warnings == ()


def test_a_photo_of_fifty_megapixels_is_looked_at_smaller_and_cropped_as_large_as_it_is() -> None:
    looked_at = []

    class Noting(FarSighted):
        def detect(self, image: np.ndarray) -> Detections:
            looked_at.append(image.shape[:2])
            return super().detect(image)

    picture = np.full((6120, 8160, 3), 40, np.uint8)
    picture[306:5814, 408:7752] = 230
    raw = cv2.imencode(".jpg", picture)[1].tobytes()
    photo = Enroller(Noting(), None, 0.8).open("mp50.jpg", raw)  # type: ignore[arg-type]
    assert looked_at == [(1500, 2000), (3900, 4400)], "as it is, and from farther away"
    assert photo.proposals[0] == pytest.approx((0.05, 0.05, 0.95, 0.95), abs=0.002)
    assert crop_of(photo, photo.proposals[0]).shape[1] == pytest.approx(7638, abs=30), "with 0.02 of it on each side"


def test_a_gallery_that_is_a_folder_is_refused_and_nothing_is_left_beside_it(models: Path, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    code, said = enrol(models, tmp_path / "shop", "--gtin", MILK, str(photo(tmp_path / "a.png", TALL)))
    assert (code, "a folder" in said, "must be a file" in said) == (2, True, True), said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "shop"]


def test_small_pictures_are_kept_where_the_collector_looks_for_them_and_only_when_asked(
    models: Path, tmp_path: Path
) -> None:
    gallery, kept = tmp_path / "shop.gallery", tmp_path / "thumbnails"
    assert enrol(models, gallery, "--gtin", MILK, str(photo(tmp_path / "a.png", TALL)))[0] == 0
    assert not kept.exists()
    arguments = ["--gtin", TEA, "--keep-thumbnails", str(photo(tmp_path / "b.png", WIDE))]
    assert enrol(models, gallery, *arguments)[0] == 0
    mark = next(entry.photo_sha256 for entry in read_gallery(gallery).entries if entry.gtin == TEA.zfill(14))
    assert [path.name for path in kept.iterdir()] == [f"{mark}.jpg"]
    small = cv2.imread(str(kept / f"{mark}.jpg"))
    assert max(small.shape[:2]) <= 160
    assert small.shape[1] > small.shape[0], "the product, not the photo"


def test_an_undo_in_a_gallery_that_is_not_there_leaves_nothing(models: Path, tmp_path: Path) -> None:
    code, said = enrol(models, tmp_path / "typo" / "nothere.gallery", "--undo")
    assert (code, "nothere.gallery" in said, "nothing to undo" in said, "--gallery" in said) == (2, *[True] * 3), said
    assert list(tmp_path.iterdir()) == []


def test_the_product_is_cropped_not_the_shelf_around_it(models: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "shop.gallery"
    small, large = (10, 20, 40, 70), (120, 20, 200, 170)
    for name, boxes in (("alone", [large]), ("among", [large, small])):
        assert enrol(models, gallery, "--gtin", MILK, str(photo(tmp_path / f"{name}.png", *boxes)))[0] == 0
    alone, among = np.frombuffer(read_gallery(gallery).vectors, "<f2").reshape(2, DIMENSION).astype(float)
    assert float(alone @ among) > 0.99


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: path.write_bytes(b""), "empty: must be a JPEG"),
        (lambda path: path.write_bytes(b"not a picture at all"), "must be a JPEG"),
        (lambda path: None, "No such file"),
        (lambda path: path.write_bytes(b"\xff\xd8" + bytes(51 * 2**20)), "must be at most"),
    ],
)
def test_bad_photos_are_named_and_nothing_is_written(models: Path, tmp_path: Path, make: object, text: str) -> None:
    gallery, bad, missing = tmp_path / "shop.gallery", tmp_path / "bad.jpg", tmp_path / "other.jpg"
    make(bad)  # type: ignore[operator]
    code, said = enrol(models, gallery, "--gtin", MILK, str(photo(tmp_path / "a.png", TALL)), str(bad), str(missing))
    assert code == 2
    assert "bad.jpg" in said
    assert text in said
    assert "other.jpg" in said, "all of them are told at once"
    assert "nothing was enrolled" in said
    assert not gallery.exists()


def test_a_full_disk_is_told_and_leaves_nothing_half_done(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    gallery = tmp_path / "shop.gallery"
    with monkeypatch.context() as patched:
        patched.setattr("shelf_contracts.gallery.os.fsync", full)
        code, said = enrol(models, gallery, "--gtin", MILK, str(photo(tmp_path / "a.png", TALL)))
    assert (code, "shop.gallery" in said, "free some space" in said) == (2, True, True), said
    assert not gallery.exists()
    assert list(tmp_path.glob("*.part")) == []


def test_a_huge_file_is_refused_unread_and_a_hundred_files_at_once_too(models: Path, tmp_path: Path) -> None:
    gallery, huge = tmp_path / "shop.gallery", tmp_path / "huge.jpg"
    with huge.open("wb") as out:
        out.truncate(100 * 2**20)
    code, said = enrol(models, gallery, "--gtin", MILK, str(huge))
    assert code == 2
    assert "huge.jpg" in said
    assert "make the photo smaller" in said
    many = [str(tmp_path / f"{number:03}.png") for number in range(100)]  # they need not even exist
    code, said = enrol(models, gallery, "--gtin", MILK, *many)
    assert code == 2
    assert "040.png" in said
    assert "must be at most 40 at once" in said
    assert "second call" in said
    assert not gallery.exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--gtin", "8712345678907"], "the check digit is 7 but should be 6"),
        (["--gtin", ""], "digits"),
        (["--gtin", MILK], "none was given"),
    ],
)
def test_arguments_that_cannot_be(models: Path, tmp_path: Path, arguments: list[str], text: str) -> None:
    code, said = enrol(models, tmp_path / "shop.gallery", *arguments)
    assert (code, text in said) == (2, True), said


def test_one_photo_for_two_products_and_the_same_photo_again(models: Path, tmp_path: Path) -> None:
    gallery, shot = tmp_path / "shop.gallery", photo(tmp_path / "a.png", TALL)
    assert enrol(models, gallery, "--gtin", MILK, str(shot))[0] == 0
    before = gallery.read_bytes()
    code, said = enrol(models, gallery, "--gtin", TEA, str(shot), str(photo(tmp_path / "b.png", WIDE)))
    assert (code, "one photo stands for one product" in said) == (2, True), said
    code, said = enrol(models, gallery, "--gtin", MILK, str(shot))
    assert (code, "none is new" in said) == (2, True), said
    assert gallery.read_bytes() == before


def test_a_gallery_of_another_dimension_and_one_with_nothing_left_are_told(models: Path, tmp_path: Path) -> None:
    gallery, shot = tmp_path / "shop.gallery", str(photo(tmp_path / "a.png", TALL))
    assert enrol(models, gallery, "--gtin", MILK, shot)[0] == 0
    known = read_gallery(gallery)
    entry = GalleryEntry(gtin=TEA, photo_sha256="b" * 64, enrolment="e1", at=known.entries[0].at)
    odd = added(Gallery(known.embedder, 3), [Reference(entry, b"\x00\x3c" * 3)])
    write_gallery(tmp_path / "odd.gallery", odd)
    code, said = enrol(models, tmp_path / "odd.gallery", "--gtin", MILK, shot)
    assert (code, "odd.gallery" in said, "dimension = 3" in said, "enrol the photos again" in said) == (2, *[True] * 3)
    assert read_gallery(tmp_path / "odd.gallery") == odd
    assert enrol(models, gallery, "--undo")[0] == 0
    code, said = enrol(models, gallery, "--undo")
    assert (code, "nothing is enrolled" in said) == (2, True)


def test_warnings_that_do_not_stop(models: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "shop.gallery"
    empty = str(photo(tmp_path / "a.png", light=0.1))
    code, said = enrol(models, gallery, "--gtin", MILK, empty)
    assert (code, "a.png" in said, "no product was found" in said, "--whole" in said) == (2, True, True, True)
    assert not gallery.exists()
    code, said = enrol(models, gallery, "--gtin", MILK, "--json", "--whole", empty)
    kinds = {one["kind"] for one in json.loads(said.splitlines()[-1])["warnings"]}
    assert code == 0
    assert {"no-product", "dark", "blurred"} <= kinds
    twice = [str(photo(tmp_path / "b.png", TALL)), str(photo(tmp_path / "c.png", TALL))]
    code, said = enrol(models, gallery, "--gtin", TEA, "--json", *twice)
    report = json.loads(said.splitlines()[-1])
    assert report["enrolled"] == 1
    assert "twice" in {one["kind"] for one in report["warnings"]}
    code, said = enrol(models, gallery, "--gtin", "96385074", "--json", str(photo(tmp_path / "d.png", TALL, noise=2)))
    alike = [one for one in json.loads(said.splitlines()[-1])["warnings"] if one["kind"] == "look-alike"]
    assert [one["gtin"] for one in alike] == [TEA.zfill(14)]


def test_many_products_at_once_by_the_names_of_folders(models: Path, tmp_path: Path) -> None:
    gallery, photos = tmp_path / "shop.gallery", tmp_path / "photos"
    for gtin, box in ((MILK, TALL), (TEA, WIDE)):
        (photos / gtin).mkdir(parents=True)
        photo(photos / gtin / "a.png", box)
    assert enrol(models, gallery, "--from", str(photos))[0] == 0
    found = read_gallery(gallery)
    assert found.gtins == [TEA.zfill(14), MILK.zfill(14)]
    photo(photos / TEA / "b.png", WIDE, noise=3)
    code, said = enrol(models, gallery, "--from", str(photos))
    assert (code, "1 products enrolled" in said) == (0, True), "what is known is left out"
    assert len(read_gallery(gallery).entries) == 3
    (photos / "tea").mkdir()
    (photos / "8712345678907").mkdir()
    code, said = enrol(models, gallery, "--from", str(photos))
    assert (code, "tea" in said, "8712345678907" in said) == (2, True, True), "all of them are told at once"


def test_a_gallery_of_another_model_stays_as_it_is(models: Path, tmp_path: Path) -> None:
    gallery, shot = tmp_path / "shop.gallery", photo(tmp_path / "a.png", TALL)
    assert enrol(models, gallery, "--gtin", MILK, str(shot))[0] == 0
    before = gallery.read_bytes()
    write_recogniser_folder(tmp_path / "newer", version="2")
    arguments = ["--recogniser", str(tmp_path / "newer"), "--gtin", TEA, str(photo(tmp_path / "b.png", WIDE))]
    code, said = enrol(models, gallery, *arguments)
    assert (code, "enrol the photos again" in said) == (2, True), said
    assert gallery.read_bytes() == before


def test_the_helper_answers_and_survives_bad_photos(models: Path, tmp_path: Path) -> None:
    questions = io.BytesIO()
    shot = photo(tmp_path / "a.png", TALL).read_bytes()
    write_frame(questions, {"op": "look", "name": "photo"}, shot)
    write_frame(questions, {"op": "look", "name": "photo"}, b"nonsense")
    write_frame(questions, {"op": "embed", "name": "photo", "box": [0.9, 0, 0.1, 1], "gtin": MILK}, shot)
    write_frame(questions, {"op": "embed", "name": "photo", "box": [0.3, 0.1, 0.6, 0.9], "gtin": MILK}, shot)
    command = [sys.executable, str(ROOT / "smartshelf.py"), "models", "enrol-worker", "--detector"]
    command += [str(models / "detector"), "--recogniser", str(models / "recogniser")]
    done = subprocess.run(command, input=questions.getvalue(), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answers = io.BytesIO(done.stdout)
    described, looked, refused, wrong, embedded = [read_frame(answers) for _ in range(5)]
    assert read_frame(answers) is None
    assert described is not None
    assert described[0]["dimension"] == DIMENSION
    assert looked is not None
    assert looked[0]["proposals"][0] == pytest.approx([110 / 320, 20 / 192, 190 / 320, 170 / 192], abs=0.02)
    assert looked[0]["proposals"][-1] == [0, 0, 1, 1]
    for answer, text in ((refused, "must be a JPEG"), (wrong, "x1 < x2")):
        assert answer is not None
        assert (answer[0]["ok"], text in answer[0]["problem"]) == (False, True)
    assert embedded is not None
    assert embedded[0]["vector"] == 2 * DIMENSION
    assert embedded[1][2 * DIMENSION :].startswith(b"\xff\xd8")

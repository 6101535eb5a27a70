"""``smartshelf models evaluate recogniser`` as people call it, on photos whose answer is known; its figures by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from shelf_contracts.errors import FileProblems
from shelf_edge.core.recognition import Calibration
from shelf_models.cli import app
from shelf_models.evaluate_recogniser import Embedded, auroc, ms_per_match, open_set, recall_at, score, top1
from shelf_models.invented_objects import invent_object
from shelf_models.product_photos import ProductPhoto, read_product_photos
from shelf_models.recogniser_calibration import calibrate
from shelf_models.recogniser_views import ViewPlan, placed_on, still_view, view_of
from shelf_testing.grid_recogniser import write_grid_recogniser

KEYS = {
    "top1_fine", "top1_coarse", "top1_packages", "one_shot_top1_packages", "unknown_auroc",
    "unknown_recall_at_1pct_fpr", "ms_per_crop",
}  # fmt: skip
CLASSES = [("Red-Milk", "Milk", "Packages/Milk"), ("Blue-Milk", "Milk", "Packages/Milk"), ("Lime", "Lime", "Fruit")]


def colours(name: str) -> np.ndarray:
    """A picture of a product: sixteen fields of colours that its name decides."""
    rng = np.random.default_rng(list(name.encode()))
    return np.repeat(np.repeat(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), 20, axis=0), 20, axis=1)


def write(path: Path, name: str, light: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.clip(colours(name).astype(int) + light, 0, 255).astype(np.uint8))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A data set in the layout of grocery-store: three products, two photos each for training, one to ask with."""
    data = tmp_path / "data"
    lines = ["Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),Iconic,Description"]
    listed: dict[str, list[str]] = {"train": [], "val": []}
    kinds = {"Milk": 0, "Lime": 1}
    for number, (name, kind, folder) in enumerate(CLASSES):
        iconic = f"/iconic/{folder}/{name}/{name}_Iconic.png"
        write(data / iconic.lstrip("/"), name, light=10)
        lines.append(f"{name},{number},{kind},{kinds[kind]},{iconic},/x.txt")
        for split, count in (("train", 2), ("val", 1)):
            for photo in range(count):
                path = f"{split}/{folder}/{name}/{name}_{photo:03}.png"
                write(data / path, name, light=-8 * photo - (5 if split == "val" else 0))
                listed[split].append(f"{path}, {number}, {kinds[kind]}")
    (data / "classes.csv").write_text("\n".join(lines) + "\n")
    for split, rows in listed.items():
        (data / f"{split}.txt").write_text("\n".join(rows) + "\n")
    return data


@pytest.fixture(autouse=True)
def small_gallery_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a match is measured on 50,000 photos; here on a few."""
    monkeypatch.setattr(ms_per_match, "__defaults__", (50, 2, 1))


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_grid_recogniser(tmp_path_factory.mktemp("models") / "grid")


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", "recogniser", *map(str, arguments)])


def report(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    figures: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    return figures


def test_a_store_is_measured(store: Path, grid: Path) -> None:
    arguments = ("--gallery", store / "train", "--query", store / "val", "--layout", "grocery-store", "--model", grid)
    found = report(evaluate(*arguments, "--json"))
    assert set(found) >= KEYS
    perfect = ("top1_fine", "top1_coarse", "top1_packages", "one_shot_top1_packages", "one_shot_top1", "unknown_auroc")
    assert {name: found[name] for name in perfect} == dict.fromkeys(perfect, 1.0)
    assert (found["queries"], found["products"], found["references"]) == (3, 3, 6)
    assert min(found["ms_per_crop"], found["ms_per_match"]) > 0
    assert "top1_fine: 1.0" in evaluate(*arguments).output


def test_what_was_measured_is_recorded_with_the_model(store: Path, tmp_path: Path) -> None:
    folder = write_grid_recogniser(tmp_path / "recorded")
    arguments = ("--gallery", store / "train", "--query", store / "val", "--layout", "grocery-store", "--model", folder)
    found = report(evaluate(*arguments, "--record", "--json"))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["metrics"]["top1_fine"] == found["top1_fine"]
    assert not [name for name in manifest["metrics"] if name.startswith("ms_")], "a machine's times are no model's"
    assert "6 reference photos of 3 products" in manifest["metrics_protocol"]
    assert "top1_fine" in (folder / "CARD.md").read_text()


def test_a_split_without_its_list_is_told_by_its_folders(store: Path, grid: Path) -> None:
    (store / "val").rename(store / "test")
    (store / "val.txt").unlink()
    found = report(
        evaluate("--gallery", store / "train", "--query", store / "test", "--layout", "grocery-store", "--model", grid,
                 "--json")
    )  # fmt: skip
    assert (found["top1_fine"], found["top1_coarse"]) == (1.0, 1.0)


def test_a_split_elsewhere_brings_its_list_along(store: Path, grid: Path, tmp_path: Path) -> None:
    blind = tmp_path / "blind"
    blind.mkdir()
    (store / "val").rename(blind / "val")
    (store / "val.txt").rename(blind / "val.txt")
    (blind / "classes.csv").write_bytes((store / "classes.csv").read_bytes())
    found = report(
        evaluate("--gallery", store / "train", "--query", blind / "val", "--layout", "grocery-store", "--model", grid,
                 "--json")
    )  # fmt: skip
    assert (found["top1_fine"], found["one_shot_top1_packages"]) == (1.0, 1.0)


def test_a_whole_data_set_stands_for_its_splits(store: Path, grid: Path) -> None:
    found = report(
        evaluate("--gallery", store, "--query", store, "--layout", "grocery-store", "--model", grid, "--json")
    )
    assert (found["references"], found["queries"]) == (6, 3)
    (store / "val").rename(store / "test")
    (store / "val.txt").rename(store / "test.txt")
    (store / "test.txt").write_text((store / "test.txt").read_text().replace("val/", "test/"))
    asked = read_product_photos(store, "grocery-store", ("test", "val"))
    assert {photo.path.relative_to(store).parts[0] for photo in asked.photos} == {"test"}
    with pytest.raises(FileProblems, match="holds none of val"):
        read_product_photos(store, "grocery-store", ("val",))


def test_folders_are_measured_without_what_they_do_not_tell(tmp_path: Path, grid: Path) -> None:
    for name in ("soap", "tea", "rice"):
        for photo in range(2):
            write(tmp_path / "known" / name / f"{photo}.png", name, light=4 * photo)
        write(tmp_path / "asked" / name / "x.png", name, light=9)
    found = report(
        evaluate("--gallery", tmp_path / "known", "--query", tmp_path / "asked", "--model", grid, "--json")
    )  # fmt: skip
    assert (found["top1_fine"], found["one_shot_top1"]) == (1.0, 1.0)
    assert [found[name] for name in ("top1_coarse", "top1_packages", "one_shot_top1_packages")] == [None] * 3


def test_every_broken_picture_is_named(store: Path, grid: Path) -> None:
    folder = store / "val" / "Packages" / "Milk"
    (folder / "Red-Milk" / "Red-Milk_000.png").write_bytes(b"\x89PNG torn")
    (folder / "Blue-Milk" / "Blue-Milk_000.png").write_bytes(b"")
    result = evaluate(
        "--gallery", store / "train", "--query", store / "val", "--layout", "grocery-store", "--model", grid
    )
    assert result.exit_code == 2
    assert "Red-Milk_000.png" in result.output
    assert "Blue-Milk_000.png" in result.output


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: (data / "val.txt").write_text("val/x.png, 7\n"), "line 1"),
        (lambda data: (data / "val.txt").write_text("val/gone.png, 0, 0\n"), "names no file"),
        (lambda data: (data / "val.txt").write_text("val/gone.png, 99, 0\n"), "must be a number of classes.csv"),
        (lambda data: (data / "val.txt").write_text("\n"), "no photos"),
        (lambda data: (data / "val.txt").write_bytes(b"\xff\xfe\x00"), "UTF-8"),
        (lambda data: (data / "classes.csv").write_text("a\nx,y\n"), "line 2"),
        (lambda data: (data / "classes.csv").write_text(""), "no classes"),
        (lambda data: [(data / name).unlink() for name in ("val.txt", "classes.csv")], "val.txt"),
    ],
)
def test_bad_lists_are_told_with_their_file(store: Path, grid: Path, change: Any, text: str) -> None:
    change(store)
    result = evaluate(
        "--gallery", store / "train", "--query", store / "val", "--layout", "grocery-store", "--model", grid
    )
    assert result.exit_code == 2, result.output
    assert text in result.output
    assert str(store) in result.output


def test_what_cannot_be_asked_is_refused(store: Path, grid: Path, tmp_path: Path) -> None:
    write(tmp_path / "other" / "caviar" / "1.png", "caviar")
    for arguments, text in (
        (("--gallery", tmp_path / "none", "--query", store), "must be a folder of photos"),
        (("--gallery", store / "train", "--query", store / "val", "--layout", "boxes"), "must be one of"),
        (("--gallery", store / "train", "--query", tmp_path / "other"), "is in the gallery"),
        (("--gallery", tmp_path / "other" / "caviar", "--query", store), "must lie in a folder named as its product"),
        (("--gallery", store / "train", "--query", store / "val", "--provider", "abacus"), "must be one of"),
    ):
        result = evaluate(*arguments, "--model", grid)
        assert (result.exit_code, text in result.output) == (2, True), result.output


# -- figures by hand -----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=20), st.lists(st.integers(0, 20), min_size=1, max_size=20))
def test_auroc_is_the_share_of_pairs_in_order(positives: list[int], negatives: list[int]) -> None:
    high, low = np.array(positives, float), np.array(negatives, float)
    pairs = (high[:, None] > low[None]).mean() + 0.5 * (high[:, None] == low[None]).mean()
    assert auroc(high, low) == pytest.approx(pairs)
    assert auroc(high, low) + auroc(low, high) == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.floats(0, 0.5))
def test_the_threshold_keeps_the_false_alarms(negatives: list[float], allowed: float) -> None:
    low = np.array(negatives)
    assert recall_at(low, low, allowed) <= allowed + 1e-9


def photos_of(products: list[str], vectors: np.ndarray) -> Embedded:
    shown = tuple(ProductPhoto(Path(f"{row}.jpg"), name, name[0], name[0] == "p") for row, name in enumerate(products))
    return Embedded(shown, (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))


def clusters(spread: float, seed: int, products: int = 12, views: int = 6) -> tuple[Embedded, Embedded]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(products, 32))
    names = [f"{'pq'[index % 2]}{index:02}" for index in range(products)]
    each = [
        (names[index], centres[index] + spread * rng.normal(size=32)) for index in range(products) for _ in range(views)
    ]
    half = photos_of([name for name, _ in each[::2]], np.stack([vector for _, vector in each[::2]]))
    rest = photos_of([name for name, _ in each[1::2]], np.stack([vector for _, vector in each[1::2]]))
    return half, rest


def test_clear_clusters_score_full_and_noise_scores_nothing() -> None:
    enrolled, asked = clusters(0.2, 1)
    found = score(enrolled, asked, enrolled, Calibration(), (1.0, 1.0))
    assert (found.top1_fine, found.top1_coarse, found.top1_packages, found.unknown_auroc) == (1.0, 1.0, 1.0, 1.0)
    assert found.unknown_recall_at_1pct_fpr == 1.0
    noise_in, noise_out = clusters(50.0, 2)
    guess = top1(noise_in, noise_out)
    assert guess is not None
    assert guess < 0.4
    blurred = open_set(noise_in, noise_out, Calibration())
    assert blurred is not None
    assert 0.3 < blurred[0] < 0.7


def test_open_set_figures_are_the_same_every_time() -> None:
    enrolled, asked = clusters(1.0, 3)
    assert open_set(enrolled, asked, Calibration()) == open_set(enrolled, asked, Calibration())


@pytest.mark.parametrize("spread", [0.3, 0.8])
def test_calibrated_chances_come_true(spread: float) -> None:
    """Of the answers given with a chance, about that share is right; a blurrier model is less sure."""
    enrolled, asked = clusters(spread, 5, products=40)
    fitted = calibrate(enrolled, asked)
    nearest_own = [
        float((enrolled.vectors[[p.product == one.product for p in enrolled.photos]] @ vector).max())
        for one, vector in zip(asked.photos, asked.vectors, strict=True)
    ]
    assert fitted.none_cosine < float(np.mean(nearest_own))
    found = score(enrolled, asked, enrolled, fitted, (1.0, 1.0))
    assert found.answered > 0.5
    assert found.answered_right is not None
    assert found.answered_right > 0.9


def test_calibration_needs_products_to_leave_out() -> None:
    enrolled, asked = clusters(0.3, 1, products=3)
    with pytest.raises(ValueError, match="at least 4"):
        calibrate(enrolled, asked)


# -- what it learns from -------------------------------------------------------------------------------------------


def test_views_are_pictures_of_the_wanted_size_and_the_same_for_the_same_chance() -> None:
    photo = np.ascontiguousarray(np.random.default_rng(0).integers(0, 256, (140, 200, 3), dtype=np.uint8))
    plan = ViewPlan(size_px=64, on_white=0.5, covered=0.9, blurred=0.9)
    for seed in range(60):
        view = view_of(photo, np.random.default_rng(seed), plan, lambda: photo, may_mirror=True)
        again = view_of(photo, np.random.default_rng(seed), plan, lambda: photo, may_mirror=True)
        assert (view.shape, view.dtype) == ((64, 64, 3), np.uint8)
        assert (view == again).all()
    assert still_view(photo, 64).shape == (64, 64, 3)


def test_a_cut_out_lies_on_its_ground() -> None:
    rng = np.random.default_rng(7)
    ground = np.full((128, 128, 3), 255, np.uint8)
    shown = placed_on(invent_object(rng, 100), ground, rng)
    assert shown.shape == ground.shape
    assert 0.02 < (shown != 255).any(axis=2).mean() < 0.98


def test_the_same_folder_gives_the_same_photos(store: Path) -> None:
    one, two = (read_product_photos(store / "train", "grocery-store") for _ in range(2))
    assert one == two
    assert [photo.is_packed for photo in one.photos] == [True] * 4 + [False] * 2
    assert {photo.kind for photo in one.catalogue} == {"Milk", "Lime"}
    with pytest.raises(FileProblems, match="no folder"):
        read_product_photos(store / "nowhere", "folders")

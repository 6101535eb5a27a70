from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from shelf_contracts.errors import FileProblems
from shelf_contracts.manifest import Manifest
from shelf_contracts.shipped import DEFAULT_RECOGNISER, model_folder
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.adapters.recogniser_onnx import load_recogniser
from shelf_testing.grid_recogniser import SIDE_PX, expected_embedding, golden_picture, write_grid_recogniser


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_grid_recogniser(tmp_path / "grid")


def change(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    for key, value in changes.items():
        part = manifest
        *path, last = key.split("__")
        for name in path:
            part = part[name]
        part[last] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_embeddings_are_the_graphs_and_have_length_1(folder: Path) -> None:
    recogniser = load_recogniser(folder)
    rng = np.random.default_rng(3)
    crops = [rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8) for _ in range(19)]
    found = recogniser.embed(crops)
    assert (found.shape, found.dtype) == ((19, recogniser.dimension), np.float32)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0, abs=1e-5)
    for crop, vector in zip(crops, found, strict=True):
        assert vector == pytest.approx(expected_embedding(crop), abs=1e-4)
    assert (recogniser.info.role, recogniser.info.name) == ("recogniser", "grid")
    assert recogniser.embedder.sha256 == recogniser.info.sha256
    assert (recogniser.calibration.temperature, recogniser.calibration.none_cosine) == (0.05, 0.8)


def test_a_crop_keeps_its_aspect_on_a_padded_ground(folder: Path) -> None:
    tall = np.zeros((128, 32, 3), np.uint8)
    ground = np.full((SIDE_PX, SIDE_PX, 3), 255, np.uint8)
    ground[:, 24:40] = 0
    assert load_recogniser(folder).embed([tall])[0] == pytest.approx(expected_embedding(ground), abs=1e-4)


def test_a_batch_gives_what_each_crop_gives_alone(folder: Path) -> None:
    recogniser = load_recogniser(folder)
    rng = np.random.default_rng(4)
    crops = [rng.integers(0, 256, (int(h), int(w), 3), dtype=np.uint8) for h, w in rng.integers(20, 200, (11, 2))]
    alone = np.concatenate([recogniser.embed([crop]) for crop in crops])
    assert recogniser.embed(crops) == pytest.approx(alone, abs=1e-6)
    assert recogniser.embed([]).shape == (0, recogniser.dimension)


def test_what_is_no_picture_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="uint8"):
        load_recogniser(folder).embed([np.zeros((20, 20, 3), np.float32)])  # type: ignore[list-item]


def test_a_golden_picture_that_lies_elsewhere_is_refused(folder: Path) -> None:
    vector = [-round(float(value), 4) for value in expected_embedding(golden_picture())]
    change(folder, embedding__golden__vector=vector)
    with pytest.raises(FileProblems, match=r"embedding\.golden = cosine -1\.0000: must be at least 0\.99"):
        load_recogniser(folder)


def test_an_exchanged_golden_picture_is_refused(folder: Path) -> None:
    cv2.imwrite(str(folder / "golden.png"), golden_picture()[::-1])
    with pytest.raises(FileProblems, match="must have the hash"):
        load_recogniser(folder)


def test_another_dimension_than_the_manifests_is_refused(folder: Path) -> None:
    change(folder, embedding__dimension=32, embedding__golden=None)
    with pytest.raises(FileProblems, match=r"dimension = \(2, 48\): must give \(n, 32\)"):
        load_recogniser(folder)


def test_detectors_and_recognisers_are_not_exchanged(folder: Path) -> None:
    with pytest.raises(FileProblems, match="role = recogniser: must be detector"):
        load_detector(folder)
    with pytest.raises(FileProblems, match="role = detector: must be recogniser"):
        load_recogniser(model_folder())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"embedding": None}, "a recogniser has role"),
        ({"role": "detector"}, "a recogniser has role"),
        ({"head": "yolo"}, "a recogniser has role"),
        ({"labels": ["product"]}, "a recogniser has no labels"),
        ({"embedding__golden__vector": [0.5] * 10}, "has 10 numbers, dimension says 48"),
        ({"embedding__temperature": 0.0}, "temperature"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(folder: Path, changes: dict[str, Any], text: str) -> None:
    change(folder, **changes)
    with pytest.raises(ValidationError, match=text):
        Manifest.model_validate_json((folder / "manifest.json").read_text())


def test_the_shipped_recogniser_keeps_a_picture_together_in_other_light() -> None:
    folder = model_folder(DEFAULT_RECOGNISER)
    recogniser = load_recogniser(folder)
    picture = read_picture(folder / "golden.png")
    darker = np.asarray(cv2.convertScaleAbs(picture, alpha=0.8), np.uint8)
    other = np.ascontiguousarray(np.random.default_rng(0).integers(0, 256, picture.shape, dtype=np.uint8))
    here, there, away = recogniser.embed([picture, darker, other])
    assert here @ there > recogniser.calibration.none_cosine
    assert here @ away < 0.5

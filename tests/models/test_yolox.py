"""The network against the published file, and a loss that teaches. Needs the training environment (make test-train)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from shelf_testing.real_data import real_data

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's own, about its exporter
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.skipif(find_spec("torch") is None, reason="needs the training environment: make test-train"),
]


@pytest.mark.real
def test_the_network_says_what_the_published_file_says() -> None:
    import onnxruntime as ort
    import torch

    from shelf_models.yolox_network import YoloxNano, start_from_onnx

    file = real_data("baselines", "yolox_nano.onnx")
    network = YoloxNano(80)
    start_from_onnx(network, file, [[index] for index in range(80)])
    network.exported = True
    picture = np.random.default_rng(1).uniform(0, 255, (1, 3, 416, 416)).astype(np.float32)
    wanted = ort.InferenceSession(str(file)).run(None, {"images": picture})[0]
    with torch.no_grad():
        found = network.eval()(torch.from_numpy(picture)).numpy()
    assert found == pytest.approx(wanted, abs=1e-3)


def test_an_exported_network_can_be_trained_on_and_takes_any_size(tmp_path: Path) -> None:
    import onnxruntime as ort
    import torch

    from shelf_models.export_yolox import export
    from shelf_models.yolox_network import YoloxNano, start_from_onnx

    torch.manual_seed(3)
    network = YoloxNano(5)
    file = export(network, tmp_path / "model.onnx", 256, 160)
    again = YoloxNano(5)
    start_from_onnx(again, file, [[index] for index in range(5)])
    session = ort.InferenceSession(str(file))
    for height, width in ((160, 256), (96, 64)):
        picture = np.full((1, 3, height, width), 80, np.float32)
        rows = session.run(None, {"images": picture})[0]
        assert rows.shape == (1, height * width // 64 + height * width // 256 + height * width // 1024, 10)
        again.exported = True
        with torch.no_grad():
            assert again.eval()(torch.from_numpy(picture)).numpy() == pytest.approx(rows, abs=1e-3)


def test_another_network_is_refused_with_what_differs(tmp_path: Path) -> None:
    import torch

    from shelf_models.yolox_network import YoloxNano, start_from_onnx

    file = tmp_path / "other.onnx"
    torch.onnx.export(torch.nn.Conv2d(3, 4, 3), (torch.zeros(1, 3, 8, 8),), str(file), dynamo=False)
    with pytest.raises(ValueError, match=r"other.onnx has 1 convolutions; YOLOX-nano has 113"):
        start_from_onnx(YoloxNano(5), file, [[0]] * 5)


def test_steps_teach_a_red_square() -> None:
    import torch

    from shelf_models.augment import Labelled
    from shelf_models.sources import MemorySource
    from shelf_models.yolox_fit import FitPlan, Share, fit
    from shelf_models.yolox_loss import TrueBoxes, yolox_loss
    from shelf_models.yolox_network import YoloxNano

    picture = np.full((96, 96, 3), 60, np.uint8)
    picture[30:62, 20:60] = (20, 20, 230)
    source = MemorySource([Labelled(picture, np.array([[20, 30, 60, 62]], np.float32), np.zeros(1, np.int64))])

    def loss(network: YoloxNano) -> float:
        rows = network(torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32)))
        truth = [TrueBoxes(torch.tensor([[40.0, 46, 40, 32]]), torch.zeros(1, dtype=torch.int64), torch.zeros(0, 4))]
        with torch.no_grad():
            return float(yolox_loss(rows, truth, (96, 96), torch.ones(5), late=False).total)

    torch.manual_seed(0)
    network = YoloxNano(5)
    before = loss(network)
    plan = FitPlan(steps=150, batch=1, learning_rate=3e-3, backbone_share=1.0, mosaic_share=0.0)
    assert loss(fit(network, [Share(source, 1.0)], plan)) < 0.7 * before


def test_what_nobody_knows_is_not_taught() -> None:
    import torch

    from shelf_models.yolox_loss import TrueBoxes, yolox_loss

    rows = torch.zeros(1, 8 * 8 + 4 * 4 + 2 * 2, 10, requires_grad=True)
    everywhere = torch.tensor([[32.0, 32, 64, 64]])
    nothing = TrueBoxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), everywhere)
    assert float(yolox_loss(rows, [nothing], (64, 64), torch.ones(5), late=False).total) == 0.0
    known = TrueBoxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4))
    assert float(yolox_loss(rows, [known], (64, 64), torch.ones(5), late=False).total) > 0.0


def test_nothing_is_forgotten_by_the_same_answers_and_all_by_others() -> None:
    import torch

    from shelf_models.yolox_loss import forgetting

    known = torch.full((1, 4, 10), -6.0)
    known[0, 1, 4], known[0, 1, 6] = 6.0, 6.0  # one cell that is surely a hand
    moved = known.clone()
    moved[0, 1, 6] = -6.0
    product = known.clone()
    product[0, 2, 4], product[0, 2, 5] = 6.0, 6.0  # a product more is no forgetting
    assert forgetting(known, known) == 0
    assert forgetting(moved, known) > 5
    assert forgetting(product, known) < 0.01

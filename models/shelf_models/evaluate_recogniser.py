"""Figures of a recogniser: products by their reference photos, by one catalogue picture, and how honest its unknown is.

It measures what ships: the edge's own pre-processing, matching and decisions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from shelf_contracts.errors import FileProblems, Problem
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.adapters.recogniser_onnx import OnnxRecogniser
from shelf_edge.core.frame import Picture
from shelf_edge.core.recognition import Calibration, References, build_references, decide, looks_of
from shelf_models.product_photos import ProductPhoto, ProductPhotos

OPEN_SET_SPLITS = 5
_FALSE_ALARMS = 0.01
_MOST_PROBLEMS = 20
_READ_SIDE_PX = 512
"""Larger photos are shrunk to this when they are read: a data set of phone photos fits the memory."""

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Embedded:
    """Photos and their embeddings (n, d), row by row."""

    photos: tuple[ProductPhoto, ...]
    vectors: Vectors

    def only(self, keep: Callable[[ProductPhoto], bool]) -> Embedded:
        rows = [row for row, photo in enumerate(self.photos) if keep(photo)]
        return Embedded(tuple(self.photos[row] for row in rows), self.vectors[rows])

    def references(self) -> References:
        products, kinds = [p.product for p in self.photos], [p.kind for p in self.photos]
        return build_references(self.vectors, products, kinds)


@dataclass(frozen=True)
class RecogniserScore:
    """What was measured; None where the folders hold nothing to measure it on.

    Attributes:
        top1_fine: share of the queries whose product came first.
        top1_coarse: whose kind did.
        top1_packages: ``top1_fine`` of the packed goods alone.
        one_shot_top1_packages: with one catalogue picture of every product as the whole gallery.
        one_shot_top1: with one photo of each product as the whole gallery (the first one).
        unknown_auroc: half of the products enrolled: how well known and unknown queries are told apart.
        unknown_recall_at_1pct_fpr: unknown queries called unknown while 1 % of the known ones are.
        answered, answered_right: share of the queries with the verdict ``known`` at the shipped thresholds, and how
            many of those are right.
        ms_per_crop: CPU time on one core, which other programs do not lengthen; batches of 8, pre-processing included;
            the median of the batches.
        ms_per_match: 32 crops against a gallery of 50,000 photos of 10,000 products, answers included; the median.
            CPU time of all of numpy's threads: OPENBLAS_NUM_THREADS=1 makes it one.
    """

    queries: int
    products: int
    references: int
    top1_fine: float | None
    top1_coarse: float | None
    top1_packages: float | None
    one_shot_top1_packages: float | None
    one_shot_top1: float | None
    unknown_auroc: float | None
    unknown_recall_at_1pct_fpr: float | None
    answered: float
    answered_right: float | None
    ms_per_crop: float
    ms_per_match: float

    def as_json(self) -> dict[str, float | int | None]:
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in self.__dict__.items()}

    def shares(self) -> dict[str, float]:
        """What was measured and depends on no machine, for a manifest."""
        return {
            name: value
            for name, value in self.as_json().items()
            if isinstance(value, float) and not name.startswith("ms_")
        }

    def protocol(self) -> str:
        """How it was measured, for a manifest."""
        return (
            f"{self.references} reference photos of {self.products} products enrolled, {self.queries} other photos "
            f"asked; open set: half of the products enrolled, mean of {OPEN_SET_SPLITS} splits; the edge's own "
            "pre-processing, matching and decisions (smartshelf models evaluate recogniser)"
        )


def evaluate_recogniser(
    recogniser: OnnxRecogniser,
    gallery: ProductPhotos,
    queries: ProductPhotos,
    on_picture: Callable[[], None] = lambda: None,
) -> RecogniserScore:
    """Enrol the gallery's photos, ask with the queries'.

    Raises: FileProblems naming every picture that cannot be read, or queries of which no product is in the gallery.
    """
    enrolled_names = {photo.product for photo in gallery.photos}
    if not any(photo.product in enrolled_names for photo in queries.photos):
        found = f"none of {len({photo.product for photo in queries.photos})} products"
        remedy = "the folders (or the names in classes.csv) must call a product the same"
        where = queries.photos[0].path.parent
        raise FileProblems(where, [Problem("query", found, "is in the gallery", remedy)])
    catalogue = gallery.catalogue or queries.catalogue
    enrolled = embed_photos(recogniser, gallery.photos, on_picture)
    asked = embed_photos(recogniser, queries.photos, on_picture)
    iconic = embed_photos(recogniser, catalogue, on_picture)
    times = (ms_per_crop(recogniser, queries.photos), ms_per_match(recogniser.dimension))
    return score(enrolled, asked, iconic, recogniser.calibration, times)


def score(
    enrolled: Embedded, asked: Embedded, iconic: Embedded, calibration: Calibration, times_ms: tuple[float, float]
) -> RecogniserScore:
    """All figures from embeddings; pure."""
    packed = asked.only(lambda photo: photo.is_packed)
    openness = open_set(enrolled, asked, calibration)
    answers = [decide(look, calibration) for look in looks_of(enrolled.references(), asked.vectors, calibration)]
    known = [(answer, photo) for answer, photo in zip(answers, asked.photos, strict=True) if answer.verdict == "known"]
    firsts: dict[str, int] = {}
    for row, photo in enumerate(enrolled.photos):
        firsts.setdefault(photo.product, row)
    rows = sorted(firsts.values())
    first = Embedded(tuple(enrolled.photos[row] for row in rows), enrolled.vectors[rows])
    return RecogniserScore(
        queries=len(asked.photos),
        products=len({photo.product for photo in enrolled.photos}),
        references=len(enrolled.photos),
        top1_fine=top1(enrolled, asked),
        top1_coarse=top1(enrolled, asked, by_kind=True),
        top1_packages=top1(enrolled, packed),
        one_shot_top1_packages=top1(iconic, packed),
        one_shot_top1=top1(first, asked),
        unknown_auroc=openness[0] if openness else None,
        unknown_recall_at_1pct_fpr=openness[1] if openness else None,
        answered=len(known) / len(answers),
        answered_right=sum(answer.product == photo.product for answer, photo in known) / len(known) if known else None,
        ms_per_crop=times_ms[0],
        ms_per_match=times_ms[1],
    )


def top1(enrolled: Embedded, asked: Embedded, *, by_kind: bool = False) -> float | None:
    """Share of the queries whose product (or kind) is that of the likeliest product; None when nothing can be asked."""
    if not asked.photos or not enrolled.photos or (by_kind and not all(photo.kind for photo in asked.photos)):
        return None
    plain = Calibration()
    looks = looks_of(enrolled.references(), asked.vectors, plain)
    right = 0
    for look, photo in zip(looks, asked.photos, strict=True):
        best = look.candidates[0]
        right += best.kind == photo.kind if by_kind else best.product == photo.product
    return right / len(asked.photos)


def open_set(
    enrolled: Embedded, asked: Embedded, calibration: Calibration, splits: int = OPEN_SET_SPLITS
) -> tuple[float, float] | None:
    """AUROC, and the recall of unknown ones at 1 % of known ones refused; means over splits with fixed seeds."""
    products = sorted({photo.product for photo in enrolled.photos})
    found = []
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(products))
        half = {products[index] for index in order[: (len(products) + 1) // 2]}
        references = enrolled.only(lambda photo, half=half: photo.product in half).references()  # type: ignore[misc]
        known = np.array([photo.product in half for photo in asked.photos])
        if known.all() or not known.any():
            continue
        none = np.array([look.none_chance for look in looks_of(references, asked.vectors, calibration)])
        found.append((auroc(none[~known], none[known]), recall_at(none[~known], none[known], _FALSE_ALARMS)))
    if not found:
        return None
    return float(np.mean([one[0] for one in found])), float(np.mean([one[1] for one in found]))


def auroc(positives: npt.NDArray[np.floating], negatives: npt.NDArray[np.floating]) -> float:
    """The chance that a positive scores above a negative; a tie is half.

    >>> auroc(np.array([0.9, 0.4]), np.array([0.5, 0.1]))
    0.75
    """
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left")
    upto = np.searchsorted(ordered, positives, "right")
    return float((below + upto).mean() / 2 / len(negatives))


def recall_at(positives: npt.NDArray[np.floating], negatives: npt.NDArray[np.floating], false_alarms: float) -> float:
    """Share of the positives above the threshold that at most this share of the negatives exceeds.

    >>> recall_at(np.array([0.9, 0.6, 0.2]), np.array([0.5, 0.1]), 0.01)
    0.6666666666666666
    """
    ordered = np.sort(negatives)[::-1]
    threshold = ordered[int(false_alarms * len(ordered))]
    return float((positives > threshold).mean())


def embed_photos(
    recogniser: OnnxRecogniser, photos: Sequence[ProductPhoto], on_picture: Callable[[], None] = lambda: None
) -> Embedded:
    """Raises: FileProblems of the first broken picture, with all the others named."""
    vectors, problems, broken = [], [], None
    for photo in photos:
        try:
            vectors.append(recogniser.embed([_read(photo.path)])[0])
        except FileProblems as error:
            broken = broken or photo.path
            problems += [Problem(photo.path.name, one.found, one.allowed, one.remedy) for one in error.problems]
        on_picture()
    if broken is not None:
        raise FileProblems(broken.parent, problems[:_MOST_PROBLEMS])
    stacked = np.stack(vectors) if vectors else np.zeros((0, recogniser.dimension), np.float32)
    return Embedded(tuple(photos), stacked)


def _read(path: Path) -> Picture:
    picture = read_picture(path)
    scale = _READ_SIDE_PX / max(picture.shape[:2])
    if scale >= 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def ms_per_crop(recogniser: OnnxRecogniser, photos: Sequence[ProductPhoto], batches: int = 12) -> float:
    """Median over batches of 8; the first one is not counted."""
    crops = [_read(photo.path) for photo in photos[:8]]
    recogniser.embed(crops)
    times = []
    for _ in range(batches):
        began = time.process_time()
        recogniser.embed(crops)
        times.append((time.process_time() - began) * 1e3 / len(crops))
    return float(np.median(times))


def ms_per_match(dimension: int, photos: int = 50_000, crops: int = 32, times: int = 9) -> float:
    """Median over some calls; the first one is not counted."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(photos, dimension)).astype(np.float16)
    references = build_references(matrix, [f"{row // 5:06d}" for row in range(photos)])
    asked = rng.normal(size=(crops, dimension)).astype(np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    taken = []
    for _ in range(times + 1):
        began = time.process_time()
        looks_of(references, asked, Calibration())
        taken.append((time.process_time() - began) * 1e3)
    return float(np.median(taken[1:]))

"""What a recogniser's cosines mean, from photos it was not trained on and products left out of the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from shelf_edge.core.recognition import Calibration, build_references, product_cosines
from shelf_models.evaluate_recogniser import Embedded

_TEMPERATURES = np.geomspace(0.015, 0.2, 19)
_NONE_COSINES = np.linspace(0.1, 0.95, 35)
_SPLITS = 4
_LEAST = 1e-6


def calibrate(references: Embedded, queries: Embedded, start: Calibration = Calibration()) -> Calibration:  # noqa: B008
    """Temperature and none-cosine under which what was asked is likeliest; thresholds stay as they are.

    Half of the products are enrolled at a time: of a query of the others, "none of them" is the right answer.
    Raises: ValueError when fewer than four products can be asked.
    """
    cases = [_case(references, queries, seed) for seed in range(_SPLITS)]
    best, chosen = -np.inf, start
    for temperature in _TEMPERATURES:
        for none_cosine in _NONE_COSINES:
            tried = replace(start, temperature=float(temperature), none_cosine=float(none_cosine))
            likelihood = float(np.mean([_log_likelihood(cosines, own, tried) for cosines, own in cases]))
            if likelihood > best:
                best, chosen = likelihood, tried
    return replace(chosen, temperature=round(chosen.temperature, 4), none_cosine=round(chosen.none_cosine, 4))


_Case = tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]


def _case(references: Embedded, queries: Embedded, seed: int) -> _Case:
    """Cosines (queries, 10 nearest and the own product), and the column of the own product; -1 when not enrolled."""
    products = sorted({photo.product for photo in references.photos})
    if len(products) < 4:
        raise ValueError(f"{len(products)} products: calibration needs at least 4")
    half = set(np.random.default_rng([seed, 7]).permutation(products)[: len(products) // 2].tolist())
    enrolled = references.only(lambda photo: photo.product in half)
    ready = build_references(enrolled.vectors, [photo.product for photo in enrolled.photos])
    cosines = product_cosines(ready, queries.vectors)
    column = {product: index for index, product in enumerate(ready.products)}
    own = np.array([column.get(photo.product, -1) for photo in queries.photos], np.intp)
    return cosines, own


def _log_likelihood(cosines: npt.NDArray[np.float32], own: npt.NDArray[np.intp], tried: Calibration) -> float:
    """Mean over known and unknown queries, each side counted alike."""
    near = np.sort(cosines, axis=1)[:, -10:]
    logits = (near - tried.none_cosine) / tried.temperature
    top = np.maximum(0.0, logits.max(axis=1))
    total = np.exp(logits - top[:, None]).sum(axis=1) + np.exp(-top)
    of_own = (cosines[np.arange(len(own)), np.maximum(own, 0)] - tried.none_cosine) / tried.temperature
    chance = np.where(own >= 0, np.exp(of_own - top), np.exp(-top)) / total
    logs = np.log(np.maximum(chance, _LEAST))
    sides: Sequence[npt.NDArray[np.float64]] = [logs[own >= 0], logs[own < 0]]
    return float(np.mean([side.mean() for side in sides if len(side)]))

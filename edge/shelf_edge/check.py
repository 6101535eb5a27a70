"""Everything a configuration names, tried at once: planograms, models with their self-tests, the gallery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from shelf_contracts.errors import FileProblems, raise_together
from shelf_contracts.gallery import read_gallery
from shelf_contracts.messages import ModelInfo
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.recogniser_onnx import load_recogniser
from shelf_edge.config import CheckedConfig, inspect_config

T = TypeVar("T")


@dataclass(frozen=True)
class WholeCheck:
    """What was found good.

    Attributes:
        recogniser: its embedder; empty when there is none.
        products: how many the gallery knows; None when none is configured.
    """

    config: CheckedConfig
    model: ModelInfo
    recogniser: str = ""
    products: int | None = None


def check_whole(path: Path) -> WholeCheck:
    """Raises: FileProblems (SeveralFiles) with everything that is wrong, whichever file it is in."""
    checked, wrong = inspect_config(path)
    section = checked.config.model

    def tried(load: Callable[[], T]) -> T | None:
        try:
            return load()
        except FileProblems as problem:
            if str(problem) not in map(str, wrong):
                wrong.append(problem)
            return None

    detector = tried(lambda: load_detector(checked.model, execution=section.execution, trust=section.trust))
    embedder, products = "", None
    if checked.recogniser is not None:
        folder = checked.recogniser
        recogniser = tried(lambda: load_recogniser(folder, execution=section.execution, trust=section.trust))
        if recogniser is not None:
            embedder = str(recogniser.embedder)
            if checked.gallery is not None:
                gallery = checked.gallery
                known = tried(lambda: read_gallery(gallery, recogniser.embedder, recogniser.dimension))
                products = len(known.gtins) if known is not None else None
    raise_together(wrong)
    assert detector is not None, "else something was wrong"
    return WholeCheck(checked, detector.info, embedder, products)

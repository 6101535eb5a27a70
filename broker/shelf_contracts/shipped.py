"""Where the files are that the distribution ships: models and the demo shop."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

DEFAULT_MODEL = "shelf-nano"
DEFAULT_RECOGNISER = "recogniser-small"


def model_folder(name: str = DEFAULT_MODEL) -> Path:
    """Folder of a shipped model. Components meet in files: the package is located, never imported.

    Raises: FileNotFoundError saying what to do when it is not installed.
    """
    return _package_folder("shelf_models") / "shipped" / name


def demo_shop_folder() -> Path:
    """Folder of the demo shop: products.json and packs.json."""
    return _package_folder("shelf_simulator") / "shop"


def simulator_folder() -> Path:
    """Folder of the simulator, which is run as a child process. Raises: FileNotFoundError as ``model_folder``."""
    return _package_folder("shelf_simulator")


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places:
        raise FileNotFoundError(f"the package {package} is not installed; install smartshelf from its wheel")
    return Path(places[0])

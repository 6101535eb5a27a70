"""Where shipped files are found without importing the packages that hold them."""

from __future__ import annotations

import sys

import pytest

from shelf_contracts import shipped


def test_folders_lie_inside_the_packages() -> None:
    assert shipped.model_folder("x").parts[-3:] == ("shelf_models", "shipped", "x")
    assert shipped.demo_shop_folder().parts[-2:] == ("shelf_simulator", "shop")


def test_a_missing_package_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match="install smartshelf"):
        shipped.model_folder()


def test_locating_a_package_does_not_import_it() -> None:
    before = set(sys.modules)
    shipped.demo_shop_folder()
    assert not {name for name in set(sys.modules) - before if name.startswith("shelf_simulator")}

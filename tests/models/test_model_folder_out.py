"""Where training writes: never over somebody's files, and never nothing in the place of a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelf_contracts.errors import FileProblems
from shelf_models.describe import check_out, put_in_place
from shelf_testing.gradient_model import write_model_folder


def test_a_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_text("x")
    (tmp_path / "file").write_text("x")
    for taken in ("photos", "file"):
        with pytest.raises(FileProblems, match="must be new, empty or a model folder"):
            check_out(tmp_path / taken)
        with pytest.raises(FileProblems):
            put_in_place(tmp_path / "built", tmp_path / taken)
    assert (tmp_path / "photos" / "holiday.jpg").read_text() == "x"


def test_a_model_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_model_folder(tmp_path / "out", version="1")
    (tmp_path / "out" / "old.txt").write_text("of the old one")
    write_model_folder(tmp_path / "built", version="2")
    check_out(tmp_path / "out")
    put_in_place(tmp_path / "built", tmp_path / "out")
    assert '"version":"2"' in (tmp_path / "out" / "manifest.json").read_text().replace(" ", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]
    assert not (tmp_path / "out" / "old.txt").exists()


def test_new_and_empty_folders_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    check_out(tmp_path / "empty")
    check_out(tmp_path / "new" / "model")

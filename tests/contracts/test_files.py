"""Reading files: the model, or every problem at once with its key path and a way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from shelf_contracts.errors import FileProblems, MessageProblem, Problem, shown
from shelf_contracts.files import LARGEST_FILE_BYTES, check_target, key_path, read_model
from shelf_contracts.manifest import Manifest
from shelf_contracts.planogram import Planogram

Write = Callable[..., Path]


class _Camera(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    fps: float = Field(default=10, ge=1, le=60)


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid")
    store: str
    cameras: list[_Camera] = []


def _problems(file: Path, model: type[BaseModel]) -> dict[str, Problem]:
    with pytest.raises(FileProblems) as caught:
        read_model(file, model)
    assert caught.value.file == file
    assert all(line.startswith(f"{file}: ") for line in str(caught.value).splitlines())
    return {problem.key: problem for problem in caught.value.problems}


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_both_formats_are_read(suffix: str, json_file: Write) -> None:
    text = {
        "toml": 'store = "s1"\n[[cameras]]\nid = "c1"\nfps = 5\n',
        "json": '{"store": "s1", "cameras": [{"id": "c1", "fps": 5}]}',
    }[suffix]
    assert read_model(json_file(text, f"x.{suffix}"), _Config) == _Config(store="s1", cameras=[_Camera(id="c1", fps=5)])


def test_all_problems_of_a_file_are_told_at_once(json_file: Write) -> None:
    found = _problems(json_file({"stor": "s1", "cameras": [{"id": "c1"}, {"id": 3, "fps": -3, "fsp": 1}]}), _Config)
    assert set(found) == {"stor", "store", "cameras[1].id", "cameras[1].fps", "cameras[1].fsp"}
    assert found["stor"].remedy == "did you mean 'store'?"
    assert found["cameras[1].fsp"].remedy == "did you mean 'fps'?"
    assert found["store"].found == "(missing)"
    assert str(found["cameras[1].fps"]) == "cameras[1].fps = -3: Input should be greater than or equal to 1"


def test_a_name_like_no_other_is_to_be_removed(json_file: Write) -> None:
    assert _problems(json_file({"store": "s", "zzzzqq": 1}), _Config)["zzzzqq"].remedy == "remove it"


def test_the_nearest_name_is_the_one_written_in_the_file(json_file: Write, planogram_content: dict[str, Any]) -> None:
    planogram_content["positions"][0]["product_Id"] = planogram_content["positions"][0].pop("productId")
    planogram_content["scheme"] = planogram_content.pop("schema")
    found = _problems(json_file(planogram_content), Planogram)
    assert found["positions[0].product_Id"].remedy == "did you mean 'productId'?"
    assert found["scheme"].remedy == "did you mean 'schema'?"


def test_what_is_wrong_with_the_whole_says_so(json_file: Write, planogram_content: dict[str, Any]) -> None:
    planogram_content["positions"][1]["x"] = 150
    planogram_content["positions"][0]["productId"] = "peas"
    problems = _problems(json_file(planogram_content), Planogram)
    assert str(problems["positions[0].productId"]) == (
        "positions[0].productId = 'peas': must be the id of one of products"
    )
    assert "by 10 x 110 mm: must not overlap another slot" in str(problems["positions[1]"])
    assert len(problems) == 2, "one line each, not a list in one"


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("", "x.json", "not JSON"),
        ("{", "x.json", "not JSON"),
        ("[" * 100_000, "x.json", "recursion"),
        ("[]", "x.json", "must be an object with named keys"),
        ('"text"', "x.json", "must be an object with named keys"),
        ('{"store": NaN}', "x.json", "NaN is not a JSON number"),
        ('{"store": "a", "bay": {"x": 1, "x": 2}}', "x.json", "'x' stands in one object twice"),
        ('{"store": ' + "1" * 5000 + "}", "x.json", "not JSON"),
        ("store = ", "x.toml", "not TOML"),
        ('store = "a"\nstore = "b"\n', "x.toml", "not TOML"),
        ("", "x.toml", "store"),
    ],
)
def test_files_that_cannot_be_read_as_what_they_are(text: str, name: str, says: str, json_file: Write) -> None:
    with pytest.raises(FileProblems) as caught:
        read_model(json_file(text, name), _Config)
    assert says in str(caught.value)


def test_a_missing_file_a_folder_and_foreign_bytes_are_told_apart(tmp_path: Path) -> None:
    assert "No such file" in str(_problems(tmp_path / "none.json", _Config)[""])
    assert "check the path" in str(_problems(tmp_path, _Config)[""])
    foreign = tmp_path / "x.json"
    foreign.write_bytes(b"\xff\xfe\x00")
    assert "not JSON" in str(_problems(foreign, _Config)[""])


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.json"
    with file.open("wb") as out:
        out.truncate(LARGEST_FILE_BYTES + 1)
    assert f"must be at most {LARGEST_FILE_BYTES} bytes" in str(_problems(file, _Config)[""])


@pytest.mark.parametrize(
    ("location", "expected"),
    [((), ""), (("a",), "a"), (("a", "b"), "a.b"), (("a", 0, 1, "b"), "a[0][1].b"), ((2, "x"), "[2].x")],
)
def test_key_paths(location: tuple[int | str, ...], expected: str) -> None:
    assert key_path(location) == expected


@given(st.recursive(st.none() | st.text() | st.binary() | st.integers(), st.lists, max_leaves=20))
def test_a_shown_value_is_short_and_on_one_line(value: object) -> None:
    text = shown(value)
    assert len(text) <= 80
    assert "\n" not in text


def test_what_cannot_be_printed_is_shown_by_its_type() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "(list)"
    while deep:  # taken apart by hand: the interpreter would do it recursively
        deep = deep[0]
    assert shown(10**5000) == "(int)"


def test_errors_carry_what_a_program_needs() -> None:
    problem = MessageProblem("a/b", [Problem("x", "1", "must be 2", "write 2"), Problem("", "y", "z")])
    assert problem.topic == "a/b"
    assert str(problem) == "a/b: x = 1: must be 2; write 2; (whole file) = y: z"


_MANIFEST: dict[str, Any] = {
    "schema": "smartshelf.model.v1", "name": "shelf-demo", "version": "1", "file": "model.onnx", "sha256": "0" * 64,
    "licence": "Apache-2.0", "head": "yolox", "preprocessing": {"width": 640, "height": 640},
    "labels": ["item", "hand"], "kinds": {"item": "product", "hand": "hand"},
}  # fmt: skip


def test_a_manifest_is_taken() -> None:
    manifest = Manifest.model_validate(_MANIFEST)
    assert manifest.preprocessing.scale == pytest.approx(1 / 255)
    assert manifest.golden is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kinds": {"item": "product", "face": "person"}}, "kinds names face, which labels does not hold"),
        ({"kinds": {"hand": "hand"}}, "kinds must say which label is a product"),
        ({"kinds": {}}, "kinds must say which label is a product"),
        ({"kinds": {"item": "animal"}}, "kinds"),
        ({"sha256": "F" * 64}, "sha256"),
        ({"sha256": "0" * 63}, "sha256"),
        ({"head": "ssd"}, "head"),
        ({"labels": []}, "labels"),
        ({"preprocessing": {"width": 650, "height": 640}}, "multiple of 32"),
        ({"preprocessing": {"width": 640, "height": 640, "scale": 0}}, "scale"),
        ({"score_threshold": 1.0}, "score_threshold"),
        ({"golden": {"picture": "g.png", "sha256": "0" * 64, "boxes": []}}, "boxes"),
        ({"licence": ""}, "licence"),
        ({"weight": 1}, "weight"),
    ],
)
def test_a_manifest_that_cannot_be(change: dict[str, Any], says: str, json_file: Write) -> None:
    with pytest.raises(FileProblems) as caught:
        read_model(json_file(_MANIFEST | change), Manifest)
    assert says in str(caught.value)


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    check_target(tmp_path / "new" / "report.json")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(FileProblems, match="a folder: must be the name of a file"):
        check_target(tmp_path)
    with pytest.raises(FileProblems, match="must be a place that can be read and written; choose another path"):
        check_target(tmp_path / "file" / "report.json")

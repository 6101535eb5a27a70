from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shelf_contracts.errors import FileProblems
from shelf_edge.adapters.sources import source_problem
from shelf_edge.cli import app
from shelf_edge.config import check_config

BOTTLES = Path(__file__).resolve().parents[2] / "examples" / "bottles" / "planogram.json"

GOOD = """
store = "example"
node = "n01"
[[cameras]]
id = "c1"
source = "usb:0"
planogram = "planogram.json"
purpose = "counting bottles"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copyfile(BOTTLES, tmp_path / "planogram.json")
    return tmp_path


def problems(folder: Path, text: str) -> str:
    (folder / "edge.toml").write_text(text)
    with pytest.raises(FileProblems) as caught:
        check_config(folder / "edge.toml")
    return str(caught.value)


def test_a_good_file_gives_cameras_with_their_planograms(folder: Path) -> None:
    (folder / "edge.toml").write_text(GOOD)
    checked = check_config(folder / "edge.toml")
    assert [(camera.id, camera.planogram.bay) for camera in checked.cameras] == [("c1", "bottles")]
    assert checked.state == folder / "state"


def test_all_errors_of_a_file_come_at_once_with_their_key_paths(folder: Path) -> None:
    said = problems(
        folder,
        GOOD.replace('"n01"', '"Node 1"').replace("usb:0", "ftp://x").replace("purpose", "porpose")
        + "[broker]\nport = 99999\n",
    )
    for expected in ("node", "cameras[0].source", "allowed: http://", "cameras[0].purpose", "did you mean 'purpose'"):
        assert expected in said
    assert "broker.port = 99999" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("planogram.json", "nowhere.json"), "nowhere.json: (whole file) = No such file"),
        (('store = "example"', 'store = "other"'), "must be of store 'other'"),
        (('id = "c1"', "id = 7"), "cameras[0].id"),
        (("[[cameras]]", "[[cameras"), "not TOML"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, change: tuple[str, str], said: str) -> None:
    assert said in problems(folder, GOOD.replace(*change))


def test_two_cameras_may_not_share_a_bay(folder: Path) -> None:
    second = GOOD[GOOD.index("[[cameras]]") :].replace('"c1"', '"c2"')
    assert "bay 'bottles' twice" in problems(folder, GOOD + second)


def test_the_command_ends_with_code_2_and_no_traceback(folder: Path) -> None:
    (folder / "edge.toml").write_text(GOOD.replace("usb:0", "usb:x"))
    result = CliRunner().invoke(app, ["run", "--config", str(folder / "edge.toml")])
    assert result.exit_code == 2
    assert "cameras[0].source" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("address", ["usb:0", "http://camera/live", "rtsp://u:p@10.0.0.7:554/1", "a/video.mp4"])
def test_known_sources(address: str) -> None:
    assert source_problem(address) is None


@pytest.mark.parametrize("address", ["", "usb:", "gopher://x", "http://", "http://host:port/"])
def test_unknown_sources(address: str) -> None:
    assert source_problem(address) is not None


TWO = (
    GOOD
    + """
[[cameras]]
id = "c2"
source = "usb:1"
planogram = "second.json"
purpose = "counting more bottles"
"""
)


def second_planogram(folder: Path, **changes: object) -> None:
    plan = json.loads(BOTTLES.read_text()) | {"bay": "second"} | changes
    (folder / "second.json").write_text(json.dumps(plan))
    (folder / "edge.toml").write_text(TWO)


@pytest.mark.parametrize("changes", [{"width": -1}, {"positions": []}, {"views": [{"camera": "c2", "slots": {}}]}])
def test_a_node_starts_without_the_camera_whose_planogram_cannot_be(folder: Path, changes: dict[str, object]) -> None:
    second_planogram(folder, **changes)
    with pytest.raises(FileProblems):
        check_config(folder / "edge.toml")
    checked = check_config(folder / "edge.toml", may_leave_out=True)
    assert [camera.id for camera in checked.cameras] == ["c1"]
    assert [(one.id, one.bay) for one in checked.refused] == [("c2", "second")]
    assert "second.json" in checked.refused[0].why


def test_slots_that_lie_on_one_another_or_outside_the_picture_are_refused(folder: Path) -> None:
    plan = json.loads(BOTTLES.read_text())
    slots = plan["views"][0]["slots"]
    one, other = list(slots)[:2]
    second_planogram(folder, views=[{"camera": "c2", "slots": {**slots, other: slots[one]}}])
    why = check_config(folder / "edge.toml", may_leave_out=True).refused[0].why
    assert f"views.c2.slots.{other}" in why
    assert f"lies on '{one}'" in why
    outside = {"front": [[0.5, 0.5], [1.4, 0.5], [1.4, 0.9]]}
    second_planogram(folder, views=[{"camera": "c2", "slots": {one: outside}}])
    refused = check_config(folder / "edge.toml", may_leave_out=True).refused[0]
    assert f"views[0].slots.{one} = front with x of 0.50 to 1.40: must lie in the picture" in refused.why


def test_every_slot_that_cannot_be_is_told_once_and_named_where_there_is_little_room(folder: Path) -> None:
    plan = json.loads(BOTTLES.read_text())
    slots = plan["views"][0]["slots"]
    assert len(slots) > 2
    moved = {slot: [[x + 0.9, y + 0.9] for x, y in seen] for slot, seen in slots.items()}
    second_planogram(folder, views=[{"camera": "c2", "slots": moved}])
    refused = check_config(folder / "edge.toml", may_leave_out=True).refused[0]
    assert len(refused.why.splitlines()) == len(slots), "a line a slot"
    assert len(refused.brief) <= 260
    assert refused.brief.startswith(", ".join(slots))
    alike = dict.fromkeys(slots, next(iter(slots.values())))
    second_planogram(folder, views=[{"camera": "c2", "slots": alike}])
    refused = check_config(folder / "edge.toml", may_leave_out=True).refused[0]
    assert len(refused.why.splitlines()) == len(slots) - 1, "each that lies on others, once"
    assert refused.brief == f"{', '.join(list(slots)[1:])}: must be a place of its own, not on another slot"


def test_everything_that_is_wrong_with_every_file_is_told_at_once(folder: Path) -> None:
    second_planogram(folder, width=-1)
    (folder / "planogram.json").write_text("{")
    with_model = (folder / "edge.toml").read_text().replace("[[cameras]]", '[model]\npath = "no-model"\n[[cameras]]', 1)
    (folder / "edge.toml").write_text(with_model)
    assert "[model]" in with_model
    answer = CliRunner().invoke(app, ["check", "--config", str(folder / "edge.toml")])
    assert answer.exit_code == 2
    for file in ("planogram.json", "second.json", "no-model"):
        assert file in answer.output, answer.output


def test_without_any_camera_that_can_be_used_nothing_starts(folder: Path) -> None:
    (folder / "planogram.json").write_text("{")
    second_planogram(folder, width=-1)
    with pytest.raises(FileProblems):
        check_config(folder / "edge.toml", may_leave_out=True)


def test_a_planogram_that_tells_nothing_is_of_an_unknown_bay(folder: Path) -> None:
    second_planogram(folder)
    (folder / "second.json").write_text("not JSON")
    assert check_config(folder / "edge.toml", may_leave_out=True).refused[0].bay == "unknown"

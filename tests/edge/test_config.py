from __future__ import annotations

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

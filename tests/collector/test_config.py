"""The config is read whole or refused whole, with every problem of every file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shelf_collector.config import SetupProblems, load_setup
from tests.collector.builders import planogram

EXAMPLE = Path(__file__).resolve().parents[2] / "collector" / "collector.example.toml"


def test_the_defaults(shop_folder: Path) -> None:
    setup = load_setup(shop_folder / "collector.toml")
    assert [(display.id, display.bay, display.languages) for display in setup.displays] == [
        ("a01", "a01", ["nl", "it", "en"])
    ]
    assert setup.database_url == f"sqlite:///{shop_folder}/state/collector.sqlite3"
    assert (setup.config.broker.port, setup.config.http.host, setup.config.panel_s) == (1883, "127.0.0.1", 10)
    (undescribed,) = [one for one in setup.warnings if "verified_on" not in one]  # which grow old as the years pass
    assert "09521000548008" in undescribed


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        ("memory.db", "sqlite:///{folder}/memory.db"),
        ("sqlite:///memory.db", "sqlite:///{folder}/memory.db"),
        ("sqlite:////srv/memory.db", "sqlite:////srv/memory.db"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
    ],
)
def test_the_database_is_a_path_or_a_url(shop_folder: Path, database: str, expected: str) -> None:
    config = shop_folder / "collector.toml"
    config.write_text(f'database = "{database}"\n' + config.read_text())
    assert load_setup(config).database_url == expected.format(folder=shop_folder)


def test_the_example_is_a_config(shop_folder: Path) -> None:
    store = "nl-ams-001"
    (shop_folder / "planograms").mkdir()
    plan = planogram(store=store).model_dump_json(by_alias=True)
    (shop_folder / "planograms" / "a01.json").write_text(plan)
    (shop_folder / "collector.toml").write_text(EXAMPLE.read_text())
    assert load_setup(shop_folder / "collector.toml").config.store == store


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("colour = 1", "colour = 1: Extra inputs are not permitted"),
        ("[http]\nprot = 1", "did you mean 'port'"),
        ("[http]\nport = 0", "http.port = 0"),
        ("[broker]\npassword_file = 'x'", "password_file needs username"),
        ("[[displays]]\nid = 'd1'\nbay = 'b9'", "displays[0].bay = 'b9': must be one of the planograms' bays: a01"),
        ("[[displays]]\nid='d'\nbay='a01'\n[[displays]]\nid='d'\nbay='a01'", "displays[1].id = 'd'"),
        ("[[displays]]\nid='d'\nbay='a01'\nlanguages=['fr']", "displays[0].languages[0] = 'fr'"),
        ("[demo.camera_previews]\nb9 = 'http://x/'", "demo.camera_previews.b9"),
        ("[demo.camera_previews]\na01 = 'file:///etc'", "demo.camera_previews.a01"),
        ("[rules]\nlow_dwell_s = -1", "rules.low_dwell_s = -1"),
        ("[", "not TOML"),
    ],
)
def test_problems_name_the_key_and_what_is_allowed(shop_folder: Path, more: str, said: str) -> None:
    config = shop_folder / "collector.toml"
    config.write_text(f"{config.read_text()}{more}\n")
    with pytest.raises(SetupProblems) as caught:
        load_setup(config)
    assert said in str(caught.value)
    assert "collector.toml" in str(caught.value)


def test_all_problems_of_all_files_come_at_once(shop_folder: Path) -> None:
    (shop_folder / "a01.json").write_text("{}")
    (shop_folder / "products.json").write_text(json.dumps({"schema": "x", "products": []}))
    config = shop_folder / "collector.toml"
    config.write_text(config.read_text().replace('["a01.json"]', '["a01.json", "gone.json"]'))
    with pytest.raises(SetupProblems) as caught:
        load_setup(config)
    assert [file.file.name for file in caught.value.files] == ["a01.json", "gone.json", "products.json"]
    assert len(caught.value.files[0].problems) > 3


def test_planograms_must_fit_the_store_and_one_another(shop_folder: Path) -> None:
    (shop_folder / "b.json").write_text(planogram(store="other").model_dump_json(by_alias=True))
    config = shop_folder / "collector.toml"
    config.write_text(
        config.read_text()
        .replace('["a01.json"]', '["a01.json", "b.json"]')
        .replace('["products.json"]', '["products.json", "products.json"]')
    )
    with pytest.raises(SetupProblems) as caught:
        load_setup(config)
    text = str(caught.value)
    assert "planograms[1] = 'other': its store must be 'demo'" in text
    assert "planograms[1] = 'a01': its bay has a planogram already" in text
    assert "products[1]" in text

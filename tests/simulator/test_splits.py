"""The stores: two to work with, one to measure on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from shelf_contracts.truth import RECORDING_NOTE
from shelf_simulator.adapters.scenes import invent_packs
from shelf_simulator.app import demo_bay, demo_packs, scenario_file, stage
from shelf_simulator.cli import app
from shelf_simulator.core.design import build_planogram
from shelf_simulator.core.splits import DEV, HIDDEN, VARIED, bay_of, light_of, packs_of, scored_seed, split_of


def test_the_dev_store_is_the_demo() -> None:
    assert bay_of(DEV, "a01", demo_packs(), 101) == demo_bay("a01", 101)


def test_no_seed_is_of_two_stores() -> None:
    stores = (DEV, VARIED, HIDDEN)
    for one in stores:
        assert split_of(one.first_scored) is one
        assert all(set(one.seeds).isdisjoint(other.seeds) for other in stores if other is not one)


def test_the_varied_store_shows_nothing_of_the_hidden_one() -> None:
    seeds = [VARIED.first_scored + i for i in range(3)], [HIDDEN.first_scored + i for i in range(3)]
    varied, hidden = (
        {pack.gtin for seed in some for pack in packs_of(split, demo_packs(), seed)}
        for split, some in zip((VARIED, HIDDEN), seeds, strict=True)
    )
    assert varied.isdisjoint(hidden)
    assert set(VARIED.looks).isdisjoint(HIDDEN.looks)
    assert len({bay_of(VARIED, "a01", demo_packs(), seed).camera.place_mm.tolist()[0] for seed in seeds[0]}) == 3


def test_hidden_packs_are_neither_the_shops_nor_those_of_training() -> None:
    known = {pack.gtin for pack in demo_packs()} | {pack.gtin for pack in invent_packs(160, 1000)}
    first, second = (packs_of(HIDDEN, demo_packs(), HIDDEN.first_scored + i) for i in (0, 1))
    assert known.isdisjoint(pack.gtin for pack in first)
    assert {pack.gtin for pack in first}.isdisjoint(pack.gtin for pack in second)


@pytest.mark.parametrize("number", range(12))
def test_hidden_bays_are_seen_whole_from_their_own_places(number: int) -> None:
    seed = HIDDEN.first_scored + number
    design = bay_of(HIDDEN, "a01", demo_packs(), seed)
    plan = build_planogram(design)
    assert len(plan.positions) >= 12
    assert design.camera.place_mm.tolist() != demo_bay("a01", 7).camera.place_mm.tolist()
    for view in plan.views[0].slots.values():
        (x0, y0), (x1, y1) = view.front[0], view.front[2]
        assert 0.02 < x1 - x0 < 0.5
        assert y1 - y0 > 0.02
    assert light_of(HIDDEN, seed) != light_of(DEV, DEV.first_scored)


def test_a_seed_of_the_other_store_is_refused() -> None:
    with pytest.raises(ValueError, match="not of split hidden"):
        stage("a01", "demo", "hidden", seed=7)


@pytest.mark.parametrize("command", ["dataset", "packs"])
def test_training_pictures_of_the_hidden_store_are_refused(command: str, tmp_path: Path) -> None:
    out = tmp_path / "pictures"
    answer = CliRunner().invoke(app, [command, "--out", str(out), "--seed", str(HIDDEN.first_scored)])
    assert answer.exit_code == 2
    assert not out.exists()


def test_a_recording_says_what_it_is(tmp_path: Path) -> None:
    arguments = ["--split", "hidden", "--number", "2", "--seconds", "0.5", "--kind", "jpeg", "--scenario", "calm"]
    answer = CliRunner().invoke(app, ["record", "--out", str(tmp_path), *arguments])
    assert answer.exit_code == 0
    assert f'"seed": {scored_seed(HIDDEN, "calm", 2)}' in (tmp_path / RECORDING_NOTE).read_text()


def test_each_scenario_has_seeds_of_its_own() -> None:
    names = [path.stem for path in scenario_file("demo").parent.glob("*.toml")]
    for split in (DEV, VARIED, HIDDEN):
        seeds = {scored_seed(split, name, number) for name in names for number in (0, 99)}
        assert len(seeds) == 2 * len(names)
        assert all(seed in split.seeds for seed in seeds)

"""What a scenario's store sells, for those who enrol it."""

from __future__ import annotations

from pathlib import Path

from shelf_simulator.app import demo_packs, read_scenario
from shelf_simulator.core.design import Pack
from shelf_simulator.core.splits import SPLITS, SplitName, packs_of, scored_seed


def packs_sold(scenario: str, split: SplitName, number: int = 0, seed: int | None = None) -> list[Pack]:
    """Every pack of the store of a scenario's recording ``number``, whether or not its bay shows it.

    Raises: FileProblems.
    """
    store = SPLITS[split]
    seed = scored_seed(store, Path(scenario).stem, number) if seed is None else seed
    return packs_of(store, demo_packs(), seed, read_scenario(scenario).packs)

"""A day at rest, put together: a bay of a split's store, its light from a file of ``days``, its camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shelf_contracts.files import read_model
from shelf_simulator.adapters.day_stream import DayView
from shelf_simulator.app import demo_packs, read_scenario
from shelf_simulator.core.day import DayScript, RestingWorld
from shelf_simulator.core.splits import SPLITS, SplitName, bay_of, light_of, look_of, scored_seed


@dataclass(frozen=True)
class DayStage:
    """A bay at rest in a day's light, and the camera that sees it."""

    world: RestingWorld
    view: DayView
    script: DayScript
    seed: int


def day_file(name: str) -> Path:
    """A shipped day by name, or a path to one."""
    shipped = Path(__file__).parent / "days" / f"{name}.toml"
    return shipped if shipped.is_file() else Path(name)


def day_stage(bay: str, day: str, split: SplitName, number: int = 0) -> DayStage:
    """The bay has the stock of the scenario ``at-rest`` and a seed of the day's own. Raises: FileProblems."""
    store, script, scenario = SPLITS[split], read_model(day_file(day), DayScript), read_scenario("at-rest")
    seed = scored_seed(store, f"day-{Path(day).stem}", number)
    design = bay_of(store, bay, demo_packs(), seed, scenario.packs)
    world = RestingWorld(design, scenario, seed, script)
    view = DayView(world, seed, look=look_of(store, design), light=light_of(store, seed))
    return DayStage(world, view, script, seed)

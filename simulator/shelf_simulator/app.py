"""The simulator's parts, put together: worlds, cameras, server."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path

import cv2

from shelf_contracts.files import read_model
from shelf_contracts.shipped import demo_shop_folder
from shelf_simulator.adapters.live_bay import LiveBay
from shelf_simulator.adapters.live_view import LiveView
from shelf_simulator.adapters.mjpeg_server import CameraServer
from shelf_simulator.core.design import BayDesign, Pack, design_bay
from shelf_simulator.core.packs import PackFile
from shelf_simulator.core.scenario import Scenario
from shelf_simulator.core.splits import DEV, SPLITS, SplitName, bay_of, light_of, look_of, scored_seed
from shelf_simulator.core.world import World


def demo_packs() -> list[Pack]:
    """What the demo shop sells. Raises: FileProblems."""
    return read_model(demo_shop_folder() / "packs.json", PackFile).as_packs()


def bay_id(number: int) -> str:
    """ "a01" for 0."""
    return f"a{number + 1:02d}"


def demo_bay(bay: str, seed: int) -> BayDesign:
    """The design of a bay of the demo shop."""
    return design_bay(bay, demo_packs(), seed)


def scenario_file(name: str) -> Path:
    """A shipped scenario by name, or a path to one."""
    shipped = Path(__file__).parent / "scenarios" / f"{name}.toml"
    return shipped if shipped.is_file() else Path(name)


def read_scenario(name: str) -> Scenario:
    """Raises: FileProblems."""
    return read_model(scenario_file(name), Scenario)


def make_world(bay: str, seed: int, scenario: str) -> World:
    """A bay at second 0."""
    script = read_scenario(scenario)
    return World(bay_of(DEV, bay, demo_packs(), seed, script.packs), script, seed)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A world and the camera that sees it."""

    world: World
    view: LiveView
    seed: int


def stage(bay: str, scenario: str, split: SplitName, number: int = 0, seed: int | None = None) -> Stage:
    """A scenario in a bay of a split's store; the seed is the scenario's ``number``-th there unless one is given.

    Raises: FileProblems, ValueError (a seed that is not the split's).
    """
    store = SPLITS[split]
    seed = scored_seed(store, Path(scenario).stem, number) if seed is None else seed
    script = read_scenario(scenario)
    design = bay_of(store, bay, demo_packs(), seed, script.packs)
    world = World(design, script, seed)
    return Stage(world, LiveView(world, seed, look=look_of(store, design), light=light_of(store, seed)), seed)


def serve(
    stop: threading.Event, *, bays: int, seed: int, host: str, port: int, out: Path, fps: float, scenario: str,
    quit_after_s: float | None = None,
) -> int:  # fmt: skip
    """Live until ``stop`` is set: cameras on HTTP, planograms and truth in ``out``. Returns the exit code."""
    cv2.setNumThreads(1)
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    live = [LiveBay(make_world(bay_id(i), seed, scenario), fps=fps, seed=seed, out=out) for i in range(bays)]

    def health() -> dict[str, object]:
        return {
            "ok": all(bay.failure is None for bay in live),
            "uptime_s": round(time.monotonic() - started, 1),
            "bays": [dataclasses.asdict(bay.health) for bay in live],
        }

    server = CameraServer({bay.health.bay: bay.frames for bay in live}, health, host=host, port=port)
    for bay in live:
        bay.start()
    server.start()
    while not stop.wait(0.2):
        if any(bay.failure is not None for bay in live):
            break
        if quit_after_s is not None and time.monotonic() - started > quit_after_s:
            break
    for bay in live:
        bay.stop()
    server.stop()
    return 1 if any(bay.failure is not None for bay in live) else 0

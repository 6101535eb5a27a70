"""What a scenario promises does happen in the truth."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise

import numpy as np
import pytest

from shelf_contracts.errors import FileProblems
from shelf_contracts.truth import OUT_OF_PLACE, CountChanged, SightChanged, TruthEvent
from shelf_simulator.adapters.live_view import LiveView
from shelf_simulator.adapters.turned_art import sprite_of
from shelf_simulator.app import read_scenario, scenario_file, stage
from shelf_simulator.core.scenario import Scenario
from shelf_simulator.core.splits import HIDDEN, SplitName
from shelf_simulator.core.world import World

DT_S = 1 / 12
NAMES = sorted(path.stem for path in scenario_file("demo").parent.glob("*.toml"))


@dataclass(frozen=True)
class Run:
    """A world after a while, and what was so at each step."""

    world: World
    events: list[TruthEvent]
    counts: list[CountChanged]
    sights: list[SightChanged]
    light: list[float]
    people: list[int]
    figures: list[int]


@lru_cache(maxsize=32)
def run(name: str, seconds: float = 45.0, split: SplitName = "dev", number: int = 0) -> Run:
    world = stage("a01", name, split, number).world
    done = Run(world, [], [], [], [], [], [])
    for _ in range(round(seconds / DT_S)):
        for fact in world.step(DT_S):
            if isinstance(fact, TruthEvent):
                done.events.append(fact)
            elif isinstance(fact, CountChanged):
                done.counts.append(fact)
            else:
                done.sights.append(fact)
        done.light.append(world.light)
        done.people.append(len(world._running))
        done.figures.append(len(world.figures))
    return done


def kinds(done: Run) -> Counter[str]:
    return Counter(event.kind for event in done.events)


def at_once(events: list[TruthEvent]) -> list[tuple[TruthEvent, TruthEvent]]:
    """Touches of different slots whose hands were in them at the same time."""
    return [
        (one, other)
        for one, other in combinations(events, 2)
        if one.slot != other.slot and one.begin_s < other.done_s and other.begin_s < one.done_s
    ]


def test_the_set_is_whole() -> None:
    assert set(NAMES) == {
        "at-rest", "bags", "busy", "calm", "camera-bump", "camera-bump-large", "demo", "disarray", "dusk-and-flicker",
        "grabs", "look-alikes", "occluders", "restocking", "rush", "transparent-bottles", "two-hands",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_touches_of_a_slot_never_overlap(name: str) -> None:
    done = run(name)
    for slot in done.world.design.slots:
        touches = sorted((e for e in done.events if e.slot == slot.id), key=lambda event: event.begin_s)
        assert all(one.clear_s <= other.begin_s for one, other in pairwise(touches))
    for slot in done.world.design.slots:
        assert 0 <= done.world.count(slot.id) <= slot.capacity


@pytest.mark.parametrize("name", NAMES)
def test_the_hidden_store_has_it_too(name: str) -> None:
    done = run(name, 1.0, "hidden")
    assert len(done.world.design.slots) >= 12
    assert set(done.world.initial_counts) == {slot.id for slot in done.world.design.slots}


def test_in_a_rush_four_people_are_at_the_bay() -> None:
    done = run("rush")
    assert max(done.people) >= 4
    assert sum(kinds(done).values()) >= 12


def test_grabs_are_of_several_items() -> None:
    taken = [event.quantity for event in run("grabs").events if event.kind == "pick"]
    assert max(taken) == 4
    assert sum(quantity >= 2 for quantity in taken) >= 0.7 * len(taken)
    assert len(taken) >= 8


@pytest.mark.parametrize("number", [1, 2])
def test_items_fall_and_are_pushed_back_and_stay_so(number: int) -> None:
    done = run("disarray", number=number)
    told = [event for event in done.events if event.kind in OUT_OF_PLACE]
    assert {event.kind for event in told} == OUT_OF_PLACE
    assert all(event.quantity == 1 for event in told)
    design = done.world.design
    changed = {count.slot for count in done.counts if count.t_s > 0}
    for event in told:
        stock = done.world.stocks[event.slot]
        fronts = [column[-1] for column in stock.columns if column]
        assert event.slot not in changed, "it is still there, and nobody touches it again"
        assert any(item.is_lying for item in fronts) == (event.kind == "fallen")
        for column in stock.columns:
            for behind, before in pairwise(column):
                apart = behind.z_mm - before.z_mm - (behind.pack.depth_mm + before.pack.depth_mm) / 2
                assert apart >= -9.0, "no item stands in another; slots are never quite tidy"
            assert all(item.z_mm + item.pack.depth_mm / 2 <= design.depth_mm + 9.0 for item in column)
        if event.kind == "fallen":
            (lying,) = (item for item in fronts if item.is_lying)
            left, right = lying.x_mm - lying.pack.width_mm / 2, lying.x_mm + lying.pack.width_mm / 2
            assert stock.slot.x_mm <= left < right <= stock.slot.x_mm + stock.slot.width_mm
            assert lying.pack.width_mm == stock.slot.pack.height_mm


def test_an_empty_shelf_is_restocked() -> None:
    done = run("restocking")
    assert kinds(done)["restock"] >= 3
    first = sum(done.world.initial_counts.values())
    assert first < 0.4 * sum(slot.capacity for slot in done.world.design.slots)
    assert sum(event.quantity for event in done.events if event.kind == "restock") >= 12


def test_trolleys_stand_in_the_way() -> None:
    done = run("occluders")
    with_trolley = [figures - people for figures, people in zip(done.figures, done.people, strict=True)]
    assert max(with_trolley) >= 1
    assert sum(done.people[i] > 0 and with_trolley[i] > 0 for i in range(len(with_trolley))) * DT_S > 10
    assert sum(kinds(done).values()) >= 5


def test_a_trolley_hides_what_is_behind_it() -> None:
    alone = Scenario.model_validate({"shoppers": {"at_once": 0}, "occluders": {"at_once": 1, "trolley": 1.0}})
    world = World(stage("a01", "demo", "dev").world.design, alone, 5)
    covered: set[str] = set()
    for _ in range(round(12 / DT_S)):
        covered |= {f.slot for f in world.step(DT_S) if isinstance(f, SightChanged) and f.occluded}
    rows = {slot.split("-")[0] for slot in covered}
    assert "s4" in rows
    assert len(covered) >= 5


def test_dusk_falls_and_the_tube_flickers() -> None:
    light = run("dusk-and-flicker").light
    assert max(light) / min(light) > 2.0
    swings = [abs(after - before) / before for before, after in pairwise(light)]
    assert sum(swing > 0.05 for swing in swings) > 20
    assert run("dusk-and-flicker").world.warmth > 0.4


@pytest.mark.parametrize(("name", "least_px", "most_px"), [("camera-bump", 5, 30), ("camera-bump-large", 100, 500)])
def test_the_camera_is_knocked(name: str, least_px: float, most_px: float) -> None:
    done = run(name)
    design = done.world.design
    points = [(slot.column_x_mm(0), slot.shelf.board_y_mm, 0.0) for slot in design.slots]
    moved = np.linalg.norm(done.world.camera.project(points) - design.camera.project(points), axis=1)
    assert least_px < float(np.median(moved)) < most_px
    assert done.world.camera.place_mm.tolist() == design.camera.place_mm.tolist()


def test_a_knocked_camera_sees_another_picture() -> None:
    script = {"shoppers": {"at_once": 0}, "camera": [{"at_s": 0.5, "pan_deg": 2.0}], "light_drift": 0.0}
    world = World(stage("a01", "demo", "dev").world.design, Scenario.model_validate(script), 5)
    view = LiveView(world, 5)
    first, again = view.capture().astype(int), view.capture().astype(int)
    for _ in range(8):
        world.step(DT_S)
    knocked = view.capture().astype(int)
    assert float(np.abs(knocked - first).mean()) > 3 * float(np.abs(again - first).mean())


def test_neighbours_look_alike() -> None:
    done = run("look-alikes")
    slots = done.world.design.slots
    for one, other in pairwise(slots):
        if one.shelf == other.shelf:
            assert one.pack.print_of == other.pack.print_of != ""
            assert one.pack.gtin != other.pack.gtin
            assert (one.pack.width_mm, one.pack.height_mm) == (other.pack.width_mm, other.pack.height_mm)
    assert kinds(run("look-alikes", 45.0, "hidden"))["misplaced"] >= 1


def test_clear_bottles_are_seen_through() -> None:
    packs = [slot.pack for slot in run("transparent-bottles").world.design.slots]
    assert all(pack.shape == "bottle" and pack.clear for pack in packs)
    opacity = sprite_of(packs[0], 0.2, 0, 0.85).opacity
    assert opacity is not None
    inside = opacity[sprite_of(packs[0], 0.2, 0, 0.85).mask > 0]
    assert 0.2 < float((inside < 200).mean()) < 0.9


def test_bags_are_bags() -> None:
    assert {slot.pack.shape for slot in run("bags").world.design.slots} == {"bag"}


def test_two_hands_come_in_the_same_instant() -> None:
    done = run("two-hands")
    pairs = at_once(done.events)
    assert len(pairs) >= 4
    assert sum(abs(one.done_s - other.done_s) <= 0.25 for one, other in pairs) >= 3


def test_nothing_happens_at_rest_but_the_light() -> None:
    done = run("at-rest", 90.0)
    assert (done.events, done.counts, done.sights) == ([], [], [])
    assert max(done.light) - min(done.light) > 0.3
    assert max(abs(after - before) for before, after in pairwise(done.light)) < 0.01


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"light": {"points": [{"at_s": 5, "gain": 1}, {"at_s": 1, "gain": 1}]}}, "in the order of at_s"),
        ({"camera": [{"at_s": 1, "pan_deg": 90}]}, "less than or equal to 30"),
        ({"packs": "cans"}, "look-alikes"),
    ],
)
def test_a_wrong_scenario_is_refused(content: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Scenario.model_validate(content)


def test_a_scenario_that_is_not_there_is_named() -> None:
    with pytest.raises(FileProblems, match="nowhere"):
        read_scenario("nowhere")


def test_the_hidden_store_stays_hidden() -> None:
    assert all(stage("a01", "demo", "hidden", n).seed in HIDDEN.seeds for n in range(3))
    assert math.isclose(stage("a01", "demo", "dev").world.light, 1.0, abs_tol=0.1)

"""Planograms that change while the node runs: tried for a few frames, and left again when they fail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.messages import PlanogramOffer, StockLevel
from shelf_contracts.planogram import Planogram
from shelf_edge.planogram_updates import PlanogramUpdates, kept_planogram
from shelf_testing.planograms import one_slot_planogram
from tests.edge.test_pipeline import WALL, Clock, Node

PLAN = one_slot_planogram(with_floor=False)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def revised(revision: int, **changes: object) -> Planogram:
    return Planogram.model_validate({**PLAN.model_dump(by_alias=True), "revision": revision, **changes})


class Following:
    """Updates driven by hand; ``served`` is what the collector has."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.used, self.changes = Clock(), [], 0
        self.served: dict[str, bytes] = {}
        self.updates = PlanogramUpdates(
            folder, "test", [("c1", PLAN, "c1")], self.fetch, lambda *given: self.used.append(given), self.clock,
            on_change=lambda _camera: None,
        )  # fmt: skip
        self.used: list[tuple[str, Planogram, str]]

    def fetch(self, offer: PlanogramOffer, file: Path, _is_stopping: Callable[[], bool]) -> None:
        if offer.sha256 not in self.served:
            raise FileProblems(Path("http:/collector"), [Problem("", "ConnectionRefused", "must be there")])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.served[offer.sha256])

    def offer(self, plan: Planogram, *, is_there: bool = True, text: str = "") -> None:
        raw = (text or plan.model_dump_json(by_alias=True)).encode()
        sha256 = hashlib.sha256(raw).hexdigest()
        if is_there:
            self.served[sha256] = raw
        url = f"http://collector/planograms/{sha256}"
        self.updates.take(
            PlanogramOffer(bay=plan.bay, revision=plan.revision, sha256=sha256, size_bytes=len(raw), at=NOW, url=url)
        )
        self.step()

    def step(self) -> None:
        served = self.updates._served["b1"]
        self.updates._judge(served)
        self.updates._follow(served)

    @property
    def state(self) -> tuple[str, int]:
        (health,) = self.updates.health()
        return health.state, health.revision


def test_what_stood_its_trial_is_kept_with_the_one_before(tmp_path: Path) -> None:
    following = Following(tmp_path)
    for revision in (1, 2):
        following.offer(revised(revision, name=f"number {revision}"))
        assert following.state == ("trial", revision - 1)
        assert following.used[-1][1].revision == revision
        following.updates.tried("b1", "")
        following.step()
        assert following.state == ("settled", revision)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b1.before.json", "b1.json"]
    found = kept_planogram(tmp_path, PLAN, "c1")
    assert found is not None
    assert (found[0].name, found[1]) == ("number 2", "c1")
    assert kept_planogram(tmp_path, revised(2), "c1") is None, "what somebody configured since then counts"
    (tmp_path / "b1.json").write_text("{")
    assert (kept_planogram(tmp_path, PLAN, "c1") or (None,))[0] == revised(1, name="number 1")


def test_one_that_fails_on_trial_is_refused_and_what_is_known_is_not_fetched_again(tmp_path: Path) -> None:
    following = Following(tmp_path)
    following.offer(revised(3, name="bad"))
    following.updates.tried("b1", "a frame could not be processed: ValueError")
    following.step()
    assert following.state == ("refused", 0)
    assert following.updates.notice("b1").startswith("planogram revision 3 was refused, 0 stays in use: a frame")
    assert list(tmp_path.iterdir()) == []
    following.step()
    assert len(following.used) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bay": "b1", "store": "other"}, "must be 'test'"),
        ({"views": []}, "must show 'c1'"),
        (
            {"views": [{"camera": "c1", "slots": {"s1": [[0.2, 0.2], [1.4, 0.2], [1.4, 0.9]]}}]},
            "must lie in the picture",
        ),
        ({"positions": [*PLAN.model_dump(by_alias=True)["positions"]] * 2}, "used once"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    following = Following(tmp_path)
    content = PLAN.model_copy(update={"revision": 1}).model_dump(mode="json", by_alias=True) | changes
    following.offer(revised(1), text=json.dumps(content))
    assert following.state == ("refused", 0)
    assert said in following.updates.health()[0].text
    assert not following.used


def test_an_older_one_is_refused_and_one_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    following = Following(tmp_path)
    following.offer(revised(5), is_there=False)
    assert "must be there" in following.updates.health()[0].text
    following.offer(revised(5, name="there now"))
    following.updates.tried("b1", "")
    following.step()
    following.offer(revised(4))
    assert following.state == ("refused", 5)
    assert "revision 5 is in use and newer" in following.updates.notice("b1")
    following.offer(PLAN.model_copy(update={"bay": "b2"}))
    assert following.state == ("refused", 5), "another bay's is no concern of ours"


def test_the_pipeline_goes_back_when_frames_cannot_be_processed(monkeypatch: pytest.MonkeyPatch) -> None:
    node, told = Node(), []
    node.pipeline._on_planogram = lambda bay, failure: told.append((bay, failure))
    node.show(3)
    node.pipeline.exchange("c1", revised(1), "c1")
    node.pipeline._serve_safely(node.camera)
    assert node.camera.planogram.revision == 1
    assert node.camera.bay.geometry == [], "another bay's state"
    monkeypatch.setattr(node.camera.bay, "wants_look", lambda _frame: 1 / 0)
    node.pipeline._serve = lambda camera: camera.bay.wants_look(None)  # type: ignore[assignment, method-assign, arg-type]
    node.pipeline._serve_safely(node.camera)
    assert (node.camera.planogram, node.camera.trouble) == (PLAN, "")
    assert told == [("b1", "a frame could not be processed: ZeroDivisionError: division by zero")]


def test_the_pipeline_says_the_slots_of_the_new_planogram(monkeypatch: pytest.MonkeyPatch) -> None:
    node, told = Node(), []
    node.pipeline._on_planogram = lambda bay, failure: told.append((bay, failure))
    monkeypatch.setattr(node.pipeline, "_serve", node.pipeline._serve)
    node.show(3)
    position = PLAN.model_dump(by_alias=True)["positions"][0] | {"id": "s9"}
    view = {"camera": "c1", "slots": {"s9": PLAN.views[0].slots["s1"].model_dump()}}
    node.pipeline.exchange("c1", revised(1, positions=[position], views=[view]), "c1")
    node.pipeline._take_planogram(node.camera)
    node.show(4, WALL)
    for _ in range(20):
        node.pipeline._judge_planogram(node.camera, "")
    assert told == [("b1", "")]
    assert set(node.camera.stock) == {"s9"}
    assert node.camera.stock["s9"].count == 1


def _said_of(node: Node, slot: str) -> list[StockLevel]:
    said = zip(node.said.slots, node.said.messages, strict=True)
    return [data for about, data in said if about == slot and isinstance(data, StockLevel)]


def test_a_slot_that_the_new_planogram_has_not_is_unknown_from_then_on() -> None:
    node = Node()
    node.show(4, WALL)
    former = _said_of(node, "s1")[-1]
    assert former.plan == PLAN.slot_plan("c1", "s1")
    position = PLAN.model_dump(by_alias=True)["positions"][0] | {"id": "s9"}
    view = {"camera": "c1", "slots": {"s9": PLAN.views[0].slots["s1"].model_dump()}}
    node.pipeline.exchange("c1", revised(1, positions=[position], views=[view]), "c1")
    node.pipeline._take_planogram(node.camera)
    node.show(4, WALL)
    for _ in range(20):
        node.pipeline._judge_planogram(node.camera, "")
    last = _said_of(node, "s1")[-1]
    assert (last.level, last.count, last.plan) == ("unknown", None, "none")
    assert last.observed_at >= former.observed_at, "older than what is held it would be dropped"
    assert _said_of(node, "s9")[-1].plan == node.camera.planogram.slot_plan("c1", "s9")


def test_a_planogram_that_fails_leaves_nothing_that_only_it_has() -> None:
    node = Node()
    node.show(4, WALL)
    position = PLAN.model_dump(by_alias=True)["positions"][0] | {"id": "s9"}
    view = {"camera": "c1", "slots": {"s9": PLAN.views[0].slots["s1"].model_dump()}}
    node.pipeline.exchange("c1", revised(1, positions=[position], views=[view]), "c1")
    node.pipeline._take_planogram(node.camera)
    node.show(4, WALL)
    node.pipeline._judge_planogram(node.camera, "a frame could not be processed")
    assert _said_of(node, "s9")[-1].plan == "none"
    node.show(4, WALL)
    assert _said_of(node, "s1")[-1].level != "unknown"
    assert _said_of(node, "s1")[-1].plan == PLAN.slot_plan("c1", "s1")


def test_a_slots_plan_is_another_when_product_place_or_view_is() -> None:
    content = PLAN.model_dump(by_alias=True)
    changes: list[dict[str, object]] = [
        {"positions": [content["positions"][0] | {"min_presentation": 1}]},
        {"products": [content["products"][0] | {"w": 71}]},
        {"views": [{"camera": "c1", "slots": {"s1": [[0.1, 0.2], [0.3, 0.2], [0.3, 0.9]]}}]},
    ]
    plans = {PLAN.slot_plan("c1", "s1"), *(revised(1, **change).slot_plan("c1", "s1") for change in changes)}
    assert len(plans) == 4
    assert revised(7, name="other name").slot_plan("c1", "s1") in plans

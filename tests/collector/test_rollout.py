"""The rules of a rollout as stories."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from shelf_collector.core.rollout import NodeReport, Order, Rollout, advance, begin
from shelf_contracts.messages import ModelHealth, ModelOffer
from tests.collector.builders import NOON

OLD, NEW = "a" * 64, "b" * 64
OFFER = ModelOffer(
    name="m", version="2", sha256=NEW, manifest_sha256="c" * 64, size_bytes=10, url="http://collector/models/m"
)


def report(node: str, sha256: str = OLD, state: str = "settled", *, present: bool = True, text: str = "") -> NodeReport:
    model = ModelHealth(name="m", version="1", sha256=sha256, state=state, rollout="r", text=text)  # type: ignore[arg-type]
    return NodeReport(node, present, model)


@dataclass
class Story:
    """A rollout with the reports of its nodes; ``after`` lets seconds pass and says which orders came of it."""

    nodes: dict[str, NodeReport] = field(default_factory=lambda: {n: report(n) for n in ("n1", "n2", "n3")})
    rollout: Rollout = None  # type: ignore[assignment]
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.rollout = begin("r", OFFER, "n2", self.nodes, 60, 600, NOON)

    def after(self, seconds: float, *reports: NodeReport) -> list[Order]:
        self.seconds += seconds
        self.nodes |= {one.node: one for one in reports}
        self.rollout, orders = advance(self.rollout, self.nodes, NOON + timedelta(seconds=self.seconds))
        return orders

    @property
    def stage(self) -> str:
        return self.rollout.stage


def test_the_canary_first_then_the_others_then_done() -> None:
    story = Story()
    assert story.after(0) == [Order("n2", "install")]
    assert story.after(5, report("n2", OLD, "fetching")) == []
    assert story.after(5, report("n2", NEW, "trial")) == []
    assert story.after(59, report("n2", NEW, "settled")) == []
    assert story.stage == "canary"
    assert story.after(1) == [Order("n1", "install"), Order("n3", "install")]
    assert story.stage == "rest"
    story.after(1, report("n1", NEW), report("n3", NEW))
    assert story.after(60) == []
    assert story.stage == "done"


def test_an_order_that_is_not_obeyed_is_said_again() -> None:
    story = Story()
    story.after(0)
    assert story.after(14) == []
    assert story.after(1) == [Order("n2", "install")]


def test_a_canary_that_goes_back_ends_it_for_all() -> None:
    story = Story()
    story.after(0)
    story.after(5, report("n2", NEW, "trial"))
    assert story.after(5, report("n2", OLD, "rolled-back", text="a look takes 3000 ms")) == []
    assert story.stage == "rolled-back"
    assert story.rollout.text == "n2: rolled-back: a look takes 3000 ms"


def test_a_refusal_anywhere_takes_it_back_everywhere() -> None:
    story = Story()
    story.after(0)
    story.after(1, report("n2", NEW))
    story.after(60)
    orders = story.after(5, report("n1", NEW, "trial"), report("n3", OLD, "refused", text="signature"))
    assert orders == [Order("n2", "rollback"), Order("n1", "rollback")]
    assert story.stage == "rolling-back"
    story.after(1, report("n1", OLD, "rolled-back"), report("n2", OLD, "rolled-back"))
    assert story.stage == "rolled-back"


def test_a_canary_that_falls_silent_is_not_healthy() -> None:
    story = Story()
    story.after(0)
    story.after(1, report("n2", NEW))
    story.after(50, report("n2", NEW, present=False))
    story.after(50, report("n2", NEW))
    assert story.after(30) == []
    assert story.stage == "canary"
    story.after(30)
    assert story.stage == "rest"


def test_time_runs_out_and_a_node_that_is_away_is_waited_for() -> None:
    story = Story()
    story.after(0)
    story.after(1, report("n2", NEW, "trial"))
    assert story.after(600, report("n2", NEW, "trial", present=False)) == []
    assert (story.stage, "not healthy within 600 s" in story.rollout.text) == ("rolling-back", True)
    assert story.after(100, report("n2", NEW)) == [Order("n2", "rollback")]


def test_a_node_that_had_the_model_before_keeps_it() -> None:
    story = Story({"n1": report("n1", NEW), "n2": report("n2")})
    story.after(0)
    story.after(1, report("n2", OLD, "refused"))
    assert story.stage == "rolled-back"


def test_nodes_that_are_away_at_the_beginning_are_left_out() -> None:
    story = Story({"n1": report("n1", present=False), "n2": report("n2")})
    assert story.rollout.nodes == ["n2"]


def test_a_rollout_survives_a_restart_of_the_collector() -> None:
    story = Story()
    story.after(0)
    story.after(5, report("n2", NEW))
    assert Rollout.model_validate_json(story.rollout.model_dump_json()) == story.rollout

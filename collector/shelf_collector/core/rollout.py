"""A new model for all nodes, one first: the rules. Pure; time is an argument.

The canary gets it first. When it has run the model for ``healthy_s`` without a failure, the others get it. When any
node refuses it, goes back from it, or does not become healthy within ``timeout_s``, all go back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shelf_contracts.ids import NodeId
from shelf_contracts.messages import ModelHealth, ModelOffer, UtcTime

ASK_AGAIN_S = 15.0
"""An order is said again after so long while the node's health does not tell that it was obeyed."""

Stage = Literal["canary", "rest", "done", "rolling-back", "rolled-back"]


@dataclass(frozen=True)
class NodeReport:
    """What a node said of itself last; ``model`` is None before it said anything of its model."""

    node: str
    is_present: bool
    model: ModelHealth | None


@dataclass(frozen=True)
class Order:
    """Something to be said to a node."""

    node: str
    action: Literal["install", "rollback"]


class Rollout(BaseModel):
    """One rollout; kept on disk, so that a collector that starts again goes on with it.

    Attributes:
        canary: the node that is first.
        nodes: all of them, the canary too.
        had_it: nodes that ran the model before; they are not asked to go back.
        healthy_since: from when a node ran the model without a failure.
        asked_at: when a node was told last.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    offer: ModelOffer
    canary: NodeId
    nodes: Annotated[list[NodeId], Field(min_length=1)]
    healthy_s: Annotated[float, Field(ge=0.0)]
    timeout_s: Annotated[float, Field(gt=0.0)]
    stage: Stage = "canary"
    stage_since: UtcTime
    had_it: list[NodeId] = []
    healthy_since: dict[NodeId, UtcTime] = {}
    asked_at: dict[NodeId, UtcTime] = {}
    text: str = ""

    @property
    def is_over(self) -> bool:
        return self.stage in ("done", "rolled-back")

    @property
    def targets(self) -> list[NodeId]:
        """Nodes that should have the model now."""
        return [self.canary] if self.stage == "canary" else self.nodes


def begin(
    identity: str, offer: ModelOffer, canary: str, reports: dict[str, NodeReport], healthy_s: float, timeout_s: float,
    now: datetime,
) -> Rollout:  # fmt: skip
    """A rollout to all the nodes that are present, the canary first. One that is away gets it by another rollout."""
    had_it = [report.node for report in reports.values() if _runs(report, offer)]
    present = {report.node for report in reports.values() if report.is_present}
    nodes = [canary, *sorted(present - {canary})]
    return Rollout(
        id=identity, offer=offer, canary=canary, nodes=nodes, healthy_s=healthy_s, timeout_s=timeout_s, stage_since=now,
        had_it=had_it,
    )  # fmt: skip


def advance(rollout: Rollout, reports: dict[str, NodeReport], now: datetime) -> tuple[Rollout, list[Order]]:
    """What the rollout is now, and what must be said."""
    if rollout.is_over:
        return rollout, []
    if rollout.stage == "rolling-back":
        return _roll_back(rollout, reports, now)
    failure = next((text for node in rollout.targets if (text := _failure(rollout, reports.get(node), node))), "")
    if not failure and now - rollout.stage_since > timedelta(seconds=rollout.timeout_s):
        late = ", ".join(node for node in rollout.targets if not _is_healthy(rollout, reports.get(node), node, now))
        failure = f"{late}: not healthy within {rollout.timeout_s:.0f} s" if late else ""
    if failure:
        stopped = rollout.model_copy(
            update={"stage": "rolling-back", "stage_since": now, "text": failure[:500], "asked_at": {}}
        )
        return _roll_back(stopped, reports, now)
    rollout = _with_health(rollout, reports, now)
    if all(_is_healthy(rollout, reports.get(node), node, now) for node in rollout.targets):
        is_last = rollout.stage == "rest" or len(rollout.nodes) == 1
        stage: Stage = "done" if is_last else "rest"
        rollout = rollout.model_copy(update={"stage": stage, "stage_since": now})
        if is_last:
            return rollout, []
    wanting = [node for node in rollout.targets if _wants(reports.get(node), rollout.offer)]
    return _ask(rollout, wanting, "install", now)


def _runs(report: NodeReport | None, offer: ModelOffer) -> bool:
    return report is not None and report.model is not None and report.model.sha256 == offer.sha256


def _wants(report: NodeReport | None, offer: ModelOffer) -> bool:
    """Present, without the model, and not fetching it."""
    is_there = report is not None and report.is_present
    is_busy = report is not None and report.model is not None and report.model.state == "fetching"
    return is_there and not is_busy and not _runs(report, offer)


def _failure(rollout: Rollout, report: NodeReport | None, node: str) -> str:
    model = report.model if report is not None else None
    if model is None or model.rollout != rollout.id or model.state not in ("refused", "rolled-back"):
        return ""
    return f"{node}: {model.state}: {model.text}"


def _with_health(rollout: Rollout, reports: dict[str, NodeReport], now: datetime) -> Rollout:
    since: dict[str, datetime] = {}
    for node in rollout.targets:
        report = reports.get(node)
        if report is not None and report.is_present and _runs(report, rollout.offer):
            since[node] = rollout.healthy_since.get(node, now)
    return rollout if since == rollout.healthy_since else rollout.model_copy(update={"healthy_since": since})


def _is_healthy(rollout: Rollout, report: NodeReport | None, node: str, now: datetime) -> bool:
    """Its own trial is over, and it has run the model for as long as asked."""
    since = rollout.healthy_since.get(node)
    if since is None or report is None or report.model is None or report.model.state == "trial":
        return False
    return now - since >= timedelta(seconds=rollout.healthy_s)


def _roll_back(rollout: Rollout, reports: dict[str, NodeReport], now: datetime) -> tuple[Rollout, list[Order]]:
    """Until no node runs it that did not before; one that is away is waited for."""
    behind = [node for node in rollout.nodes if node not in rollout.had_it and _runs(reports.get(node), rollout.offer)]
    # An order to install may still be under way to a node that was asked.
    busy = [
        node
        for node in rollout.nodes
        if (report := reports.get(node)) is not None and report.model is not None and report.model.state == "fetching"
    ]
    if not behind and not busy:
        return rollout.model_copy(update={"stage": "rolled-back", "stage_since": now}), []
    there = [node for node in behind if (report := reports.get(node)) is not None and report.is_present]
    return _ask(rollout, there, "rollback", now)


def _ask(
    rollout: Rollout, nodes: list[str], action: Literal["install", "rollback"], now: datetime
) -> tuple[Rollout, list[Order]]:
    due = [
        node
        for node in nodes
        if node not in rollout.asked_at or now - rollout.asked_at[node] >= timedelta(seconds=ASK_AGAIN_S)
    ]
    if not due:
        return rollout, []
    asked = rollout.asked_at | dict.fromkeys(due, now)
    return rollout.model_copy(update={"asked_at": asked}), [Order(node, action) for node in due]

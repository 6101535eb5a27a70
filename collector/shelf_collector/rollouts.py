"""Rollouts at work: a thread that looks at the nodes' health, says what must be said, and keeps it all on disk.

A rollout is asked for by a file in the state folder (``smartshelf collector rollout`` writes it): who may write there
may change what the shop runs, and nobody else.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shelf_collector.adapters.model_shelf import ModelShelf
from shelf_collector.core import rollout as rules
from shelf_collector.core.rollout import NodeReport, Rollout
from shelf_collector.ports import Bus, Clock
from shelf_contracts import topics
from shelf_contracts.catalog import BY_NAME
from shelf_contracts.envelope import encode
from shelf_contracts.errors import ContractError
from shelf_contracts.files import read_model, write_json
from shelf_contracts.messages import UpdateArguments, UpdateCommand

log = logging.getLogger(__name__)

_TICK_S = 0.5


class RolloutRequest(BaseModel):
    """What somebody asks for. ``stop`` ends the present rollout and takes every node back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = ""
    canary: str = ""
    healthy_s: Annotated[float, Field(ge=0.0, le=7 * 86_400.0)] = 600.0
    timeout_s: Annotated[float, Field(gt=0.0, le=30 * 86_400.0)] = 3600.0
    stop: bool = False


class RolloutAnswer(BaseModel):
    """The last word on a request: the problem, or empty."""

    problem: str = ""


class Rollouts:
    """One rollout at a time.

    Args:
        reports: what the nodes said last, by node; any thread.
    """

    def __init__(
        self, folder: Path, shelf: ModelShelf, bus: Bus, clock: Clock, store: str,
        reports: Callable[[], dict[str, NodeReport]],
    ) -> None:  # fmt: skip
        self.shelf = shelf
        self._folder = folder
        self._bus = bus
        self._clock = clock
        self._store = store
        self._reports = reports
        self._stop = threading.Event()
        self._present: Rollout | None = None
        self._thread = threading.Thread(target=self._run, name="rollouts", daemon=True)

    @property
    def present(self) -> Rollout | None:
        """The one that is going on, or the last one."""
        return self._present

    def start(self) -> None:
        try:
            kept = self._folder / "present.json"
            self._present = read_model(kept, Rollout) if kept.is_file() else None
        except ContractError as error:
            log.error("the rollout that was going on is forgotten: %s", error)
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.wait(_TICK_S):
            try:
                self._take_request()
                self.work()
            except Exception:
                log.exception("the rollout could not be advanced; trying again")

    def work(self) -> None:
        """One step. Called by the thread; by tests in its place."""
        before = self._present
        if before is None or before.is_over:
            return
        after, orders = rules.advance(before, self._reports(), self._clock.now())
        if after.stage != before.stage:
            log.warning("rollout of %s %s: %s %s", after.offer.name, after.offer.version, after.stage, after.text)
        if after != before:
            self._keep(after)
        for order in orders:
            command = UpdateCommand(
                args=UpdateArguments(action=order.action, rollout=after.id, offer=after.offer),
                correlation=str(uuid.uuid4()),
                expires=self._clock.now() + timedelta(seconds=BY_NAME["node_update"].expiry_s or 60),
            )
            log.info("rollout %s: %s: %s", after.id, order.node, order.action)
            self._bus.send(topics.build("node_update", store=self._store, node=order.node), encode(command))

    def _take_request(self) -> None:
        path = self._folder / "request.json"
        if not path.is_file():
            return
        problem = ""
        try:
            problem = self.ask(read_model(path, RolloutRequest))
        except ContractError as error:
            problem = str(error)
        write_json(self._folder / "answer.json", RolloutAnswer(problem=problem))
        path.unlink()

    def ask(self, request: RolloutRequest) -> str:
        """Begin or stop a rollout; the problem in words when that can't be done."""
        present, reports, now = self._present, self._reports(), self._clock.now()
        is_going_on = present is not None and not present.is_over
        if request.stop:
            if not is_going_on or present is None:
                return "no rollout is going on"
            self._keep(
                present.model_copy(
                    update={"stage": "rolling-back", "stage_since": now, "text": "stopped by hand", "asked_at": {}}
                )
            )
            return ""
        if is_going_on and present is not None:
            return f"the rollout of {present.offer.name} {present.offer.version} is going on; stop it first"
        there = sorted(node for node, report in reports.items() if report.is_present)
        canary = request.canary or (there[0] if there else "")
        if canary not in there:
            return f"canary {canary!r}: must be a node that is present: {', '.join(there) or 'none is'}"
        try:
            offer = self.shelf.offer(request.model)
        except ContractError as error:
            return str(error)
        identity = f"r-{uuid.uuid4().hex[:12]}"
        begun = rules.begin(identity, offer, canary, reports, request.healthy_s, request.timeout_s, now)
        log.warning("rollout of %s %s begins with %s", offer.name, offer.version, canary)
        self._keep(begun)
        return ""

    def _keep(self, rollout: Rollout) -> None:
        write_json(self._folder / "present.json", rollout)
        self._present = rollout

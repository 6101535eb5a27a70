"""Planograms that change while the node runs: offered on MQTT, fetched over HTTP, checked, tried; else the old stays.

One thread. What was applied and stood its trial is on disk, and the one before it: a node that starts without a network
uses what it used before. A camera's bay and name do not change: only what stands there, and where it is seen.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from shelf_contracts.errors import ContractError, FileProblems, Problem, in_brief
from shelf_contracts.files import read_model
from shelf_contracts.messages import PlanogramHealth, PlanogramOffer
from shelf_contracts.planogram import Planogram
from shelf_edge.core.pauses import pause_after
from shelf_edge.core.view_check import view_problems
from shelf_edge.ports import Clock

log = logging.getLogger(__name__)

Fetch = Callable[[PlanogramOffer, Path, Callable[[], bool]], None]
Use = Callable[[str, Planogram, str], None]
"""Called with a camera's id, its planogram, and the name of its view in it."""

_TICK_S = 0.5
_SHORTEST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0
_ROOM = 200
"""Characters for what is wrong, in the node's health."""


@dataclass
class _Served:
    """A camera and what it uses."""

    camera: str
    planogram: Planogram
    view: str
    sha256: str = ""
    wanted: PlanogramOffer | None = None
    tried: PlanogramOffer | None = None
    outcome: str | None = None
    failures: int = 0
    try_again_s: float = 0.0
    health: PlanogramHealth = field(init=False)

    def __post_init__(self) -> None:
        self.health = PlanogramHealth(bay=self.planogram.bay, revision=self.planogram.revision, sha256=self.sha256)


def usable_planogram(file: Path, store: str, bay: str, camera: str) -> tuple[Planogram, str]:
    """The planogram in a file, and the name of the camera's view in it.

    Raises: FileProblems, also when it is of another bay, does not show the camera, or slots lie on one another.
    """
    plan = read_model(file, Planogram)
    wrong = [
        Problem(key, repr(found), f"must be {wanted!r}")
        for key, found, wanted in (("store", plan.store, store), ("bay", plan.bay, bay))
        if found != wanted
    ]
    views = [one.camera for one in plan.views]
    view = camera if camera in views else views[0] if len(views) == 1 else ""
    if not view:
        wrong.append(Problem("views", f"of {', '.join(views) or 'no camera'}", f"must show {camera!r}"))
    else:
        wrong += view_problems(plan.view_of(view))
    if wrong:
        raise FileProblems(file, wrong)
    return plan, view


class PlanogramUpdates:
    """Follows the planograms that the collector offers.

    Args:
        folder: keeps ``BAY.json`` and ``BAY.before.json``.
        cameras: id, planogram and view's name of each, as they were started.
        fetch: downloads an offer into a file; raises FileProblems.
        use: hands a planogram to the pipeline, which answers with ``tried`` after a few frames.
        on_change: called with a camera's id when what is told of its planogram changed; on the thread.
    """

    def __init__(
        self,
        folder: Path,
        store: str,
        cameras: Sequence[tuple[str, Planogram, str]],
        fetch: Fetch,
        use: Use,
        clock: Clock,
        *,
        on_change: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._store = store
        self._fetch = fetch
        self._use = use
        self._clock = clock
        self._on_change = on_change
        self._served = {plan.bay: _Served(camera, plan, view) for camera, plan, view in cameras}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="planograms", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        self._stop.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def take(self, offer: PlanogramOffer) -> None:
        """What the collector offers; any thread, never waits. Of each bay only the newest counts."""
        with self._lock:
            served = self._served.get(offer.bay)
            if served is None:
                return
            served.wanted, served.failures, served.try_again_s = offer, 0, 0.0
        self._wake.set()

    def tried(self, bay: str, failure: str) -> None:
        """How the planogram given to ``use`` did; empty: well. The one before is in use again when it failed."""
        with self._lock:
            self._served[bay].outcome = failure
        self._wake.set()

    def health(self) -> list[PlanogramHealth]:
        """What the node's health says of its planograms, by bay."""
        return [served.health for _, served in sorted(self._served.items())]

    def notice(self, bay: str) -> str:
        """What a camera's status says of its planogram; empty when there is nothing to say."""
        health = self._served[bay].health
        if health.state != "refused":
            return ""
        return f"planogram revision {health.offered} was refused, {health.revision} stays in use: {health.text}"

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(_TICK_S)
            self._wake.clear()
            for served in self._served.values():
                if self._stop.is_set():
                    return
                try:
                    self._judge(served)
                    self._follow(served)
                except Exception as error:
                    log.exception("bay %s: the planogram could not be changed; trying again", served.planogram.bay)
                    if served.wanted is not None:
                        self._refuse(served, served.wanted, f"{type(error).__name__}: {error}", may_pass=True)

    def _follow(self, served: _Served) -> None:
        with self._lock:
            offer = served.wanted
        if offer is None or served.tried is not None or self._clock.monotonic_s() < served.try_again_s:
            return
        if offer.sha256 == served.sha256:
            self._done(served, offer)
            self._tell(served, "settled", offer.revision, "")
            return
        in_use = served.planogram.revision
        if offer.revision < in_use:
            self._refuse(served, offer, f"revision {in_use} is in use and newer: save it on the page again")
            return
        self._tell(served, "fetching", offer.revision, "")
        incoming = self._incoming(served)
        try:
            self._fetch(offer, incoming, self._stop.is_set)
        except (ContractError, OSError) as error:
            if not self._stop.is_set():
                self._refuse(served, offer, _in_a_line(error), may_pass=True)
            return
        try:
            plan, view = usable_planogram(incoming, self._store, served.planogram.bay, served.camera)
        except ContractError as error:
            incoming.unlink(missing_ok=True)
            self._refuse(served, offer, _in_a_line(error))
            return
        if plan == served.planogram:
            self._keep(served, offer, plan, view)
            return
        served.tried = offer
        self._tell(served, "trial", offer.revision, "no frame was looked at with it yet")
        self._use(served.camera, plan, view)

    def _judge(self, served: _Served) -> None:
        """What the pipeline said of the planogram on trial."""
        with self._lock:
            outcome, served.outcome = served.outcome, None
        offer = served.tried
        if outcome is None or offer is None:
            return
        served.tried = None
        if outcome:
            self._incoming(served).unlink(missing_ok=True)
            self._refuse(served, offer, outcome)
            return
        plan, view = usable_planogram(self._incoming(served), self._store, served.planogram.bay, served.camera)
        self._keep(served, offer, plan, view)

    def _keep(self, served: _Served, offer: PlanogramOffer, plan: Planogram, view: str) -> None:
        current = self._folder / f"{plan.bay}.json"
        if current.is_file():
            current.replace(self._folder / f"{plan.bay}.before.json")
        self._incoming(served).replace(current)
        served.planogram, served.view, served.sha256 = plan, view, offer.sha256
        self._done(served, offer)
        log.warning("bay %s: planogram revision %d in use, %d slots", plan.bay, plan.revision, len(plan.positions))
        self._tell(served, "settled", offer.revision, "")

    def _done(self, served: _Served, offer: PlanogramOffer) -> None:
        with self._lock:
            if served.wanted is offer:
                served.wanted = None

    def _refuse(self, served: _Served, offer: PlanogramOffer, why: str, *, may_pass: bool = False) -> None:
        """The one in use stays. What may pass (a network that is away) is tried again, less and less often."""
        if may_pass:
            pause_s = pause_after(served.failures, _SHORTEST_PAUSE_S, _LONGEST_PAUSE_S)
            served.failures += 1
            served.try_again_s = self._clock.monotonic_s() + pause_s
        else:
            self._done(served, offer)
        if served.health.text != why[:_ROOM]:
            log.error("bay %s: planogram revision %d is refused: %s", offer.bay, offer.revision, why)
        self._tell(served, "refused", offer.revision, why)

    def _tell(
        self, served: _Served, state: Literal["settled", "fetching", "trial", "refused"], offered: int, text: str
    ) -> None:
        before, plan = served.health, served.planogram
        served.health = PlanogramHealth(
            bay=plan.bay, revision=plan.revision, sha256=served.sha256, state=state, offered=offered, text=text[:_ROOM]
        )
        if served.health != before:
            self._on_change(served.camera)

    def _incoming(self, served: _Served) -> Path:
        return self._folder / f"{served.planogram.bay}.incoming.json"


def kept_planogram(folder: Path, configured: Planogram, camera: str) -> tuple[Planogram, str] | None:
    """What a bay used last before the node was stopped; None: what the configuration names is as new, or newer."""
    for name in (f"{configured.bay}.json", f"{configured.bay}.before.json"):
        file = folder / name
        if not file.is_file():
            continue
        try:
            plan, view = usable_planogram(file, configured.store, configured.bay, camera)
        except ContractError as error:
            log.error("this planogram is left out: %s", error)
            continue
        return (plan, view) if plan.revision > configured.revision else None
    return None


def _in_a_line(error: Exception) -> str:
    """Without the file's name, which says nothing to who reads a status."""
    return in_brief(error.problems, _ROOM) if isinstance(error, FileProblems) else " ".join(str(error).split())

"""Models that change while the node runs: fetched, checked, switched, watched, and left again when they fail.

One thread. Orders come from the collector over MQTT, or from the command line through the store's pointer file; the
pipeline goes on all the while.
"""

from __future__ import annotations

import logging
import queue
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shelf_contracts.errors import ContractError
from shelf_contracts.manifest import Manifest
from shelf_contracts.messages import ModelHealth, ModelOffer, UpdateCommand
from shelf_edge.adapters.model_store import ModelStore
from shelf_edge.core.reporting import moment
from shelf_edge.detector_switch import DetectorSwitch
from shelf_edge.ports import Clock, Detector

log = logging.getLogger(__name__)

State = Literal["settled", "trial", "fetching", "refused", "rolled-back"]

_TICK_S = 0.5
_MOST_ORDERS = 4


@dataclass(frozen=True)
class UpdateCounters:
    """What became of orders: ``ignored`` were expired, ``dropped`` came while four others waited."""

    taken: int = 0
    ignored: int = 0
    dropped: int = 0


class ModelUpdates:
    """Supervises the store's active model and carries out orders.

    Args:
        store: for changes made here and seen here; its trust is that for models from the network.
        load: a detector from a folder, self-tested.
        fetch: downloads an offer into a folder and returns it; raises FileProblems.
        accepts_orders: False: orders from the network are refused and said so.
        is_pipeline_down: whether the node has given up.
        on_change: something was changed that the world should hear: called on this thread.
    """

    def __init__(
        self,
        store: ModelStore,
        switch: DetectorSwitch,
        load: Callable[[Path], Detector],
        fetch: Callable[[ModelOffer, Path, Callable[[], bool]], Path],
        clock: Clock,
        *,
        incoming: Path,
        trial_s: float,
        accepts_orders: bool,
        is_pipeline_down: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self._store = store
        self._switch = switch
        self._load = load
        self._fetch = fetch
        self._clock = clock
        self._incoming = incoming
        self._trial_s = trial_s
        self._accepts_orders = accepts_orders
        self._is_pipeline_down = is_pipeline_down
        self._on_change = on_change
        self._orders: queue.Queue[UpdateCommand] = queue.Queue(_MOST_ORDERS)
        self._stop = threading.Event()
        self._active = store.active
        self._sha256 = switch.info.sha256
        self._state: State = "trial" if store.pointer.on_trial else "settled"
        self._rollout = ""
        self._text = ""
        self._since_s = clock.monotonic_s()
        self.counters = UpdateCounters()
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def take(self, command: UpdateCommand) -> None:
        """An order; any thread, never waits. Orders are said again, so one too many is dropped and counted."""
        if moment(self._clock.now_s()) > command.expires:
            self._count(ignored=1)
            return
        try:
            self._orders.put_nowait(command)
        except queue.Full:
            self._count(dropped=1)

    def health(self) -> ModelHealth:
        """What the node's health says of its model."""
        info = self._switch.info
        return ModelHealth(
            name=info.name,
            version=info.version,
            sha256=info.sha256,
            provider=info.provider,
            fallback=info.fallback,
            state=self._state,
            rollout=self._rollout,
            text=self._text[:300],
        )

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                order = self._orders.get(timeout=_TICK_S)
            except queue.Empty:
                order = None
            try:
                if order is not None:
                    self._obey(order)
                self._follow_pointer()
                self._watch()
            except Exception:
                log.exception("the model could not be supervised; trying again")
                self._stop.wait(_TICK_S)

    def _obey(self, order: UpdateCommand) -> None:
        arguments, offer = order.args, order.args.offer
        self._count(taken=1)
        has_it = self._switch.info.sha256 == offer.sha256
        if arguments.action == "rollback":
            if has_it:
                try:
                    self._go_back(f"rollout {arguments.rollout}: asked by {order.requested_by}", arguments.rollout)
                except ContractError as error:
                    self._tell("refused", arguments.rollout, str(error).splitlines()[0])
            else:
                self._tell("rolled-back", arguments.rollout, "does not run it")
            return
        if has_it:
            self._tell("trial" if self._store.pointer.on_trial else "settled", arguments.rollout, "")
            return
        is_repeated = self._rollout == arguments.rollout and self._state in ("refused", "rolled-back")
        if is_repeated:
            return
        if not self._accepts_orders:
            self._tell("refused", arguments.rollout, "model.updates is false on this node")
            return
        self._tell("fetching", arguments.rollout, "")
        try:
            folder = self._fetch(offer, self._incoming, self._stop.is_set)
            self._store.promote(folder, by=f"rollout {arguments.rollout}")
        except (ContractError, OSError) as error:
            log.error("rollout %s: refused: %s", arguments.rollout, error)
            self._tell("refused", arguments.rollout, str(error).splitlines()[0])
        finally:
            shutil.rmtree(self._incoming, ignore_errors=True)

    def _follow_pointer(self) -> None:
        """Somebody changed the pointer: an order just now, or the command line."""
        active = self._store.active
        manifest = self._manifest()
        if manifest is None or (active == self._active and manifest.sha256 == self._sha256):
            return
        on_trial = self._store.pointer.on_trial
        try:
            detector = self._load(active)
        except ContractError as error:
            self._active, self._sha256 = active, manifest.sha256
            self._go_back(f"self-test: {str(error).splitlines()[0]}", self._rollout)
            return
        self._active, self._sha256 = active, manifest.sha256
        self._switch.change(detector, on_trial=on_trial)
        self._since_s = self._clock.monotonic_s()
        log.warning("model in use: %s %s", detector.info.name, detector.info.version)
        if on_trial:
            self._tell("trial", self._rollout, "")
        elif self._state in ("trial", "fetching"):
            self._tell("rolled-back", self._rollout, "the one before is in use")
        else:
            self._on_change()

    def _manifest(self) -> Manifest | None:
        return self._store.manifest_of(self._store.pointer.active)

    def _watch(self) -> None:
        """While on trial: a failure leaves the model, time without one settles it."""
        if self._switch.failure:
            self._go_back(self._switch.failure, self._rollout)
            return
        if self._state != "trial":
            return
        if self._is_pipeline_down():
            self._go_back("the pipeline went down", self._rollout)
        elif self._clock.monotonic_s() - self._since_s < self._trial_s:
            return
        elif not self._switch.looks:
            self._tell("trial", self._rollout, "no camera has given a frame to look at")
        elif self._store.settle(self._sha256):
            self._switch.settle()
            self._tell("settled", self._rollout, "")

    def _go_back(self, reason: str, rollout: str) -> None:
        self._store.roll_back(reason)
        self._active = self._store.active
        manifest = self._manifest()
        self._sha256 = manifest.sha256 if manifest is not None else ""
        if self._switch.info.sha256 != self._sha256 or self._switch.failure:
            self._switch.change(self._load(self._active), on_trial=False)
        self._tell("rolled-back", rollout, reason)

    def _tell(self, state: State, rollout: str, text: str) -> None:
        is_news = (state, rollout, text) != (self._state, self._rollout, self._text)
        self._state, self._rollout, self._text = state, rollout, text
        if is_news:
            self._on_change()

    def _count(self, taken: int = 0, ignored: int = 0, dropped: int = 0) -> None:
        have = self.counters
        self.counters = UpdateCounters(have.taken + taken, have.ignored + ignored, have.dropped + dropped)

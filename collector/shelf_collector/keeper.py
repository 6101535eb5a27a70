"""The one thread that owns the store's memory: takes what came, folds, commits, acknowledges, then tells the world."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from shelf_collector.core.inbox import Happening, Inbound, SlotMessage, StockReport, claimed_source, decode
from shelf_collector.core.memory import Facts, StoreMemory
from shelf_collector.core.views import Viewer
from shelf_collector.ports import Bus, Clock, Delivery, History, Screens, SetAside, StorageProblem
from shelf_contracts import envelope, topics
from shelf_contracts.errors import MessageProblem

T = TypeVar("T")

log = logging.getLogger(__name__)

QUEUE_SIZE = 2000
LARGEST_BATCH = 256
TICK_S = 0.25
_PUT_TIMEOUT_S = 0.5
_RETRY_S = (0.1, 0.5, 1.0, 2.0)
_PAYLOAD_KEPT_BYTES = 500
_PRUNE_EVERY = timedelta(hours=6)


class Keeper:
    """Folds deliveries into the memory.

    A message is acknowledged only after the transaction that holds it was committed. A batch is whatever is queued,
    at most 256, without waiting for more. The queue holds 2000; when it is full the network thread waits, and the
    broker keeps the rest. Whoever reads ``memory`` from another thread holds ``lock``.
    """

    def __init__(
        self,
        memory: StoreMemory,
        viewer: Viewer,
        history: History,
        bus: Bus,
        screens: Screens,
        clock: Clock,
        store: str,
    ) -> None:
        self.memory = memory
        self.lock = threading.Lock()
        self.counters: Counter[str] = Counter()
        self.storage_problem = ""
        self._viewer = viewer
        self._history = history
        self._bus = bus
        self._screens = screens
        self._clock = clock
        self._store = store
        self._queue: queue.Queue[Delivery] = queue.Queue(QUEUE_SIZE)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def deliver(self, delivery: Delivery) -> None:
        """Queue one message; waits while the queue is full, so that the broker keeps what we cannot take."""
        while not self._stopping.is_set():
            try:
                self._queue.put(delivery, timeout=_PUT_TIMEOUT_S)
            except queue.Full:
                self.counters["waited_full_queue"] += 1
            else:
                return

    def start(self) -> None:
        """Post all present state, then begin."""
        with self.lock:
            facts = self.memory.everything(self._clock.now())
        self._post(facts)
        self._thread.start()

    def stop(self, timeout_s: float = 4.0) -> None:
        """Finish what is queued, then end."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.error("the keeper did not end within %g s; what is queued stays with the broker", timeout_s)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def queued(self) -> int:
        return self._queue.qsize()

    def _run(self) -> None:
        pruned_at = self._clock.now()
        while True:
            batch = self._take()
            if not batch and self._stopping.is_set():
                return
            try:
                self.work(batch)
                if self._clock.now() - pruned_at > _PRUNE_EVERY:
                    pruned_at = self._clock.now()
                    self._history.prune(pruned_at)
            except _Stopped:
                log.error("stopped while the database did not answer; %d messages stay with the broker", len(batch))
                return
            except Exception:  # the store's memory must not end with one bad batch; it is said and counted
                self.counters["failed_batches"] += 1
                log.exception("a batch of %d messages failed", len(batch))

    def _take(self) -> list[Delivery]:
        batch: list[Delivery] = []
        try:
            batch.append(self._queue.get_nowait() if self._stopping.is_set() else self._queue.get(timeout=TICK_S))
            while len(batch) < LARGEST_BATCH:
                batch.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return batch

    def work(self, batch: list[Delivery]) -> None:
        """Fold, commit, tell, acknowledge. Called by the thread; by tests in its place. Empty: time passes."""
        decoded, set_aside = self._decode(batch)
        slot_messages = [message for _, message in decoded if isinstance(message, StockReport | Happening)]
        known = self._insist(lambda: self._history.known(slot_messages)) if slot_messages else set()
        facts = Facts()
        with self.lock:
            for delivery, message in decoded:
                is_known = isinstance(message, StockReport | Happening) and _identity(message) in known
                try:
                    outcome = self.memory.take(message, delivery.received_at, facts, known=is_known)
                except Exception as error:  # our own mistake must not make the broker send it for ever
                    log.exception("a message on %s could not be folded", delivery.topic)
                    set_aside.append(_set_aside(delivery, f"the collector failed on it: {error!r}"))
                else:
                    self.counters[outcome] += 1
            for one in set_aside:
                self.counters["set_aside"] += 1
                if one.source is not None and self.memory.state.count_set_aside(one.source):
                    facts.sources.add(one.source)
            now = self._clock.now()
            self.memory.tick(now, facts)
            screens = self._viewer.screens(facts, self.memory, now)
        if set_aside or facts.must_be_stored:
            self._insist(lambda: self._history.store(facts, self.memory.state, set_aside))
        for screen in screens:
            self._screens.show(screen)
        self._bus.acknowledge(batch)
        self._post(facts)

    def _decode(self, batch: list[Delivery]) -> tuple[list[tuple[Delivery, Inbound]], list[SetAside]]:
        decoded: list[tuple[Delivery, Inbound]] = []
        set_aside: list[SetAside] = []
        for delivery in batch:
            try:
                message = decode(delivery.topic, delivery.payload, store=self._store, retained=delivery.retained)
            except MessageProblem as problem:
                seen = self.counters["set_aside"] + len(set_aside) + 1
                # The 1st, 2nd, 4th, 8th ... is said aloud: a node that talks nonsense must not fill the log.
                log.log(logging.DEBUG if seen & (seen - 1) else logging.WARNING, "set aside (%d): %s", seen, problem)
                set_aside.append(_set_aside(delivery, str(problem)))
                continue
            if message is not None:
                decoded.append((delivery, message))
        return decoded, set_aside

    def _insist(self, action: Callable[[], T]) -> T:
        """Do it, again and again while the database fails: what was folded must be stored before it is forgotten."""
        for attempt in itertools.count():
            try:
                result = action()
            except StorageProblem as problem:
                if str(problem) != self.storage_problem:
                    log.error("%s; trying again until it works", problem)
                self.storage_problem = str(problem)
                self.counters["storage_failures"] += 1
                if self._stopping.wait(_RETRY_S[min(attempt, len(_RETRY_S) - 1)]):
                    raise _Stopped from problem
            else:
                self.storage_problem = ""
                return result
        raise AssertionError("count() does not end")

    def _post(self, facts: Facts) -> None:
        for content in facts.displays:
            topic = topics.build("display_content", store=self._store, display=content.display)
            self._bus.post(topic, envelope.encode(content))
        for change in facts.alerts:
            topic = topics.build("alert_state", store=self._store, alert=change.id)
            self._bus.post(topic, envelope.encode(change.alert) if change.alert else b"")
        for bay, state in facts.bays.items():
            self._bus.post(topics.build("bay_state", store=self._store, bay=bay), envelope.encode(state))


class _Stopped(Exception):
    """Asked to stop while waiting for the database."""


def _set_aside(delivery: Delivery, problem: str) -> SetAside:
    beginning = delivery.payload[:_PAYLOAD_KEPT_BYTES]
    return SetAside(delivery.topic, beginning, problem, delivery.received_at, claimed_source(delivery.payload))


def _identity(message: SlotMessage) -> tuple[str, str]:
    return message.message.source, message.message.id

"""The one thread that owns the store's memory: takes what came, folds, commits, acknowledges, then tells the world."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from shelf_collector.core.inbox import (
    Claim,
    Happening,
    HeldSeen,
    Inbound,
    NodeOccurrence,
    Numbered,
    StockReport,
    claim_of,
    decode,
    node_of,
)
from shelf_collector.core.memory import Facts, StoreMemory
from shelf_collector.core.resend import MISSING_FOR_GOOD_H, Ask, ResendPlan
from shelf_collector.core.state import SourceKey
from shelf_collector.core.views import Viewer
from shelf_collector.ports import Bus, Clock, Delivery, History, Screens, SetAside, StorageProblem
from shelf_contracts import envelope, topics
from shelf_contracts.errors import MessageProblem, TopicProblem
from shelf_contracts.messages import Acknowledgement, ResendArguments, ResendCommand, SequenceRange

T = TypeVar("T")

log = logging.getLogger(__name__)

QUEUE_SIZE = 2000
LARGEST_BATCH = 256
TICK_S = 0.25
_PUT_TIMEOUT_S = 0.5
_RETRY_S = (0.1, 0.5, 1.0, 2.0)
_PAYLOAD_KEPT_BYTES = 500
_PRUNE_EVERY = timedelta(hours=6)
ACKNOWLEDGE_EVERY_S = 0.5
_ABANDON_EVERY_S = 60.0
_MOST_QUEUED_TO_ASK = 20
_COMMAND_LIFE = timedelta(seconds=60)


class Keeper:
    """Folds deliveries into the memory.

    A message is acknowledged only after the transaction that holds it was committed: to the broker at once, to the node
    that numbered it within half a second (``node_ack``, cumulative). What is missing is asked for (``node_resend``);
    what stays missing for a day in which the node is there, or is gone as the node says, is lost. A batch is whatever
    is queued, at most 256, without waiting for more. The queue holds 2000; when it is full the network thread waits,
    and the broker keeps the rest. Whoever reads ``memory`` from another thread holds ``lock``.

    Args:
        recall: the store's memory as the history has it; asked again after a batch that failed.
    """

    def __init__(
        self,
        recall: Callable[[], StoreMemory],
        viewer: Viewer,
        history: History,
        bus: Bus,
        screens: Screens,
        clock: Clock,
        store: str,
    ) -> None:
        self._recall = recall
        self.memory = recall()
        self.lock = threading.Lock()
        self.counters: Counter[str] = Counter()
        self.storage_problem = ""
        self._viewer = viewer
        self._history = history
        self._bus = bus
        self._screens = screens
        self._clock = clock
        self._store = store
        self._heard: dict[str, SourceKey] = {}
        self._unacknowledged: set[str] = set()
        self._acknowledged_s = clock.monotonic_s() - ACKNOWLEDGE_EVERY_S
        self._abandoned_s = clock.monotonic_s()
        self._present_since_s: dict[str, float] = {}
        self._resends = ResendPlan()
        self._queue: queue.Queue[Delivery] = queue.Queue(QUEUE_SIZE)
        self._stopping = threading.Event()
        self._stop_by_s = 0.0
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
            # A node's newest numbering is the one that counts on.
            for audit in sorted(self.memory.state.sources.values(), key=lambda one: one.last or 0):
                self._note_heard((audit.source, audit.numbering))
        self._post(facts)
        self._acknowledge_nodes()
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Finish what is queued, for half of the time at most, then end: the rest stays with broker and nodes."""
        self._stop_by_s = self._clock.monotonic_s() + timeout_s / 2
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
        pruned_at: datetime | None = None  # at once: a collector that is restarted every night must forget too
        while True:
            batch = self._take()
            if self._stopping.is_set() and (not batch or self._clock.monotonic_s() > self._stop_by_s):
                return
            try:
                self.work(batch)
                now = self._clock.now()
                if pruned_at is None or abs(now - pruned_at) > _PRUNE_EVERY:
                    pruned_at = now
                    self._history.prune(now)
            except _Stopped:
                log.error("stopped while the database did not answer; %d messages stay with the broker", len(batch))
                return
            except Exception:  # the store's memory must not end with one bad batch; it is said and counted
                self.counters["failed_batches"] += 1
                log.exception("a batch of %d messages failed; they are taken one by one", len(batch))
                try:
                    self._take_one_by_one(batch)
                except _Stopped:
                    log.error("stopped in the middle of a batch that failed; what is left stays with the broker")
                    return

    def _take_one_by_one(self, batch: list[Delivery]) -> None:
        """After a batch failed: forget what of it was folded but never stored, and find the message that cannot be.

        The memory may be ahead of the database by then, and what it acknowledges must be in there: so it is recalled.
        """
        self._go_back_to_what_is_stored()
        for delivery in batch:
            try:
                self.work([delivery])
            except _Stopped:
                raise
            except Exception as error:
                log.exception("a message on %s cannot be taken; it is set aside", delivery.topic)
                self._go_back_to_what_is_stored()
                self._give_up_on(delivery, f"the collector failed on it: {type(error).__name__}")

    def _go_back_to_what_is_stored(self) -> None:
        memory = self._insist(self._recall)
        with self.lock:
            self.memory = memory
            self._heard = {node: key for node, key in self._heard.items() if key in memory.state.sources}
            self._unacknowledged.clear()

    def _give_up_on(self, delivery: Delivery, problem: str) -> None:
        """Keep it among the dead letters without counting on anything it says."""
        one = replace(_set_aside(delivery, problem), claim=None)
        try:
            self._insist(lambda: self._history.store(Facts(), self.memory.state, [one]))
        except _Stopped:
            raise
        except Exception:
            log.exception("not even set aside: a message on %s", delivery.topic)
        self.counters["set_aside"] += 1
        self._bus.acknowledge([delivery])

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
        numbered = [message for _, message in decoded if isinstance(message, StockReport | Happening | NodeOccurrence)]
        known = self._insist(lambda: self._history.known(numbered)) if numbered else set()
        facts = Facts()
        heard: set[SourceKey] = set()
        with self.lock:
            for delivery, message in decoded:
                is_known = False
                if isinstance(message, StockReport | Happening | HeldSeen) and not self.memory.state.may_speak_of(
                    message.node, message.bay
                ):
                    told = f"node = {message.node!r}: this node has no camera at bay {message.bay}"
                    log.warning("set aside: a message on %s: %s", delivery.topic, told)
                    set_aside.append(replace(_set_aside(delivery, told), claim=None))
                    continue
                if isinstance(message, StockReport | Happening | NodeOccurrence):
                    is_known = _identity(message) in known
                    heard.add((message.message.source, message.message.numbering))
                try:
                    outcome = self.memory.take(message, delivery.received_at, facts, known=is_known)
                except Exception as error:  # our own mistake must not make the broker send it for ever
                    log.exception("a message on %s could not be folded", delivery.topic)
                    set_aside.append(_set_aside(delivery, f"the collector failed on it: {error!r}"))
                else:
                    self.counters[outcome] += 1
            for one in set_aside:
                self.counters["set_aside"] += 1
                if one.claim is not None and self._may_claim(one.topic, one.claim):
                    counted = self.memory.state.count_set_aside(one.claim, one.at)
                    if counted is not None:
                        facts.sources.add(counted)
                        heard.add(counted)
            now = self._clock.now()
            self._abandon_gaps(facts)
            self.memory.tick(now, facts)
            # A hand at the shelf does not wait for the disk: what displays show is promised to nobody.
            self._screens.show(*self._viewer.display_screens(facts, self.memory, now))
            screens = self._viewer.other_screens(facts, self.memory, now)
        if set_aside or facts.must_be_stored:
            self._insist(lambda: self._history.store(facts, self.memory.state, set_aside))
        self._screens.show(*screens)
        self._bus.acknowledge(batch)
        self._post(facts)
        for key in heard:
            self._note_heard(key)
        self._acknowledge_nodes()
        self._ask_for_missing()

    def _may_claim(self, topic: str, claim: Claim) -> bool:
        """Whether a message on that topic may be of that source: none is counted in somebody else's name."""
        node = node_of(claim.source, self._store)
        try:
            ids = topics.parse(topic).ids
        except TopicProblem:
            return False
        if node is None or ids.get("node", node) != node:
            return False
        return "bay" not in ids or self.memory.state.may_speak_of(node, ids["bay"])

    def _note_heard(self, key: SourceKey) -> None:
        node = node_of(key[0], self._store)
        if node is not None:
            self._heard[node] = key
            self._unacknowledged.add(node)

    def _acknowledge_nodes(self) -> None:
        """Tell the nodes what is in the database now. Called after the commit only."""
        now_s = self._clock.monotonic_s()
        if not self._unacknowledged or now_s - self._acknowledged_s < ACKNOWLEDGE_EVERY_S:
            return
        self._acknowledged_s = now_s
        for node in self._unacknowledged:
            key = self._heard[node]
            audit = self.memory.state.sources.get(key)
            stored = audit.acknowledged if audit is not None else None
            if stored is None:
                continue
            message = Acknowledgement(numbering=key[1], first=stored[0], through=stored[1], time=self._clock.now())
            self._bus.post(topics.build("node_ack", store=self._store, node=node), envelope.encode(message))
        self._unacknowledged.clear()

    def _ask_for_missing(self) -> None:
        if self._queue.qsize() > _MOST_QUEUED_TO_ASK:
            return  # what is missing may be on its way; asking would only add to the queue

        def is_present(source: str) -> bool:
            node = self.memory.state.nodes.get(node_of(source, self._store) or "")
            return node is None or node.state != "offline"

        for ask in self._resends.due(self.memory.state.sources.values(), self._clock.monotonic_s(), is_present):
            node = node_of(ask.source, self._store)
            if node is not None and self._bus.send(
                topics.build("node_resend", store=self._store, node=node), envelope.encode(self._command(ask))
            ):
                self.counters["asked_for_missing"] += 1
                log.warning("%s: %d gaps; asked to send again from %d", node, len(ask.ranges), ask.ranges[0][0])

    def _command(self, ask: Ask) -> ResendCommand:
        ranges = [SequenceRange(first=first, last=last) for first, last in ask.ranges]
        return ResendCommand(
            args=ResendArguments(numbering=ask.numbering, ranges=ranges),
            correlation=str(uuid.uuid4()),
            expires=self._clock.now() + _COMMAND_LIFE,
        )

    def _abandon_gaps(self, facts: Facts) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._abandoned_s < _ABANDON_EVERY_S:
            return
        self._abandoned_s = now_s
        now, nodes = self._clock.now(), self.memory.state.nodes
        present = {name for name, node in nodes.items() if node.is_present(now)}
        self._present_since_s = {name: self._present_since_s.get(name, now_s) for name in present}

        def may_give_up(source: str) -> bool:
            """A node that is away still holds it. A day is a day of running, not of a clock that was set."""
            since_s = self._present_since_s.get(node_of(source, self._store) or "", now_s)
            return now_s - since_s >= MISSING_FOR_GOOD_H * 3600

        for key in self.memory.state.abandon_gaps(now - timedelta(hours=MISSING_FOR_GOOD_H), may_give_up):
            facts.sources.add(key)
            log.error("%s: what was missing for %g h is lost", key[0], MISSING_FOR_GOOD_H)
            self._unacknowledged |= {node for node, heard in self._heard.items() if heard == key}

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
    return SetAside(delivery.topic, beginning, problem, delivery.received_at, claim_of(delivery.payload))


def _identity(message: Numbered) -> tuple[str, str]:
    return message.message.source, message.message.id

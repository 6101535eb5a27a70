"""From what the node says to what stands in its outbox, also while the disk takes nothing."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from shelf_contracts import topics
from shelf_contracts.catalog import BY_NAME
from shelf_contracts.envelope import encode, node_source, wrap, wrap_node_event
from shelf_contracts.messages import NodeEvent, SequenceRange, SlotEvent, StockLevel
from shelf_edge.core.reporting import moment
from shelf_edge.ports import Clock, GivenUp, Notice, Outbox, OutboxEntry, OutboxFull, WaitingEvents

log = logging.getLogger(__name__)

MOST_WAITING = 2000


@dataclass(frozen=True)
class _Said:
    bay: str
    slot: str
    data: StockLevel | SlotEvent
    time_s: float
    number: int = 0  # in the waiting file


class Journal:
    """Writes slot messages into the outbox, in the order in which they were said.

    While the disk is full they wait, at most ``most_waiting``: then stock levels give way first, then the oldest
    events, which are counted and told once there is room again. Events wait in ``room``, which outlives the process,
    and are the first to be written by the next one; stock levels wait in memory, because a start says them anew.
    """

    def __init__(
        self,
        store: str,
        node: str,
        outbox: Outbox,
        clock: Clock,
        room: WaitingEvents,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._store = store
        self._source = node_source(store, node)
        self._outbox = outbox
        self._clock = clock
        self._room = room
        self._most_waiting = most_waiting
        self._lock = threading.Lock()
        self._waiting: deque[_Said] = deque()
        self._is_full = False
        for one in room.load(outbox.waited, outbox.refused_told):
            self._waiting.append(
                _Said(one.bay, one.slot, SlotEvent.model_validate_json(one.data), one.time_s, one.number)
            )
        self._told = room.told
        if self._waiting or self.refused:
            log.warning("%d events wait since the last run; %d were given up", len(self._waiting), self.refused)
            self.retry()

    @property
    def waiting(self) -> int:
        """Messages that are not in the outbox, because the disk is full."""
        return len(self._waiting)

    @property
    def refused(self) -> int:
        """Events given up while the disk was full that nobody was told of yet."""
        return max(0, self._room.refused - self._told)

    def say(self, bay: str, slot: str, data: StockLevel | SlotEvent) -> bool:
        """Keep a message; True when it is in the outbox, False when it waits."""
        with self._lock:
            said = _Said(bay, slot, data, self._clock.now_s())
            if not self._waiting and not self.refused and self._is_written(said):
                return True
            if isinstance(data, SlotEvent):
                number = self._room.push(bay, slot, said.time_s, data.model_dump_json()).number
                said = replace(said, number=number)
            self._waiting.append(said)
            self._write()
            while len(self._waiting) > self._most_waiting:
                self._give_way()
            return not self._waiting

    def retry(self) -> None:
        """Try again to write what waits."""
        if self._waiting or self.refused:
            with self._lock:
                self._write()

    def finish(self) -> bool:
        """Write what can still be written; False, with the numbers in the log, when something is not in the outbox."""
        self.retry()
        events = sum(isinstance(said.data, SlotEvent) for said in self._waiting)
        if not (events or self.refused):
            return True
        log.critical(
            "the outbox could not be written: %d events wait on disk for the next start, %d are lost with this one, "
            "%d were given up before; free space on its disk",
            events - self._room.beyond, self._room.beyond, self.refused,
        )  # fmt: skip
        return False

    def _is_written(self, said: _Said) -> bool:
        try:
            self._outbox.append(self._entry_of(said), waited=said.number)
        except OutboxFull as full:
            if not self._is_full:
                log.error("%s; messages wait", full)
            self._is_full = True
            return False
        self._is_full = False
        return True

    def _write(self) -> None:
        while self._waiting:
            if not self._is_written(self._waiting[0]):
                return
            if self._waiting.popleft().number:
                self._room.pop(refused=False)
        if not self.refused:
            return
        total, given_up = self._room.refused, GivenUp(refused=self.refused)
        try:
            self._outbox.append_notice(
                "overflow", given_up, self._outbox.numbering, "the disk was full", refused_told=total
            )
        except OutboxFull:
            return
        self._told = total
        self._room.tell(total)

    def _give_way(self) -> None:
        for index, said in enumerate(self._waiting):
            if isinstance(said.data, StockLevel):
                del self._waiting[index]
                return
        self._waiting.popleft()
        self._room.pop(refused=True)

    def _entry_of(self, said: _Said) -> Callable[[int], OutboxEntry]:
        place = {"store": self._store, "bay": said.bay, "slot": said.slot}
        if isinstance(said.data, StockLevel):
            row, topic = BY_NAME["slot_stock"], topics.build("slot_stock", **place)
        else:
            row, topic = BY_NAME["slot_event"], topics.build("slot_event", **place, kind=said.data.action)

        def entry(sequence: int) -> OutboxEntry:
            message = wrap(
                said.data,
                source=self._source,
                bay=said.bay,
                slot=said.slot,
                sequence=sequence,
                time=moment(said.time_s),
                expires=moment(said.time_s + row.expiry_s) if row.expiry_s is not None else None,
                numbering=self._outbox.numbering,
                message_id=str(uuid.uuid4()),
            )
            return OutboxEntry(sequence, topic, encode(message), row.retain, row.expiry_s)

        return entry


def notice_maker(store: str, node: str, clock: Clock) -> Callable[[int, str, Notice], OutboxEntry]:
    """Makes the node events by which an outbox says what it gave up."""
    row = BY_NAME["node_event"]

    def make(sequence: int, numbering: str, notice: Notice) -> OutboxEntry:
        given_up = notice.given_up
        event = NodeEvent(
            action=notice.action,
            numbering=notice.numbering,
            lost=[SequenceRange(first=first, last=last) for first, last in given_up.lost],
            superseded=[SequenceRange(first=first, last=last) for first, last in given_up.superseded],
            refused=given_up.refused,
            health=given_up.health,
            text=notice.text,
        )
        now_s = clock.now_s()
        message = wrap_node_event(
            event,
            source=node_source(store, node),
            node=node,
            sequence=sequence,
            time=moment(now_s),
            numbering=numbering,
            message_id=str(uuid.uuid4()),
            expires=moment(now_s + (row.expiry_s or 0)),
        )
        topic = topics.build("node_event", store=store, node=node, kind=notice.action)
        return OutboxEntry(sequence, topic, encode(message), row.retain, row.expiry_s)

    return make

"""A node without cameras: invented events through the real outbox and publisher, for ``smartshelf chaos`` and ``soak``.

Every event has a mark of its own, which the node writes into a ledger before (``try``) and after (``kept``) the outbox
has taken it. Whoever compares the ledger with what was applied needs no sequence number.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import psutil

from shelf_contracts.messages import CameraInfo, NodeHealth, NodeInfo, SlotEvent, StockLevel
from shelf_edge.adapters.clock import ShiftedClock
from shelf_edge.adapters.mqtt_publisher import MqttPublisher
from shelf_edge.adapters.outbox_sqlite import SqliteOutbox
from shelf_edge.adapters.waiting_file import WaitingFile
from shelf_edge.core.facts import Observation, level_of
from shelf_edge.core.reporting import moment
from shelf_edge.journal import Journal, notice_maker
from shelf_mqtt.address import BrokerAddress

log = logging.getLogger(__name__)

HEALTH_EVERY_S = 5.0
_CONTROL_EVERY_S = 0.1
_STOCK_EVERY = 10
_CAPACITY = 12
_MIN_PRESENTATION = 2
_QUOTA_PAGES = 12


@dataclass(frozen=True)
class RehearsalSetup:
    """What a rehearsing node needs.

    ``control`` is a folder in which others leave files: ``pause`` (say nothing new), ``full`` (the disk takes no more),
    ``clock`` (seconds to add to the wall clock).
    """

    store: str
    node: str
    bay: str
    slots: tuple[str, ...]
    address: BrokerAddress
    state: Path
    ledger: Path
    control: Path
    rate_per_s: float
    seed: int


class Ledger:
    """Appends lines to a file: what was written survives a kill of the process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, line: str) -> None:
        os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


def rehearse(setup: RehearsalSetup, stop: threading.Event) -> None:
    """Say events until ``stop``; then hand over what waits, and end within 8 s."""
    clock = ShiftedClock(setup.control / "clock")
    session_id = str(uuid.uuid4())
    began_s = clock.monotonic_s()
    outbox = SqliteOutbox(
        setup.state / "outbox.sqlite3",
        first_sequence=int(time.time() * 1000),
        clock=clock,
        make_notice=notice_maker(setup.store, setup.node, clock),
    )
    room = WaitingFile(setup.state / "outbox.waiting")
    journal = Journal(setup.store, setup.node, outbox, clock, room)
    ledger = Ledger(setup.ledger)
    levels: dict[str, StockLevel] = {}
    say_again = threading.Event()

    def birth() -> None:
        camera = CameraInfo(id="c1", bay=setup.bay, slots=len(setup.slots))
        info = NodeInfo(node=setup.node, session=session_id, software="rehearsal", cameras=[camera])
        publisher.say("node_info", info, node=setup.node)
        say_again.set()

    publisher = MqttPublisher(setup.address, setup.store, setup.node, session_id, outbox, clock, birth)

    def health() -> NodeHealth:
        return NodeHealth(
            node=setup.node,
            session=session_id,
            time=moment(clock.now_s()),
            uptime_s=round(clock.monotonic_s() - began_s, 1),
            rss_mb=round(psutil.Process().memory_info().rss / 2**20, 1),
            outbox_messages=outbox.depth(),
            outbox_lost=outbox.lost,
            outbox_waiting=journal.waiting,
        )

    def keep(data: SlotEvent | StockLevel, slot: str) -> bool:
        """True once it is on disk; waits while the disk is full, as a camera's events would in memory."""
        is_kept = journal.say(setup.bay, slot, data)
        while not is_kept and not stop.wait(_CONTROL_EVERY_S):
            control()
            journal.retry()
            is_kept = journal.waiting == 0
        publisher.wake()
        return is_kept

    is_bounded = False

    def control() -> None:
        nonlocal is_bounded
        wanted = (setup.control / "full").exists()
        if wanted != is_bounded:
            outbox.bound_file(_QUOTA_PAGES if wanted else None)
            is_bounded = wanted

    publisher.start()
    chance = random.Random(f"{setup.seed}/{setup.node}/{session_id}")
    next_s = next_control_s = next_health_s = clock.monotonic_s()
    number = 0
    while not stop.is_set():
        now_s = clock.monotonic_s()
        if now_s >= next_control_s:
            next_control_s = now_s + _CONTROL_EVERY_S
            control()
            if say_again.is_set():
                say_again.clear()
                for slot, level in levels.items():
                    keep(level, slot)
        if now_s >= next_health_s:
            next_health_s = now_s + HEALTH_EVERY_S
            publisher.say_health(health())
        if (setup.control / "pause").exists():
            next_s = now_s
            stop.wait(_CONTROL_EVERY_S)
            continue
        if now_s < next_s:
            stop.wait(min(next_s - now_s, _CONTROL_EVERY_S))
            continue
        # Behind by more than a second (the disk was full): what was not invented then is not made up for.
        next_s = max(next_s + 1 / setup.rate_per_s, now_s - 1.0)
        number += 1
        slot = chance.choice(setup.slots)
        if number % _STOCK_EVERY == 0:
            count = chance.randint(0, _CAPACITY)
            levels[slot] = _level(count, clock.now_s())
            ledger.write(f"level-try {slot} {count}")
            if keep(levels[slot], slot):
                ledger.write(f"level {slot} {count}")
            continue
        mark = f"{setup.node}-{session_id[:8]}-{number}-{int(now_s * 1000)}"
        ledger.write(f"try {mark}")
        if keep(_event(mark, clock.now_s()), slot):
            ledger.write(f"kept {mark}")
    publisher.stop()
    journal.finish()
    outbox.close()
    room.close()
    ledger.close()


def _event(mark: str, now_s: float) -> SlotEvent:
    now = moment(now_s)
    return SlotEvent(
        action="pick", quantity=1, confidence=1.0, started_at=now, ended_at=now, captured_at=now, text=mark
    )  # fmt: skip


def _level(count: int, now_s: float) -> StockLevel:
    level = level_of(Observation(count, count, count, 1.0, "clear"), _CAPACITY, _MIN_PRESENTATION)
    return StockLevel(
        count=count, capacity=_CAPACITY, min=_MIN_PRESENTATION, level=level, confidence=1.0, observed_at=moment(now_s)
    )  # fmt: skip

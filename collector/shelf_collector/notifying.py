"""Tells people of tasks by the channels of the config: each has a queue of its own, and tries again for a while."""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shelf_collector.core.demand import Loss
from shelf_collector.core.notices import Notice, NoticePlan, NoticeRules
from shelf_collector.core.tasks import Task
from shelf_collector.ports import Clock, NoticeChannel, NoticeMessage, NoticeProblem

log = logging.getLogger(__name__)

RETRY_S = (2.0, 10.0, 60.0, 300.0, 900.0)
"""Waits between tries; after the last one a message is given up. All in all about twenty minutes."""

QUEUE_SIZE = 50
_TICK_S = 0.5


@dataclass(frozen=True)
class ChannelState:
    """How a channel does. ``problem`` is of the last try, empty when it worked."""

    name: str
    kind: str
    waiting: int = 0
    sent: int = 0
    given_up: int = 0
    dropped: int = 0
    sent_at: datetime | None = None
    problem: str = ""


@dataclass(frozen=True)
class Route:
    """A channel and what it is told: everything, or only what waits too long."""

    channel: NoticeChannel
    kind: str
    late_only: bool = False


class Notifier:
    """Any thread may call ``hear``, ``test`` and ``states``; nothing of it waits but ``test`` (10 s at most).

    A queue holds 50 messages; when it is full the oldest goes, counted. Messages are not kept over a restart: what then
    still waits too long is told again.

    Args:
        compose: a notice as a message; it is given the id of the delivery.
    """

    def __init__(
        self, routes: Sequence[Route], rules: NoticeRules, compose: Callable[[Notice, str], NoticeMessage],
        clock: Clock, retry_s: Sequence[float] = RETRY_S,
    ) -> None:  # fmt: skip
        self._plan = NoticePlan(rules)
        self._compose = compose
        self._clock = clock
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._lines = {route.channel.name: _Line(route, clock, retry_s, self._stopping) for route in routes}
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> None:
        if self._lines:
            self._thread.start()
            for line in self._lines.values():
                line.thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End; what waits is not sent any more."""
        self._stopping.set()
        for thread in (self._thread, *(line.thread for line in self._lines.values())):
            if thread.ident is not None:
                thread.join(timeout_s / 2)

    def hear(self, task: Task, change: str, worth: Loss | None) -> None:
        """A task changed."""
        with self._lock:
            self._plan.hear(task, change, worth, self._clock.now())

    def work(self) -> None:
        """Hand what is due to the channels. Called by the thread; by tests in its place."""
        with self._lock:
            notice = self._plan.due(self._clock.now())
        if notice is None:
            return
        for line in self._lines.values():
            mine = notice.late_only() if line.route.late_only else notice
            if mine.told:
                line.put(self._compose(mine, str(uuid.uuid4())))

    def test(self, name: str, message: NoticeMessage) -> ChannelState:
        """Send a message at once, once. Raises: KeyError when there is no such channel."""
        return self._lines[name].send_now(message)

    def states(self) -> list[ChannelState]:
        return [line.state for line in self._lines.values()]

    def _run(self) -> None:
        while not self._stopping.wait(_TICK_S):
            try:
                self.work()
            except Exception:  # people must hear of the next task even if one cannot be put into words
                log.exception("a notice could not be made")


class _Line:
    """One channel's queue and thread."""

    def __init__(self, route: Route, clock: Clock, retry_s: Sequence[float], stopping: threading.Event) -> None:
        self.route = route
        self._clock = clock
        self._retry_s = retry_s
        self._stopping = stopping
        self._queue: queue.Queue[NoticeMessage] = queue.Queue(QUEUE_SIZE)
        self._lock = threading.Lock()
        self._state = ChannelState(route.channel.name, route.kind)
        self.thread = threading.Thread(target=self._run, name=f"notices-{route.channel.name}", daemon=True)

    @property
    def state(self) -> ChannelState:
        with self._lock:
            return replace(self._state, waiting=self._queue.qsize())

    def put(self, message: NoticeMessage) -> None:
        while True:
            try:
                self._queue.put_nowait(message)
            except queue.Full:
                try:
                    self._queue.get_nowait()
                except queue.Empty:
                    continue
                self._count(dropped=1)
            else:
                return

    def send_now(self, message: NoticeMessage) -> ChannelState:
        try:
            self.route.channel.send(message)
        except NoticeProblem as problem:
            self._count(problem=str(problem))
        else:
            self._count(sent=1)
        return self.state

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                message = self._queue.get(timeout=_TICK_S)
            except queue.Empty:
                continue
            self._insist(message)

    def _insist(self, message: NoticeMessage) -> None:
        for wait_s in (*self._retry_s, None):
            try:
                self.route.channel.send(message)
            except NoticeProblem as problem:
                is_last = wait_s is None or problem.is_final
                self._count(problem=str(problem), given_up=int(is_last))
                log.log(
                    logging.ERROR if is_last else logging.WARNING, "notices: %s: %s%s", self.route.channel.name,
                    problem, "; given up" if is_last else f"; again in {wait_s:g} s",
                )  # fmt: skip
                if is_last or self._stopping.wait(wait_s):
                    return
            except Exception:
                log.exception("notices: %s failed; this message is given up", self.route.channel.name)
                self._count(problem="it failed; see the log", given_up=1)
                return
            else:
                self._count(sent=1)
                return

    def _count(self, sent: int = 0, given_up: int = 0, dropped: int = 0, problem: str = "") -> None:
        with self._lock:
            held = self._state
            self._state = replace(
                held, sent=held.sent + sent, given_up=held.given_up + given_up, dropped=held.dropped + dropped,
                sent_at=self._clock.now() if sent else held.sent_at,
                problem=problem if sent or problem else held.problem,
            )  # fmt: skip

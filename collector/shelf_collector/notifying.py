"""Tells people of tasks by the channels of the config: each has a queue of its own, and tries again for a while."""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from shelf_collector.core.demand import Loss
from shelf_collector.core.notices import Mark, MarkChanges, Notice, NoticePlan, NoticeRules
from shelf_collector.core.tasks import Task
from shelf_collector.ports import (
    Clock,
    NoticeChannel,
    NoticeMemory,
    NoticeMessage,
    NoticeProblem,
    NoticeWhy,
    QueuedNotice,
    StorageProblem,
)

log = logging.getLogger(__name__)

RETRY_S = (2.0, 10.0, 60.0, 300.0, 900.0)
"""Waits between tries; after the last one a message is given up. All in all about twenty minutes."""

QUEUE_SIZE = 50
_MOST_UNFORGOTTEN = 500
_TICK_S = 0.5


Outcome = Literal["taken", "again", "failed"]


@dataclass(frozen=True)
class ChannelTest:
    """What became of the newest test of a channel: ``taken``, tried ``again`` later, or ``failed`` for good."""

    at: datetime
    outcome: Outcome
    answer: str
    why: NoticeWhy = "refused"
    tries: int = 1
    next_at: datetime | None = None


@dataclass(frozen=True)
class ChannelState:
    """How a channel does. ``problem`` is of the last try, empty when it worked; ``why`` puts it into words."""

    name: str
    kind: str
    waiting: int = 0
    sent: int = 0
    given_up: int = 0
    dropped: int = 0
    unneeded: int = 0
    """Waited, and was not sent any more: somebody had seen to it meanwhile."""
    sent_at: datetime | None = None
    problem: str = ""
    why: NoticeWhy = "refused"
    tries: int = 0
    """How often the message was tried that is being tried now; with ``next_at``, when it is tried again."""
    next_at: datetime | None = None
    test: ChannelTest | None = None


@dataclass(frozen=True)
class Route:
    """A channel and what it is told: everything, or only what waits too long."""

    channel: NoticeChannel
    kind: str
    late_only: bool = False


class Forgetful:
    """A memory that keeps nothing."""

    def marks(self) -> list[Mark]:
        return []

    def queued(self) -> list[QueuedNotice]:
        return []

    def keep(self, changes: MarkChanges, queued: Sequence[QueuedNotice]) -> None: ...

    def tried(self, notice: QueuedNotice) -> None: ...

    def forget(self, channel: str, message: str) -> None: ...


class Notifier:
    """Any thread may call ``hear``, ``test`` and ``states``; nothing of it waits but ``test`` (10 s at most).

    A queue holds 50 messages; when it is full the oldest goes, counted. What was told and what waits is in ``memory``
    before it is sent and forgotten after it was taken: a restart goes on where it was, with tries and cooldowns. Only
    what the other side took in the very moment of a power cut is sent again, with the id it had.

    Args:
        compose: a notice as a message; it is given the id of the delivery.
    """

    def __init__(
        self, routes: Sequence[Route], rules: NoticeRules, compose: Callable[[Notice, str], NoticeMessage],
        clock: Clock, retry_s: Sequence[float] = RETRY_S, memory: NoticeMemory | None = None,
    ) -> None:  # fmt: skip
        self._plan = NoticePlan(rules)
        self._compose = compose
        self._clock = clock
        self._memory = _Insisting(memory or Forgetful())
        self._lock = threading.Lock()
        self._keeping = threading.Lock()
        self._stopping = threading.Event()
        line = _LineRules(tuple(retry_s), lambda: rules.is_quiet(clock.now()), self._is_of_use)
        self._lines = {route.channel.name: _Line(route, clock, line, self._memory, self._stopping) for route in routes}
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def recall(self, living: Sequence[tuple[Task, Loss | None]]) -> None:
        """Go on where the collector was stopped. Call once, before ``start``. Raises: StorageProblem."""
        if not self._lines:
            return
        with self._lock:
            self._plan.recall(self._memory.marks(), living, self._clock.now())
        for notice in self._memory.queued():
            line = self._lines.get(notice.channel)
            if line is None:
                log.warning("notices: channel %s is not in the config any more; a message for it goes", notice.channel)
                self._memory.forget(notice.channel, notice.message.id)
            else:
                line.put(notice)

    def start(self) -> None:
        if self._lines:
            self._thread.start()
            for line in self._lines.values():
                line.thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End; what waits is sent after the next start."""
        self._stopping.set()
        for thread in (self._thread, *(line.thread for line in self._lines.values())):
            if thread.ident is not None:
                thread.join(timeout_s / 2)
        if self._lines:
            self._keep([])

    def hear(self, task: Task, change: str, worth: Loss | None) -> None:
        """A task changed."""
        if not self._lines:
            return
        with self._lock:
            self._plan.hear(task, change, worth, self._clock.now())

    def work(self) -> None:
        """Hand what is due to the channels. Called by the thread; by tests in its place."""
        with self._lock:
            notice = self._plan.due(self._clock.now())
        queued = []
        for name, line in self._lines.items() if notice else ():
            assert notice is not None
            mine = notice.late_only() if line.route.late_only else notice
            if mine.told:
                queued.append(QueuedNotice(name, self._compose(mine, str(uuid.uuid4()))))
        self._keep(queued)
        for one in queued:
            self._lines[one.channel].put(one)

    def _keep(self, queued: Sequence[QueuedNotice]) -> None:
        with self._keeping:  # one after the other: what is older must not be written last
            with self._lock:
                changes = self._plan.changes()
            self._memory.catch_up()
            if (changes.changed or changes.gone or queued) and self._memory.keep(changes, queued):
                with self._lock:
                    self._plan.stored(changes)

    def _is_of_use(self, message: NoticeMessage) -> bool:
        with self._lock:
            return not message.about or self._plan.is_of_use(message.about)

    def test(self, name: str, message: NoticeMessage) -> ChannelState:
        """Send a message at once, also in quiet hours; when nobody takes it now it is tried again as any other.

        Raises: KeyError when there is no such channel.
        """
        line = self._lines[name]
        again = line.send_now(message)
        if again is not None:
            self._memory.keep(MarkChanges((), ()), [again])
            line.put(again)
        return line.state

    def states(self) -> list[ChannelState]:
        return [line.state for line in self._lines.values()]

    def _run(self) -> None:
        while not self._stopping.wait(_TICK_S):
            try:
                self.work()
            except Exception:  # people must hear of the next task even if one cannot be put into words
                log.exception("a notice could not be made")


class _Insisting:
    """Keeps on when the database does not: people are told all the same; what was taken is forgotten later."""

    def __init__(self, memory: NoticeMemory) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._unforgotten: list[tuple[str, str]] = []
        self._said = ""

    def marks(self) -> list[Mark]:
        return self._memory.marks()

    def queued(self) -> list[QueuedNotice]:
        return self._memory.queued()

    def keep(self, changes: MarkChanges, queued: Sequence[QueuedNotice]) -> bool:
        return self._tried(lambda: self._memory.keep(changes, queued))

    def tried(self, notice: QueuedNotice) -> None:
        self._tried(lambda: self._memory.tried(notice))

    def forget(self, channel: str, message: str) -> None:
        if not self._tried(lambda: self._memory.forget(channel, message)):
            with self._lock:
                self._unforgotten = [*self._unforgotten[-_MOST_UNFORGOTTEN:], (channel, message)]

    def catch_up(self) -> None:
        """What could not be forgotten then is forgotten now, so that it is not sent again."""
        with self._lock:
            late, self._unforgotten = self._unforgotten, []
        for channel, message in late:
            self.forget(channel, message)

    def _tried(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except StorageProblem as problem:
            if str(problem) != self._said:
                log.error("notices go on without memory: %s", problem)
            self._said = str(problem)
            return False
        self._said = ""
        return True


@dataclass(frozen=True)
class _LineRules:
    """Waits between tries; whether nothing is sent now; whether a message still has to be."""

    retry_s: tuple[float, ...]
    is_quiet: Callable[[], bool]
    is_of_use: Callable[[NoticeMessage], bool]


class _Line:
    """One channel's queue and thread."""

    def __init__(
        self, route: Route, clock: Clock, rules: _LineRules, memory: _Insisting, stopping: threading.Event
    ) -> None:
        self.route = route
        self._clock = clock
        self._rules = rules
        self._memory = memory
        self._stopping = stopping
        self._queue: queue.Queue[QueuedNotice] = queue.Queue(QUEUE_SIZE)
        self._lock = threading.Lock()
        self._state = ChannelState(route.channel.name, route.kind)
        self.thread = threading.Thread(target=self._run, name=f"notices-{route.channel.name}", daemon=True)

    @property
    def state(self) -> ChannelState:
        with self._lock:
            return replace(self._state, waiting=self._queue.qsize())

    def put(self, notice: QueuedNotice) -> None:
        while True:
            try:
                self._queue.put_nowait(notice)
            except queue.Full:
                try:
                    oldest = self._queue.get_nowait()
                except queue.Empty:
                    continue
                self._memory.forget(oldest.channel, oldest.message.id)
                self._count(dropped=1)
            else:
                return

    def send_now(self, message: NoticeMessage) -> QueuedNotice | None:
        """One try. Returns what is to be tried again, None when it was taken or never will be."""
        return self._try(QueuedNotice(self.route.channel.name, message))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                notice = self._queue.get(timeout=_TICK_S)
            except queue.Empty:
                continue
            self._insist(notice)

    def _insist(self, notice: QueuedNotice) -> None:
        left: QueuedNotice | None = notice
        while left is not None:
            if not self._wait_for(left):
                return  # the memory has it
            if not self._rules.is_of_use(left.message):
                self._count(unneeded=1)
                self._trying(None)
                break
            left = self._try(left)
            self._trying(left)
            if left is not None:
                self._memory.tried(left)
        self._memory.forget(notice.channel, notice.message.id)

    def _wait_for(self, notice: QueuedNotice) -> bool:
        """Until its next try, and until the quiet hours are over; False when the collector stops before."""
        if notice.next_at is not None:
            # Never longer than the rules say, whatever was done to the clock meanwhile.
            most_s = self._rules.retry_s[min(notice.tries, len(self._rules.retry_s)) - 1]
            wait_s = min(max(0.0, (notice.next_at - self._clock.now()).total_seconds()), most_s)
            if self._stopping.wait(wait_s):
                return False
        while self._rules.is_quiet() and not notice.message.is_test:
            if self._stopping.wait(_TICK_S):
                return False
        return not self._stopping.is_set()

    def _try(self, notice: QueuedNotice) -> QueuedNotice | None:
        message, tries = notice.message, notice.tries + 1
        try:
            answer = self.route.channel.send(message)
        except NoticeProblem as problem:
            is_last = problem.is_final or tries > len(self._rules.retry_s)
            found = problem
        except Exception:
            log.exception("notices: %s failed; this message is given up", self.route.channel.name)
            is_last, found = True, NoticeProblem("it failed; see the collector's log", True, "failed")
        else:
            self._count(sent=1, test=self._test(message, ChannelTest(self._clock.now(), "taken", answer, tries=tries)))
            return None
        wait_s = 0.0 if is_last else self._rules.retry_s[tries - 1]
        now = self._clock.now()
        next_at = None if is_last else now + timedelta(seconds=wait_s)
        outcome: Outcome = "failed" if is_last else "again"
        state = ChannelTest(now, outcome, str(found), found.why, tries, next_at)
        self._count(problem=found, given_up=int(is_last), test=self._test(message, state))
        log.log(
            logging.ERROR if is_last else logging.WARNING, "notices: %s: %s%s", self.route.channel.name, found,
            "; given up" if is_last else f"; again in {wait_s:g} s",
        )  # fmt: skip
        return None if is_last else replace(notice, tries=tries, next_at=next_at)

    def _test(self, message: NoticeMessage, state: ChannelTest) -> ChannelTest | None:
        return state if message.is_test else None

    def _trying(self, notice: QueuedNotice | None) -> None:
        with self._lock:
            tries, next_at = (notice.tries, notice.next_at) if notice is not None else (0, None)
            self._state = replace(self._state, tries=tries, next_at=next_at)

    def _count(
        self, sent: int = 0, given_up: int = 0, dropped: int = 0, unneeded: int = 0,
        problem: NoticeProblem | None = None, test: ChannelTest | None = None,
    ) -> None:  # fmt: skip
        with self._lock:
            held = self._state
            self._state = replace(
                held, sent=held.sent + sent, given_up=held.given_up + given_up, dropped=held.dropped + dropped,
                unneeded=held.unneeded + unneeded, sent_at=self._clock.now() if sent else held.sent_at,
                problem=str(problem) if problem else "" if sent else held.problem,
                why=problem.why if problem else held.why, test=test or held.test,
            )  # fmt: skip

"""Server-sent events: what is shown is sent to every page that listens, and kept a while for those that come back.

Threads: ``show`` is called by the keeper's thread, everything else by the event loop's.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass

from shelf_collector.core.views import Screen, covers

RETRY_MS = 3000
PING_S = 15.0
RING_SIZE = 1024
MOST_WAITING = 256
_PING = ": ping\n\nevent: ping\ndata: {}\n\n"
"""A comment keeps proxies awake; pages cannot hear comments, so an event says the same to them."""


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """One server-sent event, written out once for all who listen.

    ``key`` is the topic for a state (a newer one replaces it), else unique.
    """

    number: int
    topic: str
    key: str
    text: str


class Listener:
    """One open page: what it has not been sent yet, bounded. Of a state only the newest waits."""

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = frozenset(topics)
        self._waiting: OrderedDict[str, ShownEvent] = OrderedDict()
        self._wake = asyncio.Event()
        self.is_dropped = False

    def offer(self, event: ShownEvent) -> None:
        """Queue an event. A page that does not keep up is dropped: it comes back and gets what it missed."""
        self._waiting.pop(event.key, None)
        self._waiting[event.key] = event
        if len(self._waiting) > MOST_WAITING:
            self.drop()
        self._wake.set()

    def drop(self) -> None:
        self.is_dropped = True
        self._wake.set()

    async def take(self, timeout_s: float) -> list[ShownEvent]:
        """All that waits; empty after ``timeout_s`` without any."""
        if not self._waiting and not self.is_dropped:
            try:
                async with asyncio.timeout(timeout_s):  # wait_for would make a task for every event of every page
                    await self._wake.wait()
            except TimeoutError:
                return []
        self._wake.clear()
        events = list(self._waiting.values())
        self._waiting.clear()
        return events


class Hub:
    """All open pages. ``boot`` marks this run: an event id of an earlier one asks for a fresh start."""

    def __init__(self, boot: str) -> None:
        self._boot = boot
        self._lock = threading.Lock()
        self._number = 0
        self._ring: deque[ShownEvent] = deque(maxlen=RING_SIZE)
        self._listeners: set[Listener] = set()
        self._by_topic: defaultdict[str, set[Listener]] = defaultdict(set)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self.dropped = 0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop on which pages are served; before it nothing is sent, only kept."""
        self._loop = loop

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def show(self, *screens: Screen) -> None:
        """Send to all who listen, in this order. Any thread; never waits."""
        events = []
        with self._lock:
            for screen in screens:
                self._number += 1
                key = screen.topic if screen.is_state else f"{screen.topic}#{self._number}"
                events.append(ShownEvent(self._number, screen.topic, key, self._text(self._number, screen)))
            self._ring.extend(events)
        if events:
            self._in_loop(self._offer, events)

    def close(self) -> None:
        """End every stream, so that the server can stop. Any thread."""
        self._closed = True
        self._in_loop(self._drop_all)

    async def stream(
        self, topics: Iterable[str], last_event_id: str, snapshot: Callable[[], Iterable[Screen]]
    ) -> AsyncIterator[str]:
        """The text of one page's stream, for as long as it listens.

        A page that comes back within the last 1024 events gets those it missed, any other the whole ``snapshot``.
        """
        listener = Listener(topics)
        self._add(listener)
        try:
            with self._lock:
                number = self._number
                missed = self._missed(listener, last_event_id)
            yield f"retry: {RETRY_MS}\n\n"
            if missed is None:
                for screen in snapshot():
                    yield self._text(number, screen)
            else:
                for event in missed:
                    yield event.text
            while not (listener.is_dropped or self._closed):
                events = await listener.take(PING_S)
                if listener.is_dropped:
                    break
                yield "".join(event.text for event in events) if events else _PING
            self.dropped += listener.is_dropped and not self._closed
        finally:
            self._remove(listener)

    def _add(self, listener: Listener) -> None:
        self._listeners.add(listener)
        for topic in listener.topics:
            self._by_topic[topic].add(listener)

    def _remove(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        for topic in listener.topics:
            self._by_topic[topic].discard(listener)
            if not self._by_topic[topic]:
                del self._by_topic[topic]

    def _in_loop(self, action: Callable[..., None], *arguments: object) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            with contextlib.suppress(RuntimeError):  # the loop closed in between: nobody listens any more
                loop.call_soon_threadsafe(action, *arguments)

    def _drop_all(self) -> None:
        for listener in self._listeners:
            listener.drop()

    def _offer(self, events: list[ShownEvent]) -> None:
        """Only whoever asked for a topic is looked at: with 200 displays nobody goes through all of them for one."""
        for event in events:
            for topic in _levels(event.topic):
                for listener in self._by_topic.get(topic, ()):
                    listener.offer(event)

    def _missed(self, listener: Listener, last_event_id: str) -> list[ShownEvent] | None:
        boot, _, text = last_event_id.partition("-")
        if boot != self._boot or not text.isdecimal():
            return None
        last = int(text)
        oldest = self._ring[0].number if self._ring else self._number + 1
        if last > self._number or last + 1 < oldest:
            return None
        newest: OrderedDict[str, ShownEvent] = OrderedDict()
        for event in self._ring:
            if event.number > last and covers(listener.topics, event.topic):
                newest.pop(event.key, None)
                newest[event.key] = event
        return list(newest.values())

    def _text(self, number: int, screen: Screen) -> str:
        kind = screen.topic.partition("/")[0]
        return f"id: {self._boot}-{number}\nevent: {kind}\ndata: {screen.content.model_dump_json()}\n\n"


def _levels(topic: str) -> Iterator[str]:
    """The topic and all levels above it.

    >>> list(_levels("slot/a01/s1-02"))
    ['slot/a01/s1-02', 'slot/a01', 'slot']
    """
    while topic:
        yield topic
        topic = topic.rpartition("/")[0]

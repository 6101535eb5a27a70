"""Runs a shop with four cameras and ten times its normal traffic, and samples every process."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass

import psutil

from shelf_simulator.chaos.app import audit_books
from shelf_simulator.demo.app import open_shop
from shelf_simulator.demo.children import Child, ChildSpec
from shelf_simulator.demo.shop import NODE, STORE, Shop
from shelf_simulator.soak.figures import Growth, Sample, growth

NORMAL_PER_BAY_S = 0.5
"""Messages a second of an ordinary hour at one bay: an interaction every six seconds, about three messages each."""

TIMES_NORMAL = 10
_SPEAKER = "n99"
_MOST_SAMPLES = 1000
_DRAIN_S = 20.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class SoakReport:
    """What a run came to. ``messages`` are in the collector's history at the end; the books are those of the audit."""

    minutes: float
    cameras: int
    messages: int
    messages_per_s: float
    outbox_left: int
    growths: tuple[Growth, ...]
    books: dict[str, int]

    @property
    def is_flat(self) -> bool:
        return all(one.is_flat for one in self.growths)

    @property
    def is_good(self) -> bool:
        return self.is_flat and not (self.books["lost"] or self.books["missing"] or self.outbox_left)

    def as_json(self) -> str:
        processes = [{**asdict(one), "is_flat": one.is_flat} for one in self.growths]
        return json.dumps(
            {
                "minutes": self.minutes,
                "cameras": self.cameras,
                "messages": self.messages,
                "messages_per_s": self.messages_per_s,
                "outbox_left": self.outbox_left,
                "flat": self.is_flat,
                "processes": processes,
                "audit": self.books,
            }
        )


def run_soak(shop: Shop, minutes: float, stop: threading.Event, say: Say) -> SoakReport:
    """Let the shop run and measure it.

    Raises: NotReady, ChildProblem, KeyboardInterrupt when ``stop`` is set, ValueError when the run was too short.
    """
    samples: dict[str, list[Sample]] = {}
    every_s = max(0.5, min(5.0, minutes * 60 / 60))
    rate = NORMAL_PER_BAY_S * len(shop.bays) * TIMES_NORMAL
    with open_shop(shop, stop, say) as running:
        speaker = running.children.start(_speaker(shop, rate))
        say(f"running for {minutes:g} min: {len(shop.bays)} cameras, and {rate:g} messages a second besides")
        began_s = time.monotonic()
        while (now_s := time.monotonic() - began_s) < minutes * 60:
            if stop.wait(every_s):
                raise KeyboardInterrupt
            running.children.check()
            for child in running.children.all:
                sample = _sample(child, now_s)
                if sample is not None and len(samples.setdefault(child.spec.name, [])) < _MOST_SAMPLES:
                    samples[child.spec.name].append(sample)
        say("the nodes stop; what they said arrives")
        (shop.folder / _SPEAKER / "control" / "pause").touch()
        running.edge.ask_to_stop()
        running.edge.wait_or_kill(time.monotonic() + running.edge.spec.stop_s)
        deadline_s = time.monotonic() + _DRAIN_S
        while _waiting(shop, _SPEAKER) and time.monotonic() < deadline_s and not stop.wait(0.2):
            pass
        speaker.ask_to_stop()
        speaker.wait_or_kill(time.monotonic() + speaker.spec.stop_s)
        left = _waiting(shop, _SPEAKER)
        books, messages = audit_books(shop.folder), _messages(shop)
    growths = tuple(growth(name, taken) for name, taken in samples.items())
    return SoakReport(minutes, len(shop.bays), messages, round(messages / (minutes * 60), 1), left, growths, books)


def _speaker(shop: Shop, rate: float) -> ChildSpec:
    arguments = [
        "rehearse", "--store", STORE, "--node", _SPEAKER, "--bay", "z99", "--slots", "s1-01,s1-02,s1-03,s1-04",
        "--port", str(shop.ports.broker), "--folder", str(shop.folder / _SPEAKER), "--rate", str(rate),
    ]  # fmt: skip
    return ChildSpec("rehearsal", "shelf_edge", arguments, stop_s=8.0)


def _sample(child: Child, at_s: float) -> Sample | None:
    try:
        own = psutil.Process(child.process.pid)
        family = [own, *own.children(recursive=True)]
        rss = sum(one.memory_info().rss for one in family) / 2**20
        return Sample(at_s, rss, sum(one.num_fds() for one in family), sum(one.num_threads() for one in family))
    except psutil.Error:
        return None


def _waiting(shop: Shop, node: str) -> int:
    folder = shop.folder / ("edge" if node == NODE else node)
    with closing(sqlite3.connect(f"file:{folder / 'outbox.sqlite3'}?mode=ro", uri=True, timeout=5.0)) as outbox:
        return int(outbox.execute("SELECT count(*) FROM outbox").fetchone()[0])


def _messages(shop: Shop) -> int:
    file = shop.folder / "collector" / "collector.sqlite3"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5.0)) as database:
        return int(database.execute("SELECT count(*) FROM messages").fetchone()[0])

"""Hundreds of displays at once: a real broker, a real collector, real event streams, a few of them real browsers.

Nothing is seen by a camera here: this process says reaches as a node does, so that the whole machine is left to what is
measured, the way from the broker to every display.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from shelf_contracts import envelope, topics
from shelf_contracts.files import write_json
from shelf_contracts.messages import SlotEvent
from shelf_mqtt.address import BrokerAddress
from shelf_mqtt.session import MqttSession
from shelf_simulator.app import demo_bay
from shelf_simulator.bench.crowd import Crowd
from shelf_simulator.bench.display import browser_pages
from shelf_simulator.bench.wall_figures import Reach, Sight, Usage, WallFigures, wall_figures
from shelf_simulator.core.design import build_planogram
from shelf_simulator.demo.children import Child, Children, ChildSpec
from shelf_simulator.demo.readiness import NotReady, answers, wait_until
from shelf_simulator.demo.shop import HOST, STORE, fresh_products
from shelf_simulator.soak.figures import Sample

if TYPE_CHECKING:
    from playwright.sync_api import Page

_NODE = "n98"
_PART_S = 60.0
_FIT_S = 4.0
_SETTLE_S = 0.5
_LAST_ARRIVE_S = 10.0
_SAMPLES = 60


@dataclass(frozen=True)
class Wall:
    """Displays spread over bays, and the two processes behind them.

    Attributes:
        folder: everything the run writes, logs included.
        displays: pairs of display and bay; in turn, so that each bay has as many as any other, or one more.
    """

    folder: Path
    bays: tuple[str, ...]
    displays: tuple[tuple[str, str], ...]
    broker_port: int
    web_port: int
    seed: int = 7

    @classmethod
    def of(cls, folder: Path, bays: int, displays: int, ports: tuple[int, int], seed: int = 7) -> Wall:
        """So many displays over so many bays."""
        names = tuple(f"a{number + 1:02d}" for number in range(bays))
        spread = tuple((f"d{number + 1:03d}", names[number % bays]) for number in range(displays))
        return cls(folder, names, spread, *ports, seed)

    @property
    def web(self) -> str:
        return f"http://{HOST}:{self.web_port}"

    def write_files(self) -> dict[str, list[str]]:
        """The collector's configuration and all it names. Returns the slots of each bay."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plans = {bay: build_planogram(demo_bay(bay, self.seed)) for bay in self.bays}
        for bay, plan in plans.items():
            write_json(self.folder / f"planogram-{bay}.json", plan)
        (self.folder / "products.json").write_text(fresh_products(datetime.now(UTC)), encoding="utf-8")
        planograms = ", ".join(f'"planogram-{bay}.json"' for bay in self.bays)
        head = (
            f'store = "{STORE}"\nstate = "collector"\nplanograms = [{planograms}]\nproducts = ["products.json"]\n'
            f'[broker]\nhost = "{HOST}"\nport = {self.broker_port}\n[http]\nhost = "{HOST}"\nport = {self.web_port}\n'
        )
        tables = "".join(f'[[displays]]\nid = "{display}"\nbay = "{bay}"\n' for display, bay in self.displays)
        (self.folder / "collector.toml").write_text(head + tables, encoding="utf-8")
        return {bay: [position.id for position in plan.positions if position.product_id] for bay, plan in plans.items()}

    def broker_process(self) -> ChildSpec:
        state = str(self.folder / "broker")
        arguments = ["run", "--kind", "embedded", "--port", str(self.broker_port), "--state", state]
        return ChildSpec("broker", "shelf_broker", arguments)

    def collector_process(self) -> ChildSpec:
        return ChildSpec("collector", "shelf_collector", ["run", "--config", str(self.folder / "collector.toml")])


class Speaker:
    """Says that a hand reached for a slot, as a node says it. Every reach is a new one to the displays of its bay."""

    def __init__(self, port: int, slots: dict[str, list[str]]) -> None:
        self._session = MqttSession(BrokerAddress(HOST, port), client_id=f"node-{STORE}-{_NODE}", persistent=False)
        self._source = envelope.node_source(STORE, _NODE)
        self._numbering = uuid.uuid4().hex[:8]
        self._turns = {bay: itertools.cycle(names) for bay, names in slots.items()}
        self._sequence = 0
        self.reaches: list[Reach] = []

    def start(self) -> None:
        self._session.start()

    @property
    def is_connected(self) -> bool:
        return self._session.is_connected

    def reach(self, bay: str) -> None:
        """Raises: NotReady when the broker takes nothing any more."""
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # what a message's time can say
        slot = next(self._turns[bay])
        self._sequence += 1
        event = SlotEvent(action="reach", confidence=0.95, started_at=now, ended_at=now, captured_at=now)
        message = envelope.wrap(
            event, source=self._source, bay=bay, slot=slot, sequence=self._sequence, time=now,
            numbering=self._numbering,
        )  # fmt: skip
        topic = topics.build("slot_event", store=STORE, bay=bay, slot=slot, kind=event.action)
        if not self._session.publish(topic, envelope.encode(message)):
            raise NotReady(f"the broker did not take reach {self._sequence}")
        self.reaches.append(Reach(bay, now.timestamp()))

    def stop(self) -> None:
        self._session.flush(2.0)
        self._session.stop(2.0)


def measure_wall(
    wall: Wall, browsers: int, seconds: float, reaches_per_s: float, stop: threading.Event, say: Callable[[str], None]
) -> WallFigures:
    """Connect every display, let hands reach, and note when each display had or painted it.

    Args:
        browsers: so many of the displays are Chromium pages; the others read the same stream without a page.
        reaches_per_s: of the whole shop; each reach concerns all displays of its bay.

    Raises: NotReady, ChildProblem, KeyboardInterrupt when ``stop`` is set.
    """
    slots = wall.write_files()
    with Children(wall.folder / "logs") as children, _speaking(Speaker(wall.broker_port, slots)) as speaker:
        say("starting broker and collector")
        children.start(wall.broker_process())
        collector = children.start(wall.collector_process())
        wait_until("the collector", lambda: answers(f"{wall.web}/readyz"), children, _PART_S, stop.is_set)
        speaker.start()
        wait_until("the broker", lambda: speaker.is_connected, children, _PART_S, stop.is_set)
        in_browsers, in_crowd = wall.displays[:browsers], wall.displays[browsers:]
        with browser_pages(wall.web, [display for display, _ in in_browsers]) as pages:
            say(f"connecting {len(in_crowd)} displays")
            crowd = Crowd(wall.web, [display for display, _ in in_crowd])
            before_s, used_before_s = time.monotonic(), _cpu_s(collector)
            with crowd:
                wait_until("a display", lambda: crowd.connected == len(in_crowd), children, _PART_S, stop.is_set)
                connected_s, connect_cpu_s = time.monotonic() - before_s, _cpu_s(collector) - used_before_s
                _rest(_FIT_S if pages else _SETTLE_S, pages, stop)
                say(f"{len(wall.displays)} displays, {reaches_per_s:g} reaches a second, for {seconds:g} s")
                for page in pages:
                    page.evaluate("() => { smartshelfPaints.length = 0; smartshelfPixels.length = 0; }")
                loads, cpu_s = [os.getloadavg()[0]], _cpu_s(collector)
                samples = _let_reach(speaker, wall.bays, reaches_per_s, seconds, collector, children, pages, stop)
                _await_all(speaker, crowd, in_crowd, pages, stop)
                used_s = _cpu_s(collector) - cpu_s
                loads.append(os.getloadavg()[0])
                sights = crowd.sights() + _painted(pages, in_browsers)
                broken = crowd.reconnects
    usage = Usage(used_s, connected_s, connect_cpu_s, samples, broken, (loads[0], loads[1]), os.cpu_count() or 1)
    return wall_figures(wall.displays, {display for display, _ in in_browsers}, speaker.reaches, sights, usage)


@contextmanager
def _speaking(speaker: Speaker) -> Iterator[Speaker]:
    try:
        yield speaker
    finally:
        speaker.stop()


def _let_reach(
    speaker: Speaker, bays: tuple[str, ...], reaches_per_s: float, seconds: float, collector: Child,
    children: Children, pages: list[Page], stop: threading.Event,
) -> list[Sample]:  # fmt: skip
    """Reach in turn, at an even pace; returns samples of the collector's memory."""
    samples: list[Sample] = []
    began_s = time.monotonic()
    for number in range(max(1, round(seconds * reaches_per_s))):
        due_s = began_s + number / reaches_per_s
        _rest(due_s - time.monotonic(), pages, stop)
        children.check()
        speaker.reach(bays[number % len(bays)])
        if (time.monotonic() - began_s) / seconds * _SAMPLES >= len(samples):
            samples.append(_sample(collector, time.monotonic() - began_s))
    return samples


def _rest(seconds: float, pages: list[Page], stop: threading.Event) -> None:
    """Wait; with browsers by looking after them."""
    if stop.is_set():
        raise KeyboardInterrupt
    if seconds <= 0:
        return
    if pages:
        pages[0].wait_for_timeout(seconds * 1000)
    elif stop.wait(seconds):
        raise KeyboardInterrupt


def _await_all(
    speaker: Speaker, crowd: Crowd, in_crowd: tuple[tuple[str, str], ...], pages: list[Page], stop: threading.Event
) -> None:
    """Until every display has the last reach of its bay, or it is late enough to call it lost."""
    last = {reach.bay: reach.captured_s for reach in speaker.reaches}
    deadline_s = time.monotonic() + _LAST_ARRIVE_S
    while time.monotonic() < deadline_s:
        if all(crowd.newest_s(display) >= last.get(bay, 0.0) for display, bay in in_crowd):
            break
        _rest(0.1, pages, stop)
    _rest(0.5 if pages else 0.0, pages, stop)  # what the browsers have is painted


def _painted(pages: list[Page], displays: tuple[tuple[str, str], ...]) -> list[Sight]:
    found = []
    for page, (display, _) in zip(pages, displays, strict=True):
        for mark in page.evaluate("() => smartshelfPaints"):
            captured_s = datetime.fromisoformat(mark["captured_at"]).timestamp()
            found.append(Sight(display, captured_s, mark["painted_ms"] / 1000))
    return found


def _cpu_s(child: Child) -> float:
    times = psutil.Process(child.process.pid).cpu_times()
    return float(times.user + times.system)


def _sample(child: Child, at_s: float) -> Sample:
    own = psutil.Process(child.process.pid)
    return Sample(at_s, own.memory_info().rss / 2**20, own.num_fds(), own.num_threads())

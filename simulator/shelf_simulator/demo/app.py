"""The demo's composition root: starts the shop's processes, waits until they work, and keeps or measures them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shelf_mqtt.address import BrokerAddress
from shelf_simulator.demo.children import Child, Children
from shelf_simulator.demo.enrolment import PackEnrolment
from shelf_simulator.demo.observer import Observer
from shelf_simulator.demo.readiness import answers, slots_known, wait_until
from shelf_simulator.demo.report import DemoReport, measure
from shelf_simulator.demo.screens import HeadlessDisplay
from shelf_simulator.demo.shop import HOST, STORE, Shop

# Long, for machines that are busy: a part that died is noticed at once, whatever these say.
_PART_S = 180.0
_ALIVE_S = 300.0
_KNOWN_SHARE = 0.9

Say = Callable[[str], None]


@dataclass(frozen=True)
class RunningShop:
    """A shop whose pages are alive.

    Attributes:
        ready_s: when they were, seconds since the epoch.
        set_up_s: how long that took.
    """

    shop: Shop
    children: Children
    edge: Child
    ready_s: float
    set_up_s: float


@contextmanager
def open_shop(
    shop: Shop, stop: threading.Event, say: Say, before_node: Callable[[], None] = lambda: None
) -> Iterator[RunningShop]:
    """Start everything; leaving the context stops everything, within 10 s.

    ``before_node`` is called when the broker answers and the node has not yet said a word.

    Raises: NotReady, ChildProblem, KeyboardInterrupt when ``stop`` is set while it starts.
    """
    shop.write_configs()
    began_s = time.monotonic()
    with Children(shop.folder / "logs") as children, _packs_enrolled(shop, stop) as enrolment:
        say("drawing the shop")
        children.start(shop.broker_process())
        children.start(shop.simulator_process())
        wait_until("the camera", lambda: answers(shop.camera_health()), children, _PART_S, stop.is_set)
        say("starting the collector")
        children.start(shop.collector_process())
        wait_until("the collector", lambda: answers(f"{shop.web}/readyz"), children, _PART_S, stop.is_set)
        if enrolment is not None:
            enrolment.finish(say)
        before_node()
        say("starting the node: it checks its model and counts the shelves")
        edge = children.start(shop.edge_process())
        wait_until("the node", lambda: _most_known(shop.web), children, _ALIVE_S, stop.is_set)
        yield RunningShop(shop, children, edge, time.time(), time.monotonic() - began_s)


@contextmanager
def _packs_enrolled(shop: Shop, stop: threading.Event) -> Iterator[PackEnrolment | None]:
    """The shop's packs, enrolled beside what else is starting, where the shop recognises products."""
    if not shop.recognises:
        yield None
        return
    enrolment = PackEnrolment(shop, stop.is_set)
    enrolment.start()
    try:
        yield enrolment
    finally:
        enrolment.stop(5.0)


def _most_known(web: str) -> bool:
    """People may stand before some slots, so not all of them need to be known."""
    known, planned = slots_known(web)
    return planned > 0 and known >= _KNOWN_SHARE * planned


def keep_open(running: RunningShop, stop: threading.Event) -> None:
    """Until ``stop``. Raises: ChildProblem when a process ended by itself."""
    while not stop.wait(0.5):
        running.children.check()


def run_headless(shop: Shop, seconds: float, stop: threading.Event, say: Say) -> DemoReport:
    """Run for ``seconds`` with headless displays, then score what was said against what happened.

    Raises: as ``open_shop``.
    """
    observer = Observer(BrokerAddress(HOST, shop.ports.broker), STORE)
    displays = [HeadlessDisplay(shop.web, bay) for bay in shop.bays]
    try:
        with open_shop(shop, stop, say, before_node=observer.start) as running:
            for display in displays:
                display.start()
            wait_until("a display", lambda: all(d.is_connected for d in displays), running.children, 10.0, stop.is_set)
            say(f"measuring for {seconds:g} s")
            from_s = time.time()
            _let_pass(seconds, running, stop)
            to_s = time.time()
            # What the last frames showed is still on its way: the node flushes, then the collector is asked.
            say("stopping the node and comparing with the truth")
            running.edge.ask_to_stop()
            running.edge.wait_or_kill(time.monotonic() + running.edge.spec.stop_s)
            return measure(shop, running.children, observer, displays, from_s, to_s)
    finally:
        for display in displays:
            display.stop()
        observer.stop()


def _let_pass(seconds: float, running: RunningShop, stop: threading.Event) -> None:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        if stop.wait(0.2):
            raise KeyboardInterrupt
        running.children.check()

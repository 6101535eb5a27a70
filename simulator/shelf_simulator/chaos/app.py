"""The rehearsal: processes under faults, then a drain, then the verdict."""

from __future__ import annotations

import heapq
import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shelf_simulator.chaos.plan import COLLECTOR, Fault, plan_faults
from shelf_simulator.chaos.proxy import Cables
from shelf_simulator.chaos.recovery import RecoveryMeter
from shelf_simulator.chaos.shop import STORE, ChaosShop, bay_of
from shelf_simulator.chaos.verdict import Verdict, compare, read_history, read_ledger, read_levels
from shelf_simulator.demo.children import Child, ChildSpec
from shelf_simulator.demo.readiness import answers

log = logging.getLogger(__name__)

_BROKER = "broker"
_START_S = 60.0
_POLL_S = 0.05
_WATCH_EVERY_S = 0.5
_KILL_WAIT_S = 5.0
_MOST_UNASKED = 3

Say = Callable[[str], None]


class ChaosProblem(Exception):
    """The rehearsal itself could not be run; the message says which part and where its log is."""


@dataclass
class ChaosReport:
    """What came of it; ``as_json`` is the last line that ``smartshelf chaos`` prints."""

    verdict: Verdict
    seconds: float
    seed: int
    broker: str
    kills: int
    faults: dict[str, int]
    longest_recovery_s: float
    drained: bool
    drain_s: float
    slowest_stop_s: float
    clean_stops: bool
    restarted_unasked: int
    repeated: int
    overtaken: int
    books: dict[str, int] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        books_agree = not (self.books["lost"] or self.books["missing"])
        return self.verdict.is_good and self.drained and self.clean_stops and books_agree

    def as_json(self) -> str:
        verdict = asdict(self.verdict)
        examples = verdict.pop("examples")
        first = {name: verdict.pop(name) for name in ("published", "applied", "lost", "duplicates_applied")}
        content = {
            **first,
            "kills": self.kills,
            "longest_recovery_s": round(self.longest_recovery_s, 1),
            **verdict,
            "seconds": self.seconds,
            "seed": self.seed,
            "broker": self.broker,
            "faults": self.faults,
            "drained": self.drained,
            "drain_s": round(self.drain_s, 1),
            "slowest_stop_s": round(self.slowest_stop_s, 1),
            "clean_stops": self.clean_stops,
            "restarted_unasked": self.restarted_unasked,
            "deliveries_repeated": self.repeated,
            "deliveries_overtaken": self.overtaken,
            "audit": self.books,
        }
        if examples:
            content["examples"] = examples
        return json.dumps(content)


class Rehearsal:
    """Keeps the processes running, and breaks them.

    Args:
        shop: files and processes.
        cables: one to each node and to the collector.
        say: hears each fault as it comes.
    """

    def __init__(self, shop: ChaosShop, cables: Cables, say: Say) -> None:
        self._shop = shop
        self._cables = cables
        self._say = say
        self._meter = RecoveryMeter(shop.database, shop.node_names)
        self._children: dict[str, Child] = {}
        self._down: set[str] = set()
        self._held: Counter[tuple[str, str]] = Counter()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._began_s = 0.0
        self._log = (shop.folder / "faults.jsonl").open("a", encoding="utf-8")
        self.kills = 0
        self.restarted_unasked = 0
        self.slowest_stop_s = 0.0
        self.clean_stops = True

    @property
    def longest_recovery_s(self) -> float:
        return max((seconds for _, seconds in self._meter.recoveries), default=0.0)

    # -- the run -------------------------------------------------------------------------------------------------

    def start(self, stop: threading.Event) -> None:
        """Start all, until events of every node are applied. Raises: ChaosProblem, KeyboardInterrupt."""
        self._start(_BROKER)
        self._start(COLLECTOR)
        self._wait(lambda: answers(f"{self._shop.web}/readyz"), COLLECTOR, stop)
        for node in self._shop.node_names:
            self._start(node)
        self._meter.start()
        self._meter.fault_over("start")
        self._wait(lambda: not self._meter.waiting, "the first events", stop)
        self._meter.recoveries.clear()

    def break_things(self, faults: list[Fault], seconds: float, stop: threading.Event) -> None:
        """Let the faults come, for so long. Raises: KeyboardInterrupt."""
        self._began_s = time.monotonic()
        for fault in faults:
            self._at(fault.at_s, lambda fault=fault: self._break(fault))  # type: ignore[misc]
        next_watch_s = 0.0
        while (now_s := time.monotonic() - self._began_s) < seconds or self._due:
            if stop.wait(_POLL_S):
                raise KeyboardInterrupt
            while self._due and self._due[0][0] <= now_s:
                heapq.heappop(self._due)[2]()
            if now_s >= next_watch_s:
                next_watch_s = now_s + _WATCH_EVERY_S
                self._watch()

    def drain(self, timeout_s: float, stop: threading.Event) -> tuple[bool, float]:
        """Nothing new is said; wait until every outbox is empty. Returns whether they are, and after how long."""
        for node in self._shop.node_names:
            (self._shop.control(node) / "pause").touch()
        began_s = time.monotonic()
        quiet_since_s: float | None = None
        while (now_s := time.monotonic()) - began_s < timeout_s:
            if stop.wait(0.2):
                raise KeyboardInterrupt
            self._watch()
            if any(self._outbox_depth(node) for node in self._shop.node_names):
                quiet_since_s = None
            elif quiet_since_s is None:
                quiet_since_s = now_s
            elif now_s - quiet_since_s > 1.0:
                return True, quiet_since_s - began_s
        return False, time.monotonic() - began_s

    def stop(self) -> None:
        """SIGTERM to all, the nodes first; each must end by itself within 10 s."""
        self._meter.stop()
        for name in (*self._shop.node_names, COLLECTOR, _BROKER):
            child = self._children.pop(name, None)
            if child is None:
                continue
            began_s = time.monotonic()
            child.ask_to_stop()
            ended_by_itself = child.wait_or_kill(began_s + child.spec.stop_s)
            self.slowest_stop_s = max(self.slowest_stop_s, time.monotonic() - began_s)
            if not ended_by_itself or child.process.returncode != 0:
                self.clean_stops = False
                self._say(f"{name} did not stop cleanly (exit status {child.process.returncode}); see {child.log_path}")
        self._log.close()

    # -- faults --------------------------------------------------------------------------------------------------

    def _break(self, fault: Fault) -> None:
        self._note(fault, "begins")
        mend: Callable[[], None]
        match fault.kind:
            case "kill-broker" | "wipe-broker" | "kill-collector" | "kill-node":
                name = fault.whom or _BROKER
                if name in self._down:
                    return
                self._kill(name)
                if fault.kind == "wipe-broker":
                    shutil.rmtree(self._shop.broker_state, ignore_errors=True)
                self._meter.fault_over(fault.kind)
                mend = lambda: self._start(name)  # noqa: E731
            case "cut":
                self._cables.cut(fault.whom, "stalled" if fault.detail == "stalled" else "refused")
                mend = self._hold(fault, lambda: self._cables.mend(fault.whom))
            case "disk-full":
                # The collector's acknowledgements would make room: they must not come for a while.
                self._touch(fault.whom, "full", "1")
                self._cables.cut(fault.whom, "stalled")

                def let_go() -> None:
                    self._touch(fault.whom, "full", None)
                    self._cables.mend(fault.whom)

                mend = self._hold(fault, let_go)
            case "clock-jump":
                self._touch(fault.whom, "clock", fault.detail)
                mend = self._hold(fault, lambda: self._touch(fault.whom, "clock", None))
            case _:
                self._cables.by_name[fault.whom].is_shuffling = True

                def settle() -> None:
                    self._cables.by_name[fault.whom].is_shuffling = False

                mend = self._hold(fault, settle)
        self._at(fault.at_s + fault.lasts_s, mend)

    def _hold(self, fault: Fault, let_go: Callable[[], None]) -> Callable[[], None]:
        """Two faults of a kind may overlap on the same part: the last to end mends it."""
        key = ("cut" if fault.kind == "disk-full" else fault.kind, fault.whom)
        self._held[key] += 1

        def mend() -> None:
            self._held[key] -= 1
            if not self._held[key]:
                let_go()
            self._note(fault, "ends")
            self._meter.fault_over(fault.kind)

        return mend

    def _touch(self, whom: str, name: str, content: str | None) -> None:
        file = self._shop.control(whom) / name
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(content)

    def _at(self, when_s: float, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._due, (when_s, self._order, action))

    def _note(self, fault: Fault, what: str) -> None:
        now_s = time.monotonic() - self._began_s
        self._log.write(json.dumps({"at_s": round(now_s, 3), "what": what, **asdict(fault)}) + "\n")
        self._log.flush()
        if what == "begins":
            self._say(f"{now_s:6.1f} s  {fault.kind} {fault.whom} {fault.detail} {fault.lasts_s:.1f} s".rstrip())

    # -- processes -----------------------------------------------------------------------------------------------

    def _spec(self, name: str) -> ChildSpec:
        if name == _BROKER:
            return self._shop.broker_process()
        if name == COLLECTOR:
            return self._shop.collector_process()
        return self._shop.node_process(name, self._cables.by_name[name].port)

    def _start(self, name: str) -> None:
        self._down.discard(name)
        self._children[name] = Child.start(self._spec(name), self._shop.folder / "logs")

    def _kill(self, name: str) -> None:
        """SIGKILL to the process and its own children, all at once."""
        child = self._children[name]
        self._down.add(name)
        self.kills += 1
        os.killpg(child.process.pid, signal.SIGKILL)
        child.wait_or_kill(time.monotonic() + _KILL_WAIT_S)

    def _watch(self) -> None:
        """What ended by itself is started again, as a service manager would; it is counted and said."""
        for name, child in list(self._children.items()):
            if name not in self._down and child.has_ended:
                self.restarted_unasked += 1
                self._say(f"{name} ended by itself with {child.process.returncode}: {child.last_lines()[-300:]}")
                child.wait_or_kill(time.monotonic())
                self._start(name)

    def _wait(self, is_ready: Callable[[], bool], what: str, stop: threading.Event) -> None:
        deadline_s = time.monotonic() + _START_S
        while not is_ready():
            if stop.wait(0.1):
                raise KeyboardInterrupt
            self._watch()
            if self.restarted_unasked > _MOST_UNASKED:
                raise ChaosProblem(f"{what}: a part ends again and again; logs in {self._shop.folder / 'logs'}")
            if time.monotonic() > deadline_s:
                raise ChaosProblem(f"{what}: not there after {_START_S:g} s; logs in {self._shop.folder / 'logs'}")

    def _outbox_depth(self, node: str) -> int:
        file = self._shop.node_folder(node) / "outbox.sqlite3"
        try:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=2.0)) as connection:
                return int(connection.execute("SELECT count(*) FROM outbox").fetchone()[0])
        except sqlite3.Error:
            return -1


def run_chaos(shop: ChaosShop, seconds: float, stop: threading.Event, say: Say) -> ChaosReport:
    """The whole rehearsal. Raises: ChaosProblem, KeyboardInterrupt when ``stop`` is set."""
    faults = plan_faults(seconds, shop.seed, shop.node_names)
    with Cables([*shop.node_names, COLLECTOR], shop.broker_port, shop.seed) as cables:
        shop.write_files(cables.by_name[COLLECTOR].port)
        rehearsal = Rehearsal(shop, cables, say)
        try:
            say(f"starting a broker, a collector and {len(shop.node_names)} nodes in {shop.folder}")
            rehearsal.start(stop)
            rehearsal.break_things(faults, seconds, stop)
            say("no more faults: waiting until all is applied")
            drained, drain_s = rehearsal.drain(max(60.0, seconds), stop)
        finally:
            rehearsal.stop()
        shuffled = list(cables.by_name.values())
    books = {bay_of(node): read_ledger(shop.node_folder(node) / "ledger.txt") for node in shop.node_names}
    verdict = compare(books, read_history(shop.database), read_levels(shop.database))
    return ChaosReport(
        verdict=verdict,
        seconds=seconds,
        seed=shop.seed,
        broker=shop.broker_kind,
        kills=rehearsal.kills,
        faults=dict(Counter(fault.kind for fault in faults)),
        longest_recovery_s=rehearsal.longest_recovery_s,
        drained=drained,
        drain_s=drain_s,
        slowest_stop_s=rehearsal.slowest_stop_s,
        clean_stops=rehearsal.clean_stops,
        restarted_unasked=rehearsal.restarted_unasked,
        repeated=sum(cable.repeated for cable in shuffled),
        overtaken=sum(cable.overtaken for cable in shuffled),
        books=audit_books(shop.folder),
    )


def audit_books(folder: Path) -> dict[str, int]:
    """The collector's own books, as ``smartshelf audit`` tells them, all nodes together."""
    command = [sys.executable, "-m", "smartshelf", "audit", "--config", str(folder / "collector.toml"), "--json"]
    told = subprocess.run(command, capture_output=True, timeout=60.0, check=False)
    try:
        nodes = json.loads(told.stdout)["nodes"]
    except (ValueError, KeyError) as error:
        raise ChaosProblem(f"smartshelf audit of store {STORE} failed: {told.stderr.decode()}") from error
    names = ("received", "duplicates", "gaps", "healed", "superseded", "missing", "lost")
    return {name: sum(node[name] for node in nodes) for name in names}

"""How long it took after each fault until news from every node was applied again."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

_EVERY_S = 0.25


class RecoveryMeter:
    """Looks into the collector's database four times a second. Times are this computer's monotonic ones, which the
    nodes write into their marks."""

    def __init__(self, database: Path, nodes: tuple[str, ...]) -> None:
        self._database = database
        self._nodes = nodes
        self._lock = threading.Lock()
        self._open: list[tuple[float, str]] = []
        self._stop = threading.Event()
        self._last_row = 0
        self._newest: dict[str, float] = {}
        self.recoveries: list[tuple[str, float]] = []
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def fault_over(self, kind: str) -> None:
        """A fault has just ended (a kill: has just happened)."""
        with self._lock:
            self._open.append((time.monotonic(), kind))

    @property
    def waiting(self) -> int:
        """Faults after which not every node was heard yet."""
        with self._lock:
            return len(self._open)

    @property
    def applied(self) -> int:
        """Rows of the history that were seen so far."""
        return self._last_row

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            try:
                self._look()
            except sqlite3.Error:
                continue  # the collector is being started, or was killed just now

    def _look(self) -> None:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=1.0)) as connection:
            query = "SELECT row, data FROM messages WHERE row > ? AND kind = 'pick' ORDER BY row"
            rows = connection.execute(query, (self._last_row,)).fetchall()
        for row, data in rows:
            node, *_, made_ms = json.loads(data)["text"].split("-")
            self._newest[node] = max(self._newest.get(node, 0.0), int(made_ms) / 1000)
            self._last_row = row
        now_s = time.monotonic()
        heard_s = min((self._newest.get(node, 0.0) for node in self._nodes), default=0.0)
        with self._lock:
            over = [one for one in self._open if heard_s >= one[0]]
            self._open = [one for one in self._open if heard_s < one[0]]
        self.recoveries += [(kind, now_s - since_s) for since_s, kind in over]

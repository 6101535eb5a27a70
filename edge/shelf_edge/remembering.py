"""Keeps the books of all bays on disk while the node runs, on a thread of its own: a slow disk delays no reach."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import Protocol

from shelf_edge.core.memory import SlotMemory

log = logging.getLogger(__name__)

REFRESH_S = 60.0
"""So often the time at which a count was last seen is written, also when nothing changed."""
_RETRY_S = 5.0


class BooksFile(Protocol):
    def keep(self, books: dict[str, dict[str, SlotMemory]]) -> bool:
        """Write the books of all bays; False when that failed."""


class Remembering:
    """``note`` is the pipeline's and never waits; of what comes while the disk is busy the newest is written.

    Args:
        books: what was read at the start: bays that deliver no picture keep theirs.
    """

    def __init__(self, file: BooksFile, books: dict[str, dict[str, SlotMemory]]) -> None:
        self._file = file
        self._books = dict(books)
        self._noted_s: dict[str, float] = {}
        self._changed = threading.Condition()
        self._is_dirty = False
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="remember", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Write what is not written yet."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def note(self, bay: str, slots: dict[str, SlotMemory], misplaced: dict[str, str], now_s: float) -> None:
        """The books of a bay as they are now; written when they differ, or when the last time is long ago."""
        fresh = {name: replace(books, told_misplaced=misplaced.get(name, "")) for name, books in slots.items()}
        held = self._books.get(bay, {})
        if not fresh and not held:
            return
        is_same = fresh.keys() == held.keys() and all(books.is_like(held[name]) for name, books in fresh.items())
        if is_same and abs(now_s - self._noted_s.get(bay, float("-inf"))) < REFRESH_S:
            return
        self._noted_s[bay] = now_s
        with self._changed:
            self._books[bay] = fresh
            self._is_dirty = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_dirty or self._is_stopping)
                if not self._is_dirty:
                    return
                books, self._is_dirty = dict(self._books), False
            is_written = self._file.keep(books)
            with self._changed:
                if self._is_stopping and not self._is_dirty:
                    return
                if not is_written:
                    self._is_dirty = True
                    self._changed.wait_for(lambda: self._is_stopping, _RETRY_S)
                    if self._is_stopping:
                        return

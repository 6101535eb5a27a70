"""Keeps on disk what a restart must not forget, on a thread of its own: a slow disk delays no reach."""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import replace
from typing import Protocol

from shelf_edge.core.memory import SlotMemory
from shelf_edge.core.registration import RememberedView

log = logging.getLogger(__name__)

REFRESH_S = 60.0
"""So often the time at which a count was last seen is written, also when nothing changed."""
VIEW_EVERY_S = 600.0
"""So often what a camera sees of its bay is written."""
_RETRY_S = 5.0


class BooksFile(Protocol):
    def keep(self, books: dict[str, dict[str, SlotMemory]]) -> bool:
        """Write the books of all bays; False when that failed."""


class ViewsFile(Protocol):
    def keep(self, camera: str, view: RememberedView) -> bool:
        """Write what a camera sees; False when that failed."""


class Remembering:
    """``note`` is the pipeline's and never waits; of what comes while the disk is busy the newest is written.

    Args:
        books: what was read at the start: bays that deliver no picture keep theirs.
        views: where what cameras see is kept; None: nowhere.
    """

    def __init__(
        self, file: BooksFile, books: dict[str, dict[str, SlotMemory]], views: ViewsFile | None = None
    ) -> None:
        self._file = file
        self._views = views
        self._view_noted_s: dict[str, float] = {}
        self._new_views: dict[str, RememberedView] = {}
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

    def wants_view(self, camera: str, now_s: float) -> bool:
        """Whether it is time to note what a camera sees."""
        return self._views is not None and now_s - self._view_noted_s.get(camera, -math.inf) >= VIEW_EVERY_S

    def note_view(self, camera: str, view: RememberedView, now_s: float) -> None:
        """What a camera sees of its bay now; of several the newest is written."""
        self._view_noted_s[camera] = now_s
        with self._changed:
            self._new_views[camera] = view
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_dirty or self._new_views or self._is_stopping)
                if not self._is_dirty and not self._new_views:
                    return
                books, has_books, self._is_dirty = dict(self._books), self._is_dirty, False
                views, self._new_views = self._new_views, {}
            if self._views is not None:
                for camera, view in views.items():
                    self._views.keep(camera, view)  # what fails is said, and comes again in ten minutes
            if not has_books:
                continue
            is_written = self._file.keep(books)
            with self._changed:
                if self._is_stopping and not self._is_dirty and not self._new_views:
                    return
                if not is_written:
                    self._is_dirty = True
                    self._changed.wait_for(lambda: self._is_stopping, _RETRY_S)
                    if self._is_stopping:
                        return

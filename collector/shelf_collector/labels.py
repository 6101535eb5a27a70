"""Keeps electronic labels true: a label whose product, price or offer changed gets a new picture, until it shows it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shelf_collector.adapters.label_picture import label_picture
from shelf_collector.core.labels import Label, LabelProblem, LabelText, PushState, PushTicket
from shelf_collector.ports import Clock, LabelDriver

log = logging.getLogger(__name__)

LOOK_EVERY_S = 20.0
_STOP_S = 4.0
_DISCOVER_EVERY_S = 600.0
_TTL_S = 3600
_AGAIN_AFTER_S = 300.0
"""A picture that no label has fetched in this time is sent again."""


@dataclass(frozen=True, slots=True)
class LabelState:
    """A label as staff see it.

    Attributes:
        wanted: what it must show; ``shown_at`` when it was confirmed that it does, None while it does not.
        problem: why it could not be told; empty when all is well.
    """

    label: str
    bay: str
    slot: str
    wanted: LabelText | None = None
    state: PushState = PushState.QUEUED
    sent_at: datetime | None = None
    shown_at: datetime | None = None
    problem: str = ""


class Labels:
    """One thread over one driver: a round looks at every label, one after the other.

    Args:
        text_of: what a bay's slot must say now; None when nothing is planned there.
        places: label id -> (bay, slot).
        note: called when a label is confirmed to show a text, for the record of prices shown.
    """

    def __init__(
        self, driver: LabelDriver, places: Mapping[str, tuple[str, str]],
        text_of: Callable[[str, str], LabelText | None], no_price: str,
        note: Callable[[LabelState], None], clock: Clock,
    ) -> None:  # fmt: skip
        self._driver = driver
        self._text_of = text_of
        self._no_price = no_price
        self._note = note
        self._clock = clock
        self._known: dict[str, Label] = {}
        self._discovered_s: float | None = None
        self._tickets: dict[str, PushTicket] = {}
        self._lock = threading.Lock()
        self._states = {label: LabelState(label, bay, slot) for label, (bay, slot) in places.items()}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="labels", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Waits 4 s for a request under way; what it sends after that is sent again at the next start."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)
        self._driver.close()

    def states(self) -> list[LabelState]:
        """Every label, by id."""
        with self._lock:
            return [self._states[label] for label in sorted(self._states)]

    def round(self) -> None:
        """Look at every label once."""
        try:
            self._discover()
        except LabelProblem as problem:
            log.warning("%s", problem)
            self._put_all(str(problem))
            return
        for state in self.states():
            if self._stopping.is_set():
                return
            try:
                after = self._look(state)
            except LabelProblem as problem:
                if str(problem) != state.problem:
                    log.warning("%s", problem)
                after = replace(state, state=PushState.FAILED, problem=str(problem))
            with self._lock:
                self._states[state.label] = after

    def _look(self, state: LabelState) -> LabelState:
        wanted = self._text_of(state.bay, state.slot)
        label = self._known.get(state.label)
        if wanted is None:
            return replace(state, wanted=None, problem=f"nothing with a GTIN is planned at {state.bay}/{state.slot}")
        if label is None:
            return replace(state, wanted=wanted, state=PushState.FAILED, problem="no access point has heard of it")
        now = self._clock.now()
        is_new = state.wanted is None or state.wanted.revision != wanted.revision
        is_late = state.sent_at is None or (now - state.sent_at).total_seconds() > _AGAIN_AFTER_S
        if is_new or (state.state is not PushState.SHOWN and is_late):
            picture = label_picture(wanted, label, self._no_price)
            ticket = self._driver.push(label, picture, revision=wanted.revision, ttl_s=_TTL_S)
            self._tickets[label.id] = ticket
            state = replace(state, wanted=wanted, state=PushState.QUEUED, sent_at=now, shown_at=None, problem="")
        if state.state is not PushState.SHOWN and label.id in self._tickets:
            confirmed = self._driver.confirm(self._tickets[label.id])
            state = replace(state, state=confirmed, shown_at=now if confirmed is PushState.SHOWN else None)
            if confirmed is PushState.SHOWN:
                self._note(state)
        return state

    def _discover(self) -> None:
        now_s = self._clock.monotonic_s()
        missing = any(label not in self._known for label in self._states)
        if self._discovered_s is not None and now_s - self._discovered_s < _DISCOVER_EVERY_S and not missing:
            return
        self._known = {label.id: label for label in self._driver.discover()}
        self._discovered_s = now_s

    def _put_all(self, problem: str) -> None:
        with self._lock:
            for label, state in self._states.items():
                self._states[label] = replace(state, problem=problem)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.round()
            except Exception:
                log.exception("a round over the labels failed; the next one comes in %g s", LOOK_EVERY_S)
            self._stopping.wait(LOOK_EVERY_S)

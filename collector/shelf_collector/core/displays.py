"""Which panels a display shows: those of the slots a hand was at last, laid out as the slots lie in the bay."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache

from shelf_contracts.messages import DisplayContent, DisplayPanel

MOST_PANELS = 3
HELD_S = 3.0
"""So long what was recognised in a hand says more than where the hand was."""
EARLY_S = 1.5
"""So long before the hand's reach it may be told what it holds: the one goes by the outbox, the other past it."""


@dataclass(frozen=True, slots=True)
class _Panel:
    """What a panel says; a message is made of it only when something changed."""

    slot: str
    gtin: str
    side: float
    candidates: tuple[str, ...]
    is_held: bool


@lru_cache(maxsize=1024)
def _message(panel: _Panel) -> DisplayPanel:
    """The panel as it is told, made and checked once for all displays that show it."""
    return DisplayPanel(
        slot=panel.slot, gtin=panel.gtin, side=panel.side, candidates=list(panel.candidates), is_held=panel.is_held
    )


@dataclass(frozen=True, slots=True)
class Touch:
    """A hand was at a slot: reach, pick or put, at our time ``at``; ``side`` is 0 left to 1 right in the bay."""

    slot: str
    gtin: str
    side: float
    at: datetime
    captured_at: datetime
    candidates: tuple[str, ...] = ()
    """Set when it is not certain which product the hand is at."""
    is_held: bool = False
    """Whether the camera saw this product in the hand."""


@dataclass
class DisplayState:
    """One display over one bay. ``revision`` grows with every change, over restarts too (it starts from the time)."""

    display: str
    bay: str
    revision: int
    panel_s: float
    _touches: dict[str, Touch] = field(default_factory=dict)
    _early: dict[str, datetime] = field(default_factory=dict)
    """Products in hands that no panel shows yet, and when they were told."""
    _shown: tuple[_Panel, ...] = ()
    _captured_at: datetime | None = None
    _touched: tuple[datetime, datetime] | None = None
    """When the oldest and the newest of the touches were; None without any."""

    def touch(self, touch: Touch) -> DisplayContent | None:
        """A hand at a slot opens its panel or keeps it open. Returns the new content when it changed."""
        before = self._touches.get(touch.slot)
        if before is not None and before.is_held and 0 <= (touch.at - before.at).total_seconds() < HELD_S:
            touch = replace(touch, gtin=before.gtin, candidates=(), is_held=True)  # its pick is told a moment later
        for gtin in (touch.gtin, *touch.candidates):
            told_at = self._early.pop(gtin, None)
            if told_at is not None and 0 <= (touch.at - told_at).total_seconds() < EARLY_S:
                touch = replace(touch, gtin=gtin, candidates=(), is_held=True)
        self._touches[touch.slot] = touch
        return self._refresh(touch.at, touch.captured_at)

    def hold(
        self, gtin: str, slot: str | None, is_sure: bool, now: datetime, captured_at: datetime
    ) -> DisplayContent | None:
        """A product was recognised in a hand. Returns the new content when it changed.

        A panel that shows it is confirmed, and one that was not sure is sure now. When it is surely (``is_sure``)
        another than the panel of the slot the hand was at last shows, that panel asks which one it is: rather none
        than another product's allergens.
        """
        fresh = [touch for touch in self._touches.values() if (now - touch.at).total_seconds() < self.panel_s]
        own = [touch for touch in fresh if touch.gtin == gtin or gtin in touch.candidates]
        own.sort(key=lambda touch: (touch.slot == slot, touch.at))
        if own:
            held = replace(own[-1], gtin=gtin, candidates=(), is_held=True, at=now)
        elif is_sure and slot is not None and self._touches.get(slot) in fresh:
            before = self._touches[slot]
            if before.is_held or before.candidates:
                return None  # that one was seen in a hand too: there are two
            held = replace(before, candidates=(before.gtin, gtin), at=now)
        else:
            self._early = {one: at for one, at in self._early.items() if 0 <= (now - at).total_seconds() < EARLY_S}
            self._early[gtin] = now
            return None
        self._touches[held.slot] = held
        return self._refresh(now, captured_at)

    def tick(self, now: datetime) -> DisplayContent | None:
        """Close the panels whose time is over. Returns the new content when it changed."""
        if self._touched is None or self._touched[1] <= now < self._touched[0] + timedelta(seconds=self.panel_s):
            return None  # asked at every batch of every display of the store
        return self._refresh(now, None)

    def content(self) -> DisplayContent:
        """What it shows now."""
        return DisplayContent(
            display=self.display,
            bay=self.bay,
            revision=self.revision,
            panels=[_message(panel) for panel in self._shown],
            captured_at=self._captured_at,
        )

    def _refresh(self, now: datetime, captured_at: datetime | None) -> DisplayContent | None:
        self._touches = {slot: touch for slot, touch in self._touches.items() if self._is_recent(touch, now)}
        recent = sorted(self._touches.values(), key=lambda touch: touch.at)[-MOST_PANELS:]
        shown = tuple(
            _Panel(touch.slot, touch.gtin, touch.side, touch.candidates, touch.is_held)
            for touch in sorted(recent, key=lambda touch: (touch.side, touch.slot))
        )
        moments = [touch.at for touch in self._touches.values()]
        self._touched = (min(moments), max(moments)) if moments else None
        if shown == self._shown:
            return None
        self._shown = shown
        self._captured_at = captured_at
        self.revision += 1
        return self.content()

    def _is_recent(self, touch: Touch, now: datetime) -> bool:
        # A touch from the future is one before the clock was set back: it goes too, rather than stay for hours.
        return 0 <= (now - touch.at).total_seconds() < self.panel_s

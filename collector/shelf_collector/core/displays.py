"""Which panels a display shows: those of the slots a hand was at last, laid out as the slots lie in the bay."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from shelf_contracts.messages import DisplayContent, DisplayPanel

MOST_PANELS = 3
HELD_S = 3.0
"""So long what was recognised in a hand says more than where the hand was."""


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
    _shown: tuple[DisplayPanel, ...] = ()
    _captured_at: datetime | None = None

    def touch(self, touch: Touch) -> DisplayContent | None:
        """A hand at a slot opens its panel or keeps it open. Returns the new content when it changed."""
        before = self._touches.get(touch.slot)
        if before is not None and before.is_held and 0 <= (touch.at - before.at).total_seconds() < HELD_S:
            touch = replace(touch, gtin=before.gtin, candidates=(), is_held=True)  # its pick is told a moment later
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
            return None
        self._touches[held.slot] = held
        return self._refresh(now, captured_at)

    def tick(self, now: datetime) -> DisplayContent | None:
        """Close the panels whose time is over. Returns the new content when it changed."""
        return self._refresh(now, None) if self._touches else None

    def content(self) -> DisplayContent:
        """What it shows now."""
        return DisplayContent(
            display=self.display,
            bay=self.bay,
            revision=self.revision,
            panels=list(self._shown),
            captured_at=self._captured_at,
        )

    def _refresh(self, now: datetime, captured_at: datetime | None) -> DisplayContent | None:
        # A touch from the future is one before the clock was set back: it goes too, rather than stay for hours.
        self._touches = {
            slot: touch for slot, touch in self._touches.items() if 0 <= (now - touch.at).total_seconds() < self.panel_s
        }
        recent = sorted(self._touches.values(), key=lambda touch: touch.at)[-MOST_PANELS:]
        shown = tuple(
            DisplayPanel(
                slot=touch.slot,
                gtin=touch.gtin,
                side=touch.side,
                candidates=list(touch.candidates),
                is_held=touch.is_held,
            )
            for touch in sorted(recent, key=lambda touch: (touch.side, touch.slot))
        )
        if shown == self._shown:
            return None
        self._shown = shown
        self._captured_at = captured_at
        self.revision += 1
        return self.content()

"""Which panels a display shows: those of the slots a hand was at last, laid out as the slots lie in the bay."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from shelf_contracts.messages import DisplayContent, DisplayPanel

MOST_PANELS = 3


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
        self._touches[touch.slot] = touch
        return self._refresh(touch.at, touch.captured_at)

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
            DisplayPanel(slot=touch.slot, gtin=touch.gtin, side=touch.side, candidates=list(touch.candidates))
            for touch in sorted(recent, key=lambda touch: (touch.side, touch.slot))
        )
        if shown == self._shown:
            return None
        self._shown = shown
        self._captured_at = captured_at
        self.revision += 1
        return self.content()

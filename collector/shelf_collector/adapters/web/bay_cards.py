"""What all displays of a bay say of its products in one language: made once, and shared for a few seconds.

When a collector comes back, every display asks for its page at once; every ten minutes each asks for its cards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from markupsafe import Markup

from shelf_collector.core.cards import ProductCard

KEPT_S = 5.0
"""So much later than it could a price may change; displays themselves hide one whose time is over."""


@dataclass(frozen=True)
class Cards:
    """The cards of one bay, by GTIN in the order of its slots, and all of them as HTML."""

    by_gtin: dict[str, ProductCard]
    html: Markup


@dataclass
class _Held:
    lock: threading.Lock = field(default_factory=threading.Lock)
    made_s: float = 0.0
    cards: Cards | None = None


class BayCards:
    """Any thread may call; of those who ask for the same at once one makes it and the others wait for it.

    Holds one set of cards a bay and language, and no more than the shop has of these.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], _Held] = {}

    def of(self, bay: str, language: str, now_s: float, make: Callable[[], Cards]) -> Cards:
        """The cards as they were made at most five seconds ago; ``now_s`` is the monotonic time."""
        with self._lock:
            held = self._held.setdefault((bay, language), _Held())
        with held.lock:
            if held.cards is None or not 0 <= now_s - held.made_s < KEPT_S:
                held.cards, held.made_s = make(), now_s
            return held.cards

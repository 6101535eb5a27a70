"""What a node remembers of its slots over a restart: the books, not what was seen. Plain values, no pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace

LONGEST_S = 48 * 3600.0
"""What was remembered for longer is forgotten: the camera counts anew."""


@dataclass(frozen=True)
class ColumnMemory:
    """``depth``: where its nearest item stood, in rows; None: the column was empty."""

    count: int
    depth: float | None


@dataclass(frozen=True)
class SlotMemory:
    """One slot's books.

    Attributes:
        product: what the planogram wanted there: a slot of another product is another slot.
        rows: facings deep, for the same reason; ``columns`` has one entry a facing.
        low: the least that restocks and takings leave, seen or not.
        confidence: how well the last looks agreed, 0 to 1.
        unseen_at_restock: columns that somebody hid when the slot was restocked.
        seen_s: when the count was last seen to be so, seconds since the epoch.
        touched_s: since when a hand's visit was not settled yet; None: there is none.
        told_misplaced: the product that was last told to be misplaced there, so that it is not told twice.
        told_fallen: that an item lies there was told.
        never_seen: columns in which no item was seen since the first count: the rear of some is hidden.
    """

    product: str
    rows: int
    columns: tuple[ColumnMemory, ...]
    low: int
    confidence: float
    seen_s: float
    unseen_at_restock: tuple[int, ...] = ()
    touched_s: float | None = None
    told_misplaced: str = ""
    told_fallen: bool = False
    never_seen: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        return sum(column.count for column in self.columns)

    def is_like(self, other: SlotMemory | None) -> bool:
        """Whether the other says the same, but for when it was seen."""
        return other is not None and replace(other, seen_s=self.seen_s) == self

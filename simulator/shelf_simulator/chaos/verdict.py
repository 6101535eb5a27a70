"""What the nodes' ledgers say was published against what the collector's database says was applied.

Nothing here knows of sequence numbers: each event carries a mark that its source wrote down.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Books:
    """A source's ledger.

    Attributes:
        tried: marks the source was about to publish. kept: those its outbox took for certain.
        levels: by slot, the last stock level that was kept, then those of which a kill hides whether they were.
    """

    tried: frozenset[str]
    kept: frozenset[str]
    levels: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Verdict:
    """The comparison.

    Attributes:
        published: events the outboxes took. Those whose source was killed before it could write that down count when
            they were applied (``unconfirmed``).
        applied: different events in the collector's history.
        lost: published, not applied. duplicates_applied: applied more than once. invented: applied, never said.
        wrong_levels: slots whose last stock level is not what their node said last.
    """

    published: int
    applied: int
    lost: int
    duplicates_applied: int
    invented: int
    unconfirmed: int
    wrong_levels: int
    examples: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.duplicates_applied or self.invented or self.wrong_levels)


def read_ledger(path: Path) -> Books:
    """A ledger; a last line that was cut short by a kill is ignored. A missing file is an empty one."""
    tried: set[str] = set()
    kept: set[str] = set()
    levels: dict[str, tuple[int, ...]] = {}
    text = path.read_text() if path.exists() else ""
    for line in text[: text.rfind("\n") + 1].splitlines():
        word, _, rest = line.partition(" ")
        if word == "try":
            tried.add(rest)
        elif word == "kept":
            kept.add(rest)
        elif word in ("level-try", "level"):
            slot, _, count = rest.partition(" ")
            levels[slot] = (*levels.get(slot, ()), int(count)) if word == "level-try" else (int(count),)
    return Books(frozenset(tried), frozenset(kept), levels)


def read_history(database: Path) -> Counter[str]:
    """How often each mark stands in the collector's history."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10.0)) as connection:
        rows = connection.execute("SELECT data FROM messages WHERE kind = 'pick'").fetchall()
    return Counter(json.loads(row[0])["text"] for row in rows)


def read_levels(database: Path) -> dict[tuple[str, str], int]:
    """The stock level the collector holds, by bay and slot."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10.0)) as connection:
        rows = connection.execute("SELECT bay, slot, stock FROM slot_state").fetchall()
    return {(bay, slot): json.loads(stock)["count"] for bay, slot, stock in rows}


def compare(books: dict[str, Books], history: Counter[str], levels: dict[tuple[str, str], int]) -> Verdict:
    """The verdict; ``books`` are by bay."""
    tried = frozenset().union(*(one.tried for one in books.values()))
    kept = frozenset().union(*(one.kept for one in books.values()))
    applied = frozenset(history)
    unconfirmed = applied & (tried - kept)
    lost = sorted(kept - applied)
    twice = sorted(mark for mark, times in history.items() if times > 1)
    invented = sorted(applied - tried)
    wrong = [
        f"{bay}/{slot}: said {counts}, held {levels.get((bay, slot))}"
        for bay, one in books.items()
        for slot, counts in one.levels.items()
        if levels.get((bay, slot)) not in counts
    ]
    return Verdict(
        published=len(kept | unconfirmed),
        applied=len(applied),
        lost=len(lost),
        duplicates_applied=sum(times - 1 for times in history.values()),
        invented=len(invented),
        unconfirmed=len(unconfirmed),
        wrong_levels=len(wrong),
        examples=(*lost[:5], *twice[:5], *invented[:5], *wrong[:5]),
    )

"""How long to wait before something that failed is tried again."""

from __future__ import annotations

_MOST_DOUBLINGS = 10
"""What fails for days must not overflow a float."""


def pause_after(earlier_failures: int, shortest_s: float, longest_s: float) -> float:
    """The shortest pause after the first failure, twice as long after each further one, up to the longest.

    >>> [pause_after(count, 2.0, 60.0) for count in (0, 1, 4, 5, 100_000)]
    [2.0, 4.0, 32.0, 60.0, 60.0]
    """
    return min(longest_s, shortest_s * 2.0 ** min(earlier_failures, _MOST_DOUBLINGS))

"""The audit finds what is missing, whatever the order in which the rest came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_collector.core.audit import FARTHEST_JUMP, SourceAudit, seen


def run(*numbers: int) -> SourceAudit:
    """Each number as a live message; one that came before is a duplicate."""
    audit, known = SourceAudit("n"), set[int]()
    for number in numbers:
        audit = seen(audit, number, is_new=number not in known, retained=False)
        known.add(number)
    return audit


@pytest.mark.parametrize(
    ("numbers", "first", "last", "lost", "gaps"),
    [
        pytest.param((), None, None, 0, (), id="nothing"),
        pytest.param((5, 6, 7), 5, 7, 0, (), id="in order"),
        pytest.param((5, 8), 5, 8, 2, ((6, 7),), id="a gap"),
        pytest.param((5, 8, 7), 5, 8, 1, ((6, 6),), id="part of a gap came late"),
        pytest.param((5, 8, 6, 7), 5, 8, 0, (), id="the gap filled late"),
        pytest.param((5, 12, 8), 5, 12, 5, ((6, 7), (9, 11)), id="a gap split in two"),
        pytest.param((5, 5, 5), 5, 5, 0, (), id="duplicates"),
        pytest.param((5, 3), 3, 5, 1, ((4, 4),), id="late before the first"),
        pytest.param((5, 3, 4), 3, 5, 0, (), id="late before the first, then the rest"),
    ],
)
def test_gaps(
    numbers: tuple[int, ...], first: int | None, last: int | None, lost: int, gaps: tuple[tuple[int, int], ...]
) -> None:
    audit = run(*numbers)
    assert (audit.first, audit.last, audit.lost, audit.gaps) == (first, last, lost, gaps)


def test_retained_copies_fill_gaps_but_open_none() -> None:
    audit = SourceAudit("n")
    for number in (7, 4711, 12):
        audit = seen(audit, number, is_new=True, retained=True)
    assert (audit.first, audit.lost, audit.applied) == (None, 0, 3)
    audit = seen(audit, 5000, is_new=True, retained=False)
    audit = seen(audit, 5002, is_new=True, retained=False)
    assert audit.lost == 1
    assert seen(audit, 5001, is_new=True, retained=True).lost == 0


def test_a_message_that_first_came_retained_still_counts_as_seen() -> None:
    audit = seen(SourceAudit("n"), 1, is_new=True, retained=False)
    audit = seen(audit, 2, is_new=True, retained=True)
    audit = seen(audit, 2, is_new=False, retained=False)
    audit = seen(audit, 3, is_new=True, retained=False)
    assert audit.lost == 0


@pytest.mark.parametrize("restart", [1, 20, 100 + FARTHEST_JUMP + 1])
def test_a_counter_that_began_again_is_not_a_loss(restart: int) -> None:
    audit = run(90, 100)  # nine are missing and stay so
    audit = seen(audit, restart, is_new=True, retained=False)
    audit = seen(audit, restart + 1, is_new=True, retained=False)
    assert (audit.lost, audit.numberings, audit.first, audit.last) == (9, 2, restart, restart + 1)


def test_the_table_of_gaps_is_bounded_and_the_count_stays_right() -> None:
    audit = run(*range(0, 4000, 2))
    assert len(audit.gaps) == 1000
    assert audit.lost == 1999


@given(st.sets(st.integers(0, 60), min_size=1).flatmap(lambda numbers: st.permutations(sorted(numbers))))
def test_any_order_gives_the_same_answer(numbers: list[int]) -> None:
    # The window for lateness is 64, so that within 60 numbers every order is only lateness.
    audit = run(*numbers)
    missing = set(range(min(numbers), max(numbers) + 1)) - set(numbers)
    assert audit.lost == len(missing)
    assert {n for first, last in audit.gaps for n in range(first, last + 1)} == missing
    assert audit.applied == len(numbers)
    assert audit.numberings == 1

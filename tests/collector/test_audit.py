"""The audit finds what is missing, whatever the order in which the rest came."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_collector.core.audit import FARTHEST_JUMP, SourceAudit, abandon, give_up, seen, unreadable
from tests.collector.builders import NOON

Ranges = tuple[tuple[int, int], ...]


def run(*numbers: int, numbering: str = "a") -> SourceAudit:
    """Each number as a live message; one that came before is a duplicate."""
    audit, known = SourceAudit("n", numbering), set[int]()
    for number in numbers:
        audit = seen(audit, number, NOON, is_new=number not in known, retained=False)
        known.add(number)
    return audit


def gaps(audit: SourceAudit) -> Ranges:
    return tuple((gap.first, gap.last) for gap in audit.gaps)


@pytest.mark.parametrize("numbering", ["", "a"])
@pytest.mark.parametrize(
    ("numbers", "first", "last", "open_gaps", "healed"),
    [
        pytest.param((), None, None, (), 0, id="nothing"),
        pytest.param((5, 6, 7), 5, 7, (), 0, id="in order"),
        pytest.param((5, 8), 5, 8, ((6, 7),), 0, id="a gap"),
        pytest.param((5, 8, 7), 5, 8, ((6, 6),), 1, id="part of a gap came late"),
        pytest.param((5, 8, 6, 7), 5, 8, (), 2, id="the gap filled late"),
        pytest.param((5, 12, 8), 5, 12, ((6, 7), (9, 11)), 1, id="a gap split in two"),
        pytest.param((5, 5, 5), 5, 5, (), 0, id="duplicates"),
        pytest.param((5, 3), 3, 5, ((4, 4),), 0, id="late before the first"),
        pytest.param((5, 3, 4), 3, 5, (), 1, id="late before the first, then the rest"),
    ],
)
def test_gaps(
    numbering: str, numbers: tuple[int, ...], first: int | None, last: int | None, open_gaps: Ranges, healed: int
) -> None:
    audit = run(*numbers, numbering=numbering)
    assert (audit.first, audit.last, gaps(audit), audit.healed) == (first, last, open_gaps, healed)
    assert audit.lost == 0  # what has not come yet may come


@pytest.mark.parametrize(
    ("numbers", "expected"), [((), None), ((5, 6, 7), (5, 7)), ((5, 8), (5, 5)), ((8, 5), (5, 5)), ((8, 6, 7), (6, 8))]
)
def test_only_what_is_complete_is_acknowledged(numbers: tuple[int, ...], expected: tuple[int, int] | None) -> None:
    assert run(*numbers).acknowledged == expected


def test_retained_copies_fill_gaps_but_open_none() -> None:
    audit = SourceAudit("n", "a")
    for number in (7, 4711, 12):
        audit = seen(audit, number, NOON, is_new=True, retained=True)
    assert (audit.first, audit.missing, audit.applied) == (None, 0, 3)
    audit = seen(audit, 5000, NOON, is_new=True, retained=False)
    audit = seen(audit, 5002, NOON, is_new=True, retained=False)
    assert audit.missing == 1
    assert seen(audit, 5001, NOON, is_new=True, retained=True).missing == 0


@pytest.mark.parametrize("late", [2, 1])
def test_a_message_that_first_came_retained_still_counts_as_seen(late: int) -> None:
    audit = seen(SourceAudit("n", "a"), 2, NOON, is_new=True, retained=True)
    for number in (late, 3):
        audit = seen(audit, number, NOON, is_new=False, retained=False)
    # Also below the first: the node would else keep it, and send it, for ever.
    assert audit.acknowledged == ((2, 3) if late == 2 else (1, 1))


@pytest.mark.parametrize("restart", [1, 20, 100 + FARTHEST_JUMP + 1])
def test_a_counter_without_a_name_that_began_again_is_noticed(restart: int) -> None:
    audit = run(90, 100, numbering="")  # nine are missing and stay so
    audit = seen(audit, restart, NOON, is_new=True, retained=False)
    audit = seen(audit, restart + 1, NOON, is_new=True, retained=False)
    assert (audit.lost, audit.numberings, audit.first, audit.last) == (9, 2, restart, restart + 1)


def test_the_table_of_gaps_is_bounded_and_nothing_missing_is_forgotten() -> None:
    numbers = set(range(0, 4000, 2))
    audit = run(*sorted(numbers))
    assert len(audit.gaps) == 1000
    missing = {n for gap in audit.gaps for n in range(gap.first, gap.last + 1)}
    assert set(range(3999)) - numbers <= missing
    for number in sorted(missing):  # asked for again, it all comes, some of it a second time
        audit = seen(audit, number, NOON, is_new=number not in numbers, retained=False)
    assert audit.acknowledged == (0, 3998)


def test_what_a_node_gave_up_is_lost_unless_it_came() -> None:
    audit = give_up(run(5, 20), [(7, 8), (12, 12), (18, 20)], [(9, 10)])
    assert (audit.lost, audit.superseded, audit.missing) == (5, 2, 7)
    assert gaps(audit) == ((6, 6), (11, 11), (13, 17))
    # It came after all: a broker had kept it.
    audit = seen(audit, 12, NOON, is_new=True, retained=False)
    assert (audit.lost, audit.healed) == (4, 1)


def test_what_was_given_up_before_we_listened_is_lost_too() -> None:
    audit = give_up(run(500, 501), [(100, 199)], [])
    assert (audit.lost, audit.acknowledged) == (100, (500, 501))


def test_what_is_missing_for_too_long_is_lost() -> None:
    audit = run(5, 8)
    assert abandon(audit, NOON) is audit
    after = abandon(audit, NOON + timedelta(seconds=1))
    assert (after.lost, after.missing, after.acknowledged) == (2, 0, (5, 8))


def test_a_message_that_cannot_be_read_is_not_asked_for() -> None:
    audit = unreadable(run(5, 8), 7, NOON)
    audit = unreadable(audit, 9, NOON)
    assert (gaps(audit), audit.last, audit.set_aside, audit.applied) == (((6, 6),), 9, 2, 2)


@given(st.sets(st.integers(0, 60), min_size=1).flatmap(lambda numbers: st.permutations(sorted(numbers))))
def test_any_order_gives_the_same_answer(numbers: list[int]) -> None:
    # The window for lateness is 64, so that within 60 numbers every order is only lateness.
    for numbering in ("", "a"):
        audit = run(*numbers, numbering=numbering)
        missing = set(range(min(numbers), max(numbers) + 1)) - set(numbers)
        assert audit.missing == len(missing)
        assert {n for gap in audit.gaps for n in range(gap.first, gap.last + 1)} == missing
        assert (audit.applied, audit.lost) == (len(numbers), 0)

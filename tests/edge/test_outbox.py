from __future__ import annotations

from pathlib import Path

import pytest

from shelf_contracts.errors import FileProblems
from shelf_edge.adapters.outbox_sqlite import SqliteOutbox
from shelf_edge.ports import OutboxEntry


def say(outbox: SqliteOutbox, text: str, *, retain: bool = False) -> OutboxEntry:
    return outbox.append(lambda sequence: OutboxEntry(sequence, "t", text.encode(), retain, 60))


def test_what_was_said_is_there_after_a_crash_and_the_numbers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    first = SqliteOutbox(path, first_sequence=100)
    say(first, "a"), say(first, "b")
    # No close: the process was killed.
    second = SqliteOutbox(path, first_sequence=999_999)
    assert [entry.payload for entry in second.pending(0, 10)] == [b"a", b"b"]
    assert say(second, "c").sequence == 102


def test_only_what_was_acknowledged_goes(tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "o", first_sequence=1)
    for text in "abc":
        say(outbox, text)
    outbox.remove(2)
    assert [entry.sequence for entry in outbox.pending(0, 10)] == [1, 3]
    assert outbox.depth() == 2
    outbox.remove(2)
    assert outbox.depth() == 2


def test_a_number_is_never_given_twice_even_when_all_was_sent(tmp_path: Path) -> None:
    first = SqliteOutbox(tmp_path / "o", first_sequence=1)
    first.remove(say(first, "a").sequence)
    first.close()
    assert say(SqliteOutbox(tmp_path / "o", first_sequence=1), "b").sequence == 2


def test_pending_pages_through_in_order(tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "o", first_sequence=1)
    for text in "abcde":
        say(outbox, text)
    assert [entry.sequence for entry in outbox.pending(2, 2)] == [3, 4]


def test_a_full_outbox_gives_up_states_before_events_and_counts_it(tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "o", first_sequence=1, largest_depth=3)
    say(outbox, "event 1")
    say(outbox, "state 2", retain=True)
    say(outbox, "event 3")
    say(outbox, "event 4")
    say(outbox, "event 5")
    assert [entry.payload for entry in outbox.pending(0, 10)] == [b"event 3", b"event 4", b"event 5"]
    assert (outbox.lost, outbox.depth()) == (2, 3)


def test_a_message_that_cannot_be_made_takes_no_number(tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "o", first_sequence=1)

    def fail(sequence: int) -> OutboxEntry:
        raise RuntimeError(str(sequence))

    with pytest.raises(RuntimeError):
        outbox.append(fail)
    assert say(outbox, "a").sequence == 1


def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "o").write_bytes(b"this is no database" * 100)
    with pytest.raises(FileProblems, match="move the file away"):
        SqliteOutbox(tmp_path / "o", first_sequence=1)

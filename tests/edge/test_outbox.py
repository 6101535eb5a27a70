from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelf_contracts.errors import FileProblems
from shelf_edge.adapters.outbox_sqlite import OutboxLimits, SqliteOutbox
from shelf_edge.journal import notice_maker
from shelf_edge.ports import GivenUp, OutboxEntry, OutboxFull


@dataclass
class HeldClock:
    wall_s: float = 1_800_000_000.0
    running_s: float = 1000.0

    def now_s(self) -> float:
        return self.wall_s

    def monotonic_s(self) -> float:
        return self.running_s

    def pass_(self, seconds: float) -> None:
        self.wall_s += seconds
        self.running_s += seconds


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def open_outbox(tmp_path: Path, clock: HeldClock) -> Iterator[Callable[..., SqliteOutbox]]:
    opened: list[SqliteOutbox] = []

    def make(**changes: Any) -> SqliteOutbox:
        settings: dict[str, Any] = {"first_sequence": 1, "clock": clock, **changes}
        opened.append(SqliteOutbox(tmp_path / "o", **settings))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def outbox(open_outbox: Callable[..., SqliteOutbox]) -> SqliteOutbox:
    return open_outbox()


def say(outbox: SqliteOutbox, text: str, *, topic: str = "t", retain: bool = False) -> OutboxEntry:
    return outbox.append(lambda sequence: OutboxEntry(sequence, topic, text.encode(), retain, 60))


def numbers(outbox: SqliteOutbox) -> list[int]:
    return [entry.sequence for entry in outbox.pending(0, 10_000)]


def notices(outbox: SqliteOutbox) -> list[dict[str, Any]]:
    """The data of the node events that wait."""
    found = [json.loads(entry.payload) for entry in outbox.pending(0, 10_000) if b"node.event" in entry.payload]
    return [content["data"] for content in found]


@contextmanager
def full_disk(outbox: SqliteOutbox) -> Iterator[None]:
    """No page more than now."""
    outbox._db.execute("VACUUM")
    outbox._db.execute("PRAGMA max_page_count = 1")
    yield
    outbox._db.execute("PRAGMA max_page_count = 1000000")


def test_what_was_said_is_there_after_a_crash_and_the_numbers_go_on(open_outbox: Callable[..., SqliteOutbox]) -> None:
    first = open_outbox(first_sequence=100)
    say(first, "a"), say(first, "b")
    # No close: the process was killed.
    second = open_outbox(first_sequence=999_999)
    assert [entry.payload for entry in second.pending(0, 10)] == [b"a", b"b"]
    assert say(second, "c").sequence == 102
    assert second.numbering == first.numbering != ""


def test_only_what_the_collector_acknowledged_goes(outbox: SqliteOutbox) -> None:
    for text in "abcde":
        say(outbox, text)
    assert outbox.acknowledge(outbox.numbering, 2, 3) == 2
    assert numbers(outbox) == [1, 4, 5]
    assert outbox.acknowledge(outbox.numbering, 1, 4) == 2
    assert outbox.acknowledge(outbox.numbering, 1, 4) == 0
    assert (numbers(outbox), outbox.depth(), outbox.size_bytes) == ([5], 1, 2)


def test_an_acknowledgement_of_another_numbering_is_of_no_concern(outbox: SqliteOutbox) -> None:
    say(outbox, "a")
    assert outbox.acknowledge("another", 1, 1) == 0
    assert numbers(outbox) == [1]


def test_a_disk_put_back_from_an_image_begins_a_new_numbering_and_keeps_all(outbox: SqliteOutbox) -> None:
    entry = outbox.append(
        lambda sequence: OutboxEntry(
            sequence, "t", b'{"id":"x","numbering":"%s"}' % outbox.numbering.encode(), False, 1
        )
    )
    before = outbox.numbering
    outbox.acknowledge(before, 1, entry.sequence + 50)
    assert outbox.numbering != before
    assert json.loads(outbox.pending(0, 10)[0].payload) == {"id": "x", "numbering": outbox.numbering}
    assert outbox.acknowledge(outbox.numbering, 1, entry.sequence) == 1


def test_a_number_is_never_given_twice_even_when_all_was_sent(open_outbox: Callable[..., SqliteOutbox]) -> None:
    first = open_outbox()
    first.acknowledge(first.numbering, 1, say(first, "a").sequence)
    first.close()
    assert say(open_outbox(), "b").sequence == 2


def test_pending_pages_through_in_order(outbox: SqliteOutbox) -> None:
    for text in "abcde":
        say(outbox, text)
    assert [entry.sequence for entry in outbox.pending(2, 2)] == [3, 4]
    assert [entry.sequence for entry in outbox.within((2, 4), 2)] == [2, 3]


def test_a_full_outbox_gives_up_health_then_replaced_states_then_the_oldest_events(
    open_outbox: Callable[..., SqliteOutbox], clock: HeldClock
) -> None:
    outbox = open_outbox(limits=OutboxLimits(bytes=5000), make_notice=notice_maker("s1", "n01", clock))
    outbox.append_health("h", b"x" * 300)
    for index in range(8):  # 1 to 8: events and states of two slots
        say(outbox, "x" * 500, topic=f"slot{index % 4}", retain=index % 4 < 2)
    assert outbox.depth() == 8
    say(outbox, "y" * 1200, topic="slot9")
    # Health and the older states of both slots made room enough.
    assert numbers(outbox) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert outbox.take_health() == []
    assert outbox.lost == 0
    (notice,) = notices(outbox)
    assert notice["superseded"] == [{"first": 1, "last": 2}]
    assert (notice["lost"], notice["health"], notice["action"]) == ([], 1, "overflow")
    say(outbox, "z" * 1500, topic="slot9")
    assert outbox.lost == 2
    assert [entry.sequence for entry in outbox.pending(0, 99) if entry.retain] == [5, 6]
    assert notices(outbox)[-1]["lost"] == [{"first": 3, "last": 4}]
    assert outbox.missing((1, 12)) == GivenUp(lost=((3, 4),), superseded=((1, 2),))


def test_the_age_is_bounded_and_a_clock_that_is_set_makes_nothing_older(
    open_outbox: Callable[..., SqliteOutbox], clock: HeldClock
) -> None:
    outbox = open_outbox(limits=OutboxLimits(age_s=3600), make_notice=notice_maker("s1", "n01", clock))
    say(outbox, "old")
    clock.wall_s += 40 * 86_400  # a computer without a battery learns the time
    clock.pass_(120)
    say(outbox, "young")
    assert numbers(outbox) == [1, 2]
    clock.pass_(3550)
    say(outbox, "now")
    assert outbox.lost == 1
    assert notices(outbox)[0]["lost"] == [{"first": 1, "last": 1}]


def test_a_full_disk_refuses_the_new_and_keeps_the_old(outbox: SqliteOutbox) -> None:
    said = [say(outbox, "x" * 900).sequence for _ in range(20)]
    with full_disk(outbox):
        refusal = ""
        while not refusal:
            try:
                said.append(say(outbox, "y" * 900).sequence)
            except OutboxFull as full:
                refusal = str(full)
        assert "free space" in refusal
        assert numbers(outbox) == said
        # What the collector acknowledges makes room.
        outbox.acknowledge(outbox.numbering, 1, 10)
        said.append(say(outbox, "z" * 900).sequence)
    assert numbers(outbox) == said[10:]
    assert said == list(range(1, len(said) + 1))


def test_a_full_disk_first_lets_replaced_states_go(outbox: SqliteOutbox) -> None:
    for _ in range(20):
        say(outbox, "x" * 900, topic="slot", retain=True)
    with full_disk(outbox):
        for _ in range(10):
            say(outbox, "y" * 900)
    assert [entry.sequence for entry in outbox.pending(0, 99) if entry.retain] == [20]
    assert outbox.lost == 0


def test_health_is_kept_for_two_minutes_only(outbox: SqliteOutbox, clock: HeldClock) -> None:
    outbox.append_health("h", b"old")
    clock.pass_(100)
    outbox.append_health("h", b"young")
    clock.pass_(50)
    assert outbox.take_health() == [("h", b"young")]
    assert outbox.take_health() == []


def test_a_message_that_cannot_be_made_takes_no_number(outbox: SqliteOutbox) -> None:
    def fail(sequence: int) -> OutboxEntry:
        raise RuntimeError(str(sequence))

    with pytest.raises(RuntimeError):
        outbox.append(fail)
    assert say(outbox, "a").sequence == 1


def test_a_file_that_is_no_database_is_set_aside_and_the_loss_is_told(
    tmp_path: Path, clock: HeldClock, open_outbox: Callable[..., SqliteOutbox], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "o").write_bytes(b"this is no database" * 100)
    outbox = open_outbox(first_sequence=500, make_notice=notice_maker("s1", "n01", clock))
    assert [path.read_bytes()[:4] for path in tmp_path.glob("o.damaged-*")] == [b"this"]
    (notice,) = notices(outbox)
    assert (notice["refused"], numbers(outbox)) == (1, [500])  # how many were lost, nobody can tell
    assert "set aside" in notice["text"]
    assert any(record.levelname == "CRITICAL" for record in caplog.records)


def damage(path: Path, from_page: int, to_page: int) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * from_page : 4096 * to_page] = b"\x5a" * (4096 * (to_page - from_page))
    path.write_bytes(content)


def test_a_damaged_page_costs_what_stood_on_it_and_the_numbers_go_on(
    tmp_path: Path, clock: HeldClock, open_outbox: Callable[..., SqliteOutbox]
) -> None:
    before = open_outbox(make_notice=notice_maker("s1", "n01", clock))
    for _ in range(300):
        say(before, "x" * 200)
    before.close()
    pages = (tmp_path / "o").stat().st_size // 4096
    damage(tmp_path / "o", pages - 6, pages - 3)
    outbox = open_outbox(make_notice=notice_maker("s1", "n01", clock))
    held = numbers(outbox)
    assert (held[0], outbox.numbering) == (1, before.numbering)
    assert say(outbox, "new").sequence > 300  # above all that was given: the collector finds the gap, and asks
    assert outbox.depth() == len(numbers(outbox))
    gone = [number for first, last in outbox.missing((1, 300)).lost for number in range(first, last + 1)]
    assert sorted(gone + [number for number in held if number <= 300]) == list(range(1, 301))
    assert 0 < len(gone) < 300


def test_a_file_that_is_damaged_in_the_run_is_set_aside_once_a_minute_at_most(
    tmp_path: Path, clock: HeldClock, open_outbox: Callable[..., SqliteOutbox]
) -> None:
    outbox = open_outbox(make_notice=notice_maker("s1", "n01", clock))
    for _ in range(200):
        say(outbox, "x" * 200)

    def spoil() -> None:
        outbox._fold_log()
        damage(tmp_path / "o", 1, (tmp_path / "o").stat().st_size // 4096)
        outbox._db.execute("PRAGMA shrink_memory")

    spoil()
    assert say(outbox, "new").sequence > 200
    assert len(list(tmp_path.glob("o.damaged-*"))) >= 1
    assert outbox.missing((1, 200)).lost == ((1, 200),)
    spoil()
    with pytest.raises(OutboxFull, match="damaged again"):
        say(outbox, "newer")
    clock.pass_(61)
    assert say(outbox, "newer")
    spoil()
    clock.pass_(61)
    assert outbox.acknowledge(outbox.numbering, 1, 200) == 0
    spoil()
    clock.pass_(61)
    assert outbox.pending(0, 10)[-1].payload  # the notice


def test_a_file_that_is_removed_in_the_run_comes_back_with_all_that_was_in_it(
    tmp_path: Path, open_outbox: Callable[..., SqliteOutbox]
) -> None:
    outbox = open_outbox()
    say(outbox, "a"), say(outbox, "b")
    (tmp_path / "o").unlink()
    say(outbox, "c")
    assert [entry.payload for entry in open_outbox().pending(0, 10)] == [b"a", b"b", b"c"]


def test_a_file_that_another_program_holds_is_said_to_be_locked(tmp_path: Path, outbox: SqliteOutbox) -> None:
    say(outbox, "a")
    other = sqlite3.connect(tmp_path / "o", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutboxFull, match="is locked; end the other program"):
        say(outbox, "b")
    assert (tmp_path / "o.reserve").exists()  # nothing was given up for it
    other.execute("ROLLBACK")
    other.close()
    assert say(outbox, "b").sequence == 2


@pytest.mark.parametrize("learns_the_time_s_before_the_stop", [None, 1])
def test_a_clock_that_was_wrong_before_a_restart_gives_nothing_up(
    clock: HeldClock, open_outbox: Callable[..., SqliteOutbox], learns_the_time_s_before_the_stop: float | None
) -> None:
    right_s, clock.wall_s = clock.wall_s, 1000.0  # a computer without a battery
    before = open_outbox()
    for _ in range(10):
        say(before, "x")
        clock.pass_(1)
    if learns_the_time_s_before_the_stop is not None:
        clock.wall_s = right_s
        say(before, "x")
        clock.pass_(learns_the_time_s_before_the_stop)
    before.close()
    clock.wall_s, clock.running_s = right_s, 5.0
    outbox = open_outbox()
    say(outbox, "now")
    clock.pass_(120)
    say(outbox, "later")
    assert (outbox.lost, numbers(outbox)[0]) == (0, 1)


def test_the_age_goes_on_over_restarts(clock: HeldClock, open_outbox: Callable[..., SqliteOutbox]) -> None:
    limits = OutboxLimits(age_s=3600)
    for _ in range(3):  # each start of the computer begins its clock anew
        clock.running_s = 10.0
        outbox = open_outbox(limits=limits)
        say(outbox, "x")
        clock.pass_(1500)
        say(outbox, "x")
        outbox.close()
    clock.running_s = 10.0
    outbox = open_outbox(limits=limits)
    clock.pass_(1000)
    say(outbox, "now")
    assert outbox.lost == 3  # made after 0, 1500 and 1500 s; it is 5500 s now


def test_a_file_of_version_0_1_0_is_taken_over(tmp_path: Path, open_outbox: Callable[..., SqliteOutbox]) -> None:
    old = sqlite3.connect(tmp_path / "o")
    old.executescript(
        "CREATE TABLE outbox (sequence INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL,"
        "retain INTEGER NOT NULL, expiry_s INTEGER);"
        "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);"
        "INSERT INTO outbox VALUES (41, 't', x'61', 0, 60); INSERT INTO counter VALUES ('sequence', 41), ('lost', 3);"
    )
    old.close()
    outbox = open_outbox(first_sequence=999)
    assert (outbox.numbering, outbox.lost, say(outbox, "b").sequence) == ("", 3, 42)
    assert [entry.payload for entry in outbox.pending(0, 9)] == [b"a", b"b"]


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path, open_outbox: Callable[..., SqliteOutbox]) -> None:
    newer = sqlite3.connect(tmp_path / "o")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(FileProblems, match="update smartshelf"):
        open_outbox()


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from(["event", "state", "ack"]), st.integers(0, 3), st.integers(10, 400)), max_size=40
    )
)
def test_every_number_waits_or_is_told_or_was_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    clock = HeldClock()
    outbox = SqliteOutbox(
        tmp_path_factory.mktemp("law") / "o", first_sequence=1, clock=clock, limits=OutboxLimits(bytes=3000),
        make_notice=notice_maker("s1", "n01", clock),
    )  # fmt: skip
    told: set[int] = set()
    acknowledged = 0

    def listen() -> None:
        for notice in notices(outbox):
            for one in notice["lost"] + notice["superseded"]:
                told.update(range(one["first"], one["last"] + 1))

    for what, slot, size in steps:
        if what == "ack":
            acknowledged = outbox.last_sequence // 2
            outbox.acknowledge(outbox.numbering, 1, acknowledged)
        else:
            say(outbox, "x" * size, topic=f"slot{slot}", retain=what == "state")
        listen()
    accounted = set(numbers(outbox)) | told | set(range(1, acknowledged + 1))
    assert set(range(1, outbox.last_sequence + 1)) <= accounted
    assert outbox.depth() == len(numbers(outbox))
    assert outbox.size_bytes == sum(len(entry.topic) + len(entry.payload) for entry in outbox.pending(0, 9999))
    outbox.close()

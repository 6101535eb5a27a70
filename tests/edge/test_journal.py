"""What a node says while its disk takes nothing, and on a disk that is really full."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shelf_edge.adapters.clock import SystemClock
from shelf_edge.adapters.outbox_sqlite import OutboxLimits, SqliteOutbox
from shelf_edge.adapters.waiting_file import WaitingFile
from shelf_edge.journal import Journal, notice_maker
from shelf_edge.ports import GivenUp, OutboxEntry, OutboxFull
from tests.collector.builders import slot_event, stock_level


@dataclass
class FakeOutbox:
    """An outbox on a disk that can be full."""

    is_full: bool = False
    entries: list[OutboxEntry] = field(default_factory=list)
    notices: list[GivenUp] = field(default_factory=list)
    numbering: str = "a1"
    waited: int = 0
    refused_told: int = 0

    def append(self, make: Callable[[int], OutboxEntry], *, waited: int = 0) -> OutboxEntry:
        if self.is_full:
            raise OutboxFull("full")
        self.entries.append(make(len(self.entries) + 1))
        self.waited = waited or self.waited
        return self.entries[-1]

    def append_notice(
        self, action: str, given_up: GivenUp, numbering: str, text: str, *, refused_told: int = 0
    ) -> None:
        if self.is_full:
            raise OutboxFull("full")
        self.refused_told = refused_told
        self.notices.append(given_up)

    def texts(self) -> list[str]:
        data = [json.loads(entry.payload)["data"] for entry in self.entries]
        return [content.get("text") or str(content.get("count")) for content in data]


@pytest.fixture
def outbox() -> FakeOutbox:
    return FakeOutbox()


@pytest.fixture
def open_journal(outbox: FakeOutbox, tmp_path: Path) -> Callable[..., Journal]:
    """A node's start; the waiting file of the one before is not closed: it was killed."""

    def make(size_bytes: int = 65_536) -> Journal:
        room = WaitingFile(tmp_path / "waiting", size_bytes)
        return Journal("demo", "n01", outbox, SystemClock(), room, most_waiting=3)  # type: ignore[arg-type]

    return make


@pytest.fixture
def journal(open_journal: Callable[..., Journal]) -> Journal:
    return open_journal()


def test_what_waits_when_a_node_is_killed_is_the_first_that_the_next_one_writes(
    open_journal: Callable[..., Journal], outbox: FakeOutbox
) -> None:
    outbox.is_full = True
    first = open_journal()
    for text in ("one", "two", "three", "four"):  # one gives way
        first.say("a01", "s1", slot_event("pick", text=text))
    second = open_journal()
    assert (second.waiting, second.refused) == (3, 1)
    second.say("a01", "s1", slot_event("pick", text="five"))
    outbox.is_full = False
    third = open_journal()
    assert outbox.texts() == ["three", "four", "five"]
    assert (outbox.notices, third.waiting, third.refused) == ([GivenUp(refused=2)], 0, 0)
    open_journal()
    assert (len(outbox.entries), len(outbox.notices)) == (3, 1)


def test_a_node_killed_between_the_outbox_and_the_waiting_file_says_nothing_twice(
    open_journal: Callable[..., Journal], outbox: FakeOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.is_full = True
    first = open_journal()
    for text in ("one", "two", "three", "four"):
        first.say("a01", "s1", slot_event("pick", text=text))
    outbox.is_full = False
    monkeypatch.setattr(WaitingFile, "pop", lambda *_args, **_named: None)  # killed before
    monkeypatch.setattr(WaitingFile, "tell", lambda *_args: None)
    first.retry()
    assert outbox.texts() == ["two", "three", "four"]
    monkeypatch.undo()
    again = open_journal()
    assert (again.waiting, again.refused) == (0, 0)
    again.say("a01", "s1", slot_event("pick", text="five"))
    assert outbox.texts() == ["two", "three", "four", "five"]
    assert outbox.notices == [GivenUp(refused=1)]


def test_what_found_no_room_on_disk_either_is_counted_and_told_after_a_restart(
    open_journal: Callable[..., Journal], outbox: FakeOutbox, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.is_full = True
    first = open_journal(1000)
    for text in ("one", "two", "three"):
        first.say("a01", "s1", slot_event("pick", text=text))
    assert not first.finish()
    (said,) = [record.message for record in caplog.records if record.levelname == "CRITICAL"]
    assert "1 events wait on disk" in said
    assert "2 are lost" in said
    outbox.is_full = False
    assert open_journal(1000).finish()
    assert outbox.texts() == ["one"]
    assert outbox.notices == [GivenUp(refused=2)]


def test_a_waiting_file_that_is_damaged_or_missing_is_a_loss_that_is_told(
    open_journal: Callable[..., Journal], outbox: FakeOutbox, tmp_path: Path
) -> None:
    outbox.refused_told = 7
    open_journal()
    assert outbox.notices == []  # a new file: nothing new is known
    (tmp_path / "waiting").write_bytes(b"\xff{" * 400)
    open_journal()
    assert outbox.notices == [GivenUp(refused=1)]


def test_what_waits_is_written_in_order_once_there_is_room(journal: Journal, outbox: FakeOutbox) -> None:
    outbox.is_full = True
    assert not journal.say("a01", "s1", slot_event("pick", text="one"))
    journal.retry()
    assert journal.waiting == 1
    outbox.is_full = False
    assert journal.say("a01", "s1", slot_event("pick", text="two"))
    assert (outbox.texts(), journal.waiting, outbox.notices) == (["one", "two"], 0, [])


def test_levels_give_way_then_the_oldest_events_which_are_counted_and_told(
    journal: Journal, outbox: FakeOutbox
) -> None:
    outbox.is_full = True
    for text in ("one", "two"):
        journal.say("a01", "s1", slot_event("pick", text=text))
    journal.say("a01", "s1", stock_level(4))
    for text in ("three", "four"):
        journal.say("a01", "s1", slot_event("pick", text=text))
    assert (journal.waiting, journal.refused) == (3, 1)
    outbox.is_full = False
    journal.retry()
    assert outbox.texts() == ["two", "three", "four"]
    assert outbox.notices == [GivenUp(refused=1)]
    journal.retry()
    assert (len(outbox.notices), journal.refused) == (1, 0)


def test_every_live_event_has_an_id_of_its_own(journal: Journal, outbox: FakeOutbox) -> None:
    event = slot_event("pick")
    journal.say("a01", "s1", event)
    journal.say("a01", "s1", event)
    contents = [json.loads(entry.payload) for entry in outbox.entries]
    assert contents[0]["id"] != contents[1]["id"]
    assert {content["numbering"] for content in contents} == {"a1"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, where the system lets us make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_really_full_costs_nothing_that_was_said(small_disk: Path) -> None:
    clock = SystemClock()
    limits = OutboxLimits(reserve_bytes=256 * 1024)
    outbox = SqliteOutbox(
        small_disk / "o", first_sequence=1, clock=clock, limits=limits, make_notice=notice_maker("demo", "n01", clock)
    )
    journal = Journal("demo", "n01", outbox, clock, WaitingFile(small_disk / "w", 128 * 1024))

    def say_until_full(said: int) -> int:
        deadline_s = time.monotonic() + 60
        while journal.say("a01", "s1", slot_event("pick", text=f"{said} " + "x" * 250)):
            said += 1
            assert time.monotonic() < deadline_s
        return said

    def held() -> list[int]:
        return [entry.sequence for entry in outbox.pending(0, 100_000)]

    said = say_until_full(0)
    assert held() == list(range(1, said + 1))
    (small_disk / "others").write_bytes(b"")
    with contextlib.suppress(OSError), (small_disk / "others").open("wb") as others:
        while True:  # somebody else takes what is left
            others.write(b"x" * 1000)
            others.flush()
    journal.retry()
    for _ in range(20):
        journal.say("a01", "s1", slot_event("pick", text="late"))
    assert journal.waiting >= 20
    outbox.close()
    # Also after a restart, and with nothing freed but what leaves the outbox, the collector's word makes room.
    outbox = SqliteOutbox(small_disk / "o", first_sequence=1, clock=clock, limits=limits)
    assert held() == list(range(1, said + 1))
    assert outbox.acknowledge(outbox.numbering, 1, said // 2) == said // 2
    (small_disk / "others").unlink()
    journal = Journal("demo", "n01", outbox, clock, WaitingFile(small_disk / "w", 128 * 1024))
    assert journal.say("a01", "s1", slot_event("pick", text="after the restart"))
    # What was refused before the restart comes first.
    assert held() == list(range(said // 2 + 1, said + 23))
    texts = [json.loads(entry.payload)["data"]["text"] for entry in outbox.pending(said, 99)]
    assert texts[1:] == ["late"] * 20 + ["after the restart"]
    outbox.close()

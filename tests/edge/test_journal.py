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

    def append(self, make: Callable[[int], OutboxEntry]) -> OutboxEntry:
        if self.is_full:
            raise OutboxFull("full")
        self.entries.append(make(len(self.entries) + 1))
        return self.entries[-1]

    def append_notice(self, action: str, given_up: GivenUp, numbering: str, text: str) -> None:
        if self.is_full:
            raise OutboxFull("full")
        self.notices.append(given_up)

    def texts(self) -> list[str]:
        data = [json.loads(entry.payload)["data"] for entry in self.entries]
        return [content.get("text") or str(content.get("count")) for content in data]


@pytest.fixture
def outbox() -> FakeOutbox:
    return FakeOutbox()


@pytest.fixture
def journal(outbox: FakeOutbox) -> Journal:
    return Journal("demo", "n01", outbox, SystemClock(), most_waiting=3)  # type: ignore[arg-type]


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
    journal = Journal("demo", "n01", outbox, clock)

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
    journal = Journal("demo", "n01", outbox, clock)
    assert journal.say("a01", "s1", slot_event("pick", text="after the restart"))
    assert held() == list(range(said // 2 + 1, said + 2))
    outbox.close()

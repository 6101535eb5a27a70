"""Notices outlive the collector: what waits, what was told, how often it was tried, who has acknowledged it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import time, timedelta
from functools import partial
from pathlib import Path

import pytest

import shelf_collector.notifying as notifying_module
from shelf_collector.adapters.backup import backup, restore, sqlite_file
from shelf_collector.adapters.notice_list import NoticeList
from shelf_collector.core.access import Principal, Role
from shelf_collector.core.notices import MOST_REMINDERS, MarkChanges, NoticeRules
from shelf_collector.core.tasks import TaskRules
from shelf_collector.notice_words import NoticeWords
from shelf_collector.notifying import QUEUE_SIZE, Notifier, Route
from shelf_collector.ports import NoticeMessage, NoticeProblem, QueuedNotice, StorageProblem
from tests.collector.builders import Node, eventually
from tests.collector.conftest import Shop
from tests.collector.visitors import logged_in

RULES = NoticeRules(timedelta(seconds=10), timedelta(minutes=10), timedelta(minutes=30))
ANNA = Principal("person", "Anna", Role.STAFF)
LONG_S = 3600.0


@dataclass
class Phone:
    """The other side: takes what it is sent, or says why not."""

    name: str = "phone"
    got: list[NoticeMessage] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    is_down: bool = False

    def send(self, message: NoticeMessage) -> str:
        self.asked.append(message.id)
        if self.is_down:
            raise NoticeProblem("the phone is off", is_final=False, why="nobody")
        self.got.append(message)
        return "thanks"


@contextmanager
def notifying(
    shop: Shop,
    phone: Phone,
    rules: NoticeRules = RULES,
    retry_s: tuple[float, ...] = (LONG_S,),
    is_killed: bool = False,
) -> Iterator[Notifier]:
    """A collector's notices, from recall to stop; ``is_killed``: it gets no time to put anything in order."""
    words = NoticeWords(shop.setup, shop.site.viewer)
    memory = NoticeList(shop.site.doorkeeper.accounts)
    notifier = Notifier([Route(phone, "webhook")], rules, words.message, shop.clock, retry_s, memory)
    listeners = shop.site.desk._listeners
    listeners[:] = [notifier.hear]
    notifier.recall(shop.site.desk.everything())
    notifier.start()
    try:
        yield notifier
    finally:
        if is_killed:  # what its threads had in hand they end, and nothing is put in order after them
            notifier._stopping.set()
            for thread in (notifier._thread, *(line.thread for line in notifier._lines.values())):
                thread.join(10)
        else:
            notifier.stop()
        listeners.clear()


@pytest.fixture(autouse=True)
def _quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying_module, "_TICK_S", 0.02)


def empty_slot(shop: Shop, slot: str = "s1-02", sequence: int = 0) -> int:
    """An empty slot and its task."""
    shop.say(Node(sequence=sequence).stock(slot, 0, now=shop.clock.now()))
    shop.wait(6)
    return next(work.task.id for work in shop.site.desk.work_list("").waiting if work.task.slot == slot)


def queued(shop: Shop) -> list[QueuedNotice]:
    return NoticeList(shop.site.doorkeeper.accounts).queued()


def test_what_was_not_taken_is_sent_after_a_restart_with_the_same_id_and_goes_on_counting_tries(
    open_shop: Callable[[], Shop],
) -> None:
    shop, phone = open_shop(), Phone(is_down=True)
    with notifying(shop, phone, is_killed=True) as notifier:
        empty_slot(shop)
        shop.clock.advance(11)
        eventually(lambda: notifier.states()[0].tries == 1)
    (waits,) = queued(shop)
    assert (waits.tries, waits.message.id) == (1, phone.asked[0])
    shop, phone.is_down = open_shop(), False
    shop.clock.advance(LONG_S + 1)
    with notifying(shop, phone) as notifier:
        eventually(lambda: phone.got)
        eventually(lambda: not queued(shop))
    assert phone.asked == [phone.asked[0]] * 2, "who has it already knows it by its id"
    assert "Spaghetti" in phone.got[0].title


def test_before_its_time_it_is_not_tried_and_after_the_last_try_it_is_given_up(open_shop: Callable[[], Shop]) -> None:
    shop, phone = open_shop(), Phone(is_down=True)
    with notifying(shop, phone) as notifier:
        empty_slot(shop)
        shop.clock.advance(11)
        eventually(lambda: notifier.states()[0].tries == 1)
    shop = open_shop()
    with notifying(shop, phone) as notifier:
        eventually(lambda: notifier.states()[0].waiting == 0)  # its thread has it in hand
        assert len(phone.asked) == 1
    shop.clock.advance(LONG_S + 1)
    with notifying(shop, phone) as notifier:
        eventually(lambda: notifier.states()[0].given_up == 1)
        eventually(lambda: not queued(shop))
    assert len(phone.asked) == 2


def test_what_was_taken_is_not_sent_again_and_the_cooldown_goes_on(open_shop: Callable[[], Shop]) -> None:
    shop, phone = open_shop(), Phone()
    with notifying(shop, phone):
        number = empty_slot(shop)
        shop.clock.advance(11)
        eventually(lambda: phone.got)
    shop = open_shop()
    with notifying(shop, phone) as notifier:
        shop.clock.advance(60)
        notifier.work()
        # The same slot again, as another task, within the ten minutes.
        shop.site.desk.claim(number, ANNA, "")
        shop.say(Node(sequence=50).stock("s1-02", 6, now=shop.clock.now()))
        shop.wait(6)
        assert empty_slot(shop, sequence=60) != number
        shop.clock.advance(30)
        notifier.work()
        assert notifier.states()[0].waiting == 0
    shop.clock.advance(700)
    with notifying(open_shop(), phone):
        pass
    assert len(phone.got) == 1


def test_what_waits_too_long_is_told_again_after_a_restart_but_not_more_often_for_it(
    open_shop: Callable[[], Shop],
) -> None:
    phone, number = Phone(), 0

    def all_was_taken(shop: Shop, notifier: Notifier, before: int) -> bool:
        return notifier.states()[0].sent == len(phone.got) - before and not queued(shop)

    for restart in range(5):
        shop, before = open_shop(), len(phone.got)
        with notifying(shop, phone, is_killed=restart % 2 == 1) as notifier:
            number = number or empty_slot(shop)
            for _ in range(2):
                shop.clock.advance(TaskRules().escalate.total_seconds())
                shop.site.desk.settle()
                shop.clock.advance(11)
                notifier.work()
            eventually(partial(all_was_taken, shop, notifier, before))
    late = list({message.id: message for message in phone.got if message.is_urgent}.values())
    assert [message.about for message in late] == [(number,)] * (1 + MOST_REMINDERS)
    assert len(phone.got) <= len(late) + 1, "and once when it was opened, unless it was late by then"


def test_what_somebody_claims_while_it_waits_is_not_sent_any_more(open_shop: Callable[[], Shop]) -> None:
    shop, phone = open_shop(), Phone(is_down=True)
    with notifying(shop, phone, is_killed=True) as notifier:
        number = empty_slot(shop)
        shop.clock.advance(11)
        eventually(lambda: notifier.states()[0].tries == 1)
    shop, phone.is_down = open_shop(), False
    shop.site.desk.claim(number, ANNA, "")  # before the notices run again
    shop.clock.advance(LONG_S + 1)
    with notifying(shop, phone) as notifier:
        eventually(lambda: notifier.states()[0].unneeded == 1)
        eventually(lambda: not queued(shop))
    assert phone.got == []


def test_an_acknowledgement_is_remembered(open_shop: Callable[[], Shop]) -> None:
    shop, phone = open_shop(), Phone()
    with notifying(shop, phone):
        number = empty_slot(shop)
        shop.site.desk.claim(number, ANNA, "")
    shop = open_shop()
    with notifying(shop, phone) as notifier:
        shop.clock.advance(60)
        notifier.work()
        assert notifier.states()[0].sent == 0
    assert phone.asked == []


def test_what_was_heard_in_the_last_moment_before_a_power_cut_is_told(open_shop: Callable[[], Shop]) -> None:
    shop, phone = open_shop(), Phone()
    empty_slot(shop)  # nobody listens: as if the collector had died before it could note it
    shop = open_shop()
    with notifying(shop, phone):
        shop.clock.advance(11)
        eventually(lambda: phone.got)
    assert len(phone.got) == 1


def test_in_quiet_hours_nothing_is_tried_again_and_afterwards_it_is(open_shop: Callable[[], Shop]) -> None:
    shop, phone = open_shop(), Phone(is_down=True)
    quiet = replace(RULES, quiet=(time(12, 1), time(13)))
    with notifying(shop, phone, quiet) as notifier:
        empty_slot(shop)
        shop.clock.advance(11)
        eventually(lambda: notifier.states()[0].tries == 1)
    shop, phone.is_down = open_shop(), False
    shop.clock.advance(1800)
    with notifying(shop, phone, quiet, retry_s=(0.01,)) as notifier:
        eventually(lambda: notifier.states()[0].waiting == 0)
        assert len(phone.asked) == 1
        shop.clock.advance(1800)
        eventually(lambda: phone.got)


def test_the_queue_is_bounded_in_the_database_too(open_shop: Callable[[], Shop]) -> None:
    shop, phone = open_shop(), Phone(is_down=True)
    memory = NoticeList(shop.site.doorkeeper.accounts)
    message = NoticeWords(shop.setup, shop.site.viewer).test(shop.clock.now(), "Anna")
    many = [QueuedNotice("phone", replace(message, id=f"m-{number:03d}")) for number in range(QUEUE_SIZE + 20)]
    memory.keep(MarkChanges((), ()), many)
    with notifying(shop, phone) as notifier:
        eventually(lambda: phone.asked)
        assert notifier.states()[0].dropped >= 19
    left = [one.message.id for one in queued(shop)]
    assert len(left) <= QUEUE_SIZE + 1
    assert left[-1] == f"m-{QUEUE_SIZE + 19:03d}", "the newest stay"


def test_messages_of_a_channel_that_is_gone_go_too(open_shop: Callable[[], Shop]) -> None:
    shop = open_shop()
    message = NoticeWords(shop.setup, shop.site.viewer).test(shop.clock.now(), "Anna")
    NoticeList(shop.site.doorkeeper.accounts).keep(MarkChanges((), ()), [QueuedNotice("pager", message)])
    with notifying(shop, Phone()):
        assert queued(shop) == []


def test_people_are_told_while_the_database_does_not_answer(shop: Shop) -> None:
    class Broken(NoticeList):
        is_broken = True

        def keep(self, changes: MarkChanges, queued: object) -> None:
            if self.is_broken:
                raise StorageProblem("the disk is full")
            super().keep(changes, queued)  # type: ignore[arg-type]

        def forget(self, channel: str, message: str) -> None:
            if self.is_broken:
                raise StorageProblem("the disk is full")
            super().forget(channel, message)

    phone, words, memory = Phone(), NoticeWords(shop.setup, shop.site.viewer), Broken(shop.site.doorkeeper.accounts)
    notifier = Notifier([Route(phone, "webhook")], RULES, words.message, shop.clock, (LONG_S,), memory)
    shop.site.desk.listen(notifier.hear)
    notifier.start()
    try:
        number = empty_slot(shop)
        shop.clock.advance(11)
        eventually(lambda: phone.got)
        memory.is_broken = False
        eventually(lambda: [mark.task for mark in memory.marks()] == [number])
    finally:
        notifier.stop()
    assert len(phone.got) == 1


def test_a_restored_backup_sends_nothing_that_waited_when_it_was_made(open_shop: Callable[[], Shop]) -> None:
    shop = open_shop()
    message = NoticeWords(shop.setup, shop.site.viewer).test(shop.clock.now(), "Anna")
    NoticeList(shop.site.doorkeeper.accounts).keep(MarkChanges((), ()), [QueuedNotice("phone", message)])
    file = sqlite_file(shop.setup.database_url)
    copy = file.with_name("copy.sqlite3")
    backup(file, copy)
    shop.close()
    restore(copy, file, lambda url, deed: None)
    assert queued(open_shop()) == []


def test_a_test_that_nobody_takes_is_tried_again_and_says_how_it_goes(open_shop: Callable[[], Shop]) -> None:
    shop, phone = open_shop(), Phone(is_down=True)
    words = NoticeWords(shop.setup, shop.site.viewer)
    with notifying(shop, phone, retry_s=(LONG_S, LONG_S)) as notifier:
        state = notifier.test("phone", words.test(shop.clock.now(), "Anna")).test
        assert state is not None
        assert (state.outcome, state.answer, state.why, state.tries) == ("again", "the phone is off", "nobody", 1)
        assert state.next_at == shop.clock.now() + timedelta(seconds=LONG_S)
    shop, phone.is_down = open_shop(), False
    shop.clock.advance(LONG_S)
    with notifying(shop, phone, retry_s=(LONG_S, LONG_S)) as notifier:
        eventually(lambda: (tested := notifier.states()[0].test) is not None and tested.outcome == "taken")
        tested = notifier.states()[0].test
        assert tested is not None
        assert (tested.answer, tested.tries) == ("thanks", 2)
    assert phone.asked == [phone.asked[0]] * 2


def test_the_page_says_what_became_of_a_test(locked_folder: Path, open_shop: Callable[[], Shop]) -> None:
    shop, phone = open_shop(), Phone(is_down=True)
    with notifying(shop, phone) as notifier:
        words = NoticeWords(shop.setup, shop.site.viewer)
        shop = replace(shop, site=replace(shop.site, notifier=notifier, notice_words=words))
        anna = logged_in(shop, "Anna", Role.STAFF)
        answer = anna.send("/staff/notices/phone/test", page="/staff/notices", lang="en")
        page = anna.get(answer.headers["location"]).text
        assert 'role="alert">phone: The test did not work. Nobody listens there: ' in page
        assert "the phone is off" in page
        assert "Tried 1 of 6 times; the next is at" in page
        assert "13:00 UTC" in page


def test_a_phone_that_hangs_does_not_keep_the_collector(open_shop: Callable[[], Shop]) -> None:
    shop, entered, go_on = open_shop(), threading.Event(), threading.Event()

    class Hanging(Phone):
        def send(self, message: NoticeMessage) -> str:
            entered.set()
            go_on.wait(10)
            return super().send(message)

    with notifying(shop, Hanging()) as notifier:
        empty_slot(shop)
        shop.clock.advance(11)
        assert entered.wait(10)
        notifier.hear(shop.site.desk.everything()[0][0], "task.opened", None)
    assert len(queued(shop)) == 1, "it is not known whether it arrived: it is sent again, with its id"
    go_on.set()

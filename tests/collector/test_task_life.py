"""One task from beginning to end on two phones: raced for, put off, too late, said done, seen by the camera or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from shelf_collector.core.access import Role
from tests.collector.builders import Node
from tests.collector.live_shop import LiveShop
from tests.collector.test_staff_app import BRING, PHONE, log_in, tap
from tests.collector.visitors import add_person

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def pass_time(live: LiveShop, page: Page, minutes: float) -> None:
    """Let time pass for the collector, and the page ask again."""
    live.shop.clock.advance(60 * minutes)
    live.shop.foreman.work(live.shop.site.desk)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_two_phones_one_task_from_the_race_for_it_to_the_camera_that_has_seen_it(
    with_login: None, live: LiveShop, open_page: Callable[..., Page]
) -> None:
    for name in ("Anna", "Ben"):
        add_person(live.shop, name, Role.STAFF)
    live.shop.say(Node().stock("s1-01", 0))
    live.shop.wait(6)
    anna, ben = open_page("/staff?lang=en", *PHONE), open_page("/staff?lang=en", 360, 640)
    log_in(anna, "Anna")
    log_in(ben, "Ben")
    (work,) = live.shop.site.desk.work_list("").waiting
    task = work.task.id

    # Both tap before either list has heard of the other.
    for page in (anna, ben):
        page.route("**/staff/cards*", lambda route: route.abort())
    for page in (anna, ben):
        page.evaluate(f"document.querySelector('#task-{task} form[data-step=claim]').requestSubmit()")
    anna.wait_for_function("() => localStorage.getItem('smartshelf-steps') === '[]'")
    ben.wait_for_function("() => localStorage.getItem('smartshelf-steps') === '[]'")
    holder = live.shop.site.desk.everything()[0][0].claimed_by
    winner, loser, page = ("Anna", ben, anna) if holder == "Anna" else ("Ben", anna, ben)
    loser.get_by_text(f"Fusilli: {winner} was faster.").wait_for()
    assert page.locator("#told .told").count() == 0
    for one in (anna, ben):
        one.unroute("**/staff/cards*")

    # Put off with a reason, and back when its time is over.
    pass_time(live, page, 0)
    page.locator(f"#task-{task} .more-steps summary").click()
    tap(page, task, "A customer is there · 15 min")
    page.get_by_role("heading", name="Put off").click()
    page.locator(f"#task-{task} .meta", has_text="A customer is there, again at").wait_for()
    pass_time(live, page, 14)
    assert not live.shop.site.desk.work_list("").waiting
    pass_time(live, page, 1.1)
    page.locator(f"section #task-{task}").get_by_role("button", name=BRING).wait_for()

    # Nobody goes: it waits too long, from the end of being put off.
    pass_time(live, page, 18)
    assert page.get_by_text("Waiting too long").count() == 0
    pass_time(live, page, 2)
    page.locator(f"#task-{task} .late", has_text="Waiting too long").wait_for()

    # Said done, and the camera still sees it empty.
    tap(page, task, BRING)
    tap(page, task, "Filled up")
    page.get_by_role("heading", name="The camera has not seen it yet").wait_for()
    live.say(Node(sequence=20).stock("s1-01", 0, now=live.shop.clock.now()))
    pass_time(live, page, 5.1)
    page.locator(f"section #task-{task} .meta", has_text="The camera still sees it empty").wait_for()

    # Done, and seen.
    tap(page, task, BRING)
    tap(page, task, "Filled up")
    page.get_by_role("heading", name="The camera has not seen it yet").wait_for()
    live.say(Node(sequence=30).stock("s1-01", 6, now=live.shop.clock.now()))
    for _ in range(40):
        if not live.shop.site.desk.everything():
            break
        live.shop.clock.advance(1)
        page.wait_for_timeout(300)  # the keeper looks at the slot before the dwell is over
    page.locator(f"#task-{task}").wait_for(state="detached")
    loser.locator(f"#task-{task}").wait_for(state="detached")
    rows = live.shop.site.doorkeeper.accounts.log_page(None, 100)
    actions = [row.action.removeprefix("task.") for row in reversed(rows) if row.action.startswith("task.")]
    assert actions == [
        "opened", "claimed", "snoozed", "escalated", "claimed", "done", "reopened", "claimed", "done", "verified",
    ]  # fmt: skip

"""The staff's list in a real browser: one thumb, two people, dead spots, sessions that end, a phone that is shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from shelf_collector.core.access import Principal, Role
from tests.collector.builders import Node, eventually
from tests.collector.live_shop import LiveShop
from tests.collector.visitors import PASSWORD, add_person

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser

PHONE = (390, 844)
BEN = Principal("person", "Ben", Role.STAFF)
BRING = "I'll bring it"


def log_in(page: Page, name: str, is_live: bool = True) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    # The button for the sound comes with the script.
    page.wait_for_selector('#connection[data-state="connected"]' if is_live else "#sound:not([hidden])")


def log_out(page: Page, live: LiveShop) -> None:
    page.goto(f"{live.url}/account?lang=en")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login*")


def tap(page: Page, task: int, name: str) -> None:
    """Once the list has come to rest: what is tapped while it moves does not count."""
    page.locator("#cards:not([data-settled=no])").locator(f"#task-{task}:not([data-settled=no])").get_by_role(
        "button", name=name
    ).click()


@pytest.fixture
def empty_slots(with_login: None, live: LiveShop) -> list[int]:
    """Two empty slots, Anna and Ben."""
    for name in ("Anna", "Ben"):
        add_person(live.shop, name, Role.STAFF)
    node = Node()
    live.shop.say(node.stock("s1-01", 0), node.stock("s1-02", 0))
    live.shop.wait(6)
    return [one.task.id for one in live.shop.site.desk.work_list("").waiting]


def states(live: LiveShop) -> dict[str, str]:
    return {task.key.rpartition("/")[2]: task.state for task, _ in live.shop.site.desk.everything()}


def test_a_task_from_claim_to_done_with_one_thumb(
    empty_slots: list[int], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_page("/staff?lang=en", *PHONE)
    log_in(page, "Anna")
    card = page.locator(f"#task-{empty_slots[0]}")
    button = card.get_by_role("button", name=BRING)
    page.wait_for_function(
        """(id) => {
            const box = document.querySelector(`#task-${id} form[data-step=claim] button`)?.getBoundingClientRect();
            return box && box.height >= 52 && box.width >= 300;  // a thumb of either hand reaches it
        }""",
        arg=empty_slots[0],
    )
    button.dblclick()
    card.get_by_role("button", name="Filled up").wait_for()
    assert page.get_by_role("heading", name="Yours").is_visible()
    rows = live.shop.site.doorkeeper.accounts.log_page(None, 100)
    claims = [row for row in rows if row.action == "task.claimed"]
    assert len(claims) == 1, "a double click is one step"
    tap(page, empty_slots[0], "Filled up")
    page.get_by_role("heading", name="The camera has not seen it yet").wait_for()
    live.say(Node(sequence=50).stock("s1-01", 6, now=live.shop.clock.now()))
    for _ in range(3):
        page.wait_for_timeout(600)  # so that the keeper looks at the slot before the dwell is over
        live.shop.clock.advance(2)
    page.get_by_role("heading", name="The camera has not seen it yet").wait_for(state="detached")
    assert states(live) == {"s1-02": "open"}


def test_of_two_people_one_wins_and_the_other_is_told(
    empty_slots: list[int], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_page("/staff?lang=en", *PHONE)
    # Anna's list does not know yet: as when both tap in the same moment.
    page.route("**/staff/cards*", lambda route: route.abort())
    log_in(page, "Anna")
    live.shop.site.desk.claim(empty_slots[0], BEN, "")
    page.locator(f"#task-{empty_slots[0]}").get_by_role("button", name=BRING).click()
    page.get_by_text("Fusilli: Ben was faster.").wait_for()
    assert live.shop.site.desk.work_list("Ben").mine[0].task.id == empty_slots[0]


def test_what_is_done_in_a_dead_spot_is_sent_afterwards_and_a_conflict_is_told(
    empty_slots: list[int], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_page("/staff?lang=en", *PHONE)
    log_in(page, "Anna")
    page.context.set_offline(True)
    for number in empty_slots:
        page.locator(f"#task-{number}").get_by_role("button", name=BRING).click()
        page.locator(f"#task-{number} .pending", has_text="Waits for the network").wait_for()
    assert set(states(live).values()) == {"open"}
    live.shop.site.desk.claim(empty_slots[0], BEN, "")
    page.context.set_offline(False)
    page.get_by_text("Fusilli: Ben was faster.").wait_for()
    page.wait_for_function("() => localStorage.getItem('smartshelf-steps') === '[]'")
    page.locator(f"#task-{empty_slots[1]}").get_by_role("button", name="Filled up").wait_for()
    assert [one.task.id for one in live.shop.site.desk.work_list("Anna").mine] == [empty_slots[1]]


def go_offline(page: Page) -> None:
    page.context.set_offline(True)
    page.wait_for_function("() => !navigator.onLine")


def test_several_steps_of_a_task_wait_in_turn_and_arrive_in_that_order(
    empty_slots: list[int], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_page("/staff?lang=en", *PHONE)
    log_in(page, "Anna")
    go_offline(page)
    first, second = empty_slots
    tap(page, first, BRING)
    page.locator(f"#task-{first} .pending", has_text="Waits for the network: I'll bring it").wait_for()
    tap(page, first, "Filled up")
    page.locator(f"#task-{first} .pending", has_text="I'll bring it → Filled up").wait_for()
    assert page.locator(f"#task-{first} button:visible").count() == 0, "after done there is nothing more to do"
    tap(page, second, BRING)
    page.locator(f"#task-{second} .more-steps summary").click()
    tap(page, second, "Give it back")
    tap(page, second, BRING)
    page.locator(f"#task-{second} .pending", has_text="I'll bring it → Give it back → I'll bring it").wait_for()
    assert set(states(live).values()) == {"open"}
    page.context.set_offline(False)
    page.locator(f"#task-{second}").get_by_role("button", name="Filled up").wait_for()
    page.wait_for_function("() => localStorage.getItem('smartshelf-steps') === '[]'")
    assert states(live) == {"s1-01": "done", "s1-02": "claimed"}
    rows = live.shop.site.doorkeeper.accounts.log_page(None, 100)
    steps = [
        (row.action, row.subject) for row in rows if row.subject.startswith("task:") and row.actor == "person:Anna"
    ]
    of_each = {
        number: [action for action, about in reversed(steps) if about == f"task:{number}"] for number in empty_slots
    }
    assert of_each == {
        first: ["task.claimed", "task.done"],
        second: ["task.claimed", "task.released", "task.claimed"],
    }


def test_when_a_step_is_refused_those_built_on_it_are_not_sent_and_that_is_told(
    empty_slots: list[int], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_page("/staff?lang=en", *PHONE)
    log_in(page, "Anna")
    go_offline(page)
    for number in empty_slots:
        tap(page, number, BRING)
        tap(page, number, "Filled up")
    live.shop.site.desk.claim(empty_slots[0], BEN, "")
    page.context.set_offline(False)
    page.get_by_text("Fusilli: Ben was faster. Not sent: Filled up.").wait_for()
    page.wait_for_function("() => localStorage.getItem('smartshelf-steps') === '[]'")
    assert states(live) == {"s1-01": "claimed", "s1-02": "done"}
    assert live.shop.site.desk.work_list("Ben").mine[0].task.id == empty_slots[0]


def test_a_double_tap_without_network_is_one_step(
    empty_slots: list[int], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_page("/staff?lang=en", *PHONE)
    log_in(page, "Anna")
    go_offline(page)
    tap(page, empty_slots[1], BRING)  # from now on the list knows that nobody answers
    page.locator(f"#task-{empty_slots[1]} .pending", has_text="Waits for the network").wait_for()
    box = (
        page.locator("#cards:not([data-settled=no])")
        .locator(f"#task-{empty_slots[0]} .act:visible")
        .first.bounding_box()
    )
    assert box is not None
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.locator(f"#task-{empty_slots[0]} .pending", has_text="Waits for the network").wait_for()
    kept = page.evaluate("JSON.parse(localStorage.getItem('smartshelf-steps'))")
    assert [(one["task"], one["step"]) for one in kept] == [(empty_slots[1], "claim"), (empty_slots[0], "claim")]


def test_a_dead_spot_is_named_and_list_and_steps_outlive_a_reload_in_it_but_not_a_logout(
    empty_slots: list[int], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_page("/staff?lang=en", *PHONE)
    log_in(page, "Anna")
    # The page that was opened before there was a worker, too.
    eventually(lambda: page.evaluate("async () => !!(await caches.match('/staff', { cacheName: 'staff-v1' }))"))
    live.shop.site.desk.claim(empty_slots[1], BEN, "")
    page.locator(".fold").wait_for()
    eventually(lambda: page.evaluate("async () => !!(await caches.match('/staff/cards?lang=en&view='))"))
    go_offline(page)
    down = page.locator('#connection[data-state="disconnected"]', has_text="No connection")
    down.get_by_text("list as of").wait_for()
    tap(page, empty_slots[0], BRING)
    tap(page, empty_slots[0], "Filled up")
    page.reload()
    page.locator(f"#task-{empty_slots[0]} .pending", has_text="I'll bring it → Filled up").wait_for()
    down.get_by_text("list as of").wait_for()
    assert page.locator(".fold").count() == 1, "the list as it was seen last"
    page.get_by_role("link", name="Products").click()
    page.get_by_role("heading", name="No connection here").wait_for()
    page.get_by_role("link", name="Tasks").click()
    page.locator(f"#task-{empty_slots[0]}").wait_for()
    page.context.set_offline(False)
    page.wait_for_function("() => localStorage.getItem('smartshelf-steps') === '[]'")
    page.wait_for_selector('#connection[data-state="connected"]')
    assert states(live)["s1-01"] == "done"
    log_out(page, live)
    eventually(lambda: page.evaluate("async () => !(await caches.has('staff-v1'))"))
    go_offline(page)
    page.goto(f"{live.url}/staff?lang=en")
    page.get_by_role("heading", name="No connection here").wait_for()
    page.context.set_offline(False)
    page.wait_for_url("**/login?next=*")


def test_a_line_that_goes_silent_without_a_word_is_noticed(
    empty_slots: list[int], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_page("/staff?lang=en", *PHONE)
    log_in(page, "Anna")
    held: list[Route] = []
    given_up: list[str] = []
    page.on("requestfailed", lambda request: given_up.append(request.url))
    for what in ("**/livez", "**/api/v1/tasks/*/steps", "**/stream*"):
        page.route(what, lambda route: held.append(route))  # nobody answers, and the open stream does not end
    tap(page, empty_slots[0], BRING)
    page.wait_for_selector('#connection[data-state="disconnected"]')
    assert not [url for url in given_up if url.endswith("/steps")], "told while the step is still on its way"
    page.locator(f"#task-{empty_slots[0]} .pending", has_text="Waits for the network").wait_for()
    tap(page, empty_slots[0], "Filled up")
    page.unroute_all()  # which lets go what is held
    page.wait_for_selector('#connection[data-state="connected"]')
    page.wait_for_function("() => localStorage.getItem('smartshelf-steps') === '[]'")
    assert states(live)["s1-01"] == "done"


def test_an_answer_that_got_lost_makes_no_second_step(
    empty_slots: list[int], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_page("/staff?lang=en", *PHONE)
    log_in(page, "Anna")
    answered: list[int] = []

    def lose_the_first_answer(route: Route) -> None:
        answer = route.fetch()
        answered.append(answer.status)
        if len(answered) == 1:
            route.abort()
        else:
            route.fulfill(response=answer)

    page.route("**/api/v1/tasks/*/steps", lose_the_first_answer)
    card = page.locator(f"#task-{empty_slots[0]}")
    card.get_by_role("button", name=BRING).click()
    card.get_by_role("button", name="Filled up").wait_for()
    page.wait_for_function("() => localStorage.getItem('smartshelf-steps') === '[]'")
    assert answered == [200, 200]
    rows = live.shop.site.doorkeeper.accounts.log_page(None, 100)
    assert len([row for row in rows if row.action == "task.claimed"]) == 1
    assert page.locator(".told").count() == 0, "it was Anna's own step"


def act_after_the_session_ended(page: Page, live: LiveShop, task: int) -> None:
    """The page has not noticed yet: neither stream nor list asked in between."""
    page.route("**/stream*", lambda route: route.abort())
    page.route("**/staff/cards*", lambda route: route.abort())
    log_in(page, "Anna", is_live=False)
    live.shop.clock.advance(13 * 3600)
    page.locator(f"#task-{task}").get_by_role("button", name=BRING).click()
    page.get_by_text("You were logged out. What you did is kept (1).").wait_for()
    page.locator(f"#task-{task} .pending", has_text=f"Waits until you log in: {BRING}").wait_for()
    header = page.locator("#connection")
    assert header.inner_text().split("·")[0].strip() == "Logged out"
    assert header.get_attribute("data-waiting") == "1 waiting until you log in"
    assert "Waits for the network" not in page.locator("#cards").inner_text()
    page.unroute("**/stream*")
    page.unroute("**/staff/cards*")
    page.locator("#told").get_by_role("link", name="Log in").click()
    page.wait_for_url("**/login?next=*")
    page.get_by_text("You were logged out after a while.").wait_for()


def test_a_session_that_ended_loses_no_step_and_sends_it_for_nobody_else(
    empty_slots: list[int], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_page("/staff?lang=en", *PHONE)
    act_after_the_session_ended(page, live, empty_slots[0])
    log_in(page, "Ben")
    page.get_by_text("Steps of Anna wait here until Anna logs in: 1.").wait_for()
    assert states(live) == {"s1-01": "open", "s1-02": "open"}
    log_out(page, live)
    page.goto(f"{live.url}/staff?lang=en")
    log_in(page, "Anna")
    page.locator(f"#task-{empty_slots[0]}").get_by_role("button", name="Filled up").wait_for()


def test_a_round_is_taken_at_once_and_sound_can_be_muted(
    empty_slots: list[int], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_page("/staff?lang=en&view=rounds", *PHONE)
    log_in(page, "Anna")
    assert page.locator(".fetch li li").count() == 2
    page.get_by_role("button", name="Take the whole round").click()
    page.get_by_role("button", name="Filled up").nth(1).wait_for()
    assert len(live.shop.site.desk.work_list("Anna").mine) == 2
    sound = page.get_by_role("button", name="Sound on")
    sound.click()
    assert page.get_by_role("button", name="Sound off").get_attribute("aria-pressed") == "false"
    page.wait_for_timeout(1600)  # what the stream says first is not new
    live.shop.site.desk.call("a01", "a01", None, None, "")
    page.get_by_text("Help wanted").first.wait_for()
    assert page.evaluate("document.documentElement.dataset.rang ?? '0'") == "0"
    page.get_by_role("button", name="Sound off").click()
    rang = int(page.evaluate("document.documentElement.dataset.rang"))
    live.shop.clock.advance(1)
    live.shop.site.desk.call("b", "a01", None, None, "")
    page.wait_for_function(f"() => document.documentElement.dataset.rang === '{rang + 1}'")


def test_it_can_be_installed(empty_slots: list[int], live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/staff?lang=en", *PHONE)
    log_in(page, "Anna")
    manifest = page.evaluate("async () => (await fetch(document.querySelector('link[rel=manifest]').href)).json()")
    assert (manifest["start_url"], manifest["display"]) == ("/staff", "standalone")
    for icon in manifest["icons"]:
        answer = page.request.get(live.url + icon["src"])
        assert answer.ok
        assert answer.headers["content-type"] == icon["type"]
    session = page.context.new_cdp_session(page)
    errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [one["errorId"] for one in errors if one["errorId"] != "in-incognito"] == []

"""Work for staff: who may do what with a task, what happens by itself, what comes first, and what it costs to wait."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_collector.core.access import Principal, Role
from shelf_collector.core.demand import Level, Loss, Taken, demand, loss, lost_units
from shelf_collector.core.plan import store_plan
from shelf_collector.core.tasks import (
    Condition,
    Settled,
    Step,
    Surroundings,
    Task,
    TaskRefused,
    TaskRules,
    settle,
    take,
)  # fmt: skip
from shelf_collector.core.worklist import ListRules, aisle_of, work_list
from shelf_collector.task_topics import TaskTopics
from shelf_contracts import envelope, topics
from shelf_contracts.messages import CameraStatus, SeenProduct, Status, StrangeItem
from tests.collector.builders import GTINS, NOON, STORE, Node, at, planogram
from tests.collector.conftest import Shop
from tests.collector.visitors import Visitor, logged_in

ANNA = Principal("person", "Anna", Role.STAFF)
BEN = Principal("person", "Ben", Role.STAFF)
RULES = TaskRules()


def task(**changes: Any) -> Task:
    made = Task(7, "replenish", "", "a01", "s1-01", GTINS[0], "open", NOON, key="stock/a01/s1-01", detail="stock_out")
    return replace(made, **changes)


MINE = {"state": "claimed", "claimed_by": "Anna", "claimed_at": NOON}
HIS = {"state": "claimed", "claimed_by": "Ben", "claimed_at": NOON}
DONE = {"state": "done", "done_at": NOON}
HELP = {"kind": "help", "key": ""}


@pytest.mark.parametrize(
    ("before", "step", "after"),
    [
        ({}, Step("claim"), "claimed"),
        (MINE, Step("claim"), "claimed"),
        (HIS, Step("claim"), "task_is_taken"),
        (DONE, Step("claim"), "task_is_done"),
        ({"state": "verified"}, Step("claim"), "task_is_done"),
        ({"state": "failed"}, Step("claim"), "claimed"),
        ({}, Step("done"), "done"),
        (MINE, Step("done"), "done"),
        (HIS, Step("done"), "task_is_taken"),
        (DONE, Step("done"), "done"),
        ({"state": "verified"}, Step("done"), "verified"),
        (MINE, Step("release"), "open"),
        (HIS, Step("release"), "task_is_taken"),
        ({}, Step("release"), "open"),
        ({}, Step("snooze", "customer", 15), "open"),
        (MINE, Step("snooze", "delivery", 240), "open"),
        (HIS, Step("snooze", "later", 60), "task_is_taken"),
        ({}, Step("snooze", "", 15), "task_step_wrong"),
        ({}, Step("snooze", "later", 0), "task_step_wrong"),
        ({}, Step("snooze", "later", 721), "task_step_wrong"),
        (MINE, Step("no_stock"), "failed"),
        ({"state": "failed"}, Step("no_stock"), "failed"),
        (HIS, Step("no_stock"), "task_is_taken"),
        ({**HELP, **MINE}, Step("no_stock"), "task_step_wrong"),
        ({**HELP, **MINE}, Step("done"), "done"),
    ],
)
def test_steps(before: dict[str, Any], step: Step, after: str) -> None:
    """What Anna may do with a task; a word in place of a state is why not."""
    held = task(**before)
    if after.startswith("task_"):
        with pytest.raises(TaskRefused, match=after) as refused:
            take(held, step, "Anna", at(60))
        assert refused.value.who == (held.claimed_by if after == "task_is_taken" else "")
        return
    found = take(held, step, "Anna", at(60))
    assert found.state == after
    assert take(found, step, "Anna", at(60)) == found, "doing it twice changes nothing"
    assert found.claimed_by == ("Anna" if after == "claimed" else None), "nobody is named longer than it takes"


def condition(**changes: Any) -> Condition:
    made = Condition("stock/a01/s1-01", "replenish", "a01", "s1-01", GTINS[0], NOON, "stock_out", 4, 0)
    return replace(made, **changes)


def around(*conditions: Condition, unseen: frozenset[str] = frozenset()) -> Surroundings:
    return Surroundings({one.key: one for one in conditions}, unseen)


BLIND = condition(is_blind=True)


@pytest.mark.parametrize(
    ("held", "found", "minutes", "change"),
    [
        (None, [condition()], 0, "task.opened"),
        (None, [BLIND], 0, None),
        (None, [condition(must_dwell=True)], 0.5, None),
        (None, [condition(must_dwell=True)], 1, "task.opened"),
        ({}, [condition()], 19, None),
        ({}, [condition()], 20, "task.escalated"),
        ({}, [BLIND], 60, None),
        ({"escalated_at": NOON}, [condition()], 60, None),
        ({"snoozed_until": at(1800)}, [condition()], 25, None),
        ({"snoozed_until": at(1800)}, [condition()], 49, None),
        ({"snoozed_until": at(1800)}, [condition()], 50, "task.escalated"),
        ({}, [], 1, "task.verified"),
        (MINE, [], 1, "task.verified"),
        (DONE, [], 1, "task.verified"),
        ({"state": "failed", "done_at": NOON}, [], 1, "task.verified"),
        (DONE, [condition()], 4, None),
        (DONE, [condition()], 5, "task.reopened"),
        (DONE, [BLIND], 60, None),
        (MINE, [condition()], 29, None),
        (MINE, [condition()], 30, "task.reopened"),
        ({"state": "failed", "done_at": NOON}, [condition()], 7 * 60, None),
        ({"state": "failed", "done_at": NOON}, [condition()], 8 * 60, "task.reopened"),
        ({**HELP}, [], 2, None),
        ({**HELP}, [], 3, "task.escalated"),
        ({**HELP}, [], 30, "task.cancelled"),
        ({**HELP, **MINE}, [], 60, None),
        ({"kind": "anomaly"}, [], 120, "task.cancelled"),
    ],
)
def test_what_happens_by_itself(
    held: dict[str, Any] | None, found: list[Condition], minutes: float, change: str | None
) -> None:
    now = NOON + timedelta(minutes=minutes)
    tasks = [] if held is None else [task(**held)]
    (changed,) = settle(tasks, around(*found), now, RULES) or [None]
    assert (changed.change if changed else None) == change
    if changed and not changed.task.is_over:
        assert settle([replace(changed.task, id=7)], around(*found), now, RULES) == [], "once is enough"


def test_what_cannot_be_seen_is_not_solved() -> None:
    strange = task(kind="misplaced", key="misplaced/a01/s1-01")
    assert settle([strange], around(unseen=frozenset({"a01/s1-01"})), at(60), RULES) == []
    assert [one.change for one in settle([strange], around(), at(60), RULES)] == ["task.verified"]


# -- what it costs ----------------------------------------------------------------------------------------------------


def levels(*steps: tuple[float, int | None]) -> list[Level]:
    return [Level(NOON + timedelta(minutes=minutes), count) for minutes, count in steps]


@pytest.mark.parametrize(
    ("told", "taken", "per_hour"),
    [
        ([(m, 5) for m in range(0, 60, 5)], 3, 3.0),
        ([(m, 5) for m in range(0, 30, 5)] + [(m, 0) for m in range(30, 60, 5)], 3, 6.0),  # empty: nothing to take
        ([(m, 5) for m in range(0, 30, 5)] + [(m, None) for m in range(30, 60, 5)], 3, 6.0),  # unseen: no evidence
        ([(0, 5)], 3, 18.0),  # ten minutes watched, then silence
        ([(m, 5) for m in range(0, 60, 5)], -2, 0.0),  # put back more than taken
        ([], 3, None),
        ([(m, 0) for m in range(0, 60, 5)], 0, None),
    ],
)
def test_demand_is_measured_while_there_is_something_to_take(
    told: list[tuple[float, int | None]], taken: int, per_hour: float | None
) -> None:
    found = demand(levels(*told), [Taken(NOON, taken)], at(3600), least_h=0.1)
    assert (found.per_hour if found else None) == pytest.approx(per_hour)


def test_too_little_watching_is_not_knowing() -> None:
    assert demand(levels((0, 5)), [Taken(NOON, 3)], at(600), least_h=1.0) is None


@given(st.floats(0.0, 40.0), st.integers(0, 60), st.floats(0.25, 12.0))
def test_lost_units_agree_with_the_sum_over_all_purchases(per_hour: float, count: int, hours: float) -> None:
    mean, probability, total = per_hour * hours, 1.0, 0.0
    probability = math.exp(-mean)
    for bought in range(1, 1200):
        probability *= mean / bought
        total += max(0, bought - count) * probability
    assert lost_units(per_hour, count, hours) == pytest.approx(total, abs=1e-6, rel=1e-6) or mean > 500


@given(st.floats(0.0, 100.0), st.integers(0, 100), st.floats(0.25, 24.0))
def test_more_on_the_shelf_never_loses_more(per_hour: float, count: int, hours: float) -> None:
    assert lost_units(per_hour, count + 1, hours) <= lost_units(per_hour, count, hours) + 1e-6
    assert lost_units(per_hour, 0, hours) == pytest.approx(per_hour * hours)


@pytest.mark.parametrize(
    ("per_hour", "price", "cents", "missing"),
    [(3.0, 139, 834, ""), (None, 139, None, "rate"), (3.0, None, None, "price"), (0.0, 139, 0, "")],
)
def test_what_is_not_known_is_not_guessed(
    per_hour: float | None, price: int | None, cents: int | None, missing: str
) -> None:
    found = demand(levels((0, 9)), [Taken(NOON, round((per_hour or 0) / 6))], at(600), 0.0)
    assert found is not None
    if per_hour is not None:
        found = replace(found, taken=round(per_hour * 100), watched_h=100.0)
    answer = loss(found if per_hour is not None else None, 0, price, "EUR", 2.0)
    assert (answer.cents, answer.missing) == (cents, missing)


# -- the list --------------------------------------------------------------------------------------------------------


def listed(*tasks: Task, losses: dict[int, int | None] | None = None, found: Surroundings | None = None) -> Any:
    worth = {key: Loss(cents, missing="" if cents is not None else "rate") for key, cents in (losses or {}).items()}
    plan = store_plan([planogram("a01"), planogram("b01")])
    return work_list(
        tasks, found or around(), worth, {GTINS[0]: "cold store"}, plan, ListRules({"Dairy": ("b01",)}), "Anna", at(60)
    )


def numbered(number: int, **changes: Any) -> Task:
    return task(id=number, key=f"stock/{number}", **changes)


def test_the_most_expensive_comes_first_and_what_is_not_known_is_neither_nothing_nor_much() -> None:
    found = listed(
        numbered(1), numbered(2), numbered(3, detail="stock_low"), numbered(4), numbered(5, kind="help"),
        numbered(6, kind="node"), numbered(7, escalated_at=at(30)), numbered(8),
        losses={1: 200, 2: 900, 3: None, 4: None, 7: 100, 8: 0},
    )  # fmt: skip
    assert [one.task.id for one in found.waiting] == [5, 6, 7, 2, 1, 4, 3, 8]


def test_each_task_stands_in_one_place() -> None:
    found = listed(
        numbered(1, **MINE), numbered(2, **HIS), numbered(3, **DONE), numbered(4, snoozed_until=at(900)),
        numbered(5, state="failed"), numbered(6), numbered(7), numbered(8, state="verified"),
        found=around(replace(BLIND, key="stock/7")),
    )  # fmt: skip
    parts = ("mine", "others", "checking", "snoozed", "failed", "waiting", "blind")
    assert {part: [one.task.id for one in getattr(found, part)] for part in parts} == {
        "mine": [1], "others": [2], "checking": [3], "snoozed": [4], "failed": [5], "waiting": [6], "blind": [7],
    }  # fmt: skip


def test_a_round_is_an_aisle_in_walking_order() -> None:
    found = listed(
        numbered(1, slot="s1-03"), numbered(2, bay="b01"), numbered(3, slot="s1-01"), losses={1: 100, 2: 500, 3: 200}
    )
    assert [(one.aisle, [work.task.id for work in one.works], one.cents) for one in found.rounds] == [
        ("Dairy", [2], 500), ("A", [3, 1], 300),
    ]  # fmt: skip


@given(st.text(st.sampled_from("ab19-"), min_size=1, max_size=8))
def test_every_bay_has_an_aisle(bay: str) -> None:
    assert aisle_of(bay, {})


# -- the whole way ---------------------------------------------------------------------------------------------------


def state_of(shop: Shop, key: str = "stock/a01/s1-02") -> str:
    found = [one for one in shop.site.desk.everything() if one[0].key == key]
    return found[0][0].state if found else "over"


def an_empty_slot(shop: Shop) -> int:
    shop.say(Node().stock("s1-02", 0))
    shop.wait(6)
    (found,) = [one.task for one in shop.site.desk.work_list("Anna").waiting]
    assert (found.key, found.quantity, found.state) == ("stock/a01/s1-02", 4, "open")
    return found.id


def test_an_empty_slot_is_work_until_the_camera_sees_it_filled(shop: Shop, open_shop: Callable[[], Shop]) -> None:
    number = an_empty_slot(shop)
    shop.site.desk.claim(number, ANNA, "")
    again = open_shop()
    again.foreman.work(again.site.desk)
    assert [one.task.id for one in again.site.desk.work_list("Anna").mine] == [number], "a restart forgets nothing"
    again.site.desk.finish(number, ANNA, "")
    assert state_of(again) == "done"
    node = Node(sequence=100)
    again.say(node.stock("s1-02", 6, now=again.clock.now()))
    again.wait(4)
    assert state_of(again) == "over"
    newest = again.site.doorkeeper.accounts.newest_about("task.verified", f"task:{number}")
    assert newest is not None
    assert newest.actor == "system"


def test_a_slot_somebody_filled_without_a_word_closes_itself(shop: Shop) -> None:
    an_empty_slot(shop)
    shop.say(Node(sequence=100).stock("s1-02", 6, now=shop.clock.now()))
    shop.wait(4)
    assert shop.site.desk.work_list("Anna").is_empty


def test_a_node_that_falls_silent_is_one_task_and_its_slots_are_quiet(shop: Shop) -> None:
    node = Node()
    presence = topics.build("node_status", store=STORE, node="n01")
    shop.say_raw((presence, envelope.encode(Status(state="online", session="s", time=NOON))))
    shop.say(node.stock("s1-02", 0))
    shop.wait(6)
    assert [one.task.kind for one in shop.site.desk.work_list("Anna").waiting] == ["replenish"]
    shop.clock.advance(90)
    shop.wait(1)
    found = shop.site.desk.work_list("Anna")
    assert [one.task.key for one in found.waiting] == ["node/n01"]
    assert [one.task.key for one in found.blind] == ["stock/a01/s1-02"]
    shop.clock.advance(3600)
    shop.wait(1)
    assert all(one.task.escalated_at is None for one in shop.site.desk.work_list("Anna").blind), "nobody is hurried"
    shop.say_raw((presence, envelope.encode(Status(state="online", session="t", time=shop.clock.now()))))
    shop.wait(1)
    assert [one.task.kind for one in shop.site.desk.work_list("Anna").waiting] == ["replenish"]


def test_camera_trouble_and_strange_products_have_their_place(shop: Shop) -> None:
    presence = topics.build("node_status", store=STORE, node="n01")
    shop.say_raw((presence, envelope.encode(Status(state="online", session="s", time=NOON))))
    camera = topics.build("camera_status", store=STORE, node="n01", camera="c1")
    shop.say_raw((camera, envelope.encode(CameraStatus(state="moved", bay="a01", since=NOON))))
    other = SeenProduct(verdict="known", gtin=GTINS[3], confidence=0.9, gallery="a" * 12, since=NOON, looks=9)
    nobody = SeenProduct(verdict="unknown", kind="bottle", confidence=0.9, gallery="a" * 12, since=NOON, looks=9)
    node = Node()
    shop.say(node.stock("s1-01", 5, seen=other), node.stock("s1-03", 5, seen=nobody), node.event("anomaly", "s1-04"))
    shop.foreman.work(shop.site.desk)
    assert [one.task.kind for one in shop.site.desk.work_list("").waiting] == ["anomaly"], "the others may pass"
    shop.clock.advance(61)
    shop.say_raw((presence, envelope.encode(Status(state="online", session="s", time=shop.clock.now()))))
    shop.foreman.work(shop.site.desk)
    kinds = {one.task.kind: one for one in shop.site.desk.work_list("").waiting}
    assert set(kinds) == {"camera", "misplaced", "unknown", "anomaly"}
    assert (kinds["camera"].detail, kinds["misplaced"].task.gtin, kinds["misplaced"].detail) == (
        "moved", GTINS[3], GTINS[0],
    )  # fmt: skip
    shop.say(node.event("anomaly", "s1-04"))
    shop.foreman.work(shop.site.desk)
    assert len(shop.site.desk.work_list("").waiting) == 4, "of one thing one task"


def test_a_strange_item_among_right_ones_is_a_task_that_names_it_and_its_place(shop: Shop) -> None:
    presence = topics.build("node_status", store=STORE, node="n01")

    def a_minute_later(*said: Any) -> list[Any]:
        shop.clock.advance(61)
        shop.say_raw((presence, envelope.encode(Status(state="online", session="s", time=shop.clock.now()))))
        shop.say(*said)
        shop.foreman.work(shop.site.desk)
        found = shop.site.desk.work_list("")
        return [
            (one.task.kind, one.task.gtin, one.task.slot, one.task.facing, one.detail)
            for one in (*found.waiting, *found.blind)
        ]

    node = Node()
    right = SeenProduct(verdict="known", gtin=GTINS[0], confidence=0.9, gallery="a" * 12, since=NOON, looks=9)
    strange = StrangeItem(facing=2, gtin=GTINS[3], confidence=0.9, since=NOON)
    assert a_minute_later(node.stock("s1-01", 5, seen=right, strange=[strange], now=shop.clock.now())) == [
        ("misplaced", GTINS[3], "s1-01", 2, GTINS[0])
    ]
    page = Visitor(shop, base="http://127.0.0.1:8080").get("/staff?lang=en").text
    assert "Place 2 from the left" in page
    told = json.loads(Visitor(shop, base="http://127.0.0.1:8080").get("/api/v1/tasks").text)
    assert [one["facing"] for one in told] == [2]

    # While the node is away, or somebody covers the slot, nothing is taken back; when the node does, the task is over.
    hidden = node.stock("s1-01", None, reason="occluded", seen=right, strange=[strange], now=shop.clock.now())
    assert len(a_minute_later(hidden)) == 1
    assert a_minute_later(node.stock("s1-01", 5, seen=right, now=shop.clock.now())) == []

    # The whole slot is another product: one task, not one for each item.
    other = SeenProduct(verdict="known", gtin=GTINS[3], confidence=0.9, gallery="a" * 12, since=NOON, looks=9)
    both = [strange, strange.model_copy(update={"facing": 1})]
    assert a_minute_later(node.stock("s1-01", 5, seen=other, strange=both, now=shop.clock.now())) == [
        ("misplaced", GTINS[3], "s1-01", None, GTINS[0])
    ]


def test_the_worth_of_a_task_comes_from_picks_and_price(shop: Shop) -> None:
    node = Node()
    for minutes in range(0, 120, 5):
        now = at(60 * minutes)
        shop.clock.moment = now
        shop.say(node.stock("s1-02", 5, now=now))
        if minutes % 20 == 0:
            shop.say(node.event("pick", "s1-02", quantity=1, now=now))
    shop.say(node.stock("s1-02", 0, now=shop.clock.advance(60)))
    shop.wait(6)
    (work,) = shop.site.desk.work_list("Anna").waiting
    assert work.loss is not None
    assert work.loss.per_hour == pytest.approx(3.0, rel=0.05)
    assert work.loss.cents == pytest.approx(2 * 3 * 129, rel=0.05), "two hours until the next round, at 1.29"


def test_of_two_who_claim_one_wins_and_a_step_sent_twice_happens_once(
    open_shop: Callable[[], Shop], shop_folder: Path
) -> None:
    config = shop_folder / "collector.toml"
    config.write_text(config.read_text().replace("demo.open_to_this_computer = true\n", ""))
    shop = open_shop()
    number = an_empty_slot(shop)
    anna, ben = logged_in(shop, "Anna", Role.STAFF), logged_in(shop, "Ben", Role.STAFF)

    def send(visitor: Any, step: str, key: str, **more: Any) -> tuple[int, dict[str, Any]]:
        answer = visitor.ask(
            "POST", f"/api/v1/tasks/{number}/steps", json={"step": step, "key": key, **more},
            headers={"X-Form-Mark": visitor.mark("/account")},
        )  # fmt: skip
        return answer.status_code, answer.json()

    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    assert send(anna, "claim", first)[0] == 200
    assert send(anna, "claim", first) == (200, {"outcome": "taken", "refused": "", "holder": "", "state": "claimed"})
    status, reply = send(ben, "claim", second)
    assert (status, reply["refused"], reply["holder"]) == (409, "task_is_taken", "Anna")
    assert send(anna, "release", str(uuid.uuid4()))[0] == 200
    assert send(ben, "claim", second)[1]["holder"] == "Anna", "the same key gets the first answer"
    assert send(ben, "claim", first)[1]["refused"] == "task_step_wrong", "a key is its sender's own"
    assert send(ben, "snooze", str(uuid.uuid4()), reason="customer", minutes=15)[0] == 200
    assert send(ben, "snooze", str(uuid.uuid4()), reason="bored")[0] == 422
    assert anna.ask("POST", f"/api/v1/tasks/{number}/steps", json={"step": "claim", "key": first}).status_code == 403


def test_settling_again_changes_nothing(shop: Shop) -> None:
    an_empty_slot(shop)
    rows = len(shop.site.doorkeeper.accounts.log_page(None, 500))
    for _ in range(5):
        shop.foreman.work(shop.site.desk)
    assert len(shop.site.doorkeeper.accounts.log_page(None, 500)) == rows
    assert isinstance(settle([], around(condition()), NOON, RULES)[0], Settled)


def test_machines_hear_of_tasks_and_never_of_people(shop: Shop) -> None:
    said = TaskTopics(shop.bus, STORE)
    shop.site.desk.listen(said.hear)
    number = an_empty_slot(shop)
    shop.site.desk.claim(number, ANNA, "")
    topic = f"task/t-{number}/state"
    assert shop.bus.newest(topic)["state"] == "claimed"
    assert not [payload for _, payload in shop.bus.posted if b"Anna" in payload]
    shop.say(Node(sequence=100).stock("s1-02", 6, now=shop.clock.now()))
    shop.wait(4)
    assert shop.bus.newest(topic) is None, "over: the topic is empty"
    shop.bus.posted.clear()
    said.say_all(shop.site.desk)
    assert [(one.rpartition("v1/")[2], payload) for one, payload in shop.bus.posted] == [(f"{STORE}/{topic}", b"")]


def test_plain_forms_do_without_any_script(open_shop: Callable[[], Shop], shop_folder: Path) -> None:
    config = shop_folder / "collector.toml"
    config.write_text(config.read_text().replace("demo.open_to_this_computer = true\n", ""))
    shop = open_shop()
    number = an_empty_slot(shop)
    anna, ben = logged_in(shop, "Anna", Role.STAFF), logged_in(shop, "Ben", Role.STAFF)
    step = f"/staff/tasks/{number}"
    assert anna.send(f"{step}/claim", page="/account", lang="nl").headers["location"] == "/staff?lang=nl"
    late = ben.send(f"{step}/claim", page="/account", lang="nl")
    assert late.headers["location"] == "/staff?lang=nl&problem=task_is_taken"
    assert "Iemand anders was net sneller." in ben.get(late.headers["location"]).text
    assert ben.send("/staff/rounds/A/claim", page="/account", lang="nl").headers["location"].endswith("task_is_taken")
    snoozed = anna.send(f"{step}/snooze", page="/account", lang="en", reason="delivery", minutes="240", view="rounds")
    assert snoozed.headers["location"] == "/staff?lang=en&view=rounds"
    assert "After the delivery, again at" in anna.get("/staff?lang=en").text
    assert anna.send(f"{step}/dance", page="/account").status_code == 404
    assert anna.ask("POST", f"{step}/claim", data={"mark": "0" * 64}).status_code == 403, "only our own forms"

"""Another planogram for a bay: what was asked for by the one before is asked for no more, and by nobody done."""

from __future__ import annotations

from collections.abc import Callable

from tests.collector.builders import Node
from tests.collector.conftest import Shop

WRONG, RIGHT = "0123456789ab", "ba9876543210"


def _open(shop: Shop) -> list[str]:
    return [alert.slot for alert in shop.keeper.memory.open_alerts()]


def _tasks(shop: Shop) -> list[tuple[str | None, str]]:
    tasks = shop.site.desk._tasks.unfinished()
    return [(task.slot, task.state) for task in tasks if task.kind == "replenish"]


def _low_in_two_slots(shop: Shop, node: Node) -> None:
    shop.say(node.stock("s1-01", 1, plan=WRONG), node.stock("s1-02", 1, plan=WRONG))
    shop.wait(12)
    assert _open(shop) == ["s1-01", "s1-02"]
    assert _tasks(shop) == [("s1-01", "open"), ("s1-02", "open")]


def test_alerts_and_tasks_of_the_planogram_before_are_closed_with_a_reason(shop: Shop) -> None:
    """Rear rows unseen hold count_low at the minimum: by the count alone the alert would never close."""
    node = Node()
    _low_in_two_slots(shop, node)
    now = shop.clock.now()
    shop.say(node.stock("s1-01", 5, count_low=2, count_high=6, reason="rear-unseen", plan=RIGHT, now=now))
    assert _open(shop) == ["s1-02"]
    assert shop.bus.newest("alert/a01-s1-01/state") is None
    shop.wait(2)
    assert _tasks(shop) == [("s1-02", "open")], "the other slot's plan is as it was"
    rows = [row for row in shop.site.doorkeeper.accounts.log_page(None, 20) if row.action == "task.cancelled"]
    assert len(rows) == 1
    assert "planogram_changed" in str(rows[0].detail)
    shop.wait(30)
    assert _open(shop) == ["s1-02"]


def test_they_are_judged_anew_by_the_new_one(shop: Shop) -> None:
    node = Node()
    _low_in_two_slots(shop, node)
    shop.say(node.stock("s1-01", 2, plan=RIGHT, now=shop.clock.now()))
    assert _open(shop) == ["s1-02"]
    shop.wait(12)
    assert _open(shop) == ["s1-02", "s1-01"]
    assert _tasks(shop) == [("s1-02", "open"), ("s1-01", "open")]


def test_a_slot_that_is_gone_asks_for_nobody(open_shop: Callable[[], Shop]) -> None:
    shop, node = open_shop(), Node()
    _low_in_two_slots(shop, node)
    again = open_shop()
    assert _open(again) == ["s1-01", "s1-02"]
    again.say(node.stock("s1-01", None, plan="none", reason="stale", now=again.clock.now()))
    again.wait(2)
    assert _open(again) == ["s1-02"]
    assert _tasks(again) == [("s1-02", "open")]


def test_a_node_that_names_no_plan_changes_nothing(shop: Shop) -> None:
    node = Node()
    _low_in_two_slots(shop, node)
    shop.say(node.stock("s1-01", 1, now=shop.clock.now()), node.stock("s1-02", 2, plan=WRONG, now=shop.clock.now()))
    shop.wait(2)
    assert _open(shop) == ["s1-01", "s1-02"]

"""What was kept is forgotten when its time is over, by itself."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select

from shelf_collector.adapters.tables import sessions
from shelf_collector.core.access import Role
from tests.collector.builders import Node, eventually
from tests.collector.conftest import Shop
from tests.collector.visitors import PASSWORD, add_person

DAY_S = 86_400


def kept(shop: Shop) -> tuple[int, int, int]:
    """Events, alert changes and dead letters."""
    events = shop.database.events(before_row=None, limit=100, bay=None, slot=None)
    return len(events), len(shop.database.alert_history(100)), shop.database.set_aside_count()


def fill(shop: Shop) -> None:
    node = Node()
    shop.say(node.event("pick", "s1-01", quantity=1), node.stock("s1-02", 0))
    shop.wait(6)
    shop.say(node.stock("s1-02", 6, now=shop.clock.now()))
    shop.wait(4)
    shop.say_raw(("smartshelf/v1/demo/node/n01/status", b"no JSON, and perhaps a name"))


def test_a_running_collector_forgets_by_itself(shop: Shop) -> None:
    fill(shop)
    assert all(kept(shop))
    shop.keeper.start()
    try:
        shop.clock.advance(89 * DAY_S)
        shop.say(Node("n02").event("pick", "s1-01", now=shop.clock.now()))
        assert all(kept(shop))
        shop.clock.advance(2 * DAY_S)
        eventually(lambda: kept(shop) == (1, 0, 0))
    finally:
        shop.keeper.stop()


def test_a_collector_that_is_started_anew_every_day_forgets_too(open_shop: Callable[[], Shop]) -> None:
    shop = open_shop()
    fill(shop)
    shop.clock.advance(91 * DAY_S)
    again = open_shop()
    assert all(kept(again))
    again.keeper.start()
    try:
        eventually(lambda: kept(again) == (0, 0, 0))
    finally:
        again.keeper.stop()


def test_sessions_that_are_over_leave_the_database(shop: Shop) -> None:
    door = shop.site.doorkeeper
    add_person(shop, "Anna", Role.ADMIN)
    first = door.log_in("Anna", PASSWORD, "10.0.0.1")
    shop.clock.advance(13 * 3600)
    door.log_in("Anna", PASSWORD, "10.0.0.1")
    assert door.of_session(first.secret).kind == "nobody"
    with door.accounts._reading() as connection:
        assert connection.execute(select(func.count()).select_from(sessions)).scalar_one() == 1

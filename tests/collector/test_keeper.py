"""From a delivery to the database, the broker and the pages; and back after a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from shelf_collector.adapters.database import Database
from shelf_collector.core.views import DisplayView, Screen
from shelf_collector.ports import Delivery, StorageProblem
from shelf_contracts import envelope, topics
from shelf_contracts.messages import CameraInfo, HeldProduct, NodeInfo, SeenProduct, Status
from tests.collector.builders import GTINS, STORE, Node, at, wire
from tests.collector.conftest import Shop


def test_a_reach_changes_the_display_and_says_which_frame_it_was(shop: Shop) -> None:
    shop.say(Node().event("reach", "s1-02", now=at(0)))
    content = shop.bus.newest("display/a01/content")
    assert [panel["gtin"] for panel in content["panels"]] == [GTINS[1]]
    assert content["captured_at"] == "2026-11-22T12:00:00.000Z"
    shop.wait(10)
    assert shop.bus.newest("display/a01/content")["panels"] == []


def test_two_hands_make_two_panels_in_the_shelfs_order(shop: Shop) -> None:
    node = Node()
    shop.say(node.event("reach", "s1-03"), node.event("reach", "s1-01"))
    assert [panel["slot"] for panel in shop.bus.newest("display/a01/content")["panels"]] == ["s1-01", "s1-03"]


def held(gtin: str, node: str = "n01", second: float = 1.0) -> tuple[str, bytes]:
    seen = SeenProduct(verdict="known", gtin=gtin, confidence=0.97, gallery="a" * 12, since=at(second), looks=3)
    message = HeldProduct(node=node, slot="s1-02", seen=seen, captured_at=at(second))
    return topics.build("bay_held", store=STORE, bay="a01"), envelope.encode(message)


def test_what_a_hand_holds_confirms_the_panel(shop: Shop) -> None:
    shop.say(Node().event("reach", "s1-02", now=at(0)))
    shop.say_raw(held(GTINS[1], second=0.0))
    panels = shop.bus.newest("display/a01/content")["panels"]
    assert [(panel["gtin"], panel["is_held"]) for panel in panels] == [(GTINS[1], True)]


def test_what_was_held_long_ago_or_elsewhere_changes_nothing(shop: Shop) -> None:
    node = Node()
    birth = NodeInfo(node="n02", session="one", software="1", cameras=[CameraInfo(id="c1", bay="b07", slots=1)])
    shop.say_raw((topics.build("node_info", store=STORE, node="n02"), envelope.encode(birth)))
    shop.say(node.event("reach", "s1-02", now=at(0)))
    posted = len(shop.bus.posted)
    shop.say_raw(held(GTINS[1], second=-9.0), held(GTINS[1], node="n02"))
    assert len(shop.bus.posted) == posted
    assert shop.keeper.counters["set_aside"] == 1, "a node speaks of its own bays only"


def test_a_reach_from_long_ago_opens_no_panel(shop: Shop) -> None:
    shop.clock.advance(120)
    shop.say(Node().event("reach", "s1-01", now=at(0)))
    assert not [topic for topic, _ in shop.bus.posted if "/display/" in topic]


def test_an_alert_opens_changes_and_is_cleared(shop: Shop) -> None:
    node = Node()
    shop.say(node.stock("s1-02", 0, now=at(0)))
    shop.wait(5)
    alert = shop.bus.newest("alert/a01-s1-02/state")
    assert (alert["kind"], alert["severity"], alert["suggested_qty"]) == ("stock_out", "critical", 4)
    shop.say(node.stock("s1-02", 1, now=at(6)))
    shop.wait(3)
    alert = shop.bus.newest("alert/a01-s1-02/state")
    assert (alert["kind"], alert["count"]) == ("stock_low", 1)
    shop.say(node.stock("s1-02", 6, now=at(12)))
    shop.wait(3)
    assert shop.bus.newest("alert/a01-s1-02/state") is None
    assert shop.database.load_open_alerts() == []
    assert shop.database.solved_alert_ids() == {"a01-s1-02"}


def test_a_slot_that_left_the_planogram_raises_no_alert(shop: Shop) -> None:
    shop.say(Node().stock("s9-09", 0))
    shop.wait(30)
    assert shop.database.load_open_alerts() == []


def test_the_bay_is_published_when_its_figures_change(shop: Shop) -> None:
    node = Node()
    shop.say(node.stock("s1-01", 6), node.stock("s1-02", 0))
    assert shop.bus.newest("shelf/a01/state") == {"osa": 0.5, "fill": 0.5, "coverage": 0.5}
    posted = len(shop.bus.posted)
    shop.say(node.stock("s1-01", 6, now=at(1)))
    assert len(shop.bus.posted) == posted


def test_a_node_that_falls_silent_makes_its_bay_unknown_and_comes_back(shop: Shop) -> None:
    node = Node()
    status = topics.build("node_status", store=STORE, node="n01")
    online = envelope.encode(Status(state="online", session="one"))
    shop.say_raw((status, online))
    shop.say(node.stock("s1-01", 0))
    shop.wait(16)
    assert shop.bus.newest("shelf/a01/state") == {"coverage": 0.0}
    assert len(shop.database.load_open_alerts()) == 1, "what was open stays open while nothing is known"
    shop.say_raw((status, online))
    assert shop.bus.newest("shelf/a01/state")["osa"] == 0.0


def test_everything_is_acknowledged_after_its_commit(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    store = Database.store
    monkeypatch.setattr(Database, "store", lambda self, *args: (store(self, *args), order.append("commit"))[0])
    monkeypatch.setattr(shop.bus, "acknowledge", lambda batch: order.append(f"ack {len(batch)}"))
    node = Node()
    shop.say(node.stock(), node.event())
    assert order == ["commit", "ack 2"]


def test_while_the_database_fails_nothing_is_acknowledged_and_nothing_is_lost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, failures = Database.store, iter([True, True, False])

    def sometimes(self: Database, *args: object) -> None:
        assert not shop.bus.acknowledged
        if next(failures):
            raise StorageProblem("disk full")
        store(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "store", sometimes)
    shop.say(Node().stock())
    assert len(shop.bus.acknowledged) == 1
    assert shop.keeper.counters["storage_failures"] == 2
    assert shop.keeper.storage_problem == ""
    assert shop.database.audits()[0].applied == 1


def test_a_bad_message_is_set_aside_and_the_rest_goes_on(shop: Shop) -> None:
    node = Node()
    good = wire(node.stock("s1-01"))
    bad = (good[0], good[1].replace(b'"count":5', b'"count":"many"'))
    shop.say_raw(good, bad, (good[0], b"{"), wire(node.stock("s1-02")))
    assert len(shop.bus.acknowledged) == 4, "it would come again and again"
    assert shop.database.set_aside_count() == 2
    audit = shop.database.audits()[0]
    assert (audit.applied, audit.set_aside) == (2, 1)


def test_the_state_survives_a_restart(open_shop: Callable[[], Shop]) -> None:
    shop, node = open_shop(), Node()
    shop.say(node.stock("s1-01", 0), node.stock("s1-02", 4), node.event("pick", "s1-02", quantity=1))
    shop.wait(6)
    before = shop.keeper.memory.state
    again = open_shop()
    after = again.keeper.memory.state
    assert after.slots == before.slots
    assert after.sources == before.sources
    assert [alert.alert for alert in again.keeper.memory.open_alerts()] == ["a01-s1-01"]
    assert len(again.database.events(before_row=None, limit=10, bay=None, slot=None)) == 1


def test_what_comes_again_after_a_restart_is_applied_once(open_shop: Callable[[], Shop]) -> None:
    shop, node = open_shop(), Node()
    messages = [node.stock("s1-01", 4), node.event("pick", "s1-01", quantity=1), node.stock("s1-01", 3, now=at(1))]
    shop.say(*messages)
    again = open_shop()
    again.say(*messages, *messages)
    again.say(node.stock("s1-01", 2, now=at(2)))
    audit = again.database.audits()[0]
    assert (audit.applied, audit.duplicates, audit.lost, audit.last) == (4, 6, 0, 4)
    assert len(again.database.events(before_row=None, limit=10, bay=None, slot=None)) == 1


def test_an_expired_message_that_comes_again_after_a_restart_is_a_duplicate(open_shop: Callable[[], Shop]) -> None:
    shop, node = open_shop(), Node()
    shop.say(node.stock("s1-01"))
    late = node.event(now=at(0), expires=at(1))
    shop.clock.advance(5)
    shop.say(late)
    again = open_shop()
    again.say(late)
    audit = again.database.audits()[0]
    assert (audit.expired, audit.duplicates, audit.numberings) == (1, 1, 1)


def test_the_thread_takes_what_is_queued_and_stops_at_once(shop: Shop) -> None:
    shown: list[DisplayView] = []
    came = threading.Event()

    def show(*screens: Screen) -> None:
        for screen in screens:
            if isinstance(screen.content, DisplayView) and screen.content.panels:
                shown.append(screen.content)
                came.set()

    shop.hub.show = show  # type: ignore[method-assign]
    shop.keeper.start()
    topic, payload = wire(Node().event("reach", "s1-01"))
    shop.keeper.deliver(Delivery(topic, payload, False, shop.clock.now()))
    assert came.wait(5)
    shop.keeper.stop()
    assert not shop.keeper.is_alive
    assert shown[0].panels[0].slot == "s1-01"


def test_old_history_is_forgotten(shop: Shop) -> None:
    node = Node()
    shop.say(node.event("pick"), node.stock("s1-01"))
    assert shop.database.prune(shop.clock.now() + timedelta(days=89)) == 0
    assert shop.database.prune(shop.clock.now() + timedelta(days=91)) == 2


def test_a_bay_without_a_planogram_is_remembered_and_shown(shop: Shop) -> None:
    elsewhere = Node(bay="z09")
    shop.say(elsewhere.stock("s1-01", 0), elsewhere.event("reach", "s1-01", gtin=GTINS[0]))
    shop.wait(5)
    assert [alert.bay for alert in shop.keeper.memory.open_alerts()] == ["z09"]
    assert not [topic for topic, _ in shop.bus.posted if topic.endswith("shelf/z09/state")]


def test_our_own_mistake_with_one_message_does_not_stop_the_rest(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    take = type(shop.keeper.memory).take

    def stumble(self: object, message: object, *args: object, **named: object) -> object:
        if getattr(message, "slot", "") == "s1-01":
            raise ZeroDivisionError
        return take(self, message, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(type(shop.keeper.memory), "take", stumble)
    node = Node()
    shop.say(node.stock("s1-01"), node.stock("s1-02"))
    assert len(shop.bus.acknowledged) == 2
    assert shop.database.set_aside_count() == 1
    assert set(shop.keeper.memory.state.slots) == {("a01", "s1-02")}

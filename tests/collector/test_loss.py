"""What the collector acknowledges, asks for, and gives up on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from shelf_collector.core.memory import Facts
from shelf_collector.core.resend import MISSING_FOR_GOOD_H
from shelf_collector.core.state import StoreState
from shelf_collector.ports import Delivery, SetAside
from shelf_contracts import envelope, topics
from shelf_contracts.messages import CameraInfo, NodeInfo, Status
from tests.collector.builders import STORE, Node, wire
from tests.collector.conftest import Shop


def acknowledged(shop: Shop, node: str = "n01") -> tuple[str, int, int]:
    message = shop.bus.newest(f"node/{node}/ack")
    return message["numbering"], message["first"], message["through"]


def asked(shop: Shop) -> list[list[tuple[int, int]]]:
    """The ranges of each request to send again, so far."""
    found: list[dict[str, Any]] = [json.loads(payload) for topic, payload in shop.bus.sent if "/cmd/resend" in topic]
    return [[(one["first"], one["last"]) for one in content["args"]["ranges"]] for content in found]


def audit(shop: Shop, node: Node) -> Any:
    return next(one for one in shop.database.audits() if (one.source, one.numbering) == (node.source, node.numbering))


def test_what_is_stored_is_acknowledged_to_the_node_and_no_more(shop: Shop) -> None:
    node = Node(numbering="a1")
    first, second, third, fourth = (node.event("pick") for _ in range(4))
    shop.say(first, second, fourth)
    shop.wait(0.5)
    assert acknowledged(shop) == ("a1", 1, 2)
    shop.say(third)
    shop.wait(0.5)
    assert acknowledged(shop) == ("a1", 1, 4)


def test_a_node_that_did_not_hear_is_told_again(shop: Shop) -> None:
    node = Node(numbering="a1")
    message = node.event("pick")
    shop.say(message)
    shop.wait(1)
    shop.bus.posted.clear()
    shop.say(message)
    shop.wait(1)
    assert acknowledged(shop) == ("a1", 1, 1)
    assert audit(shop, node).duplicates == 1


def test_after_a_restart_it_still_knows(open_shop: Callable[[], Shop]) -> None:
    node = Node(numbering="a1")
    shop = open_shop()
    shop.say(node.event("pick"), node.event("pick"))
    again = open_shop()
    again.keeper.start()
    again.keeper.stop()
    assert acknowledged(again) == ("a1", 1, 2)


def test_nothing_is_acknowledged_before_it_is_stored(shop: Shop, monkeypatch: Any) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(shop.database, "store", fail)
    with contextlib.suppress(RuntimeError):
        shop.say(Node(numbering="a1").event("pick"))
    assert not [topic for topic, _ in shop.bus.posted if topic.endswith("/ack")]


def test_a_gap_is_asked_for_and_again_more_and_more_seldom(shop: Shop) -> None:
    node = Node(numbering="a1")
    messages = [node.event("pick") for _ in range(6)]
    shop.say(messages[0], messages[3], messages[5])
    shop.wait(0.75)
    assert asked(shop) == []  # it may only be late
    shop.wait(60)
    assert asked(shop)[0] == [(2, 3), (5, 5)]
    assert 4 <= len(asked(shop)) <= 6
    shop.say(messages[1], messages[2], messages[4])
    requests = len(asked(shop))
    shop.wait(120)
    assert len(asked(shop)) == requests
    assert (audit(shop, node).healed, audit(shop, node).lost) == (3, 0)


def test_a_node_that_is_away_is_not_asked(shop: Shop) -> None:
    node = Node(numbering="a1")
    messages = [node.event("pick") for _ in range(3)]
    shop.say(messages[0], messages[2])
    status = topics.build("node_status", store=STORE, node="n01")
    shop.say_raw((status, envelope.encode(Status(state="offline", session="one"))))
    shop.wait(30)
    assert asked(shop) == []
    shop.say_raw((status, envelope.encode(Status(state="online", session="two"))))
    shop.wait(5)
    assert asked(shop) == [[(2, 2)]] * len(asked(shop)) != []


def test_what_the_node_gave_up_is_lost_and_the_rest_is_acknowledged(shop: Shop) -> None:
    node = Node(numbering="a1")
    messages = [node.event("pick") for _ in range(9)]
    shop.say(messages[0], messages[8])
    shop.say_raw(node.gave_up((2, 4), superseded=((5, 8),)))
    shop.wait(1)
    held = audit(shop, node)
    assert (held.lost, held.superseded, held.missing) == (3, 4, 0)
    assert acknowledged(shop) == ("a1", 1, 10)
    assert shop.database.events(before_row=None, limit=10, bay=None, slot=None)  # the API still reads its history


def run_for(shop: Shop, hours: float, node: str = "") -> None:
    """Time passes in steps of a minute; the node, if one is named, is there and says so."""
    for _ in range(round(hours * 60)):
        shop.clock.advance(60)
        if node:
            topic = topics.build("node_status", store=STORE, node=node)
            shop.say_raw((topic, envelope.encode(Status(state="online", session="one"))))
        shop.keeper.work([])


def test_what_never_comes_is_lost_after_a_day_in_which_the_node_was_there(shop: Shop) -> None:
    node = Node(numbering="a1")
    messages = [node.event("pick") for _ in range(3)]
    shop.say(messages[0], messages[2])
    run_for(shop, MISSING_FOR_GOOD_H - 0.1, node="n01")
    assert audit(shop, node).lost == 0
    run_for(shop, 0.2, node="n01")
    assert audit(shop, node).lost == 1
    assert acknowledged(shop) == ("a1", 1, 3)


def test_a_node_that_is_off_over_the_weekend_still_has_what_is_missing(shop: Shop) -> None:
    """Were it given up, the acknowledgement would make the node delete it unsent."""
    node = Node(numbering="a1")
    messages = [node.event("pick") for _ in range(3)]
    shop.say(messages[0], messages[2])
    run_for(shop, 3 * MISSING_FOR_GOOD_H)
    shop.clock.advance(400 * 86_400)  # and somebody sets the collector's clock
    run_for(shop, 1, node="n01")
    assert acknowledged(shop) == ("a1", 1, 1)
    shop.say(messages[1])
    run_for(shop, 0.1)
    assert acknowledged(shop) == ("a1", 1, 3)
    assert audit(shop, node).lost == 0


SURROGATE = json.dumps({"source": "/smartshelf/demo/node/n03\ud800", "numbering": "x", "sequence": "0" * 19 + "7"})


@pytest.mark.parametrize(
    "poison",
    [
        SURROGATE.encode(),
        SURROGATE.replace("\\ud800", "").replace('"x"', '"\\ud800"').encode(),
        b'{"source": "/smartshelf/demo/node/n02/x", "numbering": "x", "sequence": "00000000000000000007"}',
    ],
)
def test_a_message_of_nonsense_costs_no_other_message(shop: Shop, poison: bytes) -> None:
    node = Node(numbering="a1")
    events = [node.event("pick") for _ in range(4)]
    topic = topics.build("slot_event", store=STORE, bay="a01", slot="s1-01", kind="pick")
    shop.say_raw(*map(wire, events[:2]), (topic, poison), *map(wire, events[2:]))
    shop.wait(1)
    assert len(shop.database.events(before_row=None, limit=10, bay=None, slot=None)) == 4
    assert acknowledged(shop) == ("a1", 1, 4)


def test_after_a_batch_that_cannot_be_stored_only_what_is_stored_is_acknowledged(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the reason: one message of the batch makes the database refuse."""
    node = Node(numbering="a1")
    events = [node.event("pick") for _ in range(5)]
    store = shop.database.store

    def refuse_the_third(facts: Facts, state: StoreState, set_aside: Sequence[SetAside]) -> None:
        if any(fresh.message.message.sequence_number == 3 for fresh in facts.fresh):
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        store(facts, state, set_aside)

    monkeypatch.setattr(shop.database, "store", refuse_the_third)
    shop.keeper._take_one_by_one([Delivery(*wire(one), False, shop.clock.now()) for one in events])
    shop.wait(1)
    stored = shop.database.events(before_row=None, limit=10, bay=None, slot=None)
    assert len(stored) == 4
    assert acknowledged(shop) == ("a1", 1, 2), "the third is not stored, so it is not acknowledged"
    assert audit(shop, node).missing == 1
    assert shop.keeper.memory.state.sources == shop.database.load_state(shop.clock.now()).sources


def test_no_node_speaks_in_anothers_name(shop: Shop) -> None:
    """The broker holds topics, not what stands in a message: a node's birth tells which bays are its own."""
    for name, bay in (("n01", "a01"), ("n02", "a02")):
        info = NodeInfo(node=name, session="one", software="1", cameras=[CameraInfo(id="c1", bay=bay, slots=1)])
        shop.say_raw((topics.build("node_info", store=STORE, node=name), envelope.encode(info)))
    honest = Node(numbering="a1")
    shop.say(honest.event("pick"))
    forged = Node(bay="a02", numbering="a1", sequence=500)
    shop.say(forged.event("pick"))
    claim = {"source": honest.source, "numbering": "a1", "sequence": f"{900:020d}"}
    topic = topics.build("slot_event", store=STORE, bay="a02", slot="s1-01", kind="pick")
    shop.say_raw((topic, json.dumps(claim).encode()))
    shop.wait(60)
    assert (audit(shop, honest).last, audit(shop, honest).missing) == (1, 0)
    assert asked(shop) == []
    assert acknowledged(shop) == ("a1", 1, 1)


def test_a_source_that_is_no_node_stops_nothing_also_after_a_restart(open_shop: Callable[[], Shop]) -> None:
    shop = open_shop()
    shop.say(Node(name="n02/x", numbering="a1").event("pick"))
    shop.wait(2)
    again = open_shop()
    again.keeper.start()
    again.keeper.stop()
    assert again.database.events(before_row=None, limit=10, bay=None, slot=None) == []


def test_a_clock_that_is_months_ahead_costs_a_day_of_history_not_all_and_nothing_counts_twice(shop: Shop) -> None:
    node = Node(numbering="a1")
    events = [node.event("pick") for _ in range(6)]
    for one in events:
        shop.say(one)
        shop.clock.advance(2 * 86_400)
    right = shop.clock.now()
    assert shop.database.prune(right + timedelta(days=100)) == 1
    assert len(shop.database.events(before_row=None, limit=10, bay=None, slot=None)) == 5
    for _ in range(4):
        shop.database.prune(right + timedelta(days=100))
    shop.say(*events)
    held = audit(shop, node)
    assert (held.applied, held.duplicates) == (6, 6)


def test_a_lost_disk_is_a_numbering_of_its_own(shop: Shop) -> None:
    old, new = Node(numbering="a1"), Node(numbering="b2", sequence=500)
    shop.say(*(old.event("pick") for _ in range(3)))
    shop.say(new.event("pick"))
    shop.wait(1)
    assert acknowledged(shop) == ("b2", 501, 501)
    assert [audit(shop, node).applied for node in (old, new)] == [3, 1]


def test_a_message_that_cannot_be_read_is_kept_with_the_reason_and_not_asked_for(shop: Shop) -> None:
    node = Node(numbering="a1")
    first, second, third = (node.event("pick") for _ in range(3))
    topic, payload = wire(second)
    shop.say(first)
    shop.say_raw((topic, payload.replace(b'"action":"pick"', b'"action":"sing"')))
    shop.say(third)
    shop.wait(5)
    assert (acknowledged(shop), asked(shop)) == (("a1", 1, 3), [])
    (letter,) = shop.database.dead_letters(10)
    assert "data.action" in letter.problem
    assert audit(shop, node).set_aside == 1


def test_figures_by_time(shop: Shop) -> None:
    node = Node(numbering="a1")
    messages = [node.event("pick") for _ in range(5)]
    shop.say(messages[0], messages[1], messages[1])
    early = shop.clock.now()
    since = shop.clock.advance(3600)
    shop.say(messages[4])
    shop.say(messages[2], messages[2], messages[3])
    figures = shop.database.audit_since(since)[node.source]
    assert (figures["received"], figures["duplicates"], figures["missed"], figures["healed"]) == (4, 1, 2, 2)
    assert shop.database.audit_since(early)[node.source]["received"] == 7

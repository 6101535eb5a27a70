"""What the collector acknowledges, asks for, and gives up on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from shelf_collector.core.resend import MISSING_FOR_GOOD_H
from shelf_contracts import envelope, topics
from shelf_contracts.messages import Status
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


def test_what_never_comes_is_lost_after_a_day(shop: Shop) -> None:
    node = Node(numbering="a1")
    messages = [node.event("pick") for _ in range(3)]
    shop.say(messages[0], messages[2])
    shop.clock.advance(MISSING_FOR_GOOD_H * 3600 - 60)
    shop.wait(1)
    assert audit(shop, node).lost == 0
    shop.clock.advance(120)
    shop.wait(1)
    assert audit(shop, node).lost == 1
    assert acknowledged(shop) == ("a1", 1, 3)


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

"""The fold: each message once, old news dropped, silence noticed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelf_collector.core.inbox import NodeBeat, NodeBirth, NodePresence
from shelf_collector.core.state import StoreState
from shelf_contracts.messages import NodeHealth, NodeInfo, Status
from tests.collector.builders import NOON, Node, at


def presence(state: str, session: str = "one", node: str = "n01") -> NodePresence:
    return NodePresence(node, Status.model_validate({"state": state, "session": session}))


def beat(session: str = "one", node: str = "n01") -> NodeBeat:
    health = NodeHealth(node=node, session=session, time=NOON, uptime_s=1, rss_mb=1, outbox_messages=0)
    return NodeBeat(node, health)


def test_the_same_message_changes_the_state_once() -> None:
    state, message = StoreState(), Node().stock(count=3)
    assert state.apply(message, NOON) == "applied"
    assert state.apply(message, at(1)) == "duplicate"
    audit = state.sources[message.message.source, ""]
    assert (audit.applied, audit.duplicates, audit.lost) == (1, 1, 0)


def test_what_the_history_knows_is_a_duplicate_after_a_restart() -> None:
    assert StoreState().apply(Node().stock(), NOON, known=True) == "duplicate"


def test_old_stock_is_dropped_and_counted() -> None:
    state, node = StoreState(), Node()
    old, new = node.stock(count=2, now=at(0)), node.stock(count=6, now=at(5))
    assert state.apply(new, at(6)) == "applied"
    assert state.apply(old, at(7)) == "stale"
    assert state.counters.stale == 1
    assert state.slots["a01", "s1-01"].stock.count == 6


def test_a_clock_that_runs_ahead_does_not_shut_out_later_reports() -> None:
    state, node = StoreState(), Node()
    state.apply(node.stock(count=2, now=at(86_400)), at(0))
    assert state.apply(node.stock(count=6, now=at(10)), at(10)) == "applied"


def test_an_expired_message_is_counted_and_its_number_is_not_missed() -> None:
    state, node = StoreState(), Node()
    state.apply(node.stock(now=at(0)), at(0))
    late = node.event(now=at(1), expires=at(2))
    state.apply(node.event(now=at(3)), at(3))
    assert state.apply(late, at(3)) == "expired"
    audit = state.sources[node.source, ""]
    assert (audit.expired, audit.lost, state.counters.expired) == (1, 0, 1)


def test_a_late_will_of_an_old_session_is_ignored() -> None:
    state = StoreState()
    state.apply(presence("online", "one"), at(0))
    state.apply(presence("online", "two"), at(1))
    assert state.apply(presence("offline", "one"), at(2)) == "ignored"
    assert state.nodes["n01"].is_present(at(2))
    state.apply(presence("offline", "two"), at(3))
    assert not state.nodes["n01"].is_present(at(3))


@pytest.mark.parametrize(("silence_s", "is_known"), [(14.9, True), (15.0, True), (15.1, False)])
def test_three_missed_heartbeats_make_the_slots_unknown(silence_s: float, is_known: bool) -> None:
    state = StoreState()
    state.apply(presence("online"), at(0))
    state.apply(Node().stock(count=4), at(0))
    state.apply(beat(), at(1))
    reading = state.reading("a01", "s1-01", at(1 + silence_s))
    assert reading is not None
    assert reading.is_known == is_known
    assert (reading.reason, reading.count) == (("clear", 4) if is_known else ("stale", None))


def test_an_offline_node_makes_its_own_slots_unknown_and_no_others() -> None:
    state, one, two = StoreState(), Node("n01"), Node("n02", bay="a02")
    for node in (one, two):
        state.apply(presence("online", node=node.name), at(0))
        state.apply(node.stock(), at(0))
    state.apply(presence("offline", node="n01"), at(1))
    readings = {bay: state.reading(bay, "s1-01", at(1)) for bay in ("a01", "a02")}
    assert {bay: reading.level for bay, reading in readings.items() if reading} == {"a01": "unknown", "a02": "ok"}


def test_a_node_that_never_said_a_word_about_itself_is_believed() -> None:
    state = StoreState()
    state.apply(Node().stock(count=4), at(0))
    reading = state.reading("a01", "s1-01", at(3600))
    assert reading is not None
    assert reading.is_known


def test_a_heartbeat_of_a_former_session_proves_nothing() -> None:
    state = StoreState()
    state.apply(presence("online", "two"), at(0))
    assert state.apply(beat("one"), at(10)) == "ignored"
    assert not state.nodes["n01"].is_present(at(16))


def test_birth_keeps_presence() -> None:
    state = StoreState()
    state.apply(presence("degraded"), at(0))
    state.apply(NodeBirth("n01", NodeInfo(node="n01", session="one", software="1")), at(1))
    assert state.nodes["n01"].state == "degraded"
    assert state.nodes["n01"].info is not None


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(None, None, (3, 3)), (2, 5, (2, 5)), (None, 4, (3, 4)), (1, None, (1, 3))]
)
def test_a_count_without_a_range_is_a_range_of_one(
    low: int | None, high: int | None, expected: tuple[int, int]
) -> None:
    state = StoreState()
    state.apply(Node().stock(count=3, count_low=low, count_high=high), NOON)
    reading = state.reading("a01", "s1-01", NOON)
    assert reading is not None
    assert (reading.count_low, reading.count_high) == expected


def _story(choices: list[tuple[str, int]]) -> Node:
    node = Node()
    for step, (slot, count) in enumerate(choices):
        node.stock(slot, count, now=at(step))
    return node


_STORIES = st.lists(st.tuples(st.sampled_from(["s1-01", "s1-02"]), st.integers(0, 6)), min_size=1, max_size=12)


@settings(max_examples=60)
@given(_STORIES.map(_story), st.data())
def test_order_and_repetition_do_not_matter(node: Node, data: st.DataObject) -> None:
    straight = StoreState()
    for message in node.sent:
        straight.apply(message, at(100))
    order = data.draw(st.permutations(node.sent + data.draw(st.lists(st.sampled_from(node.sent), max_size=6))))
    shuffled = StoreState()
    for message in order:
        shuffled.apply(message, at(100))
    assert shuffled.slots == straight.slots
    ours, theirs = shuffled.sources[node.source, ""], straight.sources[node.source, ""]
    assert (ours.first, ours.last, ours.gaps, ours.applied) == (theirs.first, theirs.last, (), theirs.applied)
    assert ours.duplicates == len(order) - len(node.sent)


@settings(max_examples=30)
@given(_STORIES.map(_story))
def test_applying_everything_again_changes_nothing(node: Node) -> None:
    state = StoreState()
    for message in node.sent:
        state.apply(message, at(100))
    before = dict(state.slots)
    assert {state.apply(message, at(101)) for message in node.sent} == {"duplicate"}
    assert state.slots == before


def test_within_a_numbering_the_number_says_what_is_newer_whatever_the_clocks_say() -> None:
    state, node = StoreState(), Node(numbering="a1")
    older, newer = node.stock(count=4, now=at(7200)), node.stock(count=3, now=at(3600))
    state.apply(newer, at(0))
    assert state.apply(older, at(1)) == "stale"
    assert state.slots["a01", "s1-01"].stock.count == 3

"""Topics: what is built is understood again, and nothing else is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_contracts import topics
from shelf_contracts.catalog import BY_NAME, CATALOG, Topic
from shelf_contracts.errors import TopicProblem
from shelf_contracts.ids import LEVEL_PATTERN

LEVELS = st.from_regex(re.compile(LEVEL_PATTERN.removesuffix("$") + r"\Z", re.ASCII))
PLACES = {row.name: re.findall(r"\{(\w+)\}", row.address) for row in CATALOG}


@given(st.sampled_from(CATALOG), st.data())
def test_a_built_topic_is_understood_as_what_it_was_built_from(row: Topic, data: st.DataObject) -> None:
    ids = {place: data.draw(LEVELS, place) for place in PLACES[row.name]}
    address = topics.parse(topics.build(row.name, **ids))
    assert (address.row, address.ids) == (row, ids)


@given(st.sampled_from(CATALOG), st.data())
def test_a_built_topic_belongs_to_one_row_only(row: Topic, data: st.DataObject) -> None:
    topic = topics.build(row.name, **{place: data.draw(LEVELS) for place in PLACES[row.name]})
    assert sum(bool(_as_pattern(other).fullmatch(topic)) for other in CATALOG) == 1


@given(st.sampled_from(CATALOG), st.data())
def test_a_subscription_catches_what_is_built_with_its_ids(row: Topic, data: st.DataObject) -> None:
    ids = {place: data.draw(LEVELS) for place in PLACES[row.name]}
    given_ids = {place: value for place, value in ids.items() if data.draw(st.booleans())}
    wanted = topics.subscription(row.name, **given_ids).split("/")
    levels = topics.build(row.name, **ids).split("/")
    assert len(wanted) == len(levels)
    assert all(want in ("+", level) for want, level in zip(wanted, levels, strict=True))


@given(st.text(max_size=80))
def test_any_text_is_understood_or_refused(topic: str) -> None:
    try:
        address = topics.parse(topic)
    except TopicProblem:
        return
    assert topics.build(address.row.name, **address.ids) == topic


@pytest.mark.parametrize(
    ("name", "ids", "says"),
    [
        ("node_status", {"store": "s1"}, "the id 'node' is missing"),
        ("node_status", {"store": "s1", "node": "N01"}, "node = 'N01': must match"),
        ("node_status", {"store": "s1", "node": "n01\n"}, "must match"),
        ("node_status", {"store": "s1", "node": "+"}, "must match"),
        ("node_status", {"store": "s1", "node": "a/b"}, "must match"),
        ("slot_stock", {"store": "s1", "bay": "", "slot": "s1"}, "bay = ''"),
    ],
)
def test_ids_that_are_no_levels_build_nothing(name: str, ids: dict[str, str], says: str) -> None:
    with pytest.raises(TopicProblem, match=re.escape(says)):
        topics.build(name, **ids)


def test_a_subscription_takes_no_wildcards_as_ids_but_the_one_for_any() -> None:
    assert topics.subscription("node_status", store="+") == "smartshelf/v1/+/node/+/status"
    for bad in ("#", "a/#", "N01"):
        with pytest.raises(TopicProblem):
            topics.subscription("node_status", store=bad)


def test_everything_of_a_store() -> None:
    assert topics.everything("s1") == "smartshelf/v1/s1/#"
    with pytest.raises(TopicProblem):
        topics.everything("+")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "smartshelf/v1/s1",
        "smartshelf/v2/s1/node/n01/status",
        "smartshelf/v1/s1/node/n01/status/",
        "/smartshelf/v1/s1/node/n01/status",
        "smartshelf/v1/s1/node/n01/status\n",
        "smartshelf/v1/s1/node/N01/status",
        "smartshelf/v1/s1/node/+/status",
        "$SYS/broker/version",
    ],
)
def test_foreign_topics_are_refused(topic: str) -> None:
    with pytest.raises(TopicProblem, match="not in the catalog"):
        topics.parse(topic)


def test_the_catalog_keeps_its_own_rules() -> None:
    assert len(BY_NAME) == len(CATALOG)
    assert len({row.template for row in CATALOG}) == len(CATALOG)
    for row in CATALOG:
        assert row.publisher not in row.subscribers, row.name
        assert row.subscribers, row.name
        assert row.expiry_s is None or row.expiry_s > 0, row.name
        assert 0 < row.largest_bytes <= 64 * 1024, row.name
        assert row.qos == 1 or not row.retain, f"{row.name}: state that is kept must arrive"
        assert row.about.endswith("."), row.name


def _as_pattern(row: Topic) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[a-z0-9][a-z0-9-]{0,31}", row.address))

"""Messages on the wire: what is written is read back, and what does not keep the contract is refused, never a crash."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shelf_contracts import messages
from shelf_contracts.catalog import BY_NAME
from shelf_contracts.envelope import (
    EVENT_TYPE,
    LARGEST_PAYLOAD_BYTES,
    STOCK_TYPE,
    decode_numbered,
    decode_plain,
    decode_slot_message,
    encode,
    event_id,
    node_source,
    slot_subject,
    with_numbering,
    wrap,
)
from shelf_contracts.errors import MessageProblem
from shelf_contracts.examples import EXAMPLES, Example
from shelf_contracts.messages import LARGEST_SEQUENCE, BayState, NodeHealth, SlotEvent, Status, StockLevel, iso_time

TOPIC = "smartshelf/v1/s1/shelf/a03/slot/s1/stock"
NOW = datetime(2026, 11, 22, 9, 15, tzinfo=UTC)
GTINS = st.sampled_from([None, "04006381333931", "00000096385074", "00036000291452"])
COUNTS = st.integers(0, 10_000)
SHARES = st.floats(0, 1)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@st.composite
def stock_levels(draw: st.DrawFn) -> StockLevel:
    low, count, high = sorted(draw(st.tuples(COUNTS, COUNTS, COUNTS)))
    seen = draw(st.booleans())
    return StockLevel(
        gtin=draw(GTINS),
        count=count if seen else None,
        count_low=draw(st.sampled_from([None, low])),
        count_high=draw(st.sampled_from([None, high])),
        capacity=draw(COUNTS),
        min=draw(COUNTS),
        level=draw(st.sampled_from(["full", "ok", "low", "out"])) if seen else "unknown",
        confidence=draw(SHARES),
        reason=draw(st.sampled_from(["clear", "occluded", "stale"])),
        observed_at=draw(TIMES),
    )


SLOT_EVENTS = st.builds(
    SlotEvent,
    action=st.sampled_from(["reach", "pick", "put", "restock", "misplaced", "anomaly"]),
    quantity=COUNTS,
    gtin=GTINS,
    count_before=st.none() | COUNTS,
    count_after=st.none() | COUNTS,
    confidence=SHARES,
    started_at=TIMES,
    ended_at=TIMES,
    captured_at=TIMES,
    at_s=st.none() | st.floats(0, 1e6),
    text=TEXTS,
)


@given(stock_levels() | SLOT_EVENTS, st.integers(0, LARGEST_SEQUENCE), TIMES, st.none() | TIMES)
def test_what_is_wrapped_and_written_is_read_back_the_same(
    data: StockLevel | SlotEvent, sequence: int, time: datetime, expires: datetime | None
) -> None:
    source = node_source("s1", "n01")
    message = wrap(data, source=source, bay="a03", slot="s1", sequence=sequence, time=time, expires=expires)
    again = decode_slot_message(TOPIC, encode(message))
    assert again == message
    assert again.sequence_number == sequence
    assert again.id == event_id(source, sequence)
    assert again.subject == slot_subject("a03", "s1")
    assert again.type == (STOCK_TYPE if isinstance(data, StockLevel) else EVENT_TYPE)


@given(st.builds(BayState, osa=st.none() | SHARES, fill=st.none() | SHARES, coverage=SHARES))
def test_what_is_not_known_is_read_back_as_not_known(message: BayState) -> None:
    assert decode_plain("t", encode(message), BayState) == message


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.row}: {example.summary}")
def test_every_example_is_read_back_by_the_real_reader(example: Example) -> None:
    row = BY_NAME[example.row]
    payload = encode(example.message)
    assert len(payload) <= row.largest_bytes
    if issubclass(row.message, messages.Message):
        assert decode_plain(example.topic, payload, row.message) == example.message
    else:
        assert decode_numbered(example.topic, payload) == example.message


@given(st.binary(max_size=300))
def test_no_bytes_at_all_make_the_reader_crash(payload: bytes) -> None:
    for read in (lambda: decode_slot_message(TOPIC, payload), lambda: decode_plain(TOPIC, payload, Status)):
        with pytest.raises(MessageProblem):
            read()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
STOCK_PATHS = [
    ("specversion",), ("id",), ("source",), ("subject",), ("time",), ("sequence",), ("expirytime",), ("type",),
    ("data",), ("data", "gtin"), ("data", "count"), ("data", "capacity"), ("data", "observed_at"), ("data", "level"),
]  # fmt: skip


def _stock(**changes: Any) -> dict[str, Any]:
    """A valid stock level as JSON; changes go to ``data``."""
    level = StockLevel(count=2, capacity=12, level="low", confidence=0.9, observed_at=NOW)
    envelope = wrap(level, source="/s", bay="a03", slot="s1", sequence=1, time=NOW)
    content: dict[str, Any] = json.loads(encode(envelope))
    content["data"].update(changes)
    return content


@given(st.sampled_from(STOCK_PATHS), JSON_VALUES)
def test_any_value_in_any_field_is_read_or_refused(path: tuple[str, ...], value: Any) -> None:
    content = _stock()
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with contextlib.suppress(MessageProblem):
        decode_slot_message(TOPIC, json.dumps(content).encode())


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"[" * 100_000, "recursion"),
        (b'{"a":' * 50_000, "recursion"),
        (b'{"capacity": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"confidence": NaN}', "NaN is not a JSON number"),
        (b'{"confidence": -Infinity}', "-Infinity is not a JSON number"),
        (b" " * (LARGEST_PAYLOAD_BYTES + 1), "must be at most 262144 bytes"),
        (b'{"type": ["a"]}', "must be one of org.smartshelf.stock.level.v1,"),
        (b"{}", "type = None"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(payload: bytes, says: str) -> None:
    with pytest.raises(MessageProblem) as caught:
        decode_slot_message(TOPIC, payload)
    assert says in str(caught.value)
    assert str(caught.value).startswith(TOPIC)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("depth", range(900, 1010, 5))
def test_nesting_near_the_limit_of_the_interpreter_is_refused_too(depth: int) -> None:
    with pytest.raises(MessageProblem):
        decode_plain(TOPIC, b"[" * depth + b"]" * depth, Status)


def test_the_largest_payload_is_still_read() -> None:
    content = encode(Status(state="online", session="x"))
    padded = content[:-1] + b" " * (LARGEST_PAYLOAD_BYTES - len(content)) + b"}"
    assert len(padded) == LARGEST_PAYLOAD_BYTES
    assert decode_plain(TOPIC, padded, Status).state == "online"


def test_fields_a_newer_writer_adds_are_ignored() -> None:
    content = _stock(shelf_life="3 d")
    content |= {"traceparent": "00-x", "correlationid": {"a": [1]}}
    assert decode_slot_message(TOPIC, json.dumps(content).encode()).data.count == 2  # type: ignore[union-attr]
    assert decode_plain("t", b'{"state":"online","session":"x","mood":"good"}', Status).session == "x"


@pytest.mark.parametrize("version", ["1.0", "1.0.2", "1.1"])
def test_versions_that_are_read(version: str) -> None:
    assert decode_slot_message(TOPIC, json.dumps(_stock() | {"specversion": version}).encode())


@pytest.mark.parametrize("version", ["2.0", "0.3", "10.0", "", None, 1.0])
def test_versions_that_are_refused(version: Any) -> None:
    with pytest.raises(MessageProblem, match="specversion"):
        decode_slot_message(TOPIC, json.dumps(_stock() | {"specversion": version}).encode())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"count": None}, "level must be 'unknown' when count is null"),
        ({"count": 2, "count_low": 3}, "count 2 must lie within count_low 3 and count_high 2"),
        ({"count": 2, "count_high": 1}, "must lie within"),
        ({"count": None, "level": "unknown", "count_low": 5, "count_high": 4}, "count_low 5 must not exceed"),
        ({"count": -1}, "data.count = -1"),
        ({"count": 10_001}, "data.count = 10001"),
        ({"count": 1.5}, "data.count = 1.5"),
        ({"confidence": 1.01}, "data.confidence = 1.01"),
        ({"level": "empty"}, "data.level = 'empty'"),
        ({"gtin": "4006381333932"}, "check digit is 2 but should be 1"),
        ({"observed_at": "2026-11-22T09:15:00"}, "timezone"),
        ({"observed_at": "9999-12-31T23:59:59-12:00"}, "within the years 1 to 9999"),
        ({"observed_at": "0001-01-01T00:00:00+12:00"}, "within the years 1 to 9999"),
    ],
)
def test_stock_levels_that_cannot_be(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(MessageProblem) as caught:
        decode_slot_message(TOPIC, json.dumps(_stock(**changes)).encode())
    assert says in str(caught.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(MessageProblem) as caught:
        decode_slot_message(
            TOPIC, json.dumps(_stock(count=-1, confidence=7, level="x") | {"sequence": "4711"}).encode()
        )
    assert {problem.key for problem in caught.value.problems} == {
        "data.count", "data.confidence", "data.level", "sequence",
    }  # fmt: skip


def test_a_slot_that_cannot_be_seen_says_so_with_null() -> None:
    level = StockLevel(count=None, capacity=12, level="unknown", confidence=0.0, reason="occluded", observed_at=NOW)
    envelope = wrap(level, source="/s", bay="a03", slot="s1", sequence=1, time=NOW)
    assert json.loads(encode(envelope))["data"]["count"] is None


@pytest.mark.parametrize("sequence", [-1, 10**20])
def test_a_sequence_number_that_does_not_fit_is_refused(sequence: int) -> None:
    level = StockLevel(count=0, capacity=1, level="out", confidence=1, observed_at=NOW)
    with pytest.raises(ValidationError, match="sequence"):
        wrap(level, source="/s", bay="a", slot="s", sequence=sequence, time=NOW)


def test_sequence_numbers_sort_as_text() -> None:
    texts = [f"{number:020d}" for number in (0, 9, 10, 99, 100, 4711)]
    assert texts == sorted(texts)


@given(st.text(max_size=20), st.integers(0, 10**12), st.text(max_size=20), st.integers(0, 10**12))
def test_ids_are_the_same_for_the_same_and_differ_for_others(one: str, n: int, other: str, m: int) -> None:
    assert (event_id(one, n) == event_id(other, m)) == ((one, n) == (other, m))


@given(st.integers(-14 * 60, 14 * 60), TIMES)
def test_times_of_any_zone_are_the_same_moment_in_utc(offset_minutes: int, moment: datetime) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(minutes=offset_minutes)))
    status = Status(state="online", session="x", time=elsewhere)
    assert status.time == moment
    assert status.time is not None
    assert status.time.tzinfo is UTC
    assert iso_time(elsewhere) == iso_time(moment)
    assert iso_time(moment).endswith("Z")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_figure_is_nan_or_infinite(value: float) -> None:
    health: dict[str, Any] = {"node": "n", "session": "s", "time": NOW, "uptime_s": 1.0, "outbox_messages": 0}
    assert NodeHealth(**health, rss_mb=1.0)
    with pytest.raises(ValidationError, match="finite"):
        NodeHealth(**health, rss_mb=value)


def test_a_message_cannot_be_changed() -> None:
    message = Status(state="online", session="x")
    with pytest.raises(ValidationError, match="frozen"):
        message.session = "y"  # type: ignore[misc]


def test_no_message_names_a_person_a_track_or_a_picture() -> None:
    forbidden = {"person", "track", "track_id", "face", "image", "picture", "frame", "snapshot", "age", "gender"}
    for row in BY_NAME.values():
        assert not _all_field_names(row.message) & forbidden, row.name


def _all_field_names(model: type[BaseModel]) -> set[str]:
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return {name for part in parts for name in part.get("properties", {})}


@pytest.mark.parametrize("sequence", ["9223372036854775808", "99999999999999999999"])
def test_a_number_that_no_database_holds_is_refused(sequence: str) -> None:
    content = _stock() | {"sequence": sequence.zfill(20)}
    with pytest.raises(MessageProblem, match="must not exceed"):
        decode_slot_message(TOPIC, json.dumps(content).encode())


def test_another_numbering_keeps_the_id() -> None:
    payload = json.dumps(_stock() | {"numbering": "old"}).encode()
    again = decode_slot_message(TOPIC, with_numbering(payload, "new"))
    assert (again.numbering, again.id) == ("new", decode_slot_message(TOPIC, payload).id)

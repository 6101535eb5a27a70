"""What comes from outside is understood, or refused with every reason."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_collector.core.inbox import Claim, Happening, NodePresence, StockReport, claim_of, decode, node_of
from shelf_contracts.catalog import CATALOG
from shelf_contracts.errors import MessageProblem
from tests.collector.builders import STORE, Node, wire

STOCK = "smartshelf/v1/demo/shelf/a01/slot/s1-01/stock"


def test_a_stock_level_and_an_event_come_through_unchanged() -> None:
    node = Node()
    for message in (node.stock(count=3), node.event("pick", quantity=1)):
        assert decode(*wire(message), store=STORE) == message


def test_the_retained_flag_is_kept() -> None:
    message = decode(*wire(Node().stock()), store=STORE, retained=True)
    assert isinstance(message, StockReport)
    assert message.retained


def test_a_cleared_topic_is_no_message() -> None:
    assert decode(STOCK, b"", store=STORE) is None


def test_status() -> None:
    message = decode("smartshelf/v1/demo/node/n01/status", b'{"state":"offline","session":"s"}', store=STORE)
    assert isinstance(message, NodePresence)
    assert (message.node, message.status.state) == ("n01", "offline")


def changed(**changes: object) -> bytes:
    content = json.loads(wire(Node().stock())[1])
    return json.dumps({**content, **changes}).encode()


@pytest.mark.parametrize(
    ("topic", "payload", "said"),
    [
        pytest.param("elsewhere/x", b"{}", "not in the catalog", id="foreign topic"),
        pytest.param("smartshelf/v1/other/shelf/a01/slot/s1-01/stock", changed(), "'demo'", id="another store"),
        pytest.param(STOCK, b"{", "not JSON", id="not JSON"),
        pytest.param(STOCK, b"\xff\xfe", "not JSON", id="not text"),
        pytest.param(STOCK, b"[1]", "JSON object", id="a list"),
        pytest.param(STOCK, b" " * 9000, "at most 8192 bytes", id="too large for its topic"),
        pytest.param(STOCK, changed(subject="shelf/a02/slot/s1-01"), "subject", id="subject of another bay"),
        pytest.param(STOCK, changed(source="/elsewhere/node/n01"), "source", id="foreign source"),
        pytest.param(STOCK, changed(source="/smartshelf/demo/node/"), "source", id="source without a node"),
        pytest.param(STOCK, changed(specversion="2.0"), "specversion", id="another CloudEvents"),
        pytest.param(STOCK, changed(type="org.smartshelf.slot.event.v1"), "data.action", id="wrong type"),
        pytest.param(STOCK, wire(Node().event())[1], "does not belong on this topic", id="an event as stock"),
        pytest.param(
            "smartshelf/v1/demo/shelf/a01/slot/s1-01/event/put", wire(Node().event("pick"))[1], "data.action",
            id="action against the topic",
        ),
        pytest.param("smartshelf/v1/demo/collector/status", b'{"state":"online","session":"s"}', "reads", id="our own"),
    ],
)  # fmt: skip
def test_refused(topic: str, payload: bytes, said: str) -> None:
    with pytest.raises(MessageProblem, match=said):
        decode(topic, payload, store=STORE)


def test_several_problems_are_said_at_once() -> None:
    with pytest.raises(MessageProblem) as caught:
        decode(STOCK, changed(subject="x", source="y"), store=STORE)
    assert {problem.key for problem in caught.value.problems} == {"subject", "source"}


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "source", "state", "data", "time"]), inner)
    ),
).map(lambda value: json.dumps(value).encode())


@given(st.sampled_from([row.address.replace("{store}", STORE) for row in CATALOG]), st.binary(max_size=200) | _JSON)
def test_no_input_makes_it_fall(address: str, payload: bytes) -> None:
    topic = address.translate(str.maketrans("", "", "{}"))
    with contextlib.suppress(MessageProblem):
        assert not isinstance(decode(topic, payload, store=STORE), Happening)


def test_what_an_unusable_message_claims() -> None:
    assert claim_of(b'{"source": "x"}') == Claim("x", "", None)
    numbered = b'{"source": "x", "numbering": "a1", "sequence": "%020d"}'
    assert claim_of(numbered % 7) == Claim("x", "a1", 7)
    assert claim_of(numbered % 2**63) == Claim("x", "", None)
    for payload in (b"", b"{", b"[]", b'{"source": 3}', b"\xff"):
        assert claim_of(payload) is None


def test_node_of() -> None:
    assert node_of("/smartshelf/demo/node/n01", "demo") == "n01"
    assert node_of("/smartshelf/other/node/n01", "demo") is None

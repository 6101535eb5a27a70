"""The parts of the rehearsal: its plan, its cable and its judge."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_mqtt.address import BrokerAddress
from shelf_mqtt.session import MqttSession, Received
from shelf_simulator.chaos.packets import split
from shelf_simulator.chaos.plan import KINDS, plan_faults
from shelf_simulator.chaos.proxy import Cables
from shelf_simulator.chaos.verdict import Books, compare, read_ledger

NODES = ("n01", "n02", "n03")


@given(st.integers(0, 1000), st.floats(20, 600))
def test_equal_seeds_give_equal_faults_and_a_minute_has_every_kind(seed: int, seconds: float) -> None:
    faults = plan_faults(seconds, seed, NODES)
    assert faults == plan_faults(seconds, seed, NODES)
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
    assert all(0 < fault.at_s < seconds and fault.lasts_s <= 20 for fault in faults)
    if seconds >= 45:
        assert {fault.kind for fault in faults} == set(KINDS)
    assert plan_faults(seconds, seed + 1, NODES) != faults


def packet(first: int, size: int) -> bytes:
    length, header = size, bytearray([first])
    while True:
        length, digit = divmod(length, 128)
        header.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(header) + b"x" * size


@given(st.lists(st.tuples(st.integers(0x10, 0xEF), st.sampled_from([0, 1, 127, 128, 300, 20_000])), max_size=6),
       st.integers(1, 997))  # fmt: skip
def test_packets_are_found_however_the_stream_is_cut(sizes: list[tuple[int, int]], piece: int) -> None:
    whole = [packet(first, size) for first, size in sizes]
    data, stream, found = b"".join(whole), bytearray(), []
    for start in range(0, len(data), piece):
        stream += data[start : start + piece]
        found += split(stream)
    assert [one.content for one in found] == whole
    assert not stream


def test_only_qos_1_publishes_are_repeated() -> None:
    kinds = {0x10: False, 0x30: False, 0x32: True, 0x3B: True, 0x40: False, 0xC0: False}
    for first, expected in kinds.items():
        assert split(bytearray(packet(first, 3)))[0].is_repeatable is expected


def test_what_is_no_mqtt_is_refused() -> None:
    with pytest.raises(ValueError, match="not MQTT"):
        split(bytearray(b"\x30\xff\xff\xff\xff\x01"))


def books(tried: str, kept: str, **levels: int) -> Books:
    return Books(frozenset(tried), frozenset(kept), {slot: (count,) for slot, count in levels.items()})


@pytest.mark.parametrize(
    ("tried", "kept", "applied", "expected"),
    [
        pytest.param("abc", "abc", "abc", (3, 3, 0, 0, 0, 0), id="all is well"),
        pytest.param("abc", "ab", "abc", (3, 3, 0, 0, 0, 1), id="killed between outbox and ledger"),
        pytest.param("abc", "ab", "ab", (2, 2, 0, 0, 0, 0), id="killed before the outbox"),
        pytest.param("abc", "abc", "ab", (3, 2, 1, 0, 0, 0), id="lost"),
        pytest.param("abc", "abc", "abcc", (3, 3, 0, 1, 0, 0), id="applied twice"),
        pytest.param("ab", "ab", "abx", (2, 3, 0, 0, 1, 0), id="never said"),
    ],
)
def test_the_judge(tried: str, kept: str, applied: str, expected: tuple[int, ...]) -> None:
    verdict = compare({"a01": books(tried, kept)}, Counter(applied), {})
    assert expected == (
        verdict.published, verdict.applied, verdict.lost, verdict.duplicates_applied, verdict.invented,
        verdict.unconfirmed,
    )  # fmt: skip
    assert verdict.is_good == (expected[2:5] == (0, 0, 0))


def test_a_level_that_is_not_the_last_one_said_is_found() -> None:
    assert compare({"a01": books("", "", s1=3)}, Counter(), {("a01", "s1"): 3}).is_good
    assert compare({"a01": books("", "", s1=3)}, Counter(), {("a01", "s1"): 2}).wrong_levels == 1


def test_a_ledger_that_a_kill_cut_short(tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    assert read_ledger(file) == Books(frozenset(), frozenset(), {})
    file.write_text("try a\nkept a\nlevel-try s1 4\nlevel s1 4\nlevel-try s1 5\ntry b\nkep")
    assert read_ledger(file) == Books(frozenset("ab"), frozenset("a"), {"s1": (4, 5)})


@pytest.fixture
def cables(unused_port: int) -> Iterator[Cables]:
    with Cables(["n01"], unused_port, 1) as opened:
        yield opened


@pytest.mark.e2e
def test_a_cable_carries_repeats_reorders_and_breaks(
    tmp_path: Path,
    open_session: Callable[..., MqttSession],
    eventually: Callable[..., None],
) -> None:
    from shelf_broker.config import BrokerConfig
    from shelf_broker.launcher import start_broker
    from shelf_testing.demo import free_port

    heard: list[Received] = []
    config = BrokerConfig.model_validate({"port": free_port(), "state": tmp_path / "b", "ack_wait_s": 1})
    with start_broker(config) as broker, Cables(["n01"], config.port, 1) as cables:
        cable = cables.by_name["n01"]
        open_session(broker.address, "reader", on_message=heard.append, subscriptions=[("t/#", 1)])
        speaker = open_session(BrokerAddress(port=cable.port), "speaker")
        cable.is_shuffling = True
        for number in range(60):
            eventually(lambda n=number: speaker.publish("t/x", b"%d" % n))
        assert speaker.flush(10)
        eventually(lambda: {one.payload for one in heard} == {b"%d" % number for number in range(60)})
        order = [int(one.payload) for one in heard]
        assert cable.repeated
        assert len(order) > 60
        assert cable.overtaken
        assert order != sorted(order)
        cable.is_shuffling = False
        cables.cut("n01", "refused")
        eventually(lambda: not speaker.is_connected)
        cables.mend("n01")
        eventually(lambda: speaker.is_connected)
        cables.cut("n01", "stalled")
        assert speaker.publish("t/stalled", b"1")
        assert not speaker.flush(0.5)
        cables.mend("n01")
        assert speaker.flush(5)


def test_a_cable_to_nowhere_refuses_and_closes(cables: Cables) -> None:
    with socket.create_connection(("127.0.0.1", cables.by_name["n01"].port), timeout=5) as channel:
        channel.settimeout(5)
        with contextlib.suppress(ConnectionError):
            assert channel.recv(1) == b""

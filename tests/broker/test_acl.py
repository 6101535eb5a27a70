"""Permissions: as a table, and by what really arrives at a real broker with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shelf_broker.acl import Client, mosquitto_acl, nats_subjects, permissions_of
from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import start_broker
from shelf_contracts.catalog import CATALOG
from shelf_contracts.examples import EXAMPLES
from shelf_mqtt.session import BrokerAddress, MqttSession, Received, Will

ROOT = "smartshelf/v1/s1"
NODE = Client("n01", "node", "s1", "n01", ("a03", "a04"))


def test_a_node_speaks_of_itself_and_its_bays_only() -> None:
    assert set(permissions_of(NODE).publish) == {
        f"{ROOT}/shelf/a03/slot/+/stock",
        f"{ROOT}/shelf/a04/slot/+/stock",
        f"{ROOT}/shelf/a03/slot/+/event/+",
        f"{ROOT}/shelf/a04/slot/+/event/+",
        f"{ROOT}/shelf/a03/held",
        f"{ROOT}/shelf/a04/held",
        f"{ROOT}/node/n01/status",
        f"{ROOT}/node/n01/info",
        f"{ROOT}/node/n01/health",
        f"{ROOT}/node/n01/event/+",
        f"{ROOT}/node/n01/camera/+/status",
    }
    assert set(permissions_of(NODE).subscribe) == {
        f"{ROOT}/collector/status",
        f"{ROOT}/node/n01/ack",
        f"{ROOT}/node/n01/cmd/resend",
        f"{ROOT}/node/n01/cmd/update",
        f"{ROOT}/gallery/offer",
        f"{ROOT}/planogram/a03/offer",
        f"{ROOT}/planogram/a04/offer",
    }


def test_a_node_reads_nothing_that_is_for_another_node() -> None:
    for topic_filter in permissions_of(NODE).subscribe:
        levels = topic_filter.split("/")
        assert "#" not in levels
        if "node" in levels:
            assert levels[levels.index("node") + 1] == "n01", topic_filter
        if "shelf" in levels:
            assert levels[levels.index("shelf") + 1] in {"a03", "a04"}, topic_filter


def test_a_display_reads_its_own_content_and_says_nothing() -> None:
    permissions = permissions_of(Client("d1", "display", "s1", "d1"))
    assert permissions.publish == ()
    assert f"{ROOT}/display/d1/content" in permissions.subscribe
    assert f"{ROOT}/display/+/content" not in permissions.subscribe


def test_every_row_has_somebody_who_may_write_and_somebody_who_may_read_it() -> None:
    clients = [NODE, Client("c", "collector", "s1"), Client("d1", "display", "s1", "d1")]
    written = {topic for client in clients for topic in permissions_of(client).publish}
    read = {topic for client in clients for topic in permissions_of(client).subscribe}
    for row in CATALOG:
        last = row.template.rsplit("/", 1)[-1].replace("{kind}", "+")
        assert any(topic.endswith(last) for topic in written), row.name
        assert any(topic.endswith(last) for topic in read), row.name


def test_an_observer_reads_everything_of_its_store() -> None:
    permissions = permissions_of(Client("o", "observer", "s1"))
    assert permissions.publish == ()
    assert permissions.subscribe == (f"{ROOT}/#",)


def test_the_mosquitto_file_has_a_line_for_each_permission() -> None:
    text = mosquitto_acl([NODE])
    assert "user n01\n" in text
    assert text.count("topic write ") == 11
    assert text.count("topic read ") == 7


@pytest.mark.parametrize(
    ("topic_filter", "expected"),
    [("a/b", ("a.b",)), ("a/+/b", ("a.*.b",)), ("a/#", ("a", "a.>")), ("#", (">",)), ("+/+", ("*.*",))],
)
def test_filters_as_nats_subjects(topic_filter: str, expected: tuple[str, ...]) -> None:
    assert nats_subjects(topic_filter) == expected


@pytest.fixture
def secured(broker_config: Callable[..., BrokerConfig], tmp_path: Path) -> Callable[..., BrokerConfig]:
    def build(kind: str) -> BrokerConfig:
        users = []
        for name, role, more in [
            ("n01", "node", {"id": "n01", "bays": ["a03"]}),
            ("n02", "node", {"id": "n02", "bays": ["b01"]}),
            ("collector", "collector", {}),
            ("d1", "display", {"id": "d1"}),
            ("observer", "observer", {}),
        ]:
            file = tmp_path / f"{name}.password"
            file.write_text(f"secret of {name}\n")
            users.append({"username": name, "role": role, "password_file": file, **more})
        return broker_config(kind, store="nl-ams-001", users=users)

    return build


def _login(config: BrokerConfig, tmp_path: Path, name: str) -> BrokerAddress:
    return BrokerAddress(config.host, config.port, username=name, password_file=tmp_path / f"{name}.password")


@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
def test_what_a_node_may_not_say_does_not_arrive(
    kind: str, secured: Callable[..., BrokerConfig], open_session: Callable[..., MqttSession],
    eventually: Callable[..., None], tmp_path: Path,
) -> None:  # fmt: skip
    root = "smartshelf/v1/nl-ams-001"
    config = secured(kind)
    got: list[Received] = []
    refused: list[str] = []
    with start_broker(config):
        open_session(
            _login(config, tmp_path, "collector"), "collector", on_message=got.append,
            subscriptions=[(f"{root}/node/+/status", 1), (f"{root}/shelf/+/slot/+/stock", 1)],
        )  # fmt: skip
        node = open_session(_login(config, tmp_path, "n01"), "n01")
        for topic in [
            f"{root}/node/n02/status",
            f"{root}/shelf/b01/slot/s1/stock",
            "smartshelf/v1/other/node/n01/status",
            f"{root}/shelf/a03/slot/s1/stock",
            f"{root}/node/n01/status",
        ]:
            assert node.publish(topic, topic.encode(), on_refused=refused.append)
        allowed = [f"{root}/shelf/a03/slot/s1/stock", f"{root}/node/n01/status"]
        eventually(lambda: len(got) >= 2)
        eventually(lambda: node.counters.acked + node.counters.denied == 5)
    assert sorted(one.topic for one in got) == sorted(allowed)
    # MQTT 5 tells the sender; with 3.1.1 it looks acknowledged, so only what arrives can be trusted.
    assert len(refused) == node.counters.denied == (3 if kind == "mosquitto" else 0)


@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
def test_every_example_gets_from_its_publisher_to_its_readers(
    kind: str, secured: Callable[..., BrokerConfig], open_session: Callable[..., MqttSession],
    eventually: Callable[..., None], tmp_path: Path,
) -> None:  # fmt: skip
    config = secured(kind)
    names = {"node": "n01", "collector": "collector", "display": "d1"}
    rows = {row.name: row for row in CATALOG}
    got: dict[str, list[str]] = {role: [] for role in [*names, "observer"]}
    with start_broker(config):
        for role, received in got.items():
            client = {
                "node": Client("n01", "node", "s1", "n01", ("a03",)),
                "collector": Client("c", "collector", "s1"),
            }.get(role, Client("d1", "display" if role == "display" else "observer", "s1", "d1"))
            filters = permissions_of(client).subscribe
            login = _login(config, tmp_path, names.get(role, "observer"))
            reader = open_session(
                login, f"reader-{role}", on_message=lambda one, to=received: to.append(one.topic),
                subscriptions=[(topic.replace("/s1/", "/nl-ams-001/"), 1) for topic in filters],
            )  # fmt: skip
            assert reader.refused_filters == ()
        writers = {role: open_session(_login(config, tmp_path, name), f"writer-{role}") for role, name in names.items()}
        for example in EXAMPLES:
            writers[rows[example.row].publisher].publish(example.topic, b"x")
        for role, received in got.items():
            expected = [e.topic for e in EXAMPLES if role == "observer" or role in rows[e.row].subscribers]
            eventually(lambda received=received, expected=expected: len(received) >= len(expected))
            assert sorted(received) == sorted(expected)


@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
def test_without_the_password_nobody_gets_in(
    kind: str, secured: Callable[..., BrokerConfig], open_session: Callable[..., MqttSession],
    eventually: Callable[..., None], tmp_path: Path,
) -> None:  # fmt: skip
    config = secured(kind)
    (tmp_path / "wrong").write_text("guess")
    with start_broker(config) as broker:
        wrong = BrokerAddress(config.host, config.port, username="n01", password_file=tmp_path / "wrong")
        for address, name in [(broker.address, "nobody"), (wrong, "guesser")]:
            session = open_session(address, name, wait=False)
            eventually(lambda session=session: session.counters.connect_failures >= 1)
            assert not session.is_connected


@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
def test_a_will_needs_its_permission_and_has_it(
    kind: str, secured: Callable[..., BrokerConfig], open_session: Callable[..., MqttSession],
    eventually: Callable[..., None], tmp_path: Path,
) -> None:  # fmt: skip
    config = secured(kind)
    topic = "smartshelf/v1/nl-ams-001/node/n01/status"
    got: list[bytes] = []
    with start_broker(config):
        open_session(
            _login(config, tmp_path, "collector"), "collector", subscriptions=[(topic, 1)],
            on_message=lambda one: got.append(one.payload),
        )  # fmt: skip
        login = _login(config, tmp_path, "n01")
        node = open_session(login, "n01", will=Will(topic, b"offline"))
        assert node._connection is not None
        node._connection._shut_socket()  # the cable is pulled
        eventually(lambda: got == [b"offline"])

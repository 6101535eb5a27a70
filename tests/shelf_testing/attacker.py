"""Somebody on the shop's network who tries what may not work. Prints what he got as one JSON object.

    python -m shelf_testing.attacker try HOST PORT STORE [--ca FILE] [--pem FILE] [--own BAY]
    python -m shelf_testing.attacker hold HOST PORT TOPIC --ca FILE --pem FILE    until the connection is cut
    python -m shelf_testing.attacker scan HOST

All he says holds the word FORGED; with ``--own`` he also says GENUINE on a topic that is his, as a control.
"""

from __future__ import annotations

import argparse
import errno
import json
import selectors
import socket
import ssl
import sys
import time
from dataclasses import asdict, dataclass, field

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from shelf_contracts import topics
from shelf_contracts.catalog import CATALOG

FORGED = b"FORGED"
_STEP_S = 3.0


@dataclass
class Attempt:
    """How one connection went.

    Attributes:
        acked: messages that looked acknowledged, which means nothing.
        heard: topics of what came in.
    """

    name: str
    connected: bool = False
    acked: int = 0
    heard: list[str] = field(default_factory=list)
    says: str = ""


def forged_topics(store: str, victim: str, bay: str) -> list[str]:
    """Every topic of the catalog in somebody else's name, and what brokers use for themselves."""
    ids = {
        "store": store, "node": victim, "bay": bay, "slot": "s1", "kind": "pick", "camera": "c1", "display": "d1",
        "alert": "a1", "command": "restart", "user": "u1", "task": "t1", "client": "x",
    }  # fmt: skip
    ours = []
    for row in CATALOG:
        places = {part[1:-1] for part in row.address.split("/") if part.startswith("{")}
        ours.append(topics.build(row.name, **{place: ids.get(place, "x") for place in places}))
    elsewhere = [topic.replace(f"/{store}/", "/other/") for topic in ours[:2]]
    return [
        *ours, *elsewhere, "anything", "$SYS/broker/version", "$JS/API/STREAM/DELETE/$MQTT_msgs",
        "$JS/API/STREAM/PURGE/$MQTT_rmsgs", "$JS/API/STREAM/LIST", "$MQTT/msgs/" + ours[0], "$MQTT/sess/x",
        "$MQTT/rmsgs/x", "$MQTT/sub/x", "_INBOX/x", "$SYS/REQ/SERVER/PING", "$SYS/ACCOUNT/$G/CONNECT",
        "$CONTROL/dynamic-security/v1",
    ]  # fmt: skip


def filters_to_hear(store: str) -> list[str]:
    return [
        "#", "+/#", f"smartshelf/v1/{store}/#", "smartshelf/#", "+/+/+/+/+/+/+/+", "$SYS/#", "$JS/#", "$MQTT/#",
        "$share/g/#", f"$share/g/smartshelf/v1/{store}/#", "_INBOX/#", f"smartshelf/v1/{store}/node/+/#",
    ]  # fmt: skip


def tls_context(ca: str | None, pem: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if pem is not None:
        context.load_cert_chain(pem)
    return context


def attempt(
    name: str, arguments: argparse.Namespace, version: MQTTProtocolVersion, client_id: str, *, tls: bool
) -> Attempt:
    """Connect with a forged will, hear what can be heard, forge what can be forged, and leave without a word."""
    result = Attempt(name)
    is_v5 = version == MQTTProtocolVersion.MQTTv5
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=None if is_v5 else False, protocol=version,
        reconnect_on_failure=False,
    )  # fmt: skip
    forged = forged_topics(arguments.store, "n01", "a01")
    client.will_set(topics.build("node_status", store=arguments.store, node="n01"), FORGED, 1, retain=True)
    if tls:
        client.tls_set_context(tls_context(arguments.ca, arguments.pem))

    def connected(_client: object, _data: object, _flags: object, reason: mqtt.ReasonCode, _more: object) -> None:
        result.connected = not reason.is_failure
        result.says = str(reason)

    def heard(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        result.heard.append(message.topic)

    def acked(_client: object, _data: object, _number: int, reason: mqtt.ReasonCode, _more: object) -> None:
        result.acked += not reason.is_failure

    def gone(_client: object, _data: object, _flags: object, reason: mqtt.ReasonCode, _more: object) -> None:
        result.says = result.says or f"cut: {reason}"

    client.on_connect, client.on_message, client.on_publish, client.on_disconnect = connected, heard, acked, gone
    try:
        client.connect_timeout = _STEP_S
        client.connect(arguments.host, arguments.port, 30)
        client.loop_start()
        deadline_s = time.monotonic() + _STEP_S
        while not result.says and time.monotonic() < deadline_s:
            time.sleep(0.02)
        if result.connected:
            for topic_filter in filters_to_hear(arguments.store):
                client.subscribe(topic_filter, 1)
            for topic in forged:
                client.publish(topic, FORGED, 1, retain=True)
            if arguments.own is not None:
                own = topics.build("slot_stock", store=arguments.store, bay=arguments.own, slot="s1")
                client.publish(own, b"GENUINE", 1, retain=True)
            time.sleep(1.0)
    except OSError as error:
        result.says = str(error)
    leftover = client.socket()
    if isinstance(leftover, socket.socket):
        leftover.close()  # no DISCONNECT: the broker must publish the will, if it takes it
    client.loop_stop()
    return result


def try_everything(arguments: argparse.Namespace) -> None:
    v311, v5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5
    attempts = [attempt("plain text", arguments, v311, "attacker", tls=False)]
    for client_id in ("attacker", "collector", f"node-{arguments.store}-n01", "n01"):
        attempts.append(attempt(f"3.1.1 as {client_id}", arguments, v311, client_id, tls=True))
    attempts.append(attempt("5 as attacker", arguments, v5, "attacker", tls=True))
    sys.stdout.write(json.dumps([asdict(one) for one in attempts]) + "\n")


def hold(arguments: argparse.Namespace) -> None:
    """Say GENUINE on a topic again and again; end when the connection was cut and cannot be made again."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="held", reconnect_on_failure=False)
    client.tls_set_context(tls_context(arguments.ca, arguments.pem))
    gone: list[str] = []
    client.on_disconnect = lambda _c, _d, _f, reason, _m: gone.append(str(reason))
    client.connect(arguments.host, arguments.port, 600)
    client.loop_start()
    deadline_s = time.monotonic() + 60
    while not gone and time.monotonic() < deadline_s:
        client.publish(arguments.topic, b"GENUINE held", 1)
        time.sleep(0.1)
    client.loop_stop()
    sys.stdout.write(json.dumps({"cut": bool(gone), "says": gone}) + "\n")


def scan(arguments: argparse.Namespace) -> None:
    """All TCP ports of the host that are open, and what they answer to plain text."""
    found = []
    for first in range(1, 65_536, 2048):
        found += _open_ports(arguments.host, range(first, min(first + 2048, 65_536)))
    questions = [
        b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04scan",
        b"CONNECT {}\r\nPING\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ]
    answers = {}
    for port in found:
        answers[port] = [_ask_plainly(arguments.host, port, question) for question in questions]
    sys.stdout.write(json.dumps(answers) + "\n")


def _open_ports(host: str, ports: range) -> list[int]:
    selector, found, waiting = selectors.DefaultSelector(), [], {}
    for port in ports:
        channel = socket.socket()
        channel.setblocking(False)
        code = channel.connect_ex((host, port))
        if code in (errno.EINPROGRESS, 0):
            selector.register(channel, selectors.EVENT_WRITE, port)
            waiting[port] = channel
        else:
            channel.close()
    deadline_s = time.monotonic() + 15
    while waiting and time.monotonic() < deadline_s:
        for key, _ in selector.select(0.1):
            channel = waiting.pop(key.data)
            selector.unregister(channel)
            if channel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(key.data)
            channel.close()
    for channel in waiting.values():
        channel.close()
    return sorted(found)


def _ask_plainly(host: str, port: int, question: bytes) -> str:
    try:
        with socket.create_connection((host, port), timeout=2) as channel:
            channel.settimeout(1.5)
            channel.sendall(question)
            return channel.recv(200).hex()
    except OSError:
        return ""


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    trying, holding, scanning = (commands.add_parser(name) for name in ("try", "hold", "scan"))
    for one in (trying, holding):
        one.add_argument("host")
        one.add_argument("port", type=int)
        one.add_argument("topic" if one is holding else "store")
        one.add_argument("--ca")
        one.add_argument("--pem")
    trying.add_argument("--own")
    scanning.add_argument("host")
    trying.set_defaults(do=try_everything)
    holding.set_defaults(do=hold)
    scanning.set_defaults(do=scan)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()

"""One connection to a broker, from CONNECT until the socket is gone: a paho client that is used once.

A new client for each connection keeps paho's own queues from resending behind the caller's back: what was not
acknowledged is in the caller's outbox, and only there.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from shelf_mqtt.address import BrokerAddress, Will

log = logging.getLogger(__name__)

FIRST_FAILURE_CODE = 0x80
_UNSUPPORTED_VERSION = "Unsupported protocol version"


@dataclass(frozen=True)
class ConnectSettings:
    """What stays the same from one connection to the next."""

    address: BrokerAddress
    client_id: str
    will: Will | None
    persistent: bool
    session_expiry_s: int
    manual_ack: bool
    keepalive_s: int
    window: int
    attempt_timeout_s: float


@dataclass(frozen=True)
class Sent:
    """What to call when the broker has answered a publish."""

    on_acked: Callable[[], None] | None
    on_refused: Callable[[str], None] | None


@dataclass(frozen=True)
class Answer:
    """The broker's answer to one publish: ``refusal`` is empty when it took the message."""

    sent: Sent
    qos: int
    refusal: str


class ConnectFailed(Exception):
    """A connection could not be made.

    Attributes:
        other_version: a broker that does not speak this protocol version answers like this, so try the other one.
        refused: the broker answered with a CONNACK, and said no.
    """

    def __init__(self, reason: str, *, other_version: bool = False, refused: bool = False) -> None:
        super().__init__(reason)
        self.other_version = other_version
        self.refused = refused


class _OneConnectionClient(mqtt.Client):
    """A paho client that says when its network loop has ended, however it ended."""

    on_loop_ended: Callable[[], None] | None = None

    def take_client_id(self, client_id: str) -> None:
        """Before connecting; it is known only now, as part of it may lie in a file."""
        self._client_id = client_id.encode()

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception:  # a malformed packet must end this connection, not the session
            log.exception("the network loop of %r ended with an error", self._client_id)
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        finally:
            if self.on_loop_ended is not None:
                self.on_loop_ended()


class Connection:
    """One connection. ``open`` blocks until it is usable; then ``publish`` and ``acknowledge`` from any thread.

    ``changed`` is notified whenever there are answers to collect or the connection is gone.
    """

    def __init__(
        self,
        settings: ConnectSettings,
        version: MQTTProtocolVersion,
        changed: threading.Condition,
        on_message: Callable[[Connection, mqtt.MQTTMessage], None],
    ) -> None:
        self._settings = settings
        self._version = version
        self._changed = changed
        self._on_message = on_message
        self._connack: ReasonCode | None = None
        self._suback: dict[int, list[ReasonCode]] = {}
        self._gone = False
        self._gone_reason = ""
        self._window = settings.window
        self._reserved = 0
        self._delivering = False
        self._has_loop = False
        self._waiting: dict[int, tuple[Sent, int]] = {}
        self._early: dict[int, str] = {}
        self._answers: list[Answer] = []
        self._client = self._build_client()

    @property
    def is_gone(self) -> bool:
        return self._gone

    @property
    def gone_reason(self) -> str:
        return self._gone_reason or "the broker closed the connection"

    @property
    def is_settled(self) -> bool:
        """True when every message handed over was answered and the answer's callback has run."""
        return self._reserved == 0 and not self._delivering

    def open(self, subscriptions: Sequence[tuple[str, int]], stopping: Callable[[], bool]) -> list[str]:
        """Connect and subscribe; returns the filters the broker refused.

        Blocks at most three times ``attempt_timeout_s``. Raises: ConnectFailed.
        """
        address = self._settings.address
        try:
            self._client.take_client_id(address.client_id(self._settings.client_id))
            self._client.username_pw_set(address.username, address.password())
            context = address.tls_context()
            if context is not None:
                self._client.tls_set_context(context)
            if self._version == MQTTProtocolVersion.MQTTv5:
                self._client.connect(
                    address.host,
                    address.port,
                    self._settings.keepalive_s,
                    # paho's default is "first only": such a session is lost with the broker's snapshot
                    clean_start=not self._settings.persistent,
                    properties=self._connect_properties(),
                )
            else:
                self._client.connect(address.host, address.port, self._settings.keepalive_s)
        except (OSError, ValueError) as error:  # ValueError: certificate for another host, no address of this name
            raise ConnectFailed(f"{type(error).__name__}: {error}") from error
        self._has_loop = True
        self._client.loop_start()
        self._await_connack(stopping)
        return self._subscribe(subscriptions, stopping) if subscriptions else []

    def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, expiry_s: int | None, content_type: str, sent: Sent
    ) -> bool:
        """Hand a message to the network; False when the window is full or the connection is gone."""
        with self._changed:
            if self._gone or self._reserved >= self._window:
                return False
            self._reserved += 1
        properties = None
        if self._version == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if expiry_s is not None:
                properties.MessageExpiryInterval = expiry_s
            if content_type:
                properties.ContentType = content_type
                properties.PayloadFormatIndicator = 1
        # Not under our lock: paho holds its own while it reports an answer, which takes ours.
        info = self._client.publish(topic, payload, qos, retain, properties)
        with self._changed:
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._reserved -= 1
                return False
            if info.mid in self._early:
                self._answer(Answer(sent, qos, self._early.pop(info.mid)))
            else:
                self._waiting[info.mid] = (sent, qos)
        return True

    def acknowledge(self, message_id: int, qos: int) -> None:
        """Tell the broker that a received message is dealt with (manual acknowledgement)."""
        if not self._gone:
            self._client.ack(message_id, qos)

    def take_answers(self) -> list[Answer]:
        """The answers that came since the last call; call it with ``changed`` held."""
        answers, self._answers = self._answers, []
        return answers

    def begin_delivery(self) -> None:
        """Give the place of one collected answer back: its callback may need it to publish the next message."""
        with self._changed:
            self._reserved -= 1
            self._delivering = True

    def end_delivery(self) -> None:
        """The callback has run."""
        with self._changed:
            self._delivering = False
            self._changed.notify_all()

    def close(self, timeout_s: float) -> None:
        """DISCONNECT (the broker then keeps the will to itself), then the socket, whatever the broker does."""
        self._client.disconnect()
        if self._has_loop:
            with self._changed:
                self._changed.wait_for(lambda: self._gone, timeout_s)
            self._shut_socket()
            self._client.loop_stop()
        # paho's client and our callbacks hold one another; without this its sockets would wait for the collector.
        self._client.on_connect = self._client.on_disconnect = self._client.on_subscribe = None
        self._client.on_publish = self._client.on_message = self._client.on_socket_open = None
        self._client.on_loop_ended = None

    def _build_client(self) -> _OneConnectionClient:
        settings = self._settings
        is_v5 = self._version == MQTTProtocolVersion.MQTTv5
        client = _OneConnectionClient(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=None if is_v5 else not settings.persistent,
            protocol=self._version,
            reconnect_on_failure=False,
            manual_ack=settings.manual_ack,
        )
        client.connect_timeout = settings.attempt_timeout_s
        client.max_inflight_messages_set(settings.window)
        client.max_queued_messages_set(settings.window)
        if settings.will is not None:
            will = settings.will
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_socket_open = _send_at_once
        client.on_connect = self._connack_came
        client.on_subscribe = self._suback_came
        client.on_publish = self._answer_came
        client.on_disconnect = self._disconnect_came
        client.on_message = self._message_came
        client.on_loop_ended = self._loop_ended
        return client

    def _connect_properties(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._settings.session_expiry_s if self._settings.persistent else 0
        return properties

    def _await_connack(self, stopping: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._connack is not None or self._gone or stopping(), self._settings.attempt_timeout_s
            )
            connack, gone = self._connack, self._gone
        if connack is not None and not connack.is_failure:
            return
        if connack is not None:
            reason = str(connack)
            raise ConnectFailed(
                f"the broker refused the connection: {reason}",
                other_version=reason == _UNSUPPORTED_VERSION,
                refused=True,
            )
        if gone:
            raise ConnectFailed("the broker closed the connection without an answer", other_version=True)
        raise ConnectFailed(f"the broker did not answer within {self._settings.attempt_timeout_s:g} s")

    def _subscribe(self, subscriptions: Sequence[tuple[str, int]], stopping: Callable[[], bool]) -> list[str]:
        code, message_id = self._client.subscribe(list(subscriptions))
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or message_id is None:
            raise ConnectFailed(f"could not subscribe: {mqtt.error_string(code)}")
        with self._changed:
            self._changed.wait_for(
                lambda: message_id in self._suback or self._gone or stopping(), self._settings.attempt_timeout_s
            )
            granted = self._suback.pop(message_id, None)
        if granted is None:
            raise ConnectFailed("the broker did not answer the subscription")
        return [
            topic_filter
            for (topic_filter, _), reason in zip(subscriptions, granted, strict=False)
            if reason.value >= FIRST_FAILURE_CODE
        ]

    def _shut_socket(self) -> None:
        leftover = self._client.socket()
        if isinstance(leftover, socket.socket):
            with contextlib.suppress(OSError):
                leftover.shutdown(socket.SHUT_RDWR)

    def _answer(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._changed.notify_all()

    def _connack_came(
        self, client: mqtt.Client, userdata: object, flags: mqtt.ConnectFlags, reason: ReasonCode,
        properties: Properties | None,
    ) -> None:  # fmt: skip
        with self._changed:
            self._connack = reason
            # More unanswered messages than the broker allows are a protocol error.
            self._window = min(self._window, getattr(properties, "ReceiveMaximum", self._window))
            self._changed.notify_all()

    def _suback_came(
        self, client: mqtt.Client, userdata: object, message_id: int, reasons: list[ReasonCode], properties: object
    ) -> None:
        with self._changed:
            self._suback[message_id] = reasons
            self._changed.notify_all()

    def _answer_came(
        self, client: mqtt.Client, userdata: object, message_id: int, reason: ReasonCode, properties: object
    ) -> None:
        refusal = str(reason) if reason.value >= FIRST_FAILURE_CODE else ""
        with self._changed:
            waiting = self._waiting.pop(message_id, None)
            if waiting is None:  # the broker was quicker than the return of publish()
                self._early[message_id] = refusal
            else:
                self._answer(Answer(waiting[0], waiting[1], refusal))

    def _disconnect_came(
        self, client: mqtt.Client, userdata: object, flags: object, reason: ReasonCode, properties: object
    ) -> None:
        with self._changed:
            self._gone = True
            self._gone_reason = str(reason)
            self._changed.notify_all()

    def _message_came(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        self._on_message(self, message)

    def _loop_ended(self) -> None:
        with self._changed:
            self._gone = True
            self._changed.notify_all()


def _send_at_once(client: mqtt.Client, userdata: object, opened: object) -> None:
    # Without it an acknowledgement may wait 40 ms for company.
    if isinstance(opened, socket.socket):
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

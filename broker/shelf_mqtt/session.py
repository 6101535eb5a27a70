"""An MQTT session that lasts: it connects, subscribes, comes back by itself, and says what was acknowledged.

How to use it::

    session = MqttSession(
        BrokerAddress("127.0.0.1", 1883),
        client_id="node-nl-ams-001-n01",
        will=Will(status_topic, offline_payload),
        on_connected=publish_birth_and_restart_outbox,
    )
    session.start()
    taken = session.publish(topic, payload, qos=1, retain=False, expiry_s=604_800, on_acked=mark_as_sent)
    session.flush(2.0)
    session.stop()

Rules:

- **The outbox is yours.** ``publish`` returns False when the session is not connected or ``window`` messages are still
  unanswered: keep the message and offer it again (from ``on_acked`` or ``on_connected``). True means: handed to the
  network. ``on_acked`` is then called once when the broker has it; if the connection breaks first it is never called,
  and after the next ``on_connected`` you send the message again. Receivers must stand duplicates.
- **Birth on every connect.** ``on_connected`` runs after every successful connect, once the broker has answered the
  subscriptions; ``is_connected`` is true then, so publish status and retained state there.
- **Threads.** ``on_connected``, ``on_disconnected``, ``on_acked`` and ``on_refused`` run one at a time, in order, on
  the session's own thread: an acknowledgement is delivered before the disconnect that follows it. ``on_message`` runs
  on paho's network thread, for a persistent session possibly before ``on_connected``: be quick there, hand over. No
  lock is held while a callback runs, so a callback may publish or acknowledge; it must not wait for another callback.
  What a callback raises is logged and counted.
- **Manual acknowledgement.** With ``manual_ack=True`` the broker keeps each QoS 1 message until
  ``acknowledge(received)`` (any thread, after your commit). An acknowledgement for a connection that is gone does
  nothing: the broker delivers the message again.
- **Nothing waits for ever.** Each attempt to connect has a deadline; ``stop`` returns within its timeout even when the
  broker is dead.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import paho.mqtt.client as mqtt

from shelf_contracts.envelope import LARGEST_PAYLOAD_BYTES
from shelf_mqtt.address import BrokerAddress, Will
from shelf_mqtt.connection import Answer, ConnectFailed, Connection, ConnectSettings, Sent
from shelf_mqtt.versions import V5, VersionChoice

if TYPE_CHECKING:
    from shelf_mqtt.renewal import CertificateRenewal

__all__ = ["BrokerAddress", "MqttSession", "Received", "SessionCounters", "Will"]

log = logging.getLogger(__name__)

_SHORTEST_WAIT_S = 0.2
_LONGEST_WAIT_S = 30.0
_STEADY_AFTER_S = 5.0
_CLOSE_TIMEOUT_S = 1.5


@dataclass(frozen=True)
class _Token:
    connection: Connection
    message_id: int


@dataclass(frozen=True)
class Received:
    """A message that came in.

    Attributes:
        retained: the broker had it before we subscribed.
        received_at_s: seconds since 1970 (UTC) on this computer's clock.
        duplicate: the broker says it may have sent it before.
        token: what ``acknowledge`` needs; of no use to anybody else. None for messages made in a test.
    """

    topic: str
    payload: bytes
    retained: bool
    received_at_s: float
    qos: int = 1
    duplicate: bool = False
    token: _Token | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class SessionCounters:
    """What a session did since it was made.

    Attributes:
        connects: connections that became usable.
        connect_failures: attempts that failed, whatever the reason, those the broker refused included.
        refused: attempts the broker answered with a no.
        subscriptions_refused: filters the broker did not grant, added up over all connects.
        disconnects: connections lost without being asked for.
        published: messages handed to the network.
        not_taken: publishes answered False: not connected, or the window was full.
        acked: QoS 1 messages the broker confirmed.
        denied: QoS 1 messages the broker refused (MQTT 5 only; with 3.1.1 a denied message looks acknowledged).
        received: messages that came in.
        callback_errors: exceptions raised by the caller's callbacks.
    """

    connects: int = 0
    connect_failures: int = 0
    refused: int = 0
    subscriptions_refused: int = 0
    disconnects: int = 0
    published: int = 0
    not_taken: int = 0
    acked: int = 0
    denied: int = 0
    received: int = 0
    callback_errors: int = 0


class MqttSession:
    """See the module's text.

    Args:
        address: the broker.
        client_id: unique among all clients of the broker and the same after a restart.
        will: published by the broker when this client goes away without ``stop``.
        subscriptions: pairs of topic filter and QoS.
        on_message: called with each received message.
        on_connected: called after every successful connect and subscribe.
        on_disconnected: called with the reason when a usable connection is gone without ``stop``.
        manual_ack: acknowledge QoS 1 messages only through ``acknowledge``.
        persistent: the broker keeps subscriptions and undelivered messages while the client is away (MQTT 5: for
            24 h; 3.1.1: for as long as the broker likes).
        window: messages that may be unanswered at a time; the broker's own limit counts too.
        attempt_timeout_s: deadline of each step of a connect (socket, CONNACK, SUBACK).
        random_share: source of the jitter, 0 to 1.
    """

    def __init__(
        self,
        address: BrokerAddress,
        *,
        client_id: str,
        will: Will | None = None,
        subscriptions: Sequence[tuple[str, int]] = (),
        on_message: Callable[[Received], None] | None = None,
        on_connected: Callable[[], None] | None = None,
        on_disconnected: Callable[[str], None] | None = None,
        manual_ack: bool = False,
        persistent: bool = True,
        keepalive_s: int = 30,
        session_expiry_s: int = 86_400,
        window: int = 200,
        attempt_timeout_s: float = 5.0,
        random_share: Callable[[], float] = random.random,
    ) -> None:
        if not client_id:
            raise ValueError("client_id must not be empty: the broker knows a persistent session by it")
        if window < 1:
            raise ValueError(f"window = {window}: must be at least 1")
        self._settings = ConnectSettings(
            address=address,
            client_id=client_id,
            will=will,
            persistent=persistent,
            session_expiry_s=session_expiry_s,
            manual_ack=manual_ack,
            keepalive_s=keepalive_s,
            window=window,
            attempt_timeout_s=attempt_timeout_s,
        )
        self._subscriptions = tuple(subscriptions)
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self._random_share = random_share
        self._changed = threading.Condition()
        self._stopping = False
        self._reconnect_asked = False
        self._renewal: CertificateRenewal | None = None
        self._thread: threading.Thread | None = None
        self._in_own_callback = threading.local()
        self._connection: Connection | None = None
        self._totals: Counter[str] = Counter()
        self._refused_filters: tuple[str, ...] = ()
        self._last_failure = ""
        self._choice = VersionChoice()

    # -- state ---------------------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """True while ``publish`` can succeed."""
        connection = self._connection
        return connection is not None and not connection.is_gone

    @property
    def counters(self) -> SessionCounters:
        with self._changed:
            return SessionCounters(**self._totals)

    @property
    def protocol(self) -> Literal["5", "3.1.1"]:
        """The MQTT version in use, or tried next."""
        return "5" if self._choice.version == V5 else "3.1.1"

    @property
    def refused_filters(self) -> tuple[str, ...]:
        """The filters the broker did not grant on the present connection; what they would bring never arrives."""
        return self._refused_filters

    @property
    def last_failure(self) -> str:
        """Why the last attempt failed or the last connection ended; empty while connected."""
        return self._last_failure

    # -- what the caller does ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start connecting in the background; returns at once. Raises: RuntimeError when it was started before."""
        if self._thread is not None:
            raise RuntimeError("an MqttSession is started once; make a new one")
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{self._settings.client_id}", daemon=True)
        self._thread.start()
        identity = self._settings.address.identity
        if identity is not None:
            from shelf_mqtt.renewal import CertificateRenewal  # loads cryptography, which others can do without

            self._renewal = CertificateRenewal(identity, self.reconnect)
            self._renewal.start()

    def reconnect(self) -> None:
        """Leave the present connection cleanly and make a new one, with what the address's files hold now. Any thread.

        To the caller it is one more ``on_connected``; messages not yet acknowledged are to be sent again, as always.
        """
        with self._changed:
            self._reconnect_asked = True
            self._changed.notify_all()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Disconnect cleanly, so that the will is not published. Idempotent; returns within ``timeout_s``.

        Whoever wants "offline" to be seen publishes it and calls ``flush`` before.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._renewal is not None:
            self._renewal.stop(min(1.0, timeout_s / 4))
        thread = self._thread
        if thread is None or getattr(self._in_own_callback, "active", False):
            return
        thread.join(timeout_s)
        if thread.is_alive():
            log.warning("%s: the session did not end within %g s; it is left behind", thread.name, timeout_s)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: Literal[0, 1] = 1,
        retain: bool = False,
        expiry_s: int | None = None,
        content_type: str = "",
        on_acked: Callable[[], None] | None = None,
        on_refused: Callable[[str], None] | None = None,
    ) -> bool:
        """Hand one message to the network, never waiting.

        Args:
            expiry_s: repeated as MQTT 5 message expiry; the payload says it itself.
            content_type: repeated as MQTT 5 content type.
            on_acked: called once when the broker has it (QoS 0: when it was written to the socket).
            on_refused: called with the broker's reason when it refused the message (MQTT 5), instead of ``on_acked``.
        Returns: False when the session is not connected or the window is full; the message is still the caller's.
        Raises: ValueError when the payload is larger than any reader would take.
        """
        if len(payload) > LARGEST_PAYLOAD_BYTES:
            raise ValueError(f"{topic}: {len(payload)} bytes; a message must be at most {LARGEST_PAYLOAD_BYTES} bytes")
        connection = self._connection
        taken = connection is not None and connection.publish(
            topic,
            payload,
            qos=qos,
            retain=retain,
            expiry_s=expiry_s,
            content_type=content_type,
            sent=Sent(on_acked, on_refused),
        )
        if taken:
            self._count(published=1)
        else:
            self._count(not_taken=1)
        return taken

    def acknowledge(self, received: Received) -> None:
        """Tell the broker that a message is dealt with; only of use with ``manual_ack=True``. Any thread."""
        token = received.token
        if token is not None:  # not compared with the present connection: messages come before that is known
            token.connection.acknowledge(token.message_id, received.qos)

    def flush(self, timeout_s: float) -> bool:
        """Wait until every message handed over is answered and its callback has run; False when it took longer.

        Never call it from a callback: the answers would wait for it.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while (connection := self._connection) is not None and not connection.is_gone:
                if connection.is_settled:
                    return True
                if not self._changed.wait(deadline - time.monotonic()):
                    return False
        return False

    @property
    def certificate_renewals(self) -> int:
        """How often this session renewed its certificate."""
        return 0 if self._renewal is None else self._renewal.renewals

    # -- the session's thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures_in_a_row = 0
        while not self._stopping:
            self._reconnect_asked = False
            connection = Connection(self._settings, self._choice.version, self._changed, self._message_came)
            try:
                refused_filters = connection.open(self._subscriptions, lambda: self._stopping)
            except ConnectFailed as failure:
                connection.close(_CLOSE_TIMEOUT_S)
                self._note_failure(failure)
                if failure.other_version and self._choice.unsupported():
                    continue
                failures_in_a_row += 1
                self._pause(failures_in_a_row)
                continue
            self._choice.worked()
            began_s = time.monotonic()
            self._serve(connection, refused_filters)
            if self._reconnect_asked:
                failures_in_a_row = 0
                continue
            # A connection that breaks at once (two clients with one id) must not turn into a busy loop.
            failures_in_a_row = 0 if time.monotonic() - began_s >= _STEADY_AFTER_S else failures_in_a_row + 1
            if not self._stopping:
                self._pause(failures_in_a_row)

    def _serve(self, connection: Connection, refused_filters: list[str]) -> None:
        """From a usable connection until it is gone, or until stop."""
        self._refused_filters = tuple(refused_filters)
        for topic_filter in refused_filters:
            log.error("%s: the broker refused the subscription %r", self._settings.client_id, topic_filter)
        self._count(connects=1, subscriptions_refused=len(refused_filters))
        self._last_failure = ""
        self._connection = connection
        log.info("%s: connected to %s, MQTT %s", self._settings.client_id, self._settings.address, self.protocol)
        if self._on_connected is not None:
            self._call(self._on_connected)
        answers: list[Answer] = []
        while True:
            with self._changed:
                answers = connection.take_answers()
                while not (answers or self._stopping or self._reconnect_asked or connection.is_gone):
                    self._changed.wait()
                    answers = connection.take_answers()
            if not answers:
                break
            self._deliver(connection, answers)
        lost = connection.is_gone and not self._stopping and not self._reconnect_asked
        self._connection = None
        connection.close(_CLOSE_TIMEOUT_S)
        with self._changed:
            answers = connection.take_answers()
        self._deliver(connection, answers)
        if lost:
            self._count(disconnects=1)
            self._last_failure = f"connection lost: {connection.gone_reason}"
            log.warning("%s: %s", self._settings.client_id, self._last_failure)
            if self._on_disconnected is not None:
                self._call(self._on_disconnected, connection.gone_reason)

    def _deliver(self, connection: Connection, answers: list[Answer]) -> None:
        for answer in answers:
            connection.begin_delivery()
            if answer.refusal:
                self._count(denied=1)
                log.error("%s: the broker refused a message: %s", self._settings.client_id, answer.refusal)
                if answer.sent.on_refused is not None:
                    self._call(answer.sent.on_refused, answer.refusal)
            else:
                self._count(acked=1 if answer.qos else 0)
                if answer.sent.on_acked is not None:
                    self._call(answer.sent.on_acked)
            connection.end_delivery()

    def _note_failure(self, failure: ConnectFailed) -> None:
        if self._stopping:
            return
        self._count(connect_failures=1, refused=1 if failure.refused else 0)
        text = str(failure)
        # An unreachable broker is said once, not at every attempt.
        level = logging.DEBUG if text == self._last_failure or failure.other_version else logging.WARNING
        self._last_failure = text
        log.log(level, "%s: no connection to %s: %s", self._settings.client_id, self._settings.address, text)

    def _pause(self, failures_in_a_row: int) -> None:
        longest_s = min(_LONGEST_WAIT_S, _SHORTEST_WAIT_S * 2 ** min(failures_in_a_row, 10))
        pause_s = longest_s * (0.5 + 0.5 * self._random_share())
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._reconnect_asked, pause_s)

    # -- callbacks -----------------------------------------------------------------------------------------------

    def _message_came(self, connection: Connection, message: mqtt.MQTTMessage) -> None:
        self._count(received=1)
        if self._on_message is None:
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            log.warning("%s: a topic that is no UTF-8 was ignored", self._settings.client_id)
            return
        received = Received(
            topic=topic,
            payload=bytes(message.payload),
            retained=message.retain,
            received_at_s=time.time(),
            qos=message.qos,
            duplicate=message.dup,
            token=_Token(connection, message.mid),
        )
        self._call(self._on_message, received)

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        self._in_own_callback.active = True
        try:
            callback(*arguments)
        except Exception:  # the caller's mistake must not end the session; it is said and counted
            self._count(callback_errors=1)
            log.exception("%s: a callback failed", self._settings.client_id)
        finally:
            self._in_own_callback.active = False

    def _count(self, **added: int) -> None:
        with self._changed:
            for name, more in added.items():
                self._totals[name] += more

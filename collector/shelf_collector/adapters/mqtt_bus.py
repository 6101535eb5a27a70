"""The broker by shelf_mqtt: acknowledgement after commit, and retained topics of which the newest payload wins."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Literal

from shelf_collector.ports import Clock, Delivery
from shelf_contracts import envelope, topics
from shelf_contracts.catalog import BY_NAME
from shelf_contracts.messages import Status
from shelf_mqtt.session import BrokerAddress, MqttSession, Received, Will

log = logging.getLogger(__name__)

CLIENT_ID = "collector"
READ = (
    "slot_stock",
    "slot_event",
    "bay_held",
    "node_status",
    "node_info",
    "node_health",
    "node_event",
    "camera_status",
)
"""The catalog rows we read; NATS allows 16 with QoS 1 a session."""


class MqttBus:
    """The collector's end of the broker.

    All but the requests to send again is retained state, so what waits for the network is a table of topic and newest
    payload, bounded by the number of topics; after a reconnect all of it is sent again.

    Args:
        clock: says when a message came.
        deliver: called with each message on the network's thread; may wait a little to slow the broker down.
        solved_alerts: alert ids whose topics must be empty, asked for at every connect.
    """

    def __init__(
        self, address: BrokerAddress, store: str, deliver: Callable[[Delivery], None],
        solved_alerts: Callable[[], Iterable[str]], clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._deliver = deliver
        self._solved_alerts = solved_alerts
        self._clock = clock
        self._session_id = str(uuid.uuid4())
        self._status_topic = topics.build("collector_status", store=store)
        self._lock = threading.Lock()
        self._newest: dict[str, bytes] = {}
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._session = MqttSession(
            address,
            client_id=CLIENT_ID,
            will=Will(self._status_topic, self._status("offline")),
            subscriptions=[(topics.subscription(name, store=store), _qos(name)) for name in READ],
            on_message=self._came,
            on_connected=self._connected,
            manual_ack=True,
            persistent=True,
        )

    def start(self) -> None:
        self._session.start()

    def stop(self, timeout_s: float = 2.5) -> None:
        """Say goodbye and disconnect."""
        self._session.publish(self._status_topic, self._status("offline", self._clock.now()), retain=True)
        self._session.flush(timeout_s / 2)
        self._session.stop(timeout_s / 2)

    @property
    def is_connected(self) -> bool:
        return self._session.is_connected

    @property
    def last_failure(self) -> str:
        return self._session.last_failure

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if isinstance(delivery.token, Received):
                self._session.acknowledge(delivery.token)

    def post(self, topic: str, payload: bytes) -> None:
        with self._lock:
            self._newest[topic] = payload
            self._waiting[topic] = None
            self._waiting.move_to_end(topic)
        self._send_waiting()

    def send(self, topic: str, payload: bytes) -> bool:
        row = topics.parse(topic).row
        return self._session.publish(topic, payload, qos=row.qos, retain=False, expiry_s=row.expiry_s)

    def _connected(self) -> None:
        self._session.publish(self._status_topic, self._status("online", self._clock.now()), retain=True)
        with self._lock:
            for alert in self._solved_alerts():
                self._newest.setdefault(topics.build("alert_state", store=self._store, alert=alert), b"")
            self._waiting = OrderedDict.fromkeys(self._newest)
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Hand over what waits until the window is full; each acknowledgement calls this again."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                topic, _ = self._waiting.popitem(last=False)
                payload = self._newest[topic]
                # An empty topic needs no repeating after this connection.
                if not payload:
                    del self._newest[topic]
            if self._session.publish(topic, payload, qos=1, retain=True, on_acked=self._send_waiting):
                continue
            with self._lock:
                self._newest.setdefault(topic, payload)
                self._waiting.setdefault(topic, None)
            return

    def _came(self, received: Received) -> None:
        self._deliver(
            Delivery(
                received.topic,
                received.payload,
                received.retained,
                self._clock.now(),
                received,
            )
        )

    def _status(self, state: Literal["online", "offline"], time: datetime | None = None) -> bytes:
        return envelope.encode(Status(state=state, session=self._session_id, time=time))


def _qos(name: str) -> int:
    return BY_NAME[name].qos

"""Listens to the broker beside the collector and keeps what it heard, with the time at which it heard it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from shelf_contracts import topics
from shelf_contracts.envelope import SlotMessage, decode_plain, decode_slot_message
from shelf_contracts.errors import ContractError
from shelf_contracts.messages import Alert, NodeHealth
from shelf_mqtt.address import BrokerAddress
from shelf_mqtt.session import MqttSession, Received

_MOST_KEPT = 200_000


@dataclass(frozen=True)
class HeardMessage:
    """A message about a slot, and when it came (seconds since the epoch)."""

    bay: str
    slot: str
    message: SlotMessage
    heard_s: float


@dataclass(frozen=True)
class HeardAlert:
    """An alert's topic changed: an alert, or None when it was solved."""

    alert_id: str
    alert: Alert | None
    heard_s: float


class Observer:
    """One short-lived MQTT session; what it holds is bounded, the newest is left out and counted.

    Args:
        address: the demo's broker.
        store: which store to listen to.
    """

    def __init__(self, address: BrokerAddress, store: str) -> None:
        self._lock = threading.Lock()
        self._messages: list[HeardMessage] = []
        self._alerts: list[HeardAlert] = []
        self._health: NodeHealth | None = None
        self._unreadable = 0
        self._left_out = 0
        names = ("slot_event", "slot_stock", "alert_state", "node_health")
        self._session = MqttSession(
            address,
            client_id=f"observer-{store}",
            subscriptions=[(topics.subscription(name, store=store), 1) for name in names],
            on_message=self._hear,
            persistent=False,
        )

    def start(self) -> None:
        self._session.start()

    def stop(self) -> None:
        self._session.stop(2.0)

    @property
    def unreadable(self) -> int:
        """Messages that did not keep the contract."""
        return self._unreadable

    def heard(self) -> tuple[list[HeardMessage], list[HeardAlert], NodeHealth | None]:
        """Everything so far, in the order of arrival, and the node's last health message."""
        with self._lock:
            return list(self._messages), list(self._alerts), self._health

    def _hear(self, received: Received) -> None:
        try:
            address = topics.parse(received.topic)
            name, ids = address.row.name, address.ids
            with self._lock:
                if name == "node_health":
                    self._health = decode_plain(received.topic, received.payload, NodeHealth)
                elif len(self._messages) + len(self._alerts) >= _MOST_KEPT:
                    self._left_out += 1
                elif name == "alert_state":
                    alert = decode_plain(received.topic, received.payload, Alert) if received.payload else None
                    self._alerts.append(HeardAlert(ids["alert"], alert, received.received_at_s))
                else:
                    message = decode_slot_message(received.topic, received.payload)
                    self._messages.append(HeardMessage(ids["bay"], ids["slot"], message, received.received_at_s))
        except ContractError:
            self._unreadable += 1

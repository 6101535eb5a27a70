"""From the outbox to the broker: in order, as fast as it acknowledges, again after every reconnect."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel

from shelf_contracts import topics
from shelf_contracts.catalog import BY_NAME
from shelf_contracts.envelope import CONTENT_TYPE, encode
from shelf_contracts.messages import Status
from shelf_edge.core.reporting import moment
from shelf_edge.ports import Clock, Outbox
from shelf_mqtt.address import BrokerAddress, Will
from shelf_mqtt.session import MqttSession

log = logging.getLogger(__name__)

_BATCH = 100
_IDLE_S = 1.0
_FLUSH_S = 4.0


class MqttPublisher:
    """Owns the node's MQTT session.

    Args:
        address, store, node: where to, and who says it.
        session_id: the mark that the birth, the will and the goodbye of this start share.
        outbox: emptied in the order of its sequence.
        on_birth: called after each connect to say everything a newcomer must know (on the session's thread).
    """

    def __init__(
        self,
        address: BrokerAddress,
        store: str,
        node: str,
        session_id: str,
        outbox: Outbox,
        clock: Clock,
        on_birth: Callable[[], None],
    ) -> None:
        self._store = store
        self._node = node
        self._session_id = session_id
        self._outbox = outbox
        self._clock = clock
        self._on_birth = on_birth
        self._wake = threading.Event()
        self._stopping = False
        self._restart = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publish", daemon=True)
        status_topic = topics.build("node_status", store=store, node=node)
        self._session = MqttSession(
            address,
            client_id=f"node-{store}-{node}",
            will=Will(status_topic, self._status("offline", timed=False)),
            on_connected=self._connected,
        )

    def start(self) -> None:
        self._session.start()
        self._thread.start()

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._wake.set()

    def say(self, name: str, message: BaseModel, **ids: str) -> bool:
        """Publish a plain message past the outbox; False when it could not be taken (it is said again at birth)."""
        row = BY_NAME[name]
        return self._session.publish(
            topics.build(name, store=self._store, **ids),
            encode(message),
            qos=row.qos,
            retain=row.retain,
            expiry_s=row.expiry_s,
        )

    def stop(self) -> None:
        """Flush the outbox for a few seconds, say offline, disconnect; returns within 8 s."""
        deadline_s = self._clock.monotonic_s() + _FLUSH_S
        while self._session.is_connected and self._outbox.depth() and self._clock.monotonic_s() < deadline_s:
            self._wake.set()
            threading.Event().wait(0.02)
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        if self._session.is_connected:
            status = topics.build("node_status", store=self._store, node=self._node)
            self._session.publish(status, self._status("offline", timed=True), qos=1, retain=True)
            self._session.flush(1.0)
        self._session.stop(2.0)

    def _connected(self) -> None:
        status = topics.build("node_status", store=self._store, node=self._node)
        self._session.publish(status, self._status("online", timed=True), qos=1, retain=True)
        self._on_birth()
        self._restart.set()
        self._wake.set()

    def _status(self, state: Literal["online", "offline"], *, timed: bool) -> bytes:
        time = moment(self._clock.now_s()) if timed else None
        return Status(state=state, session=self._session_id, time=time).model_dump_json().encode()

    def _run(self) -> None:
        """Offer what waits, oldest first; what was handed over but not acknowledged is offered again on reconnect."""
        cursor = 0
        while not self._stopping:
            self._wake.wait(_IDLE_S)
            self._wake.clear()
            if self._restart.is_set():
                self._restart.clear()
                cursor = 0
            try:
                cursor = self._offer(cursor)
            except Exception:
                log.exception("the outbox could not be read; trying again")

    def _offer(self, cursor: int) -> int:
        while self._session.is_connected and not self._stopping and not self._restart.is_set():
            entries = self._outbox.pending(cursor, _BATCH)
            for entry in entries:
                taken = self._session.publish(
                    entry.topic,
                    entry.payload,
                    qos=1,
                    retain=entry.retain,
                    expiry_s=entry.expiry_s,
                    content_type=CONTENT_TYPE,
                    on_acked=self._remover(entry.sequence),
                )
                if not taken:
                    return cursor
                cursor = entry.sequence
            if len(entries) < _BATCH:
                return cursor
        return cursor

    def _remover(self, sequence: int) -> Callable[[], None]:
        def acked() -> None:
            self._outbox.remove(sequence)
            self._wake.set()

        return acked

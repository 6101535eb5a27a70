"""From the outbox to the broker, in order, until the collector says that it has it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from shelf_contracts import topics
from shelf_contracts.catalog import BY_NAME
from shelf_contracts.envelope import CONTENT_TYPE, decode_plain, encode
from shelf_contracts.errors import ContractError
from shelf_contracts.messages import (
    Acknowledgement,
    GalleryOffer,
    PlanogramOffer,
    ResendArguments,
    ResendCommand,
    Status,
    UpdateCommand,
)
from shelf_edge.core.reporting import moment
from shelf_edge.ports import Clock, GivenUp, NumberRange, Outbox, OutboxEntry, OutboxFull
from shelf_mqtt.address import BrokerAddress, Will
from shelf_mqtt.session import MqttSession, Received

log = logging.getLogger(__name__)

READ = ("node_ack", "node_resend", "node_update", "gallery_offer", "planogram_offer", "collector_status")

_BATCH = 100
_IDLE_S = 0.5
_FLUSH_S = 2.5
_SHORTEST_SILENCE_S = 3.0
_LONGEST_SILENCE_S = 60.0
_USUAL_TIMES = 4.0
_SMOOTHING = 0.25
_MOST_ASKED = 500
_ANSWERED_FOR_S = 30.0


@dataclass(frozen=True)
class PublisherCounters:
    """What the publisher did.

    Attributes:
        acknowledged: entries the collector acknowledged. resent: entries sent again because it asked.
        repeated: times everything unacknowledged was sent again because it kept silent.
        foreign: ranges asked for of a numbering that is not this node's; not answered.
    """

    acknowledged: int = 0
    resent: int = 0
    repeated: int = 0
    foreign: int = 0


class MqttPublisher:
    """Owns the node's MQTT session.

    A broker's acknowledgement only makes room for the next message. An entry leaves the outbox when the collector has
    acknowledged its number (``node_ack``); until then it is sent again after each reconnect, when the collector asks
    for it (``node_resend``), and when a collector that is online acknowledges nothing for four times as long as it
    lately took (3 to 60 s, doubling while nothing comes): a slow collector is not given more work than it has.

    Args:
        address, store, node: where to, and who says it.
        session_id: the mark that the birth, the will and the goodbye of this start share.
        outbox: emptied in the order of its sequence.
        on_birth: called after each connect to say everything a newcomer must know (on the session's thread).
        on_update: called with what the collector orders about models; must only hand it over.
        on_gallery: called with the gallery the collector offers; must only hand it over.
        on_planogram: called with the planograms it offers for ``bays``; must only hand them over.
        limitation: why the node does less well than it was meant to; its status is then ``degraded``.
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
        on_update: Callable[[UpdateCommand], None] = lambda _command: None,
        on_gallery: Callable[[GalleryOffer], None] = lambda _offer: None,
        limitation: Callable[[], str] = lambda: "",
        on_planogram: Callable[[PlanogramOffer], None] = lambda _offer: None,
        bays: Sequence[str] = (),
    ) -> None:
        self._store = store
        self._node = node
        self._session_id = session_id
        self._outbox = outbox
        self._clock = clock
        self._on_birth = on_birth
        self._on_update = on_update
        self._on_gallery = on_gallery
        self._limitation = limitation
        self._on_planogram = on_planogram
        self._wake = threading.Event()
        self._stopping = False
        self._restart = threading.Event()
        self._lock = threading.Lock()
        self._came: dict[tuple[str, int], Acknowledgement] = {}
        self._asked: deque[tuple[str, NumberRange]] = deque(maxlen=_MOST_ASKED)
        self._answered: dict[tuple[str, NumberRange], float] = {}
        self._collector = ""
        self._cursor = 0
        self._farthest = 0
        self._progress_s = clock.monotonic_s()
        self._silence_s = _SHORTEST_SILENCE_S
        self._usual_s = 0.0
        self._timed: tuple[int, float] | None = None
        self.counters = PublisherCounters()
        self._thread = threading.Thread(target=self._run, name="publish", daemon=True)
        self._topics = {
            topics.build("node_ack", store=store, node=node): self._acknowledgement_came,
            topics.build("node_resend", store=store, node=node): self._resend_came,
            topics.build("node_update", store=store, node=node): self._update_came,
            topics.build("gallery_offer", store=store): self._gallery_came,
            topics.build("collector_status", store=store): self._collector_status_came,
        }
        for bay in bays:
            self._topics[topics.build("planogram_offer", store=store, bay=bay)] = self._planogram_came
        status_topic = topics.build("node_status", store=store, node=node)
        self._session = MqttSession(
            address,
            client_id=f"node-{store}-{node}",
            will=Will(status_topic, self._status("offline", timed=False)),
            subscriptions=[(topic, 1) for topic in self._topics],
            on_message=self._message_came,
            on_connected=self._connected,
        )

    def start(self) -> None:
        self._session.start()
        self._thread.start()

    @property
    def is_connected(self) -> bool:
        return self._session.is_connected

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

    def clear(self, name: str, **ids: str) -> bool:
        """Empty a retained topic: there is nothing any more. False when it could not be taken."""
        return self._session.publish(topics.build(name, store=self._store, **ids), b"", qos=1, retain=True)

    def say_health(self, message: BaseModel) -> None:
        """Publish a health message, or keep it for a while when nobody hears it."""
        if not self.say("node_health", message, node=self._node):
            self._outbox.append_health(topics.build("node_health", store=self._store, node=self._node), encode(message))

    def stop(self) -> None:
        """Hand what waits to the broker for a moment, say offline, disconnect; returns within 7 s.

        What the collector has not acknowledged by then is on disk, and is sent again at the next start.
        """
        deadline_s = self._clock.monotonic_s() + _FLUSH_S
        while self._session.is_connected and self._clock.monotonic_s() < deadline_s:
            if self._cursor >= self._outbox.last_sequence or not self._outbox.pending(self._cursor, 1):
                break
            self._wake.set()
            threading.Event().wait(0.02)
        if self._session.is_connected:
            self._session.flush(max(0.1, deadline_s - self._clock.monotonic_s()))
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        if self._session.is_connected:
            status = topics.build("node_status", store=self._store, node=self._node)
            self._session.publish(status, self._status("offline", timed=True), qos=1, retain=True)
            self._session.flush(1.0)
        self._session.stop(2.0)

    # -- on the session's threads --------------------------------------------------------------------------------

    def _connected(self) -> None:
        status = topics.build("node_status", store=self._store, node=self._node)
        self._session.publish(status, self._status("online", timed=True), qos=1, retain=True)
        self._on_birth()
        for topic, payload in self._outbox.take_health():
            self._session.publish(topic, payload, qos=0, expiry_s=BY_NAME["node_health"].expiry_s)
        self._restart.set()
        self._wake.set()

    def _message_came(self, received: Received) -> None:
        handler = self._topics.get(received.topic)
        if handler is None or not received.payload:
            return
        try:
            handler(received)
        except ContractError as error:
            log.warning("set aside: %s", error)
        self._wake.set()

    def _acknowledgement_came(self, received: Received) -> None:
        message = decode_plain(received.topic, received.payload, Acknowledgement)
        with self._lock:
            # Cumulative: of one beginning only the farthest counts.
            held = self._came.get((message.numbering, message.first))
            if held is None or held.through < message.through:
                self._came[message.numbering, message.first] = message
            while len(self._came) > _MOST_ASKED:
                self._came.pop(next(iter(self._came)))

    def _resend_came(self, received: Received) -> None:
        arguments: ResendArguments = decode_plain(received.topic, received.payload, ResendCommand).args
        with self._lock:
            known = set(self._asked)
            for one in arguments.ranges:
                asked = (arguments.numbering, (one.first, one.last))
                if asked not in known:
                    self._asked.append(asked)

    def _update_came(self, received: Received) -> None:
        self._on_update(decode_plain(received.topic, received.payload, UpdateCommand))

    def _gallery_came(self, received: Received) -> None:
        self._on_gallery(decode_plain(received.topic, received.payload, GalleryOffer))

    def _planogram_came(self, received: Received) -> None:
        offer = decode_plain(received.topic, received.payload, PlanogramOffer)
        if offer.bay == topics.parse(received.topic).ids["bay"]:
            self._on_planogram(offer)

    def _collector_status_came(self, received: Received) -> None:
        message = decode_plain(received.topic, received.payload, Status)
        session = message.session if message.state != "offline" else ""
        if message.state == "offline" and message.session != self._collector:
            return  # a late will of an old session
        if session and session != self._collector:
            self._silence_s = max(_SHORTEST_SILENCE_S, min(_LONGEST_SILENCE_S, _USUAL_TIMES * self._usual_s))
            self._progress_s = self._clock.monotonic_s()
        self._collector = session

    # -- on the publisher's own thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        """Offer what waits, oldest first, and deal with what the collector said."""
        while not self._stopping:
            self._wake.wait(_IDLE_S)
            self._wake.clear()
            try:
                if self._restart.is_set():
                    self._restart.clear()
                    self._from_the_beginning()
                self._forget_acknowledged()
                self._answer()
                self._repeat_after_silence()
                self._offer()
            except Exception:
                log.exception("the outbox could not be worked; trying again")
                threading.Event().wait(_IDLE_S)

    def _from_the_beginning(self) -> None:
        self._cursor = 0
        self._timed = None
        self._progress_s = self._clock.monotonic_s()

    def _forget_acknowledged(self) -> None:
        with self._lock:
            came, self._came = list(self._came.values()), {}
        for message in came:
            before = self._outbox.numbering
            try:
                gone = self._outbox.acknowledge(message.numbering, message.first, message.through)
            except OutboxFull as full:
                log.error("%s", full)
                with self._lock:
                    self._came.setdefault((message.numbering, message.first), message)
                continue
            if message.numbering == before:
                # Also when it moved nothing: the collector hears us, and asks for what it misses before that.
                self._progress_s = self._clock.monotonic_s()
            if gone:
                self._count(acknowledged=gone)
                self._learn_delay(message.through)
            if self._outbox.numbering != before:
                self._from_the_beginning()

    def _learn_delay(self, through: int) -> None:
        """Time one message at a time, from sending to acknowledgement; one that was sent twice says nothing."""
        if self._timed is None or self._timed[0] > through:
            return
        took_s = self._clock.monotonic_s() - self._timed[1]
        self._timed = None
        self._usual_s = took_s if not self._usual_s else self._usual_s + _SMOOTHING * (took_s - self._usual_s)
        self._silence_s = min(_LONGEST_SILENCE_S, max(_SHORTEST_SILENCE_S, _USUAL_TIMES * self._usual_s))

    def _answer(self) -> None:
        """Send again what the collector misses, and say what is gone."""
        now_s = self._clock.monotonic_s()
        self._answered = {asked: at for asked, at in self._answered.items() if now_s - at < _ANSWERED_FOR_S}
        while self._session.is_connected and not self._stopping:
            with self._lock:
                if not self._asked:
                    return
                numbering, asked = self._asked.popleft()
            if numbering != self._outbox.numbering:
                if self._outbox.was_ours(numbering):
                    self._say_gone(numbering, asked, GivenUp(lost=(asked,)))
                else:
                    self._ignore_foreign(numbering)
                continue
            entries = self._outbox.within(asked, _BATCH)
            for entry in entries:
                if not self._send(entry):
                    with self._lock:
                        self._asked.appendleft((numbering, (entry.sequence, asked[1])))
                    return
                self._count(resent=1)
            if len(entries) == _BATCH and entries[-1].sequence < asked[1]:
                with self._lock:
                    self._asked.appendleft((numbering, (entries[-1].sequence + 1, asked[1])))
                asked = (asked[0], entries[-1].sequence)
            missing = self._outbox.missing(asked)
            if not missing.is_empty:
                self._say_gone(numbering, asked, missing)

    def _ignore_foreign(self, numbering: str) -> None:
        """Numbers that were never ours: somebody else spoke in our name, or the disk that had them is another one.

        To say that they are gone would be to confirm a loss that never was.
        """
        if not self.counters.foreign:
            log.error("asked for numbers of the numbering %r, which is not ours: not answered", numbering)
        self._count(foreign=1)

    def _say_gone(self, numbering: str, asked: NumberRange, gone: GivenUp) -> None:
        if (numbering, asked) in self._answered:
            return
        log.error("the collector asked for %d to %d, which are gone", *asked)
        try:
            self._outbox.append_notice("gone", gone, numbering, "the collector asked for it")
        except OutboxFull:
            return  # it asks again
        self._answered[numbering, asked] = self._clock.monotonic_s()

    def _repeat_after_silence(self) -> None:
        """A broker may drop what it acknowledged: a collector that is there and says nothing has not got it."""
        now_s = self._clock.monotonic_s()
        if not (self._session.is_connected and self._collector) or not self._outbox.depth():
            self._progress_s = now_s
            return
        if now_s - self._progress_s < self._silence_s:
            return
        self._silence_s = min(_LONGEST_SILENCE_S, 2 * self._silence_s)
        self._from_the_beginning()
        self._count(repeated=1)

    def _offer(self) -> None:
        while self._session.is_connected and not self._stopping and not self._restart.is_set():
            entries = self._outbox.pending(self._cursor, _BATCH)
            for entry in entries:
                if not self._send(entry):
                    return
                if self._timed is None and entry.sequence > self._farthest:
                    self._timed = entry.sequence, self._clock.monotonic_s()
                self._cursor = entry.sequence
                self._farthest = max(self._farthest, entry.sequence)
            if len(entries) < _BATCH:
                return

    def _send(self, entry: OutboxEntry) -> bool:
        return self._session.publish(
            entry.topic,
            entry.payload,
            qos=1,
            retain=entry.retain,
            expiry_s=entry.expiry_s,
            content_type=CONTENT_TYPE,
            on_acked=self._wake.set,
        )

    def _count(self, *, acknowledged: int = 0, resent: int = 0, repeated: int = 0, foreign: int = 0) -> None:
        now = self.counters
        self.counters = PublisherCounters(
            now.acknowledged + acknowledged, now.resent + resent, now.repeated + repeated, now.foreign + foreign
        )

    def _status(self, state: Literal["online", "offline"], *, timed: bool) -> bytes:
        time = moment(self._clock.now_s()) if timed else None
        text = self._limitation()[:300] if state == "online" else ""
        told = "degraded" if text else state
        return Status(state=told, session=self._session_id, time=time, text=text).model_dump_json().encode()

"""Which protocol version to try next: MQTT 5 first, 3.1.1 for brokers that lack it, then what worked."""

from __future__ import annotations

from paho.mqtt.enums import MQTTProtocolVersion

V5 = MQTTProtocolVersion.MQTTv5
V311 = MQTTProtocolVersion.MQTTv311

_PATIENCE = 3


class VersionChoice:
    """Pure: told how each attempt ended, says which version the next one should speak."""

    def __init__(self) -> None:
        self._next = V5
        self._worked = False
        self._doubts = 0

    @property
    def version(self) -> MQTTProtocolVersion:
        """The version to try now."""
        return self._next

    def worked(self) -> None:
        """The broker accepted this version; it is kept."""
        self._worked = True
        self._doubts = 0

    def unsupported(self) -> bool:
        """The broker answered as one that lacks this version; True when the other one should be tried at once.

        A version that worked before is given up only after three such answers: a broker that is being restarted
        closes connections without an answer too.
        """
        self._doubts += 1
        if self._worked and self._doubts < _PATIENCE:
            return False
        self._worked = False
        was_v5 = self._next == V5
        self._next = V311 if was_v5 else V5
        self._doubts = 0
        # From 3.1.1 back to 5 only after a pause, or two refusals would chase one another without end.
        return was_v5

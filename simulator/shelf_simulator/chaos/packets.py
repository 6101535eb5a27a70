"""MQTT packets in a stream of bytes, as far as a disturber needs to know them: where one ends, and what it is."""

from __future__ import annotations

from dataclasses import dataclass

_PUBLISH = 3
_LARGEST_LENGTH_BYTES = 4


@dataclass(frozen=True)
class Packet:
    """One packet, whole."""

    content: bytes

    @property
    def is_repeatable(self) -> bool:
        """A QoS 1 publish: receivers must stand a second one, and another order."""
        return self.content[0] >> 4 == _PUBLISH and self.content[0] >> 1 & 0b11 == 1


def split(stream: bytearray) -> list[Packet]:
    """Take all whole packets from the beginning of the stream; the rest stays in it.

    >>> stream = bytearray.fromhex("c000 d000 30")
    >>> [packet.content.hex() for packet in split(stream)], stream.hex()
    (['c000', 'd000'], '30')

    Raises: ValueError when it is no MQTT.
    """
    packets = []
    while (end := _end_of_first(stream)) is not None and end <= len(stream):
        packets.append(Packet(bytes(stream[:end])))
        del stream[:end]
    return packets


def _end_of_first(stream: bytearray) -> int | None:
    length = 0
    for index in range(1, 1 + _LARGEST_LENGTH_BYTES):
        if index >= len(stream):
            return None
        length |= (stream[index] & 0x7F) << 7 * (index - 1)
        if not stream[index] & 0x80:
            return index + 1 + length
    raise ValueError("not MQTT: a remaining length of more than four bytes")

"""A tap on a wire: forwards TCP to a server and keeps every byte a client sent; and an eye for pictures in bytes."""

from __future__ import annotations

import contextlib
import math
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = {
    "JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG", "GIF": b"GIF8", "WebP": b"WEBPVP8", "TIFF": b"II*\x00",
    "H.264": b"\x00\x00\x00\x01\x67", "H.264 short": b"\x00\x00\x01\x67", "H.265": b"\x00\x00\x00\x01\x40\x01",
    "MP4": b"ftyp", "Matroska": b"\x1aE\xdf\xa3", "gzip": b"\x1f\x8b\x08", "zlib": b"\x78\x9c", "zip": b"PK\x03\x04",
    "JPEG in base64": b"/9j/", "JPEG in base64 for addresses": b"_9j_", "PNG in base64": b"iVBORw0KGgo",
    "WebP in base64": b"UklGR", "GIF in base64": b"R0lGOD", "JPEG in hex": b"ffd8ffe", "PNG in hex": b"89504e470d0a",
}  # fmt: skip
_RUN = re.compile(rb"[A-Za-z0-9+/=_-]{129,}")
_WINDOW_BYTES = 512
_MOST_BITS = 6.2
LARGEST_MESSAGE_BYTES = 64 * 1024


def picture_signs(data: bytes) -> list[str]:
    """Everything in these bytes that may be a picture: beginnings of formats, long codes, blocks like noise.

    JSON has about 5 bits a byte, base64 six, compressed data nearly eight.
    """
    found = [name for name, magic in _MAGIC.items() if magic in data]
    found += [f"{len(run)} characters of code" for run in _RUN.findall(data)]
    if len(data) > LARGEST_MESSAGE_BYTES:
        found.append(f"{len(data)} bytes")
    for start in range(0, max(1, len(data) - _WINDOW_BYTES + 1), _WINDOW_BYTES // 2):
        block = data[start : start + _WINDOW_BYTES]
        if len(block) == _WINDOW_BYTES and entropy_bits(block) > _MOST_BITS:
            found.append(f"noise at byte {start}")
            break
    return found


def entropy_bits(block: bytes) -> float:
    """Shannon entropy in bits a byte."""
    shares = [count / len(block) for count in Counter(block).values()]
    return -sum(share * math.log2(share) for share in shares)


@dataclass(frozen=True)
class Said:
    """A PUBLISH packet."""

    topic: str
    payload: bytes


class Tap:
    """Listens on a free port of the loopback; ``sent`` is what each connection's client sent so far."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.sent: list[bytearray] = []
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True, name="tap").start()

    def close(self) -> None:
        for one in [self._server, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
                server = socket.create_connection(self._target, 5)
            except OSError:
                return
            kept = bytearray()
            self.sent.append(kept)
            self._open += [client, server]
            for source, target, record in ((client, server, kept), (server, client, None)):
                threading.Thread(target=_pump, args=(source, target, record), daemon=True, name="tap").start()

    def published(self) -> list[Said]:
        """Every PUBLISH of every connection."""
        return [said for kept in self.sent for said in _publishes(bytes(kept))]


def _pump(source: socket.socket, target: socket.socket, record: bytearray | None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            if record is not None:
                record += data
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _publishes(data: bytes) -> Iterator[Said]:
    is_5 = False
    for kind, body in _packets(data):
        if kind >> 4 == 1:
            is_5 = body[6] == 5
        elif kind >> 4 == 3:
            length = int.from_bytes(body[:2], "big")
            topic, at = body[2 : 2 + length].decode(), 2 + length + (2 if kind & 0x06 else 0)
            if is_5:
                size, used = _varint(body, at)
                at += used + size
            yield Said(topic, body[at:])


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 2 <= len(data):
        size, used = _varint(data, at + 1)
        start = at + 1 + used
        if start + size > len(data):
            return
        yield data[at], data[start : start + size]
        at = start + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = used = 0
    while True:
        byte = data[at + used]
        value |= (byte & 0x7F) << shift
        shift, used = shift + 7, used + 1
        if not byte & 0x80:
            return value, used

"""Hears all frames on the switch of a test network until SIGTERM; then prints what it found as JSON."""

from __future__ import annotations

import json
import signal
import socket
import sys

_EVERYTHING = 0x0003
_WORDS = [b"smartshelf/", b"smartshelf.v1", b"FORGED", b"PRIVATE KEY", b"se1."]


def main() -> None:
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    found = {word.decode(): 0 for word in _WORDS}
    frames = octets = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024 * 1024)
        wire.settimeout(0.2)
        sys.stdout.write("hearing\n")
        sys.stdout.flush()
        while not stop:
            try:
                frame = wire.recv(65_535)
            except TimeoutError:
                continue
            frames += 1
            octets += len(frame)
            for word in _WORDS:
                found[word.decode()] += word in frame
    sys.stdout.write(json.dumps({"frames": frames, "octets": octets, "found": found}) + "\n")


if __name__ == "__main__":
    main()

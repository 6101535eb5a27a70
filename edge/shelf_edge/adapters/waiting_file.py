"""Where events wait that a full disk keeps out of the outbox: a file whose room was taken while there was some."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from shelf_edge.ports import WaitingEvent

log = logging.getLogger(__name__)

_SIZE_BYTES = 1024 * 1024
_HEAD_BYTES = 512


@dataclass
class _Head:
    """``start`` to ``end``: the records in the file. ``beyond``: events that found no room, in memory only.

    ``number`` is the last one given; ``refused`` counts all events that gave way, ever; ``told`` those told of.
    """

    start: int = _HEAD_BYTES
    end: int = _HEAD_BYTES
    number: int = 0
    beyond: int = 0
    refused: int = 0
    told: int = 0


class WaitingFile:
    """Events in the order they were said, oldest first out; overwritten in place, so that it needs no new room.

    A record is a line; the head is one block, written after it. Both are synced before a call returns. An event that
    finds no room is counted, so that its loss is known after a restart. Never raises: without its file it only
    counts, and says so.
    """

    def __init__(self, path: Path, size_bytes: int = _SIZE_BYTES) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._head = _Head()
        self._lengths: list[int] = []
        self._file = -1
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if os.fstat(self._file).st_size < size_bytes:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(self._file, 0, size_bytes)
                else:
                    os.ftruncate(self._file, size_bytes)
        except OSError as error:
            log.critical("%s: %s; while the disk is full, events are in memory only", path, error)
        self._read_head()

    @property
    def refused(self) -> int:
        """Events that gave way, ever."""
        return self._head.refused

    @property
    def told(self) -> int:
        """How many of those the collector was told of."""
        return self._head.told

    @property
    def beyond(self) -> int:
        """Events that are in memory only."""
        return self._head.beyond

    def load(self, written: int, told: int) -> list[WaitingEvent]:
        """What waits since an earlier run, without what is in the outbox up to number ``written``.

        The outbox knows of ``told`` refused events that the collector heard of. What was in that run's memory only is
        gone, and counts as refused.
        """
        head = self._head
        head.number = max(head.number, written)
        if head.refused < told:  # this file began anew
            head.refused += told
        head.told = max(head.told, told)
        found: list[WaitingEvent] = []
        for line in self._read(head.start, head.end - head.start).splitlines(keepends=True):
            try:
                event = WaitingEvent(**json.loads(line))
            except (ValueError, TypeError):
                head.refused += 1  # a damaged line is an event all the same
                event = None
            if event is None or event.number <= written:
                head.start += len(line)
                continue
            found.append(event)
            self._lengths.append(len(line))
        head.refused += head.beyond
        head.beyond = 0
        self._write_head()
        return found

    def push(self, bay: str, slot: str, time_s: float, data: str) -> WaitingEvent:
        """Keep an event behind all others."""
        head = self._head
        head.number += 1
        event = WaitingEvent(head.number, bay, slot, time_s, data)
        line = json.dumps(asdict(event)).encode() + b"\n"
        if not self._lengths and not head.beyond:
            head.start = head.end = _HEAD_BYTES
        if head.beyond or head.end + len(line) > self._size_bytes or not self._write(head.end, line):
            head.beyond += 1
        else:
            head.end += len(line)
            self._lengths.append(len(line))
        self._write_head()
        return event

    def pop(self, *, refused: bool) -> None:
        """The oldest event is in the outbox, or (``refused``) gives way."""
        if self._lengths:
            self._head.start += self._lengths.pop(0)
        elif self._head.beyond:
            self._head.beyond -= 1
        self._head.refused += refused
        self._write_head()

    def tell(self, refused: int) -> None:
        """The collector is told of so many refused events, ever."""
        self._head.told = refused
        self._head.refused = max(self._head.refused, refused)
        self._write_head()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read_head(self) -> None:
        raw = self._read(0, _HEAD_BYTES).rstrip(b"\0 \n")
        if not raw:
            return
        try:
            self._head = _Head(**json.loads(raw))
        except (ValueError, TypeError):
            log.error("%s: its head is damaged; what waited in it is counted as one event", self._path)
            self._head.refused = 1

    def _write_head(self) -> None:
        self._write(0, json.dumps(asdict(self._head)).encode().ljust(_HEAD_BYTES - 1) + b"\n")

    def _read(self, offset: int, length: int) -> bytes:
        with contextlib.suppress(OSError):
            if self._file >= 0 and hasattr(os, "pread"):
                return os.pread(self._file, length, offset)
        return b""

    def _write(self, offset: int, content: bytes) -> bool:
        try:
            if self._file < 0 or not hasattr(os, "pwrite"):
                return False
            os.pwrite(self._file, content, offset)
            os.fsync(self._file)
        except OSError as error:
            log.critical("%s: %s", self._path, error)
            return False
        return True

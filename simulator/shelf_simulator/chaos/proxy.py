"""A cable between a client and the broker that can be cut, and that can repeat and reorder what it carries."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
from typing import Literal

from shelf_simulator.chaos.packets import Packet, split

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
Cut = Literal["stalled", "refused"]
"""``stalled``: nothing passes, the connection seems to live. ``refused``: connections break and none can be made."""

_READ_BYTES = 65_536
_REPEAT_SHARE = 0.2
_OVERTAKEN_SHARE = 0.2
_HELD_S = 0.2
_POLL_S = 0.05


class Cable:
    """One listening port that leads to the broker. Its switches may be set from any thread."""

    def __init__(self, target_port: int, seed: str) -> None:
        self.port = 0
        self.cut: Cut | None = None
        self.is_shuffling = False
        self.repeated = 0
        self.overtaken = 0
        self._target_port = target_port
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.break_connections()

    def break_connections(self) -> None:
        """Call on the loop's thread."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.cut == "refused":
            writer.transport.abort()
            return
        try:
            broker_reader, broker_writer = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, broker_writer}
        self._writers |= pair
        there = asyncio.create_task(self._carry(reader, broker_writer))
        back = asyncio.create_task(self._carry(broker_reader, writer))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._writers -= pair
            for one in pair:
                one.transport.abort()
            for task in (there, back):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError, ValueError):
                    await task

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = bytearray()
        held: list[Packet] = []
        reading = asyncio.ensure_future(reader.read(_READ_BYTES))
        try:
            while True:
                done, _ = await asyncio.wait({reading}, timeout=_HELD_S if held else None)
                while self.cut == "stalled":
                    await asyncio.sleep(_POLL_S)
                if not done:
                    self._pass_on(writer, held)
                    held = []
                    continue
                data = reading.result()
                if not data:
                    return
                stream += data
                for packet in split(stream):
                    held = self._pass(writer, packet, held)
                await writer.drain()
                reading = asyncio.ensure_future(reader.read(_READ_BYTES))
        except OSError:
            return
        finally:
            reading.cancel()

    def _pass(self, writer: asyncio.StreamWriter, packet: Packet, held: list[Packet]) -> list[Packet]:
        """Carry one packet; returns what is held back for later."""
        if not (self.is_shuffling and packet.is_repeatable):
            self._pass_on(writer, [packet])
            # What was held back may be overtaken by some packets, not by all.
            if held and self._random.random() < _OVERTAKEN_SHARE:
                self._pass_on(writer, held)
                return []
            return held
        if self._random.random() < _OVERTAKEN_SHARE:
            self.overtaken += 1
            return [*held, packet]
        self._pass_on(writer, [packet])
        if self._random.random() < _REPEAT_SHARE:
            self.repeated += 1
            self._pass_on(writer, [packet])
        if held and self._random.random() < 2 * _OVERTAKEN_SHARE:
            self._random.shuffle(held)
            self._pass_on(writer, held)
            return []
        return held

    def _pass_on(self, writer: asyncio.StreamWriter, packets: list[Packet]) -> None:
        for packet in packets:
            if not writer.is_closing():
                writer.write(packet.content)


class Cables:
    """All cables of a rehearsal, on one thread of their own. A context manager."""

    def __init__(self, names: list[str], target_port: int, seed: int) -> None:
        self.by_name = {name: Cable(target_port, f"{seed}/{name}") for name in names}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cables", daemon=True)

    def __enter__(self) -> Cables:
        self._thread.start()
        for cable in self.by_name.values():
            asyncio.run_coroutine_threadsafe(cable.open(), self._loop).result(5.0)
        return self

    def __exit__(self, *error: object) -> None:
        for cable in self.by_name.values():
            cable.cut = None
            asyncio.run_coroutine_threadsafe(cable.close(), self._loop).result(5.0)
        asyncio.run_coroutine_threadsafe(self._end_tasks(), self._loop).result(5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        self._loop.close()

    async def _end_tasks(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def cut(self, name: str, how: Cut) -> None:
        cable = self.by_name[name]
        cable.cut = how
        if how == "refused":
            self._loop.call_soon_threadsafe(cable.break_connections)

    def mend(self, name: str) -> None:
        self.by_name[name].cut = None

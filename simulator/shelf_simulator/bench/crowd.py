"""Many displays without a page: each holds the event stream that a page would, and notes what comes and when."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from datetime import datetime

import httpx

from shelf_simulator.bench.wall_figures import Sight

_PAUSE_S = 0.5
_SILENCE_S = 40.0
_STOP_S = 5.0
_MOST_SIGHTS = 2_000_000


class Crowd:
    """All displays on one thread with one event loop. Use as a context manager."""

    def __init__(self, web: str, displays: Sequence[str]) -> None:
        self._web = web
        self._displays = displays
        self._newest_s = dict.fromkeys(displays, 0.0)
        self._open: set[str] = set()
        self._sights: list[Sight] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen_all()), name="crowd", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self.reconnects = 0

    def __enter__(self) -> Crowd:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_STOP_S)

    @property
    def connected(self) -> int:
        """Displays that have had the present state."""
        return len(self._open)

    def newest_s(self, display: str) -> float:
        """Capture time of the newest frame that the display knows of, seconds since the epoch; 0 when of none."""
        return self._newest_s[display]

    def sights(self) -> list[Sight]:
        """Everything that came so far, in the order in which it came."""
        return list(self._sights)

    async def _listen_all(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        timeout = httpx.Timeout(30.0, read=_SILENCE_S)
        async with httpx.AsyncClient(base_url=self._web, limits=limits, timeout=timeout, trust_env=False) as client:
            tasks = [asyncio.create_task(self._listen_on(client, display)) for display in self._displays]
            await self._end.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen_on(self, client: httpx.AsyncClient, display: str) -> None:
        while True:
            try:
                await self._listen(client, display)
            except httpx.HTTPError:
                self.reconnects += 1
            self._open.discard(display)
            await asyncio.sleep(_PAUSE_S)

    async def _listen(self, client: httpx.AsyncClient, display: str) -> None:
        async with client.stream("GET", "/stream", params={"topics": f"display/{display}"}) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line.startswith("data: ") and '"panels"' in line:
                    self._take(display, line.removeprefix("data: "), time.time())

    def _take(self, display: str, data: str, now_s: float) -> None:
        self._open.add(display)
        captured = json.loads(data)["captured_at"]
        if captured is None or len(self._sights) >= _MOST_SIGHTS:
            return
        captured_s = datetime.fromisoformat(captured).timestamp()
        self._newest_s[display] = max(self._newest_s[display], captured_s)
        self._sights.append(Sight(display, captured_s, now_s))

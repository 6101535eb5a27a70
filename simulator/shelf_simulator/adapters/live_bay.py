"""One bay, live: a thread that steps its world by the wall clock and publishes its frames."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from shelf_contracts.files import write_json
from shelf_simulator.adapters.live_view import LiveView
from shelf_simulator.adapters.mjpeg_server import EncodedFrame, LatestFrame
from shelf_simulator.adapters.optics import LIVE_QUALITY, encoded
from shelf_simulator.adapters.truth_files import TruthWriter, first_counts
from shelf_simulator.core.design import build_planogram
from shelf_simulator.core.world import World

log = logging.getLogger(__name__)

_IDLE_EVERY_S = 1.0
_MOST_BEHIND_S = 5.0


@dataclass(frozen=True)
class BayHealth:
    """Counters of one bay since its start."""

    bay: str
    steps: int
    frames: int
    skipped: int
    behind_s: float
    render_ms: float
    alive: bool


class LiveBay:
    """Steps a world at ``fps`` and renders when somebody looks; when it is late it steps without rendering.

    Writes ``planogram-{bay}.json`` and ``truth-{bay}.jsonl`` into ``out``.
    """

    def __init__(self, world: World, *, fps: float, seed: int, out: Path) -> None:
        self._world = world
        self._dt_s = 1.0 / fps
        self._view = LiveView(world, seed)
        self._out = out
        self.frames = LatestFrame()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"bay-{world.design.bay}", daemon=True)
        self._steps = self._rendered = self._skipped = 0
        self._behind_s = self._render_ms = 0.0
        self.failure: BaseException | None = None

    def start(self) -> None:
        write_json(self._out / f"planogram-{self._world.design.bay}.json", build_planogram(self._world.design))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.frames.close()
        self._thread.join(timeout=2.0)

    @property
    def health(self) -> BayHealth:
        return BayHealth(
            self._world.design.bay, self._steps, self._rendered, self._skipped, round(self._behind_s, 3),
            round(self._render_ms, 2), self._thread.is_alive(),
        )  # fmt: skip

    def _run(self) -> None:
        try:
            self._live()
        except Exception as error:
            log.exception("bay %s stopped", self._world.design.bay)
            self.failure = error

    def _live(self) -> None:
        world = self._world
        epoch_unix, epoch = time.time(), time.monotonic()
        last_idle = 0.0
        with TruthWriter(self._out / f"truth-{world.design.bay}.jsonl", epoch_unix) as truth:
            truth.write(first_counts(world.design.bay, world.initial_counts))
            while not self._stop.is_set():
                due = epoch + world.now_s + self._dt_s
                wait = due - time.monotonic()
                if wait > 0 and self._stop.wait(wait):
                    break
                truth.write(world.step(self._dt_s))
                self._steps += 1
                self._behind_s = max(0.0, time.monotonic() - due)
                if self._behind_s > _MOST_BEHIND_S:
                    # Asleep or starved for long: live on from now instead of rushing through what was missed.
                    log.warning("bay %s is %.1f s behind; its clock moves on", world.design.bay, self._behind_s)
                    epoch += self._behind_s
                    epoch_unix += self._behind_s
                    truth.epoch_unix = epoch_unix
                elif self._behind_s > self._dt_s:
                    self._skipped += 1
                    continue
                now = time.monotonic()
                if self.frames.wanted or now - last_idle >= _IDLE_EVERY_S:
                    last_idle = now
                    self._render(epoch_unix + world.now_s)

    def _render(self, world_unix: float) -> None:
        began = time.perf_counter()
        captured = time.time()
        jpeg = encoded(self._view.capture(), LIVE_QUALITY)
        self._rendered += 1
        self.frames.put(EncodedFrame(self._steps, captured, jpeg))
        took = (time.perf_counter() - began) * 1000
        self._render_ms = took if self._render_ms == 0 else 0.95 * self._render_ms + 0.05 * took
        if abs(captured - world_unix) > 1.0:
            log.debug("frame %d shows the world of %.3f s ago", self._steps, captured - world_unix)

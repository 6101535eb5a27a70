"""Planograms that were saved on /calibrate: kept as they are offered, and offered to the node of their bay.

What was never saved on the page is not offered: its node uses the file that its configuration names.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path

from shelf_collector.ports import Bus, Clock
from shelf_contracts import topics
from shelf_contracts.envelope import encode
from shelf_contracts.errors import ContractError
from shelf_contracts.files import read_model, write_json
from shelf_contracts.messages import PlanogramOffer
from shelf_contracts.planogram import Planogram

log = logging.getLogger(__name__)

ADDRESS = "planograms"
_MOST_KEPT = 4
"""Of a bay, so that a node which fetches the one before is not refused."""


class PlanogramOffers:
    """Any thread may call.

    Args:
        folder: keeps ``BAY.json``, as offered.
        url: where nodes reach the collector, without a closing slash.
    """

    def __init__(self, folder: Path, url: str, bus: Bus, clock: Clock, store: str) -> None:
        self._folder = folder
        self._url = url
        self._bus = bus
        self._clock = clock
        self._store = store
        self._lock = threading.Lock()
        self._contents: dict[str, dict[str, bytes]] = {}

    def start(self) -> None:
        """Offer again what was offered last: the broker may have forgotten."""
        for file in sorted(self._folder.glob("*.json")):
            try:
                self._post(read_model(file, Planogram), file.read_bytes())
            except (ContractError, OSError) as error:
                log.error("this planogram is not offered: %s", error)

    def offer(self, plan: Planogram) -> None:
        """Keep it, and tell the node of its bay. Raises: OSError, FileProblems."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{plan.bay}.json"
        write_json(file, plan)
        self._post(plan, file.read_bytes())

    def content(self, sha256: str) -> bytes | None:
        """A file that nodes may fetch."""
        with self._lock:
            return next((kept[sha256] for kept in self._contents.values() if sha256 in kept), None)

    def _post(self, plan: Planogram, raw: bytes) -> None:
        sha256 = hashlib.sha256(raw).hexdigest()
        with self._lock:
            kept = self._contents.setdefault(plan.bay, {})
            kept.pop(sha256, None)
            kept[sha256] = raw
            while len(kept) > _MOST_KEPT:
                kept.pop(next(iter(kept)))
        offer = PlanogramOffer(
            bay=plan.bay, revision=plan.revision, sha256=sha256, size_bytes=len(raw), at=self._clock.now(),
            url=f"{self._url}/{ADDRESS}/{sha256}",
        )  # fmt: skip
        log.info("planogram of bay %s: revision %d offered to its node", plan.bay, plan.revision)
        self._bus.post(topics.build("planogram_offer", store=self._store, bay=plan.bay), encode(offer))

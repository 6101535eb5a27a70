"""Bays set up from a photo: what stands there is proposed, corrected by a person, and saved as a planogram.

The photo is looked at and forgotten. A planogram is checked as a whole before it takes the place of another, which is
kept beside it.
"""

from __future__ import annotations

import threading
from pathlib import Path

from shelf_collector.adapters.accounts import Accounts
from shelf_collector.adapters.vision_worker import BayPhoto, Proposal, VisionWorker
from shelf_collector.config import CollectorSetup
from shelf_collector.core.access import Principal
from shelf_collector.core.logbook import Deed
from shelf_collector.planogram_offers import PlanogramOffers
from shelf_collector.ports import Clock
from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import read_model, write_json
from shelf_contracts.planogram import Planogram


class Calibrating:
    """Any thread may call; made for each request."""

    _lock = threading.Lock()

    def __init__(
        self,
        setup: CollectorSetup,
        worker: VisionWorker,
        accounts: Accounts,
        clock: Clock,
        offers: PlanogramOffers | None = None,
    ) -> None:
        self._setup = setup
        self._worker = worker
        self._accounts = accounts
        self._clock = clock
        self._offers = offers
        self._files = {
            plan.bay: setup.folder / file for file, plan in zip(setup.config.planograms, setup.planograms, strict=True)
        }

    @property
    def missing(self) -> str:
        """Why no photo can be looked at here; empty when it may be possible."""
        return self._worker.missing

    @property
    def bays(self) -> list[str]:
        return list(self._files)

    def planogram(self, bay: str) -> Planogram:
        """As it was saved last. Raises: KeyError, FileProblems."""
        return read_model(self._files[bay], Planogram)

    def propose(self, asked: BayPhoto, photo: bytes, gallery: Path | None) -> Proposal:
        """Raises: VisionProblem, FileProblems."""
        return self._worker.propose(asked, photo, gallery)

    def replace_planogram(
        self, who: Principal, origin: str, plan: Planogram, camera: str, corners: list[float], size_px: tuple[int, int]
    ) -> Planogram:
        """Take this planogram for its bay, with the camera's view; the last good one is kept as ``NAME.before.json``.

        Raises: KeyError when the bay has none here; FileProblems when it cannot be; VisionProblem.
        """
        file = self._files[plan.bay]
        if plan.store != self._setup.config.store:
            allowed = f"must be {self._setup.config.store!r}"
            raise FileProblems(file, [Problem("store", repr(plan.store), allowed)])
        with self._lock:
            before = read_model(file, Planogram)
            fresh = plan.model_copy(update={"id": before.id, "revision": before.revision + 1, "views": before.views})
            kept = [view for view in fresh.views if set(view.slots) <= {one.id for one in fresh.positions}]
            seen = self._worker.view(fresh.model_copy(update={"views": kept}), camera, corners, *size_px)
            write_json(file.with_suffix(".before.json"), before)
            self._take(file, seen)
        detail: dict[str, str | int | float | bool | None]
        detail = {"slots": len(seen.positions), "revision": seen.revision, "camera": camera}
        deed = Deed("planogram.changed", f"{who.kind}:{who.name}", origin, f"bay:{plan.bay}", detail)
        self._accounts.note([deed], self._clock.now())
        return seen

    def roll_back(self, who: Principal, origin: str, bay: str) -> Planogram:
        """Take the last good planogram again, under a new revision; the present one is kept in its place.

        Raises: KeyError when the bay has none here; FileProblems when none was kept.
        """
        file = self._files[bay]
        with self._lock:
            former = file.with_suffix(".before.json")
            present, before = read_model(file, Planogram), read_model(former, Planogram)
            again = before.model_copy(update={"revision": present.revision + 1})
            write_json(former, present)
            self._take(file, again)
        detail: dict[str, str | int | float | bool | None]
        detail = {"slots": len(again.positions), "revision": again.revision, "back_to": before.revision}
        deed = Deed("planogram.changed", f"{who.kind}:{who.name}", origin, f"bay:{bay}", detail)
        self._accounts.note([deed], self._clock.now())
        return again

    def _take(self, file: Path, plan: Planogram) -> None:
        write_json(file, plan)
        if self._offers is not None and plan.views:
            self._offers.offer(plan)

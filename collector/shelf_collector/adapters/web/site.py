"""What every request may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request

from shelf_collector.adapters.database import Database
from shelf_collector.adapters.hub import Hub
from shelf_collector.config import CollectorSetup, DisplaySection
from shelf_collector.core.memory import StoreMemory
from shelf_collector.core.plan import StorePlan
from shelf_collector.core.views import Viewer
from shelf_collector.doorkeeper import Doorkeeper
from shelf_collector.enrolling import Enrolling
from shelf_collector.keeper import Keeper
from shelf_collector.notice_words import NoticeWords
from shelf_collector.notifying import Notifier
from shelf_collector.planogram_offers import PlanogramOffers
from shelf_collector.ports import Bus, Clock
from shelf_collector.rollouts import Rollouts
from shelf_collector.taskdesk import TaskDesk


@dataclass(frozen=True)
class Site:
    """The parts behind the web server."""

    setup: CollectorSetup
    plan: StorePlan
    keeper: Keeper
    viewer: Viewer
    database: Database
    hub: Hub
    bus: Bus
    clock: Clock
    doorkeeper: Doorkeeper
    desk: TaskDesk
    rollouts: Rollouts | None = None
    enrolling: Enrolling | None = None
    notifier: Notifier | None = None
    notice_words: NoticeWords | None = None
    planograms: PlanogramOffers | None = None

    @property
    def store_name(self) -> str:
        return self.setup.config.store_name or self.setup.config.store

    def display(self, display: str) -> DisplaySection | None:
        return next((one for one in self.setup.displays if one.id == display), None)

    @contextmanager
    def memory(self) -> Iterator[tuple[StoreMemory, datetime]]:
        """The store's memory and the time, for as short as it takes to read."""
        with self.keeper.lock:
            yield self.keeper.memory, self.clock.now()


def site_of(request: Request) -> Site:
    """The site that a request is about."""
    site = request.app.state.site
    if not isinstance(site, Site):
        raise TypeError("the application was made without its site")
    return site

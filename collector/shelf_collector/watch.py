"""Notes in the logbook what changed without anybody logging in: the shop's files, and the models of nodes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable

from shelf_collector.adapters.accounts import Accounts
from shelf_collector.core.changes import models_word, planogram_deeds, product_deeds
from shelf_collector.core.logbook import Deed
from shelf_collector.core.views import NodeView, Screen
from shelf_collector.ports import Clock, Screens, StorageProblem
from shelf_contracts.planogram import Planogram
from shelf_contracts.products import Product

log = logging.getLogger(__name__)


def note_files(
    accounts: Accounts, clock: Clock, before: dict[str, Product], products: Iterable[Product],
    planograms: list[Planogram],
) -> None:  # fmt: skip
    """Compare what the files say now with what they said at the last start."""
    known = {plan.bay: _last(accounts, "planogram.changed", f"bay:{plan.bay}", "sha256") for plan in planograms}
    accounts.note([*product_deeds(before, products), *planogram_deeds(known, planograms)], clock.now())


class ModelWatch:
    """Stands between keeper and pages and sees every node pass by; other models than before are noted."""

    def __init__(self, screens: Screens, accounts: Accounts, clock: Clock) -> None:
        self._screens = screens
        self._accounts = accounts
        self._clock = clock
        self._seen: dict[str, str] = {}

    def show(self, *screens: Screen) -> None:
        """Pass them on. Called by the keeper's thread."""
        self._screens.show(*screens)
        for screen in screens:
            if isinstance(screen.content, NodeView) and screen.content.models:
                try:
                    self._look(screen.content)
                except StorageProblem as problem:  # seen again with the next heartbeat
                    log.error("%s", problem)

    def _look(self, node: NodeView) -> None:
        models, subject = models_word(node.models), f"node:{node.node}"
        if self._seen.get(node.node) == models:
            return
        before = self._seen.get(node.node) or _last(self._accounts, "model.changed", subject, "models")
        if before != models:
            detail = {"models": models, "before": before}
            self._accounts.note([Deed("model.changed", subject, "", subject, detail)], self._clock.now())
        self._seen[node.node] = models


def _last(accounts: Accounts, action: str, subject: str, key: str) -> str:
    row = accounts.newest_about(action, subject)
    return str(json.loads(row.detail).get(key, "")) if row else ""

"""/styleguide: every component of the pages on one: tasks made of the shop's own bays, products made for it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from shelf_collector.adapters.web.display_samples import display_samples
from shelf_collector.adapters.web.entrance import form_page
from shelf_collector.adapters.web.pages import STATIC, language_of
from shelf_collector.adapters.web.site import Site, site_of
from shelf_collector.adapters.web.staff import list_context
from shelf_collector.core.demand import Loss
from shelf_collector.core.letters import key_font_mm
from shelf_collector.core.tasks import Task, TaskKind
from shelf_collector.core.worklist import Round, Work, WorkList

router = APIRouter(include_in_schema=False)

_TOKENS = re.compile(r"--([a-z0-9-]+): (#[0-9a-f]{6});")


@router.get("/styleguide")
def styleguide(request: Request, lang: str | None = None) -> Response:
    """All components, in the language of the page; nothing on it does anything."""
    site, language = site_of(request), language_of(request, lang)
    context = {
        **list_context(request, _samples(site), language),
        **display_samples(language, site.clock.now()),
        "tokens": _TOKENS.findall((STATIC / "style.css").read_text(encoding="utf-8")),
        "letter_sizes": [(distance_m, key_font_mm(distance_m)) for distance_m in (0.5, 1.0, 2.0, 4.0)],
    }
    return form_page(request, "styleguide.html", context)


def _samples(site: Site) -> WorkList:
    """A task of each kind and state; their ids are of no task."""
    now = site.clock.now()
    slots = sorted(site.plan.slots.values(), key=lambda slot: (slot.bay, slot.y, slot.x))

    def sample(number: int, kind: TaskKind, detail: str = "", cents: int | None = 420, **changes: Any) -> Work:
        slot = slots[number % len(slots)]
        is_stock = kind == "replenish"
        values: dict[str, Any] = {"state": "open", "key": f"{kind}/n01/c1", "detail": detail, "quantity": 6, **changes}
        display = site.setup.displays[0].id if kind == "help" else ""
        place = None if kind in {"camera", "node", "products"} else slot.slot
        since = now - timedelta(minutes=7)
        task = Task(-number, kind, display, slot.bay, place, slot.gtin, created_at=since, **values)
        worth = Loss(cents, per_hour=2.4 if cents is not None else None, missing="" if cents is not None else "rate")
        return Work(
            task, "A", detail, 6 if is_stock else 0, 0 if is_stock else None, worth if is_stock else None,
            is_blind=False, is_mine=task.state == "claimed" and task.claimed_by == "", backroom="",
        )  # fmt: skip

    waiting = (
        sample(1, "help"), sample(2, "node"), sample(3, "camera", "moved"),
        sample(4, "replenish", "stock_out", escalated_at=now), sample(5, "replenish", "stock_low", None),
        sample(6, "misplaced", slots[0].gtin or ""), sample(7, "unknown"),
        sample(8, "anomaly", "too many at once"),
        sample(11, "products", "products[3].price.cents = 0: must be greater than 0", key="products/products.json"),
    )  # fmt: skip
    mine = (sample(9, "replenish", "stock_out", state="claimed", claimed_by=""),)
    snoozed = (sample(10, "replenish", "stock_low", snoozed_until=now + timedelta(hours=1), reason="delivery"),)
    return WorkList(mine, waiting, snoozed=snoozed, rounds=(Round("A", (*mine, *waiting), 840, "EUR"),))

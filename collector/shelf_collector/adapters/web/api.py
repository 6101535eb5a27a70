"""/api/v1: the state of the store for programs. /livez and /readyz: whether we are well."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from shelf_collector.adapters.web.errors import ErrorReply, not_found
from shelf_collector.adapters.web.site import site_of
from shelf_collector.core.audit import SourceAudit
from shelf_collector.core.views import (
    AlertView,
    BayView,
    CameraView,
    DisplayView,
    EventView,
    NodeView,
    SlotView,
)
from shelf_contracts.ids import parse_gtin
from shelf_contracts.messages import UtcTime, iso_time
from shelf_contracts.products import Product

Limit = Annotated[int, Query(ge=1, le=500)]
RowNumber = Annotated[int | None, Query(ge=1, le=2**53)]
_ERRORS: dict[int | str, dict[str, Any]] = {404: {"model": ErrorReply}, 422: {"model": ErrorReply}}


class StateView(BaseModel):
    """The store at a glance."""

    store: str
    name: str
    bays: list[BayView]
    alerts: list[AlertView]
    nodes: list[NodeView]
    cameras: list[CameraView]
    slots_known: int
    slots_planned: int


class BayDetailView(BayView):
    slots: list[SlotView]


class EventPage(BaseModel):
    """Newest first; ``next_before`` asks for the page after this one, null at the end."""

    events: list[EventView]
    next_before: int | None


class AuditView(BaseModel):
    """One numbering of a source. ``gaps`` have not come yet (``missing`` numbers), ``lost`` will not come any more."""

    source: str
    numbering: str
    first: int | None
    last: int | None
    applied: int
    duplicates: int
    missing: int
    healed: int
    superseded: int
    lost: int
    gaps: list[tuple[int, int]]
    expired: int
    set_aside: int
    numberings: int


class AuditPage(BaseModel):
    sources: list[AuditView]
    set_aside: int
    """Unusable messages kept, of all sources."""
    counters: dict[str, int]


class ProductPage(BaseModel):
    products: list[Product]
    next_after: str | None


class LabelView(BaseModel):
    """An electronic label. ``shown_at`` is null while it is not confirmed that it shows what it must."""

    label: str
    bay: str
    slot: str
    gtin: str | None
    price: str
    state: str
    shown_at: UtcTime | None
    problem: str


class HealthView(BaseModel):
    ok: bool
    broker: bool = True
    database: bool = True
    keeper: bool = True
    queued: int = 0
    listeners: int = 0
    text: str = ""


def audit_view(audit: SourceAudit) -> AuditView:
    return AuditView(
        source=audit.source,
        numbering=audit.numbering,
        first=audit.first,
        last=audit.last,
        applied=audit.applied,
        duplicates=audit.duplicates,
        missing=audit.missing,
        healed=audit.healed,
        superseded=audit.superseded,
        lost=audit.lost,
        gaps=[(gap.first, gap.last) for gap in audit.gaps],
        expired=audit.expired,
        set_aside=audit.set_aside,
        numberings=audit.numberings,
    )


router = APIRouter(prefix="/api/v1", responses=_ERRORS)
health = APIRouter()


@router.get("/state", tags=["store"])
def get_state(request: Request) -> StateView:
    """The store at a glance: bays, open alerts, nodes, cameras."""
    site = site_of(request)
    with site.memory() as (memory, now):
        slots = [slot for bay in site.plan.planograms for slot in site.viewer.slots_of_bay(bay, memory, now)]
        return StateView(
            store=site.setup.config.store,
            name=site.store_name,
            bays=[site.viewer.bay(bay, memory.bay_state(bay, now)) for bay in site.plan.planograms],
            alerts=[site.viewer.open_alert(alert) for alert in memory.open_alerts()],
            nodes=[site.viewer.node(node, now) for node in memory.state.nodes.values()],
            cameras=[site.viewer.camera(camera, memory, now) for camera in memory.state.cameras.values()],
            slots_known=sum(slot.level != "unknown" for slot in slots),
            slots_planned=len(slots),
        )


@router.get("/bays", tags=["store"])
def get_bays(request: Request) -> list[BayView]:
    """Every bay with its figures."""
    site = site_of(request)
    with site.memory() as (memory, now):
        return [site.viewer.bay(bay, memory.bay_state(bay, now)) for bay in site.plan.planograms]


@router.get("/bays/{bay}", tags=["store"])
def get_bay(request: Request, bay: str) -> BayDetailView:
    """One bay with its slots in reading order."""
    site = site_of(request)
    if bay not in site.plan.planograms:
        raise not_found("bay", bay, list(site.plan.planograms))
    with site.memory() as (memory, now):
        figures = site.viewer.bay(bay, memory.bay_state(bay, now))
        slots = site.viewer.slots_of_bay(bay, memory, now)
    return BayDetailView(**figures.model_dump(), slots=slots)


@router.get("/slots", tags=["store"])
def get_slots(request: Request, bay: str | None = None) -> list[SlotView]:
    """All planned slots, of one bay when asked."""
    site = site_of(request)
    if bay is not None and bay not in site.plan.planograms:
        raise not_found("bay", bay, list(site.plan.planograms))
    bays = [bay] if bay else list(site.plan.planograms)
    with site.memory() as (memory, now):
        return [slot for one in bays for slot in site.viewer.slots_of_bay(one, memory, now)]


@router.get("/events", tags=["store"])
def get_events(
    request: Request, limit: Limit = 50, before: RowNumber = None, bay: str | None = None, slot: str | None = None
) -> EventPage:
    """What happened at the slots, newest first."""
    site = site_of(request)
    stored = site.database.events(before_row=before, limit=limit + 1, bay=bay, slot=slot)
    page = stored[:limit]
    views = [
        EventView(
            row=one.row,
            bay=one.bay,
            slot=one.slot,
            name=site.viewer.event_name(one.bay, one.slot, one.event.gtin, one.event.action),
            received_at=one.received_at,
            **one.event.model_dump(exclude={"at_s"}),
        )
        for one in page
    ]
    return EventPage(events=views, next_before=page[-1].row if len(stored) > limit else None)


@router.get("/alerts", tags=["alerts"])
def get_alerts(request: Request) -> list[AlertView]:
    """The open alerts, most urgent first."""
    site = site_of(request)
    with site.memory() as (memory, _now):
        return [site.viewer.open_alert(alert) for alert in memory.open_alerts()]


@router.get("/products", tags=["products"])
def get_products(request: Request, limit: Limit = 50, after: str = "") -> ProductPage:
    """Products by GTIN; the shop's own row wins over Open Food Facts'."""
    database = site_of(request).database
    gtins = database.product_gtins(after=after, limit=limit + 1)
    found = database.products(gtins[:limit])
    page = [found[gtin] for gtin in gtins[:limit]]
    return ProductPage(products=page, next_after=gtins[limit - 1] if len(gtins) > limit else None)


@router.get("/products/{gtin}", tags=["products"])
def get_product(request: Request, gtin: str) -> Product:
    """One product, by a GTIN of 8, 12, 13 or 14 digits."""
    try:
        wanted = parse_gtin(gtin)
    except ValueError as error:
        raise not_found("product", gtin, [str(error)]) from error
    found = site_of(request).database.products([wanted])
    if wanted not in found:
        raise not_found("product", wanted, ["see /api/v1/products"])
    return found[wanted]


@router.get("/displays/{display}", tags=["displays"])
def get_display(request: Request, display: str) -> DisplayView:
    """What a display shows now."""
    site = site_of(request)
    with site.memory() as (memory, now):
        content = memory.display(display)
        if content is not None:
            return site.viewer.display(content, memory, now)
    raise not_found("display", display, [one.id for one in site.setup.displays])


@router.get("/labels", tags=["displays"])
def get_labels(request: Request) -> list[LabelView]:
    """The electronic labels: what each must show, and whether it does."""
    labels = getattr(request.app.state, "labels", None)
    return [
        LabelView(
            label=one.label,
            bay=one.bay,
            slot=one.slot,
            gtin=one.wanted.gtin if one.wanted else None,
            price=one.wanted.price if one.wanted else "",
            state=one.state,
            shown_at=one.shown_at,
            problem=one.problem,
        )
        for one in (labels.states() if labels is not None else [])
    ]


@router.get("/nodes", tags=["store"])
def get_nodes(request: Request) -> list[NodeView]:
    """The nodes that ever reported."""
    site = site_of(request)
    with site.memory() as (memory, now):
        return [site.viewer.node(node, now) for node in memory.state.nodes.values()]


@router.get("/audit", tags=["store"])
def get_audit(request: Request) -> AuditPage:
    """Proof of completeness: what each source numbered, and what of it never came."""
    site = site_of(request)
    return AuditPage(
        sources=[audit_view(audit) for audit in site.database.audits()],
        set_aside=site.database.set_aside_count(),
        counters=dict(site.keeper.counters),
    )


class LogRowView(BaseModel):
    """A row of the logbook; ``hash`` covers the row and the hash of the one before."""

    row: int
    at: str
    actor: str
    origin: str
    action: str
    subject: str
    detail: str
    previous: str
    hash: str


class LogPage(BaseModel):
    """Newest first; ``next_before`` asks for the page after this one, null at the end."""

    rows: list[LogRowView]
    next_before: int | None


@router.get("/log", tags=["log"])
def get_log(request: Request, limit: Limit = 50, before: RowNumber = None) -> LogPage:
    """Who did what, when and from where."""
    rows = site_of(request).doorkeeper.accounts.log_page(before, limit + 1)
    page = [LogRowView.model_validate(row, from_attributes=True) for row in rows[:limit]]
    return LogPage(rows=page, next_before=page[-1].row if len(rows) > limit else None)


@health.get("/.well-known/security.txt", include_in_schema=False)
def security_txt(request: Request) -> PlainTextResponse:
    """Where to report a weakness (RFC 9116), when the configuration says it."""
    section = site_of(request).setup.config.security_txt
    if section is None:
        raise HTTPException(404, "no [security_txt] in the configuration")
    lines = [f"Contact: {contact}" for contact in section.contact]
    lines += [f"Expires: {iso_time(section.expires)}", "Preferred-Languages: nl, it, en"]
    lines += [f"Policy: {section.policy}"] if section.policy else []
    return PlainTextResponse("\n".join(lines) + "\n")


@health.get("/livez", tags=["health"])
def livez(request: Request, response: Response) -> HealthView:
    """Whether the process does its work: 503 when it should be started again."""
    alive = site_of(request).keeper.is_alive
    response.status_code = 200 if alive else 503
    return HealthView(ok=alive, keeper=alive)


@health.get("/readyz", tags=["health"])
def readyz(request: Request, response: Response) -> HealthView:
    """Whether everything it needs is there: broker, database, and its own thread."""
    site = site_of(request)
    broker, keeper = site.bus.is_connected, site.keeper.is_alive
    database = not site.keeper.storage_problem and site.database.is_answering()
    ok = broker and database and keeper
    response.status_code = 200 if ok else 503
    reasons = [
        "" if broker else "the broker is not connected",
        "" if database else "the database does not answer",
        "" if keeper else "the keeper's thread has ended",
    ]
    return HealthView(
        ok=ok,
        broker=broker,
        database=database,
        keeper=keeper,
        queued=site.keeper.queued,
        listeners=site.hub.listeners,
        text="; ".join(filter(None, reasons)),
    )

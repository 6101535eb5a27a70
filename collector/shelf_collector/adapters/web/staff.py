"""/staff: work for people, on their phones. Forms work without any script; steps of the script are sent once each."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from shelf_collector.adapters.web.entrance import Form, form_page, read_form
from shelf_collector.adapters.web.gate import RULES, is_own_form, visit_of
from shelf_collector.adapters.web.pages import language_of, page
from shelf_collector.adapters.web.site import Site, site_of
from shelf_collector.core.drawing import bay_drawing
from shelf_collector.core.tasks import (
    LONGEST_SNOOZE_MIN,
    STEPS,
    SnoozeReason,
    Step,
    StepName,
    TaskKind,
    TaskRefused,
    TaskState,
)  # fmt: skip
from shelf_collector.core.texts import money
from shelf_collector.core.views import PlaceView
from shelf_collector.core.worklist import Work, WorkList
from shelf_contracts.messages import UtcTime
from shelf_contracts.products import Text

router = APIRouter()
pages = APIRouter(include_in_schema=False)

_LARGEST_ID = 2**53
_ODD_FOR_H = 4.0
_MOST_ODD_READ = 100
_MOST_ODD = 6
Id = Annotated[int, Path(ge=1, le=_LARGEST_ID)]
Mark = Annotated[str, Header(alias="X-Form-Mark", max_length=100)]
Aisle = Annotated[str, Path(min_length=1, max_length=40)]

SNOOZES: tuple[tuple[SnoozeReason, int], ...] = (("customer", 15), ("blocked", 30), ("later", 60), ("delivery", 240))
"""Why something is put off, and for how many minutes."""


class StepRequest(BaseModel):
    """A step with a task. ``key`` is the sender's own name for it: sent twice, it happens once."""

    model_config = ConfigDict(extra="forbid")

    step: StepName
    key: Annotated[str, Field(pattern=r"^[0-9a-f-]{16,36}$")]
    reason: SnoozeReason | None = None
    minutes: Annotated[int, Field(ge=1, le=LONGEST_SNOOZE_MIN)] = 15


class StepReply(BaseModel):
    """What became of a step. ``refused`` names why not, and ``holder`` who has the task instead."""

    outcome: Literal["taken", "refused"]
    refused: str = ""
    holder: str = ""
    state: TaskState | None = None


class WorkView(BaseModel):
    """A task. ``expected_loss_cents``: sales lost within ``expected_loss_h`` if nobody goes; null: not known."""

    id: int
    kind: TaskKind
    state: TaskState
    aisle: str
    bay: str
    slot: str | None
    facing: int | None = None
    """Which place of the slot, counted from the left, from 1; null: all of it."""
    place: PlaceView | None
    gtin: str | None
    name: Text | None
    detail: str
    quantity: int
    count: int | None
    backroom: str
    created_at: UtcTime
    is_quiet: bool
    is_escalated: bool
    picks_per_hour: float | None
    expected_loss_cents: int | None
    expected_loss_h: float | None
    currency: str | None


@router.get("/api/v1/tasks", tags=["tasks"])
def tasks(request: Request) -> list[WorkView]:
    """What there is to do, in the order of the list; who has it is not told to machines."""
    site = site_of(request)
    found = site.desk.work_list(visit_of(request).who.name)
    return [_view(site, work) for work in _all(found)]


@router.post("/api/v1/tasks/{task}/steps", tags=["tasks"], responses={409: {"model": StepReply}})
def take_step(request: Request, task: Id, asked: StepRequest, mark: Mark = "") -> Response:
    """Claim, release, snooze, done, or no stock in the back. 409: somebody else was faster, or it is over."""
    visit = visit_of(request)
    if not is_own_form(visit, mark):
        raise HTTPException(403, "this page was open for too long, or cookies are off: load it again and repeat")
    step = Step(asked.step, asked.reason or "", asked.minutes)
    try:
        after = site_of(request).desk.step(task, step, visit.who, visit.origin, asked.key)
    except TaskRefused as problem:
        reply = StepReply(outcome="refused", refused=problem.reason, holder=problem.who)
        return JSONResponse(reply.model_dump(mode="json"), 409)
    return JSONResponse(StepReply(outcome="taken", state=after.state).model_dump(mode="json"))


@pages.get("/staff")
def staff_page(request: Request, lang: str | None = None, view: str = "") -> Response:
    """Work for staff on their phones, ranked by expected lost sales or as rounds."""
    return form_page(request, "staff.html", _context(request, lang, view))


@pages.get("/staff/cards")
def staff_cards(request: Request, lang: str | None = None, view: str = "") -> Response:
    """Only the cards, for a page that is open already."""
    return page(request, "_staff_cards.html", _context(request, lang, view))


@pages.post("/staff/tasks/{task}/{step}")
async def form_step(request: Request, task: Id, step: str) -> Response:
    """A step by a plain form. Whoever is first has it; the other is told."""
    form = await read_form(request)
    if step not in STEPS:
        raise HTTPException(404, f"there is no step {step[:20]!r} (there is: {', '.join(STEPS)})")
    visit, minutes = visit_of(request), form.get("minutes")
    wanted = Step(step, form.get("reason"), int(minutes) if minutes.isdecimal() and len(minutes) < 5 else 15)
    problem = ""
    try:
        await run_in_threadpool(site_of(request).desk.step, task, wanted, visit.who, visit.origin)
    except TaskRefused as refused:
        problem = refused.reason
    return _back(request, form, problem)


@pages.post("/staff/rounds/{aisle}/claim")
async def claim_round(request: Request, aisle: Aisle) -> Response:
    """Take all that is free in an aisle."""
    form = await read_form(request)
    visit = visit_of(request)
    taken = await run_in_threadpool(site_of(request).desk.claim_round, aisle, visit.who, visit.origin)
    return _back(request, form, "" if taken else "task_is_taken")


def _back(request: Request, form: Form, problem: str) -> Response:
    query = f"?lang={language_of(request, form.get('lang'))}"
    query += "&view=rounds" if form.get("view") == "rounds" else ""
    query += f"&problem={problem}" if problem else ""
    return RedirectResponse(f"/staff{query}", 303)


def _context(request: Request, lang: str | None, view: str) -> dict[str, object]:
    visit = visit_of(request)
    found = site_of(request).desk.work_list(visit.who.name)
    context = list_context(request, found, language_of(request, lang), view)
    return {**context, "oddities": _oddities(site_of(request), found)}


def _oddities(site: Site, work: WorkList) -> list[dict[str, object]]:
    """What a node found odd lately and nobody has as a task, the newest of each slot: worth a look in passing."""
    since = site.clock.now() - timedelta(hours=_ODD_FOR_H)
    stored = site.database.events(before_row=None, limit=_MOST_ODD_READ, actions=("anomaly", "misplaced"), since=since)
    newest = {(one.bay, one.slot): one for one in reversed(stored)}
    for one in _all(work):
        if one.task.kind in {"anomaly", "misplaced"}:
            newest.pop((one.task.bay, one.task.slot or ""), None)
    found = sorted(newest.values(), key=lambda one: -one.row)[:_MOST_ODD]
    return [
        {
            "event": one.event,
            "name": site.viewer.event_name(one.bay, one.slot, one.event.gtin, one.event.action),
            "place": site.viewer.place(one.bay, one.slot),
        }
        for one in found
    ]


def list_context(request: Request, found: WorkList, language: str, view: str = "") -> dict[str, object]:
    """What the templates need to draw a list of work."""
    site, visit = site_of(request), visit_of(request)
    bays = {work.task.bay for work in _all(found) if work.task.bay in site.plan.planograms}
    rules = {rule.path for rule in RULES}
    return {
        "lang": language,
        "work": found,
        "view": "rounds" if view == "rounds" else "",
        "me": visit.who.name,
        "drawings": {bay: bay_drawing(site.plan.planograms[bay]) for bay in sorted(bays)},
        "name_of": lambda work: site.viewer.event_name(
            work.task.bay, work.task.slot, work.task.gtin, "misplaced" if work.task.kind == "misplaced" else None
        ),
        "planned_name": lambda gtin: site.viewer.event_name("", "", gtin, "misplaced"),
        "place_of": lambda work: site.viewer.place(work.task.bay, work.task.slot) if work.task.slot else None,
        "money": lambda cents, currency: money(cents, currency, language),
        "snoozes": SNOOZES,
        "may_calibrate": "/calibrate" in rules,
        "hours": site.setup.config.tasks.round_hours,
    }


def _all(found: WorkList) -> tuple[Work, ...]:
    return (
        *found.mine, *found.waiting, *found.others, *found.checking, *found.snoozed, *found.failed, *found.blind
    )  # fmt: skip


def _view(site: Site, work: Work) -> WorkView:
    task, loss = work.task, work.loss
    is_known = loss is not None and loss.cents is not None
    return WorkView(
        id=task.id, kind=task.kind, state=task.state, aisle=work.aisle, bay=task.bay, slot=task.slot,
        facing=task.facing, place=site.viewer.place(task.bay, task.slot) if task.slot else None, gtin=task.gtin,
        name=site.viewer.event_name(task.bay, task.slot, task.gtin) if task.slot else None, detail=work.detail,
        quantity=work.quantity, count=work.count, backroom=work.backroom, created_at=task.created_at,
        is_quiet=work.is_blind, is_escalated=task.escalated_at is not None,
        picks_per_hour=round(loss.per_hour, 2) if loss is not None and loss.per_hour is not None else None,
        expected_loss_cents=loss.cents if loss is not None else None,
        expected_loss_h=loss.hours if loss is not None and is_known else None,
        currency=loss.currency if loss is not None else None,
    )  # fmt: skip

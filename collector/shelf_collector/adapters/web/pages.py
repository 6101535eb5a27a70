"""The pages: a display over a bay, the staff's list, the overview. Rendered here; small modules keep them live."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Annotated

import httpx
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, StreamingResponse
from fastapi.templating import Jinja2Templates
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shelf_collector.adapters.web.errors import not_found
from shelf_collector.adapters.web.gate import RULES, visit_of
from shelf_collector.adapters.web.site import site_of
from shelf_collector.core.access import Role
from shelf_collector.core.access import Scope as TokenScope
from shelf_collector.core.drawing import bay_drawing
from shelf_collector.core.texts import DIRECTIONS, LANGUAGE_NAMES, WORDS, number
from shelf_collector.core.views import Screen, covers
from shelf_contracts.messages import iso_time
from shelf_contracts.products import text_in

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
_PREVIEW_TIMEOUT = httpx.Timeout(5.0, connect=2.0)
_MOST_TOPICS = 16
_LOOK_AT_SESSION_S = 10.0
_TOPIC = re.compile(r"^(display|help|products|task|slot|alert|bay|node|camera|event)(/[a-z0-9-]{1,32}){0,2}$")
NAVIGATION = (
    ("/staff", "nav_tasks"), ("/enrol", "nav_enrol"), ("/calibrate", "nav_calibrate"),
    ("/staff/notices", "nav_notices"), ("/", "nav_overview"),
)  # fmt: skip
"""The pages staff walk between; each is shown to whoever may open it, once it is in the gate's table."""
ALL_TOPICS = ("display", "help", "products", "task", "slot", "alert", "bay", "node", "camera", "event")

router = APIRouter(include_in_schema=False)
stream = APIRouter()
templates = Jinja2Templates(directory=_HERE / "templates")
templates.env.filters["text_in"] = text_in
templates.env.filters["iso"] = iso_time
templates.env.filters["number"] = number
templates.env.filters["direction"] = DIRECTIONS.get


@stream.get("/stream", tags=["stream"], response_class=StreamingResponse)
async def get_stream(request: Request, topics: Annotated[str, Query(max_length=800)] = "") -> StreamingResponse:
    """Server-sent events. ``topics`` is a comma-separated list such as ``display/a01,alert,slot/a01``; empty: all.

    Event names: ``display products slot alert bay node camera event``; the data of each is the matching API model. A
    new listener first gets the present state of its topics; one that comes back with ``Last-Event-ID`` what it missed.
    """
    site = site_of(request)
    wanted = [topic.strip() for topic in topics.split(",") if topic.strip()] or list(ALL_TOPICS)
    wrong = [topic for topic in wanted if not _TOPIC.match(topic)]
    if wrong or len(wanted) > _MOST_TOPICS:
        raise HTTPException(
            422, f"topics: {', '.join(wrong) or len(wanted)}: must be at most 16 of {ALL_TOPICS}, / ids"
        )

    who = visit_of(request).who
    if not all(topic == "products" or topic.startswith(("display/", "help/")) for topic in wanted) and not who.may(
        Role.VIEWER, TokenScope.STREAM
    ):
        raise HTTPException(401, "topics other than display/... need a login or a token with the scope stream:read")

    def snapshot() -> list[Screen]:
        with site.memory() as (memory, now):
            found = site.viewer.snapshot(wanted, memory, now)
        return found + [screen for screen in site.desk.screens() if covers(wanted, screen.topic)]

    text = site.hub.stream(wanted, request.headers.get("last-event-id", ""), snapshot)
    if who.kind == "person":
        text = _while_logged_in(text, lambda: site.doorkeeper.is_still(who))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(text, media_type="text/event-stream", headers=headers)


async def _while_logged_in(text: AsyncIterator[str], is_still: Callable[[], bool]) -> AsyncIterator[str]:
    """The stream, until the session ends; looked at no more than once in 15 s (the stream says something as often)."""
    looked_s = time.monotonic()
    async for piece in text:
        if time.monotonic() - looked_s > _LOOK_AT_SESSION_S:
            looked_s = time.monotonic()
            if not await run_in_threadpool(is_still):
                return
        yield piece


@router.get("/")
def overview_page(request: Request, lang: str | None = None) -> Response:
    """The whole store."""
    return page(request, "overview.html", _overview_context(request, lang))


@router.get("/overview/live")
def overview_live(request: Request, lang: str | None = None) -> Response:
    """Only what changes on the overview."""
    return page(request, "_overview_live.html", _overview_context(request, lang))


@router.get("/demo/camera/{bay}.mjpg")
async def camera_preview(request: Request, bay: str) -> StreamingResponse:
    """The demo's live camera picture, passed through from the address in the config; nothing is kept."""
    url = site_of(request).setup.config.demo.camera_previews.get(bay)
    if url is None:
        raise not_found("camera preview for bay", bay, list(site_of(request).setup.config.demo.camera_previews))
    client = httpx.AsyncClient(timeout=_PREVIEW_TIMEOUT, trust_env=False)
    try:
        answer = await client.send(client.build_request("GET", url), stream=True)
    except httpx.HTTPError as error:
        await client.aclose()
        raise HTTPException(503, f"the camera preview of bay {bay} does not answer") from error

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_raw():
                yield piece
        except httpx.HTTPError:
            return
        finally:
            await answer.aclose()
            await client.aclose()

    kind = answer.headers.get("content-type", "multipart/x-mixed-replace")
    return StreamingResponse(pieces(), answer.status_code, {"Cache-Control": "no-store"}, media_type=kind)


@router.get("/sw.js")
def service_worker() -> FileResponse:
    """The service worker, served from the root so that it covers every page."""
    return FileResponse(STATIC / "sw.js", media_type="text/javascript", headers={"Cache-Control": "no-cache"})


def page(request: Request, name: str, context: Mapping[str, object], status: int = 200) -> HTMLResponse:
    """A page in the language ``context["lang"]``."""
    site = site_of(request)
    language = str(context["lang"])
    common = {
        "store_name": site.store_name,
        "words": WORDS[language],
        "visit": visit_of(request),
        "language_names": LANGUAGE_NAMES,
        "language_later": {code: words["language_later"] for code, words in WORDS.items()},
        "languages": list(LANGUAGE_NAMES),
        "now": site.clock.now(),
        "navigation": _navigation(request),
    }
    return templates.TemplateResponse(request, name, {**common, **context}, status_code=status)


def _navigation(request: Request) -> list[tuple[str, str]]:
    who = visit_of(request).who
    needed = {rule.path: rule.role for rule in RULES if rule.method == "GET"}
    return [(path, word) for path, word in NAVIGATION if path in needed and who.role >= needed[path]]


def language_of(request: Request, asked: str | None) -> str:
    """The language asked for, else the browser's first that we have, else English."""
    if asked in WORDS:
        return str(asked)
    accepted = request.headers.get("accept-language", "")
    codes = [part.split(";")[0].strip()[:2].lower() for part in accepted.split(",")]
    return next((code for code in codes if code in WORDS), "en")


def _overview_context(request: Request, lang: str | None) -> dict[str, object]:
    site = site_of(request)
    stored = site.database.events(before_row=None, limit=12, bay=None, slot=None)
    with site.memory() as (memory, now):
        bays = [
            {
                "view": site.viewer.bay(bay, memory.bay_state(bay, now)),
                "slots": site.viewer.slots_of_bay(bay, memory, now),
                "drawing": bay_drawing(plan),
                "preview": bay in site.setup.config.demo.camera_previews,
            }
            for bay, plan in site.plan.planograms.items()
        ]
        nodes = [site.viewer.node(node, now) for node in memory.state.nodes.values()]
        cameras = [site.viewer.camera(camera, memory, now) for camera in memory.state.cameras.values()]
        alerts = [site.viewer.open_alert(alert) for alert in memory.open_alerts()]
    events = [
        {
            "bay": one.bay,
            "slot": one.slot,
            "event": one.event,
            "name": site.viewer.event_name(one.bay, one.slot, one.event.gtin, one.event.action),
        }
        for one in stored
    ]
    return {
        "lang": language_of(request, lang),
        "bays": bays,
        "nodes": nodes,
        "cameras": cameras,
        "alerts": alerts,
        "events": events,
        "displays": site.setup.displays,
    }

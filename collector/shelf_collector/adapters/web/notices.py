"""/staff/notices: which channels tell people of tasks, how they do, and a test for each."""

from __future__ import annotations

import threading
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from shelf_collector.adapters.web.entrance import form_page, read_form
from shelf_collector.adapters.web.errors import not_found
from shelf_collector.adapters.web.gate import visit_of
from shelf_collector.adapters.web.pages import language_of
from shelf_collector.adapters.web.site import Site, site_of
from shelf_collector.core.logbook import Deed
from shelf_collector.notifying import RETRY_S
from shelf_contracts import envelope, topics
from shelf_contracts import messages as wire

router = APIRouter(include_in_schema=False)

MQTT = "mqtt"
_BETWEEN_TESTS_S = 5.0
_MQTT_RESULTS = ("ok", "bad")
Channel = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]

_tested_lock = threading.Lock()
_tested_s: dict[tuple[int, str], float] = {}


@router.get("/staff/notices")
def notices_page(request: Request, test: str = "", channel: str = "") -> Response:
    """The channels and how they do."""
    site = site_of(request)
    section = site.setup.config.notices
    states = site.notifier.states() if site.notifier else []
    tested = next((state.test for state in states if state.name == channel), None)
    context = {
        "states": states, "section": section, "late_only": {one.name for one in section.channels if one.late_only},
        "is_connected": site.bus.is_connected,
        "topic": topics.subscription("task_state", store=site.setup.config.store),
        "is_too_soon": test == "wait", "tested": tested if test == "done" else None, "channel": channel[:32],
        "mqtt_result": test if channel == MQTT and test in _MQTT_RESULTS else "", "tries": len(RETRY_S) + 1,
    }  # fmt: skip
    return form_page(request, "notices.html", context)


@router.post("/staff/notices/{channel}/test")
async def send_test(request: Request, channel: Channel) -> Response:
    """Send a test at once; what came of it is shown on the page."""
    form = await read_form(request)
    site, visit = site_of(request), visit_of(request)
    names = [one.name for one in site.notifier.states()] if site.notifier else []
    if channel not in (*names, MQTT):
        raise not_found("channel", channel, [*names, MQTT])
    if not _may_test(site, channel):
        result = "wait"
    else:
        deed = Deed("notice.tested", f"person:{visit.who.name}", visit.origin, f"channel:{channel}")
        await run_in_threadpool(site.doorkeeper.accounts.note, [deed], site.clock.now())
        result = await run_in_threadpool(_test, site, channel, visit.who.name)
    language = language_of(request, form.get("lang"))
    return RedirectResponse(f"/staff/notices?lang={language}&test={result}&channel={channel}", 303)


def _may_test(site: Site, channel: str) -> bool:
    """One test a channel in five seconds: a double click is one test, and nobody floods a phone."""
    key, now_s = (id(site), channel), site.clock.monotonic_s()
    with _tested_lock:
        last_s = _tested_s.get(key)
        if last_s is not None and 0 <= now_s - last_s < _BETWEEN_TESTS_S:
            return False
        _tested_s[key] = now_s
    return True


def _test(site: Site, channel: str, who: str) -> str:
    """``done``: what came of it is the channel's to say; for the broker ``ok`` or ``bad``."""
    if channel == MQTT:
        topic = topics.build("task_state", store=site.setup.config.store, task="t-0")
        task = wire.Task(task="t-0", kind="anomaly", state="cancelled", detail="test", created_at=site.clock.now())
        for payload in (envelope.encode(task), b""):
            site.bus.post(topic, payload)
        return "ok" if site.bus.is_connected else "bad"
    if site.notifier is None or site.notice_words is None:
        raise HTTPException(503, "notices are not running")
    site.notifier.test(channel, site.notice_words.test(site.clock.now(), who))
    return "done"

"""What somebody sees in a browser when there is no page for them; programs get the same as JSON."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from shelf_collector.adapters.web.pages import language_of, page
from shelf_collector.adapters.web.site import site_of

router = APIRouter(include_in_schema=False)

_KINDS = {403: "forbidden", 404: "lost", 405: "lost", 429: "later", 503: "later"}
_LONGEST_ADDRESS = 120
_MOST_DISPLAYS = 8


def refused_page(request: Request, status: int, message: str) -> Response:
    """A page that says what is wrong and where to go on. The request must have come through the gate."""
    displays = site_of(request).setup.displays if request.url.path.startswith(("/display", "/my")) else []
    kind = _KINDS.get(status, "wrong")
    context = {
        "lang": language_of(request, request.query_params.get("lang")), "kind": kind,
        "message": "" if kind == "lost" else message, "asked": request.url.path[:_LONGEST_ADDRESS],
        "displays": displays[:_MOST_DISPLAYS],
    }  # fmt: skip
    return page(request, "refused.html", context, status)


@router.get("/offline")
def offline_page(request: Request, lang: str | None = None) -> Response:
    """What the service worker keeps, and shows where nobody answers instead of the browser's own page."""
    context = {"lang": language_of(request, lang), "kind": "offline", "message": "", "asked": "", "displays": []}
    return page(request, "refused.html", context)

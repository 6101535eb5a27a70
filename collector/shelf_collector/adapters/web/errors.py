"""One shape for every error: ``{"error": {"code": ..., "message": ...}}``; a page for who looks at it in a browser."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shelf_collector.ports import StorageProblem
from shelf_contracts.files import key_path

log = logging.getLogger(__name__)

_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    422: "bad_request",
    503: "not_ready",
    507: "no_space",
}


class ErrorBody(BaseModel):
    code: str
    message: str


class ErrorReply(BaseModel):
    """What every answer from 400 on holds."""

    error: ErrorBody


def not_found(what: str, value: str, known: list[str]) -> HTTPException:
    """404 that names what there is."""
    there = ", ".join(known[:20]) or "none"
    return HTTPException(404, f"there is no {what} {value!r} (there is: {there})")


RefusedPage = Callable[[Request, int, str], Response]
"""Makes the page of a refusal, of its request, status and message."""


def wants_page(path: str, headers: Mapping[str, str]) -> bool:
    """Whether somebody asked in a browser's window: neither a script of ours nor a program."""
    is_page = headers.get("sec-fetch-mode", "navigate") == "navigate"
    return is_page and "text/html" in headers.get("accept", "") and not path.startswith(("/api/", "/static/"))


def install_errors(app: FastAPI, refused_page: RefusedPage) -> None:
    """Answer every failure in the one shape; in a browser's window as a page."""

    def answer(request: Request, status: int, code: str, message: str) -> Response:
        if wants_page(request.url.path, request.headers):
            return refused_page(request, status, message)
        return _reply(status, code, message)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code, _CODES.get(error.status_code, "error"), str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        problems = [f"{key_path(item['loc'][1:])}: {item['msg']}" for item in error.errors()]
        return answer(request, 422, "bad_request", "; ".join(problems))

    @app.exception_handler(StorageProblem)
    async def _storage(request: Request, error: StorageProblem) -> Response:
        log.error("%s", error)
        return answer(
            request, 503, "not_ready", "the database does not answer; see that its disk is not full, then try again"
        )


def _reply(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse(ErrorReply(error=ErrorBody(code=code, message=message)).model_dump(), status)

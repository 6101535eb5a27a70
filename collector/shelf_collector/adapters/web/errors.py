"""One shape for every error: ``{"error": {"code": ..., "message": ...}}``."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

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


def install_errors(app: FastAPI) -> None:
    """Answer every failure in the one shape."""

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        return _reply(error.status_code, _CODES.get(error.status_code, "error"), str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [f"{key_path(item['loc'][1:])}: {item['msg']}" for item in error.errors()]
        return _reply(422, "bad_request", "; ".join(problems))

    @app.exception_handler(StorageProblem)
    async def _storage(_request: Request, error: StorageProblem) -> JSONResponse:
        log.error("%s", error)
        return _reply(503, "not_ready", "the database does not answer; try again")


def _reply(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse(ErrorReply(error=ErrorBody(code=code, message=message)).model_dump(), status)

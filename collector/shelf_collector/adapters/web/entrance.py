"""Pages for logging in, one's account, people, tokens and the logbook. Plain forms: they work without any script."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from shelf_collector.adapters.accounts import LastAdmin, NameTaken, Person
from shelf_collector.adapters.web.errors import not_found
from shelf_collector.adapters.web.gate import (
    FORM_COOKIE,
    SECURE_SESSION_COOKIE,
    SESSION_COOKIE,
    is_own_form,
    visit_of,
)
from shelf_collector.adapters.web.pages import language_of, page
from shelf_collector.adapters.web.site import Site, site_of
from shelf_collector.core.access import GIVEN_ROLES, SHORTEST_PASSWORD, Role, Scope, role_of
from shelf_collector.core.logbook import LogRow
from shelf_collector.doorkeeper import Opened, Refused

router = APIRouter(include_in_schema=False)

_MOST_FIELDS = 20
_LOG_PAGE = 50
_LARGEST_ID = 2**53
Id = Annotated[int, Path(ge=1, le=_LARGEST_ID)]


@dataclass(frozen=True)
class Form:
    """The fields of a form that was sent by one of our own pages."""

    fields: list[tuple[str, str]]

    def get(self, name: str) -> str:
        return next((value for key, value in self.fields if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]


async def read_form(request: Request) -> Form:
    """Raises: HTTPException 400 when it is no form, 403 when it does not carry this visit's mark."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(400, "must be a form (application/x-www-form-urlencoded)")
    try:
        text = (await request.body()).decode("utf-8")
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise HTTPException(400, "the form cannot be read") from error
    form = Form(fields)
    if not is_own_form(visit_of(request), form.get("mark")):
        raise HTTPException(403, "this page was open for too long, or cookies are off: load it again and repeat")
    return form


def form_page(request: Request, name: str, context: Mapping[str, object], status: int = 200) -> Response:
    """A page that holds forms; a browser that has no key for them yet gets one."""
    visit = visit_of(request)
    answer = page(request, name, {"lang": language_of(request, request.query_params.get("lang")), **context}, status)
    if visit.is_new_form_key:
        answer.set_cookie(FORM_COOKIE, visit.form_key, secure=visit.is_https, httponly=True, samesite="strict")
    return answer


# -- in and out -------------------------------------------------------------------------------------------------------


@router.get("/login")
async def login_page(request: Request, next: str = "/") -> Response:  # noqa: A002 - the field's name in the address
    """Name and password; or why nobody can log in from here."""
    site, visit = site_of(request), visit_of(request)
    if visit.who.kind == "person":
        return RedirectResponse(_own_path(next), 303)
    has_anybody = await run_in_threadpool(site.doorkeeper.accounts.has_anybody)
    return form_page(request, "login.html", {"next": _own_path(next), "has_anybody": has_anybody})


@router.post("/login")
async def login(request: Request) -> Response:
    form = await read_form(request)
    site, visit = site_of(request), visit_of(request)
    target = _own_path(form.get("next"))
    context: dict[str, object] = {"next": target, "has_anybody": True, "name": form.get("name")}
    if not visit.is_private:
        return form_page(request, "login.html", context, 403)
    try:
        opened = await run_in_threadpool(
            site.doorkeeper.log_in, form.get("name"), form.get("password"), visit.origin
        )  # fmt: skip
    except Refused as refused:
        return _refused(request, "login.html", context, refused, 401)
    return _enter(request, opened, target)


@router.post("/logout")
async def logout(request: Request) -> Response:
    await read_form(request)
    site, visit = site_of(request), visit_of(request)
    if visit.who.kind == "person":
        await run_in_threadpool(site.doorkeeper.log_out, visit.who, visit.origin)
    answer = RedirectResponse("/login", 303)
    for name in (SESSION_COOKIE, SECURE_SESSION_COOKIE):
        answer.delete_cookie(name, secure=visit.is_https, httponly=True, samesite="lax")
    return answer


@router.get("/welcome/{secret}")
async def welcome_page(request: Request, secret: str) -> Response:
    """What a one-time link opens: choose a password, and for the first admin a name."""
    visit = visit_of(request)
    try:
        if not visit.is_private:
            raise Refused("https_needed")
        person = await run_in_threadpool(site_of(request).doorkeeper.whose_link, secret, visit.origin)
    except Refused as refused:
        return _refused(request, "welcome.html", {"is_void": True}, refused, 404)
    return form_page(request, "welcome.html", _welcome(person))


@router.post("/welcome/{secret}")
async def welcome(request: Request, secret: str) -> Response:
    form = await read_form(request)
    doorkeeper, visit = site_of(request).doorkeeper, visit_of(request)
    name, password = form.get("name"), form.get("password")
    person: Person | None = None
    try:
        if not visit.is_private:
            raise Refused("https_needed")
        person = await run_in_threadpool(doorkeeper.whose_link, secret, visit.origin)
        opened = await run_in_threadpool(doorkeeper.use_link, secret, name, password, visit.origin)
    except Refused as refused:
        is_void = refused.reason in {"link_void", "https_needed", "login_wait"}
        context = {**_welcome(person), "name": name, "is_void": is_void}
        return _refused(request, "welcome.html", context, refused, 404 if is_void else 422)
    return _enter(request, opened, "/")


def _welcome(person: Person | None) -> dict[str, object]:
    return {"is_first": person is None, "name": person.name if person else "", "shortest": SHORTEST_PASSWORD}


# -- one's own account ------------------------------------------------------------------------------------------------


@router.get("/account")
def account_page(request: Request, refused: str = "", done: str = "") -> Response:
    """Who am I, what may I see, another password, log out."""
    needed = refused if refused in {role.word for role in GIVEN_ROLES} else ""
    context = {"needed": needed, "is_done": done == "password", "shortest": SHORTEST_PASSWORD}
    return form_page(request, "account.html", context, 403 if needed else 200)


@router.post("/account/password")
async def change_password(request: Request) -> Response:
    form = await read_form(request)
    site, visit = site_of(request), visit_of(request)
    change = site.doorkeeper.change_password
    try:
        await run_in_threadpool(change, visit.who, form.get("old"), form.get("password"), visit.origin)
    except Refused as refused:
        return _refused(request, "account.html", {"shortest": SHORTEST_PASSWORD}, refused, 422)
    return RedirectResponse("/account?done=password", 303)


# -- people -----------------------------------------------------------------------------------------------------------


@router.get("/people")
def people_page(request: Request) -> Response:
    """Who may log in."""
    return _people(request)


@router.post("/people")
async def add_person(request: Request) -> Response:
    form = await read_form(request)
    site, visit = site_of(request), visit_of(request)
    name = form.get("name").strip()
    try:
        role = role_of(form.get("role"))
        person, secret = await run_in_threadpool(site.doorkeeper.add_person, visit.who, name, role, visit.origin)
    except Refused as refused:
        return await run_in_threadpool(_people, request, refused.reason, name)
    except NameTaken:
        return await run_in_threadpool(_people, request, "name_taken", name)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    return await run_in_threadpool(_people, request, "", "", person.name, _link(site, secret))


@router.post("/people/{person}/role")
async def set_role(request: Request, person: Id) -> Response:
    def change(site: Site, found: Person, form: Form) -> None:
        visit = visit_of(request)
        site.doorkeeper.set_role(visit.who, found, role_of(form.get("role")), visit.origin)

    return await _change_person(request, person, change)


@router.post("/people/{person}/remove")
async def remove_person(request: Request, person: Id) -> Response:
    def change(site: Site, found: Person, _form: Form) -> None:
        visit = visit_of(request)
        site.doorkeeper.remove_person(visit.who, found, visit.origin)

    return await _change_person(request, person, change)


@router.post("/people/{person}/link")
async def make_link(request: Request, person: Id) -> Response:
    await read_form(request)
    site, visit = site_of(request), visit_of(request)
    found = await run_in_threadpool(_person, site, person)
    secret = await run_in_threadpool(site.doorkeeper.make_link, found, visit.who, visit.origin)
    return await run_in_threadpool(_people, request, "", "", found.name, _link(site, secret))


async def _change_person(request: Request, number: int, change: Callable[[Site, Person, Form], None]) -> Response:
    form = await read_form(request)
    site = site_of(request)
    found = await run_in_threadpool(_person, site, number)
    try:
        await run_in_threadpool(change, site, found, form)
    except LastAdmin:
        return await run_in_threadpool(_people, request, "last_admin")
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    return RedirectResponse("/people", 303)


def _person(site: Site, number: int) -> Person:
    found = site.doorkeeper.accounts.person(number)
    if found is None:
        raise not_found("person", str(number), ["see /people"])
    return found


def _people(request: Request, problem: str = "", name: str = "", made_for: str = "", link: str = "") -> Response:
    people = site_of(request).doorkeeper.accounts.people()
    context = {
        "people": people, "roles": [role.word for role in GIVEN_ROLES], "problem": problem, "name": name,
        "made_for": made_for, "link": link, "me": visit_of(request).who.person,
    }  # fmt: skip
    return form_page(request, "people.html", context, 422 if problem else 200)


def _link(site: Site, secret: str) -> str:
    return f"{site.setup.config.http.address}/welcome/{secret}"


# -- tokens -----------------------------------------------------------------------------------------------------------


@router.get("/tokens")
def tokens_page(request: Request) -> Response:
    """What programs may read."""
    return _tokens(request)


@router.post("/tokens")
async def add_token(request: Request) -> Response:
    form = await read_form(request)
    site, visit = site_of(request), visit_of(request)
    name, days = form.get("name").strip(), form.get("days")
    try:
        scopes = [Scope(word) for word in form.all("scope")]
    except ValueError as error:
        raise HTTPException(422, f"scope: must be one of {', '.join(Scope)}") from error
    lasts = int(days) if days.isascii() and days.isdecimal() and len(days) < 6 else 0
    try:
        add = site.doorkeeper.add_token
        secret = await run_in_threadpool(add, visit.who, name, scopes, lasts, visit.origin)
    except Refused as refused:
        return await run_in_threadpool(_tokens, request, refused.reason, name)
    return await run_in_threadpool(_tokens, request, "", "", name, secret)


@router.post("/tokens/{token}/revoke")
async def revoke_token(request: Request, token: Id) -> Response:
    await read_form(request)
    site, visit = site_of(request), visit_of(request)

    def revoke() -> None:
        found = next((one for one in site.doorkeeper.accounts.tokens() if one.id == token), None)
        if found is None:
            raise not_found("token", str(token), ["see /tokens"])
        site.doorkeeper.revoke_token(visit.who, found, visit.origin)

    await run_in_threadpool(revoke)
    return RedirectResponse("/tokens", 303)


def _tokens(request: Request, problem: str = "", name: str = "", made_for: str = "", secret: str = "") -> Response:
    context = {
        "tokens": site_of(request).doorkeeper.accounts.tokens(), "scopes": [scope.value for scope in Scope],
        "problem": problem, "name": name, "made_for": made_for, "secret": secret,
    }  # fmt: skip
    return form_page(request, "tokens.html", context, 422 if problem else 200)


# -- the logbook ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LogLine:
    """A row as a page shows it."""

    row: LogRow
    detail: str


@router.get("/log")
def log_page(request: Request, before: Annotated[int | None, Query(ge=1, le=_LARGEST_ID)] = None) -> Response:
    """Who did what, newest first, and whether the chain holds."""
    accounts = site_of(request).doorkeeper.accounts
    rows = accounts.log_page(before, _LOG_PAGE + 1)
    count, head, breaks = accounts.verify() if before is None else (0, None, [])
    context = {
        "lines": [LogLine(row, _detail(row.detail)) for row in rows[:_LOG_PAGE]],
        "next_before": rows[_LOG_PAGE - 1].row if len(rows) > _LOG_PAGE else None,
        "count": count, "head": head, "breaks": breaks, "is_first_page": before is None,
    }  # fmt: skip
    return form_page(request, "log.html", context)


def _detail(text: str) -> str:
    try:
        content = json.loads(text)
    except ValueError:
        return text
    return ", ".join(f"{key}: {value}" for key, value in content.items()) if isinstance(content, dict) else text


# ---------------------------------------------------------------------------------------------------------------------


def _enter(request: Request, opened: Opened, target: str) -> Response:
    visit, rules = visit_of(request), site_of(request).doorkeeper.rules
    # A page that needs more than this person may see would be a poor welcome.
    home = "/staff" if opened.person.role is Role.STAFF else "/"
    answer = RedirectResponse(home if target == "/" else target, 303)
    name = SECURE_SESSION_COOKIE if visit.is_https else SESSION_COOKIE
    answer.set_cookie(
        name, opened.secret, max_age=int(rules.longest.total_seconds()), secure=visit.is_https, httponly=True,
        samesite="lax",
    )  # fmt: skip
    answer.delete_cookie(FORM_COOKIE)
    return answer


def _refused(request: Request, name: str, context: Mapping[str, object], refused: Refused, status: int) -> Response:
    status = 429 if refused.wait_s else status
    answer = form_page(request, name, {**context, "problem": refused.reason, "wait_s": refused.wait_s}, status)
    if refused.wait_s:
        answer.headers["Retry-After"] = str(refused.wait_s)
    return answer


def _own_path(text: str) -> str:
    """A path on this server; anything that could lead elsewhere becomes the overview.

    >>> _own_path("/staff?lang=nl"), _own_path("//evil.example"), _own_path("https://evil.example"), _own_path("/\\\\x")
    ('/staff?lang=nl', '/', '/', '/')
    """
    parts = urlsplit(text) if text.isascii() and text.isprintable() else None
    if parts is None or parts.scheme or parts.netloc or not text.startswith("/") or text.startswith(("//", "/\\")):
        return "/"
    return text if "\\" not in text and len(text) <= 500 else "/"

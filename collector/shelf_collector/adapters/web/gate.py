"""THE table of who may ask for what, and the gate that keeps it. A route that is not in the table does not exist."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http.cookies import CookieError, SimpleCookie
from re import Pattern
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shelf_collector.adapters.web.errors import RefusedPage, wants_page
from shelf_collector.core.access import DEMO, NOBODY, Principal, Role
from shelf_collector.core.access import Scope as TokenScope
from shelf_collector.doorkeeper import Doorkeeper
from shelf_collector.ports import StorageProblem

SESSION_COOKIE = "smartshelf_session"
SECURE_SESSION_COOKIE = "__Host-smartshelf_session"
LARGEST_BODY_BYTES = 64 * 1024
LARGEST_PHOTO_BYTES = 16 * 1024 * 1024
_TOO_LARGE = "a request may hold {} KB: make the file smaller (a photo needs no more than 2000 pixels a side)"
LARGEST_PLANOGRAM_BYTES = 1024 * 1024
_LONGEST_SECRET = 200
_FORM_KEY_BYTES = 32
_LANGUAGE = re.compile(r"&lang=[a-z]{2}\b")
_FORWARDED = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "via", "x-real-ip")


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: which requests, the role a person needs, the scope a token needs (None: no token may).

    ``is_page``: somebody who is not logged in is sent to the login page.
    """

    method: str
    path: str
    role: Role
    scope: TokenScope | None = None
    is_page: bool = False
    largest_body_bytes: int = LARGEST_BODY_BYTES


_PUBLIC, _VIEWER, _STAFF, _ADMIN = Role.NOBODY, Role.VIEWER, Role.STAFF, Role.ADMIN

RULES: tuple[Rule, ...] = (
    # Open to the shop's network: displays, their parts and what they show; reading only, nothing personal.
    Rule("GET", "/display/{display}", _PUBLIC),
    Rule("GET", "/display/{display}/cards", _PUBLIC),
    Rule("POST", "/display/{display}/ask", _PUBLIC),  # a shopper's call for help: one open call a display
    Rule("GET", "/my/{display}", _PUBLIC),
    Rule("GET", "/01/{gtin}", _PUBLIC),
    Rule("GET", "/static/{path:path}", _PUBLIC),
    Rule("GET", "/sw.js", _PUBLIC),
    Rule("GET", "/offline", _PUBLIC),
    Rule("GET", "/stream", _PUBLIC),  # topics of displays; others need a viewer, see pages.get_stream
    Rule("GET", "/api/v1/displays/{display}", _PUBLIC),
    Rule("GET", "/livez", _PUBLIC),
    Rule("GET", "/readyz", _PUBLIC),
    Rule("GET", "/.well-known/security.txt", _PUBLIC),
    # Nodes fetch models: nothing secret, and they trust hash and signature, not the address.
    Rule("GET", "/models/{name}/{file}", _PUBLIC),
    Rule("GET", "/planograms/{sha256}", _PUBLIC),  # what stands where anybody in the shop sees; the address is the hash
    Rule("GET", "/galleries/{revision}", _PUBLIC),  # no names, no pictures; the address holds the hash
    # The way in.
    Rule("GET", "/login", _PUBLIC),
    Rule("POST", "/login", _PUBLIC),
    Rule("GET", "/welcome/{secret}", _PUBLIC),
    Rule("POST", "/welcome/{secret}", _PUBLIC),
    # Whoever has logged in.
    Rule("GET", "/", _VIEWER, is_page=True),
    Rule("GET", "/overview/live", _VIEWER),
    Rule("GET", "/account", _VIEWER, is_page=True),
    Rule("POST", "/account/password", _VIEWER),
    Rule("POST", "/logout", _VIEWER),
    Rule("GET", "/api/v1/openapi.json", _VIEWER, TokenScope.STORE),
    Rule("GET", "/api/v1/state", _VIEWER, TokenScope.STORE),
    Rule("GET", "/api/v1/bays", _VIEWER, TokenScope.STORE),
    Rule("GET", "/api/v1/bays/{bay}", _VIEWER, TokenScope.STORE),
    Rule("GET", "/api/v1/slots", _VIEWER, TokenScope.STORE),
    Rule("GET", "/api/v1/events", _VIEWER, TokenScope.STORE),
    Rule("GET", "/api/v1/alerts", _VIEWER, TokenScope.STORE),
    Rule("GET", "/api/v1/nodes", _VIEWER, TokenScope.STORE),
    Rule("GET", "/api/v1/labels", _VIEWER, TokenScope.STORE),
    Rule("GET", "/api/v1/audit", _VIEWER, TokenScope.STORE),
    Rule("GET", "/api/v1/rollouts", _VIEWER, TokenScope.STORE),
    Rule("GET", "/api/v1/products", _VIEWER, TokenScope.PRODUCTS),
    Rule("GET", "/api/v1/products/{gtin}", _VIEWER, TokenScope.PRODUCTS),
    # Staff.
    Rule("GET", "/staff", _STAFF, is_page=True),
    Rule("GET", "/staff/cards", _STAFF),
    Rule("POST", "/staff/tasks/{task}/{step}", _STAFF),
    Rule("POST", "/staff/rounds/{aisle}/claim", _STAFF),
    Rule("GET", "/api/v1/tasks", _VIEWER, TokenScope.STORE),
    Rule("POST", "/api/v1/tasks/{task}/steps", _STAFF),
    Rule("GET", "/staff/notices", _STAFF, is_page=True),
    Rule("POST", "/staff/notices/{channel}/test", _STAFF),
    Rule("GET", "/styleguide", _STAFF, is_page=True),
    Rule("GET", "/demo/camera/{bay}.mjpg", _STAFF),
    Rule("GET", "/enrol", _STAFF, is_page=True),
    Rule("GET", "/enrol/thumbnails/{photo}.jpg", _STAFF),
    Rule("GET", "/api/v1/enrol", _STAFF),
    Rule("POST", "/api/v1/enrol", _STAFF),
    Rule("POST", "/api/v1/enrol/photos", _STAFF, largest_body_bytes=LARGEST_PHOTO_BYTES),
    Rule("POST", "/api/v1/enrol/check", _STAFF),
    Rule("POST", "/api/v1/enrol/seen", _STAFF),
    Rule("POST", "/api/v1/enrol/undo", _STAFF),
    Rule("POST", "/api/v1/enrol/kind", _STAFF),
    Rule("GET", "/calibrate", _STAFF, is_page=True),
    Rule("GET", "/calibrate/planograms/{bay}.json", _STAFF),
    Rule("POST", "/api/v1/calibrate/back", _STAFF),
    Rule("POST", "/api/v1/calibrate/propose", _STAFF, largest_body_bytes=LARGEST_PHOTO_BYTES),
    Rule("POST", "/api/v1/calibrate/save", _STAFF, largest_body_bytes=LARGEST_PLANOGRAM_BYTES),
    Rule("POST", "/api/v1/enrol/remove", _ADMIN),
    # Admins.
    Rule("GET", "/people", _ADMIN, is_page=True),
    Rule("POST", "/people", _ADMIN),
    Rule("POST", "/people/{person}/role", _ADMIN),
    Rule("POST", "/people/{person}/link", _ADMIN),
    Rule("POST", "/people/{person}/remove", _ADMIN),
    Rule("GET", "/tokens", _ADMIN, is_page=True),
    Rule("POST", "/tokens", _ADMIN),
    Rule("POST", "/tokens/{token}/revoke", _ADMIN),
    Rule("GET", "/log", _ADMIN, is_page=True),
    Rule("GET", "/api/v1/log", _ADMIN, TokenScope.LOG),
)

_COMPILED: list[tuple[Pattern[str], Rule]] = [(compile_path(rule.path)[0], rule) for rule in RULES]


def rules_for(path: str) -> Iterator[Rule]:
    """The rows that a path falls under, of all methods."""
    return (rule for pattern, rule in _COMPILED if pattern.match(path))


def without_slash(path: str) -> str:
    """The page that was meant by a path with slashes at its end; empty when there is none."""
    meant = path.rstrip("/")
    is_page = path.endswith("/") and any(rule.method == "GET" for rule in rules_for(meant))
    return meant if is_page and not path.startswith("/static/") else ""


@dataclass(frozen=True)
class Visit:
    """Who asks, from where, and the key that their forms are signed with.

    Attributes:
        origin: the address they come from, as the trusted proxies say.
        is_private: nobody on the way can read along: HTTPS, or this computer.
        form_key: secret of the session or, before login, of this browser's visit.
    """

    who: Principal
    origin: str
    is_private: bool
    is_https: bool
    form_key: str
    is_new_form_key: bool

    @property
    def form_mark(self) -> str:
        """What every form carries in a hidden field, and no other site can know."""
        return hmac.new(self.form_key.encode(), b"form", hashlib.sha256).hexdigest()


FORM_COOKIE = "smartshelf_form"


class Gate:
    """Looks up who asks, and lets through what the table allows. Everything else is refused here.

    Args:
        is_demo: everybody on this computer is staff (``[demo] open_to_this_computer``).
        trusted_proxies: networks whose X-Forwarded-For and X-Forwarded-Proto are believed.
        refused_page: shows a refusal to somebody who asked in a browser's window.
    """

    def __init__(
        self, app: ASGIApp, doorkeeper: Doorkeeper, is_demo: bool, trusted_proxies: Sequence[str],
        refused_page: RefusedPage,
    ) -> None:  # fmt: skip
        self._app = app
        self._refused_page = refused_page
        self._doorkeeper = doorkeeper
        self._is_demo = is_demo
        self._proxies = [ipaddress.ip_network(network) for network in trusted_proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websockets here
            return
        answer = await self._refusal(scope)
        if isinstance(answer, _Refusal) and not answer.is_strange and wants_page(scope["path"], Headers(scope=scope)):
            scope.setdefault("state", {}).setdefault("visit", _visit(scope, NOBODY, ""))
            shown = await run_in_threadpool(self._refused_page, Request(scope), answer.status_code, answer.text)
            shown.headers.update(answer.extra)
            answer = shown
        await (answer or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        """Why the request goes no further, or None; then ``scope["state"]["visit"]`` is set."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        headers = Headers(scope=scope)
        is_strange_proxy = not self._unwrap(scope, headers)
        rules = list(rules_for(scope["path"]))
        is_strange = self._is_demo and (is_strange_proxy or not _names_this_computer(headers.get("host", "")))
        if not rules:
            there = without_slash(scope["path"])
            if there and method == "GET" and not is_strange and wants_page(scope["path"], headers):
                query = scope.get("query_string", b"").decode("latin-1")
                return RedirectResponse(quote(there) + (f"?{query}" if query else ""), 307)
            hint = f"; did you mean {there}?" if there else ""
            return _error(404, "not_found", f"there is nothing at this address{hint}", is_strange=is_strange)
        rule = next((rule for rule in rules if rule.method == method), None)
        if rule is None:
            allowed = ", ".join(sorted({rule.method for rule in rules}))
            text = f"allowed: {allowed}"
            return _error(405, "method_not_allowed", text, {"Allow": allowed}, is_strange=is_strange)
        if is_strange:
            # A page elsewhere whose name points to 127.0.0.1, or a tunnel, must not read what only this computer may.
            return _error(403, "forbidden", "the demo answers to 127.0.0.1 and localhost only", is_strange=True)
        if is_strange_proxy:
            # Behind a proxy everybody seems to be on this computer: who really asks cannot be told.
            visit = replace(_visit(scope, NOBODY, ""), is_private=False)
        else:
            try:
                visit = await run_in_threadpool(self._visit, scope, headers)
            except StorageProblem:
                if rule.role is not Role.NOBODY:
                    return _error(503, "not_ready", "the database does not answer; try again")
                visit = _visit(scope, NOBODY, "")
        scope.setdefault("state", {})["visit"] = visit
        if not visit.who.may(rule.role, rule.scope):
            return self._no_entry(scope, headers, rule, visit)
        if method != "GET" and visit.who.kind != "token" and _comes_from_elsewhere(headers):
            return _error(403, "forbidden", "this form was sent by another site")
        return None

    def _unwrap(self, scope: Scope, headers: Headers) -> bool:
        """Put the real address and scheme into the scope; False when a proxy forwarded it that nobody configured."""
        if not any(name in headers for name in _FORWARDED):
            return True
        client = scope.get("client")
        if client is None or not self._is_trusted(str(client[0])):
            return False
        hops = [hop.strip() for hop in ",".join(headers.getlist("x-forwarded-for")).split(",") if hop.strip()]
        stranger = next((hop for hop in reversed(hops) if not self._is_trusted(hop)), hops[0] if hops else "")
        scope["client"] = (stranger[:64] or str(client[0]), 0)
        scheme = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip()
        if scheme in {"http", "https"}:
            scope["scheme"] = scheme
        return True

    def _is_trusted(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)

    def _visit(self, scope: Scope, headers: Headers) -> Visit:
        bare = _visit(scope, NOBODY, "")
        if self._is_demo:
            return _visit(scope, DEMO, _cookie(headers, FORM_COOKIE))
        kind, _, secret = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            # Never over a wire that others can read: the token would not stay a secret.
            is_token = bare.is_private and 0 < len(secret) <= _LONGEST_SECRET
            return _visit(scope, self._doorkeeper.of_token(secret.strip()) if is_token else NOBODY, "")
        session = _cookie(headers, SECURE_SESSION_COOKIE if bare.is_https else SESSION_COOKIE)
        if session and bare.is_private:
            who = self._doorkeeper.of_session(session)
            if who.kind == "person":
                return _visit(scope, who, session)
        return _visit(scope, NOBODY, _cookie(headers, FORM_COOKIE))

    def _no_entry(self, scope: Scope, headers: Headers, rule: Rule, visit: Visit) -> Response:
        if visit.who.kind != "nobody":
            need = f"the role {rule.role.word}" if visit.who.kind != "token" else f"the scope {rule.scope or '-'}"
            if rule.is_page:
                return RedirectResponse("/account?refused=" + rule.role.word, 303)
            return _error(403, "forbidden", f"this needs {need}")
        if rule.is_page and scope["method"] in {"GET", "HEAD"}:
            query = "&" + scope.get("query_string", b"").decode("latin-1") if scope.get("query_string") else ""
            there = scope["path"] + (f"?{query[1:]}" if query else "")
            language = _LANGUAGE.search(query)
            had_session = _cookie(headers, SECURE_SESSION_COOKIE if visit.is_https else SESSION_COOKIE)
            more = (language[0] if language else "") + ("&ended=1" if had_session else "")
            return RedirectResponse(f"/login?next={quote(there, safe='')}{more}", 303)
        text = "log in, or send a token: Authorization: Bearer ..."
        if not visit.is_private:
            text += " (over HTTPS: this connection can be read by others)"
        return _error(401, "unauthorized", text, {"WWW-Authenticate": 'Bearer realm="smartshelf"'})


def visit_of(connection: HTTPConnection) -> Visit:
    """Who asks. Raises: TypeError when the request did not come through the gate."""
    visit = connection.scope.get("state", {}).get("visit")
    if not isinstance(visit, Visit):
        raise TypeError("the request did not come through the gate")
    return visit


def is_own_form(visit: Visit, mark: str) -> bool:
    """Whether a form carries this visit's mark."""
    return not visit.is_new_form_key and hmac.compare_digest(visit.form_mark.encode(), mark.encode())


class BodyLimit:
    """Refuses request bodies over 64 KiB (photos: 16 MiB), said or not said in advance."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        rules = [rule for rule in rules_for(scope["path"]) if rule.method == scope["method"]]
        largest = max((rule.largest_body_bytes for rule in rules), default=LARGEST_BODY_BYTES)
        if not said.isdecimal() or int(said[:12]) > largest:
            answer = _error(413, "too_large", _TOO_LARGE.format(largest // 1024))
            await answer(scope, receive, send)
            return
        received, has_begun = 0, False

        async def counted() -> dict[str, object]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > largest:
                return {"type": "http.disconnect"}
            return dict(message)

        async def answered(message: Message) -> None:
            nonlocal has_begun
            if received > largest and not has_begun:
                return  # what the handler says of a visitor who went away; ours follows
            has_begun = True
            await send(message)

        try:
            await self._app(scope, counted, answered)
        except Exception:
            if received <= largest or has_begun:
                raise
        if received > largest and not has_begun:
            await _error(413, "too_large", _TOO_LARGE.format(largest // 1024))(scope, receive, send)


def _visit(scope: Scope, who: Principal, form_key: str) -> Visit:
    client = scope.get("client")
    origin = str(client[0]) if client else ""
    is_https = scope.get("scheme") == "https"
    key = form_key[:_LONGEST_SECRET] or secrets.token_urlsafe(_FORM_KEY_BYTES)
    return Visit(who, origin, is_https or _is_loopback(origin), is_https, key, is_new_form_key=not form_key)


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def _names_this_computer(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name in {"localhost", "[::1]"} or _is_loopback(name)


def _comes_from_elsewhere(headers: Headers) -> bool:
    """By what browsers themselves say of a request that changes something."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return True
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host", "")


def _cookie(headers: Headers, name: str) -> str:
    for line in headers.getlist("cookie"):
        try:
            cookies: SimpleCookie = SimpleCookie(line[:4096])
        except CookieError:
            continue
        if name in cookies:
            return cookies[name].value[:_LONGEST_SECRET]
    return ""


class _Refusal(JSONResponse):
    """Why a request goes no further. ``is_strange``: nothing of the shop may be told to whoever asks."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None, is_strange: bool) -> None:
        super().__init__({"error": {"code": code, "message": message}}, status, headers)
        self.text = message
        self.extra = headers or {}
        self.is_strange = is_strange


def _error(
    status: int, code: str, message: str, headers: dict[str, str] | None = None, *, is_strange: bool = False
) -> Response:
    return _Refusal(status, code, message, headers, is_strange)

"""Who gets in where: every route against every kind of visitor, links, sessions, forms, tokens, proxies, the demo."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Mount, Route

from shelf_collector.adapters.passwords import Passwords
from shelf_collector.adapters.web.gate import RULES, Rule, rules_for
from shelf_collector.adapters.web.pages import STATIC
from shelf_collector.adapters.web.server import create_app
from shelf_collector.config import SetupProblems, load_setup
from shelf_collector.core.access import Role, Scope, Throttle, password_fault
from shelf_collector.core.logbook import Deed
from shelf_collector.doorkeeper import Refused
from shelf_collector.ports import StorageProblem
from tests.collector.builders import NOON, Node
from tests.collector.conftest import Shop
from tests.collector.visitors import HERE, IN_THE_SHOP, PASSWORD, Visitor, add_person, logged_in, with_token

OPEN_DEMO = "demo.open_to_this_computer = true\n"


@pytest.fixture
def locked(shop_folder: Path, open_shop: Callable[[], Shop]) -> Shop:
    """A shop with a login, as every real one."""
    config = shop_folder / "collector.toml"
    config.write_text(config.read_text().replace(OPEN_DEMO, ""))
    return open_shop()


def configure(folder: Path, more: str) -> None:
    config = folder / "collector.toml"
    config.write_text(config.read_text().replace(OPEN_DEMO, "") + more)


# -- the table --------------------------------------------------------------------------------------------------------


def all_routes(routes: list[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of everything the application serves, one level deep."""
    for route in routes:
        if isinstance(route, Mount):
            yield "GET", f"{prefix}{route.path}/{{path:path}}"
        elif isinstance(route, Route):
            yield from ((method, prefix + route.path) for method in route.methods or () if method != "HEAD")


def served(shop: Shop) -> set[tuple[str, str]]:
    from fastapi.routing import APIRoute

    from shelf_collector.adapters.web import (
        api,
        calibrate,
        enrol,
        entrance,
        kiosk,
        models,
        notices,
        pages,
        refused,
        staff,
        styleguide,
    )  # fmt: skip

    app = create_app(shop.site)
    found = {pair for route in app.routes if isinstance(route, Route | Mount) for pair in all_routes([route])}
    of_pages = (
        pages.stream,
        pages.router,
        kiosk.router,
        entrance.router,
        refused.router,
        enrol.pages,
        calibrate.router,
        calibrate.pages,
        staff.pages,
        notices.router,
        styleguide.router,
    )
    for router in (api.router, api.health, models.router, enrol.router, staff.router, *of_pages):
        for route in router.routes:
            assert isinstance(route, APIRoute)
            found |= {(method, route.path) for method in route.methods}
    return found


def test_every_route_is_in_the_table_and_every_row_is_a_route(locked: Shop) -> None:
    listed = [(rule.method, rule.path) for rule in RULES]
    assert len(listed) == len(set(listed))
    assert set(listed) == served(locked)


def concrete(rule: Rule) -> str:
    """An address that falls under a row and changes nothing that matters."""
    path = (
        rule.path.replace("{path:path}", "style.css")
        .replace("{person}", "999")
        .replace("{token}", "999")
        .replace("{step}", "claim")
        .replace("{channel}", "mail")
    )
    for place, value in (("{display}", "a01"), ("{bay}", "a01"), ("{gtin}", "96385074"), ("{secret}", "x" * 43)):
        path = path.replace(place, value)
    return path + ("?topics=display/none" if rule.path == "/stream" else "")


def is_let_in(visitor: Visitor, rule: Rule) -> bool:
    """Whether the gate let it through; what the route itself answers (404, a form that is missing) does not matter."""
    if rule.path == "/stream":
        return True  # it does not end
    answer = visitor.ask(rule.method, concrete(rule))
    text = answer.text
    refusals = (
        answer.status_code == 401,
        answer.status_code == 403 and "this needs" in text,
        answer.status_code == 303 and answer.headers["location"].startswith(("/login?next=", "/account?refused=")),
    )
    return not any(refusals)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.STAFF, Role.ADMIN])
def test_every_route_for_every_role(locked: Shop, role: Role) -> None:
    visitor = logged_in(locked, "Ben", role)
    for rule in RULES:
        assert is_let_in(visitor, rule) == (role >= rule.role), f"{rule.method} {rule.path} as {role.word}"


@pytest.mark.parametrize(("address", "base"), [(HERE, "https://shelf.shop"), (IN_THE_SHOP, "http://192.168.1.2")])
def test_without_a_login_only_displays_and_the_way_in_are_open(locked: Shop, address: str, base: str) -> None:
    add_person(locked, "Anna", Role.ADMIN)
    visitor = Visitor(locked, address, base)
    for rule in RULES:
        assert is_let_in(visitor, rule) == (rule.role is Role.NOBODY), f"{rule.method} {rule.path}"


@pytest.mark.parametrize("scope", list(Scope))
def test_every_route_for_a_token_of_every_scope(locked: Shop, scope: Scope) -> None:
    visitor = with_token(locked, scope)
    for rule in RULES:
        assert is_let_in(visitor, rule) == (rule.role is Role.NOBODY or rule.scope == scope), (
            f"{rule.method} {rule.path} with {scope}"
        )
    assert not [rule for rule in RULES if rule.scope and rule.method != "GET"], "tokens change nothing"


def test_what_is_open_to_the_shop_reads_only_and_names_nobody(locked: Shop) -> None:
    open_rows = [rule for rule in RULES if rule.role is Role.NOBODY]
    posts = {rule.path for rule in open_rows if rule.method != "GET"}
    assert posts == {"/login", "/welcome/{secret}", "/display/{display}/ask"}, "and a shopper's call for help"
    admin = logged_in(locked, "Annabella", Role.ADMIN)
    locked.say(Node().event("reach", "s1-01"))
    visitor = Visitor(locked, IN_THE_SHOP, "http://192.168.1.2")
    for rule in open_rows:
        if rule.method == "GET" and rule.path != "/stream":
            for one in (visitor, admin):
                assert "Annabella" not in one.get(concrete(rule)).text, rule.path


def test_unknown_paths_and_methods_are_refused_before_any_code_runs(locked: Shop) -> None:
    visitor = Visitor(locked)
    assert visitor.get("/docs").status_code == 404
    answer = visitor.ask("DELETE", "/people")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert next(rules_for("/static/../../etc/passwd")).path == "/static/{path:path}"
    for path in ("/static/..%2f..%2fserver.py", "/static/%2e%2e/%2e%2e/server.py", "/static//etc/passwd"):
        assert visitor.get(path).status_code in {404, 405}, path
    assert visitor.get("/display/..%2f..%2fx").status_code == 404


def test_the_stream_of_anything_but_displays_needs_a_login(locked: Shop) -> None:
    visitor = Visitor(locked, IN_THE_SHOP, "http://192.168.1.2")
    for topics in ("alert", "display/a01,alert", "display", "", "node/n01"):
        assert visitor.get(f"/stream?topics={topics}").status_code == 401, topics
    assert with_token(locked, Scope.STORE).get("/stream?topics=alert").status_code == 401


# -- the first start --------------------------------------------------------------------------------------------------


def test_there_is_no_default_password_and_the_first_link_makes_the_first_admin(locked: Shop) -> None:
    door = locked.site.doorkeeper
    assert door.accounts.people() == []
    visitor = Visitor(locked)
    assert visitor.log_in("admin", "admin").status_code in {403, 401}
    secret = door.make_setup_link()
    path = f"/welcome/{secret}"
    assert "The first admin" in visitor.get(path + "?lang=en").text
    for name, password, problem in (
        ("Anna", "short", "too short"),
        ("Anna", "aaaaaaaaaaaaaaa", "guessed"),
        ("", PASSWORD, "Enter a name"),
    ):
        answer = visitor.send(path + "?lang=en", path, name=name, password=password)
        assert answer.status_code == 422
        assert problem in answer.text
    answer = visitor.send(path, path, name="Anna", password=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert visitor.get("/people?lang=en").status_code == 200
    assert Visitor(locked).get(path).status_code == 404, "it works once"
    assert door.make_setup_link() is None, "there is an admin now"
    assert Visitor(locked).log_in("ANNA").status_code == 303, "names do not depend on capitals"


def test_the_first_link_dies_after_15_minutes_or_when_another_one_is_made(locked: Shop) -> None:
    door = locked.site.doorkeeper
    first, second = door.make_setup_link(), door.make_setup_link()
    assert Visitor(locked).get(f"/welcome/{first}").status_code == 404
    locked.clock.advance(14 * 60 + 59)
    assert Visitor(locked).get(f"/welcome/{second}").status_code == 200
    locked.clock.advance(1)
    assert Visitor(locked).get(f"/welcome/{second}").status_code == 404


def test_two_who_use_a_link_at_once_get_one_account(locked: Shop) -> None:
    door = locked.site.doorkeeper
    secret = door.make_setup_link()
    assert secret
    outcomes: list[str] = []

    def use(name: str) -> None:
        try:
            door.use_link(secret, name, PASSWORD, HERE)
            outcomes.append("in")
        except Refused as refused:
            outcomes.append(refused.reason)

    threads = [threading.Thread(target=use, args=(f"P{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes).count("in") == 1
    assert len(door.accounts.people()) == 1


def test_a_link_whose_use_fails_is_still_good(locked: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    door = locked.site.doorkeeper
    secret = door.make_setup_link()
    assert secret

    def fail(*_args: object) -> None:
        raise StorageProblem("the disk is full")

    with monkeypatch.context() as full:
        full.setattr("shelf_collector.adapters.accounts._append", fail)
        with pytest.raises(StorageProblem):
            door.use_link(secret, "Anna", PASSWORD, HERE)
    assert door.accounts.people() == []
    door.use_link(secret, "Anna", PASSWORD, HERE)
    ben = door.accounts.add_person("Ben", Role.STAFF, locked.clock.now(), Deed("person.added"))
    secret = door.make_link(ben)
    with monkeypatch.context() as full:
        full.setattr("shelf_collector.adapters.accounts._append", fail)
        with pytest.raises(StorageProblem):
            door.use_link(secret, "", PASSWORD, HERE)
    door.use_link(secret, "", PASSWORD, HERE)


# -- passwords --------------------------------------------------------------------------------------------------------


def test_passwords_are_kept_as_argon2id_and_nothing_secret_is_in_the_database(locked: Shop, shop_folder: Path) -> None:
    visitor = logged_in(locked, "Anna", Role.ADMIN)
    token = with_token(locked, Scope.STORE).headers["Authorization"].removeprefix("Bearer ")
    link = locked.site.doorkeeper.make_link(locked.site.doorkeeper.accounts.people()[0])
    session = visitor.cookies["__Host-smartshelf_session"]
    stored = b"".join(path.read_bytes() for path in (shop_folder / "state").glob("collector.sqlite3*"))
    assert b"$argon2id$" in stored
    for secret in (PASSWORD, token, link, session):
        assert secret.encode() not in stored
    assert "$argon2id$v=19$m=65536,t=3,p=1$" in Passwords().hash("x")


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("elf letters", "password_short"), ("x" * 257, "password_long"), ("abcdefghijklmnop", "password_guess"),
        ("Password1234", "password_guess"), ("annaannaanna", "password_guess"), ("anna12345678", None),
        ("four small words here", None), ("ñandú-über-çédille", None), ("1212121212121212", "password_guess"),
    ],
)  # fmt: skip
def test_passwords_that_are_refused(password: str, fault: str | None) -> None:
    assert password_fault(password, "Anna") == fault


def test_after_five_failures_each_try_waits_twice_as_long(locked: Shop) -> None:
    add_person(locked, "Anna", Role.ADMIN)
    visitor = Visitor(locked)
    for _ in range(5):
        assert visitor.log_in("Anna", "wrong").status_code == 401
    answer = visitor.log_in("Anna")
    assert answer.status_code == 429, "even with the right password"
    assert int(answer.headers["retry-after"]) == 1
    waits = []
    for _ in range(4):
        locked.clock.advance(waits[-1] if waits else 1)
        assert visitor.log_in("Anna", "wrong").status_code == 401
        waits.append(int(visitor.log_in("Anna", "wrong").headers["retry-after"]))
    assert waits == [2, 4, 8, 16]
    locked.clock.advance(16)
    assert visitor.log_in("Anna").status_code == 303


def test_an_address_is_slowed_down_whatever_names_it_tries(locked: Shop) -> None:
    door = locked.site.doorkeeper
    for number in range(5):
        with pytest.raises(Refused, match="login_wrong"):
            door.log_in(f"P{number}", "wrong", "10.0.0.9")
    with pytest.raises(Refused, match="login_wait"):
        door.log_in("P9", "wrong", "10.0.0.9")
    with pytest.raises(Refused, match="login_wrong"):
        door.log_in("P9", "wrong", "10.0.0.10")


def test_guesses_sent_at_once_are_not_all_free(locked: Shop) -> None:
    add_person(locked, "Anna", Role.ADMIN)
    reasons: list[str] = []

    def guess() -> None:
        try:
            locked.site.doorkeeper.log_in("Anna", "wrong", HERE)
        except Refused as refused:
            reasons.append(refused.reason)

    threads = [threading.Thread(target=guess) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert reasons.count("login_wrong") == 5
    assert reasons.count("login_wait") == 25


def test_nobody_can_lock_somebody_else_out_for_long() -> None:
    throttle = Throttle(timedelta(seconds=30))
    for number in range(1000):
        throttle.failed("account anna", NOON + timedelta(seconds=number))
    assert throttle.wait_s("account anna", NOON + timedelta(seconds=999)) == 30
    assert throttle.wait_s("account anna", NOON - timedelta(days=3)) <= 30, "nor by a clock that was set back"


def test_who_exists_cannot_be_told(locked: Shop) -> None:
    add_person(locked, "Anna", Role.ADMIN)
    answers = []
    for name in ("Anna", "Nobody"):
        visitor = Visitor(locked)
        answers += [(one.status_code, one.text.replace(name, "")) for one in [visitor.log_in(name, "wrong")]]
    strip = re.compile(r'name="mark" value="[0-9a-f]+"')
    assert answers[0][0] == answers[1][0]
    assert strip.sub("", answers[0][1]) == strip.sub("", answers[1][1])


# -- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_ends_when_idle_and_after_twelve_hours_whatever_happens(locked: Shop) -> None:
    visitor = logged_in(locked, "Ben", Role.STAFF)
    for _ in range(11):
        locked.clock.advance(3600)
        assert visitor.get("/staff").status_code == 200
    locked.clock.advance(3601)
    assert visitor.get("/staff").status_code == 303
    visitor = logged_in(locked, "Ben", Role.STAFF)
    locked.clock.advance(2 * 3600)
    assert visitor.get("/staff").status_code == 303
    visitor = logged_in(locked, "Ben", Role.STAFF)
    locked.clock.advance(-60)
    assert visitor.get("/staff").status_code == 303, "a clock that was set back does not make it immortal"


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(locked: Shop) -> None:
    add_person(locked, "Ben", Role.STAFF)
    answer = Visitor(locked).log_in("Ben")
    cookie = next(c for c in answer.headers.get_list("set-cookie") if "session" in c)
    assert cookie.startswith("__Host-smartshelf_session=")
    assert {part.strip().lower() for part in cookie.split(";")[1:]} >= {"httponly", "secure", "samesite=lax", "path=/"}
    assert "domain" not in cookie.lower()
    assert "max-age=31536000" in answer.headers["strict-transport-security"]
    plain = Visitor(locked, HERE, "http://127.0.0.1").log_in("Ben")
    cookie = next(c for c in plain.headers.get_list("set-cookie") if "session" in c)
    assert cookie.startswith("smartshelf_session=")
    assert "httponly" in cookie.lower()
    assert "secure" not in cookie.lower()
    assert "strict-transport-security" not in plain.headers


def test_logging_out_a_new_password_and_removal_end_sessions(locked: Shop) -> None:
    admin = logged_in(locked, "Anna", Role.ADMIN)
    first, second = logged_in(locked, "Ben", Role.STAFF), logged_in(locked, "Ben", Role.STAFF)
    stolen = Visitor(locked, cookies=dict(first.cookies))
    new = "another long sentence"
    answer = second.send("/account/password", "/account", old=PASSWORD, password=new)
    assert answer.headers["location"] == "/account?done=password"
    assert second.get("/staff").status_code == 200
    assert first.get("/staff").status_code == 303
    assert stolen.get("/staff").status_code == 303
    second.send("/logout", "/account")
    assert second.get("/staff").status_code == 303
    third = Visitor(locked)
    third.log_in("Ben", new)
    number = next(p.id for p in locked.site.doorkeeper.accounts.people() if p.name == "Ben")
    admin.send(f"/people/{number}/role", "/people", role="viewer")
    assert third.get("/staff").headers["location"] == "/account?refused=staff"
    admin.send(f"/people/{number}/remove", "/people")
    assert third.get("/").status_code == 303
    assert Visitor(locked).log_in("Ben", new).status_code == 401


def test_a_login_leads_back_to_where_one_was_going_but_never_elsewhere(locked: Shop) -> None:
    add_person(locked, "Anna", Role.ADMIN)
    visitor = Visitor(locked)
    assert visitor.get("/people?lang=nl").headers["location"] == "/login?next=%2Fpeople%3Flang%3Dnl&lang=nl"
    for wish, led_to in (
        ("/people?lang=nl", "/people?lang=nl"), ("//evil.example/x", "/"), ("https://evil.example", "/"),
        ("/\\evil.example", "/"), ("javascript:alert(1)", "/"), ("/a\r\nSet-Cookie: x=y", "/"), ("", "/"),
    ):  # fmt: skip
        answer = Visitor(locked).send("/login", name="Anna", password=PASSWORD, next=wish)
        assert answer.headers["location"] == led_to, wish


# -- forms ------------------------------------------------------------------------------------------------------------


def test_a_form_of_another_site_changes_nothing(locked: Shop) -> None:
    admin = logged_in(locked, "Anna", Role.ADMIN)
    fields = {"name": "Mallory", "role": "admin"}
    mark = admin.mark("/people")
    foreign = Visitor(locked).mark()
    tries: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({"mark": ""}, {}),
        ({"mark": foreign}, {}),
        ({"mark": "0" * 64}, {}),
        ({"mark": mark}, {"Origin": "https://evil.example"}),
        ({"mark": mark}, {"Origin": "null"}),
        ({"mark": mark}, {"Sec-Fetch-Site": "cross-site"}),
        ({"mark": mark}, {"Sec-Fetch-Site": "same-site"}),
    ]
    for more, headers in tries:
        assert admin.ask("POST", "/people", data={**fields, **more}, headers=headers).status_code == 403
    assert admin.ask("POST", "/people", json={**fields, "mark": mark}).status_code == 400
    assert [person.name for person in locked.site.doorkeeper.accounts.people()] == ["Anna"]
    own = {"Origin": "https://shelf.shop", "Sec-Fetch-Site": "same-origin"}
    assert admin.ask("POST", "/people", data={**fields, "mark": mark}, headers=own).status_code == 200


def test_every_form_and_only_forms_carry_the_mark(locked: Shop) -> None:
    admin = logged_in(locked, "Anna", Role.ADMIN)
    with_token(locked, Scope.STORE)
    for page in ("/account", "/people", "/tokens"):
        text = admin.get(page).text
        assert text.count("<form") == text.count('name="mark"') > 0, page
        assert text.count('method="post"') == text.count("<form"), "a secret must not end up in an address"


def test_large_and_strange_requests_are_refused(locked: Shop) -> None:
    visitor = Visitor(locked)
    assert visitor.ask("POST", "/login", content=b"x" * 70_000).status_code == 413

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b"x" * 1024

    chunked = {"Content-Type": "application/x-www-form-urlencoded"}
    huge = visitor.ask("POST", "/login", content=unannounced(), headers=chunked)
    assert (huge.status_code, huge.json()["error"]["code"]) == (413, "too_large")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"\xff\xfe", b"&".join(b"a=1" for _ in range(500)), b"%ff=%ff"):
        assert visitor.ask("POST", "/login", content=body, headers=form).status_code == 400
    assert visitor.get("/api/v1/events?before=" + "9" * 40).status_code == 401
    admin = logged_in(locked, "Anna", Role.ADMIN)
    assert admin.get("/api/v1/events?before=" + "9" * 40).status_code == 422
    assert admin.ask("POST", f"/people/{'9' * 40}/remove").status_code == 422


def test_no_page_holds_a_script_of_its_own(locked: Shop) -> None:
    policy = Visitor(locked).get("/login").headers["content-security-policy"]
    rules = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert "unsafe-inline" not in rules["style-src"]
    assert (rules["frame-ancestors"], rules["base-uri"], rules["form-action"]) == ("'none'", "'none'", "'self'")
    for template in (STATIC.parent / "templates").glob("*.html"):
        text = template.read_text()
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), template.name
        assert not re.search(r"\son[a-z]+\s*=|javascript:|<style", text), template.name


def test_headers_on_every_answer(locked: Shop) -> None:
    visitor = Visitor(locked)
    for path in ("/display/a01", "/login", "/nothing", "/static/style.css", "/api/v1/state", "/livez"):
        headers = visitor.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY", path
        assert headers["referrer-policy"] == "same-origin", path
        kept = path.startswith(("/display", "/static"))
        assert headers["cache-control"] == ("no-cache" if kept else "no-store"), path


# -- people and tokens ------------------------------------------------------------------------------------------------


def test_an_admin_invites_and_never_knows_the_password(locked: Shop) -> None:
    admin = logged_in(locked, "Anna", Role.ADMIN)
    answer = admin.send("/people", "/people", name="Ben <b>", role="viewer")
    link = re.search(r">(http://127\.0\.0\.1:8080(/welcome/\S+?))<", answer.text)
    assert link
    assert "Ben &lt;b&gt;" in answer.text
    assert admin.send("/people", "/people", name="BEN <B>", role="viewer").status_code == 422, "the name is taken"
    assert admin.send("/people", "/people", name="Cas", role="owner").status_code == 422
    ben = Visitor(locked)
    assert ben.send(link[2], link[2], name="Somebody else", password=PASSWORD).status_code == 303
    assert ben.get("/account").text.count("Ben &lt;b&gt;")
    assert ben.get("/staff").headers["location"] == "/account?refused=staff"


def test_the_last_admin_cannot_go(locked: Shop) -> None:
    admin = logged_in(locked, "Anna", Role.ADMIN)
    number = locked.site.doorkeeper.accounts.people()[0].id
    for path, fields in ((f"/people/{number}/remove", {}), (f"/people/{number}/role", {"role": "staff"})):
        assert admin.send(path, "/people", **fields).status_code == 422
    admin.send("/people", "/people", name="Invited", role="admin")
    assert admin.send(f"/people/{number}/remove", "/people").status_code == 422, "an invited one cannot log in yet"
    add_person(locked, "Cas", Role.ADMIN)
    assert admin.send(f"/people/{number}/remove", "/people").status_code == 303


def test_a_token_is_shown_once_reads_its_scope_and_ends(locked: Shop) -> None:
    admin = logged_in(locked, "Anna", Role.ADMIN)
    answer = admin.send("/tokens", "/tokens", name="till", scope=["products:read"], days="30")
    token = re.search(r">(shelf_[A-Za-z0-9_-]{43})<", answer.text)
    assert token
    assert token[1] not in admin.get("/tokens").text
    program = Visitor(locked, headers={"Authorization": f"Bearer {token[1]}"})
    assert program.get("/api/v1/products").status_code == 200
    assert program.get("/api/v1/state").status_code == 403
    assert program.get("/").status_code == 403 or program.get("/").headers["location"].startswith("/account")
    over_the_wire = Visitor(locked, IN_THE_SHOP, "http://192.168.1.2", headers=program.headers)
    assert over_the_wire.get("/api/v1/products").status_code == 401, "others could read it on the way"
    locked.clock.advance(30 * 86_400)
    assert program.get("/api/v1/products").status_code == 401, "expired"
    admin = logged_in(locked, "Anna", Role.ADMIN)
    fresh = with_token(locked, Scope.PRODUCTS)
    assert fresh.get("/api/v1/products").status_code == 200
    number = locked.site.doorkeeper.accounts.tokens()[-1].id
    assert admin.send(f"/tokens/{number}/revoke", "/tokens").status_code == 303
    assert fresh.get("/api/v1/products").status_code == 401, "revoked"
    for fields in ({"name": "x", "days": "30"}, {"name": "x", "scope": "store:read", "days": "0"}):
        assert admin.send("/tokens", "/tokens", **fields).status_code == 422


# -- wires and proxies ------------------------------------------------------------------------------------------------


def test_nobody_logs_in_where_others_can_read_along(locked: Shop) -> None:
    add_person(locked, "Anna", Role.ADMIN)
    visitor = Visitor(locked, IN_THE_SHOP, "http://192.168.1.2")
    assert "HTTPS" in visitor.get("/login?lang=en").text
    assert visitor.mark() == ""
    key = Visitor(locked, IN_THE_SHOP, "https://shelf.shop")
    mark = key.mark()
    visitor.cookies = key.cookies
    assert visitor.ask("POST", "/login", data={"mark": mark, "name": "Anna", "password": PASSWORD}).status_code == 403
    session = logged_in(locked, "Anna", Role.ADMIN).cookies["__Host-smartshelf_session"]
    stolen = {"Cookie": f"smartshelf_session={session}; __Host-smartshelf_session={session}"}
    assert visitor.ask("GET", "/people", headers=stolen).status_code == 303
    assert visitor.get(f"/welcome/{locked.site.doorkeeper.make_setup_link()}").status_code == 404
    assert visitor.get("/display/a01").status_code == 200


def test_forwarded_headers_count_only_from_configured_proxies(shop_folder: Path, open_shop: Callable[[], Shop]) -> None:
    configure(shop_folder, '[http]\ntrusted_proxies = ["10.0.0.5/32", "10.0.1.0/24"]\n')
    shop = open_shop()
    add_person(shop, "Anna", Role.ADMIN)
    forwarded = {"X-Forwarded-For": "1.2.3.4, 203.0.113.9, 10.0.1.7", "X-Forwarded-Proto": "https"}

    def log_in(address: str, headers: dict[str, str], base: str = "http://shelf.shop") -> tuple[int, str]:
        visitor = Visitor(shop, address, base, headers=headers)
        answer = visitor.log_in("Anna")
        return answer.status_code, shop.site.doorkeeper.accounts.log_page(None, 1)[0].origin

    assert log_in("10.0.0.5", forwarded) == (303, "203.0.113.9"), "the last hop that is no proxy of ours"
    status, _ = log_in("10.0.0.6", forwarded)
    assert status == 403, "a stranger's word for HTTPS"
    status, _ = log_in(HERE, forwarded)
    assert status == 403, "a proxy on this computer that nobody configured: all the world seems to be here"
    status, _ = log_in("10.0.0.5", {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"})
    assert status == 403, "behind the proxy it was plain"


def test_tls_is_served_by_a_given_certificate(shop_folder: Path) -> None:
    configure(shop_folder, '[http]\nhost = "0.0.0.0"\ntls_cert = "web.crt"\n')
    with pytest.raises(SetupProblems, match="give both or none"):
        load_setup(shop_folder / "collector.toml")
    configure(shop_folder, 'tls_key = "web.key"\n')
    with pytest.raises(SetupProblems, match=r"http\.tls_cert = .*must be a readable file"):
        load_setup(shop_folder / "collector.toml")


# -- the demo ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "http",
    ['host = "0.0.0.0"', 'host = "192.168.1.2"', 'host = "::"', 'trusted_proxies = ["127.0.0.1"]',
     'public_address = "https://demo.example"'],
)  # fmt: skip
def test_the_open_demo_is_refused_beyond_this_computer(shop_folder: Path, http: str) -> None:
    configure(shop_folder, f"[http]\n{http}\n[demo]\nopen_to_this_computer = true\n")
    with pytest.raises(SetupProblems, match="without a login nobody else may connect"):
        load_setup(shop_folder / "collector.toml")


def test_live_pictures_are_for_the_demo_only(shop_folder: Path) -> None:
    configure(shop_folder, '[demo.camera_previews]\na01 = "http://127.0.0.1:1/"\n')
    with pytest.raises(SetupProblems, match="a store shows no live pictures"):
        load_setup(shop_folder / "collector.toml")


def test_in_the_demo_everybody_here_is_staff_and_nobody_admin(shop: Shop) -> None:
    visitor = Visitor(shop, HERE, "http://127.0.0.1:8080")
    for path in ("/", "/staff", "/api/v1/state", "/display/a01"):
        assert visitor.get(path).status_code == 200, path
    for path in ("/people", "/tokens", "/log"):
        assert visitor.get(path).headers["location"] == "/account?refused=admin", path
    assert visitor.get("/api/v1/log").status_code == 403
    rebound = Visitor(shop, HERE, "http://evil.example")
    assert rebound.get("/").status_code == 403, "a name elsewhere that leads to 127.0.0.1"
    assert visitor.get("/", **{"X-Forwarded-For": "203.0.113.9"}).status_code == 403, "a tunnel to this computer"


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_security_txt_by_configuration(locked: Shop, shop_folder: Path, open_shop: Callable[[], Shop]) -> None:
    assert Visitor(locked).get("/.well-known/security.txt").status_code == 404
    configure(
        shop_folder, '[security_txt]\ncontact = ["mailto:security@shop.example"]\nexpires = 2027-06-01T00:00:00Z\n'
    )
    answer = Visitor(open_shop(), IN_THE_SHOP, "http://192.168.1.2").get("/.well-known/security.txt")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.splitlines()[:2] == [
        "Contact: mailto:security@shop.example",
        "Expires: 2027-06-01T00:00:00.000Z",
    ]


def test_a_stream_ends_when_its_session_does(locked: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from shelf_collector.adapters.web import pages

    monkeypatch.setattr(pages, "_LOOK_AT_SESSION_S", -1.0)
    visitor = logged_in(locked, "Ben", Role.STAFF)
    who = locked.site.doorkeeper.of_session(visitor.cookies["__Host-smartshelf_session"])

    async def pieces() -> list[str]:
        async def endless() -> Any:
            while True:
                yield "x"

        heard: list[str] = []
        stream = pages._while_logged_in(endless(), lambda: locked.site.doorkeeper.is_still(who))
        async for piece in stream:
            heard.append(piece)
            if len(heard) == 3:
                locked.site.doorkeeper.log_out(who, HERE)
        return heard

    assert asyncio.run(pieces()) == ["x"] * 3

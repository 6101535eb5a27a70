"""People at the web server's door: a browser without a window, with cookies, an address and a scheme of its own."""

from __future__ import annotations

import asyncio
import functools
import re
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from shelf_collector.adapters.web.server import create_app
from shelf_collector.core.access import Principal, Role
from shelf_collector.core.logbook import Deed
from tests.collector.conftest import CHEAP_PASSWORDS, Shop

PASSWORD = "a long walk in the dunes"
HERE, IN_THE_SHOP = "127.0.0.1", "192.168.1.20"
ANNA = Principal("person", "Anna", Role.ADMIN)
_MARK = re.compile(r'name="mark" value="([0-9a-f]{64})"')


@dataclass
class Visitor:
    """Sends requests as one browser does; redirects are not followed."""

    shop: Shop
    address: str = HERE
    base: str = "https://shelf.shop"
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)

    @functools.cached_property
    def application(self) -> FastAPI:
        """Made once: a visit is a request, not a start."""
        return create_app(self.shop.site)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, options))

    async def _ask(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self.application, client=(self.address, 4711))
        kept = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        options["headers"] = {**kept, **self.headers, **options.get("headers", {})}
        async with httpx.AsyncClient(transport=transport, base_url=self.base) as client:
            answer = await client.request(method, path, **options)
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
            if not self.cookies[name]:
                del self.cookies[name]
        return answer

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("GET", path, headers=headers)

    def mark(self, page: str = "/login") -> str:
        """The hidden mark of a page's forms; empty when it has none."""
        found = _MARK.search(self.get(page).text)
        return found[1] if found else ""

    def send(
        self, path: str, page: str = "/login", headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        """Fill in the form of a page and send it."""
        return self.ask("POST", path, data={"mark": self.mark(page), **fields}, headers=headers or {})

    def log_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        return self.send("/login", name=name, password=password)


def add_person(shop: Shop, name: str, role: Role) -> None:
    """Somebody with the password of all tests."""
    accounts, now = shop.site.doorkeeper.accounts, shop.clock.now()
    accounts.add_person(name, role, now, Deed("person.added", subject=f"person:{name}"), CHEAP_PASSWORDS.hash(PASSWORD))


def logged_in(shop: Shop, name: str, role: Role) -> Visitor:
    if shop.site.doorkeeper.accounts.person_called(name) is None:
        add_person(shop, name, role)
    visitor = Visitor(shop)
    assert visitor.log_in(name).status_code == 303
    return visitor


def with_token(shop: Shop, *scopes: Any) -> Visitor:
    token = shop.site.doorkeeper.add_token(ANNA, "till", scopes, 30, HERE)
    return Visitor(shop, headers={"Authorization": f"Bearer {token}"})

"""The ASGI application and the server that runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
)
from shelf_collector.adapters.web.bay_cards import BayCards
from shelf_collector.adapters.web.errors import install_errors
from shelf_collector.adapters.web.gate import BodyLimit, Gate
from shelf_collector.adapters.web.refused import refused_page
from shelf_collector.adapters.web.site import Site

_GRACEFUL_STOP_S = 1
_LONGEST_HEAD_BYTES = 32 * 1024
_SAFETY_HEADERS = {
    # Scripts and sheets from our own files only; attributes may carry sizes (style="--key: 132px"), which run nothing.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # "no-referrer" would make browsers send our own forms with "Origin: null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), usb=(), payment=()",
}
_ONE_YEAR_S = 31_536_000
_KEPT_BY_BROWSERS = ("/static/", "/display/", "/sw.js", "/offline")


def create_app(site: Site, start: Callable[[], None] | None = None, stop: Callable[[], None] | None = None) -> FastAPI:
    """The application. ``start`` and ``stop`` run around its life, so that threads live exactly as long."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        site.hub.attach(asyncio.get_running_loop())
        if start:
            await asyncio.to_thread(start)
        try:
            yield
        finally:
            site.hub.close()
            if stop:
                await asyncio.to_thread(stop)

    app = FastAPI(
        title="Smart shelf collector",
        version="1",
        description="The state of the store, its products, displays and alerts.",
        lifespan=lifespan,
        docs_url=None,  # both would load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.site = site
    app.state.bay_cards = BayCards()
    install_errors(app, refused_page)
    app.include_router(api.router)
    app.include_router(api.health)
    app.include_router(models.router)
    app.include_router(enrol.router)
    app.include_router(enrol.pages)
    app.include_router(calibrate.router)
    app.include_router(calibrate.pages)
    app.include_router(staff.router)
    app.include_router(notices.router)
    app.include_router(staff.pages)
    app.include_router(styleguide.router)
    app.include_router(pages.stream)
    app.include_router(kiosk.router)
    app.include_router(pages.router)
    app.include_router(entrance.router)
    app.include_router(refused.router)
    app.mount("/static", StaticFiles(directory=pages.STATIC), name="static")
    config = site.setup.config
    app.add_middleware(
        Gate, doorkeeper=site.doorkeeper, is_demo=config.demo.open_to_this_computer,
        trusted_proxies=config.http.trusted_proxies, refused_page=refused_page,
    )  # fmt: skip
    app.add_middleware(BodyLimit)
    app.add_middleware(SafetyHeaders)
    return app


class SafetyHeaders:
    """Nothing from other hosts, no script inside a page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SAFETY_HEADERS.items():
                    headers.setdefault(name, value)
                is_kept = scope["path"].startswith(_KEPT_BY_BROWSERS)
                headers.setdefault("Cache-Control", "no-cache" if is_kept else "no-store")
                if scope.get("scheme") == "https":
                    headers.setdefault("Strict-Transport-Security", f"max-age={_ONE_YEAR_S}")
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class StreamEndingServer(uvicorn.Server):
    """Ends the open event streams when asked to stop; else they would hold the server."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; being asked twice, at once. The signal is dealt with, so that a clean stop ends with 0."""
        self._end_streams()
        self.force_exit = self.should_exit
        self.should_exit = True


@dataclass(frozen=True)
class Listening:
    """Where to listen; with certificate and key over TLS 1.2 or newer."""

    host: str
    port: int
    tls_cert: Path | None = None
    tls_key: Path | None = None


def serve(app: FastAPI, where: Listening, end_streams: Callable[[], None]) -> None:
    """Run until SIGINT or SIGTERM. Raises: SystemExit when the port cannot be had."""
    config = uvicorn.Config(
        app, host=where.host, port=where.port, log_config=None, access_log=False,
        timeout_graceful_shutdown=_GRACEFUL_STOP_S, ssl_certfile=where.tls_cert, ssl_keyfile=where.tls_key,
        # Forwarded headers are the gate's business: it knows which proxies are trusted.
        proxy_headers=False, server_header=False, h11_max_incomplete_event_size=_LONGEST_HEAD_BYTES,
    )  # fmt: skip
    StreamEndingServer(config, end_streams).run()

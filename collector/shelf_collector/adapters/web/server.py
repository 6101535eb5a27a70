"""The ASGI application and the server that runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shelf_collector.adapters.web import api, pages
from shelf_collector.adapters.web.errors import install_errors
from shelf_collector.adapters.web.site import Site

_GRACEFUL_STOP_S = 2
_SAFETY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
        "frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


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
    install_errors(app)
    app.include_router(api.router)
    app.include_router(api.health)
    app.include_router(pages.stream)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=pages.STATIC), name="static")
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
                if scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers)


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


def serve(app: FastAPI, host: str, port: int, end_streams: Callable[[], None]) -> None:
    """Run until SIGINT or SIGTERM. Raises: SystemExit when the port cannot be had."""
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=_GRACEFUL_STOP_S
    )
    StreamEndingServer(config, end_streams).run()

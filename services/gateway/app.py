"""The HTTP application: routes inside, guards around them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway import docs_page, problems
from services.gateway.access_log import AccessLog
from services.gateway.docs_page import DOCS_HEADERS
from services.gateway.guards import RECEIVE_TIMEOUT_SECONDS, BodyGuard, HostGuard
from services.gateway.headers import API_HEADERS
from services.gateway.openapi import with_problem_schema
from services.gateway.parts import Parts
from services.gateway.routes import (
    configs,
    entities,
    events,
    execute,
    input_images,
    people,
    runs,
    system,
)
from services.gateway.uploads import UPLOAD_SECONDS, UploadGuard
from services.gateway.version import VERSION

DESCRIPTION = "An idea becomes a recorded run. Errors are application/problem+json (RFC 9457)."


def make_api(parts: Parts) -> FastAPI:
    """Return the application with its routes."""
    api = FastAPI(
        title="Artlab",
        version=VERSION,
        description=DESCRIPTION,
        openapi_url="/openapi.json",
        # The usual documentation pages load scripts from strangers.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    api.state.parts = parts
    problems.install(api)
    for module in (configs, execute, input_images, people, runs, entities, events, system):
        api.include_router(module.router)

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            made = get_openapi(
                title=api.title,
                version=api.version,
                description=api.description,
                routes=api.routes,
            )
            api.openapi_schema = with_problem_schema(made)
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]

    @api.get("/", include_in_schema=False)
    async def door() -> Response:
        # Whoever opens the address in a browser wants to know what this is.
        return RedirectResponse("/docs")

    @api.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(docs_page.render(document()), headers=DOCS_HEADERS)

    return api


def make_app(
    parts: Parts,
    allowed_hosts: Iterable[str] = (),
    receive_timeout_seconds: float = RECEIVE_TIMEOUT_SECONDS,
    upload_timeout_seconds: float = UPLOAD_SECONDS,
) -> ASGIApp:
    """Return the application as it is served."""
    api = UploadGuard(_DefaultHeaders(make_api(parts)), timeout_seconds=upload_timeout_seconds)
    guarded = BodyGuard(api, timeout_seconds=receive_timeout_seconds)
    return AccessLog(HostGuard(guarded, allowed_hosts))


class _DefaultHeaders:
    """Adds the headers of the API to answers that have not chosen their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                present = {name.lower() for name, _ in headers}
                for name, value in API_HEADERS.items():
                    if name.lower().encode() not in present:
                        headers.append((name.lower().encode(), value.encode()))
            await send(message)

        await self._app(scope, receive, with_headers)

"""One line per request: method, route as it is written in the code, status, duration.

The path itself, the query and every header may hold what people typed; none of them is logged.
"""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId
from services.kit.log import facts

log = logging.getLogger(__name__)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Asked every few seconds by whoever watches over us.
_PROBES = frozenset({"/health", "/ready"})


class AccessLog:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, then write the line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, sent = time.monotonic(), 0, 0

        async def note(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            route = getattr(scope.get("route"), "path", "")
            log.log(
                logging.DEBUG if route in _PROBES else logging.INFO,
                "request",
                extra=facts(
                    method=scope["method"] if scope["method"] in _METHODS else "other",
                    route=route or "none",
                    status=status,
                    ms=round((time.monotonic() - began) * 1000, 1),
                    bytes=sent,
                    **_run_of(scope),
                ),
            )


def _run_of(scope: Scope) -> dict[str, object]:
    try:
        return {"run": str(RunId.parse(scope.get("path_params", {}).get("run_id", "")))}
    except InvalidArgument:
        return {}

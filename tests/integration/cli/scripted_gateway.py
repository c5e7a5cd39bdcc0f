"""A gateway that follows a script, on a real socket: what `artlab run` meets on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

RUN_ID = "3f2b0c1e-8d1f-4c55-9d53-2f4c2f6f0a11"
_RUN = f"/api/pipeline/{RUN_ID}"


@dataclass(frozen=True)
class Cut:
    """The connection breaks here."""


@dataclass(frozen=True)
class Ask:
    """Nothing more comes until somebody has answered."""


@dataclass(frozen=True)
class Hold:
    """Nothing more comes until the run is cancelled."""


Step = tuple[str, dict[str, Any]] | Cut | Hold | Ask


@dataclass
class ScriptedGateway:
    """Plays its steps to whoever follows the run; facts are numbered from 1."""

    steps: Sequence[Step] = ()
    entities: dict[int, bytes] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    refusal: tuple[int, dict[str, Any]] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    resumed_after: list[str | None] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    # How many of the first requests are cut off before their answer.
    unanswered: int = 0
    # Never answers a cancel when set.
    hangs_on_cancel: bool = False
    # How many of the first requests for an entity are answered 503.
    unavailable: int = 0
    url: str = ""
    pictures: dict[str, bytes] = field(default_factory=dict)
    picture_status: str = "running"
    # How many of the first pictures are answered 429.
    busy: int = 0
    picture_refusal: tuple[int, dict[str, Any]] | None = None
    decisions: list[dict[str, Any]] = field(default_factory=list)
    decision_refusals: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    # What is told of the run's place in line; none: 503.
    place: dict[str, Any] | None = None
    # Cuts made so far: each happens once.
    cuts: int = 0

    async def execute(self, request: web.Request) -> web.Response:
        self.requests.append({"body": await request.json(), "headers": dict(request.headers)})
        if len(self.requests) <= self.unanswered:
            assert request.transport is not None
            request.transport.abort()
        if self.refusal is not None:
            status, problem = self.refusal
            return web.json_response(
                problem, status=status, content_type="application/problem+json"
            )
        return web.json_response({"run_id": RUN_ID, "status": "running"}, status=202)

    async def events(self, request: web.Request) -> web.StreamResponse:
        self.resumed_after.append(request.headers.get("Last-Event-ID"))
        after = int(self.resumed_after[-1] or 0)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"retry: 500\n\n")
        seq = cuts = 0
        for step in self.steps:
            if isinstance(step, Cut):
                cuts += 1
                if cuts > self.cuts:
                    self.cuts = cuts
                    assert request.transport is not None
                    request.transport.abort()
                    break
                continue
            if isinstance(step, Ask):
                await self.decided.wait()
                continue
            if isinstance(step, Hold):
                await self.cancelled.wait()
                continue
            kind, data = step
            is_fact = kind not in ("text_delta", "render_progress")
            seq += is_fact
            if is_fact and seq <= after:
                continue
            head = f"id: {seq}\n" if is_fact else ""
            await response.write(f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n".encode())
        return response

    async def cancel(self, request: web.Request) -> web.Response:
        self.cancelled.set()
        if self.hangs_on_cancel:
            await asyncio.sleep(60)
        return web.json_response({"run_id": RUN_ID, "status": "cancelled"})

    async def input_image(self, request: web.Request) -> web.Response:
        self.pictures[request.match_info["index"]] = await request.read()
        self.busy -= 1
        if self.busy >= 0:
            return web.json_response({"detail": "too many at once"}, status=429)
        if self.picture_refusal is not None:
            status, problem = self.picture_refusal
            return web.json_response(
                problem, status=status, content_type="application/problem+json"
            )
        return web.json_response({"run_id": RUN_ID, "status": self.picture_status})

    async def decide(self, request: web.Request) -> web.Response:
        self.decisions.append(await request.json())
        if self.decision_refusals:
            status, problem = self.decision_refusals.pop(0)
            return web.json_response(
                problem, status=status, content_type="application/problem+json"
            )
        self.decided.set()
        return web.json_response({"run_id": RUN_ID, "status": "running"})

    async def queue(self, request: web.Request) -> web.Response:
        if self.place is None:
            return web.json_response({"detail": "nobody knows"}, status=503)
        return web.json_response({"run_id": RUN_ID, **self.place})

    async def status(self, request: web.Request) -> web.Response:
        return web.json_response(self.document)

    async def entity(self, request: web.Request) -> web.Response:
        self.unavailable -= 1
        if self.unavailable >= 0:
            return web.json_response({"detail": "recorder is away"}, status=503)
        body = self.entities.get(int(request.match_info["sequence"]))
        return web.Response(body=body) if body is not None else web.Response(status=404)


@asynccontextmanager
async def scripted(gateway: ScriptedGateway) -> AsyncIterator[ScriptedGateway]:
    """Serve the script; its address is in `.url`."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/api/schema/pipeline/execute", gateway.execute)
    app.router.add_get(f"{_RUN}/events", gateway.events)
    app.router.add_get(f"{_RUN}/status", gateway.status)
    app.router.add_post(f"{_RUN}/cancel", gateway.cancel)
    app.router.add_get(_RUN + "/entities/{sequence}", gateway.entity)
    app.router.add_post(f"/api/runs/{RUN_ID}/decisions", gateway.decide)
    app.router.add_get(f"/api/runs/{RUN_ID}/queue", gateway.queue)
    app.router.add_put(f"/api/runs/{RUN_ID}/input_images/{{index}}", gateway.input_image)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    gateway.url = f"http://{host}:{port}"
    try:
        yield gateway
    finally:
        await runner.cleanup()

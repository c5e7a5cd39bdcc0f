"""Replicate's predictions: create, list, get, cancel, and files on a host of their own.

After replicate.com/docs/reference/http: `Prefer: wait` and `Cancel-After`, the states of a
prediction, lists with the newest first, 422 for a wrong input, 429 with `detail`, outputs as URLs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from tests.fakes.hosted.server import (
    JSON,
    Blocked,
    Cut,
    Drop,
    Empty,
    FakeApi,
    Garbage,
    Good,
    Never,
    Oversize,
    Status,
    abort,
    refusal,
)


@dataclass
class FakeReplicate(FakeApi):
    """POST and GET /v1/predictions and what is below."""

    prefix = "/v1"
    predictions: dict[str, JSON] = field(default_factory=dict)
    # Where outputs are said to be; ours when empty.
    output_url: str = ""
    outputs: int = 1
    # States a prediction goes through before its end, one for each look at it.
    states: tuple[str, ...] = ("starting", "processing")
    # Looks at a prediction that get an error before one gets an answer.
    failing_looks: int = 0
    looks: int = 0
    # A file's first so many readings break in the middle.
    failing_files: int = 0
    _gates: dict[str, asyncio.Event | None] = field(default_factory=dict)
    _left: dict[str, list[str]] = field(default_factory=dict)
    _oversize: int = 0

    def routes(self) -> list[web.RouteDef]:
        """The API and its files."""
        return [
            web.post("/v1/predictions", self._create),
            web.get("/v1/predictions", self._list),
            web.get("/v1/predictions/{id}", self._get),
            web.post("/v1/predictions/{id}/cancel", self._cancel),
            web.get("/files/{name}", self._file),
        ]

    async def _create(self, request: web.Request) -> web.StreamResponse:
        asked = await self.take(request)
        if not self.authorized(request):
            return refusal(Status(401), {"title": "Unauthenticated", "detail": self.key})
        line = self.next_line()
        if isinstance(line, Status):
            return refusal(line, {"detail": asked["input"]["prompt"], "status": line.code})
        self.begin()
        prediction = self._new(asked)
        identity = prediction["id"]
        self._left[identity] = list(self.states)
        if isinstance(line, Good):
            self._gates[identity] = line.gate
        if isinstance(line, Never):
            self._gates[identity] = asyncio.Event()
        if isinstance(line, Empty):
            prediction["output"] = None
        if isinstance(line, Oversize):
            self._oversize = line.size_bytes
        if isinstance(line, Blocked):
            prediction["error"] = "NSFW content detected. Try running it again."
        if isinstance(line, Drop):
            return abort(request)
        if isinstance(line, Garbage):
            del self.predictions[identity]
            return web.Response(text="<html>busy</html>", content_type="text/html")
        if isinstance(line, Cut):
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            response.content_length = 500
            await response.prepare(request)
            await response.write(b'{"id": "')
            return abort(request)
        return web.json_response(self._seen(identity), status=201)

    def _new(self, asked: JSON) -> JSON:
        identity = f"gm3qorzdhgbfurvjtvhg6dckh{len(self.predictions)}"
        base = self.output_url or f"http://127.0.0.1:{self.port}/files"
        urls = [f"{base}/out-{number}.png" for number in range(self.outputs)]
        self.predictions[identity] = {
            "id": identity,
            "model": asked["version"],
            "version": "hidden",
            "input": asked["input"],
            "output": urls[0] if self.outputs == 1 else urls,
            "error": None,
            "logs": "",
            "status": "starting",
            "created_at": datetime.now(UTC).isoformat(),
            "metrics": {},
            "urls": {"get": "", "cancel": ""},
        }
        return self.predictions[identity]

    def _seen(self, identity: str) -> JSON:
        prediction = self.predictions[identity]
        left = self._left[identity]
        if prediction["status"] in ("starting", "processing"):
            if left:
                prediction["status"] = left.pop(0)
            elif (gate := self._gates.get(identity)) is None or gate.is_set():
                prediction["status"] = "failed" if prediction["error"] else "succeeded"
                prediction["metrics"] = {"predict_time": 2.5}
        ended = prediction["status"] == "succeeded"
        return {**prediction, "output": prediction["output"] if ended else None}

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if not self.authorized(request):
            return refusal(Status(401), {"title": "Unauthenticated"})
        since = datetime.fromisoformat(request.query["created_after"])
        found = [p for p in self.predictions.values() if p["created_at"] > since.isoformat()]
        return web.json_response({"next": None, "previous": None, "results": found[::-1]})

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self.looks += 1
        if self.looks <= self.failing_looks:
            return refusal(Status(502), {"detail": "bad gateway"})
        return web.json_response(self._seen(request.match_info["id"]))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        assert self.authorized(request)
        self.predictions[request.match_info["id"]]["status"] = "canceled"
        self.stopped.set()
        return web.json_response(self.predictions[request.match_info["id"]])

    async def _file(self, request: web.Request) -> web.StreamResponse:
        # Files are public: a key has no business there.
        assert "Authorization" not in request.headers
        if self._oversize:
            return await self.flood(request, self.picture, self._oversize, "image/png")
        self.failing_files -= 1
        line = Cut() if self.failing_files >= 0 else Good()
        return await self.answer(request, line, self.picture, "image/png")

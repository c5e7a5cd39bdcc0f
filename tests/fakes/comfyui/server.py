"""The fake ComfyUI: real HTTP and a real websocket, as reference and recordings describe it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.fakes.comfyui.item import Item, Run
from tests.fakes.comfyui.nodes import node_table
from tests.fakes.comfyui.records import BODY, TROUBLE, Records
from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.sockets import Sockets
from tests.fakes.comfyui.uploads import upload_image
from tests.fakes.comfyui.validation import Nodes, check_prompt_id, error_body, validate
from tests.fakes.comfyui.view import TYPES, view
from tests.fakes.comfyui.worker import Worker

MAX_BODY_BYTES = 104857600


@dataclass(frozen=True)
class Seen:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class FakeComfyUI:
    """One fake; `async with fake_comfyui() as fake` starts and stops it."""

    def __init__(self, root: Path, *, script: Script | None = None, nodes: Nodes | None = None):
        self.script = script or Script()
        self.nodes: Nodes = node_table() if nodes is None else nodes
        self.root = root
        for kind in TYPES:
            (root / kind).mkdir(parents=True, exist_ok=True)
        self._sockets = Sockets(self.script, lambda: self.worker.status())
        self.worker = Worker(self.script, self.nodes, root, self._sockets.send)
        self.worker.on_node = self._on_node
        self.worker.on_death = self._die
        self.worker.on_preview = self._on_preview
        self._deaths: set[asyncio.Task[None]] = set()
        # How many requests wait where the script holds them.
        self.held = 0
        self.requests: list[Seen] = []
        # Of GET /system_stats.
        self.devices: list[dict[str, Any]] = []
        self.port = 0
        self._number = 0
        self._runner: web.AppRunner | None = None
        self._work: asyncio.Task[None] | None = None
        self._publish: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_up(self) -> bool:
        """Whether it listens; it may be killed by its script."""
        return self._runner is not None

    @property
    def sockets(self) -> Mapping[str, web.WebSocketResponse]:
        """The websockets that are registered, by client id."""
        return self._sockets.registered

    @property
    def client_ids(self) -> list[str]:
        """Of every websocket that was ever opened, in order."""
        return self._sockets.client_ids

    @property
    def executions(self) -> Mapping[str, int]:
        """How often each prompt id was run."""
        return self.worker.executions

    @property
    def prompts(self) -> list[Any]:
        """Bodies of POST /prompt, in order."""
        return [seen.body for seen in self.requests if seen.path == "/prompt" and seen.body]

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen (port 0: any free one)."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._middleware])
        for prefix in ("", "/api"):
            app.router.add_get(f"{prefix}/ws", self._sockets.handle)
            app.router.add_get(f"{prefix}/prompt", self._get_prompt)
            app.router.add_post(f"{prefix}/prompt", self._post_prompt)
            Records(self.worker, self.script).add_to(app.router, prefix)
            app.router.add_get(f"{prefix}/view", self._view)
            app.router.add_post(f"{prefix}/upload/image", self._upload_image)
            app.router.add_get(f"{prefix}/system_stats", self._system_stats)
            app.router.add_get(f"{prefix}/object_info", self._object_info)
            app.router.add_get(f"{prefix}/object_info/{{name}}", self._object_info)
        self._runner = web.AppRunner(app, shutdown_timeout=0.05, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port or self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._work = asyncio.create_task(self.worker.run())
        self._publish = asyncio.create_task(self._sockets.publish())

    async def stop(self) -> None:
        """Die as a killed process does: sockets cut, queue and history lost, files kept."""
        for task in (self._work, self._publish):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._sockets.drop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.worker.forget()
        self._sockets.forget()
        self._number = 0

    async def restart(self) -> None:
        """Stop and listen again on the same port."""
        await self.stop()
        await self.start()

    def _die(self) -> None:
        death = asyncio.create_task(self.stop())
        self._deaths.add(death)
        death.add_done_callback(self._deaths.discard)

    def _on_preview(self, run: Run, key: str) -> None:
        self._sockets.send_preview(self.script.preview, run.item.prompt_id, key, run.sid)

    def _on_node(self, class_type: str, item: Item) -> None:
        if class_type == self.script.drop_socket_at:
            self._sockets.drop()
        odd: tuple[str, ...] = ()
        if class_type == self.script.odd_frames_at:
            odd = ("not json", "[]", "null", '{"type": 1, "data": {"prompt_id": []}}', '{"a": 1}')
            odd += (json.dumps({"type": "executing", "data": {"node": "3"}}),)
        if class_type == self.script.huge_frame_at:
            odd = (json.dumps({"type": "x", "data": "y" * (17 * 1024 * 1024)}),)
        for text in odd:
            self._sockets.send_raw(text, item.extra.get("client_id"))
        if class_type == self.script.previews_at:
            count, size = self.script.previews
            # Kind 1, format 1: JPEG.
            preview = bytes((0, 0, 0, 1, 0, 0, 0, 1)) + bytes(size)
            for _ in range(count):
                self._sockets.send_raw(preview, item.extra.get("client_id"))

    @web.middleware
    async def _middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            is_form = request.content_type == "multipart/form-data"
            raw = await request.read() if request.can_read_body and not is_form else b""
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        except web.HTTPRequestEntityTooLarge:
            text = f"Maximum request body size {MAX_BODY_BYTES} exceeded."
            return web.Response(status=413, text=text)
        path = request.path.removeprefix("/api") or "/"
        if path.startswith("/jobs"):
            path = request.path
        self.requests.append(Seen(request.method, path, dict(request.headers), body))
        while self.script.frozen:  # noqa: ASYNC110  # a plain field is easier to script
            await asyncio.sleep(0.02)
        if self.script.unwell:
            return web.Response(status=503)
        if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site") == "cross-site":
            return web.Response(status=403)
        request[BODY] = body
        await self._hold(f"before {request.method} {path}")
        answer = await handler(request)
        await self._hold(f"after {request.method} {path}")
        return answer

    async def _hold(self, moment: str) -> None:
        self.held += 1 if self.script.hold and moment.startswith(self.script.hold) else 0
        while self.script.hold and moment.startswith(self.script.hold):  # noqa: ASYNC110  # a plain field is easier to script
            await asyncio.sleep(0.005)

    async def _get_prompt(self, request: web.Request) -> web.Response:
        remaining = self.script.queue_remaining or self.worker.remaining
        return web.json_response({"exec_info": {"queue_remaining": remaining}})

    async def _post_prompt(self, request: web.Request) -> web.StreamResponse:
        answers = self.script.prompt_answers
        answer = answers.popleft() if answers else ""
        if answer in ("403", "413", "503"):
            return web.Response(status=int(answer), text="refused")
        if answer == "lost":
            _abort(request)
            return web.Response()
        body = request[BODY]
        if not isinstance(body, dict) or "prompt" not in body:
            return _refuse(error_body("no_prompt", "No prompt provided", "No prompt provided"))
        if not isinstance(body["prompt"], dict):
            return web.Response(status=500, text=TROUBLE)
        prompt_id = check_prompt_id(body.get("prompt_id"))
        if prompt_id is None:
            return _refuse(error_body("invalid_prompt_id", "prompt_id must be a valid UUID"))
        number = body.get("number", -self._number if body.get("front") else self._number)
        self._number += 1
        folder = self.root / "input"
        pictures = {path.relative_to(folder).as_posix() for path in folder.glob("**/*")}
        try:
            verdict = validate(body["prompt"], self.nodes, pictures)
        except AttributeError:
            return web.Response(status=500, text=TROUBLE)
        if verdict.error is not None:
            return _refuse(verdict.error, verdict.node_errors)
        extra = {**body.get("extra_data", {}), "create_time": 0}
        if "client_id" in body:
            extra["client_id"] = body["client_id"]
        item = Item(number, prompt_id, body["prompt"], extra, verdict.outputs)
        if not self.worker.put(item):
            return web.Response(status=500, text=TROUBLE)
        if isinstance(body.get("client_id"), (dict, list)):
            # Recording 27: it cannot be a key of the table of sockets, and the loop dies of it.
            self._die()
        if answer == "late":
            while prompt_id not in self.worker.history:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        if answer == "cut":
            _abort(request)
            return web.Response()
        if answer == "500":
            return web.Response(status=500, text=TROUBLE)
        if answer == "garbage":
            return web.Response(text="<html>proxy</html>", content_type="text/html")
        if answer == "other_id":
            prompt_id = "00000000-0000-4000-8000-000000000000"
        if answer == "node_errors":
            entry = {"type": "value_not_in_list", "extra_info": {"input_name": "sampler_name"}}
            verdict.node_errors = {"3": {"errors": [entry], "dependent_outputs": ["9"]}}
        reply = {"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors}
        return web.json_response(reply)

    async def _view(self, request: web.Request) -> web.StreamResponse:
        answers = self.script.view_answers
        return await view(request, self.root, answers.popleft() if answers else "")

    async def _upload_image(self, request: web.Request) -> web.Response:
        answers = self.script.upload_answers
        answer = answers.popleft() if answers else ""
        if answer == "cut":
            _abort(request)
        if answer:
            return web.Response(status=int(answer) if answer.isdigit() else 500)
        return await upload_image(request, self.root)

    async def _system_stats(self, request: web.Request) -> web.Response:
        system = {"os": "linux", "comfyui_version": "0.26.0", "argv": ["main.py"]}
        return web.json_response({"system": system, "devices": self.devices})

    async def _object_info(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name")
        if name is None:
            return web.json_response(self.nodes)
        return web.json_response({name: self.nodes[name]} if name in self.nodes else {})


def _refuse(error: Mapping[str, Any], node_errors: Mapping[str, Any] | None = None) -> web.Response:
    return web.json_response({"error": error, "node_errors": node_errors or {}}, status=400)


def _abort(request: web.BaseRequest | None) -> None:
    if request is not None and request.transport is not None:
        request.transport.abort()


@asynccontextmanager
async def fake_comfyui(
    root: Path | None = None,
    *,
    script: Script | None = None,
    nodes: Nodes | None = None,
    port: int = 0,
    host: str = "127.0.0.1",
) -> AsyncIterator[FakeComfyUI]:
    """Run a fake in this process; its files go to `root`, or to a folder that vanishes."""
    with tempfile.TemporaryDirectory() as folder:
        fake = FakeComfyUI(root or Path(folder), script=script, nodes=nodes)
        await fake.start(port, host)
        try:
            yield fake
        finally:
            fake.script.frozen = False
            await fake.stop()

"""What the fake tells of its queue and history, and how jobs are taken out or interrupted."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.worker import Worker

TROUBLE = "500 Internal Server Error\n\nServer got itself in trouble"
# The parsed body of a request; None without one.
BODY: web.RequestKey[Any] = web.RequestKey("body", object)


class Records:
    """Routes about jobs that were handed in."""

    def __init__(self, worker: Worker, script: Script) -> None:
        self._worker = worker
        self._script = script

    def add_to(self, router: web.UrlDispatcher, prefix: str) -> None:
        """Add every route; those of /api/jobs exist there only."""
        router.add_get(f"{prefix}/queue", self._get_queue)
        router.add_post(f"{prefix}/queue", self._post_queue)
        router.add_post(f"{prefix}/interrupt", self._interrupt)
        router.add_post(f"{prefix}/free", self._free)
        router.add_get(f"{prefix}/history", self._histories)
        router.add_get(f"{prefix}/history/{{id}}", self._history)
        if prefix:
            router.add_get(f"{prefix}/jobs/{{id}}", self._job)
            router.add_post(f"{prefix}/jobs/{{id}}/cancel", self._cancel_job)

    async def _get_queue(self, request: web.Request) -> web.Response:
        running = [self._worker.running.as_json()] if self._worker.running is not None else []
        pending = [item.as_json() for item in self._worker.pending]
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def _post_queue(self, request: web.Request) -> web.Response:
        body = request[BODY]
        if not isinstance(body, dict):
            return web.Response(status=500, text=TROUBLE)
        if body.get("clear"):
            self._worker.pending.clear()
        for prompt_id in body.get("delete", []):
            self._worker.delete(prompt_id)
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        named = (request[BODY] or {}).get("prompt_id")
        self._worker.interrupt(named if self._script.targeted_interrupt else None)
        return web.Response()

    async def _free(self, request: web.Request) -> web.Response:
        # Answered at once; the worker does it when it is idle.
        if (request[BODY] or {}).get("unload_models"):
            self._worker.is_loaded = False
        return web.Response()

    async def _histories(self, request: web.Request) -> web.Response:
        return web.json_response(self._worker.history)

    async def _history(self, request: web.Request) -> web.Response:
        key = request.match_info["id"]
        entry = self._worker.history.get(key)
        return web.json_response({} if entry is None else {key: entry})

    async def _job(self, request: web.Request) -> web.Response:
        key = request.match_info["id"]
        state = ""
        if self._worker.running is not None and self._worker.running.prompt_id == key:
            state = "in_progress"
        elif any(item.prompt_id == key for item in self._worker.pending):
            state = "pending"
        elif key in self._worker.history:
            last = self._worker.history[key]["status"]["messages"][-1][0]
            states = {"execution_success": "completed", "execution_interrupted": "cancelled"}
            state = states.get(last, "failed")
        if not self._script.jobs_api or not state:
            return web.json_response({"error": "Job not found"}, status=404)
        return web.json_response({"id": key, "status": state})

    async def _cancel_job(self, request: web.Request) -> web.Response:
        if not self._script.jobs_api:
            return web.Response(status=404)
        key = request.match_info["id"]
        cancelled = self._worker.delete(key) or self._worker.interrupt(key)
        return web.json_response({"cancelled": cancelled})

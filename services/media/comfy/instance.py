"""One ComfyUI: what we ask it and what its answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.kit.clock import Clock
from services.kit.errors import ArtlabError, Unavailable
from services.media.comfy.address import Address
from services.media.comfy.errors import Unanswered, protocol_error, rejected
from services.media.comfy.events import EventStream
from services.media.comfy.health import Health
from services.media.comfy.inventory import Inventory
from services.media.comfy.previews import PreviewMaker
from services.media.comfy.queue import Queue, QueueReader
from services.media.comfy.rest import Reply, Rest
from services.media.comfy.seats import Seats
from services.media.domain.workflow import Workflow

SUBMIT_TIMEOUT_SECONDS = 15.0
CANCEL_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """Where a job is: `position` jobs run before it; `idle` when nothing runs at all."""

    state: Literal["unknown", "pending", "running", "finished"]
    position: int = 0
    idle: bool = False
    entry: Mapping[str, Any] | None = None


class Instance:
    """One ComfyUI behind one address; close it when done."""

    def __init__(
        self, address: Address, clock: Clock, previews: PreviewMaker | None = None
    ) -> None:
        self.address = address
        self.url = address.url
        self.rest = Rest(address)
        self.events = EventStream(address, previews)
        self.inventory = Inventory(self.rest, clock)
        self._queue = QueueReader(self.rest)
        self.seats = Seats()
        self.health = Health(
            self.rest, self._queue, clock, ours=lambda: len(self.seats), on_change=self._forget
        )
        # Somebody asked for it to be left alone.
        self.draining = False
        # What it was given last: its model is most likely still in memory.
        self.model = ""
        self.workflow = ""

    async def close(self) -> None:
        """End the websocket and wait for calls under way."""
        await self.events.close()
        await self._queue.close()
        await self.rest.close()

    @property
    def is_open(self) -> bool:
        """Whether it may get jobs at all, now or when one of its two seats is free."""
        return self.health.is_well and not self.draining

    @property
    def has_room(self) -> bool:
        """Whether it may get a job now; one whose worker was dead gets a single one to try."""
        may_take = self.seats.have_room and not (self.health.is_on_trial and self.seats)
        return self.is_open and may_take

    @property
    def length(self) -> int:
        """Jobs that run and wait there, as far as known: others' and ours."""
        return self.health.foreign + len(self.seats)

    def shun(self) -> None:
        """Give it no jobs for a while: it takes them in and does nothing."""
        self.health.shun()

    def _forget(self) -> None:
        self.inventory.forget()
        self.model = ""

    async def look(self, prompt_id: str, *, since: float | None = None) -> Look:
        """Find a job: first in the queue, then in the history, so that none slips through.

        A queue read at `since` (of the loop's clock) or later will do; None asks for a new one.
        Raises Unreachable, Unanswered, COMFY_PROTOCOL.
        """
        queue = await self._queue.read(since)
        if prompt_id in queue.running:
            return Look("running")
        if prompt_id in queue.pending:
            before = queue.pending.index(prompt_id) + len(queue.running)
            return Look("pending", position=before, idle=not queue.running)
        entry = await self.history(prompt_id)
        return Look("unknown") if entry is None else Look("finished", entry=entry)

    async def queue(self) -> Queue:
        """What runs and waits there now. Raises Unreachable, Unanswered, COMFY_PROTOCOL."""
        return await self._queue.read()

    async def history(self, prompt_id: str) -> Mapping[str, Any] | None:
        """Return the history entry of a finished job; None when there is none.

        Raises Unreachable, Unanswered, COMFY_PROTOCOL.
        """
        found = (await self.rest.get(f"/history/{prompt_id}")).object().get(prompt_id)
        if found is not None and not isinstance(found, dict):
            raise protocol_error("a history entry that is no object")
        return found

    async def submit(
        self, graph: Mapping[str, object], prompt_id: str, client_id: str, workflow: Workflow
    ) -> None:
        """Hand in a prompt. Never with `number`: an equal pair kills ComfyUI's worker.

        Raises Unreachable (not sent), Unanswered (may have been taken in), COMFY_REJECTED,
        COMFY_FORBIDDEN, COMFY_TOO_LARGE, COMFY_PROTOCOL.
        """
        body: dict[str, object] = {
            "prompt": graph,
            "client_id": client_id,
            "prompt_id": prompt_id,
        }
        if self.events.tells_previews:
            # It makes none unless it was started with --preview-method, or a prompt asks for them.
            body["extra_data"] = {"preview_method": "auto"}
        reply = await self.rest.post("/prompt", body, timeout_seconds=SUBMIT_TIMEOUT_SECONDS)
        if reply.status >= 500:
            # A 500 may have queued it nonetheless.
            raise Unanswered(self.url, f"status {reply.status}")
        if reply.status != 200:
            kind, metadata = _refusal(reply, workflow)
            raise rejected(reply.status, kind, metadata)
        answer = reply.object()
        got = answer.get("prompt_id")
        if got != prompt_id:
            await self.cancel(prompt_id)
            if isinstance(got, str) and len(got) <= 64 and got.replace("-", "").isalnum():
                await self.cancel(got)
            raise protocol_error("with another prompt id")
        if answer.get("node_errors"):
            # Some outputs were dropped in silence; ours may be among them.
            await self.cancel(prompt_id)
            raise rejected(200, "node_errors", _node_errors(answer["node_errors"], workflow))

    async def cancel(self, prompt_id: str) -> bool:
        """Stop exactly this job, pending or running; whether ComfyUI says it did.

        Raises Unreachable, Unanswered.
        """
        path = f"/api/jobs/{prompt_id}/cancel"
        reply = await self.rest.post(path, timeout_seconds=CANCEL_TIMEOUT_SECONDS)
        if reply.status == 200:
            return bool(reply.object().get("cancelled"))
        # Before 0.26. An old /interrupt ignores the id, so it is sent only while ours runs.
        await self.rest.post("/queue", {"delete": [prompt_id]})
        state = (await self.look(prompt_id)).state
        if state == "running":
            await self.rest.post("/interrupt", {"prompt_id": prompt_id})
        return state in ("running", "unknown")

    async def withdraw(self, prompt_id: str) -> bool:
        """Take a job that has not begun out of the queue; whether it is gone for certain.

        What runs goes on. Raises Unreachable, Unanswered, COMFY_PROTOCOL.
        """
        await self.rest.post("/queue", {"delete": [prompt_id]})
        return (await self.look(prompt_id)).state == "unknown"

    async def lacks(self, workflow: Workflow) -> tuple[str, str] | None:
        """Reason and sentence about a missing node or model; None if nothing is known to lack."""
        try:
            return await self.inventory.lacks(workflow)
        except Unavailable:
            return None


def _refusal(reply: Reply, workflow: Workflow) -> tuple[str, dict[str, str]]:
    try:
        answer = reply.json()
    except ArtlabError:
        return "", {}
    error = answer.get("error") if isinstance(answer, dict) else None
    kind = error.get("type") if isinstance(error, dict) else ""
    errors = answer.get("node_errors") if isinstance(answer, dict) else None
    return str(kind), _node_errors(errors, workflow)


def _node_errors(errors: object, workflow: Workflow) -> dict[str, str]:
    # ComfyUI's own texts quote the values received, the prompt among them: only kinds and names
    # are passed on.
    for node, found in errors.items() if isinstance(errors, dict) else ():
        listed = found.get("errors") if isinstance(found, dict) else None
        first = listed[0] if isinstance(listed, list) and listed else {}
        extra = first.get("extra_info") if isinstance(first, dict) else {}
        name = extra.get("input_name") if isinstance(extra, dict) else ""
        known = workflow.nodes.get(node)
        return {
            "node": str(node)[:80],
            "node_type": known.class_type if known is not None else "",
            "node_error": str(first.get("type", "") if isinstance(first, dict) else "")[:80],
            "input": str(name or "")[:80],
        }
    return {}

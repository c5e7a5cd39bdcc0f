"""The websockets of the fake: one publishing loop for all, registered by client id."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from tests.fakes.comfyui.script import Script

MAX_MESSAGE_BYTES = 4 * 1024 * 1024


class Sockets:
    """Passes frames on; `status` gives the data of the greeting."""

    def __init__(self, script: Script, status: Callable[[], dict[str, Any]]) -> None:
        self.script = script
        self.registered: dict[str, web.WebSocketResponse] = {}
        self.client_ids: list[str] = []
        # Client ids whose socket said that it understands previews with metadata (recording 15).
        self.with_metadata: set[str] = set()
        self._status = status
        # Every open one, also those that another replaced under their id.
        self._transports: dict[int, asyncio.Transport | None] = {}
        self._frames: asyncio.Queue[tuple[str | bytes, str | None]] = asyncio.Queue()

    def send(self, kind: str, data: Mapping[str, Any], sid: str | None) -> None:
        """Send a frame to one client, or to all for None; unless the script loses it."""
        if not self.script.loses(kind):
            self.send_raw(json.dumps({"type": kind, "data": data}), sid)

    def send_raw(self, frame: str | bytes, sid: str | None) -> None:
        """Send a frame as it is."""
        self._frames.put_nowait((frame, sid))

    async def publish(self) -> None:
        """Send what was queued, until cancelled."""
        while True:
            frame, sid = await self._frames.get()
            for name, socket in list(self.registered.items()):
                if sid in (None, name):
                    with suppress(ConnectionError, RuntimeError):
                        send = socket.send_bytes if isinstance(frame, bytes) else socket.send_str
                        await send(frame)  # type: ignore[arg-type]

    def drop(self) -> None:
        """Cut every websocket without a close frame."""
        for transport in self._transports.values():
            if transport is not None and not transport.is_closing():
                transport.abort()
        self.registered.clear()

    def forget(self) -> None:
        """As after a restart: what was not sent never is."""
        self._frames = asyncio.Queue()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """GET /ws."""
        if self.script.no_websocket:
            return web.Response(status=404)
        if self.script.websocket_at:
            raise web.HTTPFound(self.script.websocket_at)
        socket = web.WebSocketResponse(
            max_msg_size=MAX_MESSAGE_BYTES, autoping=self.script.answers_pings
        )
        await socket.prepare(request)
        sid = request.query.get("clientId") or f"{id(socket):032x}"
        self.client_ids.append(sid)
        self.registered[sid] = socket
        self._transports[id(socket)] = request.transport
        greeting = {"type": "status", "data": {**self._status(), "sid": sid}}
        try:
            await socket.send_str(json.dumps(greeting))
            first = True
            async for message in socket:
                if first and message.type == WSMsgType.TEXT and self.script.preview_metadata:
                    await self._negotiate(socket, sid, message.data)
                first = False
                if message.type in (WSMsgType.ERROR, WSMsgType.CLOSE):
                    break
        except ConnectionError:
            pass
        finally:
            # As in ComfyUI: whichever socket is registered under the id by now.
            self.registered.pop(sid, None)
            self.with_metadata.discard(sid)
            self._transports.pop(id(socket), None)
            with suppress(ConnectionError, RuntimeError):
                await socket.close(code=WSCloseCode.OK)
        return socket

    async def _negotiate(self, socket: web.WebSocketResponse, sid: str, text: str) -> None:
        """The first message of a socket may tell its features; ours are told then."""
        with suppress(ValueError, TypeError, KeyError):
            message = json.loads(text)
            if message["type"] == "feature_flags":
                if message["data"].get("supports_preview_metadata"):
                    self.with_metadata.add(sid)
                ours = {"supports_preview_metadata": True, "max_upload_size": 104857600}
                await socket.send_str(json.dumps({"type": "feature_flags", "data": ours}))

    def send_preview(self, picture: bytes, prompt_id: str, node: str, sid: str | None) -> None:
        """Send a JPEG the way the socket understands it (recordings 15 and 23)."""
        if sid not in self.with_metadata:
            self.send_raw(struct.pack(">II", 1, 1) + picture, sid)
            return
        about = {"node_id": node, "prompt_id": prompt_id, "display_node_id": node}
        header = json.dumps({**about, "real_node_id": node, "image_type": "image/jpeg"}).encode()
        self.send_raw(struct.pack(">II", 4, len(header)) + header + picture, sid)

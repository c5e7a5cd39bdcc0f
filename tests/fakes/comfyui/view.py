"""GET /view: files by name, and the ways in which a download goes wrong (recording 10)."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from aiohttp import web

TYPES = ("output", "input", "temp")
_ANNOTATED = re.compile(r"^(.*?) ?\[(output|input|temp)\]$")


async def view(request: web.Request, root: Path, answer: str) -> web.StreamResponse:
    """Serve a file below root, or fail as `answer` says (see Script.view_answers)."""
    name, kind = request.query.get("filename", ""), request.query.get("type", "output")
    if "filename" not in request.query or answer == "404":
        return web.Response(status=404)
    if found := _ANNOTATED.match(name):
        name, kind = found[1], found[2]
    if not name or name.startswith("/") or ".." in name or kind not in TYPES:
        return web.Response(status=400)
    path = await asyncio.to_thread(_inside, root / kind, request.query.get("subfolder", ""), name)
    if path is None:
        return web.Response(status=403)
    data = await asyncio.to_thread(_read, path) if answer else b""
    if data is None or not (answer or path.is_file()):
        return web.Response(status=404)
    if answer == "500":
        return web.Response(status=500, text="500 Internal Server Error")
    if answer == "empty":
        return web.Response(body=b"", content_type="image/png")
    if answer == "html":
        return web.Response(text="<html>log in</html>", content_type="text/html")
    if answer == "cut":
        return await _cut(request, data)
    if answer == "truncated":
        return web.Response(body=data[: len(data) // 2], content_type="image/png")
    if answer == "stalled":
        return await _stalled(request, data)
    if answer == "unannounced":
        return await _unannounced(request, data)
    headers = {"Content-Disposition": f'filename="{path.name}"'}
    return web.FileResponse(path, headers=headers)


def _inside(base: Path, subfolder: str, name: str) -> Path | None:
    folder = (base.resolve() / subfolder).resolve()
    return folder / Path(name).name if folder.is_relative_to(base.resolve()) else None


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


async def _cut(request: web.Request, data: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(data))})
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _stalled(request: web.Request, data: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(data))})
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return response


async def _unannounced(request: web.Request, data: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "image/png"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(data)
    await response.write_eof()
    return response

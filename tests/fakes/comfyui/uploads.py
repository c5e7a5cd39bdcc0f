"""POST /upload/image: multipart, no check of what it is, names kept or numbered (recording 11)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from tests.fakes.comfyui.view import TYPES


async def upload_image(request: web.Request, root: Path) -> web.Response:
    """Store the field `image`, as ComfyUI does."""
    form = await request.post()
    image = form.get("image")
    if not isinstance(image, web.FileField) or not image.filename:
        return web.Response(status=400)
    kind, subfolder = str(form.get("type", "input")), str(form.get("subfolder", ""))
    if kind not in TYPES or "/" in image.filename:
        return web.Response(status=500)
    base = (root / kind).resolve()
    folder = (base / subfolder).resolve()
    if not folder.is_relative_to(base):
        return web.Response(status=400)
    overwrite = str(form.get("overwrite", "")) in ("true", "1")
    name = await asyncio.to_thread(
        _stored, folder, image.filename, image.file.read(), overwrite=overwrite
    )
    return web.json_response({"name": name, "subfolder": subfolder, "type": kind})


def _stored(folder: Path, name: str, data: bytes, *, overwrite: bool) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path, number = folder / name, 0
    # Of the same bytes there is one file; another of that name gets a number.
    while not overwrite and path.is_file() and path.read_bytes() != data:
        number += 1
        path = folder / f"{Path(name).stem} ({number}){Path(name).suffix}"
    path.write_bytes(data)
    return path.name

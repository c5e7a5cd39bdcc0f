"""Pictures of a job on their way to an instance: POST /upload/image (recording 11)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from services.kit.errors import ResourceExhausted, Unavailable
from services.kit.log import facts
from services.media.comfy.errors import Unanswered, protocol_error
from services.media.comfy.instance import Instance
from services.media.comfy.rest import Reply
from services.media.ports import InputImage

log = logging.getLogger(__name__)

FOLDER = "artlab"
ATTEMPTS = 3
PAUSE_SECONDS = 0.5
UPLOAD_SECONDS = 60.0
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}


async def sent(instance: Instance, images: Mapping[str, InputImage]) -> dict[str, str]:
    """Upload the pictures and return, by slot, what a LoadImage node takes.

    A picture's name follows from its bytes, so that sending it again changes nothing. Raises
    COMFY_UNAVAILABLE, COMFY_TOO_LARGE, COMFY_PROTOCOL and what reading the pictures does.
    """
    return {slot: await _sent(instance, image) for slot, image in images.items()}


def names_of(images: Mapping[str, InputImage]) -> dict[str, str]:
    """What the pictures are called at an instance that has them, by slot."""
    return {slot: f"{FOLDER}/{_name(image)}" for slot, image in images.items()}


async def _sent(instance: Instance, image: InputImage) -> str:
    name, attempt = _name(image), 0
    while True:
        attempt += 1
        form = _Form(name, image)
        try:
            reply = await instance.rest.upload(
                "/upload/image",
                form.open,
                content_type=form.content_type,
                size_bytes=form.size_bytes,
                timeout_seconds=UPLOAD_SECONDS,
            )
            return _stored(reply, instance)
        except Unavailable as error:
            if attempt >= ATTEMPTS:
                raise
            log.info("picture is sent again", extra=facts(why=error.reason, attempt=attempt))
        await asyncio.sleep(PAUSE_SECONDS)


def _name(image: InputImage) -> str:
    return f"{image.sha256[:32]}.{_ENDINGS.get(image.media_type, 'png')}"


def _stored(reply: Reply, instance: Instance) -> str:
    if reply.status == 413:
        raise ResourceExhausted("COMFY_TOO_LARGE", "the picture is larger than ComfyUI takes")
    if reply.status >= 500:
        raise Unanswered(instance.url, f"status {reply.status}")
    told = reply.object()
    # The name is ComfyUI's: where another file has ours it gives a new one.
    name, folder = told.get("name"), told.get("subfolder", "")
    if not isinstance(name, str) or not isinstance(folder, str) or not name:
        raise protocol_error("an upload without a name")
    if "/" in name or "\\" in name or ".." in f"{folder}/{name}" or "[" in name:
        raise protocol_error("an upload under a name that is none")
    return f"{folder}/{name}" if folder else name


class _Form:
    """multipart/form-data around one picture, which is read while it is sent."""

    def __init__(self, name: str, image: InputImage) -> None:
        self._image = image
        # Drawn anew each time, so that no picture can be made to hold it.
        boundary = secrets.token_hex(16)
        fields = {"subfolder": FOLDER, "type": "input"}
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        )
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            f"Content-Type: {image.media_type}\r\n\r\n"
        )
        self._head, self._tail = head.encode(), f"\r\n--{boundary}--\r\n".encode()
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.size_bytes = len(self._head) + image.size_bytes + len(self._tail)

    def open(self) -> AbstractContextManager[Iterator[bytes]]:
        """The whole body, from its start."""
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator[Iterator[bytes]]:
        with self._image.read() as chunks:
            yield self._around(chunks)

    def _around(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield self._head
        yield from chunks
        yield self._tail

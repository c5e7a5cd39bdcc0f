"""One generation of SwarmUI over its websocket, from the request to the name of the picture."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, WebSocketException
from websockets.frames import CloseCode

from services.kit.errors import ArtlabError, FailedPrecondition
from services.media.backends.hosted.account import Account
from services.media.backends.hosted.errors import (
    Lost,
    NotTaken,
    from_status,
    no_output,
    protocol_error,
)
from services.media.backends.swarmui.session import INVALID_SESSION
from services.media.ports import Preview, RenderProgress, Report
from services.media.straight_socket import StraightConnect

# A picture that SwarmUI does not save comes inside a frame.
MAX_FRAME_BYTES = 48 * 1024 * 1024
MAX_FRAMES_AHEAD = 2
OPEN_TIMEOUT_SECONDS = 5.0
CLOSE_TIMEOUT_SECONDS = 1.0
MAX_PREVIEW_BYTES = 64 * 1024
# After the picture SwarmUI says which ones to discard and closes; older ones only close.
LAST_WORD_SECONDS = 2.0
MAX_DETAIL_CHARACTERS = 400
_JPEG_URL = "data:image/jpeg;base64,"


class InvalidSession(NotTaken):
    """The session is not known (any more): open another one."""


class Generation:
    """Reads the frames of one generation.

    Args:
        account: of the SwarmUI.
        headers: sent with the handshake.
        request: its JSON, with the session.
        texts: what a person wrote, to be taken out of SwarmUI's own words.
        report: hears of the progress.
    """

    def __init__(
        self,
        account: Account,
        headers: Mapping[str, str],
        request: Mapping[str, object],
        texts: tuple[str, ...],
        report: Report,
    ) -> None:
        self._title, self._account = account.title, account
        self._headers, self._request = dict(headers), request
        self._texts = texts
        self._report = report
        self._fraction = 0.0
        self._image = ""
        self._done = False

    async def run(self) -> str:
        """Return the picture's path below the SwarmUI, or its data URL.

        Raises NotTaken, Lost, InvalidSession, BACKEND_FAILED, BACKEND_NO_OUTPUT, BACKEND_PROTOCOL.
        """
        scheme, _, rest = self._account.base_url.partition("://")
        url = f"{'wss' if scheme == 'https' else 'ws'}://{rest}/API/GenerateText2ImageWS"
        try:
            socket = await StraightConnect(
                url,
                additional_headers=self._headers,
                user_agent_header="artlab",
                open_timeout=OPEN_TIMEOUT_SECONDS,
                max_size=MAX_FRAME_BYTES,
                max_queue=MAX_FRAMES_AHEAD,
                compression=None,
                proxy=None,
                close_timeout=CLOSE_TIMEOUT_SECONDS,
            )
        except InvalidHandshake as error:
            raise self._refused(error) from error
        except (OSError, TimeoutError, WebSocketException) as error:
            raise NotTaken(self._title, "cannot be reached", sent=False) from error
        try:
            await socket.send(orjson.dumps(self._request).decode())
            await self._read(socket)
        except ConnectionClosed as error:
            if not self._image:
                raise Lost(self._title, "the connection broke") from error
        except BaseException:
            # Frames that nobody reads any more must not hold up the end.
            socket.transport.abort()
            raise
        finally:
            await socket.close()
        return self._image

    def _refused(self, error: InvalidHandshake) -> ArtlabError:
        response = getattr(error, "response", None)
        if response is None:
            return protocol_error(self._title, "is no websocket")
        setting = self._account.key_setting
        return from_status(self._title, setting, response.status_code, response.headers, None)

    async def _read(self, socket: ClientConnection) -> None:
        while not self._done:
            try:
                async with asyncio.timeout(LAST_WORD_SECONDS if self._image else None):
                    frame = await socket.recv(decode=False)
            except TimeoutError:
                return
            except ConnectionClosed as error:
                ended_well = error.rcvd is not None and error.rcvd.code == CloseCode.NORMAL_CLOSURE
                if ended_well and not self._image:
                    raise no_output(self._title, "ended without a picture") from error
                raise
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        try:
            told = orjson.loads(frame)
        except orjson.JSONDecodeError as error:
            raise protocol_error(self._title, "is no JSON") from error
        if not isinstance(told, dict):
            raise protocol_error(self._title, "is no JSON object")
        if told.get("error_id") == INVALID_SESSION:
            raise InvalidSession(self._title, "does not know the session")
        if "error" in told or "error_id" in told:
            raise self._failed(told)
        progress, image = told.get("gen_progress"), told.get("image")
        if isinstance(progress, dict):
            self._progress(progress)
        if image is not None:
            # Older ones name the picture without an object around it.
            path = image.get("image") if isinstance(image, dict) else image
            if not isinstance(path, str) or not path:
                raise protocol_error(self._title, "holds a picture without a name")
            self._image = self._image or path
        discarded = told.get("discard_indices")
        if isinstance(discarded, list):
            if 0 in discarded:
                raise no_output(self._title, "discarded the picture")
            self._done = bool(self._image)

    def _progress(self, told: Mapping[str, Any]) -> None:
        overall = told.get("overall_percent")
        if isinstance(overall, int | float) and math.isfinite(overall):
            self._fraction = max(self._fraction, min(float(overall), 1.0))
        self._report(
            RenderProgress("executing", self._fraction, preview=_preview(told.get("preview")))
        )

    def _failed(self, told: Mapping[str, Any]) -> FailedPrecondition:
        detail = str(told.get("error") or told.get("error_id"))
        for text in self._texts:
            detail = detail.replace(text, "…")
        return FailedPrecondition(
            "BACKEND_FAILED",
            f"{self._title} could not make it; see its own log",
            metadata={"detail": detail[:MAX_DETAIL_CHARACTERS]},
        )


def _preview(url: object) -> Preview | None:
    """A preview that is small enough; others are left out."""
    most = MAX_PREVIEW_BYTES // 3 * 4 + 4 + len(_JPEG_URL)
    if not isinstance(url, str) or not url.startswith(_JPEG_URL) or len(url) > most:
        return None
    try:
        data = base64.b64decode(url.removeprefix(_JPEG_URL), validate=True)
    except (binascii.Error, ValueError):
        return None
    return Preview("image/jpeg", data) if len(data) <= MAX_PREVIEW_BYTES else None

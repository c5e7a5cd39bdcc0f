"""JSON over HTTP to somebody else's API, one attempt at a time, every error told apart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import orjson

from services.kit.bounded_http import bounded_client
from services.kit.errors import ArtlabError
from services.media.backends.hosted.account import Account
from services.media.backends.hosted.errors import (
    Lost,
    NotTaken,
    from_status,
    protocol_error,
    silent,
)
from services.media.backends.hosted.spool import OnceOnly

# Two thirds of it are a picture in base64: 2048² in PNG has 13 MB at most.
MAX_JSON_BYTES = 48 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
FURTHER_HEADERS = ("prefer", "cancel-after", "idempotency-key", "cookie")


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON object, and the headers beside it (lower case)."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]


class Api:
    """Calls one API; close it when done.

    Args:
        account: where it is, and with which key.
        silence_seconds: how long any single wait may take.
        max_json_bytes: of one answer.
        max_file_bytes: of an answer that is a picture.
        headers: sent with every request besides the account's.
    """

    def __init__(
        self,
        account: Account,
        *,
        silence_seconds: float,
        max_json_bytes: int = MAX_JSON_BYTES,
        max_file_bytes: int = MAX_JSON_BYTES,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._account = account
        self._headers = {"accept": "application/json", **account.headers(), **(headers or {})}
        self._title = account.title
        self._max_json_bytes = max_json_bytes
        self.http = bounded_client(
            silence_seconds=silence_seconds,
            with_key=bool(account.key.get_secret_value()),
            encrypted=account.base_url.startswith("https:"),
            max_bytes=max(max_json_bytes, max_file_bytes),
            strange=lambda what: protocol_error(account.title, what),
            further_headers=FURTHER_HEADERS,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self.http.aclose()

    async def json(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One exchange; the answer is a JSON object with a status 2xx.

        Raises NotTaken, Lost, BACKEND_TIMEOUT, BACKEND_PROTOCOL and what `from_status` tells.
        """
        async with self._exchange(method, path, body, headers or {}) as response:
            data = await self._read(response, self._max_json_bytes)
            answer = parse_object(data)
            if answer is None:
                raise protocol_error(self._title, "is no JSON object")
            return Answer(answer, dict(response.headers))

    async def file(
        self, path: str, body: Mapping[str, object], headers: Mapping[str, str], spool: OnceOnly
    ) -> OnceOnly:
        """POST; the answer is a picture, which goes into the spool as it comes.

        Raises like `json`, MEDIA_TOO_LARGE and SPOOL_FULL.
        """
        async with self._exchange("POST", path, body, headers) as response:
            if not response.headers.get("content-type", "").startswith("image/"):
                raise protocol_error(self._title, "is no picture")
            with self._sent():
                async for chunk in response.aiter_raw():
                    spool.write(chunk)
            return spool

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        headers: Mapping[str, str],
    ) -> AsyncIterator[httpx2.Response]:
        own = {**self._headers, **headers}
        if body is not None:
            own["content-type"] = "application/json"
        request = self.http.build_request(
            method,
            f"{self._account.base_url}{path}",
            content=None if body is None else orjson.dumps(body),
            headers=own,
        )
        with self._sent():
            response = await self.http.send(request, stream=True)
        try:
            if not 200 <= response.status_code < 300:
                raise await self._refusal(response)
            yield response
        finally:
            await response.aclose()

    async def _refusal(self, response: httpx2.Response) -> ArtlabError:
        try:
            told = parse_object(await self._read(response, MAX_ERROR_BYTES))
        except ArtlabError:
            # The status says enough.
            told = None
        setting = self._account.key_setting
        return from_status(self._title, setting, response.status_code, response.headers, told)

    async def _read(self, response: httpx2.Response, most: int) -> bytes:
        data = bytearray()
        with self._sent():
            async for chunk in response.aiter_raw():
                data += chunk
                if len(data) > most:
                    raise protocol_error(self._title, "is too large")
        return bytes(data)

    @contextmanager
    def _sent(self) -> Iterator[None]:
        with transport_errors(self._title):
            yield


@contextmanager
def transport_errors(title: str) -> Iterator[None]:
    """Turn what the HTTP client raises inside into NotTaken, Lost or BACKEND_TIMEOUT."""
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
        raise NotTaken(title, "cannot be reached", sent=False) from error
    except httpx2.TimeoutException as error:
        raise silent(title) from error
    except httpx2.HTTPError as error:
        raise Lost(title, "the connection broke") from error


def parse_object(data: bytes) -> dict[str, Any] | None:
    """Bytes as a JSON object; None when they are none."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None

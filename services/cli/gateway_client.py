"""The gateway's HTTP interface as the command line uses it."""

from __future__ import annotations

import asyncio
import ipaddress
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import orjson
from httpx_sse import SSEError, aconnect_sse

from services.cli.domain.option_names import option_of
from services.cli.domain.printable import printable
from services.cli.domain.run_view import FACTS, FINAL_STATES, Event

CALL_SECONDS = 30.0
CANCEL_SECONDS = 20.0
IMAGE_SECONDS = 330.0
CHUNK_BYTES = 256 * 1024
START_ATTEMPTS = 3
# The gateway sends a sign of life at least every 10 s.
SILENCE_SECONDS = 40.0
GIVE_UP_SECONDS = 60.0
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 2.0
MAX_BODY_BYTES = 8 * 1024 * 1024
_PIPELINE = "/api/pipeline"
# Too many requests, a proxy without its server, unavailable, too slow: the next one may work.
_PASSING = frozenset({429, 502, 503, 504})


class GatewayError(Exception):
    """The gateway did not do what was asked; the message is for the person."""


class GatewayUnreachable(GatewayError):
    """Nobody answers there, or not in time."""


class GatewayCut(GatewayUnreachable):
    """The connection broke before the answer was there: the request may have been carried out."""


class GatewayRefused(GatewayError):
    """The gateway said no. `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def request_is_wrong(self) -> bool:
        """Whether the same request will always be refused."""
        return 400 <= self.status < 500 and self.status not in (408, 409, 425, 429)


class GatewayClient:
    """One connection pool to one gateway. Use it as ``async with``."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            timeout=CALL_SECONDS,
            # A proxy of the environment is for the world outside, not for this machine.
            trust_env=not _is_loopback(self.url),
            transport=transport,
        )

    async def __aenter__(self) -> GatewayClient:
        """Open the pool."""
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """Close the pool."""
        await self._http.__aexit__(kind, error, trace)

    async def start(self, request: Mapping[str, object]) -> str:
        """Start a run and return its id at once. Raises GatewayError."""
        # The same key is the same run, so the request may be repeated.
        headers = {"Prefer": "respond-async", "Idempotency-Key": str(uuid.uuid4())}
        path, body = "/api/schema/pipeline/execute", dict(request)
        answer = await _insist(lambda: self._call("POST", path, json=body, headers=headers))
        run_id = _object(answer).get("run_id")
        if not isinstance(run_id, str):
            raise GatewayError("the gateway started a run without telling its id")
        return run_id

    async def put_image(self, run_id: str, index: int, image: Path) -> str:
        """Bring a run a picture, again while nobody takes it; return its status. See `start`."""
        path = f"/api/runs/{run_id}/input_images/{index}"
        try:
            answer = await _patiently(
                lambda: self._call("PUT", path, content=_bytes_of(image), timeout=IMAGE_SECONDS)
            )
        except OSError as error:
            raise GatewayError(f"{image.name} cannot be read") from error
        return str(_object(answer).get("status"))

    async def decide(
        self, run_id: str, question: int, decision: str, *, text: str = "", user_id: str = ""
    ) -> str:
        """Answer a question of a run; return its status. The same answer again is fine.

        Raises GatewayError.
        """
        body: dict[str, object] = {"question": question, "decision": decision}
        body |= {"text": text} if text else {}
        body |= {"user_id": user_id} if user_id else {}
        path = f"/api/runs/{run_id}/decisions"
        return str(
            _object(await _patiently(lambda: self._call("POST", path, json=body))).get("status")
        )

    async def queue(self, run_id: str) -> Mapping[str, Any]:
        """Return where a run stands in line. Raises GatewayError."""
        return _object(await self._call("GET", f"/api/runs/{run_id}/queue"))

    async def cancel(self, run_id: str) -> None:
        """Stop a run; fine when it ended already. Raises GatewayError."""
        await self._call("POST", f"{_PIPELINE}/{run_id}/cancel", timeout=CANCEL_SECONDS)

    async def document(self, run_id: str) -> Mapping[str, Any]:
        """Return metadata.json of a run as it stands. Raises GatewayError."""
        return _object(await self._get(f"{_PIPELINE}/{run_id}/status"))

    async def entity(self, run_id: str, sequence: int) -> bytes:
        """Return the bytes of a small entity. Raises GatewayError, also past 8 MiB."""
        return await self._get(_entity_path(run_id, sequence))

    def entity_url(self, run_id: str, sequence: int) -> str:
        """The address of one entity, for people."""
        return self.url + _entity_path(run_id, sequence)

    async def system(self) -> Mapping[str, Any]:
        """Return what this installation is made of. Raises GatewayError."""
        return _object(await self._call("GET", "/api/system"))

    async def events(self, run_id: str) -> AsyncGenerator[Event, None]:
        """Yield the events of a run up to the one that makes it final.

        A broken stream is taken up where it ended; facts come once each, in order.
        Raises GatewayRefused for a run that is not there, GatewayUnreachable after 60 s without
        an answer.
        """
        last, heard, delay = 0, time.monotonic(), FIRST_RETRY_SECONDS
        while True:
            try:
                async with self._event_stream(run_id, last) as stream:
                    async for event in stream:
                        heard, delay = time.monotonic(), FIRST_RETRY_SECONDS
                        if event.seq is not None:
                            if event.seq <= last:
                                continue
                            last = event.seq
                        if event.kind == "problem":
                            _refuse_for_good(event)
                            break
                        yield event
                        if event.kind == "state_changed" and event.text("state") in FINAL_STATES:
                            return
            except (httpx.TransportError, SSEError) as error:
                if time.monotonic() - heard > GIVE_UP_SECONDS:
                    raise self._unreachable() from error
            except GatewayRefused as error:
                if error.request_is_wrong or time.monotonic() - heard > GIVE_UP_SECONDS:
                    raise
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_RETRY_SECONDS)

    @asynccontextmanager
    async def _event_stream(self, run_id: str, last: int) -> AsyncIterator[AsyncIterator[Event]]:
        headers = {"Last-Event-ID": str(last)} if last else {}
        limits = httpx.Timeout(CALL_SECONDS, read=SILENCE_SECONDS)
        path = f"{_PIPELINE}/{run_id}/events"
        async with aconnect_sse(self._http, "GET", path, headers=headers, timeout=limits) as source:
            if source.response.status_code != 200:
                raise _refusal(source.response, await _bounded(source.response))
            yield _parsed(source.aiter_sse())

    async def _get(self, path: str) -> bytes:
        return await _patiently(lambda: self._call("GET", path))

    async def _call(self, method: str, path: str, **options: Any) -> bytes:
        try:
            async with self._http.stream(method, path, **options) as response:
                body = await _bounded(response)
        except httpx.ConnectError as error:
            raise self._unreachable() from error
        except httpx.TransportError as error:
            raise GatewayCut(f"{self.url} broke off before it answered") from error
        if not response.is_success:
            raise _refusal(response, body)
        return body

    def _unreachable(self) -> GatewayUnreachable:
        return GatewayUnreachable(f"no answer from {self.url}; is `artlab up` running?")


async def _patiently(call: Callable[[], Awaitable[bytes]]) -> bytes:
    """Make a call that changes nothing twice, again and again for 60 s while nobody takes it."""
    began, delay = time.monotonic(), FIRST_RETRY_SECONDS
    while True:
        try:
            return await call()
        except GatewayUnreachable:
            if time.monotonic() - began > GIVE_UP_SECONDS:
                raise
        except GatewayRefused as error:
            if error.status not in _PASSING or time.monotonic() - began > GIVE_UP_SECONDS:
                raise
        await asyncio.sleep(delay)
        delay = min(2 * delay, LONGEST_RETRY_SECONDS)


async def _insist(call: Callable[[], Awaitable[bytes]]) -> bytes:
    """Make a call that may be repeated, again when its answer was cut off."""
    for _ in range(START_ATTEMPTS - 1):
        with suppress(GatewayCut):
            return await call()
        await asyncio.sleep(FIRST_RETRY_SECONDS)
    return await call()


async def _bytes_of(path: Path) -> AsyncGenerator[bytes, None]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _entity_path(run_id: str, sequence: int) -> str:
    return f"{_PIPELINE}/{run_id}/entities/{sequence}"


async def _parsed(source: AsyncIterator[Any]) -> AsyncIterator[Event]:
    async for sent in source:
        try:
            data = orjson.loads(sent.data)
        except orjson.JSONDecodeError:
            continue  # nothing in it, such as a line that sets the time to reconnect
        if isinstance(data, dict):
            # A hint has no id; the reader goes on showing the one of the fact before it.
            is_fact = sent.event in FACTS and sent.id.isascii() and sent.id.isdigit()
            yield Event(sent.event, data, int(sent.id) if is_fact else None)


def _refuse_for_good(event: Event) -> None:
    """Raise GatewayError for a problem that coming back does not solve."""
    if event.data.get("retryable") is not True:
        raise GatewayError(f"the run cannot be followed: {event.text('reason')}")


async def _bounded(response: httpx.Response) -> bytes:
    found = bytearray()
    async for chunk in response.aiter_bytes():
        found += chunk
        if len(found) > MAX_BODY_BYTES:
            raise GatewayError(f"the answer is larger than {MAX_BODY_BYTES} bytes")
    return bytes(found)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise GatewayError("the gateway answered something that is no JSON object")
    return found


def _refusal(response: httpx.Response, body: bytes) -> GatewayRefused:
    """Read problem+json (RFC 9457): the detail, the fields that are wrong, when to come back.

    Fields are told by the names of their options.
    """
    status = response.status_code
    try:
        problem = orjson.loads(body)
    except orjson.JSONDecodeError:
        problem = None
    if not isinstance(problem, dict):
        return GatewayRefused(status, f"the gateway answered HTTP {status}")
    said = _told(problem, str(problem.get("title") or f"HTTP {status}"))
    fields = problem.get("fields")
    wrong = [row for row in fields if isinstance(row, dict)] if isinstance(fields, list) else []
    # The first one is the detail already.
    lines = [said, *(_told(row, "is wrong") for row in wrong[1:])]
    if isinstance(seconds := problem.get("retry_after"), int | float):
        lines.append(f"try again in {max(1, round(seconds))} s")
    return GatewayRefused(status, printable("\n".join(lines)))


def _told(problem: Mapping[str, object], otherwise: str) -> str:
    field, said = str(problem.get("field") or ""), str(problem.get("detail") or otherwise)
    return f"{option_of(field)}: {said.removeprefix(f'{field}: ')}" if field else said


def _is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

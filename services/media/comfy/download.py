"""The bytes of one output, from ComfyUI's socket in chunks; never a whole file in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from urllib.parse import urlencode

from services.kit.errors import ArtlabError, FailedPrecondition, ResourceExhausted, Unavailable
from services.media.comfy.address import Address
from services.media.comfy.errors import (
    Unanswered,
    Unreachable,
    exchange_errors,
    no_output,
    protocol_error,
)
from services.media.comfy.history import OutputFile

# Fewer cost a third more of the processor, at each end of the way to the recorder.
CHUNK_BYTES = 1024 * 1024
CONNECT_TIMEOUT_SECONDS = 5.0
RECEIVE_TIMEOUT_SECONDS = 30.0
# A sender slower than this is given up: 60 s, and then a second for each 64 KiB.
PATIENCE_SECONDS = 60.0
LEAST_BYTES_PER_SECOND = 64 * 1024


def view_path(file: OutputFile) -> str:
    """The request that gives a file; its names are query values and never a path."""
    query = {"filename": file.filename, "subfolder": file.subfolder, "type": "output"}
    return f"/view?{urlencode(query)}"


class Download:
    """Opens one file of ComfyUI's output folder, as often as it is asked to."""

    def __init__(self, address: Address, file: OutputFile, max_bytes: int) -> None:
        self._address = address
        self._path = view_path(file)
        self._max_bytes = max_bytes

    @contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Yield the chunks, from the first byte; to be used in a thread.

        Raises COMFY_UNAVAILABLE, COMFY_NO_OUTPUT (the file is gone), COMFY_DOWNLOAD_CUT (begin
        anew), MEDIA_TOO_LARGE, MEDIA_EMPTY, COMFY_PROTOCOL.
        """
        url = self._address.url
        connection = self._address.connection(CONNECT_TIMEOUT_SECONDS)
        try:
            try:
                connection.connect()
            except OSError as error:
                raise Unreachable(url) from error
            connection.sock.settimeout(RECEIVE_TIMEOUT_SECONDS)
            with exchange_errors(url):
                headers = {"Accept-Encoding": "identity", "Connection": "close"}
                connection.request("GET", self._path, headers=headers)
                response = connection.getresponse()
            with response:
                yield self._chunks(response, self._announced(response))
        finally:
            connection.close()

    def _announced(self, response: HTTPResponse) -> int | None:
        if response.status == 404:
            raise no_output("ComfyUI no longer has the file it names")
        if response.status >= 500:
            raise Unanswered(self._address.url, f"status {response.status}")
        if response.status != 200:
            raise protocol_error(f"/view with status {response.status}")
        length = response.length
        if length == 0:
            raise _empty()
        if length is not None and length > self._max_bytes:
            raise _too_large(self._max_bytes)
        return length

    def _chunks(self, response: HTTPResponse, announced: int | None) -> Iterator[bytes]:
        # One more than was announced, so that the end is seen.
        size = CHUNK_BYTES if announced is None else min(CHUNK_BYTES, announced + 1)
        buffer = memoryview(bytearray(size))
        received = 0
        waited = 0.0
        while True:
            began = time.monotonic()
            count = self._fill(response, buffer)
            # Only waiting for ComfyUI counts, not for whoever takes the chunks.
            waited += time.monotonic() - began
            received += count
            if received > self._max_bytes:
                raise _too_large(self._max_bytes)
            if count:
                yield bytes(buffer[:count])
            if count < size:
                break
            if waited > PATIENCE_SECONDS + received / LEAST_BYTES_PER_SECOND:
                raise _cut("too slow")
        if received == 0:
            raise _empty() if announced is None else _cut("nothing came")
        if announced is not None and received != announced:
            raise _cut(f"{received} of {announced} bytes")

    def _fill(self, response: HTTPResponse, buffer: memoryview) -> int:
        filled = 0
        deadline = time.monotonic() + PATIENCE_SECONDS
        while filled < len(buffer):
            try:
                with exchange_errors(self._address.url):
                    count = response.readinto(buffer[filled:])
            except ArtlabError as error:
                raise _cut(error.message) from error
            if count == 0:
                break
            filled += count
            if time.monotonic() > deadline:
                raise _cut("too slow")
        return filled


def _cut(why: str) -> Unavailable:
    return Unavailable(
        "COMFY_DOWNLOAD_CUT", f"the file did not arrive whole: {why}", retry_after_seconds=0.2
    )


def _too_large(limit: int) -> ResourceExhausted:
    return ResourceExhausted("MEDIA_TOO_LARGE", f"the file is larger than {limit} bytes")


def _empty() -> FailedPrecondition:
    return FailedPrecondition("MEDIA_EMPTY", "ComfyUI gave a file without a byte")

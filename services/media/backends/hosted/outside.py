"""A file that an API names by its URL: fetched from hosts we allow, and from no private address.

An answer of an API is a stranger's word. Followed without a look it would let a stranger read,
through us, what only our own network may see.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, quote, urlsplit

from services.kit.errors import FailedPrecondition, Unavailable
from services.media.backends.hosted.errors import no_output, protocol_error, too_large

CHUNK_BYTES = 256 * 1024
CONNECT_TIMEOUT_SECONDS = 5.0
RECEIVE_TIMEOUT_SECONDS = 30.0
# A sender slower than this is given up: 60 s, and then a second for each 64 KiB.
PATIENCE_SECONDS = 60.0
LEAST_BYTES_PER_SECOND = 64 * 1024
MAX_URL_CHARACTERS = 4096
_PORTS = {"http": 80, "https": 443}
# An address of IPv4 is at their end: translated by a gateway (RFC 6052), or as it is.
_HOLD_IPV4 = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96")))
# For gateways of one's own (RFC 8215).
_OWN_GATEWAYS = ipaddress.IPv6Network("64:ff9b:1::/48")
# What stays as it is in a path and a query that are already encoded.
_ENCODED = "/%:@!$&'()*+,;=~-._?"


@dataclass(frozen=True, slots=True)
class OutsideFiles:
    """From where files of one API may be fetched.

    Args:
        title: of the API, for people.
        hosts: names; a file may come from one of them or from a name below it.
        max_bytes: larger files are refused while they arrive.
        inside: plain HTTP and private addresses are allowed too, because the API itself is near.
        headers: sent along, such as a cookie.
    """

    title: str
    hosts: tuple[str, ...]
    max_bytes: int
    inside: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    def file(self, url: str) -> OutsideFile:
        """The file at this URL, not opened. Raises BACKEND_OUTPUT_REFUSED."""
        return OutsideFile(self, self._parsed(url))

    def _parsed(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url if len(url) <= MAX_URL_CHARACTERS else "")
            _ = parts.port
        except ValueError:
            raise self._refused("is no address") from None
        host = (parts.hostname or "").lower()
        if parts.scheme != "https" and not (self.inside and parts.scheme == "http"):
            raise self._refused("is not at an https address")
        if parts.username is not None or parts.password is not None:
            raise self._refused("is at an address with a user")
        if not any(host == allowed or host.endswith(f".{allowed}") for allowed in self.hosts):
            raise self._refused("is not on a host of its own")
        return parts

    def address(self, parts: SplitResult) -> tuple[str, int]:
        """IP address and port to connect to. Raises BACKEND_OUTPUT_REFUSED, BACKEND_FILE_CUT."""
        port = parts.port or _PORTS[parts.scheme]
        try:
            found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise _cut("its host has no address") from error
        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        if not self.inside and not all(_is_public(address) for address in addresses):
            raise self._refused("is at a private address")
        return addresses[0], port

    def _refused(self, why: str) -> FailedPrecondition:
        return FailedPrecondition("BACKEND_OUTPUT_REFUSED", f"the file of {self.title} {why}")


class OutsideFile:
    """One file, opened as often as it is asked for."""

    def __init__(self, files: OutsideFiles, parts: SplitResult) -> None:
        self._files = files
        self._parts = parts

    @contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Yield the chunks from the first byte; to be used in a thread.

        Raises BACKEND_FILE_CUT (begin anew), BACKEND_NO_OUTPUT (gone, or empty), MEDIA_TOO_LARGE,
        BACKEND_OUTPUT_REFUSED, BACKEND_PROTOCOL.
        """
        connection = self._connection()
        try:
            try:
                connection.connect()
                connection.sock.settimeout(RECEIVE_TIMEOUT_SECONDS)
                path = quote(self._parts.path or "/", safe=_ENCODED)
                query = quote(self._parts.query, safe=_ENCODED)
                headers = {
                    "Accept-Encoding": "identity",
                    "Connection": "close",
                    "User-Agent": "artlab",
                    **self._files.headers,
                }
                connection.request("GET", f"{path}?{query}" if query else path, headers=headers)
                response = connection.getresponse()
            except (OSError, HTTPException) as error:
                raise _cut("no answer") from error
            with response:
                yield self._chunks(response, self._announced(response))
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        parts, (address, port) = self._parts, self._files.address(self._parts)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return _Pinned(host, port, address)
        return _PinnedTLS(host, port, address)

    def _announced(self, response: HTTPResponse) -> int | None:
        title, status = self._files.title, response.status
        if status in (403, 404, 410):
            raise no_output(title, "no longer has the file it names")
        if status == 429 or status >= 500:
            raise _cut(f"status {status}")
        if status != 200:
            # Another address could be one we do not allow.
            raise protocol_error(title, f"has the status {status} for its own file")
        if response.length is not None and response.length > self._files.max_bytes:
            raise too_large(self._files.max_bytes)
        return response.length

    def _chunks(self, response: HTTPResponse, announced: int | None) -> Iterator[bytes]:
        received, waited = 0, 0.0
        while True:
            began = time.monotonic()
            try:
                chunk = response.read1(CHUNK_BYTES)
            except (OSError, HTTPException) as error:
                raise _cut("the connection broke") from error
            # Only waiting for the sender counts, not for whoever takes the chunks.
            waited += time.monotonic() - began
            received += len(chunk)
            if received > self._files.max_bytes:
                raise too_large(self._files.max_bytes)
            if waited > PATIENCE_SECONDS + received / LEAST_BYTES_PER_SECOND:
                raise _cut("too slow")
            if not chunk:
                break
            yield chunk
        if announced is not None and received != announced:
            raise _cut(f"{received} of {announced} bytes")
        if not received:
            raise no_output(self._files.title, "gave a file without a byte")


class _Pinned(HTTPConnection):
    """Connects to the address that was looked at, whatever the name means a moment later."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port, timeout=CONNECT_TIMEOUT_SECONDS)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)


class _PinnedTLS(HTTPSConnection):
    """The same, encrypted; the certificate must be of the name."""

    def __init__(self, host: str, port: int, address: str) -> None:
        self._trust = ssl.create_default_context()
        super().__init__(host, port, timeout=CONNECT_TIMEOUT_SECONDS, context=self._trust)
        self._address = address

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        try:
            self.sock = self._trust.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.is_site_local or parsed in _OWN_GATEWAYS:
            return False
        # ::ffff:10.0.0.1 is as private as 10.0.0.1.
        within = parsed.ipv4_mapped or parsed.sixtofour
        if any(parsed in network for network in _HOLD_IPV4):
            within = ipaddress.IPv4Address(parsed.packed[-4:])
        parsed = within or parsed
    return parsed.is_global and not parsed.is_multicast


def _cut(why: str) -> Unavailable:
    return Unavailable(
        "BACKEND_FILE_CUT", f"the file did not arrive whole: {why}", retry_after_seconds=0.2
    )

"""Where a model server is: on our own network or on somebody else's.

Eco mode and `local_only` promise that no text leaves. A promise is kept by addresses, not by
names: a server is local when every address its name resolves to is one of this machine or of a
private network, and nobody declared that it passes texts on.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from services.kit.errors import Unavailable

RESOLVE_TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The base URL of a model server; `declared_remote` says that it passes texts on."""

    base_url: str
    declared_remote: bool = False

    async def is_local(self) -> bool:
        """Whether a text sent there stays on our own network.

        Raises Unavailable LLM_UNAVAILABLE when the name does not resolve.
        """
        if self.declared_remote:
            return False
        parts = urlsplit(self.base_url)
        addresses = await _addresses(parts.hostname or "", parts.port or 0)
        return bool(addresses) and all(_is_ours(address) for address in addresses)


async def _addresses(host: str, port: int) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_SECONDS):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        raise Unavailable(
            "LLM_UNAVAILABLE", "the name of the model server does not resolve"
        ) from error
    return [str(sockaddr[0]) for *_, sockaddr in found]


def _is_ours(address: str) -> bool:
    parsed = ipaddress.ip_address(address.split("%", 1)[0])
    # ::ffff:8.8.8.8 is as far away as 8.8.8.8.
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    if parsed.is_loopback:
        return True
    nobodys = parsed.is_unspecified or parsed.is_multicast or parsed.is_reserved
    return (parsed.is_private or parsed.is_link_local) and not nobodys

"""Where a ComfyUI listens. It has no login, so by default only near hosts are accepted."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlsplit

from services.kit.errors import InvalidArgument
from services.kit.near import is_near

SETTING = "ARTLAB_MEDIA_COMFYUI_URLS"
OLLAMA_SETTING = "ARTLAB_MEDIA_OLLAMA_URL"


@dataclass(frozen=True, slots=True)
class Address:
    """One ComfyUI, `http://host:port`."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """Without a trailing slash."""
        return f"{self.scheme}://{self._host}:{self.port}"

    @property
    def websocket_url(self) -> str:
        """The base of the websocket's address."""
        return f"{'wss' if self.scheme == 'https' else 'ws'}://{self._host}:{self.port}/ws"

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def connection(self, timeout_seconds: float) -> HTTPConnection:
        """A connection that is not open yet."""
        if self.scheme == "https":
            context = ssl.create_default_context()
            return HTTPSConnection(self.host, self.port, timeout=timeout_seconds, context=context)
        return HTTPConnection(self.host, self.port, timeout=timeout_seconds)


def parse_address(text: str, *, allow_remote: bool = False) -> Address:
    """Parse one address. Raises InvalidArgument INVALID_COMFYUI_URL.

    Without `allow_remote` the host must be loopback, a private address, a name without a dot (as
    in a compose file) or a name of the local network.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise _bad("not a URL") from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise _bad("expected http://host:port")
    if parts.username is not None or parts.password is not None:
        raise _bad("no user or password in the URL")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise _bad("expected http://host:port without a path")
    if not allow_remote and not is_near(host):
        raise _bad(
            f"{host[:100]} is neither this machine nor a private network; ComfyUI has no login: "
            "set ARTLAB_MEDIA_ALLOW_REMOTE_COMFYUI=true if this is wanted"
        )
    return Address(parts.scheme, host, port or (443 if parts.scheme == "https" else 80))


def parse_ollama(text: str) -> Address | None:
    """Parse the address of an Ollama, which is near as well; None for none.

    Raises InvalidArgument INVALID_OLLAMA_URL.
    """
    try:
        return parse_address(text) if text.strip() else None
    except InvalidArgument:
        raise InvalidArgument(
            "INVALID_OLLAMA_URL",
            "expected http://host:port of this machine or a private network",
            field=OLLAMA_SETTING,
        ) from None


def _bad(reason: str) -> InvalidArgument:
    return InvalidArgument("INVALID_COMFYUI_URL", reason, field=SETTING)

"""Whether a host is near, this machine or a private network, and which addresses do without TLS."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_NEAR_SUFFIXES = (".local", ".lan", ".internal", ".localhost", ".home.arpa")


def is_near(host: str) -> bool:
    """Whether a host, by its name or address, is of this machine or a private network."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and ("." not in host or host.endswith(_NEAR_SUFFIXES))
    # 169.254.0.0/16 is private too, and where clouds serve their machine's keys.
    return (address.is_loopback or address.is_private) and not (
        address.is_link_local or address.is_unspecified or address.is_multicast
    )


def parse_base_url(url: str) -> str:
    """Return the address of an API without a trailing slash; empty stays empty.

    Raises ValueError. Plain HTTP is for this machine and private networks only: a key,
    a child's idea and a picture of one must not be readable on the way.
    """
    if not url.strip():
        return ""
    parts = urlsplit(url.strip())
    # Read for its error: a port that is no number.
    _ = parts.port
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("expected http(s)://host[:port]/path")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("expected no user, password, query or fragment")
    if parts.scheme == "http" and not is_near(host):
        raise ValueError("plain http is for this machine and private networks; use https")
    return url.strip().rstrip("/")

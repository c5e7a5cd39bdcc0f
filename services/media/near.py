"""Whether a host is near: this machine, or a private network."""

from __future__ import annotations

import ipaddress

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

"""Ports of this machine: which are taken, and which are free to use."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

from services.cli.wiring import ServiceSpec

# Below the range the kernel draws the local ends of connections from (from 32768 on): otherwise a
# client that tries a service before it listens may take its port, or even connect to itself.
FREE_PORTS = range(20_000, 32_000)
_ATTEMPTS = 500


class PortsInUse(Exception):
    """Some services cannot listen; the message is one line for each, naming what to change."""


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: connections of an earlier one in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def refuse_ports_in_use(specs: Iterable[ServiceSpec]) -> None:
    """Raise PortsInUse when somebody else listens where a service should."""
    wanted = list(specs)
    taken = [spec for spec in wanted if not is_free(spec.host, spec.port)]
    lines = [
        f"port {spec.port} is in use, so {spec.name} cannot start; "
        f"set {spec.port_variable} to another one"
        + (" or use --port" if spec.kind == "gateway" else "")
        for spec in taken
    ]
    gateway = next((spec for spec in taken if spec.kind == "gateway"), None)
    if gateway and len(taken) == len(wanted):
        # Every single port: that is no accident.
        lines.append(
            f"another Artlab seems to run at http://{gateway.target}: use that one, or stop it"
        )
    if lines:
        raise PortsInUse("\n".join(lines))


def free_ports(names: Iterable[str], host: str = "127.0.0.1") -> dict[str, int]:
    """Return a different free port for each name.

    Raises PortsInUse when none is found.
    """
    found: dict[str, int] = {}
    draw = random.SystemRandom()
    for name in names:
        for _ in range(_ATTEMPTS):
            port = draw.choice(FREE_PORTS)
            if port not in found.values() and is_free(host, port):
                found[name] = port
                break
        else:
            raise PortsInUse(f"no free port between {FREE_PORTS.start} and {FREE_PORTS.stop}")
    return found

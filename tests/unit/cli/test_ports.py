from __future__ import annotations

import contextlib
import socket

import pytest

from services.cli.ports import FREE_PORTS, PortsInUse, free_ports, is_free, refuse_ports_in_use
from services.cli.wiring import SERVICES, wire


def test_a_port_somebody_listens_on_is_refused_with_the_variable_to_change() -> None:
    ports = free_ports(SERVICES)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports["media"]))
        taken.listen()
        with pytest.raises(PortsInUse) as caught:
            refuse_ports_in_use(wire({}, ports).values())
    assert str(caught.value) == (
        f"port {ports['media']} is in use, so media cannot start; "
        "set ARTLAB_MEDIA_PORT to another one"
    )


def test_all_ports_in_use_are_told_at_once() -> None:
    ports = free_ports(SERVICES)
    with socket.socket() as one, socket.socket() as two:
        for taken, name in ((one, "safety"), (two, "gateway")):
            taken.bind(("127.0.0.1", ports[name]))
            taken.listen()
        with pytest.raises(PortsInUse) as caught:
            refuse_ports_in_use(wire({}, ports).values())
    lines = str(caught.value).splitlines()
    assert [line.split(", so ")[1].split()[0] for line in lines] == ["safety", "gateway"]
    assert "--port" in lines[1]


def test_every_port_in_use_means_another_artlab() -> None:
    ports = free_ports(SERVICES)
    with contextlib.ExitStack() as stack:
        for port in ports.values():
            taken = stack.enter_context(socket.socket())
            taken.bind(("127.0.0.1", port))
            taken.listen()
        with pytest.raises(PortsInUse) as caught:
            refuse_ports_in_use(wire({}, ports).values())
    lines = str(caught.value).splitlines()
    assert len(lines) == len(SERVICES) + 1
    assert lines[-1].startswith(
        f"another Artlab seems to run at http://127.0.0.1:{ports['gateway']}"
    )


def test_free_ports_are_different_and_outside_of_the_range_of_clients() -> None:
    ports = free_ports(SERVICES)
    assert len(set(ports.values())) == len(SERVICES)
    assert all(port in FREE_PORTS for port in ports.values())
    assert all(is_free("127.0.0.1", port) for port in ports.values())

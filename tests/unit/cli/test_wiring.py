from __future__ import annotations

import pytest

from services.cli.wiring import PEERS, SERVICES, STOP_TIERS, wire
from services.kit.settings import DEFAULT_PORTS, SettingsError


def test_every_service_gets_its_port_and_the_targets_of_those_it_calls() -> None:
    specs = wire({"PATH": "/bin"})
    assert {name: spec.port for name, spec in specs.items()} == dict(DEFAULT_PORTS)
    gateway = specs["gateway"].environment
    assert gateway["ARTLAB_GATEWAY_PORT"] == "17801"
    assert gateway["ARTLAB_GATEWAY_ORCHESTRATOR_TARGET"] == "127.0.0.1:17802"
    assert specs["media"].environment["ARTLAB_MEDIA_RECORDER_TARGET"] == "127.0.0.1:17806"
    assert gateway["PATH"] == "/bin"


def test_no_service_is_told_of_one_it_does_not_call() -> None:
    specs = wire({})
    for name, spec in specs.items():
        told = {key for key in spec.environment if key.endswith("_TARGET")}
        expected = {f"ARTLAB_{name.upper()}_{peer.upper()}_TARGET" for peer in PEERS.get(name, ())}
        assert told == expected


def test_a_port_of_the_environment_moves_the_service_and_all_who_call_it() -> None:
    specs = wire({"ARTLAB_RECORDER_PORT": "20001"})
    assert specs["recorder"].environment["ARTLAB_RECORDER_PORT"] == "20001"
    for name in ("media", "orchestrator", "gateway"):
        target = specs[name].environment[f"ARTLAB_{name.upper()}_RECORDER_TARGET"]
        assert target == "127.0.0.1:20001"


def test_given_ports_win_over_the_environment() -> None:
    specs = wire({"ARTLAB_GATEWAY_PORT": "20001"}, {"gateway": 20002})
    assert specs["gateway"].environment["ARTLAB_GATEWAY_PORT"] == "20002"


def test_a_target_set_on_purpose_stays() -> None:
    environ = {"ARTLAB_ORCHESTRATOR_MEDIA_TARGET": "dns:///gpu:17805"}
    assert (
        wire(environ)["orchestrator"].environment["ARTLAB_ORCHESTRATOR_MEDIA_TARGET"]
        == "dns:///gpu:17805"
    )


def test_a_service_that_listens_everywhere_is_called_on_loopback() -> None:
    assert wire({"ARTLAB_RECORDER_HOST": "0.0.0.0"})["recorder"].target == "127.0.0.1:17806"
    assert wire({"ARTLAB_RECORDER_HOST": "::"})["recorder"].target == "[::1]:17806"


@pytest.mark.parametrize("value", ["", "0", "65536", "-1", "x", "17806.5", "1e4"])
def test_a_port_that_is_none_is_refused_by_name(value: str) -> None:
    with pytest.raises(SettingsError, match="ARTLAB_RECORDER_PORT: expected a port"):
        wire({"ARTLAB_RECORDER_PORT": value})


def test_two_services_on_one_port_are_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="17806 is the port of recorder already"):
        wire({"ARTLAB_MEDIA_PORT": "17806"})


def test_every_service_stops_exactly_once_and_the_recorder_last() -> None:
    order = [name for tier in STOP_TIERS for name in tier]
    assert sorted(order) == sorted([*SERVICES, "nats"])
    assert order[0] == "gateway"
    assert STOP_TIERS[-1] == ("recorder", "nats")

from __future__ import annotations

import pytest

from services.gateway.settings import GatewaySettings
from services.kit.settings import SettingsError, load_settings


def load(**values: str) -> GatewaySettings:
    environ = {f"ARTLAB_GATEWAY_{name.upper()}": value for name, value in values.items()}
    return load_settings("gateway", GatewaySettings, environ)


def test_the_defaults_are_those_of_one_laptop() -> None:
    settings = load()
    assert (settings.host, settings.port) == ("127.0.0.1", 17801)
    assert settings.recorder_target == "127.0.0.1:17806"
    assert settings.allowed_hosts == ()
    assert settings.wait_seconds == 300


def test_names_of_this_server_are_a_list() -> None:
    hosts = load(allowed_hosts="studio.school.example, 192.168.1.5,[fd00::5]").allowed_hosts
    assert hosts == ("studio.school.example", "192.168.1.5", "[fd00::5]")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allowed_hosts", "*"),
        ("allowed_hosts", "http://studio"),
        ("allowed_hosts", "studio:17801"),
        ("allowed_hosts", "Studio"),
        ("wait_seconds", "0"),
        ("wait_seconds", "nan"),
        ("port", "0"),
        ("recorder_target", "x y"),
        ("recorder_target", "127.0.0.1:1,127.0.0.1:2"),
        ("orchestrator_target", "127.0.0.1:1,"),
        ("orchestrator_target", "127.0.0.1:1,studio:2"),
        ("orchestrator_target", "127.0.0.1:1,[::1]:2"),
        ("orchestrator_target", "127.0.0.1,127.0.0.2"),
        ("teacher_decisions", "perhaps"),
        ("max_connections", "1e9"),
        ("run_starts_per_minute", "-1"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"ARTLAB_GATEWAY_{name.upper()}"):
        load(**{name: value})


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:17802",
        "dns:///orchestrator:17802",
        "127.0.0.1:17802,127.0.0.1:17812,10.0.0.5:17802",
        "[::1]:17802,[fd00::5]:17802",
    ],
)
def test_an_orchestrator_may_have_replicas(target: str) -> None:
    assert load(orchestrator_target=target).orchestrator_target == target


def test_nobody_decides_as_a_teacher_unless_told_and_students_never() -> None:
    assert load().teacher_decisions is False
    assert load(teacher_decisions="true").teacher_decisions is True
    with pytest.raises(SettingsError, match=r"ARTLAB_GATEWAY_TEACHER_DECISIONS: not on a server"):
        load(teacher_decisions="true", audience="student")


def test_every_setting_is_described() -> None:
    for name, field in GatewaySettings.model_fields.items():
        assert field.description, name

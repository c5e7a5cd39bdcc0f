"""docker-compose.yml: valid by the Compose Specification, and true to our own rules."""

from __future__ import annotations

import copy
import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from services.kit.settings import DEFAULT_PORTS, Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("gateway", "interception", "media", "orchestrator", "recorder", "safety")
# Only with --profile scale.
SCALE = ("nats", "orchestrator-2")
SCHEMA = json.loads((ROOT / "tests/compose/schema/compose-spec.json").read_text())
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::-(?P<default>[^}]*))?\}")


def _resolved(text: str, variables: Mapping[str, str]) -> str:
    """What compose makes of `${NAME:-default}`."""
    return _VARIABLE.sub(lambda m: variables.get(m["name"]) or m["default"] or "", text)


def _environment(service: str, variables: Mapping[str, str]) -> dict[str, str]:
    """What the service finds in its environment when these are set in the shell."""
    found: dict[str, str] = {}
    for name, value in COMPOSE["services"][service]["environment"].items():
        if value is not None:
            found[name] = _resolved(value, variables)
        elif name in variables:
            found[name] = variables[name]
    return found


def _settings(service: str, variables: Mapping[str, str]) -> Settings:
    module = importlib.import_module(f"services.{service}.settings")
    kinds = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Settings)
        and value.__module__ == module.__name__
    ]
    assert len(kinds) == 1
    return load_settings(service, kinds[0], _environment(service, variables))


def _defects(document: object) -> list[str]:
    return [f"{e.json_path}: {e.message}" for e in Draft7Validator(SCHEMA).iter_errors(document)]


def test_the_file_is_valid_by_the_compose_specification() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert _defects(COMPOSE) == []


@pytest.mark.parametrize(("key", "value"), [("port", ["1:1"]), ("cap_drop", "ALL"), ("tmpfs", 1)])
def test_a_slip_in_the_file_would_be_found(key: str, value: object) -> None:
    broken = copy.deepcopy(dict(COMPOSE))
    broken["services"]["gateway"][key] = value
    assert any("gateway" in line for line in _defects(broken))


def test_there_are_six_services_from_one_dockerfile_and_no_version() -> None:
    assert "version" not in COMPOSE
    without = [name for name, service in COMPOSE["services"].items() if "profiles" not in service]
    assert sorted(without) == sorted(SERVICES) == sorted(DEFAULT_PORTS)
    for name in without:
        service = COMPOSE["services"][name]
        assert service["build"] == {"context": ".", "args": {"SERVICE": name}}
        assert service["image"] == f"artlab-{name}:${{TAG:-latest}}"


def test_the_profile_scale_adds_an_orchestrator_of_the_same_name_and_a_queue() -> None:
    added = {name: s for name, s in COMPOSE["services"].items() if "profiles" in s}
    assert sorted(added) == sorted(SCALE)
    assert all(service["profiles"] == ["scale"] for service in added.values())
    first, second = COMPOSE["services"]["orchestrator"], added["orchestrator-2"]
    differs = {"profiles", "networks"}
    assert {key: second[key] for key in second.keys() - differs} == first
    # The gateway finds both by one name.
    assert second["networks"] == {"default": {"aliases": ["orchestrator"]}}
    target = _settings("gateway", {}).model_dump()["orchestrator_target"]
    assert target == "dns:///orchestrator:17802"


def test_the_queue_is_chosen_in_the_shell_and_every_orchestrator_knows_where_it_is() -> None:
    assert _settings("orchestrator", {}).model_dump()["queue"] == "embedded"
    chosen = _settings("orchestrator", {"ARTLAB_ORCHESTRATOR_QUEUE": "nats"}).model_dump()
    assert (chosen["queue"], chosen["nats_url"]) == ("nats", "nats://nats:4222")


def test_the_server_of_the_queue_runs_our_configuration_and_keeps_its_files() -> None:
    nats = COMPOSE["services"]["nats"]
    assert re.fullmatch(r"nats:\$\{NATS_TAG:-2\.\d+-alpine\}", nats["image"])
    told = dict(zip(nats["command"][::2], nats["command"][1::2], strict=True))
    folder, _, name = told["--config"].rpartition("/")
    assert f"./configs/nats:{folder}:ro" in nats["volumes"]
    assert (ROOT / "configs/nats" / name).is_file()
    assert f"nats:{told['--store_dir']}" in nats["volumes"]
    # The monitor answers inside of the container only: no port is published.
    assert f":{told['--http_port']}/healthz" in nats["healthcheck"]["test"][-1]
    assert "environment" not in nats


def test_only_the_gateway_is_published_and_on_loopback_until_told_otherwise() -> None:
    published = {name: s["ports"] for name, s in COMPOSE["services"].items() if "ports" in s}
    assert list(published) == ["gateway"]
    (port,) = published["gateway"]
    assert _resolved(port, {}) == "127.0.0.1:17801:17801"
    assert _resolved(port, {"ARTLAB_GATEWAY_PORT": "80"}) == "127.0.0.1:80:17801"
    assert not any("expose" in s or "network_mode" in s for s in COMPOSE["services"].values())


def test_no_variable_of_a_published_port_is_also_set_for_the_service() -> None:
    # podman-compose takes a service's own environment as a source for such variables: with
    # ARTLAB_GATEWAY_HOST the port was open to the whole network.
    for service in COMPOSE["services"].values():
        for port in service.get("ports", []):
            used = {found["name"] for found in _VARIABLE.finditer(port)}
            assert not used & set(service["environment"])


def test_only_the_recorder_media_and_the_queue_have_a_volume() -> None:
    mounted = {name: s["volumes"] for name, s in COMPOSE["services"].items() if "volumes" in s}
    assert mounted.pop("nats")[1:] == ["nats:/data"]
    assert mounted == {"recorder": ["pipeline_runs:/data"], "media": ["media:/data"]}
    assert list(COMPOSE["volumes"]) == ["pipeline_runs", "media", "nats"]


@pytest.mark.parametrize("name", [*SERVICES, *SCALE])
def test_a_container_may_write_nowhere_and_gains_no_rights(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    (tmpfs,) = service["tmpfs"]
    assert tmpfs.startswith("/tmp:")
    size = {"interception": "128m", "safety": "512m"}.get(name, "64m")
    assert {"noexec", "nosuid", "nodev", f"size={size}"} <= set(tmpfs.split(":")[1].split(","))
    assert service["restart"] == "unless-stopped"
    assert "privileged" not in service
    assert "user" not in service  # the image's own, which is not root
    assert "container_name" not in service  # it would forbid --scale


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_tells_its_health_as_its_image_does(name: str) -> None:
    check = COMPOSE["services"][name]["healthcheck"]
    assert check["test"] == ["CMD", *json.loads(_health_command())]
    assert {key: check[key] for key in ("interval", "timeout", "start_period", "retries")} == {
        "interval": "10s",
        "timeout": "5s",
        "start_period": "30s",
        "retries": 3,
    }


def _health_command() -> str:
    found = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", _dockerfile(), re.MULTILINE)
    assert found
    return found[1]


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_every_variable_of_a_service_is_one_of_its_settings(name: str) -> None:
    prefix = f"ARTLAB_{name.upper()}_"
    variables = COMPOSE["services"][name]["environment"]
    assert all(variable.startswith(prefix) for variable in variables)
    settings = _settings(name, {})
    known = {prefix + field.upper() for field in type(settings).model_fields}
    assert set(variables) <= known


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_listens_to_its_peers_and_finds_them_by_name(name: str) -> None:
    values = _settings(name, {}).model_dump()
    assert values["host"] == "0.0.0.0"
    assert values["port"] == DEFAULT_PORTS[name]
    for field, value in values.items():
        if field.endswith("_target"):
            peer = field.removesuffix("_target")
            assert value == f"dns:///{peer}:{DEFAULT_PORTS[peer]}"


def test_what_people_set_in_the_shell_reaches_the_service_it_is_for() -> None:
    shell = {
        "ARTLAB_SAFETY_LEVEL": "kids",
        "ARTLAB_MEDIA_COMFYUI_URLS": "http://10.0.0.7:8188",
        "ARTLAB_MEDIA_ALLOW_REMOTE_COMFYUI": "true",
        "ARTLAB_GATEWAY_ALLOWED_HOSTS": "artlab.example",
    }
    assert _settings("safety", {}).model_dump()["level"] == "youth"
    assert _settings("safety", shell).model_dump()["level"] == "kids"
    assert "http://10.0.0.7:8188" in str(_settings("media", shell).model_dump()["comfyui_urls"])
    assert "artlab.example" in _settings("gateway", shell).model_dump()["allowed_hosts"]


def test_the_image_runs_as_a_number_and_starts_without_a_shell() -> None:
    lines = _dockerfile().splitlines()
    assert re.fullmatch(r"USER [1-9]\d+:[1-9]\d+", [x for x in lines if x.startswith("USER")][-1])
    (entry,) = [x for x in lines if x.startswith("ENTRYPOINT")]
    assert json.loads(entry.removeprefix("ENTRYPOINT "))[:2] == ["python", "-m"]
    assert "STOPSIGNAL SIGTERM" in lines


def test_what_is_not_named_stays_out_of_the_images() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {line.removeprefix("!") for line in rules if line.startswith("!")}
    assert allowed == {
        "pyproject.toml",
        "requirements.lock",
        "tools/lock_for.py",
        "services",
        "protos/artlab",
        "configs",
    }

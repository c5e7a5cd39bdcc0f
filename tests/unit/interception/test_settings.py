from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.interception.settings import InterceptionSettings
from services.kit.settings import Settings, SettingsError, load_settings


def load(**values: str) -> InterceptionSettings:
    environ = {f"ARTLAB_INTERCEPTION_{name.upper()}": value for name, value in values.items()}
    return load_settings("interception", InterceptionSettings, environ)


def test_without_any_setting_there_is_no_model() -> None:
    assert load().openai_base_url == ""
    assert load().port == 17804


def test_a_server_needs_a_model_and_the_message_names_the_variable() -> None:
    with pytest.raises(SettingsError, match="ARTLAB_INTERCEPTION_OPENAI_MODEL"):
        load(openai_base_url="http://127.0.0.1:11434/v1")
    assert (
        load(openai_base_url="http://h:1/v1/", openai_model="m").openai_base_url == "http://h:1/v1"
    )


@pytest.mark.parametrize(
    "url",
    ["ftp://host/v1", "file:///etc/passwd", "host:80", "http://", "http://user:pw@host/v1",
     "http://host/v1?key=1", "http://host/v1#x", "http://api.example.org/v1"],
)  # fmt: skip
def test_a_base_url_that_is_none_or_in_the_clear_to_strangers_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="ARTLAB_INTERCEPTION_OPENAI_BASE_URL"):
        load(openai_base_url=url, openai_model="m")


def test_the_key_is_never_shown() -> None:
    settings = load(openai_api_key="sk-geheim")
    assert "geheim" not in repr(settings)
    assert settings.openai_api_key.get_secret_value() == "sk-geheim"


@pytest.mark.parametrize(
    ("name", "value"),
    [("openai_concurrency", "0"), ("openai_timeout_seconds", "nan"), ("openai_waiting", "-1"),
     ("port", "70000"), ("openai_timeout", "3")],
)  # fmt: skip
def test_wrong_values_and_unknown_names_are_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name.upper()):
        load(**{name: value})


def test_a_setting_that_several_programs_read_has_no_service_in_its_name(tmp_path: Path) -> None:
    folder = str(tmp_path)
    environ = {"ARTLAB_RECIPES_DIR": folder}
    assert load_settings("interception", InterceptionSettings, environ).recipes_dir == folder
    # Others let it pass.
    load_settings("demo", Settings, environ)


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"ARTLAB_RECIPES_DIR": "/no/such/folder"}, "ARTLAB_RECIPES_DIR: there is no such folder"),
        ({"ARTLAB_INTERCEPTION_RECIPES_DIR": "/"}, "did you mean ARTLAB_RECIPES_DIR?"),
        ({"ARTLAB_RECIPE_DIR": "/"}, "did you mean ARTLAB_RECIPES_DIR?"),
    ],
)
def test_a_wrong_shared_setting_is_named(environ: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(says)):
        load_settings("interception", InterceptionSettings, environ)

"""Settings come from the environment, and a typo is an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from services.kit.settings import (
    EX_CONFIG,
    CommaSeparated,
    Port,
    Settings,
    SettingsError,
    load_settings,
)


class MediaLike(Settings):
    port: Port = 17805
    comfyui_urls: CommaSeparated = ()
    max_media_bytes: int = Field(1024, gt=0)
    openai_api_key: SecretStr = Field(SecretStr(""), max_length=20)


def test_values_are_parsed_and_defaults_hold() -> None:
    settings = load_settings(
        "media",
        MediaLike,
        {
            "ARTLAB_MEDIA_PORT": "99",
            "ARTLAB_MEDIA_COMFYUI_URLS": "http://a:1, http://b:2,",
            "X": "y",
        },
    )
    assert (settings.port, settings.comfyui_urls) == (99, ("http://a:1", "http://b:2"))
    assert settings.log_level == "INFO"


BAD = [
    ({"ARTLAB_MEDIA_PORT": "abc"}, "ARTLAB_MEDIA_PORT"),
    ({"ARTLAB_MEDIA_PORT": "-1"}, "ARTLAB_MEDIA_PORT"),
    ({"ARTLAB_MEDIA_PORT": "99999"}, "ARTLAB_MEDIA_PORT"),
    ({"ARTLAB_MEDIA_MAX_MEDIA_BYTES": "0"}, "ARTLAB_MEDIA_MAX_MEDIA_BYTES"),
    ({"ARTLAB_MEDIA_LOG_LEVEL": "TRACE"}, "ARTLAB_MEDIA_LOG_LEVEL"),
    ({"ARTLAB_MEDIA_COMFYUI_URL": "http://a"}, "did you mean ARTLAB_MEDIA_COMFYUI_URLS?"),
    ({"ARTLAB_MEDIAS_PORT": "1"}, "ARTLAB_MEDIAS_PORT is not a setting"),
    ({"ARTLAB_RECODER_ROOT": "x"}, "did you mean ARTLAB_RECORDER_ROOT?"),
    ({"ARTLAB_FOO_BAR": "x"}, "known are ARTLAB_CLI_…, ARTLAB_GATEWAY_…"),
    ({"ARTLAB_PORT": "1"}, "known are ARTLAB_CLI_…"),
]


@pytest.mark.parametrize(("environ", "says"), BAD)
def test_a_wrong_setting_is_named(environ: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings("media", MediaLike, environ)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-1\n")
    file = {"ARTLAB_MEDIA_OPENAI_API_KEY_FILE": str(tmp_path / "key")}
    empty = {"ARTLAB_MEDIA_OPENAI_API_KEY": ""}
    for environ in (file, file | empty, empty | file):
        settings = load_settings("media", MediaLike, environ)
        assert settings.openai_api_key.get_secret_value() == "sk-1"
        assert "sk-1" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "more", "says"),
    [
        (b"", {}, "the file is empty"),
        (b"\xff\xfe", {}, "no text"),
        (b"x" * 20_000, {}, "too large"),
        (b"a key longer than it may be", {}, "ARTLAB_MEDIA_OPENAI_API_KEY:"),
        (None, {}, "No such file"),
        (b"sk-1", {"ARTLAB_MEDIA_OPENAI_API_KEY": "sk-2"}, "not both"),
        (b"sk-1", {"ARTLAB_MEDIA_PORT_FILE": "x"}, "ARTLAB_MEDIA_PORT_FILE is not a setting"),
    ],
)
def test_a_secret_file_that_is_none_is_named_and_never_quoted(
    tmp_path: Path, content: bytes | None, more: dict[str, str], says: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    environ = {"ARTLAB_MEDIA_OPENAI_API_KEY_FILE": str(tmp_path / "key"), **more}
    with pytest.raises(SettingsError) as caught:
        load_settings("media", MediaLike, environ)
    assert says in str(caught.value)
    assert "sk-" not in str(caught.value)
    assert "a key" not in str(caught.value)


def test_the_settings_of_other_services_are_not_ours_to_judge() -> None:
    load_settings("media", MediaLike, {"ARTLAB_RECORDER_ROOT": "x"})


def test_a_process_with_a_wrong_setting_exits_as_sysexits_asks() -> None:
    code = (
        "from services.kit.program import run_program\n"
        "from services.kit.settings import Settings\n"
        "async def compose(settings, program): raise AssertionError\n"
        "run_program('media', Settings, compose)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"ARTLAB_MEDIA_LOG_LEVEL": "TRACE"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == EX_CONFIG
    assert "ARTLAB_MEDIA_LOG_LEVEL" in done.stderr
    assert done.stderr.count("\n") == 1

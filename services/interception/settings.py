"""The settings of the interception service."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from services.kit.near import parse_base_url
from services.kit.settings import DEFAULT_PORTS, Port, Settings


class InterceptionSettings(Settings):
    """``ARTLAB_INTERCEPTION_<NAME>``."""

    port: Port = Field(DEFAULT_PORTS["interception"], description="port to listen on")
    catalogue_dir: str = Field(
        "",
        max_length=4096,
        description="folder of the shipped recipes; empty means configs/interception",
    )
    # Shared: spelled ARTLAB_RECIPES_DIR, because `artlab check` reads it too.
    recipes_dir: str = Field(
        "",
        max_length=4096,
        description="folder of recipes of your own, beside the shipped ones; read again when it "
        "changes",
    )
    openai_base_url: str = Field(
        "",
        max_length=2000,
        description="an OpenAI-compatible server, e.g. http://127.0.0.1:11434/v1 for Ollama; "
        "empty means the built-in writer",
    )
    openai_model: str = Field(
        "",
        max_length=200,
        validate_default=True,
        description="which model to ask for; required with a base URL",
    )
    openai_api_key: SecretStr = Field(
        SecretStr(""), max_length=2000, description="its key; local servers need none"
    )
    openai_is_remote: bool = Field(
        False,
        description="says that a server with a private address passes texts on to somebody else's "
        "machine, so that it isn't used in eco mode",
    )
    openai_proxy: str = Field(
        "",
        max_length=2000,
        description="reach it through this proxy, http(s)://host:port; then it counts as remote",
    )
    openai_timeout_seconds: float = Field(
        120.0, ge=1, le=900, description="how long one pass by a model may take"
    )
    openai_first_token_seconds: float = Field(
        60.0, ge=0.1, le=600, description="how long a model may be silent, before and between words"
    )
    openai_concurrency: int = Field(
        2, ge=1, le=256, description="how many passes are made by the model at once"
    )
    openai_waiting: int = Field(
        64, ge=0, le=10_000, description="how many more may wait; further ones are refused"
    )
    models_file: str = Field(
        "",
        max_length=4096,
        description="which model writes what; empty means configs/models.yaml",
    )
    local_only: bool = Field(
        False, description="never call a remote model, whatever the mode of a run"
    )

    @field_validator("recipes_dir")
    @classmethod
    def _is_there(cls, value: str) -> str:
        if value and not Path(value).is_dir():
            raise ValueError("there is no such folder")
        return value

    @field_validator("openai_base_url")
    @classmethod
    def _is_an_api(cls, value: str) -> str:
        return parse_base_url(value)

    @field_validator("openai_proxy")
    @classmethod
    def _is_http(cls, value: str) -> str:
        return parse_proxy(value)

    @field_validator("openai_model")
    @classmethod
    def _goes_with_a_url(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("openai_base_url") and not value:
            raise ValueError("required, because ARTLAB_INTERCEPTION_OPENAI_BASE_URL is set")
        return value


def parse_proxy(value: str) -> str:
    """The address of a proxy without a slash at its end; empty stays empty. Raises ValueError."""
    if not value:
        return value
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("expected http(s)://host[:port]/path, without user and password")
    if parts.query or parts.fragment:
        raise ValueError("expected no query and no fragment")
    return value.rstrip("/")

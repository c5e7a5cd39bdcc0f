"""The settings of backends behind somebody else's API."""

from __future__ import annotations

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from services.kit.near import parse_base_url
from services.kit.settings import Settings


def _url(default: str, description: str) -> str:
    url: str = Field(default, max_length=2000, description=description)
    return url


def _key(description: str) -> SecretStr:
    key: SecretStr = Field(SecretStr(""), max_length=2000, description=description)
    return key


class HostedSettings(Settings):
    """Part of ``ARTLAB_MEDIA_<NAME>``. Every key may be in a file instead: ``<NAME>_FILE``."""

    swarmui_url: str = _url("", "a SwarmUI, e.g. http://127.0.0.1:7801; empty means none")
    swarmui_token: SecretStr = _key("a user token of SwarmUI, where it requires accounts")
    openai_base_url: str = _url("https://api.openai.com/v1", "the OpenAI Images API")
    openai_api_key: SecretStr = _key("a key for it; without one its outputs are not available")
    openrouter_base_url: str = _url(
        "https://openrouter.ai/api/v1", "a chat API whose models answer with pictures"
    )
    openrouter_api_key: SecretStr = _key("a key for it; without one its outputs are not available")
    huggingface_base_url: str = _url(
        "https://router.huggingface.co/hf-inference/models", "Hugging Face inference"
    )
    huggingface_api_key: SecretStr = _key(
        "a token for it, with the right to call inference providers"
    )
    replicate_base_url: str = _url("https://api.replicate.com/v1", "the API of Replicate")
    replicate_api_key: SecretStr = _key("a token for it; without one its outputs are not available")
    code_base_url: str = _url(
        "",
        "an OpenAI-compatible server whose model writes sketches, e.g. http://127.0.0.1:11434/v1 "
        "for Ollama; empty means the built-in author",
    )
    code_is_remote: bool = Field(
        False,
        description="says that a near server passes texts on to somebody else's machine, so that "
        "it isn't asked where nothing may leave",
    )
    code_model: str = Field(
        "", max_length=200, validate_default=True, description="the model; goes with its address"
    )
    code_api_key: SecretStr = _key("its key; local servers need none")
    code_max_tokens: int = Field(
        6000, ge=200, le=100_000, description="how long a sketch and the thoughts before it may get"
    )
    code_silence_seconds: float = Field(
        120.0, ge=0.1, le=900, description="how long the model may be silent"
    )
    hosted_concurrency: int = Field(
        4, ge=1, le=64, description="jobs that each of these APIs is given at once; others wait"
    )
    local_only: bool = Field(
        False, description="never send a text to an API that is not on our own network"
    )

    @field_validator(
        "swarmui_url",
        "openai_base_url",
        "openrouter_base_url",
        "huggingface_base_url",
        "replicate_base_url",
        "code_base_url",
    )
    @classmethod
    def _is_base_url(cls, value: str) -> str:
        return parse_base_url(value)

    @field_validator("code_model")
    @classmethod
    def _goes_with_a_url(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("code_base_url") and not value:
            raise ValueError("required, because ARTLAB_MEDIA_CODE_BASE_URL is set")
        return value

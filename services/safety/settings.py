"""Settings of the safety service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from services.kit.catalogue import CONFIGS
from services.kit.near import is_near, parse_base_url
from services.kit.settings import DEFAULT_PORTS, Port, Settings


class SafetySettings(Settings):
    """``ARTLAB_SAFETY_…``."""

    port: Port = Field(DEFAULT_PORTS["safety"], description="port to listen on")
    level: Literal["kids", "youth", "adult", "research"] = Field(
        "youth", description="the server's safety level; a request may only be stricter"
    )
    configs: Path = Field(
        CONFIGS, description="folder of the catalogue; the policy and the lists are in safety/"
    )
    local_only: bool = Field(
        False,
        description="whether no text and no picture may leave this machine and its private "
        "network; a judge that is further away is refused at start",
    )
    judge_is_remote: bool = Field(
        False,
        description="says that a near server passes texts on to somebody else's machine, so that "
        "it isn't asked where nothing may leave",
    )
    judge_base_url: str = Field(
        "",
        max_length=2000,
        description="an OpenAI-compatible server whose language model judges texts as well, e.g. "
        "http://127.0.0.1:11434/v1 for Ollama; empty means none. Texts are sent there, so plain "
        "http is for near hosts only",
    )
    judge_model: str = Field(
        "",
        max_length=200,
        validate_default=True,
        description="which language model to ask; required with its base URL",
    )
    judge_api_key: SecretStr = Field(
        SecretStr(""), max_length=2000, description="its key; local servers need none"
    )
    judge_format: Literal["json", "llama_guard"] = Field(
        "json",
        description="how it is asked: json for any chat model, llama_guard for a classifier that "
        "answers safe, or unsafe and codes",
    )
    judge_timeout_seconds: float = Field(
        20.0,
        ge=1,
        le=25,
        description="how long judging one text may take, repeated asking included",
    )
    judge_at_once: int = Field(
        4, ge=1, le=64, description="how many questions the language model gets at once"
    )
    judge_waiting: int = Field(
        200, ge=0, le=10_000, description="how many more may wait; further ones are refused"
    )
    nudenet: bool = Field(
        True,
        description="whether the built-in classifier looks at pictures; without it a policy that "
        "requires it lets none be checked",
    )
    vision_is_remote: bool = Field(
        False,
        description="says that a near server passes pictures on to somebody else's machine, so "
        "that it isn't asked where nothing may leave",
    )
    vision_base_url: str = Field(
        "",
        max_length=2000,
        description="an OpenAI-compatible server whose vision model looks at pictures as well, "
        "e.g. http://127.0.0.1:11434/v1 for Ollama; empty means none. Pictures are sent there, so "
        "plain http is for near hosts only",
    )
    vision_model: str = Field(
        "",
        max_length=200,
        validate_default=True,
        description="which vision model to ask; required with its base URL",
    )
    vision_api_key: SecretStr = Field(
        SecretStr(""), max_length=2000, description="its key; local servers need none"
    )
    vision_timeout_seconds: float = Field(
        30.0, ge=1, le=300, description="how long the vision model may take for one picture"
    )
    vision_at_once: int = Field(
        2, ge=1, le=64, description="how many pictures the vision model gets at once"
    )
    spool_dir: str = Field(
        "",
        max_length=4096,
        description="folder for pictures and films while they are checked; empty means the "
        "system's own for temporary files",
    )
    picture_max_bytes: int = Field(
        64 * 1024 * 1024, ge=1024, le=2**40, description="how large a picture may be to be checked"
    )
    film_max_bytes: int = Field(
        2 * 1024 * 1024 * 1024,
        ge=1024,
        le=2**40,
        description="how large a film may be to be checked",
    )
    images_at_once: int = Field(4, ge=1, le=64, description="how many pictures are checked at once")
    images_waiting: int = Field(
        64, ge=0, le=10_000, description="how many more may wait; further ones are refused"
    )

    @field_validator("vision_base_url", "judge_base_url")
    @classmethod
    def _is_base_url(cls, value: str, info: ValidationInfo) -> str:
        url = parse_base_url(value)
        remote = str(info.field_name).replace("_base_url", "_is_remote")
        if url and info.data.get("local_only"):
            if not is_near(urlsplit(url).hostname or ""):
                raise ValueError("is not near, and ARTLAB_SAFETY_LOCAL_ONLY is set")
            if info.data.get(remote):
                raise ValueError(f"ARTLAB_SAFETY_LOCAL_ONLY and …_{remote.upper()} are both set")
        return url

    @field_validator("vision_model", "judge_model")
    @classmethod
    def _goes_with_a_url(cls, value: str, info: ValidationInfo) -> str:
        url = str(info.field_name).replace("_model", "_base_url")
        if info.data.get(url) and not value:
            raise ValueError(f"required, because ARTLAB_SAFETY_{url.upper()} is set")
        # Whoever names a judge believes that it judges.
        if value and info.data.get(url) == "":
            raise ValueError(f"nobody asks it: ARTLAB_SAFETY_{url.upper()} is not set")
        return value

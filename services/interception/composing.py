"""The providers of a table, connected: keys read, lines opened, clients of their protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.interception.domain.models import ModelTable, ProviderSpec
from services.interception.model_writer import Limits, ProviderInUse
from services.interception.providers.chat import ChatProvider, ChatServer
from services.interception.providers.endpoint import Endpoint
from services.interception.providers.line import Line
from services.interception.settings import InterceptionSettings

MAX_KEY_BYTES = 16 * 1024
# The provider that the settings ARTLAB_INTERCEPTION_OPENAI_… describe.
FROM_SETTINGS = "openai"


@dataclass(frozen=True, slots=True)
class Keyless:
    """A provider that cannot be used, because its key is not there."""

    spec: ProviderSpec
    reason: str


def table_with(settings: InterceptionSettings, table: ModelTable) -> ModelTable:
    """The table, with the one provider of the settings where they name one."""
    if not settings.openai_base_url:
        return table
    spec = ProviderSpec(
        name=FROM_SETTINGS,
        protocol="openai",
        base_url=settings.openai_base_url,
        remote=settings.openai_is_remote,
        proxy=settings.openai_proxy,
        concurrency=settings.openai_concurrency,
        waiting=settings.openai_waiting,
        total_seconds=settings.openai_timeout_seconds,
        first_token_seconds=settings.openai_first_token_seconds,
        between_tokens_seconds=settings.openai_first_token_seconds,
    )
    return table.with_provider(spec, settings.openai_model)


def connect(
    spec: ProviderSpec, environ: Mapping[str, str], key: str | None = None
) -> ProviderInUse | Keyless:
    """A provider that can be asked; nothing is asked yet.

    Args:
        spec: of the table.
        environ: where its key may be.
        key: the key itself where it is known otherwise.
    """
    if key is None:
        try:
            key = _key(spec, environ)
        except ValueError as error:
            return Keyless(spec, str(error))
    server = ChatServer(
        base_url=spec.base_url,
        api_key=key,
        proxy=spec.proxy,
        silence_seconds=max(spec.first_token_seconds, spec.between_tokens_seconds),
        keep_alive=spec.keep_alive,
        omitted=spec.omit,
    )
    return ProviderInUse(
        name=spec.name,
        chat=_chat(spec, server),
        line=Line(spec.concurrency, spec.waiting),
        # What goes through a proxy leaves, wherever it is addressed to.
        endpoint=Endpoint(spec.base_url, spec.remote or bool(spec.proxy)),
        limits=Limits(spec.total_seconds, spec.first_token_seconds, spec.between_tokens_seconds),
    )


def _chat(spec: ProviderSpec, server: ChatServer) -> ChatProvider:
    # Slow to import, and needed only where one is configured.
    if spec.protocol == "ollama":
        from services.interception.providers.ollama_chat import OllamaProvider

        return OllamaProvider(server)
    if spec.protocol == "anthropic":
        from services.interception.providers.anthropic_chat import AnthropicProvider

        return AnthropicProvider(server)
    from services.interception.providers.openai_chat import OpenAIProvider

    return OpenAIProvider(server)


def _key(spec: ProviderSpec, environ: Mapping[str, str]) -> str:
    """The key, or empty where none is asked for. Raises ValueError, never with a word of it."""
    if spec.key_env:
        key = environ.get(spec.key_env, "").strip()
        if not key:
            raise ValueError(f"no key: {spec.key_env} is not set")
        return _printable(key, spec.key_env)
    if not spec.key_file:
        return ""
    try:
        with Path(spec.key_file).open("rb") as file:
            data = file.read(MAX_KEY_BYTES + 1)
        key = data.decode().strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise ValueError(f"no key: {spec.key_file} cannot be read: {why}") from None
    if not key or len(data) > MAX_KEY_BYTES:
        raise ValueError(f"no key: {spec.key_file} is {'too large' if key else 'empty'}")
    return _printable(key, spec.key_file)


def _printable(key: str, where: str) -> str:
    # A header of HTTP takes nothing else, and the error of the client would quote it.
    if not key.isascii() or not key.isprintable():
        raise ValueError(f"no key: {where} holds more than printable ASCII")
    return key

"""The backends behind somebody else's API, as the settings have them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from services.kit.clock import Clock
from services.kit.errors import FailedPrecondition
from services.media.backends.hosted.account import Account
from services.media.backends.hosted.backend import HostedBackend, Limits
from services.media.domain.output_config import OutputConfig
from services.media.hosted_settings import HostedSettings
from services.media.ports import Backend, Product, RenderJob, Report

Make = Callable[[Account, Limits], HostedBackend]


class Unconfigured:
    """Stands for a backend that cannot be asked until somebody changes a setting."""

    def __init__(self, name: str, account: Account) -> None:
        self.name = name
        self._account = account

    @property
    def remote(self) -> bool:
        """Whether it would be asked on somebody else's machine."""
        return self._account.remote

    async def unavailable_reason(self, config: OutputConfig) -> str | None:
        """Which setting lacks."""
        return self._account.reason()

    async def render(self, job: RenderJob, report: Report) -> Product:
        """Raise FailedPrecondition OUTPUT_NOT_AVAILABLE."""
        reason = await self.unavailable_reason(job.config)
        raise FailedPrecondition("OUTPUT_NOT_AVAILABLE", reason or "not configured")


def hosted_backends(
    settings: HostedSettings,
    clock: Clock,
    stack: AsyncExitStack,
    *,
    max_media_bytes: int,
    spool: Path | None,
) -> list[Backend]:
    """Every backend; the stack closes them."""
    limits = Limits(
        max_media_bytes=max_media_bytes, concurrency=settings.hosted_concurrency, spool=spool
    )
    swarmui = Account(
        title="SwarmUI",
        base_url=settings.swarmui_url,
        url_setting="ARTLAB_MEDIA_SWARMUI_URL",
        key=settings.swarmui_token,
        key_setting="ARTLAB_MEDIA_SWARMUI_TOKEN",
        clock=clock,
        local_only=settings.local_only,
        key_optional=True,
    )

    def account(
        title: str, api: str, *, key_optional: bool = False, passes_on: bool = False
    ) -> Account:
        return Account(
            title=title,
            base_url=getattr(settings, f"{api}_base_url"),
            url_setting=f"ARTLAB_MEDIA_{api.upper()}_BASE_URL",
            key=getattr(settings, f"{api}_api_key"),
            key_setting=f"ARTLAB_MEDIA_{api.upper()}_API_KEY",
            clock=clock,
            local_only=settings.local_only,
            key_optional=key_optional,
            passes_on=passes_on,
        )

    def author(account: Account, limits: Limits) -> HostedBackend:
        return _author(account, limits, settings)

    writer = account(
        "the language model", "code", key_optional=True, passes_on=settings.code_is_remote
    )

    parts: list[tuple[str, Account, Make]] = [
        ("swarmui", swarmui, _swarmui),
        ("openai_images", account("OpenAI", "openai"), _openai_images),
        ("openrouter", account("OpenRouter", "openrouter"), _openrouter),
        ("huggingface", account("Hugging Face", "huggingface"), _huggingface),
        ("replicate", account("Replicate", "replicate"), _replicate),
        ("code", writer, author),
    ]
    backends: list[Backend] = []
    for name, one, make in parts:
        if one.reason() is not None:
            backends.append(Unconfigured(name, one))
            continue
        backend = make(one, limits)
        stack.push_async_callback(backend.close)
        backends.append(backend)
    return backends


# The clients are slow to import, and needed only where a key is set.


def _swarmui(account: Account, limits: Limits) -> HostedBackend:
    from services.media.backends.swarmui.backend import SwarmBackend

    return SwarmBackend(account, limits)


def _openai_images(account: Account, limits: Limits) -> HostedBackend:
    from services.media.backends.openai_images.backend import OpenAIImagesBackend

    return OpenAIImagesBackend(account, limits)


def _openrouter(account: Account, limits: Limits) -> HostedBackend:
    from services.media.backends.openrouter.backend import OpenRouterBackend

    return OpenRouterBackend(account, limits)


def _huggingface(account: Account, limits: Limits) -> HostedBackend:
    from services.media.backends.huggingface.backend import HuggingFaceBackend

    return HuggingFaceBackend(account, limits)


def _replicate(account: Account, limits: Limits) -> HostedBackend:
    from services.media.backends.replicate.backend import ReplicateBackend

    return ReplicateBackend(account, limits)


def _author(account: Account, limits: Limits, settings: HostedSettings) -> HostedBackend:
    from services.media.backends.code.backend import CodeBackend, CodeModel

    return CodeBackend(
        account,
        replace(limits, silence_seconds=settings.code_silence_seconds),
        CodeModel(settings.code_model, settings.code_max_tokens),
    )

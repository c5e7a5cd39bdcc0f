"""The frame of a backend that is asked by the `openai` client, which is slow to load."""

from __future__ import annotations

from services.media.backends.hosted.account import Account
from services.media.backends.hosted.api import MAX_JSON_BYTES, Api
from services.media.backends.hosted.backend import HostedBackend, Limits
from services.media.backends.hosted.openai_errors import client_of


class OpenAIBackend(HostedBackend):
    """See `HostedBackend`; subclasses ask `self._client` within `client_errors`.

    Args:
        silence_seconds: how long the API may be silent, unless the limits say.
        max_json_bytes: of an answer.
    """

    def __init__(
        self,
        account: Account,
        limits: Limits,
        *,
        silence_seconds: float,
        max_json_bytes: int = MAX_JSON_BYTES,
    ) -> None:
        super().__init__(account, limits)
        silence_seconds = limits.silence_seconds or silence_seconds
        api = Api(account, silence_seconds=silence_seconds, max_json_bytes=max_json_bytes)
        self._client = client_of(account, api)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

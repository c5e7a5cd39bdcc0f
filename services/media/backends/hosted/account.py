"""Where an API is and with which key it is asked; whether that can work, without asking it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic import SecretStr

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.kit.near import is_near

# A key is changed and credit is bought by people; asking before costs a person's waiting.
REFUSED_SECONDS = 60.0
_REMEMBERED = ("BACKEND_NOT_AUTHORIZED", "BACKEND_NO_CREDIT")


@dataclass(slots=True)
class Account:
    """One API as it is configured.

    Args:
        title: as people know it.
        base_url: of the API, without a trailing slash; empty means not configured.
        url_setting: the variable of the address.
        key: sent as a bearer token; empty sends none.
        key_setting: the variable of the key.
        clock: for how long a refusal is remembered.
        local_only: the operator forbids what leaves the house.
        key_optional: it may be asked without one.
        passes_on: a server near by that hands what it gets to somebody else's machine.
    """

    title: str
    base_url: str
    url_setting: str
    key: SecretStr
    key_setting: str
    clock: Clock
    local_only: bool = False
    key_optional: bool = False
    passes_on: bool = False
    _refusal: tuple[str, float] | None = field(default=None, init=False)

    @property
    def remote(self) -> bool:
        """Whether what is sent there reaches a machine that is not one's own."""
        return bool(self.base_url) and (
            self.passes_on or not is_near(urlsplit(self.base_url).hostname or "")
        )

    def reason(self) -> str | None:
        """Why it cannot be asked now, for people; None when nothing is known against it."""
        if not self.base_url:
            return f"set {self.url_setting} to use {self.title}"
        if self.local_only and self.remote:
            return f"{self.title} is outside, and ARTLAB_MEDIA_LOCAL_ONLY forbids to send texts out"
        if not self.key_optional and not self.key.get_secret_value():
            setting = self.key_setting
            return f"set {setting} (or {setting}_FILE) to use {self.title}"
        if self._refusal is not None and self.clock.monotonic() < self._refusal[1]:
            return self._refusal[0]
        return None

    def heard(self, error: ArtlabError) -> None:
        """Remember for a while what will be answered to everybody."""
        if error.reason in _REMEMBERED:
            self._refusal = error.message, self.clock.monotonic() + REFUSED_SECONDS
        elif error.reason == "BACKEND_BUSY" and error.retry_after_seconds is not None:
            until = self.clock.monotonic() + min(error.retry_after_seconds, REFUSED_SECONDS)
            self._refusal = error.message, until

    def headers(self) -> dict[str, str]:
        """What says who asks."""
        key = self.key.get_secret_value()
        return {"authorization": f"Bearer {key}"} if key else {}

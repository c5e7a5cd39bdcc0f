"""What renders here and how it is doing, for operators."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from services.kit.errors import NotFound
from services.media.domain.output_config import OutputConfig
from services.media.ports import Backend, BackendStatus, InstancePool, InstanceStatus

NO_CONFIG = "no output config uses it"


class BackendList:
    """The backends by name, beside the output configs that name them."""

    def __init__(
        self, backends: Mapping[str, Backend], configs: Mapping[str, OutputConfig]
    ) -> None:
        self._backends = backends
        self._configs = configs

    async def statuses(self) -> list[BackendStatus]:
        """Every backend, by name, as it is now."""
        names = sorted(self._backends)
        return list(await asyncio.gather(*(self._status(name) for name in names)))

    async def set_draining(self, backend: str, url: str, draining: bool) -> InstanceStatus:
        """Take an instance out of service, or put it back.

        Raises NotFound INSTANCE_NOT_FOUND.
        """
        found = self._backends.get(backend)
        if found is None:
            raise NotFound("INSTANCE_NOT_FOUND", "no such backend", field="backend")
        if not isinstance(found, InstancePool):
            raise NotFound("INSTANCE_NOT_FOUND", "it has no instances", field="backend")
        return await found.set_draining(url, draining)

    async def _status(self, name: str) -> BackendStatus:
        backend = self._backends[name]
        configs = [self._configs[key] for key in sorted(self._configs)]
        own = [config for config in configs if config.backend == name]
        if isinstance(backend, InstancePool):
            return await backend.status(own)
        reason = await _reason(backend, own)
        return BackendStatus(name, available=reason is None, reason=reason or "")


async def _reason(backend: Backend, configs: Sequence[OutputConfig]) -> str | None:
    """Why it can make none of these; None when it can make one."""
    reasons = [await backend.unavailable_reason(config) for config in configs]
    if not reasons:
        return NO_CONFIG
    # The first says what most of them lack: a key, a package, an address.
    return None if None in reasons else reasons[0]

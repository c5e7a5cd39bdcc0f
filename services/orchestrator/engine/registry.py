"""The services that steps may ask for, by name. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.kit.errors import FailedPrecondition


@dataclass(frozen=True, slots=True)
class Registry:
    """A `ServiceRegistry` over a mapping; empty for a run without any service."""

    services: Mapping[str, object] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        """Return a service. Raises FailedPrecondition SERVICE_NOT_THERE, naming it."""
        if name not in self.services:
            there = ", ".join(sorted(self.services)) or "none"
            raise FailedPrecondition(
                "SERVICE_NOT_THERE",
                f"the step needs the service {name}, which is not here; there are: {there}",
                metadata={"service": name},
            )
        return self.services[name]

"""Whether we live, whether we can work, and with what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from services.gateway.answers import (
    HealthResponse,
    OutputModel,
    ReadyResponse,
    ServiceModel,
    SystemResponse,
)
from services.gateway.parts import Parts, parts_of
from services.gateway.system import ServiceHealth
from services.gateway.version import VERSION

router = APIRouter(tags=["system"])

PartsHere = Annotated[Parts, Depends(parts_of)]


@router.get("/health")
async def health() -> HealthResponse:
    """Answer while this process lives."""
    return HealthResponse(status="ok")


@router.get("/ready", responses={503: {"model": ReadyResponse, "description": "Not all serve."}})
async def ready(parts: PartsHere, response: Response) -> ReadyResponse:
    """Answer 200 when every service says that it serves."""
    services = await parts.system.health()
    all_serve = all(service.serving for service in services)
    if not all_serve:
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    return ReadyResponse(status="ready" if all_serve else "not_ready", services=_services(services))


@router.get("/api/system")
async def system(parts: PartsHere) -> SystemResponse:
    """Return what this installation uses."""
    state = await parts.system.state()
    outputs = state.outputs
    return SystemResponse(
        version=VERSION,
        services=_services(state.services),
        writers=None if state.writers is None else list(state.writers),
        judges=None if state.judges is None else list(state.judges),
        safety_level=state.safety_level,
        outputs=None
        if outputs is None
        else [
            OutputModel(
                name=offer.name,
                kind=offer.kind,
                backend=offer.backend,
                available=offer.available,
                reason=offer.reason,
                title=dict(offer.title),
            )
            for offer in outputs
        ],
    )


def _services(services: tuple[ServiceHealth, ...]) -> list[ServiceModel]:
    return [
        ServiceModel(name=s.name, status="serving" if s.serving else "not_serving")
        for s in services
    ]

"""Whether we live, whether we can work, and with what."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from services.gateway.answers_installation import (
    BackendModel,
    BackendsResponse,
    HealthResponse,
    OutputModel,
    ParameterModel,
    PipelineModel,
    PipelinesResponse,
    ProviderModel,
    ReadyResponse,
    ServiceModel,
    SystemResponse,
)
from services.gateway.openapi import problems
from services.gateway.parts import Parts, parts_of
from services.gateway.requests import NoQuery
from services.gateway.system import ServiceHealth
from services.gateway.version import VERSION
from services.kit.errors import PermissionDenied

router = APIRouter(tags=["system"])

PartsHere = Annotated[Parts, Depends(parts_of)]


@router.get("/health")
async def health() -> HealthResponse:
    """Answer while this process lives."""
    return HealthResponse(status="ok")


@router.get("/ready", responses={503: {"model": ReadyResponse, "description": "Not all serve."}})
async def ready(parts: PartsHere, response: Response) -> ReadyResponse:
    """Answer 200 when every service says that it serves."""
    services, loading = await asyncio.gather(parts.system.health(), parts.system.loading())
    all_serve = all(service.serving for service in services)
    if not all_serve:
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    return ReadyResponse(
        status="ready" if all_serve else "not_ready",
        services=_services(services),
        loading=list(loading),
    )


@router.get("/api/system")
async def system(parts: PartsHere) -> SystemResponse:
    """Return what this installation uses."""
    state = await parts.system.state()
    outputs, policy = state.outputs, state.policy
    return SystemResponse(
        version=VERSION,
        services=_services(state.services),
        writers=None if state.writers is None else list(state.writers),
        providers=None
        if state.providers is None
        else [ProviderModel(**asdict(provider)) for provider in state.providers],
        judges=None if policy is None else list(policy.judges),
        safety_level=None if policy is None else policy.level,
        image_judges=None if policy is None else list(policy.image_judges),
        image_check_levels=None if policy is None else list(policy.image_check_levels),
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
                input_images=offer.input_images,
                parameters=list(offer.parameters),
                parameter_specs=[ParameterModel(**asdict(spec)) for spec in offer.parameter_specs],
                runs_as=offer.runs_as,
            )
            for offer in outputs
        ],
    )


@router.get("/api/backends", responses=problems(403, 422, 503, 504))
async def backends(parts: PartsHere, _: Annotated[NoQuery, Query()]) -> BackendsResponse:
    """Return every backend with its instances and what they do now."""
    if parts.audience != "research":
        # Addresses of servers that ask nobody for a password are not for a class.
        raise PermissionDenied("AUDIENCE_TOO_LOW", "this is not meant for whom this server serves")
    found = await parts.system.backends()
    return BackendsResponse(backends=[BackendModel(**asdict(one)) for one in found])


@router.get("/api/pipelines", responses=problems(422, 503, 504))
async def pipelines(parts: PartsHere, _: Annotated[NoQuery, Query()]) -> PipelinesResponse:
    """Return the pipelines that a run may follow, by name."""
    found = await parts.runs.pipelines()
    return PipelinesResponse(pipelines=[PipelineModel(**asdict(one)) for one in found])


def _services(services: tuple[ServiceHealth, ...]) -> list[ServiceModel]:
    return [
        ServiceModel(name=s.name, status="serving" if s.serving else "not_serving")
        for s in services
    ]

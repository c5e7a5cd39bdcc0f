"""What this installation is made of and whether it can work: health, writers, judges, outputs.

Answers are kept for a second, so that probes and pages cannot become load on the services.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import grpc.aio
import orjson

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2, interception_pb2_grpc
from artlab.media.v1 import media_pb2, media_pb2_grpc
from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.gateway.domain.parameter import ParameterSpec
from services.gateway.kept import Kept
from services.kit.channel import channel_is_serving
from services.kit.clock import Clock
from services.kit.enums import word_of
from services.kit.errors import ArtlabError
from services.kit.status import remote_errors

PROBE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """One service, and whether it says that it serves."""

    name: str
    serving: bool


@dataclass(frozen=True, slots=True)
class OutputOffer:
    """One output config, and whether it can run here now."""

    name: str
    kind: str
    backend: str
    available: bool
    reason: str
    title: Mapping[str, str]
    input_images: int = 0
    parameters: tuple[str, ...] = ()
    # The fallback that would make it now; empty when it makes itself, or none can.
    runs_as: str = ""
    parameter_specs: tuple[ParameterSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """Something that writes.

    `state` is ready, loading, model_missing, unreachable, refused or unknown.
    """

    name: str
    protocol: str
    models: tuple[str, ...]
    remote: bool
    state: str
    reason: str
    running: int
    waiting: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class SafetyPolicy:
    """What safety asks of runs, and what judges them."""

    level: str
    judges: tuple[str, ...]
    image_judges: tuple[str, ...]
    image_check_levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Instance:
    """One server of a backend; `state` is ready, busy, down, stalled or draining."""

    url: str
    state: str
    reason: str
    running: int
    waiting: int
    queue_length: int
    version: str
    vram_total_bytes: int
    vram_free_bytes: int
    unfit_configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Backend:
    """One kind of renderer, and its servers where it has several."""

    name: str
    available: bool
    reason: str
    waiting: int
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class SystemState:
    """What answers and what it uses; what a silent service would say is None."""

    services: tuple[ServiceHealth, ...]
    writers: tuple[str, ...] | None
    providers: tuple[Provider, ...] | None
    policy: SafetyPolicy | None
    outputs: tuple[OutputOffer, ...] | None


def _spec(spec: media_pb2.ParameterSpec) -> ParameterSpec:
    return ParameterSpec(
        name=spec.name,
        kind=word_of(media_pb2.ParameterKind, spec.kind),
        default=orjson.loads(spec.default_value or "null"),
        minimum=spec.minimum if spec.HasField("minimum") else None,
        maximum=spec.maximum if spec.HasField("maximum") else None,
        multiple_of=spec.multiple_of,
        remainder=spec.remainder,
        choices=tuple(spec.choices),
        at_most=spec.at_most,
        max_characters=spec.max_characters,
    )


class System:
    """Asks the other services about themselves."""

    def __init__(self, channels: Mapping[str, grpc.aio.Channel], clock: Clock) -> None:
        self._channels = channels
        self._interception = interception_pb2_grpc.InterceptionServiceStub(channels["interception"])
        self._safety = safety_pb2_grpc.SafetyServiceStub(channels["safety"])
        self._media = media_pb2_grpc.MediaServiceStub(channels["media"])
        self._health = Kept(self._ask_health, clock)
        self._state = Kept(self._ask_state, clock)
        self._providers = Kept(self._ask_providers, clock)
        self._policy = Kept(self._ask_policy, clock)
        self._backends = Kept(self._ask_backends, clock)

    async def health(self) -> tuple[ServiceHealth, ...]:
        """Whether each service serves, in the order of the set-up."""
        return await self._health.get()

    async def state(self) -> SystemState:
        """Everything; a service that does not answer within 2 s is left out as None."""
        return await self._state.get()

    async def loading(self) -> tuple[str, ...]:
        """The providers of which a model is being loaded; none while nobody says."""
        found = await self._providers.get() or ()
        return tuple(provider.name for provider in found if provider.state == "loading")

    async def image_check_levels(self) -> tuple[str, ...] | None:
        """Levels at which nothing that is seen may be shown unchecked; None when nobody says."""
        policy = await self._policy.get()
        return policy.image_check_levels if policy is not None else None

    async def backends(self) -> tuple[Backend, ...]:
        """What renders here, for operators. Raises what media answers."""
        return await self._backends.get()

    async def _ask_health(self) -> tuple[ServiceHealth, ...]:
        names = list(self._channels)
        answers = await asyncio.gather(
            *(channel_is_serving(self._channels[name], PROBE_SECONDS) for name in names)
        )
        return tuple(map(ServiceHealth, names, answers))

    async def _ask_state(self) -> SystemState:
        health, writers, providers, policy, outputs = await asyncio.gather(
            self.health(),
            self._writers(),
            self._providers.get(),
            self._policy.get(),
            self._outputs(),
        )
        return SystemState(health, writers, providers, policy, outputs)

    async def _writers(self) -> tuple[str, ...] | None:
        try:
            with remote_errors("interception"):
                answer = await self._interception.ListRecipes(
                    interception_pb2.ListRecipesRequest(), timeout=PROBE_SECONDS
                )
        except ArtlabError:
            return None
        return tuple(answer.writers)

    async def _ask_providers(self) -> tuple[Provider, ...] | None:
        try:
            with remote_errors("interception"):
                answer = await self._interception.ListProviders(
                    interception_pb2.ListProvidersRequest(), timeout=PROBE_SECONDS
                )
        except ArtlabError:
            return None
        return tuple(
            Provider(
                name=provider.name,
                protocol=provider.protocol,
                models=tuple(provider.models),
                remote=provider.remote,
                state=word_of(interception_pb2.ProviderState, provider.state),
                reason=provider.reason,
                running=provider.running,
                waiting=provider.waiting,
                concurrency=provider.concurrency,
            )
            for provider in answer.providers
        )

    async def _ask_policy(self) -> SafetyPolicy | None:
        try:
            with remote_errors("safety"):
                answer = await self._safety.GetPolicy(
                    safety_pb2.GetPolicyRequest(), timeout=PROBE_SECONDS
                )
        except ArtlabError:
            return None
        return SafetyPolicy(
            level=word_of(common_pb2.SafetyLevel, answer.level),
            judges=tuple(answer.judges),
            image_judges=tuple(answer.image_judges),
            image_check_levels=tuple(
                word_of(common_pb2.SafetyLevel, level) for level in answer.image_check_levels
            ),
        )

    async def _outputs(self) -> tuple[OutputOffer, ...] | None:
        try:
            with remote_errors("media"):
                answer = await self._media.ListOutputConfigs(
                    media_pb2.ListOutputConfigsRequest(), timeout=PROBE_SECONDS
                )
        except ArtlabError:
            return None
        return tuple(
            OutputOffer(
                config.name,
                word_of(common_pb2.MediaKind, config.kind),
                config.backend,
                config.available,
                config.reason,
                dict(config.title),
                len(config.input_image_slots),
                tuple(config.parameters),
                config.runs_as,
                tuple(_spec(spec) for spec in config.parameter_specs),
            )
            for config in answer.configs
        )

    async def _ask_backends(self) -> tuple[Backend, ...]:
        with remote_errors("media"):
            answer = await self._media.ListBackends(
                media_pb2.ListBackendsRequest(), timeout=PROBE_SECONDS
            )
        return tuple(
            Backend(
                name=backend.name,
                available=backend.available,
                reason=backend.reason,
                waiting=backend.waiting,
                instances=tuple(map(_instance, backend.instances)),
            )
            for backend in answer.backends
        )


def _instance(message: media_pb2.Instance) -> Instance:
    return Instance(
        url=message.url,
        state=word_of(media_pb2.InstanceState, message.state),
        reason=message.reason,
        running=message.running,
        waiting=message.waiting,
        queue_length=message.queue_length,
        version=message.version,
        vram_total_bytes=message.vram_total_bytes,
        vram_free_bytes=message.vram_free_bytes,
        unfit_configs=dict(message.unfit_configs),
    )

"""The gateway on a real socket, between scripted peers behind real gRPC servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import grpc.aio
import httpx

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2, interception_pb2_grpc
from artlab.media.v1 import media_pb2, media_pb2_grpc
from artlab.orchestrator.v1 import orchestrator_pb2_grpc
from artlab.recorder.v1 import recorder_pb2_grpc
from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.gateway.app import make_app
from services.gateway.clients import OrchestratorClient, RecorderClient
from services.gateway.events import encode
from services.gateway.fanout import Fanout
from services.gateway.http_server import DEFAULT_LIMITS, HttpServer
from services.gateway.limits import StartLimit
from services.gateway.parts import Parts
from services.gateway.previews import GatedWatcher, Turns
from services.gateway.protocol import ConnectionLimits
from services.gateway.recipes import Recipes
from services.gateway.runs import Runs
from services.gateway.system import System
from services.kit.channel import open_channel
from services.kit.clock import SystemClock
from services.kit.errors import NotFound
from services.kit.interceptors import Context
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fakes.recorder import FakeRecorder
from tests.support.servers import serving

RUN = "528e5af9-59b3-4551-b101-27e13dd6e43e"


class _Safety(safety_pb2_grpc.SafetyServiceServicer):
    async def GetPolicy(
        self, request: safety_pb2.GetPolicyRequest, context: Context
    ) -> safety_pb2.GetPolicyResponse:
        return safety_pb2.GetPolicyResponse(
            level=common_pb2.SAFETY_LEVEL_YOUTH,
            judges=["builtin"],
            version="3f2a91c0",
            image_check_levels=[common_pb2.SAFETY_LEVEL_KIDS, common_pb2.SAFETY_LEVEL_YOUTH],
            image_judges=["nudenet:3.4"],
        )


def _recipe(name: str, order: int) -> interception_pb2.Recipe:
    return interception_pb2.Recipe(
        name=name,
        order=order,
        title={"de": "Dada", "en": "Dada"},
        context={"de": "Schere und Zufall", "en": "Scissors and chance"},
        color="#aa0000",
        minimum_age=12,
        plan=[interception_pb2.PassPlan(title={"en": "Cut"})],
        default_output=common_pb2.MEDIA_KIND_IMAGE,
        origin=interception_pb2.RECIPE_ORIGIN_LOCAL,
    )


class _Interception(interception_pb2_grpc.InterceptionServiceServicer):
    async def ListRecipes(
        self, request: interception_pb2.ListRecipesRequest, context: Context
    ) -> interception_pb2.ListRecipesResponse:
        return interception_pb2.ListRecipesResponse(
            writers=["builtin"], recipes=[_recipe("second", 2), _recipe("first", 1)]
        )

    async def GetRecipe(
        self, request: interception_pb2.GetRecipeRequest, context: Context
    ) -> interception_pb2.GetRecipeResponse:
        if request.config_name != "first":
            raise NotFound("CONFIG_NOT_FOUND", "there is no such recipe", field="config_name")
        return interception_pb2.GetRecipeResponse(recipe=_recipe("first", 1))

    async def ListProviders(
        self, request: interception_pb2.ListProvidersRequest, context: Context
    ) -> interception_pb2.ListProvidersResponse:
        cold = interception_pb2.Provider(
            name="ollama",
            protocol="ollama",
            models=["llama3.2"],
            state=interception_pb2.PROVIDER_STATE_LOADING,
            reason="llama3.2: into memory",
            running=1,
            waiting=3,
            concurrency=1,
        )
        return interception_pb2.ListProvidersResponse(providers=[cold])


class _Media(media_pb2_grpc.MediaServiceServicer):
    async def ListOutputConfigs(
        self, request: media_pb2.ListOutputConfigsRequest, context: Context
    ) -> media_pb2.ListOutputConfigsResponse:
        config = media_pb2.OutputConfig(
            name="builtin_image",
            kind=common_pb2.MEDIA_KIND_IMAGE,
            backend="builtin",
            available=True,
            input_image_slots=["init"],
            parameters=["negative_prompt", "width"],
            runs_as="spare_picture",
            parameter_specs=[
                media_pb2.ParameterSpec(
                    name="negative_prompt",
                    kind=media_pb2.PARAMETER_KIND_TEXT,
                    default_value='""',
                    max_characters=2000,
                ),
                media_pb2.ParameterSpec(
                    name="width",
                    kind=media_pb2.PARAMETER_KIND_INTEGER,
                    default_value="1024",
                    minimum=64,
                    maximum=2048,
                    multiple_of=16,
                ),
            ],
        )
        return media_pb2.ListOutputConfigsResponse(configs=[config])

    async def ListBackends(
        self, request: media_pb2.ListBackendsRequest, context: Context
    ) -> media_pb2.ListBackendsResponse:
        instance = media_pb2.Instance(
            url="http://10.0.0.5:8188",
            state=media_pb2.INSTANCE_STATE_BUSY,
            running=1,
            queue_length=3,
            version="0.3.75",
            vram_total_bytes=24 << 30,
            unfit_configs={"flux2": "no model flux2.safetensors"},
        )
        backends = [
            media_pb2.Backend(name="builtin", available=True),
            media_pb2.Backend(name="comfyui", available=True, waiting=2, instances=[instance]),
        ]
        return media_pb2.ListBackendsResponse(backends=backends)


def _peers() -> list[Callable[[grpc.aio.Server], None]]:
    # Of these the gateway asks one method each; the stubs would have all of them.
    safety = _Safety()  # type: ignore[abstract]
    interception = _Interception()  # type: ignore[abstract]
    media = _Media()  # type: ignore[abstract]
    return [
        partial(safety_pb2_grpc.add_SafetyServiceServicer_to_server, safety),
        partial(interception_pb2_grpc.add_InterceptionServiceServicer_to_server, interception),
        partial(media_pb2_grpc.add_MediaServiceServicer_to_server, media),
    ]


@dataclass
class World:
    """What a test may touch."""

    client: httpx.AsyncClient
    port: int
    recorder: FakeRecorder
    orchestrator: FakeOrchestrator
    fanout: Fanout
    ends: Fanout
    server: HttpServer
    targets: dict[str, str] = field(default_factory=dict)

    def forget(self) -> None:
        """Make the peers as if nothing had happened."""
        self.recorder.forget()
        self.orchestrator.forget()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self.server.connections

    async def raw(self, request: bytes, *, seconds: float = 10.0) -> bytes:
        """Send bytes as they are; return everything until the gateway closes the line."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(seconds):
                await writer.drain()
                return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def gateway(
    *,
    wait_seconds: float = 10.0,
    max_readers: int = 100,
    max_waiting: int = 50,
    limits: ConnectionLimits = DEFAULT_LIMITS,
    receive_timeout_seconds: float = 15.0,
    upload_timeout_seconds: float = 60.0,
    starts_per_minute: int = 10_000,
    allowed_hosts: tuple[str, ...] = (),
    away: tuple[str, ...] = (),
    recorder_target: str | None = None,
    audience: str = "research",
    teacher_decisions: bool = False,
) -> AsyncIterator[World]:
    """Serve; peers named in `away` do not listen; a real recorder may stand in for the fake."""
    recorder = FakeRecorder()  # type: ignore[abstract]
    orchestrator = FakeOrchestrator(recorder)
    safety, interception, media = _peers()
    add_orchestrator = orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server
    add_recorder = recorder_pb2_grpc.add_RecorderServiceServicer_to_server
    registrations: dict[str, Callable[[grpc.aio.Server], None]] = {
        "orchestrator": lambda server: add_orchestrator(orchestrator, server),
        "safety": safety,
        "interception": interception,
        "media": media,
        "recorder": lambda server: add_recorder(recorder, server),
    }
    async with AsyncExitStack() as stack:
        targets = {
            name: "127.0.0.1:1"
            if name in away
            else await stack.enter_async_context(
                serving(name, register, caps={"WatchRun": 3600.0, "ReadEntity": 600.0})
            )
            for name, register in registrations.items()
        }
        if recorder_target is not None:
            targets["recorder"] = recorder_target
        channels: dict[str, grpc.aio.Channel] = {
            name: await stack.enter_async_context(open_channel(target))
            for name, target in targets.items()
        }
        clock = SystemClock()
        reading = RecorderClient(channels["recorder"], audience)
        system = System(channels, clock)
        watcher = GatedWatcher(reading, system)
        fanout = await stack.enter_async_context(Fanout(watcher, encode, clock, max_readers))
        ends = await stack.enter_async_context(Fanout(Turns(reading), None, clock, max_readers))
        parts = Parts(
            runs=Runs(OrchestratorClient(channels["orchestrator"]), reading, ends, max_waiting),
            recorder=reading,
            fanout=fanout,
            system=system,
            recipes=Recipes(channels["interception"], clock),
            start_limit=StartLimit(starts_per_minute, clock),
            wait_seconds=wait_seconds,
            audience=audience,
            teacher_decisions=teacher_decisions,
        )
        group = await stack.enter_async_context(asyncio.TaskGroup())
        app = make_app(parts, allowed_hosts, receive_timeout_seconds, upload_timeout_seconds)
        server = HttpServer(app, lambda work, name: group.create_task(work, name=name), limits)
        port = await server.start("127.0.0.1:0")
        try:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", timeout=20.0, trust_env=False
            ) as client:
                yield World(client, port, recorder, orchestrator, fanout, ends, server, targets)
        finally:
            await fanout.drain()
            await ends.drain()
            await server.stop(2.0)

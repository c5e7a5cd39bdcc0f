"""The orchestrator, from its parts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import grpc.aio

from artlab.orchestrator.v1 import orchestrator_pb2_grpc
from artlab.recorder.v1 import recorder_pb2_grpc
from services.kit.channel import channel_is_serving, open_channel
from services.kit.clock import SystemClock
from services.kit.program import Program, run_program
from services.kit.server import GrpcServer
from services.orchestrator.clients.interception import InterceptionClient
from services.orchestrator.clients.media import MediaClient
from services.orchestrator.clients.recorder import RecorderClient
from services.orchestrator.clients.safety import SafetyClient
from services.orchestrator.run_in_work import Services
from services.orchestrator.servicer import CAPS, OrchestratorServicer
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.supervisor import Supervisor

LOOK_AGAIN_SECONDS = 0.2


async def compose(settings: OrchestratorSettings, program: Program) -> None:
    """Put the parts together and serve."""
    recorder = await program.stack.enter_async_context(open_channel(settings.recorder_target))
    safety = await program.stack.enter_async_context(open_channel(settings.safety_target))
    interception = await program.stack.enter_async_context(
        open_channel(settings.interception_target)
    )
    media = await program.stack.enter_async_context(open_channel(settings.media_target))

    services = Services(
        recorder=RecorderClient(recorder),
        safety=SafetyClient(safety),
        interception=InterceptionClient(interception),
        media=MediaClient(media),
        patience_seconds=settings.patience_seconds,
        recorder_patience_seconds=settings.recorder_patience_seconds,
    )
    supervisor = Supervisor(
        services,
        SystemClock(),
        max_runs=settings.max_runs,
        run_limit_seconds=settings.run_limit_seconds,
    )
    program.on_drain(supervisor.drain)

    server = GrpcServer("orchestrator", caps=CAPS, serving=False)
    orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(
        OrchestratorServicer(supervisor, recorder_pb2_grpc.RecorderServiceStub(recorder)),
        server.grpc,
    )
    peers = (recorder, safety, interception, media)
    program.add_task(_serve_once_reachable(peers, server), "reach every peer")
    await program.serve(server, settings.host, settings.port)


async def _serve_once_reachable(peers: Iterable[grpc.aio.Channel], server: GrpcServer) -> None:
    # Services start in any order; a run that is accepted must find everybody it needs.
    for peer in peers:
        while not await channel_is_serving(peer):  # noqa: ASYNC110  # another process tells
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
    await server.set_serving(True)


if __name__ == "__main__":
    run_program("orchestrator", OrchestratorSettings, compose)

"""The orchestrator, from its parts."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Iterable, Mapping

import grpc.aio

from artlab.orchestrator.v1 import orchestrator_pb2_grpc
from artlab.recorder.v1 import recorder_pb2_grpc
from services.kit.channel import channel_is_serving, open_channel
from services.kit.clock import SystemClock
from services.kit.program import Program, run_program
from services.kit.server import GrpcServer
from services.orchestrator.admission import Admission
from services.orchestrator.claims import Claim
from services.orchestrator.clients.interception import InterceptionClient
from services.orchestrator.clients.media import MediaClient
from services.orchestrator.clients.recorder import RecorderClient
from services.orchestrator.clients.safety import SafetyClient
from services.orchestrator.decisions import Decisions
from services.orchestrator.driver import Driver
from services.orchestrator.engine.definition import Definition
from services.orchestrator.engine.loader import load_pipelines
from services.orchestrator.position import Positions
from services.orchestrator.queue.embedded import EmbeddedQueue
from services.orchestrator.queue.port import RunQueue
from services.orchestrator.queue.view import QueueView
from services.orchestrator.run_in_work import Services
from services.orchestrator.servicer import CAPS, OrchestratorServicer
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.steps.table import FACTORIES
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

    pipelines = load_pipelines(settings.configs, FACTORIES)
    runs = RecorderClient(recorder)
    services = Services(
        recorder=runs,
        safety=SafetyClient(safety),
        interception=InterceptionClient(interception),
        media=MediaClient(media),
        patience_seconds=settings.patience_seconds,
        recorder_patience_seconds=settings.recorder_patience_seconds,
        outputs_at_once=settings.outputs_at_once,
        output_places=asyncio.Semaphore(settings.max_outputs),
        late_grace_seconds=settings.late_grace_seconds,
    )
    clock = SystemClock()
    claim = Claim(owner_name(), settings.claim_ttl_seconds)
    view = QueueView(runs, clock)
    queue = _queue(settings, runs, claim, view)
    driver = Driver(
        services,
        clock,
        queue,
        claim,
        seats=settings.max_runs,
        run_limit_seconds=settings.run_limit_seconds,
    )
    supervisor = Supervisor(
        services,
        clock,
        pipelines,
        queue=queue,
        driver=driver,
        admission=Admission(
            view, max_open=settings.max_open_runs, max_of_person=settings.max_runs_per_person
        ),
        claim=claim,
        run_limit_seconds=settings.run_limit_seconds,
    )
    program.add_task(driver.drive(), "drive runs")
    program.on_drain(supervisor.drain)

    server = GrpcServer("orchestrator", caps=CAPS, serving=False)
    orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(
        _servicer(supervisor, recorder, runs, pipelines, view, settings.max_runs), server.grpc
    )
    peers = (recorder, safety, interception, media)
    program.add_task(_serve_once_reachable(peers, server), "reach every peer")
    await program.serve(server, settings.host, settings.port)


def owner_name() -> str:
    """A name no other process has, nor this one after its next start; ^[a-z0-9-]{1,58}$."""
    host = "".join(one if one.isascii() and one.isalnum() else "-" for one in socket.gethostname())
    return f"{host.lower()[:40]}-{secrets.token_hex(6)}"


def _queue(
    settings: OrchestratorSettings, runs: RecorderClient, claim: Claim, view: QueueView
) -> RunQueue:
    # A claim is given up before what is written under it is.
    expire = settings.recorder_patience_seconds - settings.claim_ttl_seconds
    if settings.queue == "nats":
        # Imported here: who shares no runs needs no client of NATS.
        from services.orchestrator.queue.nats import NatsQueue
        from services.orchestrator.queue.stream import RunStream

        stream = RunStream(settings.nats_url, settings.nats_stream, claim.ttl_seconds)
        return NatsQueue(stream, runs, claim, SystemClock(), view, expire_seconds=expire)
    return EmbeddedQueue(runs, claim, SystemClock(), view, expire_seconds=expire)


def _servicer(
    supervisor: Supervisor,
    recorder: grpc.aio.Channel,
    runs: RecorderClient,
    pipelines: Mapping[str, Definition],
    view: QueueView,
    seats: int,
) -> OrchestratorServicer:
    return OrchestratorServicer(
        supervisor,
        recorder_pb2_grpc.RecorderServiceStub(recorder),
        decisions=Decisions(runs, supervisor.wake, SystemClock()),
        pipelines=pipelines,
        positions=Positions(runs, view, SystemClock(), seats),
    )


async def _serve_once_reachable(peers: Iterable[grpc.aio.Channel], server: GrpcServer) -> None:
    # Services start in any order; a run that is accepted must find everybody it needs.
    for peer in peers:
        while not await channel_is_serving(peer):  # noqa: ASYNC110  # another process tells
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
    await server.set_serving(True)


if __name__ == "__main__":
    run_program("orchestrator", OrchestratorSettings, compose)

"""The gateway's parts list."""

from __future__ import annotations

import resource

from services.gateway.app import make_app
from services.gateway.clients import OrchestratorClient, RecorderClient
from services.gateway.events import encode
from services.gateway.fanout import Fanout
from services.gateway.http_server import HttpServer
from services.gateway.limits import StartLimit
from services.gateway.parts import Parts
from services.gateway.previews import GatedWatcher, Turns
from services.gateway.protocol import ConnectionLimits
from services.gateway.recipes import Recipes
from services.gateway.runs import Runs
from services.gateway.settings import GatewaySettings
from services.gateway.system import System
from services.kit.channel import open_channel
from services.kit.clock import SystemClock
from services.kit.program import Program, run_program


async def compose(settings: GatewaySettings, program: Program) -> None:
    """Put the gateway together and serve until a signal."""
    _allow_descriptors(settings.max_connections)
    clock = SystemClock()
    # Replicas that drain or do not reach their peers yet get no calls.
    orchestrators = open_channel(settings.orchestrator_target, only_serving=True)
    channels = {"orchestrator": await program.stack.enter_async_context(orchestrators)}
    channels |= {
        name: await program.stack.enter_async_context(open_channel(target))
        for name, target in (
            ("safety", settings.safety_target),
            ("interception", settings.interception_target),
            ("media", settings.media_target),
            ("recorder", settings.recorder_target),
        )
    }
    recorder = RecorderClient(channels["recorder"], settings.audience)
    system = System(channels, clock)
    watcher = GatedWatcher(recorder, system)
    fanout = await program.stack.enter_async_context(
        Fanout(watcher, encode, clock, settings.max_event_streams)
    )
    # Who waits for an end needs none of what comes before it.
    ends = await program.stack.enter_async_context(
        Fanout(Turns(recorder), None, clock, settings.max_waiting_runs)
    )
    program.on_drain(fanout.drain)
    program.on_drain(ends.drain)
    orchestrator = OrchestratorClient(channels["orchestrator"])
    parts = Parts(
        runs=Runs(orchestrator, recorder, ends, settings.max_waiting_runs),
        recorder=recorder,
        fanout=fanout,
        system=system,
        recipes=Recipes(channels["interception"], clock),
        start_limit=StartLimit(settings.run_starts_per_minute, clock),
        wait_seconds=settings.wait_seconds,
        audience=settings.audience,
        teacher_decisions=settings.teacher_decisions,
    )
    server = HttpServer(
        make_app(parts, settings.allowed_hosts),
        program.add_task,
        ConnectionLimits(settings.max_connections),
    )
    await program.serve(server, settings.host, settings.port)


def _allow_descriptors(connections: int) -> None:
    # Running out of descriptors would stop accepting for everybody.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 256
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def main() -> None:
    """Run the gateway."""
    run_program("gateway", GatewaySettings, compose)


if __name__ == "__main__":
    main()

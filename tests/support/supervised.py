"""A supervisor with a driver and the embedded queue, as one orchestrator has them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from services.kit.catalogue import CONFIGS
from services.kit.clock import SystemClock
from services.orchestrator.__main__ import owner_name
from services.orchestrator.admission import Admission
from services.orchestrator.claims import Claim
from services.orchestrator.driver import Driver
from services.orchestrator.engine.definition import Definition
from services.orchestrator.engine.loader import load_pipelines
from services.orchestrator.queue.embedded import EmbeddedQueue
from services.orchestrator.queue.port import RunQueue
from services.orchestrator.queue.view import QueueView
from services.orchestrator.run_in_work import Services
from services.orchestrator.steps.table import FACTORIES
from services.orchestrator.supervisor import Supervisor

_driving: set[asyncio.Task[None]] = set()


def supervise(
    services: Services,
    *,
    max_runs: int = 4,
    run_limit_seconds: float = 30.0,
    max_open_runs: int = 1000,
    max_runs_per_person: int = 1000,
    ttl_seconds: float = 5.0,
    poll_seconds: float = 0.1,
    queue: RunQueue | None = None,
    pipelines: Mapping[str, Definition] | None = None,
) -> Supervisor:
    """Return a supervisor whose runs are driven from now on until it is drained.

    Its pipelines are those that are shipped unless others are given.
    """
    clock = SystemClock()
    claim = Claim(owner_name(), ttl_seconds)
    view = QueueView(services.recorder, clock)
    queue = queue or EmbeddedQueue(
        services.recorder,
        claim,
        clock,
        view,
        expire_seconds=services.recorder_patience_seconds,
        poll_seconds=poll_seconds,
    )
    driver = Driver(
        services, clock, queue, claim, seats=max_runs, run_limit_seconds=run_limit_seconds
    )
    supervisor = Supervisor(
        services,
        clock,
        pipelines or load_pipelines(CONFIGS, FACTORIES),
        queue=queue,
        driver=driver,
        admission=Admission(view, max_open=max_open_runs, max_of_person=max_runs_per_person),
        claim=claim,
        run_limit_seconds=run_limit_seconds,
    )
    task = asyncio.create_task(driver.drive(), name="drive runs")
    _driving.add(task)
    task.add_done_callback(_driving.discard)
    return supervisor

"""How soon a run finds its driver: started by the driver itself, and started by another replica."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from benchmarks.orchestrator.runs import percentiles
from benchmarks.recorder.client import create_request
from benchmarks.table import Figure
from services.cli.ports import free_ports
from services.kit.channel import open_channel
from services.kit.clock import SystemClock
from services.kit.ids import RunId
from services.orchestrator.claims import Claim
from services.orchestrator.clients.recorder import RecorderClient
from services.orchestrator.queue.embedded import EmbeddedQueue
from services.orchestrator.queue.nats import NatsQueue
from services.orchestrator.queue.port import ClaimedRun, RunQueue
from services.orchestrator.queue.stream import RunStream
from services.orchestrator.queue.view import QueueView
from tests.faults.recorder_process import RecorderProcess
from tests.support.nats_server import nats_command

TTL_SECONDS = 5.0
USER = "bench"
# Longer than any pause of a queue, so that runs come at any moment of it.
SPREAD_SECONDS = 0.3
CONNECT_SECONDS = 3.0

Make = Callable[[Claim], RunQueue]
Stub: TypeAlias = "recorder_pb2_grpc.RecorderServiceAsyncStub"


async def queue_latency(runs: int) -> dict[str, Figure]:
    """Both adapters on one recorder; each driver waits with nothing else to do."""
    figures: dict[str, Figure] = {}
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="artlab-bench-") as place:
        folder = Path(place)
        process = RecorderProcess(folder / "runs", folder / "log")
        try:
            await asyncio.to_thread(process.wait_until_serving)
            async with open_channel(process.target) as channel, _nats(folder / "nats") as url:
                client = RecorderClient(channel)
                stub = recorder_pb2_grpc.RecorderServiceStub(channel)

                def embedded(claim: Claim) -> RunQueue:
                    return EmbeddedQueue(client, claim, clock, QueueView(client, clock))

                def nats(claim: Claim) -> RunQueue:
                    stream = RunStream(url, "bench", TTL_SECONDS)
                    return NatsQueue(stream, client, claim, clock, QueueView(client, clock))

                for name, make in (("embedded", embedded), ("nats", nats)):
                    figures |= await _latency(name, make, stub, runs)
        finally:
            process.terminate()
    return figures


async def _latency(name: str, make: Make, stub: Stub, runs: int) -> dict[str, Figure]:
    driver, other = make(_claim(f"{name}-driver")), make(_claim(f"{name}-other"))
    came: asyncio.Queue[tuple[float, ClaimedRun]] = asyncio.Queue()

    async def drive() -> None:
        async for run in driver.claims():
            came.put_nowait((time.perf_counter(), run))

    async def have_no_room() -> None:
        # It has one run, and asks for no other while it drives that.
        async for _ in other.claims():
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(drive()), asyncio.create_task(have_no_room())]
    await asyncio.sleep(CONNECT_SECONDS)
    first = await _create(stub, _claim(f"{name}-other"))
    await other.submit(_run_id(first), USER, epoch=first.epoch)
    own: list[float] = []
    others: list[float] = []
    try:
        for number in range(runs + 1):
            taken = (
                await _one(stub, came, driver, _claim(f"{name}-driver")),
                await _one(stub, came, other, None),
            )
            if number:  # the first ones connect
                own.append(taken[0])
                others.append(taken[1])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await driver.aclose()
        await other.aclose()
        await _end(stub, first.run.name, first.epoch)
    figures = {}
    for who, taken_ms in (("own", own), ("others", others)):
        p50, p99 = percentiles(taken_ms)
        what = "its driver had it created" if who == "own" else "another replica had it created"
        figures[f"queue_{name}_{who}_p50_ms"] = Figure(p50, "ms", f"{what}, until it is driven")
        figures[f"queue_{name}_{who}_p99_ms"] = Figure(p99, "ms", "the same")
    return figures


async def _one(
    stub: Stub,
    came: asyncio.Queue[tuple[float, ClaimedRun]],
    submitter: RunQueue,
    claim: Claim | None,
) -> float:
    """Create, submit, wait until it is claimed, end it; return the ms from submission to claim."""
    await asyncio.sleep(random.uniform(0.0, SPREAD_SECONDS))
    created = await _create(stub, claim)
    run_id = _run_id(created)
    began = time.perf_counter()
    await submitter.submit(run_id, USER, epoch=created.epoch)
    async with asyncio.timeout(30):
        at, run = await came.get()
    if run.run_id != run_id:
        raise SystemExit(f"{run.run_id} came instead of {run_id}")
    await _end(stub, created.run.name, run.epoch)
    await run.done()
    return (at - began) * 1000


async def _create(stub: Stub, claim: Claim | None) -> recorder_pb2.CreateRunResponse:
    request = create_request()
    request.run.deadline.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    if claim is not None:
        request.claim.owner = claim.owner
        request.claim.ttl.FromTimedelta(timedelta(seconds=claim.ttl_seconds))
    return await stub.CreateRun(request, timeout=10)


async def _end(stub: Stub, name: str, epoch: int) -> None:
    state = run_pb2.RUN_STATE_CANCELLED
    request = recorder_pb2.FinalizeRunRequest(name=name, state=state, epoch=epoch)
    await stub.FinalizeRun(request, timeout=10)


def _run_id(created: recorder_pb2.CreateRunResponse) -> RunId:
    return RunId(created.run.name.removeprefix("runs/"))


def _claim(owner: str) -> Claim:
    return Claim(owner, TTL_SECONDS)


@asynccontextmanager
async def _nats(folder: Path) -> AsyncIterator[str]:
    """A server of our own, which syncs what it acknowledges."""
    port = free_ports(["nats"])["nats"]
    process = await asyncio.create_subprocess_exec(
        *nats_command("127.0.0.1", port, folder),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()

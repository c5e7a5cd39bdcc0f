"""Names cannot leave the folder: what the live process does with files while it is lied to.

strace writes down every name the recorder hands to the kernel. It must be one plain name, relative
to the descriptor of a folder below the root, and no link may be followed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import pytest
from google.protobuf.message import Message

from artlab.recorder.v1 import recorder_pb2 as pb
from tests.faults.disturbed import Stub
from tests.faults.every_request import REFUSALS, a_run, answer, requests_about
from tests.faults.hostile_names import NAMES, RUN_ID, spoiled
from tests.faults.traced_files import TracedRecorder, is_clean
from tests.integration.gateway.hostile import status_of
from tests.integration.gateway.world import gateway

AT_ONCE = 32


def test_there_is_a_request_for_every_method() -> None:
    service = pb.DESCRIPTOR.services_by_name["RecorderService"]
    requests = requests_about(f"runs/{RUN_ID}")
    assert {one.DESCRIPTOR for one in requests} == {one.input_type for one in service.methods}


@pytest.mark.parametrize("kind", [type(one) for one in requests_about("")])
async def test_hostile_names_in_every_field_touch_nothing_outside(
    traced: TracedRecorder, stub: Stub, outside: Path, kind: type[Message]
) -> None:
    run = await a_run(stub)
    [request] = [one for one in requests_about(run) if isinstance(one, kind)]
    requests = spoiled(request, run, str(outside))
    codes: Counter[str] = Counter()

    async def send() -> None:
        for request in requests:
            codes[await answer(stub, request)] += 1

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    assert set(codes) <= REFUSALS | {"OK"}, codes
    await is_clean(traced, stub)


async def test_hostile_paths_of_the_gateway_touch_nothing_outside(
    traced: TracedRecorder, stub: Stub, outside: Path
) -> None:
    run_id = (await a_run(stub)).removeprefix("runs/")
    async with gateway(recorder_target=traced.process.target) as world:
        for word in [*NAMES, str(outside)]:
            part = quote(word, safe="")
            for path in (
                *(f"{part}/{what}" for what in ("status", "entities", "entity/input", "events")),
                f"{part}/entities/1",
                f"{run_id}/entity/{part}",
                f"{run_id}/entities/{part}",
            ):
                request = (
                    f"GET /api/pipeline/{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                )
                answered = await world.raw(request.encode())
                assert status_of(answered) in (400, 404, 414), (path, answered[:200])
    await is_clean(traced, stub)

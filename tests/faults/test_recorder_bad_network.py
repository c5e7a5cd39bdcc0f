"""A whole run through a network that cuts and forgets: it is the run it would have been."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.channel import open_channel
from tests.faults.chaos_proxy import ChaosProxy, CutAfter, LoseAnswer
from tests.faults.disturbed import CALL_SECONDS, PICTURE, TEXT, Chaos, Stub, facts_of, succeeded
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.harness import entity


async def test_a_whole_run_through_a_bad_network_is_the_run_it_would_have_been(
    live_recorder: tuple[RecorderProcess, Path],
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    process, root = live_recorder
    async with ChaosProxy(process.target) as proxy:
        calm, chaos = Chaos(process, root, proxy), Chaos(process, root, proxy)
        expected = await calm.document(await whole_run(calm, None))
        found = await chaos.document(await whole_run(chaos, chance))
        assert proxy.struck > 5
    assert facts_of(found) == facts_of(expected)
    assert found["outputs"] == expected["outputs"]
    assert [without_times(one) for one in found["entities"]] == [
        without_times(one) for one in expected["entities"]
    ]
    assert len(await chaos.runs()) == 1


async def test_the_projects_own_channel_repeats_what_is_cut_by_itself(
    live_recorder: tuple[RecorderProcess, Path],
) -> None:
    process, root = live_recorder
    async with ChaosProxy(process.target) as proxy, open_channel(proxy.target) as channel:
        chaos = Chaos(process, root, proxy)
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        run = await chaos.create()
        for number in range(3):
            request = pb.RecordEntityRequest(
                upload=f"{run}/uploads/e{number}", entity=entity("interception"), data=TEXT
            )
            proxy.arm(CutAfter(request.ByteSize() // 2), LoseAnswer())
            answer = await stub.RecordEntity(request, timeout=CALL_SECONDS)
            assert answer.entity.sequence == number + 1
            assert answer.SerializeToString() == proxy.lost_answers[-1]
        assert proxy.struck == 6
        assert len((await chaos.document(run))["entities"]) == 3


async def whole_run(chaos: Chaos, chance: random.Random | None) -> str:
    """A run from its creation to its end; faults strike where chance wants them."""

    async def do(method: str, request: Message) -> Any:
        if chance is not None:
            chaos.arm_at_random(chance, request.ByteSize())

        async def attempt(stub: Stub) -> Any:
            return await getattr(stub, method)(request, timeout=CALL_SECONDS)

        return await chaos.until_answered(attempt)

    created = await do("CreateRun", chaos.create_request())
    run: str = created.run.name
    for stage in range(1, 4):
        await do("SetProgress", pb.SetProgressRequest(name=run, stage=stage, step="one"))
        for number in range(4):
            upload = f"{run}/uploads/s{stage}-{number}"
            of = entity("interception_pass", stage=stage)
            await do("RecordEntity", pb.RecordEntityRequest(upload=upload, entity=of, data=TEXT))
    if chance is not None:
        chaos.arm_at_random(chance, len(PICTURE))
    await chaos.until_answered(lambda stub: chaos.write(stub, f"{run}/uploads/o", PICTURE))
    await do("FinalizeOutput", succeeded(run))
    state = run_pb2.RUN_STATE_SUCCEEDED
    await do("FinalizeRun", pb.FinalizeRunRequest(name=run, state=state))
    return run


def without_times(entity_document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entity_document.items() if key != "timestamp"}

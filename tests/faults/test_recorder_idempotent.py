"""Repeating is harmless: every RPC that changes something, cut, answered in vain, duplicated."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.channel import open_channel
from services.kit.status import from_rpc_error
from tests.faults.chaos_proxy import ChaosProxy, CutAfter, LoseAnswer
from tests.faults.disturbed import CALL_SECONDS, Chaos, Stub, facts_of
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.harness import digest_of, entity, picture, plan, stream
from tests.support.eventually import eventually
from tests.support.rpc import refused

PICTURE = picture(3000)
CHUNK_BYTES = 1024
TEXT = b"Eine Blume"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RecorderProcess, Path]]:
    folder = tmp_path_factory.mktemp("recorder")
    process = RecorderProcess(folder / "runs", folder / "log")
    try:
        process.wait_until_serving()
        yield process, folder / "runs"
    finally:
        process.kill()


@pytest.fixture(params=["disturbed", "at once"])
async def chaos(
    request: pytest.FixtureRequest, served: tuple[RecorderProcess, Path]
) -> AsyncIterator[Chaos]:
    process, root = served
    async with ChaosProxy(process.target) as proxy:
        yield Chaos(process, root, proxy, request.param)


def create_request(chaos: Chaos) -> pb.CreateRunRequest:
    run = plan(user_id=chaos.user_id)
    return pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=run)


async def write(chaos: Chaos, stub: Stub, upload: str, data: bytes) -> pb.WriteEntityResponse:
    """Ask (past the proxy) where the upload stands, send the rest; again while another writes."""
    while True:
        try:
            known = await chaos.call("GetUpload", pb.GetUploadRequest(upload=upload))
            start = known.committed_size
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            start = 0
        messages = stream(upload, data, chunk=CHUNK_BYTES, start=start, of=entity(output_index=1))
        try:
            return await stub.WriteEntity(iter(messages), timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            reason = from_rpc_error(error, "recorder").reason
            if reason not in ("UPLOAD_BUSY", "OFFSET_MISMATCH"):
                raise


async def begin_upload(chaos: Chaos, run: str) -> str:
    upload = f"{run}/uploads/o"
    messages = stream(upload, PICTURE, finish=False)
    await chaos.once(lambda stub: stub.WriteEntity(iter(messages), timeout=CALL_SECONDS))
    return upload


async def run_with_picture(chaos: Chaos) -> str:
    run = await chaos.create()
    await chaos.record(run, "picture", entity(output_index=1), PICTURE)
    return run


def succeeded(run: str) -> pb.FinalizeOutputRequest:
    output = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_SUCCEEDED)
    return pb.FinalizeOutputRequest(name=run, output=output)


async def test_create_run_is_idempotent_under_faults(chaos: Chaos) -> None:
    request = create_request(chaos)
    created = (await chaos.repeat("CreateRun", request)).run
    assert created.name == f"runs/{request.request_id}"
    assert await chaos.runs() == [created.name]
    assert len(facts_of(await chaos.document(created.name))) == 1


async def test_set_progress_is_idempotent_under_faults(chaos: Chaos) -> None:
    run = await chaos.create()
    request = pb.SetProgressRequest(name=run, stage=3, step="safety", output_index=1)
    answer = await chaos.repeat("SetProgress", request)
    assert (answer.progress.stage, answer.progress.step) == (3, "safety")
    facts = facts_of(await chaos.document(run))
    assert [kind for kind, _ in facts] == ["state_changed", "state_changed", "stage_started"]


async def test_publish_hints_is_idempotent_under_faults_for_nothing_is_kept(chaos: Chaos) -> None:
    run = await chaos.create()
    before = await chaos.document(run)
    delta = run_pb2.TextDelta(entity_type="interception", text="Eine")
    request = pb.PublishHintsRequest(name=run, hints=[run_pb2.Hint(text_delta=delta)])
    await chaos.repeat("PublishHints", request)
    assert await chaos.document(run) == before


async def test_record_entity_is_idempotent_under_faults(chaos: Chaos) -> None:
    run = await chaos.create()
    upload = f"{run}/uploads/text"
    request = pb.RecordEntityRequest(upload=upload, entity=entity("interception"), data=TEXT)
    recorded = (await chaos.repeat("RecordEntity", request)).entity
    assert recorded.digest == digest_of(TEXT)
    assert len((await chaos.document(run))["entities"]) == 1
    assert chaos.leftovers(run) == []


async def test_write_entity_is_idempotent_under_faults(chaos: Chaos) -> None:
    run = await chaos.create()
    upload = f"{run}/uploads/picture"

    async def attempt(stub: Stub) -> pb.WriteEntityResponse:
        return await write(chaos, stub, upload, PICTURE)

    written = await chaos.repeated(attempt, 2 * CHUNK_BYTES, pb.WriteEntityResponse)
    assert written.entity.digest == digest_of(PICTURE)
    assert written.committed_size == len(PICTURE)
    assert len((await chaos.document(run))["entities"]) == 1
    assert chaos.leftovers(run) == []


async def test_delete_upload_is_idempotent_under_faults(chaos: Chaos) -> None:
    run = await chaos.create()
    upload = await begin_upload(chaos, run)
    assert chaos.leftovers(run) != []
    await chaos.repeat("DeleteUpload", pb.DeleteUploadRequest(upload=upload))
    assert chaos.leftovers(run) == []
    async with refused("NOT_FOUND", "UPLOAD_NOT_FOUND"):
        await chaos.call("GetUpload", pb.GetUploadRequest(upload=upload))
    assert (await chaos.document(run))["entities"] == []


async def test_finalize_output_is_idempotent_under_faults(chaos: Chaos) -> None:
    run = await run_with_picture(chaos)
    answer = await chaos.repeat("FinalizeOutput", succeeded(run))
    assert answer.output.state == run_pb2.RUN_STATE_SUCCEEDED
    facts = facts_of(await chaos.document(run))
    assert [kind for kind, _ in facts].count("output_finished") == 1


async def test_finalize_run_is_idempotent_under_faults(chaos: Chaos) -> None:
    run = await run_with_picture(chaos)
    await chaos.call("FinalizeOutput", succeeded(run))
    request = pb.FinalizeRunRequest(name=run, state=run_pb2.RUN_STATE_SUCCEEDED)
    ended = (await chaos.repeat("FinalizeRun", request)).run
    assert ended.HasField("finish_time")
    document = await chaos.document(run)
    assert document["status"] == "succeeded"
    assert facts_of(document)[-1] == ("state_changed", {"state": "succeeded", "error": None})


async def test_delete_run_is_idempotent_under_faults(chaos: Chaos) -> None:
    run, other = await run_with_picture(chaos), await run_with_picture(chaos)
    await begin_upload(chaos, run)
    await chaos.repeat("DeleteRun", pb.DeleteRunRequest(name=run))
    assert await chaos.runs() == [other]
    assert not chaos.folder(run).exists()
    await eventually(lambda: chaos.leftovers(run) == [], what="its bytes are gone")
    await chaos.document(other)


async def test_a_whole_run_through_a_bad_network_is_the_run_it_would_have_been(
    served: tuple[RecorderProcess, Path],
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    process, root = served
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
    served: tuple[RecorderProcess, Path],
) -> None:
    process, root = served
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
            assert answer == pb.RecordEntityResponse.FromString(proxy.lost_answers[-1])
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

    created = await do("CreateRun", create_request(chaos))
    run: str = created.run.name
    for stage in range(1, 4):
        await do("SetProgress", pb.SetProgressRequest(name=run, stage=stage, step="one"))
        for number in range(4):
            upload = f"{run}/uploads/s{stage}-{number}"
            of = entity("interception_pass", stage=stage)
            await do("RecordEntity", pb.RecordEntityRequest(upload=upload, entity=of, data=TEXT))
    if chance is not None:
        chaos.arm_at_random(chance, len(PICTURE))
    await chaos.until_answered(lambda stub: write(chaos, stub, f"{run}/uploads/o", PICTURE))
    await do("FinalizeOutput", succeeded(run))
    state = run_pb2.RUN_STATE_SUCCEEDED
    await do("FinalizeRun", pb.FinalizeRunRequest(name=run, state=state))
    return run


def without_times(entity_document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entity_document.items() if key != "timestamp"}

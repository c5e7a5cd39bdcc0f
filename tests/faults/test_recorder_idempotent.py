"""Repeating is harmless: every RPC that changes something, cut, answered in vain, duplicated."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from tests.faults.chaos_proxy import ChaosProxy, CutAfter, ResetBefore
from tests.faults.disturbed import (
    AT_ONCE,
    CALL_SECONDS,
    CHUNK_BYTES,
    PICTURE,
    RESEARCH,
    TEXT,
    Chaos,
    Stub,
    facts_of,
    stub_at,
    succeeded,
)
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.harness import digest_of, entity, stream
from tests.support.eventually import eventually
from tests.support.rpc import refused

# What changes nothing; every other method of the service needs a test here.
READ_ONLY = {
    "ExportRuns",
    "FindRender",
    "GetRun",
    "GetRunStats",
    "GetStoreStatus",
    "GetUpload",
    "ListClaimableRuns",
    "ListRuns",
    "ReadEntity",
    "WatchRun",
}
# No claim runs out while a test takes its time.
LONG = Duration(seconds=60)


@pytest.fixture(params=["disturbed", "at once"])
async def chaos(
    request: pytest.FixtureRequest, live_recorder: tuple[RecorderProcess, Path]
) -> AsyncIterator[Chaos]:
    process, root = live_recorder
    async with ChaosProxy(process.target) as proxy:
        yield Chaos(process, root, proxy, request.param)


async def begin_upload(chaos: Chaos, run: str) -> str:
    upload = f"{run}/uploads/o"
    messages = stream(upload, PICTURE, finish=False)
    await chaos.once(lambda stub: stub.WriteEntity(iter(messages), timeout=CALL_SECONDS))
    return upload


async def run_with_picture(chaos: Chaos) -> str:
    run = await chaos.create()
    await chaos.record(run, "picture", entity(output_index=1), PICTURE)
    return run


def test_every_method_that_changes_something_has_its_test_here() -> None:
    service = pb.DESCRIPTOR.services_by_name["RecorderService"]
    methods = {method.name for method in service.methods}
    assert methods >= READ_ONLY, "a method is gone"
    for method in methods - READ_ONLY:
        name = re.sub(r"(?<!^)([A-Z])", r"_\1", method).lower()
        assert any(test.startswith(f"test_{name}_is_idempotent") for test in globals()), method


async def test_create_run_is_idempotent_under_faults(chaos: Chaos) -> None:
    request = chaos.create_request()
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


async def test_record_entities_is_idempotent_under_faults(chaos: Chaos) -> None:
    run = await chaos.create()
    request = pb.RecordEntitiesRequest(
        name=run,
        entities=[
            pb.NewEntity(upload_id=upload_id, entity=entity("interception"), data=TEXT)
            for upload_id in ("one", "two")
        ],
        progress=run_pb2.Progress(stage=3, step="safety"),
    )
    recorded = (await chaos.repeat("RecordEntities", request)).entities
    assert [one.sequence for one in recorded] == [1, 2]
    document = await chaos.document(run)
    assert len(document["entities"]) == 2
    assert len(facts_of(document)) == 5
    assert chaos.leftovers(run) == []


async def test_write_entity_is_idempotent_under_faults(chaos: Chaos) -> None:
    run = await chaos.create()
    upload = f"{run}/uploads/picture"

    async def attempt(stub: Stub) -> pb.WriteEntityResponse:
        return await chaos.write(stub, upload, PICTURE)

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


async def test_record_warning_is_idempotent_under_faults(chaos: Chaos) -> None:
    run = await chaos.create()
    warning = run_pb2.Warning(reason="DEADLINE_NEAR", message="most of it", output_index=1)
    await chaos.repeat("RecordWarning", pb.RecordWarningRequest(name=run, warning=warning))
    facts = facts_of(await chaos.document(run))
    assert [kind for kind, _ in facts] == ["state_changed", "warning"]


async def test_erase_entity_is_idempotent_under_faults(chaos: Chaos) -> None:
    run = await run_with_picture(chaos)
    request = pb.EraseEntityRequest(name=f"{run}/entities/1", reason="SAFETY_BLOCKED")
    erased = (await chaos.repeat("EraseEntity", request)).entity
    assert erased.digest == digest_of(PICTURE)
    assert erased.HasField("erase_time")
    facts = facts_of(await chaos.document(run))
    assert [kind for kind, _ in facts].count("entity_erased") == 1
    assert not (chaos.folder(run) / erased.filename).exists()


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


async def test_claim_run_is_idempotent_under_faults_for_an_owner_keeps_its_epoch(
    chaos: Chaos,
) -> None:
    run = await chaos.create()
    before = await chaos.document(run)
    claim = pb.Claim(owner="driver-1", ttl=LONG)
    answer = await chaos.repeat("ClaimRun", pb.ClaimRunRequest(name=run, claim=claim))
    assert answer == pb.ClaimRunResponse(claimed=True, epoch=1)
    force = pb.ClaimRunRequest(name=run, claim=pb.Claim(owner="driver-2", ttl=LONG), force=True)
    answer = await chaos.repeat("ClaimRun", force)
    assert answer == pb.ClaimRunResponse(claimed=True, epoch=2)
    assert await chaos.document(run) == before
    assert len(list((chaos.root / ".claims").glob(f"{run.removeprefix('runs/')}.*"))) == 1


async def test_create_run_is_idempotent_under_faults_with_a_claim_too(chaos: Chaos) -> None:
    request = chaos.create_request()
    request.claim.CopyFrom(pb.Claim(owner="driver-1", ttl=LONG))
    assert (await chaos.repeat("CreateRun", request)).epoch == 1
    request.claim.owner = "driver-2"
    assert (await chaos.repeat("CreateRun", request)).epoch == 0


async def test_renew_claims_is_idempotent_under_faults(chaos: Chaos) -> None:
    claim = pb.Claim(owner="driver-1", ttl=LONG)
    run, lost = await chaos.create(), await chaos.create()
    await chaos.call("ClaimRun", pb.ClaimRunRequest(name=run, claim=claim))
    held = [pb.HeldClaim(name=run, epoch=1), pb.HeldClaim(name=lost, epoch=1)]
    answer = await chaos.repeat("RenewClaims", pb.RenewClaimsRequest(claim=claim, held=held))
    assert answer == pb.RenewClaimsResponse(lost=[pb.LostClaim(name=lost, reason="FENCED")])


async def test_release_claim_is_idempotent_under_faults(chaos: Chaos) -> None:
    run = await chaos.create()
    claim = pb.ClaimRunRequest(name=run, claim=pb.Claim(owner="driver-1", ttl=LONG))
    assert (await chaos.call("ClaimRun", claim)).epoch == 1
    request = pb.ReleaseClaimRequest(name=run, owner="driver-1", epoch=1, delay=LONG)
    await chaos.repeat("ReleaseClaim", request)
    refused = await chaos.call("ClaimRun", claim)
    assert not refused.claimed
    assert 0 < refused.retry_after.ToSeconds() <= LONG.ToSeconds()
    # What is repeated after somebody has it again takes nothing from them.
    claim.force = True
    assert (await chaos.call("ClaimRun", claim)).epoch == 2
    await chaos.repeat("ReleaseClaim", request)
    assert (await chaos.call("ClaimRun", claim)).epoch == 2


@pytest.mark.parametrize("is_one", [True, False])
async def test_set_favourite_is_idempotent_under_faults(chaos: Chaos, is_one: bool) -> None:
    run = await chaos.create()
    before = await chaos.document(run)
    get = pb.GetRunRequest(name=run, audience=RESEARCH)
    await chaos.call("SetFavourite", pb.SetFavouriteRequest(name=run, favourite=not is_one))
    request = pb.SetFavouriteRequest(name=run, favourite=is_one)
    assert (await chaos.repeat("SetFavourite", request)).favourite is is_one
    assert (await chaos.call("GetRun", get)).run.favourite is is_one
    assert await chaos.document(run) == before


async def test_import_runs_is_idempotent_under_faults(chaos: Chaos, tmp_path: Path) -> None:
    run, archive = await archive_of_a_run(chaos, tmp_path)
    pieces = [archive[at : at + CHUNK_BYTES] for at in range(0, len(archive), CHUNK_BYTES)]

    async def attempt(stub: Stub) -> pb.ImportRunsResponse:
        requests = (pb.ImportRunsRequest(data=piece) for piece in pieces)
        return await stub.ImportRuns(requests, timeout=CALL_SECONDS)

    imported = pb.ImportRunsResponse(imported=[run])
    if chaos.how == "disturbed":
        await chaos.struck(ResetBefore(), attempt)
        await chaos.struck(CutAfter(len(archive) // 2), attempt)
        assert await chaos.runs() == []
        answers = [pb.ImportRunsResponse.FromString(await chaos.lost_answer(attempt))]
    else:
        patient = chaos.unless("TOO_MANY_IMPORTS", attempt)
        answers = await asyncio.gather(*(chaos.once(patient) for _ in range(AT_ONCE)))
    answers.append(await chaos.once(attempt))
    assert answers.count(imported) == 1
    assert answers.count(pb.ImportRunsResponse(skipped=[run])) == len(answers) - 1
    assert await chaos.runs() == [run]
    assert len((await chaos.document(run))["entities"]) == 1
    assert list((chaos.root / ".imports").iterdir()) == []


async def archive_of_a_run(chaos: Chaos, tmp_path: Path) -> tuple[str, bytes]:
    """The name of a final run of another recorder, and the archive it is in."""
    process = RecorderProcess(tmp_path / "runs", tmp_path / "log")
    try:
        process.wait_until_serving()
        other = replace(chaos, process=process, root=tmp_path / "runs")
        run = await run_with_picture(other)
        end = pb.FinalizeRunRequest(name=run, state=run_pb2.RUN_STATE_CANCELLED)
        await other.call("FinalizeRun", end)
        wish = pb.ExportRunsRequest(audience=RESEARCH, names=[run], format=pb.EXPORT_FORMAT_ZIP)
        async with stub_at(process.target) as stub:
            parts = [part.data async for part in stub.ExportRuns(wish, timeout=CALL_SECONDS)]
        return run, b"".join(parts)
    finally:
        process.kill()

"""The recorder's contract: every malformed field is refused with its path, in proto order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from artlab.recorder.v1 import recorder_pb2 as pb
from services.recorder.servicer import RecorderServicer
from tests.integration.recorder.harness import World, digest_of, entity, plan, world_of
from tests.support.rpc import refused

RUN = "runs/528e5af9-59b3-4551-b101-27e13dd6e43e"
RESEARCH = run_pb2.AUDIENCE_RESEARCH
RUN_ID = RUN.removeprefix("runs/")
OTHER_RUN = "runs/00000000-0000-4000-8000-000000000001"
UPLOAD = f"{RUN}/uploads/x"
BAD_RUN_IDS = [
    "",
    "*",
    ".",
    "..",
    ".uploads",
    ".trash",
    "metadata.json",
    "/etc",
    "CON",
    "$(id)",
    "\x00",
    "528E5AF9-59B3-4551-B101-27E13DD6E43E",
    "528e5af959b34551b10127e13dd6e43e",
    "{528e5af9-59b3-4551-b101-27e13dd6e43e}",
    "urn:uuid:528e5af9-59b3-4551-b101-27e13dd6e43e",
    "528e5af9-59b3-4551-b101-27e13dd6e43e\n",
    "\u202e528e5af9-59b3-4551-b101-27e13dd6e43e",
    "../../etc/passwd",
    "x" * 10_000,
]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of("grpc", tmp_path / "runs") as world:
        yield world


def output(**changes: Any) -> run_pb2.Output:
    values: dict[str, Any] = {"index": 1, "occurrence": 1, "output_config": "a", "kind": 2}
    return run_pb2.Output(**(values | changes))


def time(seconds: int, nanos: int) -> Timestamp:
    return Timestamp(seconds=seconds, nanos=nanos)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"config_name": ""}, "run.config_name"),
        ({"config_name": "Dada"}, "run.config_name"),
        ({"config_name": "dada\n"}, "run.config_name"),
        ({"config_name": "a" * 65}, "run.config_name"),
        ({"config_name": "../dada"}, "run.config_name"),
        ({"safety_level": 0}, "run.safety_level"),
        ({"safety_level": 99}, "run.safety_level"),
        ({"user_id": ""}, "run.user_id"),
        ({"user_id": "Anna Maier"}, "run.user_id"),
        ({"deadline": time(0, 1_000_000_000)}, "run.deadline"),
        ({"deadline": time(0, -1)}, "run.deadline"),
        ({"deadline": time(2**62, 0)}, "run.deadline"),
        ({"deadline": time(0, 0)}, "run.deadline"),
        ({"outputs": [output()] * 17}, "run.outputs"),
        ({"outputs": [output(index=0)]}, "run.outputs[0].index"),
        ({"outputs": [output(), output(index=3)]}, "run.outputs[1].index"),
        ({"outputs": [output(), output(index=2)]}, "run.outputs[1].occurrence"),
        ({"outputs": [output(output_config="")]}, "run.outputs[0].output_config"),
        ({"outputs": [output(kind=0)]}, "run.outputs[0].kind"),
        ({"outputs": [output(kind=77)]}, "run.outputs[0].kind"),
        ({"expected_entities": ["input", "nonsense"]}, "run.expected_entities[1]"),
        ({"expected_entities": ["input"] * 1001}, "run.expected_entities"),
        ({"execution_mode": 0}, "run.execution_mode"),
        ({"execution_mode": 5}, "run.execution_mode"),
        ({"seed": -1}, "run.seed"),
        ({"seed": 2**53}, "run.seed"),
        ({"parent": RUN_ID}, "run.parent"),
        ({"parent": "runs/x"}, "run.parent"),
        ({"parent": RUN}, "run.parent"),  # itself
        ({"parent_sequence": 1}, "run.parent_sequence"),
        ({"parent": OTHER_RUN, "parent_sequence": -1}, "run.parent_sequence"),
        ({"parent": OTHER_RUN, "parent_sequence": 10_001}, "run.parent_sequence"),
    ],
)
async def test_create_run_names_the_malformed_field(
    world: World, changes: dict[str, Any], field: str
) -> None:
    async with refused("INVALID_ARGUMENT", field=field):
        await world.stub.CreateRun(pb.CreateRunRequest(request_id=RUN_ID, run=plan(**changes)))
    async with refused("NOT_FOUND"):
        await world.stub.GetRun(pb.GetRunRequest(name=RUN, audience=run_pb2.AUDIENCE_RESEARCH))


@pytest.mark.parametrize(
    "document",
    [
        "no JSON",
        "[]",
        "null",
        '{"a": NaN}',
        '{"a": 1',
        "[" * 100_000,
        '{"a": "' + "x" * (256 * 1024 - 8) + '"}',
        '{"a": "' + "ü" * (128 * 1024 - 3) + '"}',
    ],
)
async def test_a_plan_is_a_json_object_of_at_most_256_kib(world: World, document: str) -> None:
    async with refused("INVALID_ARGUMENT", "INVALID_PLAN", "plan"):
        await world.stub.CreateRun(
            pb.CreateRunRequest(request_id=RUN_ID, run=plan(), plan=document)
        )
    async with refused("NOT_FOUND"):
        await world.stub.GetRun(pb.GetRunRequest(name=RUN, audience=RESEARCH))


def claim(**changes: Any) -> pb.Claim:
    values: dict[str, Any] = {"owner": "driver-1", "ttl": Duration(seconds=5)}
    return pb.Claim(**(values | changes))


@pytest.mark.parametrize(
    ("bad", "reason", "field"),
    [
        (None, "CLAIM_REQUIRED", "claim"),
        (pb.Claim(), "INVALID_OWNER", "claim.owner"),
        (claim(owner="Driver"), "INVALID_OWNER", "claim.owner"),
        (claim(owner="a.b"), "INVALID_OWNER", "claim.owner"),
        (claim(owner="a/b"), "INVALID_OWNER", "claim.owner"),
        (claim(owner="a\n"), "INVALID_OWNER", "claim.owner"),
        (claim(owner="a" * 65), "INVALID_OWNER", "claim.owner"),
        (pb.Claim(owner="a"), "INVALID_DURATION", "claim.ttl"),
        (claim(ttl=Duration(nanos=499_000_000)), "INVALID_DURATION", "claim.ttl"),
        (claim(ttl=Duration(seconds=60, nanos=1_000_000)), "INVALID_DURATION", "claim.ttl"),
        (claim(ttl=Duration(seconds=-1)), "INVALID_DURATION", "claim.ttl"),
        (claim(ttl=Duration(seconds=1, nanos=-1)), "INVALID_DURATION", "claim.ttl"),
        (claim(ttl=Duration(seconds=2**62)), "INVALID_DURATION", "claim.ttl"),
    ],
)
async def test_a_claim_names_the_malformed_field(
    world: World, bad: pb.Claim | None, reason: str, field: str
) -> None:
    async with refused("INVALID_ARGUMENT", reason, field):
        await world.stub.ClaimRun(pb.ClaimRunRequest(name=RUN, claim=bad))
    async with refused("INVALID_ARGUMENT", reason, field):
        await world.stub.RenewClaims(pb.RenewClaimsRequest(claim=bad))
    if bad is not None:
        async with refused("INVALID_ARGUMENT", reason, field):
            request = pb.CreateRunRequest(request_id=RUN_ID, run=plan(), claim=bad)
            await world.stub.CreateRun(request)
        async with refused("NOT_FOUND"):
            await world.stub.GetRun(pb.GetRunRequest(name=RUN, audience=RESEARCH))


def held(**changes: Any) -> pb.HeldClaim:
    values: dict[str, Any] = {"name": RUN, "epoch": 1}
    return pb.HeldClaim(**(values | changes))


@pytest.mark.parametrize(
    ("claims", "reason", "field"),
    [
        ([held()] * 10_001, "TOO_MANY", "held"),
        ([held(), held(name=RUN_ID)], "INVALID_NAME", "held[1].name"),
        ([held(epoch=0)], "OUT_OF_BOUNDS", "held[0].epoch"),
        ([held(epoch=-1)], "OUT_OF_BOUNDS", "held[0].epoch"),
    ],
)
async def test_renew_claims_names_the_malformed_field(
    world: World, claims: list[pb.HeldClaim], reason: str, field: str
) -> None:
    async with refused("INVALID_ARGUMENT", reason, field):
        await world.stub.RenewClaims(pb.RenewClaimsRequest(claim=claim(), held=claims))


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"owner": ""}, "INVALID_OWNER", "owner"),
        ({"owner": "../x"}, "INVALID_OWNER", "owner"),
        ({"epoch": 0}, "OUT_OF_BOUNDS", "epoch"),
        ({"delay": Duration(seconds=-1)}, "INVALID_DURATION", "delay"),
        ({"delay": Duration(nanos=2_000_000_000)}, "INVALID_DURATION", "delay"),
        ({"delay": Duration(seconds=30 * 86400, nanos=1_000_000)}, "INVALID_DURATION", "delay"),
    ],
)
async def test_release_claim_names_the_malformed_field(
    world: World, changes: dict[str, Any], reason: str, field: str
) -> None:
    values: dict[str, Any] = {"name": RUN, "owner": "driver-1", "epoch": 1, **changes}
    async with refused("INVALID_ARGUMENT", reason, field):
        await world.stub.ReleaseClaim(pb.ReleaseClaimRequest(**values))


async def test_list_claimable_runs_names_the_malformed_field(world: World) -> None:
    async with refused("INVALID_ARGUMENT", "OUT_OF_BOUNDS", "page_size"):
        await world.stub.ListClaimableRuns(pb.ListClaimableRunsRequest(page_size=-1))


async def test_an_epoch_is_no_negative_number(world: World) -> None:
    await world.create(RUN_ID)
    warning = run_pb2.Warning(reason="SOME_REASON")
    ended = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_CANCELLED)
    hint = run_pb2.Hint(text_delta=run_pb2.TextDelta(entity_type="interception", text="x"))
    calls: list[Any] = [
        pb.SetProgressRequest(name=RUN, step="one"),
        pb.PublishHintsRequest(name=RUN, hints=[hint]),
        pb.RecordEntityRequest(upload=UPLOAD, entity=entity("input"), data=b"x"),
        pb.GetUploadRequest(upload=UPLOAD),
        pb.DeleteUploadRequest(upload=UPLOAD),
        pb.EraseEntityRequest(name=f"{RUN}/entities/1", reason="SOME_REASON"),
        pb.RecordWarningRequest(name=RUN, warning=warning),
        pb.FinalizeOutputRequest(name=RUN, output=ended),
        pb.FinalizeRunRequest(name=RUN, state=run_pb2.RUN_STATE_CANCELLED),
    ]
    for request in calls:
        request.epoch = -1
        method = type(request).__name__.removesuffix("Request")
        async with refused("INVALID_ARGUMENT", "OUT_OF_BOUNDS", "epoch"):
            await getattr(world.stub, method)(request)
    message = pb.WriteEntityRequest(upload=UPLOAD, entity=entity("input"), data=b"x", epoch=-1)
    async with refused("INVALID_ARGUMENT", "OUT_OF_BOUNDS", "epoch"):
        await world.stub.WriteEntity(iter([message]))
    assert (await world.get(RUN)).last_event_seq == 1


async def test_the_first_malformed_field_in_proto_order_is_named(world: World) -> None:
    request = pb.CreateRunRequest(request_id=RUN_ID, run=plan(seed=-1, user_id="", safety_level=0))
    async with refused("INVALID_ARGUMENT", field="run.safety_level"):
        await world.stub.CreateRun(request)


@pytest.mark.parametrize("run_id", BAD_RUN_IDS)
async def test_only_a_canonical_uuid_is_a_run_id(world: World, run_id: str) -> None:
    async with refused("INVALID_ARGUMENT", "INVALID_RUN_ID", "request_id"):
        await world.stub.CreateRun(pb.CreateRunRequest(request_id=run_id, run=plan()))
    name = f"runs/{run_id}"
    calls: list[tuple[str, Any, str]] = [
        ("GetRun", pb.GetRunRequest(name=name, audience=run_pb2.AUDIENCE_RESEARCH), "name"),
        ("DeleteRun", pb.DeleteRunRequest(name=name), "name"),
        ("ClaimRun", pb.ClaimRunRequest(name=name), "name"),
        ("ReleaseClaim", pb.ReleaseClaimRequest(name=name), "name"),
        ("SetProgress", pb.SetProgressRequest(name=name), "name"),
        ("PublishHints", pb.PublishHintsRequest(name=name), "name"),
        ("RecordWarning", pb.RecordWarningRequest(name=name), "name"),
        ("FinalizeOutput", pb.FinalizeOutputRequest(name=name), "name"),
        ("FinalizeRun", pb.FinalizeRunRequest(name=name), "name"),
        ("RecordEntity", pb.RecordEntityRequest(upload=f"{name}/uploads/x"), "upload"),
        ("GetUpload", pb.GetUploadRequest(upload=f"{name}/uploads/x"), "upload"),
        ("DeleteUpload", pb.DeleteUploadRequest(upload=f"{name}/uploads/x"), "upload"),
    ]
    for method, request, field in calls:
        async with refused("INVALID_ARGUMENT", "INVALID_NAME", field):
            await getattr(world.stub, method)(request)
    streams: list[tuple[str, Any]] = [
        ("WatchRun", pb.WatchRunRequest(name=name, audience=run_pb2.AUDIENCE_RESEARCH)),
        (
            "ReadEntity",
            pb.ReadEntityRequest(name=f"{name}/entities/1", audience=run_pb2.AUDIENCE_RESEARCH),
        ),
    ]
    for method, request in streams:
        async with refused("INVALID_ARGUMENT", "INVALID_NAME", "name"):
            await everything(getattr(world.stub, method)(request))
    async with refused("INVALID_ARGUMENT", "INVALID_NAME", "upload"):
        await world.stub.WriteEntity(iter([pb.WriteEntityRequest(upload=f"{name}/uploads/x")]))


@pytest.mark.parametrize("upload_id", ["", "A", "a_b", "..", "a/b", "a" * 65, "a\n", "a.json"])
async def test_only_an_upload_id_is_one(world: World, upload_id: str) -> None:
    async with refused("INVALID_ARGUMENT", "INVALID_NAME", "upload"):
        await world.stub.GetUpload(pb.GetUploadRequest(upload=f"{RUN}/uploads/{upload_id}"))


@pytest.mark.parametrize("reason", ["", "why", "A1", "A" * 64, "SAFETY\n"])
async def test_erase_entity_names_the_malformed_field(world: World, reason: str) -> None:
    await world.create(RUN_ID)
    async with refused("INVALID_ARGUMENT", "INVALID_REASON", "reason"):
        await world.stub.EraseEntity(pb.EraseEntityRequest(name=f"{RUN}/entities/1", reason=reason))
    async with refused("INVALID_ARGUMENT", "INVALID_NAME", "name"):
        await world.stub.EraseEntity(pb.EraseEntityRequest(name=RUN, reason=reason))


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"user_id": ""}, "INVALID_USER_ID", "user_id"),
        ({"user_id": "Anna Maier"}, "INVALID_USER_ID", "user_id"),
        ({"render_digest": ""}, "INVALID_DIGEST", "render_digest"),
        ({"render_digest": "a" * 63}, "INVALID_DIGEST", "render_digest"),
        ({"render_digest": "a" * 65}, "INVALID_DIGEST", "render_digest"),
        ({"render_digest": "A" * 64}, "INVALID_DIGEST", "render_digest"),
        ({"render_digest": "a" * 63 + "%"}, "INVALID_DIGEST", "render_digest"),
    ],
)
async def test_find_render_names_the_malformed_field(
    world: World, changes: dict[str, str], reason: str, field: str
) -> None:
    values = {"user_id": "pseudonym-1", "render_digest": "a" * 64, **changes}
    async with refused("INVALID_ARGUMENT", reason, field):
        await world.stub.FindRender(pb.FindRenderRequest(**values))


@pytest.mark.parametrize("sequence", ["", "0", "-1", "1e3", "\u0661", "01", "1234567", "1 "])
async def test_only_ascii_digits_are_a_sequence(world: World, sequence: str) -> None:
    async with refused("INVALID_ARGUMENT", field="name"):
        await everything(
            world.stub.ReadEntity(
                pb.ReadEntityRequest(
                    name=f"{RUN}/entities/{sequence}", audience=run_pb2.AUDIENCE_RESEARCH
                )
            )
        )


def with_draft(**values: Any) -> pb.RecordEntityRequest:
    return pb.RecordEntityRequest(
        upload=UPLOAD, entity=entity(values.pop("type", "input"), **values), data=b"text"
    )


def models(**changes: str) -> list[common_pb2.ModelUse]:
    return [common_pb2.ModelUse(**({"task": "t", "backend": "b", "model": "m"} | changes))]


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        ({"type": ""}, "entity.type"),
        ({"type": "INPUT"}, "entity.type"),
        ({"type": "output_exe"}, "entity.type"),
        ({"type": "../input"}, "entity.type"),
        ({"output_index": -1}, "entity.output_index"),
        ({"output_index": 17}, "entity.output_index"),
        ({"output_index": 2}, "entity.output_index"),  # the plan has one
        ({"metadata": {"Seed": "1"}}, "entity.metadata"),
        ({"metadata": {"": "1"}}, "entity.metadata"),
        ({"metadata": {f"k{n}": "" for n in range(65)}}, "entity.metadata"),
        ({"metadata": {"k": "x" * 16 * 1024}}, "entity.metadata"),
        ({"metadata": {"k": "\x1b[31m"}}, "entity.metadata"),
        ({"stage": 5}, "entity.stage"),
        ({"stage": -1}, "entity.stage"),
        ({"pass": -1}, "entity.pass"),
        ({"pass": 1001}, "entity.pass"),
        ({"start_time": time(0, 1_000_000_000)}, "entity.start_time"),
        ({"duration": Duration(seconds=-1)}, "entity.duration"),
        ({"duration": Duration(seconds=100_000)}, "entity.duration"),
        ({"duration": Duration(nanos=2_000_000_000)}, "entity.duration"),
        ({"attempt": -1}, "entity.attempt"),
        ({"audience": 9}, "entity.audience"),
        ({"models_used": models() * 17}, "entity.models_used"),
        ({"models_used": models(model="x" * 201)}, "entity.models_used[0].model"),
        ({"models_used": models(backend="\x00")}, "entity.models_used[0].backend"),
    ],
)
async def test_an_entity_names_the_malformed_field(
    world: World, draft: dict[str, Any], field: str
) -> None:
    await world.create(RUN_ID)
    request = with_draft(**draft)
    async with refused("INVALID_ARGUMENT", field=field):
        await world.stub.RecordEntity(request)
    first = pb.WriteEntityRequest(
        upload=UPLOAD, entity=request.entity, data=b"t", finish=True, digest=digest_of(b"t")
    )
    async with refused("INVALID_ARGUMENT", field=field):
        await world.stub.WriteEntity(iter([first]))
    assert not (await world.get(RUN)).entities
    assert world.unfinished_bytes() == 0


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        (pb.RecordEntityRequest(upload=UPLOAD, data=b"x"), "ENTITY_REQUIRED", "entity"),
        (pb.RecordEntityRequest(upload=UPLOAD, entity=entity("input")), "EMPTY_MEDIA", "data"),
        (
            pb.RecordEntityRequest(
                upload=UPLOAD, entity=entity("input"), data=b"x" * (1024 * 1024 + 1)
            ),
            "MEDIA_TOO_LARGE",
            "data",
        ),
        (
            pb.RecordEntityRequest(upload=UPLOAD, entity=entity("input"), data=b"\xff\xfe"),
            "NOT_UTF8",
            "data",
        ),
        (
            pb.RecordEntityRequest(upload=UPLOAD, entity=entity("safety"), data=b"[1]"),
            "NOT_JSON",
            "data",
        ),
        (
            pb.RecordEntityRequest(
                upload=UPLOAD, entity=entity("output_image"), data=b"<svg xmlns='x'/>"
            ),
            "MEDIA_TYPE_NOT_ALLOWED",
            "data",
        ),
    ],
)
async def test_record_entity_refuses_what_is_no_entity(
    world: World, request_: pb.RecordEntityRequest, reason: str, field: str
) -> None:
    await world.create(RUN_ID)
    async with refused("INVALID_ARGUMENT", reason, field):
        await world.stub.RecordEntity(request_)
    assert not (await world.get(RUN)).entities
    assert world.unfinished_bytes() == 0


def finishing(**digest: Any) -> pb.WriteEntityRequest:
    return pb.WriteEntityRequest(
        upload=UPLOAD,
        entity=entity("input"),
        data=b"x",
        finish=True,
        digest=common_pb2.Digest(**digest),
    )


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.WriteEntityRequest(data=b"x"), "upload"),
        (pb.WriteEntityRequest(upload=UPLOAD, offset=-1), "offset"),
        (pb.WriteEntityRequest(upload=UPLOAD, finish=True), "digest"),
        (finishing(sha256="a" * 63, size_bytes=1), "digest.sha256"),
        (finishing(sha256="a" * 65, size_bytes=1), "digest.sha256"),
        (finishing(sha256="A" * 64, size_bytes=1), "digest.sha256"),
        (finishing(sha256="a" * 64, size_bytes=-1), "digest.size_bytes"),
        (pb.WriteEntityRequest(upload=UPLOAD, data=b"x"), "entity"),
    ],
)
async def test_write_entity_names_the_malformed_field(
    world: World, message: pb.WriteEntityRequest, field: str
) -> None:
    await world.create(RUN_ID)
    async with refused("INVALID_ARGUMENT", field=field):
        await world.stub.WriteEntity(iter([message]))
    assert world.unfinished_bytes() == 0


async def test_an_empty_stream_is_refused(world: World) -> None:
    async with refused("INVALID_ARGUMENT", field="upload"):
        await world.stub.WriteEntity(iter([]))


def error(**changes: Any) -> run_pb2.RunError:
    return run_pb2.RunError(**({"reason": "SOME_REASON", "message": "why"} | changes))


BAD_ERRORS: list[tuple[run_pb2.RunError, str]] = [
    (error(reason=""), "reason"),
    (error(reason="some_reason"), "reason"),
    (error(reason="A" * 64), "reason"),
    (error(message="x" * 1001), "message"),
    (error(message="\x00"), "message"),
    (error(stage=5), "stage"),
]


def run_end(*outputs: run_pb2.Output) -> pb.FinalizeRunRequest:
    return pb.FinalizeRunRequest(name=RUN, state=run_pb2.RUN_STATE_CANCELLED, outputs=list(outputs))


@pytest.mark.parametrize(
    ("end", "field"),
    [
        (pb.FinalizeRunRequest(name=RUN), "state"),
        (pb.FinalizeRunRequest(name=RUN, state=run_pb2.RUN_STATE_RUNNING), "state"),
        (pb.FinalizeRunRequest(name=RUN, state=run_pb2.RUN_STATE_NOT_AVAILABLE), "state"),
        (pb.FinalizeRunRequest(name=RUN, state=run_pb2.RUN_STATE_FAILED), "error"),
        (pb.FinalizeRunRequest(name=RUN, state=run_pb2.RUN_STATE_BLOCKED), "error"),
        (
            pb.FinalizeRunRequest(name=RUN, state=run_pb2.RUN_STATE_SUCCEEDED, error=error()),
            "error",
        ),
        *(
            (
                pb.FinalizeRunRequest(name=RUN, state=run_pb2.RUN_STATE_FAILED, error=bad),
                f"error.{field}",
            )
            for bad, field in BAD_ERRORS
        ),
        (run_end(run_pb2.Output(index=0, state=run_pb2.RUN_STATE_CANCELLED)), "outputs[0].index"),
        (run_end(run_pb2.Output(index=1)), "outputs[0].state"),
        (run_end(run_pb2.Output(index=1, state=run_pb2.RUN_STATE_BLOCKED)), "outputs[0].error"),
        (run_end(*[run_pb2.Output()] * 17), "outputs"),
    ],
)
async def test_finalize_run_names_the_malformed_field(
    world: World, end: pb.FinalizeRunRequest, field: str
) -> None:
    await world.create(RUN_ID)
    async with refused("INVALID_ARGUMENT", field=field):
        await world.stub.FinalizeRun(end)
    assert (await world.get(RUN)).state == run_pb2.RUN_STATE_PENDING


@pytest.mark.parametrize(
    ("end", "field"),
    [
        (run_pb2.Output(index=0, state=run_pb2.RUN_STATE_SUCCEEDED), "output.index"),
        (run_pb2.Output(index=17, state=run_pb2.RUN_STATE_SUCCEEDED), "output.index"),
        (run_pb2.Output(index=1), "output.state"),
        (run_pb2.Output(index=1, state=run_pb2.RUN_STATE_PARTIAL), "output.state"),
        (run_pb2.Output(index=1, state=run_pb2.RUN_STATE_NOT_AVAILABLE), "output.error"),
        *(
            (
                run_pb2.Output(index=1, state=run_pb2.RUN_STATE_FAILED, error=bad),
                f"output.error.{field}",
            )
            for bad, field in BAD_ERRORS
        ),
    ],
)
async def test_finalize_output_names_the_malformed_field(
    world: World, end: run_pb2.Output, field: str
) -> None:
    await world.create(RUN_ID)
    async with refused("INVALID_ARGUMENT", field=field):
        await world.stub.FinalizeOutput(pb.FinalizeOutputRequest(name=RUN, output=end))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stage": -1}, "stage"),
        ({"stage": 5}, "stage"),
        ({"step": ""}, "step"),
        ({"step": "Step One"}, "step"),
        ({"step": "a" * 65}, "step"),
        ({"output_index": -1}, "output_index"),
        ({"output_index": 17}, "output_index"),
        ({"output_index": 2}, "output_index"),
    ],
)
async def test_set_progress_names_the_malformed_field(
    world: World, changes: dict[str, Any], field: str
) -> None:
    await world.create(RUN_ID)
    values: dict[str, Any] = {"name": RUN, "stage": 1, "step": "interception"}
    async with refused("INVALID_ARGUMENT", field=field):
        await world.stub.SetProgress(pb.SetProgressRequest(**(values | changes)))
    assert (await world.get(RUN)).state == run_pb2.RUN_STATE_PENDING


def delta(**values: Any) -> run_pb2.Hint:
    return run_pb2.Hint(text_delta=run_pb2.TextDelta(**({"entity_type": "interception"} | values)))


def rendering(**values: Any) -> run_pb2.Hint:
    return run_pb2.Hint(
        render_progress=run_pb2.RenderProgress(**({"output_index": 1, "phase": 1} | values))
    )


def preview(**values: Any) -> run_pb2.Hint:
    good: dict[str, Any] = {"output_index": 1, "media_type": "image/webp", "data": b"x"}
    return run_pb2.Hint(preview=run_pb2.Preview(**(good | values)))


@pytest.mark.parametrize(
    ("hints", "field"),
    [
        ([], "hints"),
        ([delta()] * 101, "hints"),
        ([run_pb2.Hint()], "hints[0].hint"),
        ([delta(), delta(entity_type="input")], "hints[1].text_delta.entity_type"),
        ([delta(**{"pass": -1})], "hints[0].text_delta.pass"),
        ([delta(offset=-1)], "hints[0].text_delta.offset"),
        ([delta(text="x" * 20_001)], "hints[0].text_delta.text"),
        ([rendering(output_index=0)], "hints[0].render_progress.output_index"),
        ([rendering(phase=0)], "hints[0].render_progress.phase"),
        ([rendering(phase=9)], "hints[0].render_progress.phase"),
        ([rendering(fraction=1.5)], "hints[0].render_progress.fraction"),
        ([rendering(fraction=float("nan"))], "hints[0].render_progress.fraction"),
        ([rendering(queue_position=-1)], "hints[0].render_progress.queue_position"),
        ([rendering(attempt=-1)], "hints[0].render_progress.attempt"),
        ([rendering(node="x" * 201)], "hints[0].render_progress.node"),
        ([preview(output_index=17)], "hints[0].preview.output_index"),
        ([preview(media_type="image/svg+xml")], "hints[0].preview.media_type"),
        ([preview(data=b"")], "hints[0].preview.data"),
        ([preview(data=b"x" * 65_537)], "hints[0].preview.data"),
    ],
)
async def test_publish_hints_names_the_malformed_field(
    world: World, hints: list[run_pb2.Hint], field: str
) -> None:
    await world.create(RUN_ID)
    async with refused("INVALID_ARGUMENT", field=field):
        await world.stub.PublishHints(pb.PublishHintsRequest(name=RUN, hints=hints))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListRunsRequest(page_size=-1), "page_size"),
        (pb.ListRunsRequest(page_token="nonsense"), "page_token"),
        (pb.ListRunsRequest(user_id="Anna Maier"), "user_id"),
        (pb.ListRunsRequest(user_id="a", filter=pb.RunFilter(user_id="b")), "filter.user_id"),
    ],
)
async def test_list_runs_names_the_malformed_field(
    world: World, request_: pb.ListRunsRequest, field: str
) -> None:
    request_.audience = RESEARCH
    async with refused("INVALID_ARGUMENT", field=field):
        await world.stub.ListRuns(request_)


@pytest.mark.parametrize("audience", [0, 77])
async def test_a_list_or_a_count_needs_an_audience(
    world: World, audience: run_pb2.Audience.ValueType
) -> None:
    async with refused("INVALID_ARGUMENT", field="audience"):
        await world.stub.ListRuns(pb.ListRunsRequest(audience=audience))
    async with refused("INVALID_ARGUMENT", field="audience"):
        await world.stub.GetRunStats(pb.GetRunStatsRequest(audience=audience))


BAD_TIME = Timestamp(seconds=1, nanos=-1)


@pytest.mark.parametrize(
    ("given", "reason", "field"),
    [
        ({"user_id": "Anna Maier"}, "INVALID_USER_ID", "user_id"),
        ({"config_names": ["dada", "a", "b", "Dada!"]}, "INVALID_CONFIG_NAME", "config_names[3]"),
        ({"config_names": [f"c{n}" for n in range(51)]}, "TOO_MANY", "config_names"),
        ({"states": [0]}, "ENUM_REQUIRED", "states[0]"),
        ({"states": [1, 77]}, "ENUM_NOT_ALLOWED", "states[1]"),
        ({"states": [run_pb2.RUN_STATE_NOT_AVAILABLE]}, "ENUM_NOT_ALLOWED", "states[0]"),
        ({"states": [1] * 51}, "TOO_MANY", "states"),
        ({"safety_levels": [1, 0]}, "ENUM_REQUIRED", "safety_levels[1]"),
        ({"created_from": BAD_TIME}, "INVALID_TIME", "created_from"),
        ({"created_before": BAD_TIME}, "INVALID_TIME", "created_before"),
        ({"kinds": [-1]}, "ENUM_NOT_ALLOWED", "kinds[0]"),
        ({"output_configs": ["Flux!"]}, "INVALID_CONFIG_NAME", "output_configs[0]"),
        ({"text": "x" * 201}, "TEXT_TOO_LONG", "text"),
        ({"text": "a\x00b"}, "INVALID_CHARACTER", "text"),
    ],
)
async def test_a_filter_names_the_malformed_field(
    world: World, given: dict[str, Any], reason: str, field: str
) -> None:
    wanted = pb.RunFilter(**given)
    async with refused("INVALID_ARGUMENT", reason, f"filter.{field}"):
        await world.stub.ListRuns(pb.ListRunsRequest(audience=RESEARCH, filter=wanted))
    async with refused("INVALID_ARGUMENT", reason, f"filter.{field}"):
        await world.stub.GetRunStats(pb.GetRunStatsRequest(audience=RESEARCH, filter=wanted))


async def test_positions_of_streams_are_checked(world: World) -> None:
    await world.create(RUN_ID)
    async with refused("INVALID_ARGUMENT", field="after_seq"):
        await everything(
            world.stub.WatchRun(
                pb.WatchRunRequest(name=RUN, after_seq=-1, audience=run_pb2.AUDIENCE_RESEARCH)
            )
        )
    for field in ("offset", "limit"):
        request = pb.ReadEntityRequest(
            name=f"{RUN}/entities/1", **{field: -1}, audience=run_pb2.AUDIENCE_RESEARCH
        )
        async with refused("INVALID_ARGUMENT", field=field):
            await everything(world.stub.ReadEntity(request))


async def test_a_message_past_the_limit_of_the_wire_is_refused(world: World) -> None:
    await world.create(RUN_ID)
    message = pb.WriteEntityRequest(
        upload=UPLOAD, entity=entity("input"), data=b"x" * (4 * 1024 * 1024 + 64)
    )
    async with refused("RESOURCE_EXHAUSTED"):
        await world.stub.WriteEntity(iter([message]))
    assert world.unfinished_bytes() == 0


def test_every_rpc_is_implemented() -> None:
    methods = recorder_pb2.DESCRIPTOR.services_by_name["RecorderService"].methods
    for method in methods:
        own = getattr(RecorderServicer, method.name)
        generated = getattr(recorder_pb2_grpc.RecorderServiceServicer, method.name)
        assert own is not generated, method.name


async def everything(call: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in call]

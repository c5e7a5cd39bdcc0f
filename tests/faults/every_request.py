"""A request for every method of the recorder, and sending one whatever its kind."""

from __future__ import annotations

import uuid
from typing import Any

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from tests.faults.disturbed import CALL_SECONDS, RESEARCH, Stub
from tests.faults.hostile_names import RUN_ID
from tests.integration.recorder.harness import entity, picture, plan, stream

PICTURE = picture(3000)
CLAIM = pb.Claim(owner="driver-1", ttl=Duration(seconds=5))
REFUSALS = {
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "ABORTED",
    "DATA_LOSS",
}


async def a_run(stub: Stub) -> str:
    request = pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan())
    run = (await stub.CreateRun(request, timeout=CALL_SECONDS)).run.name
    for number in range(2):
        upload = f"{run}/uploads/e{number}"
        record = pb.RecordEntityRequest(upload=upload, entity=entity("input"), data=b"Eine Blume")
        await stub.RecordEntity(record, timeout=CALL_SECONDS)
    return run


def requests_about(run: str) -> list[Message]:
    """A request for every method, with what is needed to get past the first checks."""
    upload, error = f"{run}/uploads/u", run_pb2.RunError(reason="SOME_REASON", message="why")
    hint = run_pb2.Hint(text_delta=run_pb2.TextDelta(entity_type="interception", text="x"))
    output = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_FAILED, error=error)
    lines = pb.EXPORT_FORMAT_JSON_LINES
    return [
        pb.CreateRunRequest(request_id=RUN_ID, run=plan(), plan="{}", claim=CLAIM),
        pb.ClaimRunRequest(name=run, claim=CLAIM),
        pb.RenewClaimsRequest(claim=CLAIM, held=[pb.HeldClaim(name=run, epoch=1)]),
        pb.ReleaseClaimRequest(name=run, owner=CLAIM.owner, epoch=1, delay=CLAIM.ttl),
        pb.ListClaimableRunsRequest(),
        pb.GetRunRequest(name=run, include_document=True, audience=RESEARCH),
        pb.ListRunsRequest(audience=RESEARCH),
        pb.GetRunStatsRequest(audience=RESEARCH),
        pb.SetFavouriteRequest(name=run, favourite=True),
        pb.WatchRunRequest(name=run, audience=RESEARCH),
        pb.SetProgressRequest(name=run, stage=1, step="one"),
        pb.PublishHintsRequest(name=run, hints=[hint]),
        pb.RecordEntityRequest(upload=upload, entity=entity("input"), data=b"x"),
        pb.RecordEntitiesRequest(
            name=run,
            entities=[
                pb.NewEntity(upload_id=f"n{number}", entity=entity("input"), data=b"x")
                for number in range(2)
            ],
        ),
        stream(f"{run}/uploads/v", PICTURE, chunk=len(PICTURE))[0],
        pb.GetUploadRequest(upload=upload),
        pb.DeleteUploadRequest(upload=upload),
        pb.ReadEntityRequest(name=f"{run}/entities/1", audience=RESEARCH),
        pb.EraseEntityRequest(name=f"{run}/entities/2", reason="SAFETY_BLOCKED"),
        pb.FindRenderRequest(user_id="pseudonym-1", render_digest="0" * 64),
        pb.RecordWarningRequest(name=run, warning=run_pb2.Warning(reason="SOME_REASON")),
        pb.FinalizeOutputRequest(name=run, output=output),
        pb.FinalizeRunRequest(name=run, state=run_pb2.RUN_STATE_FAILED, error=error),
        pb.ExportRunsRequest(audience=RESEARCH, names=[run], format=lines),
        pb.ImportRunsRequest(data=b"PK"),
        pb.GetStoreStatusRequest(),
        pb.DeleteRunRequest(name=f"runs/{uuid.uuid4()}"),
    ]


async def answer(stub: Stub, request: Message) -> str:
    """Send it to its method; return the status code and, for an error, nothing else of it."""
    name = type(request).__name__.removesuffix("Request")
    method = pb.DESCRIPTOR.services_by_name["RecorderService"].methods_by_name[name]
    call: Any = getattr(stub, name)
    try:
        sent = call(iter([request]) if method.client_streaming else request, timeout=CALL_SECONDS)
        if name == "WatchRun":
            await sent.read()  # of an open run there is no end
            sent.cancel()
        elif method.server_streaming:
            _ = [part async for part in sent]
        else:
            await sent
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"

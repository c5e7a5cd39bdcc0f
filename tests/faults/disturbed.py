"""Calls to a recorder process that are cut, answered in vain, and sent more than once."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import grpc
import grpc.aio
import orjson
from google.protobuf.message import Message

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.status import from_rpc_error
from services.recorder.verify import verify_run
from tests.faults.chaos_proxy import ChaosProxy, CutAfter, Fault, LoseAnswer, ResetBefore
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.harness import entity, picture, plan, stream

AT_ONCE = 8
CALL_SECONDS = 10.0
PICTURE = picture(3000)
CHUNK_BYTES = 1024
TEXT = b"Eine Blume"
# grpc.aio says INTERNAL by itself, without details, when the line breaks or the answer comes while
# it still sends.
BROKEN_SEND = "RECORDER_INTERNAL"
RESEARCH = run_pb2.AUDIENCE_RESEARCH
# Nothing is retried behind the test's back, and each channel has a connection of its own.
_BARE = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]

A = TypeVar("A", bound=Message)
if TYPE_CHECKING:
    # Exists for the type checker only.
    Stub: TypeAlias = recorder_pb2_grpc.RecorderServiceAsyncStub
else:
    Stub = recorder_pb2_grpc.RecorderServiceStub
# One attempt of a client at something: a call, or asking where to go on and then a call.
Attempt = Callable[[Stub], Awaitable[A]]


class Lost(Exception):
    """The connection went away; nobody knows whether the server acted."""


@asynccontextmanager
async def stub_at(target: str) -> AsyncIterator[Stub]:
    """A stub on a connection of its own, without retries."""
    async with grpc.aio.insecure_channel(target, _BARE) as channel:
        yield recorder_pb2_grpc.RecorderServiceStub(channel)


@dataclass
class Chaos:
    """A recorder process behind a proxy, and one person whose runs nobody else sees."""

    process: RecorderProcess
    root: Path
    proxy: ChaosProxy
    # "disturbed" or "at once": see `repeated`.
    how: str = "disturbed"
    user_id: str = field(default_factory=lambda: f"p-{uuid.uuid4()}")

    async def once(self, attempt: Attempt[A]) -> A:
        """One attempt. Raises Lost, or the recorder's own refusal as AioRpcError."""
        async with stub_at(self.proxy.target) as stub:
            try:
                return await attempt(stub)
            except grpc.aio.AioRpcError as error:
                reason = from_rpc_error(error, "recorder").reason
                if error.code() is grpc.StatusCode.UNAVAILABLE or reason == BROKEN_SEND:
                    raise Lost from error
                raise
            except asyncio.CancelledError:
                # How grpc.aio says that the connection went away under a stream of requests.
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                raise Lost from None

    async def struck(self, fault: Fault, attempt: Attempt[A]) -> None:
        """One attempt that must meet the fault and get no answer."""
        struck = self.proxy.struck
        self.proxy.arm(fault)
        try:
            answer = await self.once(attempt)
        except Lost:
            assert self.proxy.struck == struck + 1, "lost for another reason"
        else:
            raise AssertionError(f"answered {answer} in spite of {fault}")

    async def lost_answer(self, attempt: Attempt[A]) -> bytes:
        """The message that the recorder answered and the client never got."""
        while True:
            await self.struck(LoseAnswer(), attempt)
            # What was cut before may not have ended yet, and then the answer is "busy".
            if (lost := self.proxy.lost_answers[-1]) is not None:
                return lost

    async def repeated(self, attempt: Attempt[A], half: int, kind: type[A]) -> A:
        """The one answer to the same thing done again and again; all answers must be alike.

        "disturbed": cut before it and within it (after `half` bytes), answered in vain, then done
        twice more. "at once": many times at the same moment on as many connections, then once more.
        """
        answers = []
        if self.how == "disturbed":
            await self.struck(ResetBefore(), attempt)
            await self.struck(CutAfter(half), attempt)
            answers = [kind.FromString(await self.lost_answer(attempt)), await self.once(attempt)]
        else:
            answers = await asyncio.gather(*(self.once(attempt) for _ in range(AT_ONCE)))
        answers.append(await self.once(attempt))
        assert all(one == answers[0] for one in answers), answers
        return answers[0]

    def unless(self, reason: str, attempt: Attempt[A]) -> Attempt[A]:
        """The attempt, made again as long as the recorder refuses it for this reason."""

        async def again(stub: Stub) -> A:
            while True:
                try:
                    return await attempt(stub)
                except grpc.aio.AioRpcError as error:
                    if from_rpc_error(error, "recorder").reason not in (reason, BROKEN_SEND):
                        raise

        return again

    async def repeat(self, method: str, request: Message) -> Any:
        """The same for one unary call."""
        kind = pb.DESCRIPTOR.services_by_name["RecorderService"].methods_by_name[method].output_type

        async def attempt(stub: Stub) -> Any:
            return await getattr(stub, method)(request, timeout=CALL_SECONDS)

        return await self.repeated(attempt, request.ByteSize() // 2, getattr(pb, kind.name))

    async def call(self, method: str, request: Message) -> Any:
        """One unary call past the proxy."""
        async with stub_at(self.process.target) as stub:
            return await getattr(stub, method)(request, timeout=CALL_SECONDS)

    async def until_answered(self, attempt: Attempt[A]) -> A:
        """What a patient client does."""
        while True:
            try:
                return await self.once(attempt)
            except Lost:
                continue

    def arm_at_random(self, chance: random.Random, most_bytes: int) -> None:
        """Let up to two faults wait for the next calls."""
        for _ in range(chance.randrange(3) - self.proxy.armed):
            cut = CutAfter(chance.randrange(most_bytes))
            faults: list[Fault] = [ResetBefore(), LoseAnswer(), cut]
            self.proxy.arm(chance.choice(faults))

    def create_request(self) -> pb.CreateRunRequest:
        """For a new run of this person."""
        run = plan(user_id=self.user_id)
        return pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=run)

    async def create(self) -> str:
        """A new run of this person; returns its name."""
        return str((await self.call("CreateRun", self.create_request())).run.name)

    async def record(self, run: str, upload_id: str, of: run_pb2.Entity, data: bytes) -> None:
        """A small entity."""
        upload = f"{run}/uploads/{upload_id}"
        request = pb.RecordEntityRequest(upload=upload, entity=of, data=data)
        await self.call("RecordEntity", request)

    async def write(self, stub: Stub, upload: str, data: bytes) -> pb.WriteEntityResponse:
        """Ask (past the proxy) where it stands, send the rest; again while another writes it."""
        while True:
            try:
                known = await self.call("GetUpload", pb.GetUploadRequest(upload=upload))
                start = known.committed_size
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                start = 0
            messages = stream(
                upload, data, chunk=CHUNK_BYTES, start=start, of=entity(output_index=1)
            )
            try:
                return await stub.WriteEntity(iter(messages), timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                reason = from_rpc_error(error, "recorder").reason
                if reason not in ("UPLOAD_BUSY", "OFFSET_MISMATCH"):
                    raise

    async def runs(self) -> list[str]:
        """The names of this person's runs, newest first."""
        request = pb.ListRunsRequest(user_id=self.user_id, audience=RESEARCH)
        return [run.name for run in (await self.call("ListRuns", request)).runs]

    async def document(self, run: str) -> dict[str, Any]:
        """metadata.json of a run, after looking whether anything is there twice or left over."""
        request = pb.GetRunRequest(name=run, include_document=True, audience=RESEARCH)
        found = await self.call("GetRun", request)
        document: dict[str, Any] = orjson.loads(found.document)
        assert verify_run(self.folder(run)) == []
        assert (await self.runs()).count(run) == 1
        entities, told = document["entities"], facts_of(document)
        assert [one["sequence"] for one in entities] == list(range(1, len(entities) + 1))
        assert len({one["upload_id"] for one in entities}) == len(entities)
        seqs = list(range(1, len(told) + 1))
        assert [one["seq"] for one in document["events"]] == seqs
        assert len({orjson.dumps(one) for one in told}) == len(told), "a fact is told once"
        if found.run.HasField("finish_time"):
            watch = pb.WatchRunRequest(name=run, audience=RESEARCH)
            async with stub_at(self.process.target) as stub:
                updates = stub.WatchRun(watch, timeout=CALL_SECONDS)
                assert [one.event.seq async for one in updates] == seqs
        return document

    def leftovers(self, run: str) -> list[str]:
        """What lies around of a run beside its folder."""
        run_id = run.removeprefix("runs/")
        inner = [path for path in self.root.iterdir() if path.name in (".uploads", ".trash")]
        return [file.name for folder in inner for file in folder.iterdir() if run_id in file.name]

    def folder(self, run: str) -> Path:
        """The folder of a run."""
        return self.root / run.removeprefix("runs/")


def facts_of(document: dict[str, Any]) -> list[Any]:
    """What happened in a run, in order, without when."""
    return [(one["kind"], one["payload"]) for one in document["events"]]


def succeeded(run: str) -> pb.FinalizeOutputRequest:
    """That the output of a run succeeded."""
    output = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_SUCCEEDED)
    return pb.FinalizeOutputRequest(name=run, output=output)

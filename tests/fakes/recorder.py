"""A recorder in memory, behind the real protocol, that can be told to fail.

For tests of what a reader of the recorder does when it goes away in the middle. It keeps to the
contract's order of facts; it checks no digests, enforces no limits and knows research's view only.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.kit.errors import (
    ArtlabError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
)
from services.kit.interceptors import Context

CHUNK_BYTES = 256 * 1024
FINAL = {
    run_pb2.RUN_STATE_SUCCEEDED,
    run_pb2.RUN_STATE_PARTIAL,
    run_pb2.RUN_STATE_BLOCKED,
    run_pb2.RUN_STATE_FAILED,
    run_pb2.RUN_STATE_CANCELLED,
}


@dataclass
class Recorded:
    """One run, its events and its bytes."""

    run: run_pb2.Run
    plan: str = ""
    events: list[run_pb2.RunEvent] = field(default_factory=list)
    data: dict[int, bytes] = field(default_factory=dict)
    watchers: set[asyncio.Queue[recorder_pb2.WatchRunResponse | ArtlabError]] = field(
        default_factory=set
    )


class FakeRecorder(recorder_pb2_grpc.RecorderServiceServicer):
    """Reads as the contract says; is written by the methods in lower case."""

    def __init__(self) -> None:
        self.runs: dict[str, Recorded] = {}
        # Errors to answer with instead, in order, by method.
        self.failures: defaultdict[str, list[ArtlabError]] = defaultdict(list)
        # ReadEntity: after so many bytes of one call, this error; one entry per call.
        self.read_cuts: list[tuple[int, ArtlabError]] = []
        self.calls: defaultdict[str, int] = defaultdict(int)
        self.open_watches = 0
        self.bytes_sent = 0

    def forget(self) -> None:
        """Make it as if nothing had happened."""
        self.runs.clear()
        self.failures.clear()
        self.read_cuts.clear()
        self.calls.clear()
        self.bytes_sent = 0

    # Writing

    def create(self, run_id: str, *kinds: tuple[str, int], **fields: object) -> Recorded:
        """Create a pending run; outputs as (config, MediaKind)."""
        outputs = [
            run_pb2.Output(
                index=index,
                occurrence=1 + [c for c, _ in kinds[: index - 1]].count(config),
                output_config=config,
                kind=kind,  # type: ignore[arg-type]
                state=run_pb2.RUN_STATE_PENDING,
            )
            for index, (config, kind) in enumerate(kinds, start=1)
        ]
        values: dict[str, object] = {
            "config_name": "dada",
            "safety_level": common_pb2.SAFETY_LEVEL_YOUTH,
            "execution_mode": common_pb2.EXECUTION_MODE_ECO,
            "user_id": "anonymous",
            "seed": 7,
            **fields,
        }
        run = run_pb2.Run(
            name=f"runs/{run_id}",
            state=run_pb2.RUN_STATE_PENDING,
            outputs=outputs,
            **values,  # type: ignore[arg-type]
        )
        recorded = self.runs[run_id] = Recorded(run)
        self.state(run_id, run_pb2.RUN_STATE_PENDING)
        return recorded

    def state(
        self, run_id: str, state: run_pb2.RunState.ValueType, error: run_pb2.RunError | None = None
    ) -> None:
        """Move the run to a state."""
        recorded = self.runs[run_id]
        recorded.run.state = state
        if error is not None:
            recorded.run.error.CopyFrom(error)
        change = run_pb2.StateChanged(state=state, error=error)
        self._fact(recorded, run_pb2.RunEvent(state_changed=change))

    def stage(self, run_id: str, stage: int, step: str, output_index: int = 0) -> None:
        """Begin a stage."""
        recorded = self.runs[run_id]
        progress = run_pb2.Progress(
            stage=stage,
            step=step,
            completed=len(recorded.run.entities),
            expected=5,
            output_index=output_index,
        )
        recorded.run.progress.CopyFrom(progress)
        started = run_pb2.StageStarted(progress=progress)
        self._fact(recorded, run_pb2.RunEvent(stage_started=started))

    def commit(
        self,
        run_id: str,
        entity_type: str,
        data: bytes,
        *,
        media_type: str = "text/plain",
        suffix: str = "txt",
        stage: int = 1,
        output_index: int = 0,
        pass_number: int = 0,
        audience: run_pb2.Audience.ValueType = run_pb2.AUDIENCE_STUDENT,
        metadata: Mapping[str, str] = MappingProxyType({"technique": "cut_up"}),
    ) -> int:
        """Commit an entity; return its sequence."""
        recorded = self.runs[run_id]
        sequence = len(recorded.run.entities) + 1
        entity = run_pb2.Entity(
            name=f"runs/{run_id}/entities/{sequence}",
            sequence=sequence,
            type=entity_type,
            filename=f"{sequence:02d}_{entity_type}.{suffix}",
            media_type=media_type,
            digest=common_pb2.Digest(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data)),
            stage=stage,
            output_index=output_index,
            audience=audience,
            metadata=metadata,
            models_used=[common_pb2.ModelUse(task=entity_type, backend="builtin", model="")],
            **{"pass": pass_number},  # type: ignore[arg-type]
        )
        entity.create_time.GetCurrentTime()
        recorded.run.entities.append(entity)
        recorded.data[sequence] = data
        committed = run_pb2.EntityCommitted(entity=entity)
        self._fact(recorded, run_pb2.RunEvent(entity_committed=committed))
        return sequence

    def output(
        self,
        run_id: str,
        index: int,
        state: run_pb2.RunState.ValueType,
        error: run_pb2.RunError | None = None,
    ) -> None:
        """Make an output final."""
        recorded = self.runs[run_id]
        output = recorded.run.outputs[index - 1]
        output.state = state
        if error is not None:
            output.error.CopyFrom(error)
        self._fact(
            recorded, run_pb2.RunEvent(output_finished=run_pb2.OutputFinished(output=output))
        )

    def warn(self, run_id: str, reason: str, message: str, output_index: int) -> None:
        """Say something that ends nothing."""
        warning = run_pb2.Warning(reason=reason, message=message, output_index=output_index)
        self._fact(self.runs[run_id], run_pb2.RunEvent(warning=warning, ignorable=True))

    def erase(self, run_id: str, sequence: int, reason: str) -> None:
        """Erase an entity."""
        recorded = self.runs[run_id]
        del recorded.data[sequence]
        entity = recorded.run.entities[sequence - 1]
        entity.erase_time.GetCurrentTime()
        erased = run_pb2.EntityErased(
            sequence=sequence, reason=reason, erase_time=entity.erase_time
        )
        self._fact(recorded, run_pb2.RunEvent(entity_erased=erased))

    def hint(self, run_id: str, hint: run_pb2.Hint) -> None:
        """Pass a hint on to whoever watches."""
        for watcher in self.runs[run_id].watchers:
            watcher.put_nowait(recorder_pb2.WatchRunResponse(hint=hint))

    def cut_watches(self, run_id: str, error: ArtlabError) -> None:
        """End every open watch of a run with an error."""
        for watcher in self.runs[run_id].watchers:
            watcher.put_nowait(error)

    def _fact(self, recorded: Recorded, event: run_pb2.RunEvent) -> None:
        event.seq = len(recorded.events) + 1
        event.time.GetCurrentTime()
        recorded.events.append(event)
        recorded.run.last_event_seq = event.seq
        for watcher in recorded.watchers:
            watcher.put_nowait(recorder_pb2.WatchRunResponse(event=event))

    # The contract

    async def GetRun(
        self, request: recorder_pb2.GetRunRequest, context: Context
    ) -> recorder_pb2.GetRunResponse:
        """Return the run; its document is a stand-in with the run's events counted."""
        self._enter("GetRun", request.audience)
        recorded = self._find(request.name)
        document = b'{"events": %d}\n' % len(recorded.events) if request.include_document else b""
        plan = recorded.plan if request.include_plan else ""
        return recorder_pb2.GetRunResponse(run=recorded.run, document=document, plan=plan)

    async def WatchRun(
        self, request: recorder_pb2.WatchRunRequest, context: Context
    ) -> AsyncIterator[recorder_pb2.WatchRunResponse]:
        """Send facts after a seq, then what happens, until the run is final."""
        self._enter("WatchRun", request.audience)
        recorded = self._find(request.name)
        if request.after_seq > len(recorded.events):
            raise OutOfRange("NO_SUCH_EVENT", "no such event", field="after_seq")
        queue: asyncio.Queue[recorder_pb2.WatchRunResponse | ArtlabError] = asyncio.Queue()
        for event in recorded.events[request.after_seq :]:
            queue.put_nowait(recorder_pb2.WatchRunResponse(event=event))
        recorded.watchers.add(queue)
        self.open_watches += 1
        try:
            if recorded.run.state in FINAL and request.after_seq == len(recorded.events):
                return
            while True:
                message = await queue.get()
                if isinstance(message, ArtlabError):
                    raise message
                yield message
                if message.event.state_changed.state in FINAL:
                    return
        finally:
            self.open_watches -= 1
            recorded.watchers.discard(queue)

    async def ReadEntity(
        self, request: recorder_pb2.ReadEntityRequest, context: Context
    ) -> AsyncIterator[recorder_pb2.ReadEntityResponse]:
        """Send the bytes, or fewer and an error."""
        self._enter("ReadEntity", request.audience)
        run, sequence = request.name.split("/entities/")
        if self._find(run).run.entities[int(sequence) - 1].HasField("erase_time"):
            raise FailedPrecondition("ENTITY_ERASED", "its bytes were erased")
        data = self._find(run).data[int(sequence)][request.offset :]
        data = data[: request.limit] if request.limit else data
        cut, error = self.read_cuts.pop(0) if self.read_cuts else (None, None)
        for start in range(0, len(data), CHUNK_BYTES):
            chunk = data[start : start + CHUNK_BYTES]
            if cut is not None and error is not None and start + len(chunk) > cut:
                if chunk := chunk[: cut - start]:
                    yield recorder_pb2.ReadEntityResponse(data=chunk)
                raise error
            yield recorder_pb2.ReadEntityResponse(data=chunk)
            self.bytes_sent += len(chunk)

    def _enter(self, method: str, audience: run_pb2.Audience.ValueType) -> None:
        self.calls[method] += 1
        if audience != run_pb2.AUDIENCE_RESEARCH:
            raise InvalidArgument("ENUM_NOT_ALLOWED", "only for research", field="audience")
        if self.failures[method]:
            raise self.failures[method].pop(0)

    def _find(self, name: str) -> Recorded:
        found = self.runs.get(name.removeprefix("runs/"))
        if found is None:
            raise NotFound("RUN_NOT_FOUND", "there is no such run", field="name")
        return found

"""Every answer of the recorder is for an audience, and holds nothing above it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import pytest

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from tests.integration.recorder.harness import PNG, World, entity
from tests.support.rpc import refused

S, A, R = run_pb2.AUDIENCE_STUDENT, run_pb2.AUDIENCE_ADVANCED, run_pb2.AUDIENCE_RESEARCH
WHY = run_pb2.RunError(reason="SAFETY_BLOCKED", message="kids.violence", stage=3)
AudienceValue: TypeAlias = "run_pb2.Audience.ValueType"


def of(kind: str, audience: AudienceValue, **values: Any) -> run_pb2.Entity:
    used = common_pb2.ModelUse(task=kind, backend="builtin", model=f"m-{kind}")
    return entity(kind, audience=audience, metadata={"k": "v"}, models_used=[used], **values)


async def two_outputs(world: World) -> str:
    """The first is made, the second blocked; the run is final. Sequences 1 to 7."""
    outputs = [
        run_pb2.Output(
            index=index,
            occurrence=index,
            output_config="builtin_image",
            kind=common_pb2.MEDIA_KIND_IMAGE,
        )
        for index in (1, 2)
    ]
    name = await world.create(outputs=outputs)

    async def at(stage: int, step: str, index: int = 0) -> None:
        request = pb.SetProgressRequest(name=name, stage=stage, step=step, output_index=index)
        await world.call("SetProgress", request)

    async def ends(index: int, state: run_pb2.RunState.ValueType) -> None:
        error = WHY if state == run_pb2.RUN_STATE_BLOCKED else None
        output = run_pb2.Output(index=index, state=state, error=error)
        await world.call("FinalizeOutput", pb.FinalizeOutputRequest(name=name, output=output))

    await world.record(f"{name}/uploads/1", b"Eine Blume", of("input", S))
    await at(1, "translation_and_safety")
    await world.record(f"{name}/uploads/2", b"A flower", of("translation", A, stage=1))
    await world.record(f"{name}/uploads/3", b'{"terms": ["x"]}', of("safety", R, stage=1))
    await at(2, "interception")
    await world.record(f"{name}/uploads/4", b"Bl ume", of("interception", S, stage=2))
    await at(4, "media_generation", 1)
    await world.record(f"{name}/uploads/5", PNG, of("output_image", S, stage=4, output_index=1))
    await ends(1, run_pb2.RUN_STATE_SUCCEEDED)
    await at(3, "pre_output_safety", 2)
    verdict = of("safety_pre_output", R, stage=3, output_index=2)
    await world.record(f"{name}/uploads/6", b'{"terms": ["y"]}', verdict)
    explained = of("explanation", S, stage=3, output_index=2)
    await world.record(f"{name}/uploads/7", b'{"explanation": "no"}', explained)
    await ends(2, run_pb2.RUN_STATE_BLOCKED)
    await world.call(
        "FinalizeRun", pb.FinalizeRunRequest(name=name, state=run_pb2.RUN_STATE_PARTIAL)
    )
    return name


SEEN = {S: [1, 4, 5, 7], A: [1, 2, 4, 5, 7], R: [1, 2, 3, 4, 5, 6, 7]}


async def get(world: World, name: str, audience: AudienceValue) -> run_pb2.Run:
    answer = await world.call("GetRun", pb.GetRunRequest(name=name, audience=audience))
    run: run_pb2.Run = answer.run
    return run


async def watched(world: World, name: str, audience: AudienceValue) -> list[run_pb2.RunEvent]:
    request = pb.WatchRunRequest(name=name, audience=audience)
    return [update.event async for update in world.stub.WatchRun(request, timeout=10)]


@pytest.mark.parametrize(("audience", "reason"), [(0, "ENUM_REQUIRED"), (9, "ENUM_NOT_ALLOWED")])
async def test_who_will_see_the_answer_must_be_said(
    served: World, audience: Any, reason: str
) -> None:
    name = await two_outputs(served)

    async def taken(stream: AsyncIterator[Any]) -> None:
        async for _ in stream:
            pass

    async with refused("INVALID_ARGUMENT", reason, "audience"):
        await served.stub.GetRun(pb.GetRunRequest(name=name, audience=audience))
    async with refused("INVALID_ARGUMENT", reason, "audience"):
        await taken(served.stub.WatchRun(pb.WatchRunRequest(name=name, audience=audience)))
    async with refused("INVALID_ARGUMENT", reason, "audience"):
        request = pb.ReadEntityRequest(name=f"{name}/entities/1", audience=audience)
        await taken(served.stub.ReadEntity(request))


@pytest.mark.parametrize("audience", SEEN)
async def test_a_run_shows_what_is_for_its_reader(served: World, audience: AudienceValue) -> None:
    name = await two_outputs(served)
    run = await get(served, name, audience)
    whole = await get(served, name, R)
    assert [one.sequence for one in run.entities] == SEEN[audience]
    assert [one.model for one in run.models_used] == [f"m-{one.type}" for one in run.entities]
    assert [one.state for one in run.outputs] == [one.state for one in whole.outputs]
    assert run.outputs[1].error.reason == "SAFETY_BLOCKED"
    assert run.outputs[1].error.message == ("" if audience == S else "kids.violence")
    assert run.progress == whole.progress
    assert run.progress.completed == 7
    assert run.last_event_seq == whole.last_event_seq
    assert all(bool(one.metadata) == (audience != S) for one in run.entities)


@pytest.mark.parametrize("audience", SEEN)
async def test_bytes_above_the_audience_are_refused(served: World, audience: AudienceValue) -> None:
    name = await two_outputs(served)
    for sequence in range(1, 8):
        request = pb.ReadEntityRequest(name=f"{name}/entities/{sequence}", audience=audience)
        if sequence in SEEN[audience]:
            data = [part.data async for part in served.stub.ReadEntity(request, timeout=10)]
            assert b"".join(data)
            continue
        async with refused("PERMISSION_DENIED", "AUDIENCE_TOO_LOW", "audience"):
            async for _ in served.stub.ReadEntity(request, timeout=10):
                pass


@pytest.mark.parametrize("audience", SEEN)
async def test_a_watch_leaves_no_fact_out_and_tells_only_what_is_seen(
    served: World, audience: AudienceValue
) -> None:
    name = await two_outputs(served)
    events, whole = await watched(served, name, audience), await watched(served, name, R)
    assert [event.seq for event in events] == [event.seq for event in whole]
    run = await get(served, name, audience)
    seen = {one.sequence: one for one in run.entities}
    for event in events:
        if event.HasField("entity_committed"):
            told = event.entity_committed.entity
            if told.sequence in seen:
                assert told == seen[told.sequence]
            else:
                assert {field.name for field, _ in told.ListFields()} == {
                    "name",
                    "sequence",
                    "audience",
                }
                assert told.audience > audience
        if event.HasField("output_finished"):
            assert event.output_finished.output in list(run.outputs)


@pytest.mark.parametrize("audience", [S, A])
async def test_the_document_is_for_research(served: World, audience: AudienceValue) -> None:
    name = await two_outputs(served)
    async with refused("PERMISSION_DENIED", "AUDIENCE_TOO_LOW", "audience"):
        request = pb.GetRunRequest(name=name, include_document=True, audience=audience)
        await served.stub.GetRun(request)


HINTS = {
    "text_delta": run_pb2.Hint(
        text_delta=run_pb2.TextDelta(entity_type="interception", text="unchecked")
    ),
    "preview": run_pb2.Hint(
        preview=run_pb2.Preview(output_index=1, media_type="image/jpeg", data=b"unchecked")
    ),
    "render_progress": run_pb2.Hint(
        render_progress=run_pb2.RenderProgress(
            output_index=1,
            phase=run_pb2.RENDER_PHASE_EXECUTING,
            fraction=0.5,
            instance="http://10.0.0.5:8188",
            node="KSampler",
        )
    ),
}


@pytest.mark.parametrize(
    ("audience", "heard"),
    [
        (S, ["render_progress"]),
        (A, ["text_delta", "render_progress"]),
        (R, ["text_delta", "preview", "render_progress"]),
    ],
)
async def test_hints_are_for_those_who_may_see_what_is_unchecked(
    served: World, audience: AudienceValue, heard: list[str]
) -> None:
    name = await served.create()
    call = served.stub.WatchRun(pb.WatchRunRequest(name=name, audience=audience), timeout=10)
    updates = aiter(call)
    assert (await anext(updates)).event.seq == 1
    request = pb.PublishHintsRequest(name=name, hints=list(HINTS.values()))
    await served.call("PublishHints", request)
    await served.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    hints = [update.hint async for update in updates if update.HasField("hint")]
    assert [hint.WhichOneof("hint") for hint in hints] == heard
    progress = hints[-1].render_progress
    assert progress.fraction == 0.5
    assert bool(progress.instance or progress.node) == (audience == R)


async def test_a_student_who_watches_reads_a_text_only_once_it_was_let_through(
    served: World,
) -> None:
    name = await served.create()
    await served.record(f"{name}/uploads/1", b"Bl ume", of("interception", S, stage=2))
    assert [one.sequence for one in (await get(served, name, S)).entities] == []
    assert (await watched_first(served, name)).audience == A
    request = pb.SetProgressRequest(name=name, stage=4, step="media_generation", output_index=1)
    await served.call("SetProgress", request)
    assert [one.sequence for one in (await get(served, name, S)).entities] == [1]
    assert (await watched_first(served, name)).type == "interception"


async def watched_first(world: World, name: str) -> run_pb2.Entity:
    """The first entity that a student's watch tells of."""
    call = world.stub.WatchRun(pb.WatchRunRequest(name=name, audience=S), timeout=10)
    try:
        async for update in call:
            if update.event.HasField("entity_committed"):
                told: run_pb2.Entity = update.event.entity_committed.entity
                return told
    finally:
        call.cancel()
    raise AssertionError("no entity")

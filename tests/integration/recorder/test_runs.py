"""The life of a run, over memory, disk and gRPC."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from tests.integration.recorder.harness import World, entity, picture, plan, stream, until


def progress(name: str, stage: int, step: str, output_index: int = 0) -> pb.SetProgressRequest:
    return pb.SetProgressRequest(name=name, stage=stage, step=step, output_index=output_index)


def end_of_output(
    name: str, index: int, state: run_pb2.RunState.ValueType, reason: str = ""
) -> pb.FinalizeOutputRequest:
    output = run_pb2.Output(index=index, state=state)
    if reason:
        output.error.CopyFrom(run_pb2.RunError(reason=reason, message="why", stage=4))
    return pb.FinalizeOutputRequest(name=name, output=output)


def three_outputs() -> list[run_pb2.Output]:
    kind = common_pb2.MEDIA_KIND_IMAGE
    return [
        run_pb2.Output(index=1, occurrence=1, output_config="a", kind=kind),
        run_pb2.Output(index=2, occurrence=1, output_config="b", kind=kind),
        run_pb2.Output(index=3, occurrence=2, output_config="a", kind=kind),
    ]


async def test_create_run_is_idempotent(world: World) -> None:
    run_id = str(uuid.uuid4())
    request = pb.CreateRunRequest(request_id=run_id, run=plan())
    first = (await world.call("CreateRun", request)).run
    world.clock.advance(5)
    again = (await world.call("CreateRun", request)).run
    assert again == first
    assert first.name == f"runs/{run_id}"
    assert first.state == run_pb2.RUN_STATE_PENDING
    assert first.last_event_seq == 1
    assert (first.progress.completed, first.progress.expected) == (0, 2)


async def test_create_run_at_once_from_many_sides_makes_one_run(world: World) -> None:
    run_id = str(uuid.uuid4())
    names = await asyncio.gather(*(world.create(run_id) for _ in range(16)))
    assert set(names) == {f"runs/{run_id}"}
    listed = await world.call("ListRuns", pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH))
    assert len(listed.runs) == 1


async def test_a_reused_request_id_with_other_content_is_refused(world: World) -> None:
    run_id = str(uuid.uuid4())
    await world.create(run_id)
    for change in ({"config_name": "bauhaus"}, {"seed": 8}, {"expected_entities": ["input"]}):
        with pytest.raises(AlreadyExists) as caught:
            await world.create(run_id, **change)
        assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_a_request_is_the_same_after_its_deadline_too(world: World) -> None:
    run_id = str(uuid.uuid4())
    deadline = world.deadline_in(60)
    await world.create(run_id, deadline=deadline)
    world.clock.advance(120)
    assert await world.create(run_id, deadline=deadline) == f"runs/{run_id}"


@pytest.mark.parametrize("seconds", [-1, 0, 31 * 24 * 3600 + 1])
async def test_a_deadline_lies_within_the_next_month(world: World, seconds: float) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await world.create(deadline=world.deadline_in(seconds))
    assert (caught.value.reason, caught.value.field) == ("INVALID_DEADLINE", "run.deadline")


async def test_runs_survive_a_restart(world: World) -> None:
    name = await world.create()
    await world.record(f"{name}/uploads/input", b"text")
    await world.call("SetProgress", progress(name, 1, "translation_and_safety"))
    before = await world.get(name)
    await world.restart()
    assert await world.get(name) == before
    await world.record(f"{name}/uploads/more", b"text")
    assert [one.sequence for one in (await world.get(name)).entities] == [1, 2]


async def test_the_first_progress_makes_a_run_running(world: World) -> None:
    name = await world.create()
    await world.call("SetProgress", progress(name, 0, "pipeline_starting"))
    run = await world.get(name)
    assert run.state == run_pb2.RUN_STATE_RUNNING
    assert run.last_event_seq == 3  # created, running, stage
    assert run.progress.step == "pipeline_starting"


async def test_set_progress_is_idempotent(world: World) -> None:
    name = await world.create()
    await world.call("SetProgress", progress(name, 1, "translation_and_safety"))
    before = await world.get(name)
    await world.call("SetProgress", progress(name, 1, "translation_and_safety"))
    assert await world.get(name) == before


async def test_progress_of_an_output_makes_it_running(world: World) -> None:
    name = await world.create()
    await world.call("SetProgress", progress(name, 3, "pre_output_safety", 1))
    assert (await world.get(name)).outputs[0].state == run_pb2.RUN_STATE_RUNNING
    with pytest.raises(InvalidArgument) as caught:
        await world.call("SetProgress", progress(name, 3, "pre_output_safety", 2))
    assert caught.value.field == "output_index"


async def test_completed_never_exceeds_expected(world: World) -> None:
    name = await world.create(expected_entities=["input", "output_image"])
    for number in range(5):
        await world.record(f"{name}/uploads/e{number}", b"{}", entity("error"))
        now = (await world.get(name)).progress
        assert now.completed == number + 1 <= now.expected
    run = await world.get(name)
    assert list(run.expected_entities) == ["input", "output_image", *["error"] * 5]


async def test_models_are_listed_once(world: World) -> None:
    name = await world.create()
    use = common_pb2.ModelUse(task="interception", backend="builtin", model="cut_up:1")
    for number in range(3):
        thing = entity("interception_pass", models_used=[use], **{"pass": number + 1})
        await world.record(f"{name}/uploads/p{number}", b"text", thing)
    assert list((await world.get(name)).models_used) == [use]


async def test_an_output_succeeds_only_with_recorded_bytes(world: World) -> None:
    name = await world.create()
    done = end_of_output(name, 1, run_pb2.RUN_STATE_SUCCEEDED)
    with pytest.raises(FailedPrecondition) as caught:
        await world.call("FinalizeOutput", done)
    assert caught.value.reason == "OUTPUT_HAS_NO_ENTITY"
    await world.write(stream(f"{name}/uploads/o", picture(100), of=entity(output_index=1)))
    answer = await world.call("FinalizeOutput", done)
    assert answer.output.state == run_pb2.RUN_STATE_SUCCEEDED


async def test_finalize_output_is_idempotent(world: World) -> None:
    name = await world.create()
    blocked = end_of_output(name, 1, run_pb2.RUN_STATE_BLOCKED, "SAFETY_BLOCKED")
    first = await world.call("FinalizeOutput", blocked)
    before = await world.get(name)
    failed = end_of_output(name, 1, run_pb2.RUN_STATE_FAILED, "COMFY_LOST")
    assert await world.call("FinalizeOutput", failed) == first
    assert await world.get(name) == before
    assert first.output.error.reason == "SAFETY_BLOCKED"


async def test_an_output_nobody_planned_is_not_found(world: World) -> None:
    name = await world.create()
    with pytest.raises(NotFound) as caught:
        await world.call(
            "FinalizeOutput", end_of_output(name, 2, run_pb2.RUN_STATE_FAILED, "COMFY_LOST")
        )
    assert caught.value.reason == "OUTPUT_NOT_FOUND"


async def test_a_run_ends_partial_when_some_outputs_did_not_succeed(world: World) -> None:
    name = await world.create(outputs=three_outputs())
    for index in (1, 3):
        thing = entity(output_index=index)
        await world.write(stream(f"{name}/uploads/o{index}", picture(100 + index), of=thing))
        await world.call("FinalizeOutput", end_of_output(name, index, run_pb2.RUN_STATE_SUCCEEDED))
    with pytest.raises(FailedPrecondition) as caught:
        await world.finalize(name, run_pb2.RUN_STATE_PARTIAL)  # output 2 is still open
    assert caught.value.reason == "OUTPUTS_DISAGREE"
    failed = end_of_output(name, 2, run_pb2.RUN_STATE_FAILED, "COMFY_LOST")
    await world.call("FinalizeOutput", failed)
    with pytest.raises(FailedPrecondition):
        await world.finalize(name, run_pb2.RUN_STATE_SUCCEEDED)
    run = await world.finalize(name, run_pb2.RUN_STATE_PARTIAL)
    states = [run_pb2.RunState.Name(one.state) for one in run.outputs]
    assert states == ["RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED", "RUN_STATE_SUCCEEDED"]


async def test_finalize_run_is_idempotent_and_keeps_the_first_time_and_state(world: World) -> None:
    name = await world.create()
    first = await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    world.clock.advance(60)
    assert await world.finalize(name, run_pb2.RUN_STATE_FAILED) == first
    assert await world.get(name) == first
    assert first.HasField("finish_time")


async def test_open_outputs_end_as_their_run_does(world: World) -> None:
    name = await world.create(outputs=three_outputs())
    await world.call(
        "FinalizeOutput", end_of_output(name, 1, run_pb2.RUN_STATE_NOT_AVAILABLE, "NO_MODEL")
    )
    run = await world.finalize(name, run_pb2.RUN_STATE_BLOCKED)
    assert [run_pb2.RunState.Name(one.state) for one in run.outputs] == [
        "RUN_STATE_NOT_AVAILABLE",
        "RUN_STATE_BLOCKED",
        "RUN_STATE_BLOCKED",
    ]
    assert run.outputs[1].error.reason == "SOME_REASON"
    assert run.error.reason == "SOME_REASON"


async def test_a_final_run_does_not_move(world: World) -> None:
    name = await world.create()
    await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    with pytest.raises(FailedPrecondition) as caught:
        await world.call("SetProgress", progress(name, 1, "translation_and_safety"))
    assert caught.value.reason == "RUN_FINAL"


async def test_a_run_does_not_succeed_while_an_upload_is_being_written(world: World) -> None:
    name = await world.create(outputs=[])
    go_on = asyncio.Event()
    data = picture(3000)

    async def slowly() -> AsyncIterator[pb.WriteEntityRequest]:
        first, *rest = stream(f"{name}/uploads/o", data)
        yield first
        await go_on.wait()
        for message in rest:
            yield message

    writer = asyncio.create_task(world.write(slowly()))
    await until(lambda: world.unfinished_bytes() > 0)
    with pytest.raises(FailedPrecondition) as caught:
        await world.finalize(name, run_pb2.RUN_STATE_SUCCEEDED)
    assert caught.value.reason == "UPLOADS_OPEN"
    go_on.set()
    await writer
    await world.finalize(name, run_pb2.RUN_STATE_SUCCEEDED)


async def test_what_nobody_writes_any_more_is_discarded_at_the_end(world: World) -> None:
    name = await world.create(outputs=[])
    await world.write(stream(f"{name}/uploads/o", picture(3000), finish=False))
    await world.finalize(name, run_pb2.RUN_STATE_SUCCEEDED)
    assert world.unfinished_bytes() == 0
    with pytest.raises(NotFound):
        await world.uploaded(f"{name}/uploads/o")


async def test_delete_run_is_idempotent_and_leaves_nothing(world: World) -> None:
    name = await world.create()
    written = await world.record(f"{name}/uploads/input", b"text")
    await world.write(stream(f"{name}/uploads/o", picture(3000), finish=False))
    for _ in range(2):
        await world.call("DeleteRun", pb.DeleteRunRequest(name=name))
    for method, request in (
        ("GetRun", pb.GetRunRequest(name=name, audience=run_pb2.AUDIENCE_RESEARCH)),
        ("SetProgress", progress(name, 1, "x")),
        ("GetUpload", pb.GetUploadRequest(upload=f"{name}/uploads/o")),
    ):
        with pytest.raises(NotFound) as caught:
            await world.call(method, request)
        assert caught.value.reason == "RUN_NOT_FOUND"
    with pytest.raises(NotFound):
        await world.read(written.name)
    assert world.unfinished_bytes() == 0
    assert not (
        await world.call("ListRuns", pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH))
    ).runs
    if world.kind != "memory":
        assert not world.folder(name).exists()
        assert not list((world.root / ".trash").iterdir())


async def test_a_run_past_its_deadline_fails_by_itself(world: World) -> None:
    name = await world.create(deadline=world.deadline_in(30))
    other = await world.create()  # no deadline of its own: the recorder's limit
    await world.call("SetProgress", progress(name, 2, "interception"))
    world.clock.advance(31)
    await world.recorder.sweep()
    run = await world.get(name)
    assert run.state == run_pb2.RUN_STATE_FAILED
    assert (run.error.reason, run.error.stage) == ("RUN_DEADLINE", 2)
    assert (await world.get(other)).state == run_pb2.RUN_STATE_PENDING
    world.clock.advance(600)
    await world.recorder.sweep()
    assert (await world.get(other)).error.reason == "RUN_DEADLINE"


async def test_a_deadline_that_passed_while_nobody_looked_still_counts(world: World) -> None:
    name = await world.create(deadline=world.deadline_in(30))
    await world.stop()
    world.clock.advance(31)
    await world.start()
    await world.recorder.sweep()
    assert (await world.get(name)).error.reason == "RUN_DEADLINE"


async def test_runs_are_listed_newest_first_in_pages(world: World) -> None:
    names = []
    for number in range(7):
        world.clock.advance(1)
        names.append(await world.create(user_id=f"u{number % 2}"))
    await world.restart()
    world.clock.advance(1)
    names.append(await world.create(user_id="u1"))
    seen: list[str] = []
    token = ""
    while True:
        page = await world.call(
            "ListRuns",
            pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH, page_size=3, page_token=token),
        )
        assert all(not run.entities for run in page.runs)
        seen += [run.name for run in page.runs]
        token = page.next_page_token
        if not token:
            break
        world.clock.advance(1)
        await world.create()  # what is new does not disturb the pages after
    assert seen == names[::-1]
    mine = await world.call(
        "ListRuns", pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH, user_id="u1")
    )
    assert [run.name for run in mine.runs] == [names[7], names[5], names[3], names[1]]


async def test_a_page_token_of_another_list_is_refused(world: World) -> None:
    for _ in range(3):
        await world.create()
    page = await world.call(
        "ListRuns", pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH, page_size=1)
    )
    for token in ("x", "=", "W10=", page.next_page_token[:-3], "ä", "1" * 500):
        with pytest.raises(InvalidArgument) as caught:
            await world.call(
                "ListRuns", pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH, page_token=token)
            )
        assert (caught.value.reason, caught.value.field) == ("PAGE_TOKEN_INVALID", "page_token")
    with pytest.raises(InvalidArgument):
        await world.call(
            "ListRuns",
            pb.ListRunsRequest(
                audience=run_pb2.AUDIENCE_RESEARCH, page_token=page.next_page_token, user_id="u1"
            ),
        )


async def test_concurrent_writers_to_one_run_get_sequences_without_gap(world: World) -> None:
    name = await world.create()
    thing = entity("interception_pass")
    recorded = await asyncio.gather(
        *(world.record(f"{name}/uploads/u{number}", b"text", thing) for number in range(40))
    )
    assert sorted(one.sequence for one in recorded) == list(range(1, 41))
    await world.restart()
    assert [one.sequence for one in (await world.get(name)).entities] == list(range(1, 41))


async def test_the_hundredth_entity_has_three_digits(world: World) -> None:
    name = await world.create()
    for number in range(100):
        last = await world.record(f"{name}/uploads/u{number}", b"text", entity("interception"))
    assert last.filename == "100_interception.txt"


async def test_the_document_is_metadata_json_byte_for_byte(disk: World) -> None:
    name = await disk.create()
    await disk.record(f"{name}/uploads/input", b"text")
    answer = await disk.call(
        "GetRun",
        pb.GetRunRequest(name=name, include_document=True, audience=run_pb2.AUDIENCE_RESEARCH),
    )
    assert answer.document == (disk.folder(name) / "metadata.json").read_bytes()
    without = await disk.call(
        "GetRun", pb.GetRunRequest(name=name, audience=run_pb2.AUDIENCE_RESEARCH)
    )
    assert without.document == b""

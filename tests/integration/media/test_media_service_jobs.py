"""Media jobs through gRPC: joining, cancelling, limits, deadlines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable

import grpc.aio
import pytest

from artlab.media.v1 import media_pb2
from artlab.recorder.v1 import recorder_pb2, run_pb2
from services.kit.errors import FailedPrecondition
from services.media import progress
from tests.fakes.media_backend import picture_bytes
from tests.integration.media.world import (
    CALL_SECONDS,
    World,
    entity_of,
    image_config,
    media_beside,
    sha256,
)
from tests.support.eventually import eventually
from tests.support.rpc import refused

Call = AsyncIterable[media_pb2.GenerateMediaResponse]

pytestmark = pytest.mark.timeout(40)


async def test_a_job_ends_in_a_recorded_entity_that_tells_what_was_used(world: World) -> None:
    world.backend.go.set()
    upload = await world.upload()
    entity = await world.made(upload, parameters={"style": '"wild"', "width": "256"})
    assert entity.type == "output_image"
    assert (entity.stage, entity.output_index, entity.attempt) == (4, 1, 1)
    assert entity.audience == run_pb2.AUDIENCE_STUDENT
    (used,) = entity.models_used
    assert (used.task, used.backend, used.model) == ("media", "builtin", "model-of-the-test")
    facts = dict(entity.metadata)
    assert facts.pop("request_digest")
    assert facts.pop("render_digest")
    # Width and height are what the picture has, whatever was asked for.
    assert facts == {
        "seed": "42", "output_config": "picture", "recipe": "dada", "width": "1",
        "height": "1", "style": "wild", "note": "as reported",
    }  # fmt: skip
    assert entity.digest.sha256 == sha256(world.backend.data)
    assert await world.bytes_of(entity) == world.backend.data
    assert entity.HasField("start_time")
    assert entity.HasField("duration")


async def test_an_unset_seed_is_drawn_and_reported(world: World) -> None:
    world.backend.go.set()
    entity = await world.made(await world.upload(), seed=None)
    assert 0 <= int(entity.metadata["seed"]) < 2**53
    assert world.backend.jobs[0].seed == int(entity.metadata["seed"])


async def test_callers_of_one_upload_share_one_job_and_all_get_its_result(world: World) -> None:
    upload = await world.upload()
    calls = [world.generate(upload) for _ in range(3)]
    answers = [asyncio.create_task(_all(call)) for call in calls]
    await world.backend.started.wait()
    world.backend.go.set()
    entities = [entity_of(await answer) for answer in answers]
    assert len(world.backend.jobs) == 1
    assert len({entity.name for entity in entities}) == 1


async def test_a_finished_upload_answers_with_what_was_recorded(world: World) -> None:
    world.backend.go.set()
    upload = await world.upload()
    first = await world.made(upload)
    second = await world.made(upload)
    assert first == second
    assert len(world.backend.jobs) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "Ein Hund im Regen"},
        {"seed": 43},
        {"recipe": "bauhaus"},
        {"parameters": {"width": "64"}},
    ],
    ids=str,
)
async def test_another_request_under_a_used_name_is_refused(
    world: World, change: dict[str, object]
) -> None:
    upload = await world.upload()
    running = asyncio.create_task(_all(world.generate(upload)))
    await world.backend.started.wait()
    async with refused("ALREADY_EXISTS", "JOB_DIFFERS"):
        await _all(world.generate(upload, **change))
    world.backend.go.set()
    entity_of(await running)
    async with refused("ALREADY_EXISTS", "JOB_DIFFERS"):
        await _all(world.generate(upload, **change))
    assert len(world.backend.jobs) == 1


async def test_a_job_outlives_its_caller_for_a_grace_and_can_be_joined(world: World) -> None:
    upload = await world.upload()
    call = world.generate(upload)
    await _first(call)
    call.cancel()
    world.backend.go.set()
    entity = await world.made(upload)
    assert len(world.backend.jobs) == 1
    assert entity.digest.sha256 == sha256(world.backend.data)


async def test_without_callers_a_job_is_stopped_after_the_grace(recorder_target: str) -> None:
    async with media_beside(recorder_target, grace_seconds=0.05) as world:
        call = world.generate(await world.upload())
        await _first(call)
        call.cancel()
        async with asyncio.timeout(5):
            await world.backend.cancelled.wait()


async def test_cancel_stops_exactly_this_job(world: World) -> None:
    one, other = await world.upload(), await world.upload()
    calls = [asyncio.create_task(_all(world.generate(name))) for name in (one, other)]
    await eventually(lambda: len(world.backend.jobs) == 2)
    assert await world.cancel(one) is True
    async with refused("CANCELLED", "MEDIA_CANCELLED"):
        await calls[0]
    assert await world.cancel(one) is False
    world.backend.go.set()
    entity_of(await calls[1])
    assert await world.cancel(other) is False


async def test_a_cancelled_upload_name_can_be_used_again(world: World) -> None:
    upload = await world.upload()
    call = asyncio.create_task(_all(world.generate(upload)))
    await world.backend.started.wait()
    assert await world.cancel(upload)
    async with refused("CANCELLED"):
        await call
    world.backend.go.set()
    entity = await world.made(upload, prompt="another one")
    assert entity.sequence == 1


async def test_cancelling_while_bytes_move_leaves_nothing_behind(world: World) -> None:
    world.backend.data = picture_bytes(64 * 1024 * 1024)
    upload = await world.upload()
    stalled = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stall(offset: int, reading: int) -> None:
        if offset >= 4 * 1024 * 1024:
            loop.call_soon_threadsafe(stalled.set)

    world.backend.before_chunk = stall
    world.backend.go.set()
    call = asyncio.create_task(_all(world.generate(upload)))
    await stalled.wait()
    cancelled = await world.cancel(upload)
    if cancelled:
        async with refused("CANCELLED", "MEDIA_CANCELLED"):
            await call
        async with refused("NOT_FOUND", "UPLOAD_NOT_FOUND"):
            await world.recorder.GetUpload(
                recorder_pb2.GetUploadRequest(upload=upload), timeout=CALL_SECONDS
            )
    else:
        entity_of(await call)


async def test_cancel_of_an_unknown_job_stops_nothing(world: World) -> None:
    assert await world.cancel(await world.upload()) is False


async def test_more_jobs_than_places_are_refused_with_a_time_to_come_back(
    recorder_target: str,
) -> None:
    async with media_beside(recorder_target, max_jobs=1) as world:
        running = asyncio.create_task(_all(world.generate(await world.upload())))
        await world.backend.started.wait()
        other = await world.upload()
        async with refused("RESOURCE_EXHAUSTED", "MEDIA_BUSY") as seen:
            await _all(world.generate(other))
        assert seen.retry_after_seconds
        world.backend.go.set()
        entity_of(await running)
        entity_of(await _all(world.generate(other)))


async def test_the_configs_deadline_stops_the_job(recorder_target: str) -> None:
    configs = {"picture": image_config(deadline_seconds=0.2)}
    async with media_beside(recorder_target, configs=configs) as world:
        async with refused("DEADLINE_EXCEEDED", "DEADLINE"):
            await world.made(await world.upload())
        assert world.backend.cancelled.is_set()


async def _warning(call: Call) -> str:
    async for answer in call:
        if answer.HasField("warning"):
            return answer.warning.reason
    return ""


async def test_most_of_the_time_used_up_is_said_once_to_everybody(recorder_target: str) -> None:
    config = image_config(deadline_seconds=1.0)
    async with media_beside(recorder_target, configs={"picture": config}) as world:
        upload = await world.upload()
        answers: list[media_pb2.GenerateMediaResponse] = []
        began = time.monotonic()
        async with refused("DEADLINE_EXCEEDED", "DEADLINE"):
            async for answer in world.generate(upload):
                answers.append(answer)
                if answer.HasField("warning"):
                    assert time.monotonic() - began >= 0.75
                    joined = asyncio.create_task(_warning(world.generate(upload)))
        assert await joined, "who comes later hears of it as well"
        (warning,) = [answer.warning for answer in answers if answer.HasField("warning")]
        assert (warning.reason, warning.output_index) == ("DEADLINE_NEAR", 1)
        await asyncio.wait_for(world.backend.cancelled.wait(), 5)


async def test_a_failure_tells_what_helps(world: World) -> None:
    world.backend.failure = FailedPrecondition("COMFY_NO_OUTPUT", "no file")
    world.backend.go.set()
    async with refused("FAILED_PRECONDITION", "COMFY_NO_OUTPUT") as seen:
        await world.made(await world.upload())
    assert "disk" in seen.metadata["advice"]


async def test_what_is_done_in_time_is_not_warned_of(recorder_target: str) -> None:
    config = image_config(deadline_seconds=5.0)
    async with media_beside(recorder_target, configs={"picture": config}) as world:
        world.backend.go.set()
        answers = [answer async for answer in world.generate(await world.upload())]
        assert not [answer for answer in answers if answer.HasField("warning")]


async def test_the_callers_deadline_does_not_stop_the_job(world: World) -> None:
    upload = await world.upload()
    asked = media_pb2.GenerateMediaRequest()
    asked.CopyFrom(_request_of(upload))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _all(world.media.GenerateMedia(asked, timeout=0.8))
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    world.backend.go.set()
    entity_of(await _all(world.media.GenerateMedia(asked, timeout=CALL_SECONDS)))
    assert len(world.backend.jobs) == 1


async def test_progress_reaches_one_only_with_the_recorded_bytes(world: World) -> None:
    world.backend.data = picture_bytes(3 * 1024 * 1024)
    upload = await world.upload()
    call = world.generate(upload)
    answers = [await _first(call)]
    world.backend.go.set()
    answers += [answer async for answer in call]
    entity_of(answers)
    fractions = [answer.progress.fraction for answer in answers[:-1]]
    phases = [answer.progress.phase for answer in answers[:-1]]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    for fraction, phase in zip(fractions, phases, strict=True):
        if phase != run_pb2.RENDER_PHASE_RECORDING:
            assert fraction <= progress.BACKEND_SHARE
    assert all(fraction < 1.0 for fraction in fractions[:-1])
    assert {answer.progress.output_index for answer in answers[:-1]} == {1}


async def test_a_quiet_job_sends_heartbeats(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.05)
    call = world.generate(await world.upload())
    first = await _first(call)
    seen = [first]
    async with asyncio.timeout(10):
        async for answer in call:
            seen.append(answer)
            if len(seen) >= 6 and seen[-1] == seen[-2]:
                break
    call.cancel()
    assert progress.HEARTBEAT_SECONDS < 10


async def test_a_backend_that_is_not_available_says_why(world: World) -> None:
    world.backend.reason = "there is no paint"
    async with refused("FAILED_PRECONDITION", "OUTPUT_NOT_AVAILABLE") as seen:
        await world.made(await world.upload())
    assert "no paint" in seen.message
    assert not world.backend.jobs


async def test_a_backends_error_reaches_the_caller_and_frees_the_name(world: World) -> None:
    world.backend.failure = FailedPrecondition("COMFY_EXECUTION", "node 3 failed")
    world.backend.go.set()
    upload = await world.upload()
    async with refused("FAILED_PRECONDITION", "COMFY_EXECUTION"):
        await world.made(upload)
    world.backend.failure = None
    await world.made(upload)


async def test_an_unexpected_error_of_a_backend_tells_nothing_of_its_text(world: World) -> None:
    world.backend.failure = RuntimeError("Eine Blume auf der Wiese")
    world.backend.go.set()
    async with refused("INTERNAL", "MEDIA_BACKEND_ERROR") as seen:
        await world.made(await world.upload())
    assert "Blume" not in seen.message


async def test_outputs_are_listed_with_their_availability_and_typical_duration(
    world: World,
) -> None:
    asked = media_pb2.ListOutputConfigsRequest()
    before = await world.media.ListOutputConfigs(asked, timeout=CALL_SECONDS)
    (config,) = before.configs
    assert (config.name, config.available, config.reason) == ("picture", True, "")
    assert not config.HasField("typical_duration")
    assert dict(config.title) == {"en": "Picture", "de": "Bild"}
    assert [list(default.output_configs) for default in before.defaults] == [["picture"]]
    world.backend.go.set()
    await world.made(await world.upload())
    world.backend.reason = "out of paint"
    after = await world.media.ListOutputConfigs(asked, timeout=CALL_SECONDS)
    (config,) = after.configs
    assert (config.available, config.reason) == (False, "out of paint")
    assert config.HasField("typical_duration")


async def test_a_service_that_stops_says_so_to_its_callers(world: World) -> None:
    call = asyncio.create_task(_all(world.generate(await world.upload())))
    await world.backend.started.wait()
    await world.jobs.close()
    async with refused("UNAVAILABLE", "DRAINING"):
        await call
    async with refused("UNAVAILABLE", "DRAINING"):
        await world.made(await world.upload())


async def test_who_asks_while_a_job_is_being_stopped_gets_a_job_of_its_own(world: World) -> None:
    upload = await world.upload()
    call = asyncio.create_task(_all(world.generate(upload)))
    await world.backend.started.wait()
    world.backend.may_stop.clear()
    cancel = asyncio.create_task(world.cancel(upload))
    await world.backend.cancelled.wait()
    world.backend.go.set()
    again = asyncio.create_task(_all(world.generate(upload)))
    world.backend.may_stop.set()
    assert await cancel is True
    async with refused("CANCELLED", "MEDIA_CANCELLED"):
        await call
    entity_of(await again)
    assert len(world.backend.jobs) == 2


def _request_of(upload: str) -> media_pb2.GenerateMediaRequest:
    return media_pb2.GenerateMediaRequest(
        upload=upload, output_config="picture", prompt="Hallo", output_index=1, seed=1
    )


async def _all(call: Call) -> list[media_pb2.GenerateMediaResponse]:
    return [answer async for answer in call]


async def _first(call: Call) -> media_pb2.GenerateMediaResponse:
    async for answer in call:
        return answer
    raise AssertionError("the call ended without a message")

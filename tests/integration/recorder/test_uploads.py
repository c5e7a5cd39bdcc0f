"""What any store must do with an upload: the conformance cases of the design.

The suite runs over the memory store, the disk store, and through gRPC.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    ResourceExhausted,
)
from tests.integration.recorder.harness import (
    World,
    digest_of,
    entity,
    picture,
    stream,
    until,
)


@pytest.fixture
async def run(world: World) -> str:
    return await world.create()


@pytest.fixture
async def upload(run: str) -> str:
    return f"{run}/uploads/output-1"


async def nothing_is_visible(world: World, run: str) -> bool:
    return not (await world.get(run)).entities


async def test_an_empty_entity_is_refused(world: World, run: str, upload: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await world.write(stream(upload, b""))
    assert caught.value.reason == "EMPTY_MEDIA"
    assert await nothing_is_visible(world, run)
    assert world.unfinished_bytes() == 0


async def test_one_chunk_becomes_an_entity(world: World, run: str, upload: str) -> None:
    data = picture(100)
    written = await world.write(stream(upload, data))
    assert written.committed_size == 100
    assert written.entity.filename == "01_output_image.png"
    assert written.entity.media_type == "image/png"
    assert written.entity.digest == digest_of(data)
    assert await world.read(written.entity.name) == data
    assert world.unfinished_bytes() == 0


async def test_many_chunks_become_an_entity(world: World, upload: str) -> None:
    data = picture(100_003)
    written = await world.write(stream(upload, data, chunk=4096))
    assert written.entity.digest == digest_of(data)
    assert await world.read(written.entity.name) == data


async def test_finish_may_come_alone_at_an_exact_chunk_boundary(world: World, upload: str) -> None:
    data = picture(8192)
    messages = stream(upload, data, chunk=4096, finish=False)
    messages.append(pb.WriteEntityRequest(offset=8192, finish=True, digest=digest_of(data)))
    assert (await world.write(messages)).entity.digest == digest_of(data)


async def test_an_upload_resumes_after_the_client_was_cut(world: World, upload: str) -> None:
    data = picture(10_000)
    sent = asyncio.Event()

    async def cut() -> AsyncIterator[pb.WriteEntityRequest]:
        for message in stream(upload, data, finish=False)[:4]:
            yield message
        sent.set()
        await asyncio.Event().wait()

    writer = asyncio.create_task(world.write(cut()))
    await sent.wait()
    await until(lambda: world.unfinished_bytes() >= 4096)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)

    async def is_free() -> bool:
        return await world.uploaded(upload) == 4096

    await until(is_free)
    written = await world.write(stream(upload, data, start=4096))
    assert written.entity.digest == digest_of(data)


async def test_an_upload_resumes_after_the_server_restarted(world: World, upload: str) -> None:
    data = picture(10_000)
    await world.write(stream(upload, data, finish=False)[:5])
    await world.restart()
    assert await world.uploaded(upload) == 5 * 1024
    written = await world.write(stream(upload, data, start=5 * 1024))
    assert written.entity.digest == digest_of(data)
    assert await world.read(written.entity.name) == data


async def test_the_committed_size_never_decreases(world: World, upload: str) -> None:
    data = picture(10_000)
    seen = []
    for start in range(0, 8192, 2048):
        await world.write(stream(upload, data[: start + 2048], start=start, finish=False))
        seen.append(await world.uploaded(upload))
    with pytest.raises(OutOfRange):
        await world.write(stream(upload, data, start=1024))
    seen.append(await world.uploaded(upload))
    await world.write(stream(upload, data, start=8192))
    seen.append(await world.uploaded(upload))
    assert seen == [2048, 4096, 6144, 8192, 8192, 10_000]


async def test_a_gap_is_refused(world: World, run: str, upload: str) -> None:
    data = picture(4096)
    messages = stream(upload, data)
    del messages[1]
    with pytest.raises(OutOfRange) as caught:
        await world.write(messages)
    assert (caught.value.reason, caught.value.field) == ("OFFSET_MISMATCH", "offset")
    assert await world.uploaded(upload) == 1024
    assert await nothing_is_visible(world, run)


async def test_an_overlap_is_refused(world: World, run: str, upload: str) -> None:
    data = picture(4096)
    await world.write(stream(upload, data, finish=False))
    with pytest.raises(OutOfRange) as caught:
        await world.write(stream(upload, data, start=3072))
    assert caught.value.reason == "OFFSET_MISMATCH"
    assert await world.uploaded(upload) == 4096
    assert await nothing_is_visible(world, run)


async def test_offset_zero_on_a_started_upload_is_refused(world: World, upload: str) -> None:
    data = picture(4096)
    await world.write(stream(upload, data, finish=False)[:2])
    with pytest.raises(OutOfRange) as caught:
        await world.write(stream(upload, data))
    assert caught.value.metadata == {"committed_size": "2048"}
    assert await world.uploaded(upload) == 2048


async def test_the_upload_name_may_not_change_mid_stream(
    world: World, run: str, upload: str
) -> None:
    messages = stream(upload, picture(4096))
    messages[2].upload = f"{run}/uploads/other"
    with pytest.raises(InvalidArgument) as caught:
        await world.write(messages)
    assert (caught.value.reason, caught.value.field) == ("UPLOAD_NAME_CHANGED", "upload")
    assert await world.uploaded(upload) == 2048
    with pytest.raises(NotFound):
        await world.uploaded(f"{run}/uploads/other")


async def test_data_after_finish_is_refused(world: World, run: str, upload: str) -> None:
    data = picture(2048)
    messages = [*stream(upload, data), pb.WriteEntityRequest(offset=2048, data=b"more")]
    with pytest.raises(InvalidArgument) as caught:
        await world.write(messages)
    assert (caught.value.reason, caught.value.field) == ("DATA_AFTER_FINISH", "finish")
    assert await nothing_is_visible(world, run)


async def test_a_stream_that_ends_without_finish_keeps_the_upload_open(
    world: World, run: str, upload: str
) -> None:
    written = await world.write(stream(upload, picture(3000), finish=False))
    assert written.committed_size == 3000
    assert not written.HasField("entity")
    assert await world.uploaded(upload) == 3000
    assert await nothing_is_visible(world, run)


async def test_a_wrong_digest_discards_everything(world: World, run: str, upload: str) -> None:
    messages = stream(upload, picture(3000))
    messages[-1].digest.sha256 = "0" * 64
    with pytest.raises(InvalidArgument) as caught:
        await world.write(messages)
    assert (caught.value.reason, caught.value.field) == ("DIGEST_MISMATCH", "digest.sha256")
    with pytest.raises(NotFound):
        await world.uploaded(upload)
    assert await nothing_is_visible(world, run)
    assert world.unfinished_bytes() == 0


async def test_a_wrong_size_discards_everything(world: World, run: str, upload: str) -> None:
    messages = stream(upload, picture(3000))
    messages[-1].digest.size_bytes = 2999
    with pytest.raises(InvalidArgument) as caught:
        await world.write(messages)
    assert (caught.value.reason, caught.value.field) == ("SIZE_MISMATCH", "digest.size_bytes")
    assert await nothing_is_visible(world, run)
    assert world.unfinished_bytes() == 0


async def test_a_missing_digest_is_refused_and_changes_nothing(
    world: World, run: str, upload: str
) -> None:
    messages = stream(upload, picture(3000))
    messages[-1].ClearField("digest")
    with pytest.raises(InvalidArgument) as caught:
        await world.write(messages)
    assert (caught.value.reason, caught.value.field) == ("DIGEST_REQUIRED", "digest")
    assert await world.uploaded(upload) == 2048
    assert await nothing_is_visible(world, run)


async def test_write_entity_is_idempotent_with_the_same_digest(
    world: World, run: str, upload: str
) -> None:
    data = picture(3000)
    first = await world.write(stream(upload, data))
    again = await world.write(stream(upload, data))
    only_the_end = await world.write(stream(upload, data, start=3000))
    assert again == first == only_the_end
    assert len((await world.get(run)).entities) == 1


async def test_the_same_upload_with_another_digest_already_exists(
    world: World, run: str, upload: str
) -> None:
    await world.write(stream(upload, picture(3000)))
    with pytest.raises(AlreadyExists) as caught:
        await world.write(stream(upload, picture(3001)))
    assert caught.value.reason == "UPLOAD_COMPLETE"
    assert len((await world.get(run)).entities) == 1


async def test_a_second_writer_is_aborted_and_the_first_unaffected(
    world: World, upload: str
) -> None:
    data = picture(3000)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[pb.WriteEntityRequest]:
        first, *rest = stream(upload, data)
        yield first
        begun.set()
        await go_on.wait()
        for message in rest:
            yield message

    writer = asyncio.create_task(world.write(slowly()))
    await begun.wait()
    await until(lambda: world.unfinished_bytes() > 0)
    with pytest.raises(Aborted) as caught:
        await world.write(stream(upload, data))
    assert caught.value.reason == "UPLOAD_BUSY"
    go_on.set()
    assert (await writer).entity.digest == digest_of(data)


async def test_a_final_run_takes_no_entity(world: World, run: str, upload: str) -> None:
    await world.finalize(run, run_pb2.RUN_STATE_CANCELLED)
    with pytest.raises(FailedPrecondition) as caught:
        await world.write(stream(upload, picture(3000)))
    assert caught.value.reason == "RUN_FINAL"
    with pytest.raises(FailedPrecondition):
        await world.record(upload, b"text")
    assert await nothing_is_visible(world, run)


async def test_an_unknown_run_takes_no_entity(world: World) -> None:
    nobody = "runs/528e5af9-59b3-4551-b101-27e13dd6e43e"
    with pytest.raises(NotFound) as caught:
        await world.write(stream(f"{nobody}/uploads/x", picture(3000)))
    assert caught.value.reason == "RUN_NOT_FOUND"
    with pytest.raises(NotFound):
        await world.record(f"{nobody}/uploads/x", b"text")
    assert world.unfinished_bytes() == 0


async def test_an_expired_upload_is_gone_and_its_space_is_free(world: World) -> None:
    run = await world.create(deadline=world.deadline_in(7200))
    upload = f"{run}/uploads/x"
    await world.write(stream(upload, picture(3000), finish=False))
    world.clock.advance(3599)
    await world.recorder.sweep()
    assert await world.uploaded(upload) == 3000
    world.clock.advance(2)
    await world.recorder.sweep()
    with pytest.raises(NotFound) as caught:
        await world.uploaded(upload)
    assert caught.value.reason == "UPLOAD_NOT_FOUND"
    assert world.unfinished_bytes() == 0


async def test_empty_messages_keep_a_stream_alive(world: World, upload: str) -> None:
    data = picture(3000)
    first, *rest = stream(upload, data)
    keepalives = [pb.WriteEntityRequest() for _ in range(20)]
    written = await world.write([first, *keepalives, *rest])
    assert written.entity.digest == digest_of(data)


async def test_an_upload_over_the_cap_is_refused_at_the_cap(
    world: World, run: str, upload: str
) -> None:
    data = picture(world.limits.max_entity_bytes + 1)
    with pytest.raises(InvalidArgument) as caught:
        await world.write(stream(upload, data, chunk=256 * 1024))
    assert caught.value.reason == "MEDIA_TOO_LARGE"
    assert world.unfinished_bytes() == 0
    with pytest.raises(NotFound):
        await world.uploaded(upload)
    assert await nothing_is_visible(world, run)


async def test_an_entity_of_exactly_the_cap_is_taken(world: World, upload: str) -> None:
    data = picture(world.limits.max_entity_bytes)
    written = await world.write(stream(upload, data, chunk=256 * 1024))
    assert written.committed_size == len(data)


async def test_the_first_message_of_an_upload_says_what_it_is(world: World, upload: str) -> None:
    messages = stream(upload, picture(100))
    messages[0].ClearField("entity")
    with pytest.raises(InvalidArgument) as caught:
        await world.write(messages)
    assert caught.value.field == "entity"


async def test_an_upload_cannot_become_another_thing(world: World, upload: str) -> None:
    await world.write(stream(upload, picture(100), finish=False))
    message = pb.WriteEntityRequest(upload=upload, offset=100, entity=entity("output_video"))
    with pytest.raises(AlreadyExists) as caught:
        await world.write([message])
    assert caught.value.reason == "UPLOAD_DIFFERS"


async def test_the_last_message_may_tell_how_long_it_took(world: World, upload: str) -> None:
    data = picture(2048)
    messages = stream(upload, data)
    messages[-1].entity.CopyFrom(entity())
    messages[-1].entity.duration.FromMilliseconds(1500)
    written = await world.write(messages)
    assert written.entity.duration.ToMilliseconds() == 1500


async def test_unfinished_uploads_of_a_run_are_bounded(world: World, run: str) -> None:
    for number in range(world.limits.uploads_per_run):
        await world.write(stream(f"{run}/uploads/u{number}", picture(100), finish=False))
    with pytest.raises(ResourceExhausted) as caught:
        await world.write(stream(f"{run}/uploads/more", picture(100), finish=False))
    assert caught.value.reason == "TOO_MANY_UPLOADS"
    await world.write(stream(f"{run}/uploads/u0", picture(100), start=100))
    await world.write(stream(f"{run}/uploads/more", picture(100)))


async def test_delete_upload_is_idempotent_and_lets_the_name_begin_anew(
    world: World, run: str, upload: str
) -> None:
    await world.write(stream(upload, picture(3000), finish=False))
    for _ in range(2):
        await world.call("DeleteUpload", pb.DeleteUploadRequest(upload=upload))
    assert world.unfinished_bytes() == 0
    data = picture(500)
    assert (await world.write(stream(upload, data))).entity.digest == digest_of(data)
    with pytest.raises(FailedPrecondition) as caught:
        await world.call("DeleteUpload", pb.DeleteUploadRequest(upload=upload))
    assert caught.value.reason == "UPLOAD_COMPLETE"


async def test_deleting_an_upload_cuts_its_writer(world: World, run: str, upload: str) -> None:
    begun = asyncio.Event()

    async def slowly() -> AsyncIterator[pb.WriteEntityRequest]:
        yield stream(upload, picture(3000))[0]
        begun.set()
        # Nothing follows: gRPC tells a client that still sends something else at times.
        await asyncio.Event().wait()

    writer = asyncio.create_task(world.write(slowly()))
    await begun.wait()
    await until(lambda: world.unfinished_bytes() > 0)
    await world.call("DeleteUpload", pb.DeleteUploadRequest(upload=upload))
    with pytest.raises(Aborted) as caught:
        await writer
    assert caught.value.reason == "UPLOAD_DISCARDED"
    assert await nothing_is_visible(world, run)
    assert world.unfinished_bytes() == 0


async def test_record_entity_is_idempotent(world: World, run: str) -> None:
    upload = f"{run}/uploads/input"
    first = await world.record(upload, b"Eine Blume")
    again = await world.record(upload, b"Eine Blume")
    assert again == first
    with pytest.raises(AlreadyExists) as caught:
        await world.record(upload, b"another text")
    assert caught.value.reason == "UPLOAD_COMPLETE"
    assert [one.filename for one in (await world.get(run)).entities] == ["01_input.txt"]


async def test_record_entity_and_write_entity_are_one_way(world: World, run: str) -> None:
    small = await world.record(f"{run}/uploads/a", picture(900), entity())
    large = await world.write(stream(f"{run}/uploads/a", picture(900)))
    assert large.entity == small
    begun = f"{run}/uploads/b"
    await world.write(stream(begun, picture(900), finish=False))
    with pytest.raises(OutOfRange):
        await world.record(begun, picture(900), entity())


async def test_a_picture_that_is_a_sound_is_refused_and_leaves_nothing(
    world: World, run: str, upload: str
) -> None:
    wav = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(100)
    with pytest.raises(InvalidArgument) as caught:
        await world.write(stream(upload, wav))
    assert caught.value.reason == "MEDIA_KIND_MISMATCH"
    assert await nothing_is_visible(world, run)
    assert world.unfinished_bytes() == 0

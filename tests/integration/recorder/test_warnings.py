"""Warnings: facts that end nothing, told once, in order, for ever."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import ArtlabError
from services.recorder.verify import verify_run
from tests.integration.recorder.archives import export, finished_run, take_in
from tests.integration.recorder.harness import World, metadata_of, world_of
from tests.integration.recorder.test_watch import watching
from tests.support.rpc import refused

TEXT = "four of five minutes are over"


async def warn(world: World, name: str, **changes: Any) -> None:
    warning = run_pb2.Warning(**{"reason": "DEADLINE_NEAR", "message": TEXT, **changes})
    await world.call("RecordWarning", pb.RecordWarningRequest(name=name, warning=warning))


async def document(world: World, name: str) -> Any:
    research = run_pb2.AUDIENCE_RESEARCH
    request = pb.GetRunRequest(name=name, include_document=True, audience=research)
    return json.loads((await world.call("GetRun", request)).document)


def warnings_in(document: Any) -> list[tuple[str, str, int]]:
    told = [one["payload"] for one in document["events"] if one["kind"] == "warning"]
    return [(one["reason"], one["message"], one["output_index"]) for one in told]


async def test_a_warning_is_in_the_record_once_for_each_reason_and_output(world: World) -> None:
    name = await world.create()
    await warn(world, name, output_index=1)
    await warn(world, name, output_index=1, message="said again in other words")
    await warn(world, name)
    await warn(world, name, reason="FALLBACK_USED", output_index=1)
    run = await world.get(name)
    assert (run.state, run.last_event_seq) == (run_pb2.RUN_STATE_PENDING, 4)
    await world.restart()
    await warn(world, name, output_index=1)
    assert warnings_in(await document(world, name)) == [
        ("DEADLINE_NEAR", TEXT, 1),
        ("DEADLINE_NEAR", TEXT, 0),
        ("FALLBACK_USED", TEXT, 1),
    ]


async def test_a_final_run_takes_no_new_warning_and_an_old_one_again(world: World) -> None:
    name = await world.create()
    await warn(world, name)
    await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    before = await document(world, name)
    await warn(world, name)
    with pytest.raises(ArtlabError) as caught:
        await warn(world, name, reason="FALLBACK_USED")
    assert (caught.value.code, caught.value.reason) == ("FAILED_PRECONDITION", "RUN_FINAL")
    assert await document(world, name) == before


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"reason": ""}, "INVALID_REASON", "warning.reason"),
        ({"reason": "deadline"}, "INVALID_REASON", "warning.reason"),
        ({"message": "x" * 1001}, "TEXT_TOO_LONG", "warning.message"),
        ({"message": "\x00"}, "INVALID_CHARACTER", "warning.message"),
        ({"output_index": -1}, "OUT_OF_BOUNDS", "warning.output_index"),
        ({"output_index": 17}, "OUT_OF_BOUNDS", "warning.output_index"),
        ({"output_index": 2}, "OUTPUT_UNKNOWN", "warning.output_index"),
    ],
)
async def test_a_malformed_warning_is_refused_by_its_field(
    world: World, changes: dict[str, Any], reason: str, field: str
) -> None:
    name = await world.create()
    with pytest.raises(ArtlabError) as caught:
        await warn(world, name, **changes)
    assert (caught.value.code, caught.value.reason) == ("INVALID_ARGUMENT", reason)
    assert caught.value.field == field
    assert (await world.get(name)).last_event_seq == 1


async def test_watchers_hear_it_in_its_place_and_from_where_they_resume(served: World) -> None:
    name = await served.create()
    async with watching(served, name, 1) as call:
        await warn(served, name, output_index=1)
        first = (await call.read()).event
        await served.finalize(name, run_pb2.RUN_STATE_CANCELLED)
        assert [(await call.read()).event.seq for _ in range(2)] == [3, 4]
    assert (first.seq, first.ignorable) == (2, True)
    assert first.warning == run_pb2.Warning(reason="DEADLINE_NEAR", message=TEXT, output_index=1)
    async with watching(served, name, 1) as call:
        assert (await call.read()).event == first


async def test_students_hear_the_reason_without_words_for_developers(served: World) -> None:
    name = await served.create()
    await warn(served, name)
    request = pb.WatchRunRequest(name=name, after_seq=1, audience=run_pb2.AUDIENCE_STUDENT)
    call = served.stub.WatchRun(request, timeout=10)
    assert (await call.read()).event.warning == run_pb2.Warning(reason="DEADLINE_NEAR")
    call.cancel()


async def test_a_warning_about_a_run_that_is_not_there_is_refused(served: World) -> None:
    name = "runs/528e5af9-59b3-4551-b101-27e13dd6e43e"
    async with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        await served.stub.RecordWarning(
            pb.RecordWarningRequest(name=name, warning=run_pb2.Warning(reason="SOME_REASON"))
        )


@pytest_asyncio.fixture
async def other(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of("grpc", tmp_path / "other") as opened:
        yield opened


async def test_it_is_on_the_report_and_comes_through_an_export_and_an_import(
    served: World, other: World
) -> None:
    async def warned(name: str) -> None:
        await warn(served, name, output_index=1, message="<b>slow</b>")
        await warn(served, name, reason="BACKEND_SHARED", message="")

    name = await finished_run(served, before_the_end=warned)
    page = (await export(served, name, format=pb.EXPORT_FORMAT_HTML)).decode()
    head, _, outputs = page.partition("What was made")
    assert "<code>BACKEND_SHARED</code></p>" in head
    assert "<code>DEADLINE_NEAR</code>: &lt;b&gt;slow&lt;/b&gt;</p>" in outputs
    assert (await take_in(other, await export(served, name))).imported == [name]
    assert metadata_of(other, name) == metadata_of(served, name)
    assert len(warnings_in(metadata_of(other, name))) == 2
    assert verify_run(other.folder(name)) == []

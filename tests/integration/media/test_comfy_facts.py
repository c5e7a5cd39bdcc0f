"""The twelve facts about ComfyUI that decide how its client must be, each as a claim about ours.

The numbers are those of the reference; what the fake does is what was recorded.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from contextlib import suppress

import aiohttp
import pytest

from services.kit.errors import Cancelled, FailedPrecondition
from services.media.comfy import course, prompt_id_of
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
from tests.fakes.comfyui.jobs import connected, failure, ignore, make_job, read, until

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}


async def _submit(fake: FakeComfyUI, **extra: object) -> int:
    graph = json.loads(json.dumps(GRAPH))
    graph["1"]["inputs"]["color"] = 7
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{fake.url}/prompt", json={"prompt": graph, **extra}) as answer,
    ):
        return answer.status


@pytest.mark.parametrize("answer", ["lost", "cut", "500", "503"])
async def test_1_a_prompt_id_is_sent_again_only_after_two_looks(answer: str) -> None:
    script = Script(prompt_answers=deque([answer]), hang_at="KSampler")
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        job = make_job()
        task = asyncio.create_task(backend.render(job, ignore))
        await until(lambda: fake.worker.running is not None)
        asked = [f"{seen.method} {seen.path.split('/')[1]}" for seen in fake.requests]
        first = asked.index("POST prompt")
        again = asked.count("POST prompt") == 2
        assert again is (answer in ("lost", "503")), "only what had not arrived"
        if again:
            between = asked[first + 1 : asked.index("POST prompt", first + 1)]
            assert [one for one in between if one in ("GET queue", "GET history")] == [
                "GET queue",
                "GET history",
            ] * 2
        script.hang_at = None
        assert await read(await task)
        assert fake.executions == {prompt_id_of(job.upload): 1}


async def test_1_a_post_that_froze_on_its_way_is_not_sent_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.media.comfy.instance.SUBMIT_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr("services.media.comfy.rest.CALL_TIMEOUT_SECONDS", 0.5)
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        fake.script.hold = "before POST /prompt"
        job = make_job()
        task = asyncio.create_task(backend.render(job, ignore))
        await until(lambda: fake.held == 1)
        fake.script.frozen = True
        await asyncio.sleep(1.5)
        # It wakes and takes in what waited, in the order in which it came.
        fake.script.hold = ""
        await until(lambda: bool(fake.executions))
        fake.script.frozen = False
        assert await read(await task)
        assert fake.executions == {prompt_id_of(job.upload): 1}


async def test_2_no_number_is_ever_sent_and_a_worker_it_killed_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "STALLED_SECONDS", 1.0)
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        await backend.render(make_job(), ignore)
        assert not {"number", "front"} & set(fake.prompts[0])
        fake.script.hang_at = "EmptyImage"
        same = {"prompt_id": str(uuid.uuid4()), "number": 5}
        assert await _submit(fake) == 200
        await until(lambda: fake.worker.running is not None)
        assert await _submit(fake, **same) == 200
        assert await _submit(fake, **same) == 500, "queued nonetheless"
        fake.script.hang_at = None
        await until(lambda: fake.worker.died)
        with pytest.raises(Exception, match="takes jobs in and runs none"):
            await asyncio.wait_for(backend.render(make_job(), ignore), 15)


async def test_3_nothing_of_a_caller_is_passed_through_but_values() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        prompt = '{"client_id": {"a": 1}, "number": 5}'
        await backend.render(make_job(prompt=prompt, recipe='{"client_id": {}}'), ignore)
        body = fake.prompts[0]
        assert set(body) == {"prompt", "prompt_id", "client_id"}
        assert isinstance(body["client_id"], str)
        assert body["prompt"]["16"]["inputs"]["text"] == prompt
        # What it would do to ComfyUI: the whole process dies.
        with suppress(aiohttp.ClientError):
            await _submit(fake, client_id={"a": 1})
        await until(lambda: not fake.is_up)


async def test_4_the_history_may_be_behind_the_event_of_success() -> None:
    script = Script(history_delay_seconds=0.4, lose_frames=frozenset({"executing"}))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        assert await read(await backend.render(make_job(), ignore))


async def test_5_a_client_that_stops_reading_stalls_events_and_not_our_job() -> None:
    script = Script(previews_at="EmptyImage", previews=(40, 1_000_000))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        await backend.render(make_job(), ignore)
        reader, writer = await asyncio.open_connection("127.0.0.1", fake.port, limit=1024)
        writer.write(
            b"GET /ws?clientId=stalled HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        await until(lambda: "stalled" in fake.sockets)
        # Its previews fill its socket; it does not read, and the one loop waits for it.
        assert await _submit(fake, client_id="stalled") == 200
        await until(lambda: fake.worker.remaining == 0)
        seen: list[str] = []
        job = make_job()
        assert await read(await backend.render(job, lambda told: seen.append(told.node)))
        assert not any(seen), "no event came through"
        assert fake.executions[prompt_id_of(job.upload)] == 1
        writer.transport.abort()


async def test_6_a_client_id_is_used_again_only_when_comfyui_ended_its_socket() -> None:
    script = Script(lose_frames=frozenset({"*"}), step_seconds=0.8)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        await backend.render(make_job(), ignore)
        await until(lambda: len(fake.client_ids) == 2)
        assert len(set(fake.client_ids)) == 2, "ended by us: ComfyUI may still have it"


async def test_6_two_copies_of_the_service_never_share_a_client_id() -> None:
    async with (
        fake_comfyui() as fake,
        connected(fake.url) as one,
        connected(fake.url) as two,
    ):
        nodes: list[set[str]] = [set(), set()]
        jobs = [make_job(seed=1), make_job(seed=2)]
        await asyncio.gather(
            one.render(jobs[0], lambda told: nodes[0].add(told.node)),
            two.render(jobs[1], lambda told: nodes[1].add(told.node)),
        )
        assert len(set(fake.client_ids)) == len(fake.client_ids) == 2
        assert len(fake.sockets) == 2


@pytest.mark.parametrize("live", [True, False], ids=["websocket", "polling"])
async def test_7_a_cached_run_has_its_outputs_because_a_client_id_is_always_sent(
    live: bool,
) -> None:
    script = Script(no_websocket=not live)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        await backend.render(make_job(), ignore)
        job = make_job()
        assert await read(await backend.render(job, ignore))
        entry = fake.worker.history[prompt_id_of(job.upload)]
        assert "3" in entry["status"]["messages"][1][1]["nodes"], "the sampler was cached"
        assert all(isinstance(body["client_id"], str) for body in fake.prompts)


async def test_8_every_output_has_a_prefix_of_its_own_and_never_an_older_file() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        names = set()
        for _ in range(3):
            product = await backend.render(make_job(), ignore)
            names.add(product.metadata["filename"])
            assert await read(product)
            # Somebody clears the folder, as people do: no name comes back.
            for path in (fake.root / "output" / "artlab").iterdir():
                path.unlink()
        assert len(names) == 3


async def test_8_a_cached_file_that_was_deleted_is_made_again_and_not_missing() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        job = make_job()
        first = await backend.render(job, ignore)
        (path,) = (fake.root / "output" / "artlab").iterdir()
        path.unlink()
        # The history says success and names it still.
        second = await backend.render(job, ignore)
        assert await read(second)
        assert second.metadata["filename"] != first.metadata["filename"]
        assert sorted(fake.executions.values()) == [1, 1]


async def test_9_node_errors_in_a_200_are_a_refusal_and_nothing_runs_on() -> None:
    script = Script(prompt_answers=deque(["node_errors"]), hang_at="KSampler")
    async with fake_comfyui(script=script) as fake:
        error = await failure(fake)
        assert (type(error), error.reason) == (FailedPrecondition, "COMFY_REJECTED")
        assert error.metadata["node"] == "3"
        assert error.metadata["node_error"] == "value_not_in_list"
        await until(lambda: fake.worker.remaining == 0)


async def test_10_a_job_that_somebody_took_out_of_the_queue_is_cancelled_and_says_so() -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with connected(fake.url) as backend:
            before = asyncio.create_task(backend.render(make_job(), ignore))
            await until(lambda: fake.worker.running is not None)
            job = make_job()
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: len(fake.worker.pending) == 1)
            fake.worker.delete(prompt_id_of(job.upload))
            with pytest.raises(Cancelled) as caught:
                await asyncio.wait_for(task, 5)
            assert caught.value.reason == "COMFY_INTERRUPTED"
            fake.script.hang_at = None
            await before
            assert prompt_id_of(job.upload) not in fake.executions, "not put there again"


async def test_11_a_restart_loses_the_history_and_not_a_picture_that_is_being_fetched() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        job = make_job()
        product = await backend.render(job, ignore)
        await fake.restart()
        assert not fake.worker.history
        assert await read(product), "files survive"


async def test_12_a_file_is_one_request_with_its_length() -> None:
    script = Script(output_bytes=5_000_000)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        assert len(await read(await backend.render(make_job(), ignore))) == 5_000_000
        asked = [seen for seen in fake.requests if seen.path == "/view"]
        assert [seen.method for seen in asked] == ["GET"]
        assert asked[0].headers["Accept-Encoding"] == "identity"

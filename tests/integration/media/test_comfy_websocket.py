"""The websocket hastens and never decides: whatever it does, jobs end well."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from services.media.comfy import ComfyBackend, course
from services.media.comfy.events import EventStream
from services.media.ports import RenderProgress
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
from tests.fakes.comfyui.jobs import connected, ignore, make_job, read, until


def events_of(backend: ComfyBackend) -> EventStream:
    (instance,) = backend._instances
    return instance.events


async def test_a_socket_that_never_comes_back_costs_live_progress_only() -> None:
    script = Script(drop_socket_at="KSampler", step_seconds=0.1)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        task = asyncio.create_task(backend.render(make_job(), ignore))
        await until(lambda: bool(fake.client_ids))
        script.no_websocket = True
        assert await read(await asyncio.wait_for(task, 10))
        assert await read(await backend.render(make_job(), ignore))
        assert len(fake.client_ids) == 1


async def test_a_socket_that_answers_no_ping_is_replaced_under_another_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.media.comfy.events.PING_SECONDS", 0.2)
    script = Script(answers_pings=False, lose_frames=frozenset({"*"}), step_seconds=0.3)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        assert await read(await asyncio.wait_for(backend.render(make_job(), ignore), 10))
        await until(lambda: len(fake.client_ids) >= 2)
        assert len(set(fake.client_ids)) == len(fake.client_ids)


async def test_a_frame_over_the_bound_is_never_read_and_ends_the_socket_only() -> None:
    script = Script(huge_frame_at="KSampler", step_seconds=0.2)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        assert await read(await backend.render(make_job(), ignore))
        await until(lambda: len(fake.client_ids) == 2)
        assert events_of(backend).odd_frames == 0


async def test_previews_nobody_asked_for_are_dropped_one_by_one() -> None:
    script = Script(previews_at="KSampler", previews=(15, 10_000_000))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        before = events_of(backend).frames
        assert await read(await backend.render(make_job(), ignore))
        # The job may be found before all of them came.
        await until(lambda: events_of(backend).frames > before + 25, 20)
        script.previews_at, script.step_seconds = None, 0.5
        nodes: set[str] = set()
        await backend.render(make_job(seed=8), lambda told: nodes.add(told.node))
        assert "KSampler 3" in nodes, "live still"
        assert len(fake.client_ids) == 1, "on the same socket"


async def test_what_is_no_event_is_counted_and_passed_over() -> None:
    script = Script(odd_frames_at="KSampler")
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        assert await read(await backend.render(make_job(), ignore))
        assert events_of(backend).odd_frames == 4, "the fifth is of a job that is not ours"


async def test_one_socket_serves_all_jobs_and_each_hears_of_itself_only() -> None:
    script = Script(step_seconds=0.01)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        fractions: list[list[float]] = [[], [], []]

        def report(told: RenderProgress, seed: int) -> None:
            fractions[seed].append(told.fraction)

        jobs = [backend.render(make_job(seed=n), partial(report, seed=n)) for n in range(3)]
        await asyncio.gather(*jobs)
        assert len(fake.client_ids) == 1
        for found in fractions:
            assert found == sorted(found)
            assert found[0] == 0.0


async def looks_of(fake: FakeComfyUI, backend: ComfyBackend, jobs: int) -> int:
    """How often the queue was asked for in two seconds in which so many jobs are there."""
    tasks = [asyncio.create_task(backend.render(make_job(), ignore)) for _ in range(jobs)]
    await until(lambda: fake.worker.remaining == jobs, 20)
    await asyncio.sleep(0.5)
    before = len(fake.requests)
    await asyncio.sleep(2.0)
    asked = len([seen for seen in fake.requests[before:] if seen.path == "/queue"])
    assert not [seen for seen in fake.requests[before:] if seen.path.startswith("/history")]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return asked


async def test_the_backstop_asks_once_for_all_jobs() -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with connected(fake.url) as backend:
            # At most: the first look, and one for each time the one before got too old.
            most = 2 + int(2.0 / course.SHARED_SECONDS)
            assert 2 <= await looks_of(fake, backend, 1) <= 2 + int(2.0 / course.LOOK_SECONDS)
            assert await looks_of(fake, backend, 2) <= most


async def test_a_socket_does_not_go_where_an_answer_sends_it() -> None:
    async with fake_comfyui() as inside, fake_comfyui() as fake:
        fake.script.websocket_at = inside.url.replace("http:", "ws:") + "/ws"
        async with connected(fake.url) as backend:
            assert await read(await backend.render(make_job(), ignore))
        assert inside.client_ids == []


@pytest.mark.parametrize("most", ["Infinity", "1" + "0" * 400])
async def test_numbers_beyond_any_sampler_end_neither_the_socket_nor_the_news(most: str) -> None:
    script = Script(step_seconds=0.1)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        heard: list[RenderProgress] = []
        task = asyncio.create_task(backend.render(make_job(), heard.append))
        await until(lambda: any(told.phase == "executing" for told in heard))
        (prompt_id,) = fake.executions
        for value in ("1", most):
            data = f'{{"prompt_id": "{prompt_id}", "node": "3", "value": {value}, "max": {most}}}'
            for socket in fake.sockets.values():
                await socket.send_str(f'{{"type": "progress", "data": {data}}}')
        assert await read(await task)
        assert len(fake.client_ids) == 1
        assert events_of(backend).live
        assert all(0.0 <= told.fraction <= 1.0 for told in heard)

"""Which instance gets a job, and what people are told when none can."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.kit.clock import ManualClock
from services.kit.errors import FailedPrecondition, Unavailable
from services.media.comfy import ComfyBackend, prompt_id_of
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
from tests.fakes.comfyui.jobs import config, connected, ignore, make_job, until
from tests.fakes.comfyui.nodes import MODELS, node_table

WITHOUT_SD35 = {**MODELS, "ckpt_name": ["something_else.safetensors"]}


async def test_without_any_address_the_setting_is_named() -> None:
    async with connected() as backend:
        reason = await backend.unavailable_reason(config())
        assert reason == "set ARTLAB_MEDIA_COMFYUI_URLS to use ComfyUI"
        with pytest.raises(FailedPrecondition):
            await backend.render(make_job(), ignore)


async def test_an_instance_that_has_everything_is_available() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        for name in ("sd35_large", "flux2", "qwen_image"):
            assert await backend.unavailable_reason(config(name)) is None


async def test_a_missing_model_is_named_with_the_instance() -> None:
    async with fake_comfyui(nodes=node_table(WITHOUT_SD35)) as fake:
        async with connected(fake.url) as backend:
            reason = await backend.unavailable_reason(config())
            assert reason == f"model sd3.5_large.safetensors is missing on {fake.url}"
            assert await backend.unavailable_reason(config("flux2")) is None
            with pytest.raises(FailedPrecondition) as caught:
                await backend.render(make_job(), ignore)
            assert caught.value.reason == "COMFY_MODEL_MISSING"
            assert not fake.prompts


async def test_a_missing_model_in_the_newer_form_of_lists_is_named_too() -> None:
    models = {**MODELS, "clip_name": ["clip_l.safetensors"]}
    async with fake_comfyui(nodes=node_table(models)) as fake, connected(fake.url) as backend:
        reason = await backend.unavailable_reason(config("flux2"))
        assert reason is not None
        assert reason.startswith("model mistral_3_small_flux2_bf16.safetensors is missing")


async def test_a_missing_node_is_named_with_the_instance() -> None:
    nodes = node_table()
    del nodes["Flux2Scheduler"]
    async with fake_comfyui(nodes=nodes) as fake, connected(fake.url) as backend:
        reason = await backend.unavailable_reason(config("flux2"))
        assert reason == f"node Flux2Scheduler is missing on {fake.url}"
        assert await backend.unavailable_reason(config()) is None


async def test_a_model_put_there_later_is_seen_within_seconds() -> None:
    clock = ManualClock()
    async with fake_comfyui(nodes=node_table(WITHOUT_SD35)) as fake:
        backend = ComfyBackend([fake.url], max_media_bytes=1, clock=clock)
        try:
            assert await backend.unavailable_reason(config()) is not None
            fake.nodes = node_table()
            assert await backend.unavailable_reason(config()) is not None
            clock.advance(11)
            assert await backend.unavailable_reason(config()) is None
        finally:
            await backend.close()


async def test_availability_is_asked_once_and_remembered() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        for _ in range(20):
            assert await backend.unavailable_reason(config()) is None
        paths = [seen.path for seen in fake.requests]
        assert paths.count("/prompt") == 1
        assert len([path for path in paths if path.startswith("/object_info/")]) == 7


async def test_an_instance_that_comes_up_later_is_used() -> None:
    clock = ManualClock()
    async with fake_comfyui() as fake:
        backend = ComfyBackend([fake.url], max_media_bytes=1, clock=clock)
        try:
            await fake.stop()
            assert await backend.unavailable_reason(config()) == (
                f"no ComfyUI answers at {fake.url}"
            )
            await fake.start()
            clock.advance(2.1)
            assert await backend.unavailable_reason(config()) is None
        finally:
            await backend.close()


async def test_an_instance_that_is_away_does_not_matter_while_another_answers() -> None:
    async with fake_comfyui() as away, fake_comfyui() as fake:
        await away.stop()
        async with connected(away.url, fake.url) as backend:
            assert await backend.unavailable_reason(config()) is None
            await backend.render(make_job(), ignore)
            assert fake.prompts


async def test_the_instance_that_has_the_model_gets_the_job() -> None:
    async with (
        fake_comfyui(nodes=node_table(WITHOUT_SD35)) as without,
        fake_comfyui() as fake,
        connected(without.url, fake.url) as backend,
    ):
        await backend.render(make_job(), ignore)
        assert fake.prompts
        assert not without.prompts


async def test_the_shortest_queue_gets_the_job() -> None:
    busy_script = Script(hang_at="KSampler")
    async with fake_comfyui(script=busy_script) as busy, fake_comfyui() as free:
        async with connected(busy.url) as other:
            tasks = [asyncio.create_task(other.render(make_job(), ignore)) for _ in range(3)]
            await until(lambda: busy.worker.remaining == 2)
            async with connected(busy.url, free.url) as backend:
                await backend.render(make_job(), ignore)
            assert len(free.prompts) == 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_job_already_at_one_instance_is_never_given_to_another() -> None:
    async with fake_comfyui() as first, fake_comfyui() as second:
        job = make_job()
        async with connected(second.url) as backend:
            await backend.render(job, ignore)
        async with connected(first.url, second.url) as backend:
            await backend.render(job, ignore)
        assert first.executions == {}
        assert second.executions == {prompt_id_of(job.upload): 1}


async def test_the_same_address_twice_is_one_instance() -> None:
    async with fake_comfyui() as fake, connected(fake.url, fake.url + "/") as backend:
        await backend.render(make_job(), ignore)
        assert len(fake.prompts) == 1


async def test_an_instance_that_does_not_answer_in_time_counts_as_away() -> None:
    async with fake_comfyui(script=Script(frozen=True)) as fake:
        began = time.monotonic()
        async with connected(fake.url) as backend:
            reason = await backend.unavailable_reason(config())
        assert reason == f"no ComfyUI answers at {fake.url}"
        assert time.monotonic() - began < 4.5
        fake.script.frozen = False


async def test_something_else_on_the_port_is_no_comfyui() -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(page, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connected(url) as backend:
            assert await backend.unavailable_reason(config()) == f"no ComfyUI answers at {url}"
            with pytest.raises(Unavailable) as caught:
                await backend.render(make_job(), ignore)
            assert caught.value.reason == "COMFY_UNAVAILABLE"


async def test_closing_ends_every_thread_and_task() -> None:
    fake: FakeComfyUI
    async with fake_comfyui() as fake:
        before = asyncio.all_tasks()
        async with connected(fake.url) as backend:
            await backend.render(make_job(), ignore)
            assert len(fake.sockets) == 1
        await until(lambda: not fake.sockets)
        names = {task.get_name() for task in asyncio.all_tasks() - before}
        assert not [name for name in names if name.startswith(("events", "submit", "stop"))]

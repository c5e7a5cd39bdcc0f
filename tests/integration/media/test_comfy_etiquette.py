"""A card that a language model and ComfyUI share: who makes room, when, and what it costs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from services.kit.errors import InvalidArgument
from services.media.comfy.address import parse_address, parse_ollama
from services.media.comfy.etiquette import Etiquette
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
from tests.fakes.comfyui.jobs import connected, ignore, make_job, until
from tests.fakes.ollama import fake_ollama


def freed(fake: FakeComfyUI) -> int:
    return len([seen for seen in fake.requests if seen.path == "/free"])


async def test_nothing_is_unloaded_unless_somebody_wants_it() -> None:
    async with fake_ollama() as ollama, fake_comfyui() as fake, connected(fake.url) as backend:
        ollama.loaded = ["llama3.2:3b"]
        product = await backend.render(make_job(), ignore)
    assert (ollama.asked, freed(fake)) == ([], 0)
    assert "unloaded_models" not in product.metadata


async def test_the_language_model_leaves_the_card_before_a_job_and_the_entity_tells() -> None:
    async with fake_ollama() as ollama, fake_comfyui() as fake:
        ollama.loaded = ["llama3.2:3b", "nomic-embed-text:latest"]
        etiquette = Etiquette(ollama=parse_address(ollama.url))
        async with connected(fake.url, etiquette=etiquette) as backend:
            fake.worker.on_node = lambda kind, item: loaded.append(list(ollama.loaded))
            loaded: list[list[str]] = []
            product = await backend.render(make_job(), ignore)
            assert loaded[0] == [], "before the first node"
            assert product.metadata["unloaded_models"] == "llama3.2:3b, nomic-embed-text:latest"
            assert 0 <= float(product.metadata["unload_seconds"]) < 5
            again = await backend.render(make_job(seed=8), ignore)
            assert "unloaded_models" not in again.metadata, "it was not there"
    assert ollama.asked == [
        {"model": model, "keep_alive": 0, "stream": False}
        for model in ("llama3.2:3b", "nomic-embed-text:latest")
    ]


@pytest.mark.parametrize("answer", ["500", "no json", "away"])
async def test_an_ollama_in_trouble_never_costs_a_picture(answer: str) -> None:
    async with fake_ollama() as ollama, fake_comfyui() as fake:
        address = parse_address(ollama.url)
        if answer == "away":
            address = replace(address, port=9)
        status = 500 if answer == "500" else 200
        ollama.broken = web.Response(status=status, text="<html>trouble</html>")
        async with connected(fake.url, etiquette=Etiquette(ollama=address)) as backend:
            product = await backend.render(make_job(), ignore)
    assert "unloaded_models" not in product.metadata


async def test_an_ollama_on_another_host_is_left_alone() -> None:
    async with fake_ollama() as ollama, fake_comfyui() as fake:
        ollama.loaded = ["llama3.2:3b"]
        elsewhere = replace(parse_address(ollama.url), host="10.0.0.9")
        async with connected(fake.url, etiquette=Etiquette(ollama=elsewhere)) as backend:
            await asyncio.wait_for(backend.render(make_job(), ignore), 5)
        assert ollama.loaded == ["llama3.2:3b"]


async def test_comfyui_gives_the_card_back_when_no_job_of_ours_is_left_there() -> None:
    script = Script(step_seconds=0.05)
    async with fake_comfyui(script=script) as fake:
        async with connected(fake.url, etiquette=Etiquette(unload_after_job=True)) as backend:
            jobs = [backend.render(make_job(seed=seed), ignore) for seed in (1, 2, 3)]
            await asyncio.gather(*jobs)
            await until(lambda: freed(fake) > 0)
            assert freed(fake) == 1, "not between jobs that follow one another"
            (body,) = [seen.body for seen in fake.requests if seen.path == "/free"]
            assert body == {"unload_models": True, "free_memory": False}
            # Also when a job was stopped.
            script.hang_at = "KSampler"
            task = asyncio.create_task(backend.render(make_job(seed=4), ignore))
            await until(lambda: fake.worker.running is not None)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await until(lambda: freed(fake) == 2)


async def test_an_instance_that_is_drained_gives_its_card_back_after_its_last_job() -> None:
    script = Script(hang_at="KSampler")
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        task = asyncio.create_task(backend.render(make_job(), ignore))
        await until(lambda: fake.worker.running is not None)
        await backend.set_draining(fake.url, True)
        assert freed(fake) == 0
        script.hang_at = None
        await task
        await until(lambda: freed(fake) == 1)
        await backend.set_draining(fake.url, False)
        await backend.render(make_job(seed=8), ignore)
        await backend.set_draining(fake.url, True)
        await until(lambda: freed(fake) == 2)


async def test_what_loading_the_model_again_costs_is_in_the_entity() -> None:
    script = Script(step_seconds=0.02, load_seconds=0.6)
    async with fake_comfyui(script=script) as fake:
        loading = []
        async with connected(fake.url, etiquette=Etiquette(unload_after_job=True)) as backend:
            for seed in (1, 2):
                product = await backend.render(make_job(seed=seed), ignore)
                loading.append(float(product.metadata["model_load_seconds"]))
                await until(lambda seed=seed: freed(fake) == seed)  # type: ignore[misc]
        async with connected(fake.url) as backend:
            for seed in (3, 4):
                product = await backend.render(make_job(seed=seed), ignore)
                loading.append(float(product.metadata["model_load_seconds"]))
    unloaded_each_time, kept = loading[:3], loading[3]
    assert all(seconds > 0.4 for seconds in unloaded_each_time), loading
    assert kept < min(unloaded_each_time) / 2, loading


def test_the_address_of_ollama_names_its_setting() -> None:
    assert parse_ollama(" ") is None
    assert parse_ollama("http://localhost:11434") == parse_address("http://localhost:11434")
    for text in ("https://ollama.com", "file:///etc", "localhost:11434"):
        with pytest.raises(InvalidArgument) as caught:
            parse_ollama(text)
        assert caught.value.reason == "INVALID_OLLAMA_URL"
        assert caught.value.field == "ARTLAB_MEDIA_OLLAMA_URL"

"""What every backend does, whichever it is: one suite, against fakes over real sockets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from services.kit.errors import DeadlineExceeded
from services.media.backends.builtin.backend import BuiltinBackend
from services.media.backends.code.backend import CodeBackend, CodeModel
from services.media.backends.hosted.backend import Limits
from services.media.backends.hosted.patience import Patience
from services.media.domain.output_config import OutputConfig, Slot
from services.media.ports import Backend, RenderProgress
from tests.fakes import comfyui, openai_server
from tests.fakes.comfyui import jobs as comfy_jobs
from tests.fakes.hosted.server import (
    Good,
    Never,
)
from tests.fakes.openai_server import FakeOpenAI
from tests.integration.media.world import image_config
from tests.support.eventually import eventually
from tests.support.hosted import (
    CASES,
    KEY_SETTING,
    Case,
    account,
    fails,
    ignore,
    make_job,
    read,
)

every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@dataclass
class Opened:
    """A backend, a config of it, and whether it has begun a job and works on none any more."""

    backend: Backend
    config: OutputConfig
    begun: Callable[[], bool]
    idle: Callable[[], bool]
    # How a file of this kind begins.
    magic: bytes = b"\x89PNG"


# With `hang` a job takes longer than any test waits.
Open = Callable[[bool], AbstractAsyncContextManager[Opened]]


def hosted(case: Case) -> Open:
    @asynccontextmanager
    async def opened(hang: bool) -> AsyncIterator[Opened]:
        async with case.fake() as fake:
            fake.script(Never() if hang else Good())
            async with case.connected(fake) as backend:
                yield Opened(backend, case.config(), fake.begun.is_set, fake.stopped.is_set)

    return opened


def builtin(magic: bytes = b"\x89PNG", **config: Any) -> Open:
    @asynccontextmanager
    async def opened(hang: bool) -> AsyncIterator[Opened]:
        drawing = threading.active_count
        before = drawing()
        backend = BuiltinBackend(1)
        made = image_config(**config)
        try:
            yield Opened(backend, made, lambda: drawing() > before, lambda: True, magic)
        finally:
            backend.close()

    return opened


@asynccontextmanager
async def code(hang: bool) -> AsyncIterator[Opened]:
    sketch = "function setup() { createCanvas(9, 9); }\nfunction draw() { circle(1, 2, 3); }"
    async with FakeOpenAI() as fake:
        fake.script(openai_server.Never() if hang else openai_server.Say(sketch))
        limits = Limits(max_media_bytes=10**6, silence_seconds=5.0, patience=Patience())
        own = account(fake.base_url, key_optional=True)
        backend = CodeBackend(own, limits, CodeModel("codestral", 3000))
        made = image_config(
            kind="code", backend="code", slots={}, backend_options={"library": "p5js"}
        )
        try:
            yield Opened(
                backend, made, lambda: bool(fake.requests), fake.abandoned.is_set, b"function"
            )
        finally:
            await backend.close()


@asynccontextmanager
async def comfy(hang: bool) -> AsyncIterator[Opened]:
    script = comfyui.Script(hang_at="KSampler") if hang else comfyui.Script()
    async with comfyui.fake_comfyui(script=script) as fake, comfy_jobs.connected(fake.url) as made:
        yield Opened(
            made,
            comfy_jobs.config("sd35_large"),
            lambda: fake.worker.running is not None,
            lambda: fake.worker.remaining == 0,
        )


SECONDS = Slot("seconds", "number", 2.0, 2, 30)
BACKENDS = {
    "builtin": builtin(),
    "builtin music": builtin(b"ID3", kind="music", slots={"seconds": SECONDS}),
    "builtin sketch": builtin(b"//", kind="code", slots={}, backend_options={"library": "p5js"}),
    "code": code,
    "comfyui": comfy,
} | {case.name: hosted(case) for case in CASES}
any_backend = pytest.mark.parametrize("open_backend", BACKENDS.values(), ids=BACKENDS.keys())
# Short music and sketches are there before anybody could stop them.
LASTING = {name: one for name, one in BACKENDS.items() if not name.startswith("builtin ")}
any_lasting = pytest.mark.parametrize("open_backend", LASTING.values(), ids=LASTING.keys())


@any_backend
async def test_a_product_is_whole_and_progress_never_goes_back(open_backend: Open) -> None:
    seen: list[RenderProgress] = []
    async with open_backend(False) as opened:
        backend, config = opened.backend, opened.config
        assert await backend.unavailable_reason(config) is None
        product = await backend.render(make_job(config), seen.append)
        data = await read(product)
        assert data.startswith(opened.magic)
        # The recording may have to begin anew.
        assert await read(product) == data
    assert product.size_bytes in (None, len(data))
    assert product.backend == backend.name
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert {progress.phase for progress in seen} <= {"queued", "executing", "downloading"}


@any_lasting
async def test_a_cancelled_job_stops_at_the_backend(open_backend: Open) -> None:
    async with open_backend(True) as opened:
        task = asyncio.create_task(opened.backend.render(make_job(opened.config), ignore))
        await eventually(opened.begun, what="the beginning of the work")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(opened.idle, what="the end of the work")


@every
async def test_what_takes_too_long_ends_with_the_deadline_and_stops(case: Case) -> None:
    async with hosted(case)(True) as opened:
        with pytest.raises(DeadlineExceeded) as caught:
            await opened.backend.render(make_job(case.config(deadline_seconds=0.4)), ignore)
        assert caught.value.reason == "DEADLINE"
        await eventually(opened.idle, what="the end of the work")


@every
async def test_the_bytes_are_those_of_the_api(case: Case) -> None:
    async with case.fake() as fake, case.connected(fake) as backend:
        product = await backend.render(make_job(case.config()), ignore)
        assert await read(product) == fake.picture
        assert (product.backend, product.model) == (case.name, case.model)
        assert fake.generated == 1


@every
async def test_without_a_key_nothing_is_sent_and_the_variable_is_named(case: Case) -> None:
    async with case.fake() as fake, case.connected(fake, account={"key": ""}) as backend:
        reason = await backend.unavailable_reason(case.config())
        assert reason == f"set {KEY_SETTING} (or {KEY_SETTING}_FILE) to use the API"
        await fails(backend, case.config(), "OUTPUT_NOT_AVAILABLE")
        assert fake.headers == []


@every
async def test_jobs_beyond_the_limit_wait_and_know_their_place(case: Case) -> None:
    gate = asyncio.Event()
    positions: list[int] = []

    def report(progress: RenderProgress) -> None:
        if progress.phase == "queued":
            positions.append(progress.queue_position)

    async with case.fake() as fake:
        fake.script(Good(gate))
        async with case.connected(fake, concurrency=1) as backend:
            first = asyncio.create_task(backend.render(make_job(case.config()), ignore))
            await asyncio.wait_for(fake.begun.wait(), 5)
            others = [
                asyncio.create_task(backend.render(make_job(case.config()), report))
                for _ in range(2)
            ]
            await eventually(lambda: 1 in positions)
            assert fake.generated == 1
            gate.set()
            await asyncio.gather(first, *others)
            assert fake.generated == 3

"""The built-in backend: threads, progress, cancellation, texts."""

from __future__ import annotations

import asyncio
import gc
import io
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from PIL import Image

from services.kit.errors import FailedPrecondition
from services.kit.ids import RunId, UploadName
from services.media.backends.builtin.backend import BuiltinBackend
from services.media.domain.output_config import OutputConfig
from services.media.ports import Product, RenderJob, RenderProgress
from services.media.product import CHUNK_BYTES


def config(kind: str = "image") -> OutputConfig:
    return OutputConfig(f"builtin_{kind}", kind, "builtin", {"en": "x"}, {})  # type: ignore[arg-type]


def job(**changes: Any) -> RenderJob:
    values: dict[str, Any] = {
        "upload": UploadName(RunId.new(), "output-1"),
        "output_index": 1,
        "config": config(),
        "prompt": "Eine Blume auf der Wiese",
        "seed": 7,
        "recipe": "dada",
        "values": {"width": 96, "height": 64},
    }
    return RenderJob(**(values | changes))


def content(product: Product) -> bytes:
    with product.read() as chunks:
        return b"".join(chunks)


@pytest.fixture
async def backend() -> AsyncIterator[BuiltinBackend]:
    backend = BuiltinBackend(2)
    yield backend
    backend.close()


async def test_a_picture_has_the_size_of_the_slots_and_says_how_it_was_made(
    backend: BuiltinBackend,
) -> None:
    product = await backend.render(job(), lambda _: None)
    assert Image.open(io.BytesIO(content(product))).size == (96, 64)
    assert product.backend == "builtin"
    assert product.metadata == {"width": "96", "height": "64", "visual_language": "dada"}
    assert product.size_bytes == len(content(product))


async def test_a_product_can_be_read_as_often_as_needed_in_chunks(backend: BuiltinBackend) -> None:
    large = job(values={"width": 1024, "height": 512})
    product = await backend.render(large, lambda _: None)
    assert content(product) == content(product)
    with product.read() as chunks:
        sizes = [len(chunk) for chunk in chunks]
    assert len(sizes) > 1
    assert max(sizes) == CHUNK_BYTES


async def test_the_same_job_gives_the_same_bytes(backend: BuiltinBackend) -> None:
    first = await backend.render(job(), lambda _: None)
    second = await backend.render(job(), lambda _: None)
    other = await backend.render(job(seed=8), lambda _: None)
    assert content(first) == content(second) != content(other)


async def test_a_text_is_the_prompt_itself(backend: BuiltinBackend) -> None:
    product = await backend.render(job(config=config("text")), lambda _: None)
    assert content(product).decode() == "Eine Blume auf der Wiese"


async def test_progress_is_told_in_the_event_loop_and_ends_at_one(backend: BuiltinBackend) -> None:
    seen: list[RenderProgress] = []
    loop = asyncio.get_running_loop()

    def report(progress: RenderProgress) -> None:
        assert asyncio.get_running_loop() is loop
        seen.append(progress)

    await backend.render(job(), report)
    await asyncio.sleep(0)
    assert seen[0].phase == "queued"
    fractions = [p.fraction for p in seen if p.phase == "executing"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


async def test_more_pictures_than_places_wait_and_know_their_position(
    backend: BuiltinBackend,
) -> None:
    positions: list[int] = []

    def report(progress: RenderProgress) -> None:
        if progress.phase == "queued":
            positions.append(progress.queue_position)

    await asyncio.gather(*(backend.render(job(seed=seed), report) for seed in range(6)))
    assert positions[:2] == [0, 0]
    assert max(positions) == 3


async def test_the_event_loop_stays_free_while_pictures_are_drawn(backend: BuiltinBackend) -> None:
    work = asyncio.gather(
        *(
            backend.render(job(seed=s, values={"width": 768, "height": 768}), lambda _: None)
            for s in range(4)
        )
    )
    turns = 0
    while not work.done():
        turns += 1
        await asyncio.sleep(0.002)
    await work
    assert turns > 10


async def test_a_cancelled_picture_frees_its_place(backend: BuiltinBackend) -> None:
    for _ in range(6):
        started = asyncio.Event()
        work = asyncio.create_task(
            backend.render(
                job(values={"width": 512, "height": 512}),
                lambda progress, started=started: started.set(),  # type: ignore[misc]
            )
        )
        await started.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    async with asyncio.timeout(10):
        assert content(await backend.render(job(), lambda _: None))


async def test_a_picture_cancelled_twice_leaves_nothing_to_complain_about(
    backend: BuiltinBackend,
) -> None:
    # As when a service stops and what it waited for too long is cancelled once more.
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
    started = asyncio.Event()

    def report(progress: RenderProgress) -> None:
        if progress.phase == "executing":
            started.set()

    work = asyncio.create_task(backend.render(job(values={"width": 2048, "height": 2048}), report))
    await started.wait()
    work.cancel()
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    del work
    assert content(await backend.render(job(), lambda _: None))
    assert content(await backend.render(job(), lambda _: None))
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


@pytest.mark.parametrize(
    ("kind", "values", "begins"),
    [
        ("audio", {"seconds": 2}, b"ID3"),
        ("music", {"seconds": 2}, b"ID3"),
        ("video", {"width": 128, "height": 128, "seconds": 2, "fps": 8}, b"\0\0\0"),
    ],
)
async def test_sounds_and_films_are_made_with_progress_that_only_grows(
    backend: BuiltinBackend, kind: str, values: dict[str, Any], begins: bytes
) -> None:
    seen: list[RenderProgress] = []
    product = await backend.render(job(config=config(kind), values=values), seen.append)
    await asyncio.sleep(0)
    assert content(product).startswith(begins)
    fractions = [p.fraction for p in seen if p.phase == "executing"]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.9
    assert len(set(fractions)) > 5


@pytest.mark.parametrize("kind", ["audio", "music", "video"])
@pytest.mark.parametrize("until", [0.0, 0.15])
async def test_a_long_work_is_given_up_within_a_second(
    backend: BuiltinBackend, kind: str, until: float
) -> None:
    values = {"seconds": 30} if kind != "video" else {"width": 640, "height": 640, "seconds": 6,
                                                      "fps": 24}  # fmt: skip
    started = asyncio.Event()

    def report(progress: RenderProgress) -> None:
        if progress.phase == "executing" and progress.fraction >= until:
            started.set()

    work = asyncio.create_task(backend.render(job(config=config(kind), values=values), report))
    await started.wait()
    before = time.process_time()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    # Of our own time: how long it takes on a busy machine says nothing about the renderer.
    assert time.process_time() - before < 1.0


async def test_a_kind_it_does_not_know_is_not_available_and_it_says_so(
    backend: BuiltinBackend,
) -> None:
    other = config("hologram")
    assert "hologram" in (await backend.unavailable_reason(other) or "")
    with pytest.raises(FailedPrecondition) as caught:
        await backend.render(job(config=other), lambda _: None)
    assert caught.value.reason == "OUTPUT_NOT_AVAILABLE"

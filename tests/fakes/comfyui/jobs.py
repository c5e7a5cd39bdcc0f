"""Jobs of the shipped configs, and the real backend connected to fakes."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any

import pytest

from services.kit.catalogue import CONFIGS
from services.kit.clock import SystemClock
from services.kit.errors import ArtlabError
from services.kit.ids import RunId, UploadName
from services.media.catalogue import OutputCatalogue, load_output_catalogue
from services.media.comfy import ComfyBackend
from services.media.domain.output_config import OutputConfig
from services.media.domain.workflow import Workflow
from services.media.ports import InputImage, Product, RenderJob, RenderProgress
from tests.fakes.comfyui.server import FakeComfyUI
from tests.support.pictures import PNG

MAX_MEDIA_BYTES = 64 * 1024 * 1024
PROMPT = 'Eine Blume "auf" der Wiese\n\\ {prompt} ${HOME} %width% – 花'


@cache
def shipped() -> OutputCatalogue:
    """The catalogue in configs/."""
    return load_output_catalogue(CONFIGS)


def config(name: str = "sd35_large", deadline_seconds: float = 20.0) -> OutputConfig:
    """A shipped config with a deadline fit for tests."""
    return dataclasses.replace(shipped().configs[name], deadline_seconds=deadline_seconds)


def make_job(output: OutputConfig | None = None, **changes: Any) -> RenderJob:
    """A small picture of its own, with a fresh upload name."""
    output = output or config()
    small = {"width": 256, "height": 256, "steps": 4}
    sizes = {name: value for name, value in small.items() if name in output.slots}
    job = RenderJob(
        upload=UploadName(RunId.new(), f"output-1-{uuid.uuid4()}"),
        output_index=1,
        config=output,
        prompt=PROMPT,
        seed=7,
        recipe="dada",
        values=output.values(sizes),
    )
    return dataclasses.replace(job, **changes)


def input_image(data: bytes = PNG) -> InputImage:
    """A picture that somebody brought."""

    @contextmanager
    def read() -> Iterator[Iterator[bytes]]:
        yield (data[at : at + 7000] for at in range(0, len(data), 7000))

    return InputImage(read, "image/png", hashlib.sha256(data).hexdigest(), len(data))


@asynccontextmanager
async def connected(
    *urls: str, max_media_bytes: int = MAX_MEDIA_BYTES, max_waiting: int = 64, **more: Any
) -> AsyncIterator[ComfyBackend]:
    """The real backend, started, for these addresses."""
    backend = ComfyBackend(
        urls, max_media_bytes=max_media_bytes, clock=SystemClock(), max_waiting=max_waiting, **more
    )
    await backend.start()
    try:
        yield backend
    finally:
        await backend.close()


def ignore(progress: RenderProgress) -> None:
    """A report that nobody reads."""


async def read(product: Product) -> bytes:
    """All bytes of a product, read in a thread as the recording does."""

    def collect() -> bytes:
        with product.read() as chunks:
            return b"".join(chunks)

    return await asyncio.to_thread(collect)


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        await asyncio.sleep(0.005)


async def failure(fake: FakeComfyUI, job: RenderJob | None = None) -> ArtlabError:
    """The error that a job at this fake ends with."""
    async with connected(fake.url) as backend:
        with pytest.raises(ArtlabError) as caught:
            await backend.render(job or make_job(), ignore)
    return caught.value


def workflow_of(job: RenderJob) -> Workflow:
    """The workflow of a job's config."""
    workflow = job.config.backend_options["workflow"]
    assert isinstance(workflow, Workflow)
    return workflow

"""The backends behind hosted APIs, each with its fake, for the suite they all pass."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from services.kit.clock import Clock, SystemClock
from services.kit.errors import ArtlabError
from services.kit.ids import UploadName
from services.media.backends.hosted.account import Account
from services.media.backends.hosted.backend import HostedBackend, Limits
from services.media.backends.hosted.options import HostedOptions
from services.media.backends.hosted.patience import Patience
from services.media.backends.huggingface.backend import HuggingFaceBackend
from services.media.backends.huggingface.options import HuggingFaceOptions
from services.media.backends.openai_images.backend import OpenAIImagesBackend
from services.media.backends.openai_images.options import OpenAIImagesOptions
from services.media.backends.openrouter.backend import OpenRouterBackend
from services.media.backends.openrouter.options import OpenRouterOptions
from services.media.backends.replicate.backend import ReplicateBackend
from services.media.backends.replicate.options import ReplicateOptions
from services.media.backends.swarmui.backend import SwarmBackend
from services.media.backends.swarmui.options import SwarmOptions
from services.media.domain.output_config import OutputConfig, Slot
from services.media.ports import Backend, Product, RenderJob, RenderProgress
from tests.fakes.hosted.huggingface import FakeHuggingFace
from tests.fakes.hosted.openai_api import FakeOpenAIImages, FakeOpenRouter
from tests.fakes.hosted.replicate import FakeReplicate
from tests.fakes.hosted.server import KEY, FakeApi
from tests.fakes.hosted.swarmui import FakeSwarmUI

PROMPT = "Ein geheimer Garten in der Nacht"
MAX_MEDIA_BYTES = 4 * 1024 * 1024
KEY_SETTING, URL_SETTING = "ARTLAB_MEDIA_TEST_API_KEY", "ARTLAB_MEDIA_TEST_URL"


@dataclass
class Pauses:
    """Waiting that takes no time and is written down."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0.002)


@dataclass(frozen=True)
class Case:
    """One backend: its fake, its class, the options of a config."""

    name: str
    fake: Callable[[], FakeApi]
    backend: type[HostedBackend]
    options: HostedOptions
    # The model a product says it is of.
    model: str

    def config(self, **changes: Any) -> OutputConfig:
        """An output config of this backend."""
        values: dict[str, Any] = {
            "name": f"{self.name}_picture",
            "kind": "image",
            "backend": self.name,
            "title": {"en": "Picture", "de": "Bild"},
            "slots": {
                "width": Slot("width", "integer", 1024, 64, 2048),
                "height": Slot("height", "integer", 1024, 64, 2048),
            },
            "deadline_seconds": 20.0,
            "backend_options": {"options": self.options},
        }
        return OutputConfig(**(values | changes))

    @asynccontextmanager
    async def connected(self, fake: FakeApi, **changes: Any) -> AsyncIterator[HostedBackend]:
        """The backend, speaking to the fake."""
        usual: dict[str, Any] = {
            "max_media_bytes": MAX_MEDIA_BYTES,
            "patience": Patience(sleep=Pauses()),
        }
        backend = self.backend(
            account(fake.base_url, **changes.pop("account", {})),
            Limits(**(usual | changes)),
        )
        try:
            yield backend
        finally:
            await backend.close()


def account(base_url: str, key: str = KEY, clock: Clock | None = None, **more: Any) -> Account:
    """Where a fake is, and its key."""
    values: dict[str, Any] = {
        "title": "the API",
        "base_url": base_url,
        "url_setting": URL_SETTING,
        "key": SecretStr(key),
        "key_setting": KEY_SETTING,
        "clock": clock or SystemClock(),
    }
    return Account(**(values | more))


def make_job(config: OutputConfig, **changes: Any) -> RenderJob:
    """A job of a fresh upload."""
    values: dict[str, Any] = {
        "upload": UploadName.parse(f"runs/{uuid.uuid4()}/uploads/output-1"),
        "output_index": 1,
        "config": config,
        "prompt": PROMPT,
        "seed": 2**40 + 7,
        "recipe": "dada",
        "values": config.values({}),
    }
    return RenderJob(**(values | changes))


def ignore(progress: RenderProgress) -> None:
    """Nobody watches."""


async def read(product: Product) -> bytes:
    """All bytes of a product, read in a thread as the recording does."""

    def run() -> bytes:
        with product.read() as chunks:
            return b"".join(chunks)

    return await asyncio.to_thread(run)


async def fails(backend: Backend, config: OutputConfig, reason: str) -> ArtlabError:
    """A job of this config must fail with this reason; its error."""
    with pytest.raises(ArtlabError) as caught:
        await backend.render(make_job(config), ignore)
    assert caught.value.reason == reason
    return caught.value


SWARMUI = Case(
    "swarmui", FakeSwarmUI, SwarmBackend, SwarmOptions(model="Official/sd_xl_base_1.0"),
    "Official/sd_xl_base_1.0",
)  # fmt: skip
OPENAI_IMAGES = Case(
    "openai_images", FakeOpenAIImages, OpenAIImagesBackend,
    OpenAIImagesOptions(model="gpt-image-1", sizes=("1024x1024", "1536x1024", "1024x1536")),
    "gpt-image-1",
)  # fmt: skip
OPENROUTER = Case(
    "openrouter", FakeOpenRouter, OpenRouterBackend,
    OpenRouterOptions(model="google/gemini-2.5-flash-image", aspect_ratios=("1:1", "16:9")),
    "google/gemini-2.5-flash-image",
)  # fmt: skip
HUGGINGFACE = Case(
    "huggingface", FakeHuggingFace, HuggingFaceBackend,
    HuggingFaceOptions(model="black-forest-labs/FLUX.1-schnell"),
    "black-forest-labs/FLUX.1-schnell",
)  # fmt: skip
REPLICATE = Case(
    "replicate", FakeReplicate, ReplicateBackend,
    ReplicateOptions(model="black-forest-labs/flux-schnell"),
    "black-forest-labs/flux-schnell",
)  # fmt: skip
CASES = (SWARMUI, OPENAI_IMAGES, OPENROUTER, HUGGINGFACE, REPLICATE)

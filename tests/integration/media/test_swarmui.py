"""What SwarmUI is asked, and what becomes of its sessions and pictures."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from services.kit.clock import ManualClock
from services.kit.errors import ArtlabError
from services.media.backends.swarmui.session import MODELS_SECONDS
from services.media.ports import RenderProgress
from tests.fakes.hosted.server import KEY, Cut, Drop, Good
from tests.fakes.hosted.swarmui import PREVIEW, FakeSwarmUI
from tests.support.hosted import (
    PROMPT,
    SWARMUI,
    ignore,
    make_job,
    read,
)


async def test_swarmui_shows_progress_and_small_previews_and_keeps_jobs_apart() -> None:
    seen: list[RenderProgress] = []
    async with FakeSwarmUI() as fake, SWARMUI.connected(fake) as backend:
        config = SWARMUI.config()
        await backend.render(make_job(config), seen.append)
        await backend.render(make_job(config), ignore)
    fractions = [progress.fraction for progress in seen if progress.phase == "executing"]
    assert fractions == [0, 0.2, 0.6, 0.6, 0.9]
    previews = [progress.preview for progress in seen if progress.preview is not None]
    assert {preview.data for preview in previews} == {PREVIEW}
    assert {preview.media_type for preview in previews} == {"image/jpeg"}
    sessions = [asked.pop("session_id") for asked in fake.requests]
    assert len(set(sessions)) == 2
    assert fake.requests[0] == {
        "width": 1024,
        "height": 1024,
        "images": 1,
        "model": "Official/sd_xl_base_1.0",
        "prompt": PROMPT,
        "seed": 2**40 + 7,
    }
    assert f"swarm_user_token={KEY}" in fake.headers[0]["Cookie"]


async def test_odd_progress_of_swarmui_stays_within_bounds() -> None:
    seen: list[RenderProgress] = []
    odd = ("x", None, -3, True, 7)
    async with (
        FakeSwarmUI(percents=odd, preview=bytes(70_000)) as fake,
        SWARMUI.connected(fake) as backend,
    ):
        await backend.render(make_job(SWARMUI.config()), seen.append)
    assert all(0 <= progress.fraction <= 1 for progress in seen)
    # Larger than a preview may be.
    assert all(progress.preview is None for progress in seen)


async def test_a_session_swarmui_forgot_is_opened_anew() -> None:
    async with FakeSwarmUI(forgetful=1) as fake, SWARMUI.connected(fake) as backend:
        product = await backend.render(make_job(SWARMUI.config()), ignore)
        assert await read(product) == fake.picture
    assert fake.generated == 1


async def test_what_swarmui_says_went_wrong_is_told_without_the_prompt() -> None:
    failure = f"Node 7 failed on '{PROMPT}': CUDA out of memory"
    async with FakeSwarmUI(failure=failure) as fake, SWARMUI.connected(fake) as backend:
        with pytest.raises(ArtlabError) as caught:
            await backend.render(make_job(SWARMUI.config()), ignore)
    assert caught.value.reason == "BACKEND_FAILED"
    assert caught.value.metadata["detail"] == "Node 7 failed on '…': CUDA out of memory"
    assert fake.generated == 1


@pytest.mark.parametrize("line", [Drop(), Cut()], ids=["drop", "cut"])
async def test_a_job_lost_at_swarmui_is_stopped_before_it_is_made_anew(line: Any) -> None:
    async with FakeSwarmUI() as fake, SWARMUI.connected(fake) as backend:
        fake.script(line, Good())
        product = await backend.render(make_job(SWARMUI.config()), ignore)
        assert await read(product) == fake.picture
        assert fake.requests[0]["session_id"] in fake.interrupted
        assert fake.requests[1]["session_id"] not in fake.interrupted


async def test_a_picture_that_swarmui_did_not_save_comes_inside_its_answer() -> None:
    async with FakeSwarmUI() as fake, SWARMUI.connected(fake) as backend:
        fake.image = "data:image/png;base64," + base64.b64encode(fake.picture).decode()
        product = await backend.render(make_job(SWARMUI.config()), ignore)
        assert await read(product) == fake.picture


@pytest.mark.parametrize(
    "image",
    ["http://127.0.0.1:1/View/x.png", "//evil.example/View/x.png", "View/../API/x", "API/x.png"],
)
async def test_a_picture_of_swarmui_is_below_its_own_view(image: str) -> None:
    async with FakeSwarmUI(image=image) as fake, SWARMUI.connected(fake) as backend:
        with pytest.raises(ArtlabError) as caught:
            await backend.render(make_job(SWARMUI.config()), ignore)
    assert caught.value.reason == "BACKEND_PROTOCOL"


async def test_a_model_swarmui_lacks_is_told_before_anybody_waits() -> None:
    clock = ManualClock()
    async with (
        FakeSwarmUI(models=["other.safetensors"]) as fake,
        SWARMUI.connected(fake, account={"clock": clock}) as backend,
    ):
        # All at once, as the catalogue asks.
        asked = (backend.unavailable_reason(SWARMUI.config()) for _ in range(3))
        for reason in await asyncio.gather(*asked):
            assert reason == "the API has no model Official/sd_xl_base_1.0"
        assert fake.listings == 1
        fake.models.append("Official\\sd_xl_base_1.0.safetensors")
        fake.sessions.clear()
        clock.advance(MODELS_SECONDS)
        assert await backend.unavailable_reason(SWARMUI.config()) is None

"""Pictures as they grow: shown only where nobody has to be kept from unchecked ones."""

from __future__ import annotations

import base64

import httpx
import pytest
from httpx_sse import aconnect_sse

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import run_pb2
from tests.fakes.orchestrator import succeed
from tests.integration.gateway.world import RUN, World, gateway
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMAGE = ("sd35_large", common_pb2.MEDIA_KIND_IMAGE)
PREVIEW = run_pb2.Hint(
    preview=run_pb2.Preview(output_index=1, media_type="image/webp", data=b"unchecked")
)
PROGRESS = run_pb2.Hint(render_progress=run_pb2.RenderProgress(output_index=1, fraction=0.5))


async def _seen(world: World, level: common_pb2.SafetyLevel.ValueType) -> list[tuple[str, str]]:
    """What a client gets of a preview followed by progress, and the facts after them."""
    world.recorder.create(RUN, IMAGE, safety_level=level)
    seen: list[tuple[str, str]] = []
    path = f"/api/pipeline/{RUN}/events"
    async with aconnect_sse(world.client, "GET", path, timeout=httpx.Timeout(10)) as source:
        events = source.aiter_sse()
        first = await anext(events)
        assert first.event == "state_changed"
        await eventually(lambda: bool(world.recorder.runs[RUN].watchers))
        world.recorder.hint(RUN, PREVIEW)
        world.recorder.hint(RUN, PROGRESS)
        async for event in events:
            seen.append((event.event, event.data))
            if event.event == "render_progress":
                await succeed(world.recorder, RUN, None)  # type: ignore[arg-type]
    return seen


@pytest.mark.parametrize("level", [common_pb2.SAFETY_LEVEL_KIDS, common_pb2.SAFETY_LEVEL_YOUTH])
async def test_no_preview_leaves_at_a_level_whose_pictures_are_checked(
    world: World, level: common_pb2.SafetyLevel.ValueType
) -> None:
    seen = await _seen(world, level)
    assert "render_progress" in [kind for kind, _ in seen]
    assert "preview" not in [kind for kind, _ in seen]
    assert base64.b64encode(b"unchecked").decode() not in str(seen)


async def test_a_preview_is_shown_at_other_levels(world: World) -> None:
    seen = await _seen(world, common_pb2.SAFETY_LEVEL_ADULT)
    [data] = [data for kind, data in seen if kind == "preview"]
    assert base64.b64encode(b"unchecked").decode() in data
    assert '"media_type":"image/webp"' in data


async def test_no_preview_leaves_while_nobody_says_what_is_checked() -> None:
    async with gateway(away=("safety",)) as world:
        seen = await _seen(world, common_pb2.SAFETY_LEVEL_RESEARCH)
        assert "render_progress" in [kind for kind, _ in seen]
        assert "preview" not in [kind for kind, _ in seen]

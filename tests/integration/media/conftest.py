"""Fixtures of the media service's integration tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.media.world import World, media_beside, recorder_at


@pytest.fixture
async def recorder_target(tmp_path: Path) -> AsyncIterator[str]:
    """A real recorder on a disk."""
    async with recorder_at(tmp_path / "runs") as target:
        yield target


@pytest.fixture
async def world(recorder_target: str) -> AsyncIterator[World]:
    """The media service with a scripted backend beside it."""
    async with media_beside(recorder_target) as world:
        yield world

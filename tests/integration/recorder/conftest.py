"""Fixtures of the recorder's integration tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.recorder.harness import World, world_of


@pytest.fixture(params=["memory", "disk", "grpc"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A recorder over each store, and through gRPC."""
    async with world_of(request.param, tmp_path / "runs") as world:
        yield world


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[World]:
    """A recorder on a disk."""
    async with world_of("disk", tmp_path / "runs") as world:
        yield world


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[World]:
    """A recorder on a disk, through gRPC."""
    async with world_of("grpc", tmp_path / "runs") as world:
        yield world

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.gateway.world import World, gateway


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with gateway() as made:
        yield made

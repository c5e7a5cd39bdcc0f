from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.gateway.world import World, gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[World]:
    """One gateway for the tests of a module; each gets it with empty peers by `world`."""
    async with gateway() as made:
        yield made


@pytest.fixture
def world(served: World) -> World:
    served.forget()
    return served

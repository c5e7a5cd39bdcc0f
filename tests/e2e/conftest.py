"""Six services that the tests of one module share: starting them takes seconds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.processes import Running, six_services


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def artlab_running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """All of Artlab with nothing but what is built in, at safety level youth."""
    async with six_services(tmp_path_factory.mktemp("artlab")) as running:
        yield running

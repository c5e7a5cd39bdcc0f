from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from services.kit.log import JsonFormatter
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


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(JsonFormatter("gateway"))

    def emit(self, record: logging.LogRecord) -> None:
        # The client's own lines are not the gateway's.
        if not record.name.startswith(("httpx", "httpcore")):
            self.lines.append(self.format(record))


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The gateway's log lines of one test."""
    handler = _Lines()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level)

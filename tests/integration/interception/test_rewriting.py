"""A text put the way its medium wants it, over gRPC, without a model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2 as pb
from artlab.interception.v1 import interception_pb2_grpc as grpc_pb
from tests.integration.interception.composition import ECO, STYLES, interception
from tests.support.rpc import refused

if TYPE_CHECKING:
    Stub = grpc_pb.InterceptionServiceAsyncStub

TEXT = "Ein Hund läuft durch den Regen. Die Straße ist nass, und eine Laterne flackert."


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with interception() as made:
        yield made


def asked(style: str, text: str = TEXT, **fields: object) -> pb.RewritePromptRequest:
    values: dict[str, object] = {"execution_mode": ECO, "seed": 7, "language": "de", **fields}
    return pb.RewritePromptRequest(
        text=text,
        style=style,
        kind=common_pb2.MEDIA_KIND_IMAGE,
        **values,  # type: ignore[arg-type]
    )


async def rewritten(stub: Stub, request: pb.RewritePromptRequest) -> pb.PassResult:
    """Return the result; what was streamed before is its text."""
    shown = ""
    async for update in stub.RewritePrompt(request, timeout=20):
        if update.WhichOneof("update") == "result":
            assert shown == update.result.text
            return update.result
        shown += update.delta.text
    raise AssertionError("no result")


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("tags", "Hund läuft durch den Regen, Straße ist nass, Laterne flackert"),
        ("sound", "Hund läuft durch den Regen, Straße ist nass, Laterne flackert"),
        ("prose", TEXT),
    ],
)
async def test_each_style_keeps_the_words_and_changes_their_shape(
    stub: Stub, style: str, text: str
) -> None:
    result = await rewritten(stub, asked(style))
    assert result.text == text
    assert (result.used.task, result.used.backend) == ("media_prompt", "builtin")


async def test_shots_say_from_where_one_looks_and_the_seed_draws_it(stub: Stub) -> None:
    result = await rewritten(stub, asked("shot_list"))
    first, second = result.text.splitlines()
    assert first.startswith("Einstellung 1 (")
    assert first.endswith("): Ein Hund läuft durch den Regen.")
    assert second.startswith("Einstellung 2 (")
    assert (await rewritten(stub, asked("shot_list"))).text == result.text
    others = {(await rewritten(stub, asked("shot_list", seed=seed))).text for seed in range(8)}
    assert len(others) > 1


async def test_a_song_has_tags_verses_and_a_chorus_that_comes_back(stub: Stub) -> None:
    song = (await rewritten(stub, asked("song", "Regen fällt. Hund bellt. Licht geht an."))).text
    assert song.split("\n\n") == [
        "Regen fällt, Hund bellt, Licht geht an",
        "[verse]\nLicht geht an",
        "[chorus]\nRegen fällt\nHund bellt",
    ]


@pytest.mark.parametrize("style", sorted(STYLES))
async def test_any_text_comes_out_as_a_text(stub: Stub, style: str) -> None:
    for text in ("…", "??? !!!", "🐶", "wort " * 4000, "和平"):
        assert (await rewritten(stub, asked(style, text))).text.strip()


async def test_malformed_fields_are_refused_by_their_path(stub: Stub) -> None:
    cases = [
        (asked("oil"), "NOT_FOUND", "PROMPT_STYLE_NOT_FOUND", "style"),
        (asked("../x"), "INVALID_ARGUMENT", "INVALID_CONFIG_NAME", "style"),
        (asked("tags", " "), "INVALID_ARGUMENT", "EMPTY_TEXT", "text"),
        (asked("tags", seed=-1), "INVALID_ARGUMENT", "INVALID_SEED", "seed"),
        (asked("tags", execution_mode=0), "INVALID_ARGUMENT", "INVALID_EXECUTION_MODE",
         "execution_mode"),
        (asked("tags", user_id="Anna M"), "INVALID_ARGUMENT", "INVALID_USER_ID", "user_id"),
        (asked("tags", config_name="nobody"), "NOT_FOUND", "CONFIG_NOT_FOUND", "config_name"),
    ]  # fmt: skip
    for request, code, reason, field in cases:
        async with refused(code, reason, field):
            await rewritten(stub, request)


async def test_a_recipe_that_changed_meanwhile_is_refused(stub: Stub) -> None:
    answer = await stub.GetRecipe(pb.GetRecipeRequest(config_name="dada"), timeout=5)
    request = pb.InterceptRequest(
        config_name="dada", text=TEXT, execution_mode=ECO, recipe_sha256=answer.recipe.sha256
    )
    setattr(request, "pass", 1)
    async for update in stub.Intercept(request, timeout=20):
        last = update
    assert last.result.text
    request.recipe_sha256 = "0" * 64
    async with refused("FAILED_PRECONDITION", "RECIPE_CHANGED"):
        async for _ in stub.Intercept(request, timeout=20):
            pass

"""`artlab run` when the request is wrong, or nobody can take it: what it says, and its end."""

from __future__ import annotations

import pytest

from services.cli.ports import free_ports
from tests.integration.cli.scripted_gateway import (
    ScriptedGateway,
    scripted,
)
from tests.integration.cli.steps import (
    run,
)
from tests.support.command import artlab


async def test_a_refused_request_ends_with_two_and_names_every_field() -> None:
    problem = {
        "status": 422,
        "detail": "seed: must be a number",
        "field": "seed",
        "fields": [
            {"field": "seed", "detail": "must be a number"},
            {"field": "schema", "detail": "is required"},
        ],
    }
    async with scripted(ScriptedGateway(refusal=(422, problem))) as gateway:
        ended = await run(gateway)
    assert ended.code == 2
    assert ended.err == "artlab: --seed: must be a number\n--config: is required\n"


async def test_a_field_is_told_by_the_option_that_fills_it() -> None:
    problem = {"status": 404, "detail": "no such output config", "field": "output_configs[0]"}
    async with scripted(ScriptedGateway(refusal=(404, problem))) as gateway:
        ended = await run(gateway)
    assert (ended.code, ended.err) == (2, "artlab: --output: no such output config\n")


async def test_text_that_is_not_utf8_is_refused_in_plain_words() -> None:
    ended = await artlab("run", "-", "--config", "dada", stdin=b"\xff\xfe")
    assert ended.code == 2
    assert ended.err.splitlines()[-1].endswith("expected text in UTF-8")


async def test_a_name_that_is_none_is_told_what_names_look_like() -> None:
    ended = await artlab("run", "Blume", "--config", "Dada!")
    assert ended.code == 2
    assert ended.err.splitlines()[-1].endswith("small letters, digits and _, such as dada")


async def test_a_full_server_ends_with_one_and_says_when_to_come_back() -> None:
    problem = {"status": 429, "detail": "too many runs", "retry_after": 4.2}
    async with scripted(ScriptedGateway(refusal=(429, problem))) as gateway:
        ended = await run(gateway)
    assert (ended.code, ended.err) == (1, "artlab: too many runs\ntry again in 4 s\n")


async def test_nobody_there_ends_with_one_and_says_what_to_start() -> None:
    port = free_ports(["gateway"])["gateway"]
    ended = await artlab("run", "Blume", "--config", "dada", "--url", f"http://127.0.0.1:{port}")
    assert ended.code == 1
    assert "`artlab up`" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--config", "Dada", "x"), "'--config'"),
        (("x",), "Missing option '--config'"),
        (("--config", "dada", ""), "must not be empty"),
        (("--config", "dada", "a\x07b"), "a control character"),
        (("--config", "dada", "x" * 20_001), "at most 20000 characters"),
        (("--config", "dada", "x", "--seed", "-1"), "'--seed'"),
        (("--config", "dada", "x", "--level", "none"), "'--level'"),
        (("--config", "dada", "x", *("--output", "a") * 17), "at most 16 outputs"),
        (("--config", "dada", "-", "--context", "-"), "must not be empty"),
        (("--config", "dada", "x", "--url", "ftp://x"), "'--url'"),
    ],
)
async def test_a_wrong_command_line_ends_with_two(arguments: tuple[str, ...], said: str) -> None:
    ended = await artlab("run", *arguments, stdin=b"Blume")
    assert ended.code == 2
    assert said in ended.err

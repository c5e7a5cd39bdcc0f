"""`artlab run` against a gateway on a real socket: what it sends, shows and ends with."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest

from services.cli.ports import free_ports
from tests.integration.cli.scripted_gateway import (
    RUN_ID,
    Cut,
    Hold,
    ScriptedGateway,
    Step,
    scripted,
)
from tests.support.command import artlab, artlab_process, line_with
from tests.support.eventually import eventually

SAFE = json.dumps({"stage": 1, "decision": "safe", "rule": ""}).encode()
BLOCKED = json.dumps(
    {
        "stage": 1,
        "decision": "blocked",
        "rule": "kids.violence",
        "terms": ["secret-term"],
        "explanation": "Das ist zu gewaltsam.",
        "suggestion": "Beschreibe etwas Friedliches.",
    }
).encode()


def state(word: str) -> Step:
    return ("state_changed", {"state": word, "error": None})


def stage(number: int, step: str, output: int = 0) -> Step:
    data = {"stage": number, "step": step, "completed": 1, "expected": 6, "output_index": output}
    return ("stage_started", data)


def entity(sequence: int, kind: str, filename: str, size: int = 20, output: int = 0) -> Step:
    return (
        "entity_committed",
        {
            "sequence": sequence,
            "type": kind,
            "filename": filename,
            "media_type": "image/png" if filename.endswith("png") else "text/plain",
            "size_bytes": size,
            "output_index": output,
            "pass": 0,
            "url": f"/api/pipeline/{RUN_ID}/entities/{sequence}",
        },
    )


def delta(offset: int, text: str) -> Step:
    data = {"entity_type": "interception", "pass": 0, "offset": offset, "text": text}
    return ("text_delta", data)


def rendered(fraction: float) -> Step:
    return ("render_progress", {"output_index": 1, "phase": "executing", "fraction": fraction})


def finished(status: str, reason: str | None = None) -> Step:
    data = {"index": 1, "config": "builtin_image", "status": status, "reason": reason}
    return ("output_finished", data)


def document(status: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    rows = outputs or ({"index": 1, "config": "builtin_image", "status": status},)
    return {"run_id": RUN_ID, "status": status, "config_name": "dada", "outputs": list(rows)}


FACTS: tuple[Step, ...] = (
    state("pending"),
    state("running"),
    stage(1, "translation_and_safety"),
    entity(3, "safety", "03_safety.json"),
    stage(2, "interception"),
    entity(4, "interception", "04_interception.txt"),
    stage(4, "media_generation", 1),
    entity(6, "output_image", "06_output_image.png", 1_500_000, 1),
    finished("succeeded"),
    state("succeeded"),
)


def succeeding(*steps: Step) -> ScriptedGateway:
    entities = {3: SAFE, 4: b"Wiese Blume Wiese"}
    return ScriptedGateway(steps or FACTS, entities, document("succeeded"))


async def run(gateway: ScriptedGateway, *more: str, stdin: bytes = b"") -> Any:
    text = ("-",) if stdin else ("Eine Blume",)
    return await artlab("run", *text, "--config", "dada", "--url", gateway.url, *more, stdin=stdin)


async def test_a_run_is_shown_line_by_line_and_ends_with_its_text_and_url() -> None:
    steps = (*FACTS[:5], delta(0, "Wiese"), *FACTS[5:7], rendered(0.1), rendered(0.2), *FACTS[7:])
    async with scripted(succeeding(*steps)) as gateway:
        ended = await run(gateway)
    assert (ended.code, ended.err) == (0, "")
    lines = [line.strip() for line in ended.out.splitlines()]
    assert "stage 1  translation_and_safety" in lines
    assert any(line.split() == ["safety", "safe"] for line in lines)
    assert "stage 4  media_generation  output 1" in lines
    assert sum("executing" in line for line in lines) == 1
    assert lines.count("Wiese Blume Wiese") == 1
    assert f"{gateway.url}/api/pipeline/{RUN_ID}/entities/6" in ended.out
    assert lines[-1] == "succeeded"


async def test_what_was_asked_for_is_sent_and_nothing_else() -> None:
    async with scripted(succeeding()) as gateway:
        await run(gateway)
        await run(
            gateway,
            *("--output", "flux2", "--output", "flux2", "--level", "kids", "--mode", "fast"),
            *("--context", "nur Kreise", "--seed", "7", "--language", "de", "--quiet"),
        )
    assert gateway.requests[0]["body"] == {"schema": "dada", "input_text": "Eine Blume"}
    assert gateway.requests[0]["headers"]["Prefer"] == "respond-async"
    assert gateway.requests[1]["body"] == {
        "schema": "dada",
        "input_text": "Eine Blume",
        "output_configs": ["flux2", "flux2"],
        "safety_level": "kids",
        "execution_mode": "fast",
        "context": "nur Kreise",
        "seed": 7,
        "language": "de",
    }


async def test_a_dash_reads_the_text_from_stdin_without_the_newline_of_the_shell() -> None:
    async with scripted(succeeding()) as gateway:
        assert (await run(gateway, stdin=b" Blume,\nWiese\n")).code == 0
    assert gateway.requests[0]["body"]["input_text"] == " Blume,\nWiese"


async def test_quiet_prints_the_text_and_the_urls_only() -> None:
    async with scripted(succeeding()) as gateway:
        ended = await run(gateway, "--quiet")
    url = f"{gateway.url}/api/pipeline/{RUN_ID}/entities/6"
    assert ended.out.splitlines() == ["Wiese Blume Wiese", url]


async def test_quiet_still_says_beside_the_output_why_nothing_was_made() -> None:
    steps = (*FACTS[:3], entity(2, "safety", "02_safety.json"), state("blocked"))
    async with scripted(ScriptedGateway(steps, {2: BLOCKED}, document("blocked"))) as gateway:
        ended = await run(gateway, "--quiet")
    explanation = json.loads(BLOCKED)["explanation"]
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == f"artlab: blocked: {explanation}\n"


async def test_json_is_one_line_that_parses() -> None:
    async with scripted(succeeding()) as gateway:
        ended = await run(gateway, "--json")
    result = json.loads(ended.out)
    assert ended.out.count("\n") == 1
    assert (result["status"], result["final_output"]) == ("succeeded", "Wiese Blume Wiese")
    assert result["outputs"][0]["filename"] == "06_output_image.png"


async def test_a_broken_stream_is_taken_up_after_the_last_fact() -> None:
    steps = (*FACTS[:4], Cut(), FACTS[4], delta(0, "Wi"), Cut(), *FACTS[5:])
    async with scripted(succeeding(*steps)) as gateway:
        ended = await run(gateway)
    assert ended.code == 0
    assert gateway.resumed_after == [None, "4", "5"]
    for number in (1, 2, 4):
        assert sum(line.startswith(f"stage {number}") for line in ended.out.splitlines()) == 1


async def test_a_stream_that_ends_before_the_run_does_is_taken_up_again() -> None:
    steps = (*FACTS[:6], ("problem", {"reason": "DRAINING", "retryable": True}))
    gateway = succeeding(*steps)
    async with (
        scripted(gateway),
        artlab_process("run", "Blume", "--config", "dada", "--url", gateway.url) as process,
    ):
        async with asyncio.timeout(20):
            await eventually(lambda: len(gateway.resumed_after) > 1)
            gateway.steps = FACTS
            await process.communicate()
    assert gateway.resumed_after[:2] == [None, "6"]
    assert process.returncode == 0


async def test_a_run_that_can_no_longer_be_followed_ends_with_one() -> None:
    steps = (*FACTS[:3], ("problem", {"reason": "ENTITY_CORRUPT", "retryable": False}))
    async with scripted(succeeding(*steps)) as gateway:
        ended = await run(gateway)
    assert (ended.code, ended.err) == (1, "artlab: the run cannot be followed: ENTITY_CORRUPT\n")


async def test_blocked_ends_with_three_and_says_why_but_not_the_terms() -> None:
    steps = (*FACTS[:3], entity(2, "safety", "02_safety.json"), state("blocked"))
    gateway = ScriptedGateway(steps, {2: BLOCKED}, document("blocked"))
    async with scripted(gateway):
        ended = await run(gateway)
    assert ended.code == 3
    assert "blocked at stage 1 by kids.violence" in ended.out
    assert "Das ist zu gewaltsam." in ended.out
    assert "Beschreibe etwas Friedliches." in ended.out
    assert "secret-term" not in ended.out


async def test_failed_ends_with_one_and_the_reason() -> None:
    error = {"reason": "LLM_UNAVAILABLE", "message": "nobody writes", "stage": 2}
    gateway = ScriptedGateway(
        (*FACTS[:5], state("failed")), {3: SAFE}, {**document("failed"), "error": error}
    )
    async with scripted(gateway):
        ended = await run(gateway)
    assert ended.code == 1
    assert ended.out.splitlines()[-1] == "failed: LLM_UNAVAILABLE: nobody writes"


async def test_partial_ends_with_zero_and_says_what_is_missing() -> None:
    rows = (
        {"index": 1, "config": "builtin_image", "status": "succeeded"},
        {"index": 2, "config": "flux2", "status": "failed", "reason": "COMFY_UNREACHABLE"},
    )
    gateway = ScriptedGateway(
        (*FACTS[:9], state("partial")), {3: SAFE, 4: b"Wiese"}, document("partial", *rows)
    )
    async with scripted(gateway):
        ended = await run(gateway)
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "partial: 1 of 2 outputs were made"
    assert "COMFY_UNREACHABLE" in ended.out


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt_cancels_the_run(number: signal.Signals) -> None:
    gateway = succeeding(*FACTS[:5], Hold())
    async with (
        scripted(gateway),
        artlab_process("run", "Blume", "--config", "dada", "--url", gateway.url) as process,
    ):
        await line_with(process, "stage 2")
        process.send_signal(number)
        async with asyncio.timeout(20):
            out, _ = await process.communicate()
    assert gateway.cancelled.is_set()
    assert process.returncode == 130
    assert f"cancelling run {RUN_ID}" in out.decode()


async def test_a_second_interrupt_does_not_wait_for_the_gateway() -> None:
    gateway = succeeding(*FACTS[:5], Hold())
    gateway.hangs_on_cancel = True
    async with (
        scripted(gateway),
        artlab_process("run", "Blume", "--config", "dada", "--url", gateway.url) as process,
    ):
        await eventually(lambda: bool(gateway.resumed_after))
        process.send_signal(signal.SIGINT)
        await gateway.cancelled.wait()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(5):
            await process.communicate()
    assert process.returncode == 130


async def test_a_start_that_was_cut_off_is_repeated_as_the_same_run() -> None:
    gateway = succeeding()
    gateway.unanswered = 2
    async with scripted(gateway):
        assert (await run(gateway)).code == 0
    keys = [request["headers"]["Idempotency-Key"] for request in gateway.requests]
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_a_start_that_is_always_cut_off_ends_with_one() -> None:
    gateway = succeeding()
    gateway.unanswered = 99
    async with scripted(gateway):
        ended = await run(gateway)
    assert (ended.code, len(gateway.requests)) == (1, 3)
    assert "broke off before it answered" in ended.err


async def test_a_text_that_cannot_be_read_just_now_is_read_a_little_later() -> None:
    gateway = succeeding()
    gateway.unavailable = 2
    async with scripted(gateway):
        ended = await run(gateway, "--quiet")
    assert (ended.code, ended.out.splitlines()[0]) == (0, "Wiese Blume Wiese")


async def test_an_entity_one_may_not_see_is_left_out() -> None:
    gateway = succeeding()
    del gateway.entities[3]
    async with scripted(gateway):
        ended = await run(gateway)
    assert ended.code == 0
    assert "03_safety.json" in ended.out


async def test_an_output_without_umlauts_gets_question_marks() -> None:
    gateway = succeeding()
    gateway.entities[4] = "Größe ├──".encode()
    async with scripted(gateway):
        arguments = ("run", "Blume", "--config", "dada", "--url", gateway.url, "--quiet")
        ended = await artlab(*arguments, settings={"PYTHONIOENCODING": "ascii"})
    assert (ended.code, ended.out.splitlines()[0]) == (0, "Gr??e ???")


async def test_terminal_controls_in_a_text_do_not_reach_the_terminal() -> None:
    gateway = succeeding()
    gateway.entities[4] = b"Wiese \x1b]0;pwned\x07 Blume"
    async with scripted(gateway):
        ended = await run(gateway)
    assert "\x1b" not in ended.out
    assert "Wiese \ufffd]0;pwned\ufffd Blume" in ended.out


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

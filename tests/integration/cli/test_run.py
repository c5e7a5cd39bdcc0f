"""`artlab run` against a gateway on a real socket: what it sends, shows and ends with."""

from __future__ import annotations

import json

from tests.integration.cli.scripted_gateway import (
    RUN_ID,
    ScriptedGateway,
    scripted,
)
from tests.integration.cli.steps import (
    BLOCKED,
    FACTS,
    SAFE,
    delta,
    document,
    entity,
    rendered,
    run,
    state,
    succeeding,
)
from tests.support.command import artlab


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
